/* Names of Modbus exceptions. Modbus Application Protocol V1.1b3, 7. */
#ifndef MODEL_EXCEPTION_H
#define MODEL_EXCEPTION_H

/* "illegal data address"; "unknown exception" for a code that the standard does not have. Static text. */
const char *exception_name(int code);

#endif
