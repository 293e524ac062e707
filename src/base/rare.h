/* For functions beside the path that each value takes: what they need of registers and stack is then not set up for those that pass
 * them by.
 */
#ifndef BASE_RARE_H
#define BASE_RARE_H

#define RARE __attribute__((noinline))

#endif
