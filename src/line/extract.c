#include <config.h>

#include "line/extract.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "line/number.h"
#include "model/codec.h"

#define DEGREES_DECIMALS 7 /* a centimetre */
#define SENTENCE_ID	 5 /* talker and formatter */
#define FORMATTER	 3

/* Between key=value and the next one, unless the configuration says so. */
static const char usual_separators[] = " \t,;&|\r\n";

void
extract_begin(struct extract_frame *reading, const struct line_frame *frame)
{
	*reading = (struct extract_frame){ .frame = frame };
}

void
extract_end(struct extract_frame *reading)
{
	json_object_put(reading->json);
	reading->json = NULL;
}

static const char *
content_of(const struct line_frame *frame)
{
	return (const char *)frame->bytes + frame->from;
}

static bool
is_line_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Sources: each finds its text, or says why it is not there. */

/* Is it a sentence of that kind? "GGA" is one of any talker, "GPGGA" and "PGRME" are themselves. */
static bool
is_sentence(const char *text, size_t length, const char *id)
{
	size_t wanted = strlen(id), found = 0;

	if (length == 0 || (text[0] != '$' && text[0] != '!'))
		return false;
	text++;
	length--;
	while (found < length && text[found] != ',' && text[found] != '*')
		found++;
	if (wanted == FORMATTER && found == SENTENCE_ID && text[0] != 'P')
		return memcmp(text + SENTENCE_ID - FORMATTER, id, FORMATTER) == 0;
	return found == wanted && memcmp(text, id, found) == 0;
}

/* The columns of a sentence end before its checksum. */
static size_t
without_checksum(const char *text, size_t length)
{
	return length >= 3 && text[length - 3] == '*' ? length - 3 : length;
}

/* Where the column that begins at `at` ends: at its separator, or at the end. A blank stands for any number of them. */
static const char *
column_end(const char *at, const char *end, const char *separator)
{
	const char *stop;

	if (strcmp(separator, " ") != 0) {
		stop = memmem(at, (size_t)(end - at), separator, strlen(separator));
		return stop ? stop : end;
	}
	for (stop = at; stop < end && !is_line_blank(*stop);)
		stop++;
	return stop;
}

/* Where the next one begins, behind the separator at `stop`. */
static const char *
column_begin(const char *stop, const char *end, const char *separator)
{
	if (strcmp(separator, " ") != 0)
		return stop + strlen(separator);
	while (stop < end && is_line_blank(*stop))
		stop++;
	return stop;
}

static int
find_column(const struct line_field *field, const struct line_frame *frame, int column, struct extract_text *ret,
    const char **why)
{
	const char *separator = field->separator ? field->separator : ",";
	const char *at = content_of(frame), *end = at + (frame->to - frame->from), *stop;
	bool blank = strcmp(separator, " ") == 0;

	if (field->sentence) {
		if (!is_sentence(at, (size_t)(end - at), field->sentence)) {
			*why = "another sentence";
			return -ENOENT;
		}
		end = at + without_checksum(at, (size_t)(end - at));
	}
	if (blank)
		at = column_begin(at, end, separator);
	stop = column_end(at, end, separator);
	for (int i = 0; i < column; i++) {
		at = stop < end ? column_begin(stop, end, separator) : end;
		if (stop >= end || (blank && at >= end)) {
			*why = "there are not so many columns";
			return -ENOENT;
		}
		stop = column_end(at, end, separator);
	}
	*ret = (struct extract_text){ .text = at, .length = (size_t)(stop - at) };
	return 0;
}

static int
find_in_column(
    const struct extractor *extractor, struct extract_frame *reading, struct extract_text *ret, const char **why)
{
	return find_column(extractor->field, reading->frame, extractor->field->column, ret, why);
}

/* Where the item that begins at `at` ends: key and value up to a separator. */
static const char *
item_end(const struct line_field *field, const char *at, const char *end)
{
	const char *stop;

	if (field->separator && strcmp(field->separator, " ") != 0) {
		stop = memmem(at, (size_t)(end - at), field->separator, strlen(field->separator));
		return stop ? stop : end;
	}
	for (stop = at; stop < end; stop++)
		if (field->separator ? is_line_blank(*stop) : *stop && strchr(usual_separators, *stop))
			break;
	return stop;
}

static int
find_field(
    const struct extractor *extractor, struct extract_frame *reading, struct extract_text *ret, const char **why)
{
	const struct line_field *field = extractor->field;
	const char *at = content_of(reading->frame), *end = at + (reading->frame->to - reading->frame->from);
	size_t step = field->separator && strcmp(field->separator, " ") != 0 ? strlen(field->separator) : 1;

	while (at < end) {
		const char *stop = item_end(field, at, end);
		const char *assign = memchr(at, field->assign, (size_t)(stop - at));
		const char *key = at;
		size_t length = assign ? (size_t)(assign - at) : 0;

		number_trim(&key, &length);
		if (assign && length == strlen(field->text) && memcmp(key, field->text, length) == 0) {
			*ret = (struct extract_text){ .text = assign + 1, .length = (size_t)(stop - assign - 1) };
			return 0;
		}
		at = stop < end ? stop + step : end;
	}
	*why = "the key is not in it";
	return -ENOENT;
}

static int
find_group(const struct pattern *pattern, int group, const struct line_frame *frame, struct extract_text *ret,
    const char **why)
{
	size_t from, to;

	if (!pattern || !pattern_taken(pattern, group, &from, &to)) {
		*why = "the group of the pattern is not in it";
		return -ENOENT;
	}
	*ret = (struct extract_text){ .text = content_of(frame) + from, .length = to - from };
	return 0;
}

static int
find_pattern(
    const struct extractor *extractor, struct extract_frame *reading, struct extract_text *ret, const char **why)
{
	const struct line_frame *frame = reading->frame;
	int matches = pattern_match(extractor->pattern, frame->bytes + frame->from, frame->to - frame->from);

	if (matches == 1)
		return find_group(extractor->pattern, extractor->group, frame, ret, why);
	*why = matches == 0 ? "the pattern does not match" : "the pattern needs too many steps";
	return -ENOENT;
}

static int
find_device_group(
    const struct extractor *extractor, struct extract_frame *reading, struct extract_text *ret, const char **why)
{
	return find_group(reading->pattern, extractor->group, reading->frame, ret, why);
}

static struct json_object *
json_of(struct extract_frame *reading)
{
	size_t length = reading->frame->to - reading->frame->from;
	struct json_tokener *tokener;

	if (reading->json_tried)
		return reading->json;
	reading->json_tried = true;
	tokener = json_tokener_new_ex(EXTRACT_JSON_DEPTH);
	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	reading->json = json_tokener_parse_ex(tokener, content_of(reading->frame), (int)length);
	if (json_tokener_get_error(tokener) != json_tokener_success) {
		json_object_put(reading->json);
		reading->json = NULL;
	}
	json_tokener_free(tokener);
	return reading->json;
}

/* json-c gives a whole number beyond 64 bits as the last one that fits. */
static bool
is_json_limit(struct json_object *value)
{
	return json_object_is_type(value, json_type_int) &&
	       (json_object_get_uint64(value) == UINT64_MAX || json_object_get_int64(value) == INT64_MIN);
}

static int
find_json(
    const struct extractor *extractor, struct extract_frame *reading, struct extract_text *ret, const char **why)
{
	struct json_object *root = json_of(reading), *value = NULL;
	const char *text = NULL;

	if (!root) {
		*why = "it is no JSON";
		return -ENOENT;
	}
	if (json_pointer_get(root, extractor->field->text, &value) != 0) {
		*why = "the JSON has no such member";
		return -ENOENT;
	}
	if (value && !is_json_limit(value))
		text = json_object_is_type(value, json_type_string)
			   ? json_object_get_string(value)
			   : json_object_to_json_string_ext(
				 value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	*ret = (struct extract_text){
		.text = text ? text : "",
		.length = !text ? 0
			  : json_object_is_type(value, json_type_string) ? (size_t)json_object_get_string_len(value)
									 : strlen(text),
	};
	return 0;
}

/* May an OBIS code begin after this character? */
static bool
is_before_code(char c)
{
	return c == '\r' || c == '\n' || c == ')' || c == ' ' || c == '\x02';
}

/* What is in the brackets from `at` on, the column-th of those that follow one another. */
static int
find_brackets(const char *at, const char *end, int column, struct extract_text *ret)
{
	for (int i = 0;; i++) {
		const char *close;

		while (i > 0 && at < end && (*at == '\r' || *at == '\n'))
			at++;
		if (at >= end || *at != '(')
			return -ENOENT;
		for (close = at + 1; close < end && !strchr("()\r\n", *close);)
			close++;
		if (close >= end || *close != ')')
			return -ENOENT;
		if (i == column) {
			*ret = (struct extract_text){ .text = at + 1, .length = (size_t)(close - at - 1) };
			return 0;
		}
		at = close + 1;
	}
}

static int
find_obis(
    const struct extractor *extractor, struct extract_frame *reading, struct extract_text *ret, const char **why)
{
	const char *code = extractor->field->text, *begin = content_of(reading->frame);
	const char *end = begin + (reading->frame->to - reading->frame->from), *at = begin;
	size_t length = strlen(code);

	for (; (at = memmem(at, (size_t)(end - at), code, length)); at++) {
		const char *behind = at + length;

		if (at > begin && !is_before_code(at[-1]))
			continue;
		/* F = 255 says that it is no value of a past billing period (IEC 62056-61), as does leaving it out. */
		if (end - behind >= 4 && memcmp(behind, "*255", 4) == 0)
			behind += 4;
		if (behind >= end || *behind != '(')
			continue;
		if (find_brackets(behind, end, extractor->field->column, ret) == 0)
			return 0;
		*why = "the code has not so many brackets";
		return -ENOENT;
	}
	*why = "the code is not in it";
	return -ENOENT;
}

static int
find_at(const struct extractor *extractor, struct extract_frame *reading, struct extract_text *ret, const char **why)
{
	const struct line_field *field = extractor->field;
	size_t at = (size_t)field->at, length = (size_t)field->length;

	if (reading->frame->length < at + length) {
		*why = "it is too short";
		return -ENOENT;
	}
	*ret = (struct extract_text){ .text = (const char *)reading->frame->bytes + at, .length = length };
	return 0;
}

static int
find_nothing(
    const struct extractor *extractor, struct extract_frame *reading, struct extract_text *ret, const char **why)
{
	(void)extractor;
	(void)reading;
	(void)ret;
	*why = "it is only written";
	return -ENOENT;
}

/* In the order of the enum. */
static int (*const finders[SOURCES])(const struct extractor *extractor, struct extract_frame *reading,
    struct extract_text *ret, const char **why) = {
	[SOURCE_COLUMN] = find_in_column,
	[SOURCE_FIELD] = find_field,
	[SOURCE_PATTERN] = find_pattern,
	[SOURCE_GROUP] = find_device_group,
	[SOURCE_JSON] = find_json,
	[SOURCE_OBIS] = find_obis,
	[SOURCE_TEXT_AT] = find_at,
	[SOURCE_BYTES_AT] = find_at,
	[SOURCE_NOWHERE] = find_nothing,
};

int
extract_find(
    const struct extractor *extractor, struct extract_frame *reading, struct extract_text *ret, const char **why)
{
	return finders[extractor->field->source](extractor, reading, ret, why);
}

/* Values. */

static int
value_of_number(const struct point *point, const struct codec_decimal *number, struct value *ret, const char **why)
{
	int error = codec_decode_decimal(point, number, ret);

	if (error)
		*why = error == -ERANGE ? "the number is too large" : "it stands for no value, or is not plausible";
	return error ? -ENODATA : 0;
}

static int
read_number(const struct point *point, const struct extract_text *found, struct value *ret, const char **why)
{
	struct codec_decimal number;
	int error = point->line->format == FORMAT_HEX
			? number_parse_hex(found->text, found->length, &number)
			: number_parse(found->text, found->length, point->line->decimal_comma, &number, NULL);

	if (!error)
		return value_of_number(point, &number, ret, why);
	*why = error == -ERANGE ? "the number is too large" : "it is no number";
	return -ENODATA;
}

static int
read_bool(const struct point *point, const struct extract_text *found, struct value *ret, const char **why)
{
	struct codec_decimal number = { .magnitude = 0 };
	bool truth;

	if (number_parse_bool(found->text, found->length, &truth) != 0) {
		*why = "it is no truth value";
		return -ENODATA;
	}
	number.magnitude = truth;
	if (point->label_count > 0)
		return value_of_number(point, &number, ret, why);
	*ret = (struct value){ .kind = VALUE_BOOL, .boolean = truth };
	return 0;
}

static int
read_string(const struct extract_text *found, struct value *ret, const char **why)
{
	const char *text = found->text;
	size_t length = found->length;
	char *copy;

	number_trim(&text, &length);
	*why = length == 0				? "it is empty"
	       : length > EXTRACT_TEXT_MAX		? "the text is too long"
	       : memchr(text, '\0', length)		? "there is a NUL in the text"
	       : !utf8_valid(text, length)		? "the text is no UTF-8"
							: NULL;
	if (*why)
		return -ENODATA;
	copy = strndup(text, length);
	if (!copy)
		return -ENOMEM;
	*ret = (struct value){ .kind = VALUE_TEXT, .text = copy };
	return 0;
}

/* The hemisphere is in the next column. */
static int
read_degrees(const struct point *point, const struct extract_frame *reading, const struct extract_text *found,
    struct value *ret, const char **why)
{
	struct extract_text next = { .text = "", .length = 0 };
	const char *unused;
	double degrees;

	if (find_column(point->line, reading->frame, point->line->column + 1, &next, &unused) != 0 || next.length != 1 ||
	    number_parse_degrees(found->text, found->length, next.text[0], &degrees) != 0) {
		*why = "it is no position";
		return -ENODATA;
	}
	*ret = (struct value){
		.kind = VALUE_REAL,
		.decimals = (int8_t)(point->decimals >= 0 ? point->decimals : DEGREES_DECIMALS),
		.real = degrees,
	};
	return 0;
}

/* The bytes as the cells that registers would be. */
static int
read_bytes(const struct point *point, const struct extract_text *found, struct value *ret, const char **why)
{
	const uint8_t *bytes = (const uint8_t *)found->text;
	uint16_t cells[MODBUS_MAX_READ_REGISTERS] = { 0 };
	int error;

	if (found->length == 1)
		cells[0] = bytes[0];
	for (size_t i = 0; found->length > 1 && i < found->length / 2 && i < MODBUS_MAX_READ_REGISTERS; i++)
		cells[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
	error = codec_decode(point, cells, ret);
	if (error == 0 || error == -ENOMEM)
		return error;
	*why = "it stands for no value, or is not plausible";
	return -ENODATA;
}

/* Does the text, or the unit of the number in it, say that there is no value? */
static bool
says_no_value(const struct line_field *field, const struct extract_text *found)
{
	const char *text = found->text;
	size_t length = found->length, unit = 0;
	struct codec_decimal number;

	number_trim(&text, &length);
	if (number_parse(text, length, field->decimal_comma, &number, &unit) != 0)
		unit = 0;
	for (size_t i = 0; i < field->no_value_count; i++) {
		size_t wanted = strlen(field->no_values[i]);

		if ((wanted == length && memcmp(text, field->no_values[i], wanted) == 0) ||
		    (wanted == length - unit && memcmp(text + unit, field->no_values[i], wanted) == 0))
			return true;
	}
	return false;
}

static int
read_value(const struct point *point, const struct extract_frame *reading, const struct extract_text *found,
    struct value *ret, const char **why)
{
	if (point->line->source == SOURCE_BYTES_AT)
		return read_bytes(point, found, ret, why);
	if (says_no_value(point->line, found)) {
		*why = "it stands for no value";
		return -ENODATA;
	}
	switch (point->line->format) {
	case FORMAT_NUMBER:
	case FORMAT_HEX:
		return read_number(point, found, ret, why);
	case FORMAT_BOOL:
		return read_bool(point, found, ret, why);
	case FORMAT_DEGREES:
		return read_degrees(point, reading, found, ret, why);
	case FORMAT_STRING:
	case FORMATS:
		break;
	}
	return read_string(found, ret, why);
}

int
extract_value(const struct extractor *extractor, struct extract_frame *reading, const struct point *point,
    struct value *ret, const char **why)
{
	struct extract_text found;
	int error = extract_find(extractor, reading, &found, why);

	return error ? error : read_value(point, reading, &found, ret, why);
}

/* The group called so; without a name the first, or all if there is none. */
static int
find_group_number(const struct pattern *pattern, const char *name)
{
	if (name)
		return pattern_group(pattern, name);
	return pattern_groups(pattern) > 0 ? 1 : 0;
}

int
extractor_init(struct extractor *extractor, const struct line_field *field, const struct pattern *pattern)
{
	int error = 0;

	*extractor = (struct extractor){ .field = field };
	if (field->source == SOURCE_PATTERN) {
		error = pattern_new(field->text, &extractor->pattern, NULL);
		pattern = extractor->pattern;
	}
	if (!error && (field->source == SOURCE_PATTERN || field->source == SOURCE_GROUP)) {
		extractor->group = pattern ? find_group_number(pattern, field->group) : -1;
		error = extractor->group < 0 ? -EINVAL : 0;
	}
	if (error)
		extractor_done(extractor);
	return error;
}

void
extractor_done(struct extractor *extractor)
{
	pattern_free(extractor->pattern);
	extractor->pattern = NULL;
}
