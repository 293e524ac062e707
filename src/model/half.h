/* IEEE 754 half precision: 1 sign, 5 exponent, 10 fraction bits. Pure. */
#ifndef MODEL_HALF_H
#define MODEL_HALF_H

#include <stdint.h>

#define HALF_MAX     65504.0
#define HALF_EPSILON 0x1p-10 /* from 1 to the next larger one */

/* Exact. */
double half_to_real(uint16_t half);

/* To the nearest, of two the even one; what is too large becomes infinite. */
uint16_t half_of_real(double real);

#endif
