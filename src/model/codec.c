#include "model/codec.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rare.h"
#include "base/utf8.h"
#include "model/half.h"

/* The first numbers that the 64-bit types do not hold: converting those or larger ones is undefined. */
#define INT64_END  0x1p63
#define UINT64_END 0x1p64

/* Without it ThingsBoard would take a text of decimal digits for a number. */
#define HEX_PREFIX "0x"
#define HEX_DIGITS 4 /* a register */

/* Beyond so many, decimals of a scale are taken for the digits of a fraction such as 1/3. */
#define SCALE_DECIMALS_MAX 9

/* What must be undone, in this order. */
static const struct {
	bool bytes_swapped;
	bool words_reversed;
	int words_exchanged; /* each with that one whose place differs in this bit, of four words */
} orders[] = {
	[ORDER_ABCD] = { .words_reversed = false },
	[ORDER_CDAB] = { .words_reversed = true },
	[ORDER_BADC] = { .bytes_swapped = true },
	[ORDER_DCBA] = { .words_reversed = true, .bytes_swapped = true },
	[ORDER_CDABGHEF] = { .words_exchanged = 1 },
	[ORDER_EFGHABCD] = { .words_exchanged = 2 },
};

/* A whole number of -(2^64-1)..2^64-1. The raw values of int64 and uint64 have no C type in common, and
 * 32-bit machines have no wider one. Zero is not negative. */
struct whole {
	bool negative;
	uint64_t magnitude;
};

static struct whole
whole_of_int(int64_t number)
{
	return (struct whole){
		.negative = number < 0,
		.magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number,
	};
}

/* Returns false if `real` has a fraction or is too large. */
static bool
whole_of_real(double real, struct whole *ret)
{
	if (!(fabs(real) < UINT64_END) || trunc(real) != real)
		return false;
	ret->negative = real < 0;
	ret->magnitude = (uint64_t)fabs(real);
	return true;
}

static double
whole_real(struct whole whole)
{
	return whole.negative ? -(double)whole.magnitude : (double)whole.magnitude;
}

/* Two's complement of as many bits as the caller takes. */
static uint64_t
whole_bits(struct whole whole)
{
	return whole.negative ? 0 - whole.magnitude : whole.magnitude;
}

static bool
whole_fits_int(struct whole whole, int width)
{
	uint64_t least = (uint64_t)1 << (width - 1);

	return whole.negative ? whole.magnitude <= least : whole.magnitude < least;
}

static bool
whole_fits_uint(struct whole whole, int width)
{
	return !whole.negative && (width >= 64 || whole.magnitude >> width == 0);
}

static bool
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

static bool
whole_multiply(struct whole a, struct whole b, struct whole *ret)
{
	struct whole product;

	if (__builtin_mul_overflow(a.magnitude, b.magnitude, &product.magnitude))
		return false;
	product.negative = a.negative != b.negative && product.magnitude > 0;
	*ret = product;
	return true;
}

/* To the nearest, half away from zero. `by` is not 0. */
static struct whole
whole_divide(struct whole whole, struct whole by)
{
	struct whole quotient = { .magnitude = whole.magnitude / by.magnitude };
	uint64_t rest = whole.magnitude % by.magnitude;

	if (rest >= by.magnitude - rest)
		quotient.magnitude++;
	quotient.negative = whole.negative != by.negative && quotient.magnitude > 0;
	return quotient;
}

/* Returns false if it fits neither int64 nor uint64. */
static bool
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

/* Returns false for what is no whole number. */
static bool
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

/* A register with its bytes as the point orders them; its own inverse. */
static uint16_t
order_bytes(const struct point *point, uint16_t cell)
{
	if (!orders[point->order].bytes_swapped)
		return cell;
	return (uint16_t)(cell << 8 | cell >> 8);
}

/* Where the register stands that is the `rank`-th from the least significant one. */
static int
word_index(const struct point *point, int rank)
{
	int index = orders[point->order].words_reversed ? rank : point->count - 1 - rank;

	return point->count == 4 ? index ^ orders[point->order].words_exchanged : index;
}

/* All bits of the cells; of coils, the one at the lowest address is the least significant. */
static uint64_t
gather_all(const struct point *point, const uint16_t *cells)
{
	uint64_t raw = 0;

	if (point->count == 1)
		return point_table_has_bits(point->table) ? cells[0] != 0 : order_bytes(point, cells[0]);
	if (point_table_has_bits(point->table)) {
		for (int i = point->count; i-- > 0;)
			raw = raw << 1 | (cells[i] != 0);
	} else {
		for (int rank = point->count; rank-- > 0;)
			raw = raw << 16 | order_bytes(point, cells[word_index(point, rank)]);
	}
	return raw;
}

static void
scatter_all(const struct point *point, uint64_t raw, uint16_t *cells)
{
	if (point_table_has_bits(point->table)) {
		for (int i = 0; i < point->count; i++, raw >>= 1)
			cells[i] = raw & 1;
	} else {
		for (int rank = 0; rank < point->count; rank++, raw >>= 16)
			cells[word_index(point, rank)] = order_bytes(point, (uint16_t)raw);
	}
}

static bool
is_field(const struct point *point)
{
	return point->bit != POINT_NO_BIT && !point_table_has_bits(point->table);
}

static int
raw_width(const struct point *point)
{
	int cells = point->array > 0 ? point->count / point->array : point->count;
	int width = point_table_has_bits(point->table) ? cells : cells * 16;

	if (is_field(point))
		width = point->bits > 0 ? point->bits : 1;
	return width < 64 ? width : 64;
}

static uint64_t
raw_mask(const struct point *point)
{
	return UINT64_MAX >> (64 - raw_width(point));
}

/* The raw value: what the cells hold, or a field of it. */
static uint64_t
gather(const struct point *point, const uint16_t *cells)
{
	uint64_t all = gather_all(point, cells);

	return is_field(point) ? all >> point->bit & raw_mask(point) : all;
}

/* The bits beside a field stay what they are in the cells. */
static void
scatter(const struct point *point, uint64_t raw, uint16_t *cells)
{
	if (is_field(point)) {
		uint64_t mask = raw_mask(point) << point->bit;

		raw = (gather_all(point, cells) & ~mask) | (raw << point->bit & mask);
	}
	scatter_all(point, raw, cells);
}

static RARE const struct enum_label *
find_label(const struct point *point, struct whole raw)
{
	if (!whole_fits_int(raw, 64))
		return NULL;
	for (size_t i = 0; i < point->label_count; i++)
		if (point->labels[i].number == (int64_t)whole_bits(raw))
			return &point->labels[i];
	return NULL;
}

static const struct enum_label *
label_numbered(const struct point *point, struct whole raw)
{
	return point->label_count > 0 ? find_label(point, raw) : NULL;
}

static const struct enum_label *
label_called(const struct point *point, const char *text)
{
	for (size_t i = 0; i < point->label_count; i++)
		if (strcmp(point->labels[i].label, text) == 0)
			return &point->labels[i];
	return NULL;
}

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

/* raw * scale + offset, exactly if these are whole and 64 bits are enough for product and sum. */
static RARE int
scale_raw(const struct point *point, struct whole raw, struct value *ret)
{
	struct whole scale, offset, result;

	if (whole_of_real(point->scale, &scale) && whole_of_real(point->offset, &offset) &&
	    whole_multiply(raw, scale, &result) && whole_add(result, offset, &result) &&
	    whole_to_value(result, ret))
		return 0;
	return real_to_value(point, whole_real(raw) * point->scale + point->offset, ret);
}

/* The inverse: the nearest raw value. Returns false if 64 bits do not hold it. */
static bool
unscale_number(const struct point *point, const struct value *number, struct whole *ret)
{
	struct whole scale, offset, whole;
	double real;

	if (whole_of_real(point->scale, &scale) && whole_of_real(-point->offset, &offset) &&
	    whole_of_value(number, &whole) && whole_add(whole, offset, &whole)) {
		*ret = whole_divide(whole, scale);
		return true;
	}
	return value_number(number, &real) &&
	       whole_of_real(round((real - point->offset) / point->scale), ret);
}

static int
decode_whole(const struct point *point, struct whole raw, struct value *ret)
{
	const struct enum_label *label = label_numbered(point, raw);

	if (!label && point->scale == 1 && point->offset == 0 && whole_to_value(raw, ret))
		return 0;
	if (!label)
		return scale_raw(point, raw, ret);
	*ret = (struct value){ .kind = VALUE_LABEL, .label = label->label };
	return 0;
}

static int
decode_unsigned(const struct point *point, const uint16_t *cells, struct value *ret)
{
	return decode_whole(point, (struct whole){ .magnitude = gather(point, cells) }, ret);
}

static int
decode_signed(const struct point *point, const uint16_t *cells, struct value *ret)
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

static int
decode_bool(const struct point *point, const uint16_t *cells, struct value *ret)
{
	bool on = gather(point, cells) != 0;
	const struct enum_label *label = label_numbered(point, (struct whole){ .magnitude = on });

	if (label)
		*ret = (struct value){ .kind = VALUE_LABEL, .label = label->label };
	else
		*ret = (struct value){ .kind = VALUE_BOOL, .boolean = on };
	return 0;
}

static int
decode_float32(const struct point *point, const uint16_t *cells, struct value *ret)
{
	uint32_t raw = (uint32_t)gather(point, cells);
	float real;

	memcpy(&real, &raw, sizeof(real));
	return real_to_value(point, (double)real * point->scale + point->offset, ret);
}

static int
decode_float64(const struct point *point, const uint16_t *cells, struct value *ret)
{
	uint64_t raw = gather(point, cells);
	double real;

	memcpy(&real, &raw, sizeof(real));
	return real_to_value(point, real * point->scale + point->offset, ret);
}

static int
decode_float16(const struct point *point, const uint16_t *cells, struct value *ret)
{
	double real = half_to_real((uint16_t)gather(point, cells));

	return real_to_value(point, real * point->scale + point->offset, ret);
}

static int
decode_bcd(const struct point *point, const uint16_t *cells, struct value *ret)
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

static int
chars_per_register(const struct point *point)
{
	return point->chars == 1 ? 1 : 2;
}

static size_t
text_size(const struct point *point)
{
	return (size_t)point->count * (size_t)chars_per_register(point);
}

/* The text ends at the first NUL, or FF as erased memory has it. The spaces that fill up many a device's
 * names are no part of them. */
static int
decode_string(const struct point *point, const uint16_t *cells, struct value *ret)
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

static int
decode_bytes(const struct point *point, const uint16_t *cells, struct value *ret)
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

/* Below, at or above the limit: negative, 0, positive. Exact also for whole numbers that no double holds. */
static int
compare_number(const struct value *number, double limit)
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

static enum codec_fault
check_bounds(const struct point *point, const struct value *number)
{
	if (point->has_min && compare_number(number, point->min) < 0)
		return CODEC_BELOW_MIN;
	if (point->has_max && compare_number(number, point->max) > 0)
		return CODEC_ABOVE_MAX;
	return CODEC_OK;
}

static bool
is_number(const struct value *value)
{
	return value->kind == VALUE_INT || value->kind == VALUE_UINT ||
	       (value->kind == VALUE_REAL && isfinite(value->real));
}

/* The raw value of the label that `text` is. A label cannot be used to get past min and max. */
static enum codec_fault
unlabel(const struct point *point, const char *text, struct whole *ret)
{
	const struct enum_label *label = label_called(point, text);
	struct value number;

	if (point->label_count == 0)
		return CODEC_WRONG_TYPE;
	if (!label)
		return CODEC_NO_LABEL;
	*ret = whole_of_int(label->number);
	if (scale_raw(point, *ret, &number) < 0)
		return CODEC_NO_FIT;
	return check_bounds(point, &number);
}

static enum codec_fault
wanted_whole(const struct point *point, const struct value *value, struct whole *ret)
{
	const char *text = value_text(value);
	struct whole whole;
	enum codec_fault fault;

	if (text)
		return unlabel(point, text, ret);
	if (!is_number(value))
		return CODEC_WRONG_TYPE;
	fault = check_bounds(point, value);
	if (fault != CODEC_OK)
		return fault;
	/* Of an enum nothing between the labels is meant, so nothing is rounded to one of them. */
	if (point->label_count > 0 && trunc(point->scale) == point->scale && !whole_of_value(value, &whole))
		return CODEC_NO_LABEL;
	if (!unscale_number(point, value, ret))
		return CODEC_NO_FIT;
	return point->label_count > 0 && !label_numbered(point, *ret) ? CODEC_NO_LABEL : CODEC_OK;
}

static enum codec_fault
encode_unsigned(const struct point *point, const struct value *value, uint16_t *cells)
{
	struct whole raw;
	enum codec_fault fault = wanted_whole(point, value, &raw);

	if (fault != CODEC_OK)
		return fault;
	if (!whole_fits_uint(raw, raw_width(point)))
		return CODEC_NO_FIT;
	scatter(point, raw.magnitude, cells);
	return CODEC_OK;
}

static enum codec_fault
encode_signed(const struct point *point, const struct value *value, uint16_t *cells)
{
	struct whole raw;
	enum codec_fault fault = wanted_whole(point, value, &raw);

	if (fault != CODEC_OK)
		return fault;
	if (!whole_fits_int(raw, raw_width(point)))
		return CODEC_NO_FIT;
	scatter(point, whole_bits(raw), cells);
	return CODEC_OK;
}

static enum codec_fault
encode_bool(const struct point *point, const struct value *value, uint16_t *cells)
{
	const char *text = value_text(value);
	const struct enum_label *label = text ? label_called(point, text) : NULL;
	double number;

	if (label)
		number = (double)label->number;
	else if (text)
		return point->label_count > 0 ? CODEC_NO_LABEL : CODEC_WRONG_TYPE;
	else if (!value_number(value, &number) || isnan(number))
		return CODEC_WRONG_TYPE;
	if (number != 0 && number != 1)
		return CODEC_NO_FIT;
	scatter(point, (uint64_t)number, cells);
	return CODEC_OK;
}

static enum codec_fault
wanted_real(const struct point *point, const struct value *value, double *ret)
{
	double real;
	enum codec_fault fault;

	if (!is_number(value) || !value_number(value, &real))
		return CODEC_WRONG_TYPE;
	fault = check_bounds(point, value);
	if (fault == CODEC_OK)
		*ret = (real - point->offset) / point->scale;
	return fault;
}

static enum codec_fault
encode_float32(const struct point *point, const struct value *value, uint16_t *cells)
{
	double real;
	float single;
	uint32_t raw;
	enum codec_fault fault = wanted_real(point, value, &real);

	if (fault != CODEC_OK)
		return fault;
	single = (float)real;
	if (!isfinite(single))
		return CODEC_NO_FIT;
	memcpy(&raw, &single, sizeof(raw));
	scatter(point, raw, cells);
	return CODEC_OK;
}

static enum codec_fault
encode_float64(const struct point *point, const struct value *value, uint16_t *cells)
{
	double real;
	uint64_t raw;
	enum codec_fault fault = wanted_real(point, value, &real);

	if (fault != CODEC_OK)
		return fault;
	if (!isfinite(real))
		return CODEC_NO_FIT;
	memcpy(&raw, &real, sizeof(raw));
	scatter(point, raw, cells);
	return CODEC_OK;
}

static enum codec_fault
encode_float16(const struct point *point, const struct value *value, uint16_t *cells)
{
	double real;
	uint16_t half;
	enum codec_fault fault = wanted_real(point, value, &real);

	if (fault != CODEC_OK)
		return fault;
	half = half_of_real(real);
	if (!isfinite(half_to_real(half)))
		return CODEC_NO_FIT;
	scatter(point, half, cells);
	return CODEC_OK;
}

static enum codec_fault
encode_bcd(const struct point *point, const struct value *value, uint16_t *cells)
{
	struct whole whole;
	uint64_t raw = 0;
	enum codec_fault fault = wanted_whole(point, value, &whole);

	if (fault != CODEC_OK)
		return fault;
	for (int shift = 0; shift < raw_width(point); shift += 4, whole.magnitude /= 10)
		raw |= whole.magnitude % 10 << shift;
	if (whole.negative || whole.magnitude > 0)
		return CODEC_NO_FIT;
	scatter(point, raw, cells);
	return CODEC_OK;
}

static enum codec_fault
encode_string(const struct point *point, const struct value *value, uint16_t *cells)
{
	const char *text = value_text(value), *end;

	if (!text)
		return CODEC_WRONG_TYPE;
	if (strlen(text) > text_size(point))
		return CODEC_TOO_LONG;
	end = text + strlen(text);
	for (int i = 0; i < point->count; i++) {
		uint16_t pair = 0;

		for (int n = 0; n < chars_per_register(point); n++)
			pair = (uint16_t)(pair << 8 | (text < end ? (unsigned char)*text++ : 0));
		cells[i] = order_bytes(point, pair);
	}
	return CODEC_OK;
}

static int
hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit = (char)(digit | 0x20);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static enum codec_fault
encode_bytes(const struct point *point, const struct value *value, uint16_t *cells)
{
	const char *text = value_text(value);
	size_t digits = (size_t)point->count * HEX_DIGITS;

	if (!text || strncmp(text, HEX_PREFIX, strlen(HEX_PREFIX)) != 0)
		return CODEC_WRONG_TYPE;
	text += strlen(HEX_PREFIX);
	if (strlen(text) != digits)
		return CODEC_WRONG_TYPE;
	for (size_t i = 0; i < digits; i++)
		if (hex_digit(text[i]) < 0)
			return CODEC_WRONG_TYPE;
	for (int i = 0; i < point->count; i++) {
		uint16_t pair = 0;

		for (int n = 0; n < HEX_DIGITS; n++)
			pair = (uint16_t)(pair << 4 | hex_digit(*text++));
		cells[i] = order_bytes(point, pair);
	}
	return CODEC_OK;
}

/* A type is a row. */
static const struct {
	struct codec_type type;
	int (*decode)(const struct point *point, const uint16_t *cells, struct value *ret);
	enum codec_fault (*encode)(const struct point *point, const struct value *value, uint16_t *cells);
} rows[TYPE_COUNT] = {
	[TYPE_BOOL] = {
		.type = {
			.name = "bool",
			.type = TYPE_BOOL,
			.registers = 1,
			.bits = 1,
			.about = "one coil or discrete input, one bit of a register, or a register that is not 0",
		},
		.decode = decode_bool,
		.encode = encode_bool,
	},
	[TYPE_INT8] = {
		.type = {
			.name = "int8",
			.type = TYPE_INT8,
			.registers = 1,
			.bits = 8,
			.is_signed = true,
			.scalable = true,
			.about = "whole number -128..127, in the low or the high byte of a register",
		},
		.decode = decode_signed,
		.encode = encode_signed,
	},
	[TYPE_UINT8] = {
		.type = {
			.name = "uint8",
			.type = TYPE_UINT8,
			.registers = 1,
			.bits = 8,
			.scalable = true,
			.about = "whole number 0..255, in the low or the high byte of a register",
		},
		.decode = decode_unsigned,
		.encode = encode_unsigned,
	},
	[TYPE_INT16] = {
		.type = {
			.name = "int16",
			.type = TYPE_INT16,
			.registers = 1,
			.bits = 16,
			.is_signed = true,
			.scalable = true,
			.about = "whole number -32768..32767",
		},
		.decode = decode_signed,
		.encode = encode_signed,
	},
	[TYPE_UINT16] = {
		.type = {
			.name = "uint16",
			.type = TYPE_UINT16,
			.registers = 1,
			.bits = 16,
			.scalable = true,
			.about = "whole number 0..65535",
		},
		.decode = decode_unsigned,
		.encode = encode_unsigned,
	},
	[TYPE_INT32] = {
		.type = {
			.name = "int32",
			.type = TYPE_INT32,
			.registers = 2,
			.bits = 32,
			.is_signed = true,
			.scalable = true,
			.about = "whole number -2147483648..2147483647",
		},
		.decode = decode_signed,
		.encode = encode_signed,
	},
	[TYPE_UINT32] = {
		.type = {
			.name = "uint32",
			.type = TYPE_UINT32,
			.registers = 2,
			.bits = 32,
			.scalable = true,
			.about = "whole number 0..4294967295",
		},
		.decode = decode_unsigned,
		.encode = encode_unsigned,
	},
	[TYPE_INT64] = {
		.type = {
			.name = "int64",
			.type = TYPE_INT64,
			.registers = 4,
			.bits = 64,
			.is_signed = true,
			.scalable = true,
			.about = "whole number -2^63..2^63-1",
		},
		.decode = decode_signed,
		.encode = encode_signed,
	},
	[TYPE_UINT64] = {
		.type = {
			.name = "uint64",
			.type = TYPE_UINT64,
			.registers = 4,
			.bits = 64,
			.scalable = true,
			.about = "whole number 0..2^64-1",
		},
		.decode = decode_unsigned,
		.encode = encode_unsigned,
	},
	[TYPE_BCD16] = {
		.type = {
			.name = "bcd16",
			.type = TYPE_BCD16,
			.registers = 1,
			.scalable = true,
			.about = "whole number 0..9999, each decimal digit in four bits",
		},
		.decode = decode_bcd,
		.encode = encode_bcd,
	},
	[TYPE_BCD32] = {
		.type = {
			.name = "bcd32",
			.type = TYPE_BCD32,
			.registers = 2,
			.scalable = true,
			.about = "whole number 0..99999999, each decimal digit in four bits",
		},
		.decode = decode_bcd,
		.encode = encode_bcd,
	},
	[TYPE_FLOAT16] = {
		.type = {
			.name = "float16",
			.type = TYPE_FLOAT16,
			.registers = 1,
			.scalable = true,
			.about = "IEEE 754 half precision",
		},
		.decode = decode_float16,
		.encode = encode_float16,
	},
	[TYPE_FLOAT32] = {
		.type = {
			.name = "float32",
			.type = TYPE_FLOAT32,
			.registers = 2,
			.scalable = true,
			.about = "IEEE 754 single precision",
		},
		.decode = decode_float32,
		.encode = encode_float32,
	},
	[TYPE_FLOAT64] = {
		.type = {
			.name = "float64",
			.type = TYPE_FLOAT64,
			.registers = 4,
			.scalable = true,
			.about = "IEEE 754 double precision",
		},
		.decode = decode_float64,
		.encode = encode_float64,
	},
	[TYPE_STRING] = {
		.type = {
			.name = "string",
			.type = TYPE_STRING,
			.about = "UTF-8 text, two bytes or one a register, up to the first NUL or FF, without trailing spaces",
		},
		.decode = decode_string,
		.encode = encode_string,
	},
	[TYPE_BYTES] = {
		.type = {
			.name = "bytes",
			.type = TYPE_BYTES,
			.about = "text of 0x and hexadecimal digits, four a register, whatever the registers hold",
		},
		.decode = decode_bytes,
		.encode = encode_bytes,
	},
};

const struct codec_type *
codec_type(enum point_type type)
{
	return &rows[type].type;
}

const struct codec_type *
codec_type_find(const char *name)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (strcmp(rows[i].type.name, name) == 0)
			return &rows[i].type;
	return NULL;
}

int
codec_raw_width(const struct point *point)
{
	return codec_type(point->type)->registers > 0 ? raw_width(point) : 0;
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
	    value->kind == VALUE_LABEL ? label_called(point, value->label) : NULL;
	struct value number = *value;

	if (label && scale_raw(point, whole_of_int(label->number), &number) < 0)
		return false;
	return !is_number(&number) ||
	       ((!point->has_valid_min || compare_number(&number, point->valid_min) >= 0) &&
		   (!point->has_valid_max || compare_number(&number, point->valid_max) <= 0));
}

static bool
is_plausible(const struct point *point, const struct value *value)
{
	return (!point->has_valid_min && !point->has_valid_max) || is_within(point, value);
}

/* One of a point's numbers, as if it were a point by itself. */
static struct point
element_of(const struct point *point)
{
	struct point element = *point;

	element.count = point->count / point->array;
	element.array = 0;
	return element;
}

/* If one of them is no value, there is none. */
static RARE int
decode_list(const struct point *point, const uint16_t *cells, struct value *ret)
{
	struct point element = element_of(point);
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

static enum codec_fault
encode_list(const struct point *point, const struct value *value, uint16_t *cells)
{
	struct point element = element_of(point);
	uint16_t wanted[MODBUS_MAX_READ_REGISTERS];
	enum codec_fault fault = CODEC_OK;

	if (value->kind != VALUE_LIST || value->list->count != (size_t)point->array)
		return CODEC_WRONG_TYPE;
	for (int i = 0; fault == CODEC_OK && i < point->array; i++)
		fault = codec_encode(&element, &value->list->items[i], wanted + i * element.count);
	if (fault == CODEC_OK)
		memcpy(cells, wanted, (size_t)point->count * sizeof(*cells));
	return fault;
}

static int
decode_one(const struct point *point, const uint16_t *cells, struct value *ret)
{
	int error = is_invalid(point, cells) ? -ENODATA : rows[point->type].decode(point, cells, ret);

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

/* Decimals of the shortest decimal number that reads as `number`; -1 if they are more than
 * SCALE_DECIMALS_MAX. */
static int
decimals_of(double number)
{
	double power = 1;

	for (int decimals = 0; decimals <= SCALE_DECIMALS_MAX; decimals++, power *= 10)
		if (round(number * power) / power == number)
			return decimals;
	return -1;
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
	int of_scale = decimals_of(point->scale), of_offset = decimals_of(point->offset);
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
	if (is_whole && (number->decimals <= 0 || label_numbered(point, whole)))
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

enum codec_fault
codec_encode(const struct point *point, const struct value *value, uint16_t *cells)
{
	if (!point->writable || !point_table_writable(point->table))
		return CODEC_NOT_WRITABLE;
	if (point->array > 0)
		return encode_list(point, value, cells);
	return rows[point->type].encode(point, value, cells);
}

struct point
codec_unguarded(const struct point *point)
{
	struct point unguarded = *point;

	unguarded.table = point_table_has_bits(point->table) ? TABLE_COIL : TABLE_HOLDING;
	unguarded.writable = true;
	unguarded.has_min = unguarded.has_max = false;
	return unguarded;
}

bool
codec_needs_current(const struct point *point)
{
	return is_field(point) && raw_width(point) < point->count * 16;
}

/* As many labels as there is room for, none cut in two. */
static void
list_labels(const struct point *point, char *text, size_t size)
{
	static const char head[] = "is no label of the enum (", more[] = ", ...)";
	size_t used = sizeof(head) - 1;

	snprintf(text, size, "%s", head);
	for (size_t i = 0; i < point->label_count; i++) {
		const char *comma = i > 0 ? ", " : "";
		size_t length = strlen(comma) + strlen(point->labels[i].label);

		if (used + length + sizeof(more) > size) {
			snprintf(text + (used < size ? used : size - 1), used < size ? size - used : 1, "%s",
			    i > 0 ? more : "...)");
			return;
		}
		snprintf(text + used, size - used, "%s%s", comma, point->labels[i].label);
		used += length;
	}
	if (used < size)
		snprintf(text + used, size - used, ")");
}

static const char *
wrong_type_text(const struct point *point)
{
	if (point->type == TYPE_BOOL)
		return "is neither true nor false";
	return codec_type(point->type)->registers == 0 ? "is not a text" : "is not a number";
}

void
codec_fault_text(const struct point *point, enum codec_fault fault, char *text, size_t size)
{
	if (size == 0)
		return;
	switch (fault) {
	case CODEC_OK:
		snprintf(text, size, "can be written");
		break;
	case CODEC_NOT_WRITABLE:
		snprintf(text, size, "cannot be written: the point is not writable");
		break;
	case CODEC_WRONG_TYPE:
		if (point->array > 0)
			snprintf(text, size, "is not an array of %d numbers", point->array);
		else if (point->type == TYPE_BYTES)
			snprintf(text, size, "is not a text of 0x and %d hexadecimal digits",
			    point->count * HEX_DIGITS);
		else
			snprintf(text, size, "%s", wrong_type_text(point));
		break;
	case CODEC_NO_LABEL:
		list_labels(point, text, size);
		break;
	case CODEC_BELOW_MIN:
		snprintf(text, size, "is below the minimum %.15g", point->min);
		break;
	case CODEC_ABOVE_MAX:
		snprintf(text, size, "is above the maximum %.15g", point->max);
		break;
	case CODEC_NO_FIT:
		if (point->type == TYPE_BOOL)
			snprintf(text, size, "%s", wrong_type_text(point));
		else if (point_table_has_bits(point->table))
			snprintf(text, size, "does not fit into %d coils", point->count);
		else if (is_field(point) && raw_width(point) != codec_type(point->type)->bits)
			snprintf(text, size, "does not fit into %d bits", raw_width(point));
		else
			snprintf(text, size, "does not fit into %s", codec_type(point->type)->name);
		break;
	case CODEC_TOO_LONG:
		if (point->command)
			snprintf(text, size, "is too long");
		else
			snprintf(text, size, "is longer than %zu bytes", text_size(point));
		break;
	case CODEC_UNSAFE:
		snprintf(text, size, "has a character that cannot be sent");
		break;
	}
}

int
codec_default_decimals(enum point_type type, double scale, double offset)
{
	int of_scale, of_offset;

	if (type == TYPE_FLOAT16)
		return DECIMALS_HALF;
	if (type == TYPE_FLOAT32)
		return DECIMALS_SINGLE;
	if (type == TYPE_FLOAT64)
		return DECIMALS_DOUBLE;
	of_scale = decimals_of(scale);
	of_offset = decimals_of(offset);
	if (of_scale < 0 || of_offset < 0)
		return DECIMALS_DOUBLE;
	return of_scale > of_offset ? of_scale : of_offset;
}
