#include "model/codec_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "model/half.h"

/* Without decimals a real is a whole number, as long as int64 holds it: 42 and not 42.0. */
static int
real_to_value(const struct point *point, double real, struct value *ret)
{
	if (!isfinite(real))
		return -ERANGE;
	if (point->decimals == 0 && fabs(round(real)) < INT64_END)
		*ret = (struct value){ .kind = VALUE_INT, .integer = (int64_t)round(real) };
	else
		*ret =
		    (struct value){ .kind = VALUE_REAL, .decimals = (int8_t)point->decimals, .real = real };
	return 0;
}

int
codec_scale(const struct point *point, struct whole raw, struct value *ret)
{
	struct whole scale, offset, result;

	if (whole_of_real(point->scale, &scale) && whole_of_real(point->offset, &offset) &&
	    whole_multiply(raw, scale, &result) && whole_add(result, offset, &result) &&
	    whole_to_value(result, ret))
		return 0;
	return real_to_value(point, whole_real(raw) * point->scale + point->offset, ret);
}

const struct enum_label *
codec_find_label(const struct point *point, struct whole raw)
{
	if (!whole_fits_int(raw, 64))
		return NULL;
	for (size_t i = 0; i < point->label_count; i++)
		if (point->labels[i].number == (int64_t)whole_bits(raw))
			return &point->labels[i];
	return NULL;
}

static int
decode_whole(const struct point *point, struct whole raw, struct value *ret)
{
	const struct enum_label *label = codec_label_numbered(point, raw);

	if (!label && point->scale == 1 && point->offset == 0 && whole_to_value(raw, ret))
		return 0;
	if (!label)
		return codec_scale(point, raw, ret);
	*ret = (struct value){ .kind = VALUE_LABEL, .label = label->label };
	return 0;
}

int
codec_decode_unsigned(const struct point *point, const uint16_t *cells, struct value *ret)
{
	return decode_whole(point, (struct whole){ .magnitude = gather(point, cells) }, ret);
}

int
codec_decode_signed(const struct point *point, const uint16_t *cells, struct value *ret)
{
	uint64_t raw = gather(point, cells);
	uint64_t sign = (uint64_t)1 << (raw_width(point) - 1);
	struct whole whole = { .magnitude = raw };

	if (raw & sign) {
		/* The lower bits count up from the least number. */
		whole.negative = true;
		whole.magnitude = sign - (raw ^ sign);
	}
	return decode_whole(point, whole, ret);
}

int
codec_decode_bool(const struct point *point, const uint16_t *cells, struct value *ret)
{
	bool on = gather(point, cells) != 0;
	const struct enum_label *label = codec_label_numbered(point, (struct whole){ .magnitude = on });

	if (label)
		*ret = (struct value){ .kind = VALUE_LABEL, .label = label->label };
	else
		*ret = (struct value){ .kind = VALUE_BOOL, .boolean = on };
	return 0;
}

int
codec_decode_float32(const struct point *point, const uint16_t *cells, struct value *ret)
{
	uint32_t raw = (uint32_t)gather(point, cells);
	float real;

	memcpy(&real, &raw, sizeof(real));
	return real_to_value(point, (double)real * point->scale + point->offset, ret);
}

int
codec_decode_float64(const struct point *point, const uint16_t *cells, struct value *ret)
{
	uint64_t raw = gather(point, cells);
	double real;

	memcpy(&real, &raw, sizeof(real));
	return real_to_value(point, real * point->scale + point->offset, ret);
}

int
codec_decode_float16(const struct point *point, const uint16_t *cells, struct value *ret)
{
	double real = half_to_real((uint16_t)gather(point, cells));

	return real_to_value(point, real * point->scale + point->offset, ret);
}

int
codec_decode_bcd(const struct point *point, const uint16_t *cells, struct value *ret)
{
	uint64_t raw = gather(point, cells);
	struct whole whole = { .magnitude = 0 };

	for (int shift = raw_width(point) - 4; shift >= 0; shift -= 4) {
		if ((raw >> shift & 0xf) > 9)
			return -ENODATA;
		whole.magnitude = whole.magnitude * 10 + (raw >> shift & 0xf);
	}
	return decode_whole(point, whole, ret);
}

int
codec_decode_string(const struct point *point, const uint16_t *cells, struct value *ret)
{
	size_t size = text_size(point), length = 0;
	char *text = malloc(size + 1), *at = text;

	if (!text)
		return -ENOMEM;
	for (int i = 0; i < point->count; i++) {
		uint16_t pair = order_bytes(point, cells[i]);

		if (chars_per_register(point) == 2)
			*at++ = (char)(pair >> 8);
		*at++ = (char)(pair & 0xff);
	}
	while (length < size && text[length] != '\0' && text[length] != '\xff') /* NOLINT: all filled above */
		length++;
	while (length > 0 && text[length - 1] == ' ')
		length--;
	text[length] = '\0';
	if (!utf8_valid(text, length)) {
		free(text);
		return -EILSEQ;
	}
	*ret = (struct value){ .kind = VALUE_TEXT, .text = text };
	return 0;
}

int
codec_decode_bytes(const struct point *point, const uint16_t *cells, struct value *ret)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(sizeof(HEX_PREFIX) + (size_t)point->count * HEX_DIGITS), *at = text;

	if (!text)
		return -ENOMEM;
	at = stpcpy(at, HEX_PREFIX);
	for (int i = 0; i < point->count; i++)
		for (int shift = 12; shift >= 0; shift -= 4)
			*at++ = digits[order_bytes(point, cells[i]) >> shift & 0xf];
	*at = '\0';
	*ret = (struct value){ .kind = VALUE_TEXT, .text = text };
	return 0;
}

int
codec_compare(const struct value *number, double limit)
{
	double real = 0;
	struct whole whole, bound, rest;

	value_number(number, &real);
	if (real != limit)
		return real < limit ? -1 : 1;
	if (!whole_of_value(number, &whole))
		return 0;
	/* The double nearest to it is the limit: 2^64 itself, or a number that can be taken away. */
	if (!whole_of_real(-limit, &bound) || !whole_add(whole, bound, &rest))
		return whole.negative ? 1 : -1;
	return rest.negative ? -1 : rest.magnitude > 0;
}

/* Do the cells say that there is no value? */
static bool
is_invalid(const struct point *point, const uint16_t *cells)
{
	uint64_t raw;

	if (point->invalid_count == 0 || codec_raw_width(point) == 0)
		return false;
	raw = gather(point, cells);
	for (size_t i = 0; i < point->invalid_count; i++)
		if (((uint64_t)point->invalid[i] & raw_mask(point)) == raw)
			return true;
	return false;
}

/* Is it within valid_min and valid_max? A label is judged as its number is. */
static RARE bool
is_within(const struct point *point, const struct value *value)
{
	const struct enum_label *label =
	    value->kind == VALUE_LABEL ? codec_label_called(point, value->label) : NULL;
	struct value number = *value;

	if (label && codec_scale(point, whole_of_int(label->number), &number) < 0)
		return false;
	return !codec_is_number(&number) ||
	       ((!point->has_valid_min || codec_compare(&number, point->valid_min) >= 0) &&
		   (!point->has_valid_max || codec_compare(&number, point->valid_max) <= 0));
}

static bool
is_plausible(const struct point *point, const struct value *value)
{
	return (!point->has_valid_min && !point->has_valid_max) || is_within(point, value);
}

/* If one of them is no value, there is none. */
static RARE int
decode_list(const struct point *point, const uint16_t *cells, struct value *ret)
{
	struct point element = codec_element_of(point);
	struct value value = { .kind = VALUE_LIST, .list = value_list_new((size_t)point->array) };
	int error = value.list ? 0 : -ENOMEM;

	for (int i = 0; !error && i < point->array; i++)
		error = codec_decode(&element, cells + i * element.count, &value.list->items[i]);
	if (!error)
		*ret = value;
	else if (value.list)
		value_done(&value);
	return error;
}

static int
decode_one(const struct point *point, const uint16_t *cells, struct value *ret)
{
	int error = is_invalid(point, cells) ? -ENODATA : codec_rows[point->type].decode(point, cells, ret);

	if (error == 0 && !is_plausible(point, ret)) {
		value_done(ret);
		error = -ENODATA;
	}
	return error;
}

int
codec_decode(const struct point *point, const uint16_t *cells, struct value *ret)
{
	return point->array > 0 ? decode_list(point, cells, ret) : decode_one(point, cells, ret);
}

/* The double nearest to the number. Returns false if it is too large for one. */
static bool
decimal_real(const struct codec_decimal *number, double *ret)
{
	char text[64];

	/* No decimal point is in this text, so that no locale has a say. */
	snprintf(text, sizeof(text), "%s%" PRIu64 "e%d", number->negative ? "-" : "", number->magnitude,
	    -number->decimals);
	*ret = strtod(text, NULL);
	return isfinite(*ret);
}

/* Returns false if it has a fraction, or more than 64 bits. */
static bool
decimal_whole(const struct codec_decimal *number, struct whole *ret)
{
	struct whole whole = { .magnitude = number->magnitude };
	int decimals = number->decimals;

	for (; decimals > 0 && whole.magnitude % 10 == 0 && whole.magnitude > 0; decimals--)
		whole.magnitude /= 10;
	for (; decimals < 0 && whole.magnitude > 0; decimals++)
		if (__builtin_mul_overflow(whole.magnitude, 10, &whole.magnitude))
			return false;
	whole.negative = number->negative && whole.magnitude > 0;
	*ret = whole;
	return decimals <= 0 || whole.magnitude == 0;
}

static bool
is_invalid_whole(const struct point *point, struct whole whole)
{
	for (size_t i = 0; i < point->invalid_count; i++) {
		struct whole invalid = whole_of_int(point->invalid[i]);

		if (invalid.negative == whole.negative && invalid.magnitude == whole.magnitude)
			return true;
	}
	return false;
}

/* Decimals that show the number with scale and offset exactly. */
static int
decimals_of_text(const struct point *point, const struct codec_decimal *number)
{
	int of_scale = codec_decimals_of(point->scale), of_offset = codec_decimals_of(point->offset);
	int decimals = number->decimals > 0 ? number->decimals : 0;

	if (point->decimals != DECIMALS_TEXT)
		return point->decimals;
	if (of_scale < 0 || of_offset < 0 || decimals + of_scale > DECIMALS_MAX)
		return DECIMALS_DOUBLE;
	return decimals + of_scale > of_offset ? decimals + of_scale : of_offset;
}

int
codec_decode_decimal(const struct point *point, const struct codec_decimal *number, struct value *ret)
{
	struct point as_text = *point;
	struct whole whole;
	struct value value;
	double real;
	bool is_whole = decimal_whole(number, &whole);
	int error;

	as_text.decimals = decimals_of_text(point, number);
	if (is_whole && is_invalid_whole(point, whole))
		return -ENODATA;
	if (is_whole && (number->decimals <= 0 || codec_label_numbered(point, whole)))
		error = decode_whole(&as_text, whole, &value);
	else if (decimal_real(number, &real))
		error = real_to_value(&as_text, real * point->scale + point->offset, &value);
	else
		error = -ERANGE;
	if (error == 0 && !is_plausible(point, &value))
		error = -ENODATA;
	if (error == 0)
		*ret = value;
	return error;
}
