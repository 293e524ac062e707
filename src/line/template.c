#include "line/template.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "line/checksum.h"

#define NUMBER_TEXT_MAX 400 /* a double without exponent */
#define REAL_DIGITS	15  /* that every double keeps */
#define VALUE_TEXT_MAX	1024

enum slot { SLOT_VALUE, SLOT_ADDRESS, SLOT_CHECKSUM, SLOTS };

static const char *const slot_names[SLOTS] = {
	[SLOT_VALUE] = "${value}", [SLOT_ADDRESS] = "${address}", [SLOT_CHECKSUM] = "${checksum}"
};

/* What is being filled. */
struct filling {
	const struct template_values *values;
	uint8_t *bytes;
	size_t length;
	bool pattern; /* what is filled in stands for itself */
	enum template_fault fault;
};

/* The slot that the bytes begin with; SLOTS if they begin with none. */
static enum slot
slot_at(const uint8_t *bytes, size_t length)
{
	for (int i = 0; i < SLOTS; i++)
		if (length >= strlen(slot_names[i]) && memcmp(bytes, slot_names[i], strlen(slot_names[i])) == 0)
			return (enum slot)i;
	return SLOTS;
}

static void
put(struct filling *filling, const void *bytes, size_t length)
{
	if (filling->length + length > TEMPLATE_BYTES_MAX) {
		filling->fault = TEMPLATE_TOO_LONG;
		return;
	}
	memcpy(filling->bytes + filling->length, bytes, length);
	filling->length += length;
}

static bool
is_plain(uint8_t byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* Bytes that are filled in: in a pattern each for itself. */
static void
put_filled(struct filling *filling, const void *bytes, size_t length)
{
	const uint8_t *from = bytes;

	if (!filling->pattern) {
		put(filling, bytes, length);
		return;
	}
	for (size_t i = 0; i < length; i++) {
		char escaped[5];

		snprintf(escaped, sizeof(escaped), is_plain(from[i]) ? "%c" : "\\x%02x", from[i]);
		put(filling, escaped, strlen(escaped));
	}
}

/* Values as text. */

/* Filled up with zeros behind the sign. */
static void
widen(char *text, size_t size, int width)
{
	size_t length = strlen(text), sign = text[0] == '-', add;

	if (width <= 0 || length >= (size_t)width || (size_t)width >= size)
		return;
	add = (size_t)width - length;
	memmove(text + sign + add, text + sign, length - sign + 1);
	memset(text + sign, '0', add);
}

/* A number with so many decimals, or as many as it needs. No locale has a say in the decimal point. */
static bool
real_text(double real, int decimals, char *text, size_t size)
{
	int most = decimals >= 0 ? decimals : REAL_DIGITS - 1, length;
	char *comma;

	if (!isfinite(real) || fabs(real) >= 1e18)
		return false;
	/* Digits beyond those that a double has say nothing. */
	for (double far = fabs(real); decimals < 0 && far >= 10 && most > 0; far /= 10)
		most--;
	length = snprintf(text, size, "%.*f", most, real);
	comma = strpbrk(text, ".,");
	if (comma)
		*comma = '.';
	while (decimals < 0 && comma && length > 0 && text[length - 1] == '0')
		text[--length] = '\0';
	if (comma && length > 0 && text[length - 1] == '.')
		text[--length] = '\0';
	if (strcmp(text, "-0") == 0)
		strcpy(text, "0");
	return true;
}

/* What the instrument is told for a value in engineering units: scale and offset undone, a label as its number. */
static bool
number_text(const struct point *point, const struct value *value, char text[NUMBER_TEXT_MAX])
{
	int decimals = point->command ? point->command->decimals : -1;
	bool plain = point->scale == 1 && point->offset == 0;
	double real = 0;

	if (plain && decimals <= 0 && value->kind == VALUE_INT)
		snprintf(text, NUMBER_TEXT_MAX, "%" PRId64, value->integer);
	else if (plain && decimals <= 0 && value->kind == VALUE_UINT)
		snprintf(text, NUMBER_TEXT_MAX, "%" PRIu64, value->whole);
	else if (!value_number(value, &real) || !real_text((real - point->offset) / point->scale, decimals, text, NUMBER_TEXT_MAX))
		return false;
	widen(text, NUMBER_TEXT_MAX, point->command ? point->command->width : 0);
	return true;
}

static const struct enum_label *
label_of(const struct point *point, const struct value *value)
{
	const char *text = value_text(value);

	for (size_t i = 0; text && i < point->label_count; i++)
		if (strcmp(point->labels[i].label, text) == 0)
			return &point->labels[i];
	return NULL;
}

/* Would the byte end or begin a frame? */
static bool
is_framing(const struct filling *filling, uint8_t byte)
{
	const struct framing *framing = &filling->values->bus->framing;

	for (size_t i = 0; i < framing->end_count; i++)
		if (memchr(framing->ends[i].data, byte, framing->ends[i].length))
			return true;
	return framing->start.length > 0 && memchr(framing->start.data, byte, framing->start.length);
}

/* Would it begin another column? */
static bool
is_separator(const struct filling *filling, uint8_t byte)
{
	const struct line_field *line = filling->values->point->line;

	return line && line->separator && strcmp(line->separator, " ") != 0 && strchr(line->separator, byte);
}

/* One character of a text, by the escape rule of the command. Returns false if it is not let through. */
static bool
put_character(struct filling *filling, enum line_escape escape, const char *character, size_t length)
{
	uint8_t byte = (uint8_t)*character;
	char escaped[8];

	if (byte >= ' ' && is_framing(filling, byte))
		return false;
	switch (escape) {
	case ESCAPE_NONE:
		if ((!is_plain(byte) && !strchr(" ._+-:/%()=", byte)) || is_separator(filling, byte))
			return false;
		break;
	case ESCAPE_QUOTES:
		if (byte < ' ' || byte > '~')
			return false;
		if (byte == '"')
			put_filled(filling, "\"", 1);
		break;
	case ESCAPE_JSON:
		if (byte >= ' ' && byte != '"' && byte != '\\' && byte != 127)
			break;
		snprintf(escaped, sizeof(escaped), "\\u%04x", byte);
		put_filled(filling, escaped, strlen(escaped));
		return true;
	case ESCAPES:
		return false;
	}
	put_filled(filling, character, length);
	return true;
}

static void
put_text(struct filling *filling, const char *text)
{
	enum line_escape escape = filling->values->point->command ? filling->values->point->command->escape : ESCAPE_NONE;
	size_t length = strlen(text);

	if (length > VALUE_TEXT_MAX)
		filling->fault = TEMPLATE_TOO_LONG;
	while (length > 0 && filling->fault == TEMPLATE_OK) {
		size_t step = utf8_step(text, length);

		if (step == 0 || !put_character(filling, escape, text, step)) {
			filling->fault = TEMPLATE_UNSAFE;
			return;
		}
		text += step;
		length -= step;
	}
}

static void
put_value(struct filling *filling)
{
	const struct point *point = filling->values->point;
	const struct value *value = filling->values->value;
	const struct enum_label *label;
	char text[NUMBER_TEXT_MAX];

	if (!point || !value) {
		filling->fault = TEMPLATE_NO_TEXT;
		return;
	}
	label = label_of(point, value);
	if (label) {
		snprintf(text, sizeof(text), "%" PRId64, label->number);
		widen(text, sizeof(text), point->command ? point->command->width : 0);
		put_filled(filling, text, strlen(text));
	} else if (value_text(value)) {
		put_text(filling, value_text(value));
	} else if (number_text(point, value, text)) {
		put_filled(filling, text, strlen(text));
	} else {
		filling->fault = TEMPLATE_NO_TEXT;
	}
}

/* Of what stands before it, from where it covers frames. */
static void
put_checksum(struct filling *filling)
{
	const struct checksum *checksum = &filling->values->bus->checksum;
	size_t from = (size_t)checksum->from, to = filling->length;
	uint8_t written[CHECKSUM_SIZE_MAX];

	if (checksum->type == CHECKSUM_NMEA) {
		for (from = 0; from < to && filling->bytes[from] != '$' && filling->bytes[from] != '!';)
			from++;
		from++;
		to -= to > 0 && filling->bytes[to - 1] == '*';
	}
	if (from > to)
		from = to;
	checksum_write(checksum, checksum_of(checksum->type, filling->bytes + from, to - from), written);
	put_filled(filling, written, checksum_size(checksum));
}

static void
fill(struct filling *filling, const uint8_t *template, size_t length)
{
	for (size_t i = 0; i < length && filling->fault == TEMPLATE_OK;) {
		enum slot slot = slot_at(template + i, length - i);

		if (slot == SLOT_VALUE)
			put_value(filling);
		else if (slot == SLOT_ADDRESS)
			put_filled(filling, filling->values->device->address.data, filling->values->device->address.length);
		else if (slot == SLOT_CHECKSUM)
			put_checksum(filling);
		else
			put(filling, template + i, 1);
		i += slot == SLOTS ? 1 : strlen(slot_names[slot]);
	}
}

enum template_fault
template_fill(const struct bytes *template, const struct template_values *values, uint8_t *ret, size_t *ret_length)
{
	struct filling filling = { .values = values, .bytes = ret };

	fill(&filling, template->data, template->length);
	if (filling.fault == TEMPLATE_OK)
		*ret_length = filling.length;
	return filling.fault;
}

enum template_fault
template_fill_pattern(const char *template, const struct template_values *values, char ret[TEMPLATE_BYTES_MAX])
{
	struct filling filling = { .values = values, .bytes = (uint8_t *)ret, .pattern = true };

	fill(&filling, (const uint8_t *)template, strlen(template));
	if (filling.fault == TEMPLATE_OK && filling.length == TEMPLATE_BYTES_MAX)
		filling.fault = TEMPLATE_TOO_LONG;
	if (filling.fault == TEMPLATE_OK)
		ret[filling.length] = '\0';
	return filling.fault;
}

const char *
template_judge(const struct bytes *template, bool has_value)
{
	for (size_t i = 0; i + 1 < template->length; i++) {
		enum slot slot;

		if (template->data[i] != '$' || template->data[i + 1] != '{')
			continue;
		slot = slot_at(template->data + i, template->length - i);
		if (slot == SLOTS)
			return "has an unknown ${...}, known are ${value}, ${address} and ${checksum}";
		if (slot == SLOT_VALUE && !has_value)
			return "has a ${value}, which only a command has";
	}
	return NULL;
}

const char *
template_fault_text(enum template_fault fault)
{
	static const char *const texts[] = {
		[TEMPLATE_OK] = "can be sent",
		[TEMPLATE_UNSAFE] = "has a character that cannot be sent",
		[TEMPLATE_TOO_LONG] = "is too long to be sent",
		[TEMPLATE_NO_TEXT] = "cannot be written as text",
	};

	return texts[fault];
}
