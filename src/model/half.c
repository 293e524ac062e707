#include "model/half.h"

#include <math.h>

#define FRACTION_BITS 10
#define FRACTION_MASK 0x3ff
#define EXPONENT_MASK 0x1f
#define INFINITE      0x7c00
#define SIGN	      0x8000
#define STEP_LEAST    (-24) /* exponent of what the last fraction bit of a subnormal is worth */

double
half_to_real(uint16_t half)
{
	int exponent = half >> FRACTION_BITS & EXPONENT_MASK;
	int fraction = half & FRACTION_MASK;
	double magnitude;

	if (exponent == EXPONENT_MASK)
		magnitude = fraction ? (double)NAN : (double)INFINITY;
	else if (exponent == 0)
		magnitude = ldexp(fraction, STEP_LEAST);
	else
		magnitude = ldexp(fraction | 1 << FRACTION_BITS, exponent - 1 + STEP_LEAST);
	return half & SIGN ? -magnitude : magnitude;
}

uint16_t
half_of_real(double real)
{
	uint16_t sign = signbit(real) ? SIGN : 0;
	double magnitude = fabs(real);
	int exponent, step;

	if (isnan(real))
		return (uint16_t)(sign | INFINITE | 1 << (FRACTION_BITS - 1));
	if (magnitude >= 65520) /* half way to the next one, which there is not */
		return (uint16_t)(sign | INFINITE);
	frexp(magnitude, &exponent);
	/* The last bit of the fraction is worth 2^step. Rounding up may carry into the exponent, as it
	 * should. */
	step = exponent - 1 - FRACTION_BITS;
	if (magnitude == 0 || step < STEP_LEAST)
		step = STEP_LEAST;
	return (uint16_t)(sign |
			  (((step - STEP_LEAST) << FRACTION_BITS) + (int)nearbyint(ldexp(magnitude, -step))));
}
