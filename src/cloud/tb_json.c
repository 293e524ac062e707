#include "cloud/tb_json.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rare.h"
#include "base/utf8.h"
#include "model/half.h"

/* Up to here a double is exact to the unit and arithmetic on it can be trusted. */
#define EXACT_END 0x1p53

/* Digits are enough to tell any two reals of the width apart from this many on, and always from that many on.
 */
#define SINGLE_DIGITS_MIN FLT_DIG
#define SINGLE_DIGITS_MAX FLT_DECIMAL_DIG
#define DOUBLE_DIGITS_MIN DBL_DIG
#define DOUBLE_DIGITS_MAX DBL_DECIMAL_DIG

#define LIST_MAX MODBUS_MAX_WRITE_BITS /* no list that can be written is longer */

#define UINT64_DIGITS 20
#define DIGITS_MAX    24 /* of a 64-bit number or a %e, and to spare */

/* The largest document that is parsed; nothing larger fits into a packet of the server. */
#define DOCUMENT_MAX 65536
#define DEPTH_MAX    16

static const double powers[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
	1e14, 1e15, 1e16 };

/* Copy what is finished. Returns its length or -EMSGSIZE. */
static int
put(const char *from, size_t length, char *text, size_t size)
{
	if (length > size)
		return -EMSGSIZE;
	memcpy(text, from, length);
	return (int)length;
}

/* How many digits `number` has, at least `least`. */
static size_t
count_digits(uint64_t number, size_t least)
{
	size_t count = 1;

	for (uint64_t limit = 10; count < UINT64_DIGITS && number >= limit; limit *= 10)
		count++;
	return count > least ? count : least;
}

/* Write the digits of `number`, at least `least` of them. Returns how many. Two at a time: half the divisions. */
static size_t
print_digits(uint64_t number, size_t least, char *out)
{
	static const char pairs[] = "00010203040506070809" "10111213141516171819" "20212223242526272829"
				    "30313233343536373839" "40414243444546474849" "50515253545556575859"
				    "60616263646566676869" "70717273747576777879" "80818283848586878889"
				    "90919293949596979899";
	size_t length = count_digits(number, least);
	size_t at = length;

	for (; at >= 2; number /= 100)
		memcpy(out + (at -= 2), &pairs[number % 100 * 2], 2);
	if (at > 0)
		out[0] = (char)('0' + number);
	return length;
}

/* Write `units` of 10^-decimals. */
static size_t
print_units(uint64_t units, int decimals, char *out)
{
	size_t length = print_digits(units, (size_t)decimals + 1, out);
	size_t whole = length - (size_t)decimals;

	if (decimals == 0)
		return length;
	memmove(out + whole + 1, out + whole, (size_t)decimals);
	out[whole] = '.';
	return length + 1;
}

/* Without the zeros that say nothing. One decimal stays: without it the server would make a whole number of
 * it. */
static size_t
trim_zeros(const char *out, size_t length)
{
	while (out[length - 1] == '0' && out[length - 2] != '.')
		length--;
	return length;
}

/* magnitude * power, rounded as printf() rounds: the exact product to the nearest, exact halves to even.
 * The product must be below EXACT_END. */
static uint64_t
round_units(double magnitude, double power)
{
	double product = magnitude * power;
	double units = nearbyint(product);

	/* The product may itself have been rounded, onto a half: fma() tells on which side of it the exact
	 * one is. */
	if (fabs(product - units) >= 0.5) {
		double error = fma(magnitude, power, -product);

		if (error != 0)
			units = error > 0 ? ceil(product) : floor(product);
	}
	return (uint64_t)units;
}

/* With so many decimals, by printf(), whose decimal point is the locale's. */
static size_t
print_long_fixed(double magnitude, int decimals, char *out)
{
	char text[TB_JSON_NUMBER_MAX];
	size_t length = (size_t)snprintf(text, sizeof(text), "%.*f", decimals, magnitude);
	size_t whole = strspn(text, "0123456789");

	memcpy(out, text, whole);
	if (decimals == 0)
		return whole;
	out[whole] = '.';
	memcpy(out + whole + 1, text + length - (size_t)decimals, (size_t)decimals);
	return whole + 1 + (size_t)decimals;
}

static size_t
print_fixed(double magnitude, int decimals, char *out)
{
	if (decimals > DECIMALS_MAX)
		decimals = DECIMALS_MAX;
	if (magnitude * powers[decimals] < EXACT_END)
		return print_units(round_units(magnitude, powers[decimals]), decimals, out);
	return print_long_fixed(magnitude, decimals, out);
}

/* In the width that DECIMALS_HALF, _SINGLE or _DOUBLE says. */
static bool
same_real(double a, double b, int width)
{
	if (width == DECIMALS_HALF)
		return half_of_real(a) == half_of_real(b);
	return width == DECIMALS_SINGLE ? (float)a == (float)b : a == b;
}

/* The fewest digits that read back as the same real, as d.ddde+X, whatever the locale's decimal point.
 * Returns their number; ret_exponent is that of the first digit. No digit has a place below DECIMALS_MAX. */
static size_t
shortest_digits(double magnitude, int width, char *digits, int *ret_exponent)
{
	bool single = width == DECIMALS_SINGLE;
	int precision = single ? SINGLE_DIGITS_MIN : DOUBLE_DIGITS_MIN;
	int most = single ? SINGLE_DIGITS_MAX : DOUBLE_DIGITS_MAX;
	char text[DIGITS_MAX + 16];
	size_t length = 0;

	for (;; precision++) {
		snprintf(text, sizeof(text), "%.*e", precision - 1, magnitude);
		*ret_exponent = atoi(strchr(text, 'e') + 1);
		if (precision == most || precision - *ret_exponent > DECIMALS_MAX)
			break;
		if (same_real(single ? (double)strtof(text, NULL) : strtod(text, NULL), magnitude, width))
			break;
	}
	for (const char *at = text; *at != 'e'; at++)
		if (*at >= '0' && *at <= '9')
			digits[length++] = *at;
	return length;
}

/* For reals of 2^53 units and more: too many digits for print_shortest() to work them out itself. They are
 * 0.9 or larger. */
static size_t
print_long_shortest(double magnitude, int width, char *out)
{
	char digits[DIGITS_MAX];
	int exponent;
	size_t used = 0, count = shortest_digits(magnitude, width, digits, &exponent);

	if (exponent < 0) {
		out[used++] = '0';
		out[used++] = '.';
	}
	for (size_t i = 0; i < count || (int)i <= exponent; i++) {
		out[used++] = (char)(i < count ? digits[i] : '0');
		if ((int)i == exponent)
			out[used++] = '.';
	}
	if (out[used - 1] == '.')
		out[used++] = '0';
	return trim_zeros(out, used);
}

/* With the fewest decimals that tell it apart from other reals of its width; what is whole is printed as it
 * is. */
static size_t
print_shortest(double magnitude, int width, char *out)
{
	int decimals = 1;

	for (; magnitude * powers[decimals] < EXACT_END; decimals++) {
		uint64_t units = round_units(magnitude, powers[decimals]);

		if (decimals == DECIMALS_MAX || same_real((double)units / powers[decimals], magnitude, width))
			return trim_zeros(out, print_units(units, decimals, out));
	}
	return print_long_shortest(magnitude, width, out);
}

/* Scaled, a value may be larger than its width holds: then it is printed as a double. */
static int
width_of(double magnitude, int decimals)
{
	if (decimals == DECIMALS_HALF && magnitude <= HALF_MAX)
		return DECIMALS_HALF;
	return decimals == DECIMALS_SINGLE && magnitude <= (double)FLT_MAX ? DECIMALS_SINGLE
									   : DECIMALS_DOUBLE;
}

/* Write a finite real. `out` takes TB_JSON_NUMBER_MAX bytes. */
static RARE size_t
print_real(double real, int decimals, char *out)
{
	double magnitude = fabs(real);
	size_t length;

	out[0] = '-';
	if (decimals >= 0)
		length = print_fixed(magnitude, decimals, out + 1);
	else
		length = print_shortest(magnitude, width_of(magnitude, decimals), out + 1);
	/* There is no -0. */
	for (size_t i = 1; real < 0 && i <= length; i++)
		if (out[i] > '0') /* NOLINT: both printers fill `length` bytes */
			return length + 1;
	memmove(out, out + 1, length);
	return length;
}

/* Returns the length; `out` takes TB_JSON_NUMBER_MAX bytes. */
static size_t
print_int(int64_t number, char *out)
{
	if (number >= 0)
		return print_digits((uint64_t)number, 1, out);
	out[0] = '-';
	return 1 + print_digits(0 - (uint64_t)number, 1, out + 1);
}

static int
list_value(const struct value_list *list, char *text, size_t size)
{
	size_t used = 0;

	if (size < sizeof("[]") - 1)
		return -EMSGSIZE;
	text[used++] = '[';
	for (size_t i = 0; i < list->count; i++) {
		int length;

		if (i > 0)
			text[used++] = ',';
		length = tb_json_value(&list->items[i], text + used, size - used);
		if (length < 0)
			return length;
		used += (size_t)length;
		if (used == size) /* no room for what follows, comma or end */
			return -EMSGSIZE;
	}
	text[used++] = ']';
	return (int)used;
}

/* `out` takes TB_JSON_NUMBER_MAX bytes. */
static int
print_number(const struct value *value, char *out)
{
	if (value->kind == VALUE_INT)
		return (int)print_int(value->integer, out);
	if (value->kind == VALUE_UINT)
		return (int)print_digits(value->whole, 1, out);
	return isfinite(value->real) ? (int)print_real(value->real, value->decimals, out) : -EINVAL;
}

/* There may be no room for the longest. */
static RARE int
squeeze_number(const struct value *value, char *text, size_t size)
{
	char number[TB_JSON_NUMBER_MAX];
	int length = print_number(value, number);

	return length < 0 ? length : put(number, (size_t)length, text, size);
}

int
tb_json_value(const struct value *value, char *text, size_t size)
{
	switch (value->kind) {
	case VALUE_BOOL:
		return value->boolean ? put("true", 4, text, size) : put("false", 5, text, size);
	case VALUE_INT:
	case VALUE_UINT:
	case VALUE_REAL:
		return size >= TB_JSON_NUMBER_MAX ? print_number(value, text) : squeeze_number(value, text, size);
	case VALUE_LABEL:
	case VALUE_TEXT:
		return tb_json_string(value_text(value), text, size);
	case VALUE_LIST:
		return list_value(value->list, text, size);
	case VALUE_NONE:
		break;
	}
	return -EINVAL;
}

/* What stands for the first character of `string` in JSON; `ret_step` is how many bytes it takes there. */
static const char *
escape(const char *string, size_t left, char *room, size_t *ret_length, size_t *ret_step)
{
	static const char hex[] = "0123456789abcdef", replacement[] = "\xef\xbf\xbd";
	unsigned char first = (unsigned char)string[0];

	*ret_step = utf8_step(string, left);
	if (*ret_step == 0) {
		*ret_step = 1;
		*ret_length = sizeof(replacement) - 1;
		return replacement;
	}
	*ret_length = *ret_step;
	if (first >= 0x20 && first != '"' && first != '\\')
		return string;
	room[0] = '\\';
	if (first >= 0x20) {
		room[1] = (char)first;
		*ret_length = 2;
		return room;
	}
	memcpy(room + 1, "u00", 3);
	room[4] = hex[first >> 4];
	room[5] = hex[first & 0xf];
	*ret_length = 6;
	return room;
}

static bool
is_plain(unsigned char character)
{
	return character >= 0x20 && character < 0x80 && character != '"' && character != '\\';
}

/* Keys and most texts are nothing else: copy the characters that stand for themselves. Returns how many, at most `most`. */
static size_t
put_plain(const char *string, char *text, size_t most)
{
	size_t length = 0;

	while (length < most && is_plain((unsigned char)string[length])) {
		text[length] = string[length];
		length++;
	}
	return length;
}

int
tb_json_string(const char *string, char *text, size_t size)
{
	size_t used = 0, plain, length, step;
	char room[6];

	if (size < 2)
		return -EMSGSIZE;
	text[used++] = '"';
	plain = put_plain(string, text + used, size - used - 1);
	used += plain;
	string += plain;
	for (size_t left = *string ? strlen(string) : 0; left > 0; string += step, left -= step, used += length) {
		const char *character = escape(string, left, room, &length, &step);

		if (length + 1 > size - used)
			return -EMSGSIZE;
		memcpy(text + used, character, length);
	}
	text[used++] = '"';
	return (int)used;
}

int
tb_json_name(const char *key, char *text, size_t size)
{
	int length = size > 0 ? tb_json_string(key, text, size - 1) : -EMSGSIZE;

	if (length < 0)
		return length;
	text[length] = ':';
	return length + 1;
}

int
tb_json_named(const char *name, size_t name_length, const struct value *value, bool first, char *text, size_t size)
{
	size_t used = !first;
	int length;

	if (used + name_length > size)
		return -EMSGSIZE;
	text[0] = ',';
	memcpy(text + used, name, name_length);
	used += name_length;
	length = tb_json_value(value, text + used, size - used);
	return length < 0 ? length : (int)used + length;
}

int
tb_json_member(const char *key, const struct value *value, bool first, char *text, size_t size)
{
	size_t used = 0;
	int length;

	if (!first) {
		if (size == 0)
			return -EMSGSIZE;
		text[used++] = ',';
	}
	length = tb_json_name(key, text + used, size - used);
	if (length < 0)
		return length;
	used += (size_t)length;
	length = tb_json_value(value, text + used, size - used);
	return length < 0 ? length : (int)used + length;
}

/* A parsed document is json-c's, under a name of ours. Its readers take no const pointer but change nothing.
 */
static struct json_object *
object_of(const struct tb_json *json)
{
	return (struct json_object *)(uintptr_t)json;
}

static const struct tb_json *
json_of(const struct json_object *object)
{
	return (const struct tb_json *)(const void *)object;
}

/* What json-c 0.16 lets through even when it is strict: single quotes, NaN and Infinity, 01 and 1., control
 * characters and overlong UTF-8 in strings; NUL in a string cuts keys short. So the lexical side of RFC 8259
 * is checked here first, and json-c judges how the tokens fit together. Each scan_ function returns the
 * length of the token at `text`, 0 if it is none. */
static size_t
scan_escape(const char *text, size_t length)
{
	unsigned code = 0;

	if (length < 2)
		return 0;
	if (text[1] != 'u')
		return text[1] != '\0' && strchr("\"\\/bfnrt", text[1]) ? 2 : 0;
	if (length < 6)
		return 0;
	for (int i = 2; i < 6; i++) {
		const char *digits = "0123456789abcdefABCDEF";
		const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;

		if (!digit)
			return 0;
		code |= *digit != '0';
	}
	return code != 0 ? 6 : 0;
}

static size_t
scan_string(const char *text, size_t length)
{
	size_t used = 1, step;

	while (used < length && text[used] != '"') {
		if (text[used] == '\\')
			step = scan_escape(text + used, length - used);
		else
			step = (unsigned char)text[used] < 0x20 ? 0 : utf8_step(text + used, length - used);
		if (step == 0)
			return 0;
		used += step;
	}
	return used < length ? used + 1 : 0;
}

static size_t
scan_digits(const char *text, size_t length)
{
	size_t used = 0;

	while (used < length && text[used] >= '0' && text[used] <= '9')
		used++;
	return used;
}

/* RFC 8259, 6. `ret_whole` says that there is neither fraction nor exponent. */
static size_t
scan_number(const char *text, size_t length, bool *ret_whole)
{
	size_t used = text[0] == '-' ? 1 : 0, digits;

	*ret_whole = true;
	digits = scan_digits(text + used, length - used);
	if (digits == 0 || (digits > 1 && text[used] == '0'))
		return 0;
	used += digits;
	if (used < length && text[used] == '.') {
		*ret_whole = false;
		digits = scan_digits(text + used + 1, length - used - 1);
		if (digits == 0)
			return 0;
		used += 1 + digits;
	}
	if (used < length && (text[used] == 'e' || text[used] == 'E')) {
		*ret_whole = false;
		used++;
		if (used < length && (text[used] == '+' || text[used] == '-'))
			used++;
		digits = scan_digits(text + used, length - used);
		if (digits == 0)
			return 0;
		used += digits;
	}
	return used;
}

static size_t
scan_word(const char *text, size_t length)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) <= length && memcmp(text, words[i], strlen(words[i])) == 0)
			return strlen(words[i]);
	return 0;
}

/* Does a whole number's text fit neither int64 nor uint64? */
static bool
exceeds_64_bits(const char *text, size_t length)
{
	uint64_t magnitude = 0, limit = text[0] == '-' ? (uint64_t)1 << 63 : UINT64_MAX;

	for (size_t i = text[0] == '-' ? 1 : 0; i < length; i++)
		if (__builtin_mul_overflow(magnitude, 10, &magnitude) ||
		    __builtin_add_overflow(magnitude, (uint64_t)(text[i] - '0'), &magnitude))
			return true;
	return magnitude > limit;
}

/* `ret_large` says that the token is a whole number beyond 64 bits. */
static size_t
scan_token(const char *text, size_t length, bool *ret_large)
{
	size_t used;
	bool whole;

	*ret_large = false;
	switch (text[0]) {
	case '\0':
		return 0;
	case '"':
		return scan_string(text, length);
	case 't':
	case 'f':
	case 'n':
		return scan_word(text, length);
	default:
		if (strchr(" \t\n\r{}[]:,", text[0]))
			return 1;
		used = scan_number(text, length, &whole);
		*ret_large = whole && exceeds_64_bits(text, used);
		return used;
	}
}

/* Give json-c the next part of the document. Returns false unless it wants to see more. */
static bool
feed(struct json_tokener *tokener, const char *text, size_t length)
{
	json_tokener_parse_ex(tokener, text, (int)length);
	return json_tokener_get_error(tokener) == json_tokener_continue;
}

/* json-c would silently make the nearest 64-bit number of a larger one: such a number is given the fraction
 * that makes it a real. */
static struct json_object *
parse_tokens(struct json_tokener *tokener, const char *text, size_t length)
{
	struct json_object *object;
	size_t fed = 0, step;
	bool large;

	for (size_t at = 0; at < length; at += step) {
		step = scan_token(text + at, length - at, &large);
		if (step == 0)
			return NULL;
		if (!large)
			continue;
		if (!feed(tokener, text + fed, at + step - fed) || !feed(tokener, ".0", 2))
			return NULL;
		fed = at + step;
	}
	object = json_tokener_parse_ex(tokener, text + fed, (int)(length - fed));
	/* Only the end of the text says that a number which stands alone is complete. */
	if (json_tokener_get_error(tokener) == json_tokener_continue)
		object = json_tokener_parse_ex(tokener, "", 1);
	return object;
}

struct tb_json *
tb_json_parse(const void *payload, size_t length)
{
	struct json_tokener *tokener;
	struct json_object *object;

	if (length == 0 || length > DOCUMENT_MAX)
		return NULL;
	tokener = json_tokener_new_ex(DEPTH_MAX);
	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = parse_tokens(tokener, payload, length);
	json_tokener_free(tokener);
	return (struct tb_json *)(void *)object;
}

void
tb_json_free(struct tb_json *json)
{
	json_object_put(object_of(json));
}

int
tb_json_rpc(const struct tb_json *json, const char **ret_method, const struct tb_json **ret_params)
{
	const char *method = tb_json_text(tb_json_get(json, "method"));

	if (!method)
		return -EINVAL;
	*ret_method = method;
	*ret_params = tb_json_get(json, "params");
	return 0;
}

const struct tb_json *
tb_json_get(const struct tb_json *json, const char *key)
{
	struct json_object *member = NULL;

	json_object_object_get_ex(object_of(json), key, &member);
	return json_of(member);
}

const char *
tb_json_print(const struct tb_json *json, size_t *ret_length)
{
	return json_object_to_json_string_length(
	    object_of(json), JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, ret_length);
}

const char *
tb_json_text(const struct tb_json *json)
{
	struct json_object *object = object_of(json);

	return json_object_is_type(object, json_type_string) ? json_object_get_string(object) : NULL;
}

/* json-c keeps numbers above INT64_MAX apart, and returns the nearest of what is asked for. */
static struct value
whole_number(const struct json_object *object)
{
	uint64_t whole = json_object_get_uint64(object);

	if (whole > INT64_MAX)
		return (struct value){ .kind = VALUE_UINT, .whole = whole };
	return (struct value){ .kind = VALUE_INT, .integer = json_object_get_int64(object) };
}

/* An array of scalars. */
static int
list_of(struct json_object *object, struct value *ret)
{
	size_t count = json_object_array_length(object);
	struct value value = { .kind = VALUE_LIST };
	int error = 0;

	if (count > LIST_MAX)
		return -EINVAL;
	value.list = value_list_new(count);
	if (!value.list)
		return -ENOMEM;
	for (size_t i = 0; !error && i < count; i++) {
		struct json_object *item = json_object_array_get_idx(object, i);

		error = json_object_is_type(item, json_type_array)
			    ? -EINVAL
			    : tb_json_scalar(json_of(item), &value.list->items[i]);
	}
	if (error)
		value_done(&value);
	else
		*ret = value;
	return error;
}

int
tb_json_scalar(const struct tb_json *json, struct value *ret)
{
	struct json_object *object = object_of(json);
	struct value text = { .kind = VALUE_TEXT };
	double real;

	switch (json_object_get_type(object)) {
	case json_type_boolean:
		*ret = (struct value){ .kind = VALUE_BOOL, .boolean = json_object_get_boolean(object) };
		return 0;
	case json_type_int:
		*ret = whole_number(object);
		return 0;
	case json_type_double:
		real = json_object_get_double(object);
		if (!isfinite(real))
			return -EINVAL;
		*ret = (struct value){ .kind = VALUE_REAL, .decimals = DECIMALS_DOUBLE, .real = real };
		return 0;
	case json_type_string:
		text.text = strdup(json_object_get_string(object));
		if (!text.text)
			return -ENOMEM;
		*ret = text;
		return 0;
	case json_type_array:
		return list_of(object, ret);
	case json_type_null:
	case json_type_object:
		break;
	}
	return -EINVAL;
}

int
tb_json_members(const struct tb_json *json,
    void (*each)(void *ctx, const char *key, const struct tb_json *member), void *ctx)
{
	struct json_object *object = object_of(json);
	struct json_object_iterator at, end;

	if (!json_object_is_type(object, json_type_object))
		return -EINVAL;
	at = json_object_iter_begin(object);
	end = json_object_iter_end(object);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
		each(ctx, json_object_iter_peek_name(&at), json_of(json_object_iter_peek_value(&at)));
	return 0;
}

int
tb_json_elements(
    const struct tb_json *json, void (*each)(void *ctx, const struct tb_json *element), void *ctx)
{
	struct json_object *object = object_of(json);

	if (!json_object_is_type(object, json_type_array))
		return -EINVAL;
	for (size_t i = 0; i < json_object_array_length(object); i++)
		each(ctx, json_of(json_object_array_get_idx(object, i)));
	return 0;
}
