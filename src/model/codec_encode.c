#include "model/codec_parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "model/half.h"

static enum codec_fault
check_bounds(const struct point *point, const struct value *number)
{
	if (point->has_min && codec_compare(number, point->min) < 0)
		return CODEC_BELOW_MIN;
	if (point->has_max && codec_compare(number, point->max) > 0)
		return CODEC_ABOVE_MAX;
	return CODEC_OK;
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

/* The raw value of the label that `text` is. A label cannot be used to get past min and max. */
static enum codec_fault
unlabel(const struct point *point, const char *text, struct whole *ret)
{
	const struct enum_label *label = codec_label_called(point, text);
	struct value number;

	if (point->label_count == 0)
		return CODEC_WRONG_TYPE;
	if (!label)
		return CODEC_NO_LABEL;
	*ret = whole_of_int(label->number);
	if (codec_scale(point, *ret, &number) < 0)
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
	if (!codec_is_number(value))
		return CODEC_WRONG_TYPE;
	fault = check_bounds(point, value);
	if (fault != CODEC_OK)
		return fault;
	/* Of an enum nothing between the labels is meant, so nothing is rounded to one of them. */
	if (point->label_count > 0 && trunc(point->scale) == point->scale && !whole_of_value(value, &whole))
		return CODEC_NO_LABEL;
	if (!unscale_number(point, value, ret))
		return CODEC_NO_FIT;
	return point->label_count > 0 && !codec_label_numbered(point, *ret) ? CODEC_NO_LABEL : CODEC_OK;
}

enum codec_fault
codec_encode_unsigned(const struct point *point, const struct value *value, uint16_t *cells)
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

enum codec_fault
codec_encode_signed(const struct point *point, const struct value *value, uint16_t *cells)
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

enum codec_fault
codec_encode_bool(const struct point *point, const struct value *value, uint16_t *cells)
{
	const char *text = value_text(value);
	const struct enum_label *label = text ? codec_label_called(point, text) : NULL;
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

	if (!codec_is_number(value) || !value_number(value, &real))
		return CODEC_WRONG_TYPE;
	fault = check_bounds(point, value);
	if (fault == CODEC_OK)
		*ret = (real - point->offset) / point->scale;
	return fault;
}

enum codec_fault
codec_encode_float32(const struct point *point, const struct value *value, uint16_t *cells)
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

enum codec_fault
codec_encode_float64(const struct point *point, const struct value *value, uint16_t *cells)
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

enum codec_fault
codec_encode_float16(const struct point *point, const struct value *value, uint16_t *cells)
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

enum codec_fault
codec_encode_bcd(const struct point *point, const struct value *value, uint16_t *cells)
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

enum codec_fault
codec_encode_string(const struct point *point, const struct value *value, uint16_t *cells)
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

enum codec_fault
codec_encode_bytes(const struct point *point, const struct value *value, uint16_t *cells)
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

static enum codec_fault
encode_list(const struct point *point, const struct value *value, uint16_t *cells)
{
	struct point element = codec_element_of(point);
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

enum codec_fault
codec_encode(const struct point *point, const struct value *value, uint16_t *cells)
{
	if (!point->writable || !point_table_writable(point->table))
		return CODEC_NOT_WRITABLE;
	if (point->array > 0)
		return encode_list(point, value, cells);
	return codec_rows[point->type].encode(point, value, cells);
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
