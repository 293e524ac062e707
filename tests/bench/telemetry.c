#include "bench/telemetry.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/alloc.h"
#include "bench/buffer.h"
#include "bench/lenient.h"

/* The server keeps a fraction as a double only up to here, and as a string beyond. */
#define DECIMALS_MAX 16

/* 1e999999999 would be a gigabyte when written out; the server would try, we keep such a literal as it is. */
#define PLAIN_MAX 4096

#define KEY_MAX_CHARACTERS 255

const char *
value_type_name(enum value_type type)
{
	static const char *const names[] = {
		[VALUE_LONG] = "long",
		[VALUE_DOUBLE] = "double",
		[VALUE_STRING] = "string",
		[VALUE_BOOLEAN] = "boolean",
		[VALUE_JSON] = "json",
	};

	return names[type];
}

/* A decimal number as BigDecimal holds it: digits * 10^-scale. */
struct decimal {
	bool negative;
	bool point;    /* written with a decimal point and without an exponent */
	char *digits;  /* owned; without leading zeros, "" for zero */
	int64_t scale; /* negative for zeros behind the digits */
};

static int
decimal_init(struct decimal *decimal, const char *text)
{
	const char *start = *text == '-' ? text + 1 : text;
	size_t mantissa = strcspn(start, "eE");
	const char *exponent = start[mantissa] ? start + mantissa + 1 : "0";
	const char *dot = memchr(start, '.', mantissa);
	long long power;
	size_t used = 0;

	errno = 0;
	power = strtoll(exponent, NULL, 10);
	if (errno || power > INT_MAX || power < INT_MIN)
		return -EDOM;
	decimal->negative = *text == '-';
	decimal->point = dot && !start[mantissa];
	decimal->scale = (dot ? start + mantissa - dot - 1 : 0) - power;
	decimal->digits = alloc_zeroed(mantissa + 1, 1);
	for (size_t i = 0; i < mantissa; i++)
		if (start[i] != '.' && (used > 0 || start[i] != '0'))
			decimal->digits[used++] = start[i];
	return 0;
}

static bool
decimal_integral(const struct decimal *decimal)
{
	size_t length = strlen(decimal->digits);
	int64_t scale = decimal->scale;

	while (length > 0 && scale > 0 && decimal->digits[length - 1] == '0') {
		length--;
		scale--;
	}
	return length == 0 || scale <= 0;
}

/* Written out without an exponent; NULL if that is absurdly long. The caller frees it. */
static char *
decimal_plain(const struct decimal *decimal)
{
	int64_t length = (int64_t)strlen(decimal->digits);
	struct buffer out = { 0 };
	int64_t zeros;

	if (decimal->scale > PLAIN_MAX || decimal->scale < -PLAIN_MAX)
		return NULL;
	if (decimal->negative && length > 0)
		buffer_append_u8(&out, '-');
	for (zeros = length; zeros <= decimal->scale; zeros++)
		buffer_append_u8(&out, '0');
	if (length == 0 && decimal->scale < 0)
		buffer_append_u8(&out, '0');
	buffer_append(&out, decimal->digits, (size_t)length);
	for (zeros = decimal->scale; length > 0 && zeros < 0; zeros++)
		buffer_append_u8(&out, '0');
	if (decimal->scale > 0) {
		size_t at = buffer_length(&out) - (size_t)decimal->scale;

		buffer_append_u8(&out, '0');
		memmove(out.data + at + 1, out.data + at, (size_t)decimal->scale);
		out.data[at] = '.';
	}
	buffer_append_u8(&out, '\0');
	return (char *)out.data;
}

static bool
decimal_to_long(const struct decimal *decimal, int64_t *ret)
{
	char *plain = decimal_plain(decimal);
	bool fits = false;

	if (*decimal->digits == '\0') {
		*ret = 0;
		fits = true;
	} else if (plain) {
		errno = 0;
		*ret = strtoll(plain, NULL, 10);
		fits = errno == 0;
	}
	free(plain);
	return fits;
}

/* As Java prints a double that needs an exponent: the fewest digits that give it back, at least one after the
 * point. */
static void
double_to_java(double number, char text[40])
{
	for (int digits = 1; digits <= 16; digits++) {
		char *e;

		snprintf(text, 40, "%.*e", digits, number);
		if (digits < 16 && strtod(text, NULL) != number)
			continue;
		/* Only the exponent's form differs: e+07 is E7. The typing rules do not care. */
		e = strchr(text, 'e');
		if (e)
			*e = 'E';
		return;
	}
}

static int number_to_value(const char *text, const char *literal, bool second, struct value *ret);

/* The rule engine reads back what the transport printed: 10000000.0 is 1.0E7 by then, which is an integer. */
static int
double_to_value(const char *text, const char *literal, bool second, struct value *ret)
{
	double number = strtod(text, NULL);
	bool exponent = fabs(number) >= 1e7 || (fabs(number) < 1e-3 && number != 0);
	char java[40];

	if (!isfinite(number)) {
		ret->type = VALUE_STRING;
		ret->json = json_object_new_string(number > 0 ? "Infinity" : "-Infinity");
		return 0;
	}
	if (exponent && !second) {
		double_to_java(number, java);
		return number_to_value(java, literal, true, ret);
	}
	ret->type = VALUE_DOUBLE;
	/* A literal is shown as it was sent; a string that was cast may not even be a JSON number (".5"). */
	ret->json = literal ? json_object_new_double_s(number, literal) : json_object_new_double(number);
	return 0;
}

/* Type a decimal number; `literal` is what to show for a double, `second` whether this is the rule engine's
 * pass. */
static int
number_to_value(const char *text, const char *literal, bool second, struct value *ret)
{
	struct decimal decimal;
	int64_t whole;
	int error = decimal_init(&decimal, text);
	char *plain;

	if (error)
		return error;
	if (!decimal_integral(&decimal) || decimal.point) {
		if (decimal.scale <= DECIMALS_MAX) {
			error = double_to_value(text, literal, second, ret);
			free(decimal.digits);
			return error;
		}
	} else if (decimal_to_long(&decimal, &whole)) {
		ret->type = VALUE_LONG;
		ret->json = json_object_new_int64(whole);
		free(decimal.digits);
		return 0;
	}
	plain = decimal_plain(&decimal);
	ret->type = VALUE_STRING;
	ret->json = json_object_new_string(plain ? plain : text);
	free(plain);
	free(decimal.digits);
	return 0;
}

/* Strings that the server casts: digits with at most one point that is not the last character, and a minus.
 */
static bool
string_is_number(const char *text)
{
	size_t length = strlen(text);
	int points = 0;

	if (length == 0 || text[length - 1] == '.' || strcmp(text, "-") == 0)
		return false;
	for (const char *at = *text == '-' ? text + 1 : text; *at; at++) {
		points += *at == '.';
		if (points > 1 || (*at != '.' && !isdigit((unsigned char)*at)))
			return false;
	}
	return true;
}

int
value_from_json(struct json_object *json, struct value *ret)
{
	const char *literal = lenient_literal(json);

	ret->literal = literal;
	if (literal)
		return number_to_value(literal, literal, false, ret);
	if (json_object_is_type(json, json_type_string) && string_is_number(json_object_get_string(json)))
		return number_to_value(json_object_get_string(json), NULL, false, ret);
	ret->type = json_object_is_type(json, json_type_boolean)  ? VALUE_BOOLEAN
		    : json_object_is_type(json, json_type_string) ? VALUE_STRING
								  : VALUE_JSON;
	ret->json = json_object_get(json);
	return 0;
}

static size_t
utf8_characters(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += (*text & 0xC0) != 0x80;
	return count;
}

static bool
key_is_html(const char *key)
{
	for (const char *open = strchr(key, '<'); open; open = strchr(open + 1, '<'))
		if ((isalpha((unsigned char)open[1]) || open[1] == '/' || open[1] == '!') &&
		    strchr(open, '>'))
			return true;
	return false;
}

const char *
element_refusal(const struct element *element)
{
	for (size_t i = 0; i < element->count; i++) {
		const char *key = element->values[i].key;

		if (key[strspn(key, " \t\r\n\f\v")] == '\0')
			return "a key is blank";
		if (utf8_characters(key) > KEY_MAX_CHARACTERS)
			return "a key is longer than 255 characters";
		if (key_is_html(key))
			return "a key looks like HTML";
	}
	return NULL;
}

static struct element *
telemetry_add(struct telemetry *telemetry)
{
	telemetry->elements = alloc_resize(telemetry->elements, telemetry->count + 1, sizeof(struct element));
	telemetry->elements[telemetry->count] = (struct element){ 0 };
	return &telemetry->elements[telemetry->count++];
}

/* Members with a null are dropped. */
static int
element_fill(struct element *element, struct json_object *values)
{
	element->values = alloc_zeroed((size_t)json_object_object_length(values), sizeof(struct value));
	json_object_object_foreach(values, key, json)
	{
		struct value *value = &element->values[element->count];
		int error;

		if (!json)
			continue;
		value->key = key;
		error = value_from_json(json, value);
		if (error)
			return error;
		element->count++;
	}
	return 0;
}

/* A number loses its fraction, a string must be all digits; anything else makes the server throw. */
static int
ts_from_json(struct json_object *json, int64_t *ret)
{
	const char *literal = lenient_literal(json);
	const char *text = json_object_is_type(json, json_type_string) ? json_object_get_string(json) : NULL;
	double number;
	char *end;

	errno = 0;
	if (literal && !strpbrk(literal, ".eE")) {
		*ret = strtoll(literal, NULL, 10);
		return 0;
	}
	if (literal) {
		number = trunc(strtod(literal, NULL));
		if (!(fabs(number) < 9.2e18))
			return -EDOM;
		*ret = (int64_t)number;
		return 0;
	}
	if (text && (isdigit((unsigned char)*text) ||
			((*text == '-' || *text == '+') && isdigit((unsigned char)text[1])))) {
		*ret = strtoll(text, &end, 10);
		return *end || errno ? -EDOM : 0;
	}
	if (json_object_is_type(json, json_type_array) && json_object_array_length(json) == 1)
		return ts_from_json(json_object_array_get_idx(json, 0), ret);
	return -EDOM;
}

/* Either {"ts":n,"values":{..}} or plain values with the server's time. */
static int
telemetry_object(struct telemetry *telemetry, struct json_object *object, int64_t now_unix_ms)
{
	struct element *element = telemetry_add(telemetry);
	struct json_object *ts, *values;
	int error;

	element->ts_unix_ms = now_unix_ms;
	element->server_ts = true;
	if (json_object_object_get_ex(object, "ts", &ts) &&
	    json_object_object_get_ex(object, "values", &values)) {
		error = ts_from_json(ts, &element->ts_unix_ms);
		if (error)
			return error;
		if (!json_object_is_type(values, json_type_object))
			return -EBADMSG;
		element->server_ts = false;
		object = values;
	}
	error = element_fill(element, object);
	telemetry->points += element->count;
	return error;
}

int
telemetry_from_tree(struct telemetry *telemetry, struct json_object *tree, int64_t now_unix_ms)
{
	*telemetry = (struct telemetry){ .tree = json_object_get(tree) };
	if (json_object_is_type(tree, json_type_object))
		return telemetry_object(telemetry, tree, now_unix_ms);
	if (!json_object_is_type(tree, json_type_array))
		return -EBADMSG;
	for (size_t i = 0; i < json_object_array_length(tree); i++) {
		struct json_object *object = json_object_array_get_idx(tree, i);
		int error = -EBADMSG;

		if (json_object_is_type(object, json_type_object))
			error = telemetry_object(telemetry, object, now_unix_ms);
		if (error)
			return error;
	}
	return 0;
}

int
attributes_from_tree(struct telemetry *attributes, struct json_object *tree)
{
	int error;

	*attributes = (struct telemetry){ .tree = json_object_get(tree) };
	if (!json_object_is_type(tree, json_type_object))
		return -EBADMSG;
	error = element_fill(telemetry_add(attributes), tree);
	attributes->points = attributes->elements[0].count;
	return error;
}

int
telemetry_parse(struct telemetry *telemetry, const char *text, int64_t now_unix_ms)
{
	struct json_object *tree = NULL;
	int error;

	*telemetry = (struct telemetry){ 0 };
	error = lenient_parse(text, &tree);
	if (error)
		return error;
	error = telemetry_from_tree(telemetry, tree, now_unix_ms);
	json_object_put(tree);
	return error;
}

int
attributes_parse(struct telemetry *attributes, const char *text)
{
	struct json_object *tree = NULL;
	int error;

	*attributes = (struct telemetry){ 0 };
	error = lenient_parse(text, &tree);
	if (error)
		return error;
	error = attributes_from_tree(attributes, tree);
	json_object_put(tree);
	return error;
}

void
telemetry_done(struct telemetry *telemetry)
{
	for (size_t i = 0; i < telemetry->count; i++) {
		for (size_t j = 0; j < telemetry->elements[i].count; j++)
			json_object_put(telemetry->elements[i].values[j].json);
		free(telemetry->elements[i].values);
	}
	free(telemetry->elements);
	json_object_put(telemetry->tree);
	*telemetry = (struct telemetry){ 0 };
}
