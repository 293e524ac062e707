/* Whole numbers of 64 bits and a sign, which say when they are too small for a result. Pure.
 */
#ifndef MODEL_WHOLE_H
#define MODEL_WHOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/value.h"

/* The first numbers that the 64-bit types do not hold: converting those or larger ones is undefined. */
#define INT64_END  0x1p63
#define UINT64_END 0x1p64

/* A whole number of -(2^64-1)..2^64-1. The raw values of int64 and uint64 have no C type in common, and
 * 32-bit machines have no wider one. Zero is not negative. */
struct whole {
	bool negative;
	uint64_t magnitude;
};

static inline struct whole
whole_of_int(int64_t number)
{
	return (struct whole){
		.negative = number < 0,
		.magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number,
	};
}

/* Two's complement of as many bits as the caller takes. */
static inline uint64_t
whole_bits(struct whole whole)
{
	return whole.negative ? 0 - whole.magnitude : whole.magnitude;
}

static inline bool
whole_fits_int(struct whole whole, int width)
{
	uint64_t least = (uint64_t)1 << (width - 1);

	return whole.negative ? whole.magnitude <= least : whole.magnitude < least;
}

static inline bool
whole_fits_uint(struct whole whole, int width)
{
	return !whole.negative && (width >= 64 || whole.magnitude >> width == 0);
}

/* Returns false if it fits neither int64 nor uint64. */
static inline bool
whole_to_value(struct whole whole, struct value *ret)
{
	if (whole_fits_int(whole, 64))
		*ret = (struct value){ .kind = VALUE_INT, .integer = (int64_t)whole_bits(whole) };
	else if (whole_fits_uint(whole, 64))
		*ret = (struct value){ .kind = VALUE_UINT, .whole = whole.magnitude };
	else
		return false;
	return true;
}

static inline double
whole_real(struct whole whole)
{
	return whole.negative ? -(double)whole.magnitude : (double)whole.magnitude;
}

/* Returns false if `real` has a fraction or is too large. */
bool whole_of_real(double real, struct whole *ret);

/* Returns false for what is no whole number. */
bool whole_of_value(const struct value *value, struct whole *ret);

/* Return false if 64 bits are not enough. */
bool whole_add(struct whole a, struct whole b, struct whole *ret);
bool whole_multiply(struct whole a, struct whole b, struct whole *ret);

/* To the nearest, half away from zero. `by` is not 0. */
struct whole whole_divide(struct whole whole, struct whole by);

#endif
