/* Names of Modbus exceptions. Modbus Application Protocol V1.1b3, 7. */
#ifndef MODEL_EXCEPTION_H
#define MODEL_EXCEPTION_H

#include <stdbool.h>

/* "illegal data address"; "unknown exception" for a code that the standard does not have. Static text. */
const char *exception_name(int code);

/* May the same request do better a little later: is the unit busy, or does a gateway say that it did not answer? */
bool exception_is_passing(int code);

#endif
