#include "model/whole.h"

#include <math.h>

bool
whole_of_real(double real, struct whole *ret)
{
	if (!(fabs(real) < UINT64_END) || trunc(real) != real)
		return false;
	ret->negative = real < 0;
	ret->magnitude = (uint64_t)fabs(real);
	return true;
}

bool
whole_add(struct whole a, struct whole b, struct whole *ret)
{
	struct whole sum = { .negative = a.negative };

	if (a.negative == b.negative) {
		if (__builtin_add_overflow(a.magnitude, b.magnitude, &sum.magnitude))
			return false;
	} else if (a.magnitude > b.magnitude) {
		sum.magnitude = a.magnitude - b.magnitude;
	} else {
		sum.magnitude = b.magnitude - a.magnitude;
		sum.negative = b.negative && sum.magnitude > 0;
	}
	*ret = sum;
	return true;
}

bool
whole_multiply(struct whole a, struct whole b, struct whole *ret)
{
	struct whole product;

	if (__builtin_mul_overflow(a.magnitude, b.magnitude, &product.magnitude))
		return false;
	product.negative = a.negative != b.negative && product.magnitude > 0;
	*ret = product;
	return true;
}

struct whole
whole_divide(struct whole whole, struct whole by)
{
	struct whole quotient = { .magnitude = whole.magnitude / by.magnitude };
	uint64_t rest = whole.magnitude % by.magnitude;

	if (rest >= by.magnitude - rest)
		quotient.magnitude++;
	quotient.negative = whole.negative != by.negative && quotient.magnitude > 0;
	return quotient;
}

bool
whole_of_value(const struct value *value, struct whole *ret)
{
	switch (value->kind) {
	case VALUE_INT:
		*ret = whole_of_int(value->integer);
		return true;
	case VALUE_UINT:
		*ret = (struct whole){ .magnitude = value->whole };
		return true;
	case VALUE_REAL:
		return whole_of_real(value->real, ret);
	case VALUE_NONE:
	case VALUE_BOOL:
	case VALUE_LABEL:
	case VALUE_TEXT:
	case VALUE_LIST:
		break;
	}
	return false;
}
