#include "bench/lenient.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bench/alloc.h"
#include "bench/buffer.h"

static const char replacement[] = "\xEF\xBF\xBD";

/* Length of the valid sequence at `at`, 0 if there is none. */
static size_t
utf8_sequence(const uint8_t *at, size_t left)
{
	size_t length = at[0] < 0x80 ? 1 : at[0] >= 0xC2 && at[0] < 0xE0 ? 2 : (at[0] & 0xF0) == 0xE0 ? 3 : 4;

	if (at[0] == 0 || (at[0] >= 0x80 && at[0] < 0xC2) || at[0] > 0xF4 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xC0) != 0x80)
			return 0;
	if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) ||
	    (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F))
		return 0;
	return length;
}

char *
utf8_clean(const uint8_t *data, size_t length)
{
	char *clean = alloc_zeroed(length * (sizeof(replacement) - 1) + 1, 1);
	size_t used = 0;

	for (size_t at = 0; at < length;) {
		size_t sequence = utf8_sequence(data + at, length - at);

		if (sequence) {
			memcpy(clean + used, data + at, sequence);
			used += sequence;
			at += sequence;
		} else {
			memcpy(clean + used, replacement, sizeof(replacement) - 1);
			used += sizeof(replacement) - 1;
			at++;
		}
	}
	clean[used] = '\0';
	return clean;
}

struct lenient {
	const char *at;
	int depth;
};

static int lenient_value(struct lenient *in, struct json_object **ret);

/* Blanks and the three kinds of comment. Returns -EBADMSG for a comment without an end. */
static int
lenient_skip(struct lenient *in)
{
	for (;;) {
		in->at += strspn(in->at, " \t\r\n");
		if (*in->at == '#' || (in->at[0] == '/' && in->at[1] == '/')) {
			in->at += strcspn(in->at, "\r\n");
		} else if (in->at[0] == '/' && in->at[1] == '*') {
			const char *end = strstr(in->at + 2, "*/");

			if (!end)
				return -EBADMSG;
			in->at = end + 2;
		} else {
			return 0;
		}
	}
}

static void
append_code_point(struct buffer *out, uint32_t code)
{
	if (code < 0x80) {
		buffer_append_u8(out, (uint8_t)code);
	} else if (code < 0x800) {
		buffer_append_u8(out, (uint8_t)(0xC0 | code >> 6));
		buffer_append_u8(out, (uint8_t)(0x80 | (code & 0x3F)));
	} else if (code < 0x10000) {
		buffer_append_u8(out, (uint8_t)(0xE0 | code >> 12));
		buffer_append_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3F)));
		buffer_append_u8(out, (uint8_t)(0x80 | (code & 0x3F)));
	} else {
		buffer_append_u8(out, (uint8_t)(0xF0 | code >> 18));
		buffer_append_u8(out, (uint8_t)(0x80 | (code >> 12 & 0x3F)));
		buffer_append_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3F)));
		buffer_append_u8(out, (uint8_t)(0x80 | (code & 0x3F)));
	}
}

/* Four hexadecimal digits. Returns the code or -EBADMSG. */
static int32_t
lenient_hex(struct lenient *in)
{
	int32_t code = 0;

	for (int i = 0; i < 4; i++, in->at++) {
		int c = (unsigned char)*in->at;

		if (!isxdigit(c))
			return -EBADMSG;
		code = code * 16 + (isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	return code;
}

/* \uXXXX, the u already taken. Halves of a pair that stand alone, and NUL, have no UTF-8. */
static int
lenient_unicode(struct lenient *in, struct buffer *out)
{
	int32_t code = lenient_hex(in);

	if (code < 0)
		return code;
	if (code >= 0xD800 && code < 0xDC00 && in->at[0] == '\\' && in->at[1] == 'u') {
		const char *back = in->at;
		int32_t low;

		in->at += 2;
		low = lenient_hex(in);
		if (low >= 0xDC00 && low < 0xE000)
			code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
		else
			in->at = back;
	}
	append_code_point(out, code == 0 || (code >= 0xD800 && code < 0xE000) ? 0xFFFD : (uint32_t)code);
	return 0;
}

static int
lenient_escape(struct lenient *in, struct buffer *out)
{
	static const char from[] = "tbnrf\n'\"\\/";
	static const char to[] = "\t\b\n\r\f\n'\"\\/";
	char c = *in->at;
	const char *found;

	if (c == 'u') {
		in->at++;
		return lenient_unicode(in, out);
	}
	found = c ? strchr(from, c) : NULL;
	if (!found)
		return -EBADMSG;
	in->at++;
	buffer_append_u8(out, (uint8_t)to[found - from]);
	return 0;
}

/* A quoted string, in->at on its quote. Appends the text without a terminator. */
static int
lenient_quoted(struct lenient *in, struct buffer *out)
{
	char stops[] = { *in->at++, '\\', '\0' };

	for (;;) {
		size_t plain = strcspn(in->at, stops);

		buffer_append(out, in->at, plain);
		in->at += plain;
		if (*in->at == '\0')
			return -EBADMSG;
		if (*in->at++ == stops[0])
			return 0;
		if (lenient_escape(in, out) < 0)
			return -EBADMSG;
	}
}

/* Characters up to one that has a meaning of its own. */
static size_t
lenient_word(const struct lenient *in)
{
	return strcspn(in->at, "/\\;#={}[]:, \t\f\r\n");
}

/* A name or an unquoted string. *ret is owned by the caller. */
static int
lenient_text(struct lenient *in, char **ret)
{
	struct buffer text = { 0 };
	int error = 0;

	if (*in->at == '"' || *in->at == '\'') {
		error = lenient_quoted(in, &text);
	} else {
		size_t length = lenient_word(in);

		error = length ? 0 : -EBADMSG;
		buffer_append(&text, in->at, length);
		in->at += length;
	}
	buffer_append_u8(&text, '\0');
	if (error)
		buffer_done(&text);
	else
		*ret = (char *)text.data;
	return error;
}

/* Whether the word is a number of JSON's own grammar; others, like 007 or 1., are strings to Gson. */
static bool
word_is_number(const char *word, size_t length)
{
	const char *end = word + length;

	if (word < end && *word == '-')
		word++;
	if (word == end || !isdigit((unsigned char)*word))
		return false;
	if (*word == '0')
		word++;
	else
		word += strspn(word, "0123456789");
	if (word < end && *word == '.') {
		size_t digits = strspn(++word, "0123456789");

		if (digits == 0)
			return false;
		word += digits;
	}
	if (word < end && (*word == 'e' || *word == 'E')) {
		size_t digits;

		word++;
		if (*word == '+' || *word == '-')
			word++;
		digits = strspn(word, "0123456789");
		if (digits == 0)
			return false;
		word += digits;
	}
	return word == end;
}

static int
lenient_scalar(struct lenient *in, struct json_object **ret)
{
	bool quoted = *in->at == '"' || *in->at == '\'';
	char *text;
	int error = lenient_text(in, &text);

	if (error)
		return error;
	if (!quoted && word_is_number(text, strlen(text)))
		*ret = json_object_new_double_s(strtod(text, NULL), text);
	else if (!quoted && strcasecmp(text, "true") == 0)
		*ret = json_object_new_boolean(1);
	else if (!quoted && strcasecmp(text, "false") == 0)
		*ret = json_object_new_boolean(0);
	else if (!quoted && strcasecmp(text, "null") == 0)
		*ret = NULL;
	else
		*ret = json_object_new_string(text);
	free(text);
	return 0;
}

/* Missing elements, also the one after a last comma, are nulls. */
static int
lenient_array(struct lenient *in, struct json_object *array)
{
	in->at++;
	if (lenient_skip(in) < 0)
		return -EBADMSG;
	if (*in->at == ']') {
		in->at++;
		return 0;
	}
	for (;;) {
		struct json_object *element = NULL;

		if (*in->at != ',' && *in->at != ';' && *in->at != ']' && lenient_value(in, &element) < 0)
			return -EBADMSG;
		json_object_array_add(array, element);
		if (lenient_skip(in) < 0)
			return -EBADMSG;
		if (*in->at == ']') {
			in->at++;
			return 0;
		}
		if (*in->at != ',' && *in->at != ';')
			return -EBADMSG;
		in->at++;
		if (lenient_skip(in) < 0)
			return -EBADMSG;
	}
}

/* One `name: value`, in->at on the name. */
static int
lenient_member(struct lenient *in, struct json_object *object)
{
	struct json_object *value = NULL;
	char *name = NULL;

	if (lenient_text(in, &name) < 0)
		return -EBADMSG;
	if (lenient_skip(in) < 0 || (*in->at != ':' && *in->at != '='))
		goto fail;
	if (*in->at++ == '=' && *in->at == '>')
		in->at++;
	if (lenient_skip(in) < 0 || lenient_value(in, &value) < 0)
		goto fail;
	json_object_object_add(object, name, value);
	free(name);
	return 0;
fail:
	free(name);
	return -EBADMSG;
}

static int
lenient_object(struct lenient *in, struct json_object *object)
{
	in->at++;
	if (lenient_skip(in) < 0)
		return -EBADMSG;
	if (*in->at == '}') {
		in->at++;
		return 0;
	}
	for (;;) {
		if (lenient_member(in, object) < 0 || lenient_skip(in) < 0)
			return -EBADMSG;
		if (*in->at == '}') {
			in->at++;
			return 0;
		}
		if (*in->at != ',' && *in->at != ';')
			return -EBADMSG;
		in->at++;
		if (lenient_skip(in) < 0)
			return -EBADMSG;
	}
}

/* One value, in->at on its first character. */
static int
lenient_value(struct lenient *in, struct json_object **ret)
{
	struct json_object *made;
	int error;

	if (*in->at != '{' && *in->at != '[')
		return lenient_scalar(in, ret);
	if (in->depth == LENIENT_DEPTH)
		return -EBADMSG;
	in->depth++;
	made = *in->at == '{' ? json_object_new_object() : json_object_new_array();
	error = *in->at == '{' ? lenient_object(in, made) : lenient_array(in, made);
	in->depth--;
	if (error)
		json_object_put(made);
	else
		*ret = made;
	return error;
}

int
lenient_parse(const char *text, struct json_object **ret)
{
	struct lenient in = { .at = text };
	struct json_object *value = NULL;

	if (lenient_skip(&in) < 0)
		return -EBADMSG;
	if (*in.at && lenient_value(&in, &value) < 0)
		return -EBADMSG;
	if (lenient_skip(&in) < 0 || *in.at) {
		json_object_put(value);
		return -EBADMSG;
	}
	*ret = value;
	return 0;
}

const char *
lenient_literal(struct json_object *value)
{
	return json_object_is_type(value, json_type_double) ? json_object_get_userdata(value) : NULL;
}
