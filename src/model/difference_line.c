#include "model/difference_line.h"

#include <string.h>

/* As in difference.c. */
#define ALIKE(member)	    (a->member == b->member)
#define ALIKE_TEXT(member)  same_text(a->member, b->member)
#define ALIKE_BYTES(member) same_bytes(&a->member, &b->member)

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool
same_bytes(const struct bytes *a, const struct bytes *b)
{
	return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

static bool
same_framing(const struct framing *a, const struct framing *b)
{
	if (!ALIKE(type) || !ALIKE(end_count) || !ALIKE_BYTES(start) || !ALIKE(length) || !ALIKE(tail) || !ALIKE(length_at) ||
	    !ALIKE(length_size) || !ALIKE(length_little) || !ALIKE(length_plus) || !ALIKE_TEXT(start_pattern) ||
	    !ALIKE_TEXT(end_pattern) || !ALIKE(gap_ms) || !ALIKE(max_bytes))
		return false;
	for (size_t i = 0; i < a->end_count; i++)
		if (!ALIKE_BYTES(ends[i]))
			return false;
	return true;
}

static bool
same_checksum(const struct checksum *a, const struct checksum *b)
{
	return ALIKE(type) && ALIKE(form) && ALIKE(little) && ALIKE(from) && ALIKE(to) && ALIKE(at);
}

static bool
same_field(const struct line_field *a, const struct line_field *b)
{
	if (!a || !b)
		return a == b;
	if (!ALIKE(source) || !ALIKE(format) || !ALIKE_TEXT(sentence) || !ALIKE_TEXT(text) || !ALIKE_TEXT(group) ||
	    !ALIKE(column) || !ALIKE(at) || !ALIKE(length) || !ALIKE_TEXT(separator) || !ALIKE(assign) ||
	    !ALIKE(decimal_comma) || !ALIKE(no_value_count) || !ALIKE(period_ms))
		return false;
	for (size_t i = 0; i < a->no_value_count; i++)
		if (!ALIKE_TEXT(no_values[i]))
			return false;
	return true;
}

static bool
same_step(const struct line_step *a, const struct line_step *b)
{
	return ALIKE(baud) && ALIKE_BYTES(send) && ALIKE_TEXT(expect) && ALIKE(frame) && ALIKE(timeout_ms) && ALIKE(delay_ms);
}

static bool
same_script(const struct line_script *a, const struct line_script *b)
{
	if (!ALIKE(count))
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!same_step(&a->steps[i], &b->steps[i]))
			return false;
	return true;
}

bool
difference_line_bus(const struct bus *a, const struct bus *b)
{
	return !ALIKE_TEXT(path) || !ALIKE(flow) || !ALIKE(dtr) || !ALIKE(rts) || !same_framing(&a->framing, &b->framing) ||
	       !same_checksum(&a->checksum, &b->checksum) || !same_field(a->address, b->address) ||
	       !same_script(&a->on_open, &b->on_open) || !same_script(&a->on_close, &b->on_close);
}

bool
difference_line_device(const struct device *a, const struct device *b)
{
	return !ALIKE_TEXT(pattern) || !ALIKE_BYTES(address) || !ALIKE(silence_s) || !same_script(&a->poll, &b->poll) ||
	       (a->poll.count > 0 && !ALIKE(period_ms));
}

bool
difference_line_reading(const struct point *a, const struct point *b)
{
	return !same_field(a->line, b->line);
}

bool
difference_line_writing(const struct point *point, const struct point *other)
{
	const struct line_command *a = point->command, *b = other->command;

	if (!a || !b)
		return a != b;
	return !ALIKE_BYTES(send) || !ALIKE_TEXT(expect) || !ALIKE_TEXT(refuse) || !ALIKE(timeout_ms) || !ALIKE(escape) ||
	       !ALIKE(width) || !ALIKE(decimals);
}
