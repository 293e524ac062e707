#include "conf/schema.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool
schema_belongs(const struct setting_row *row, unsigned variant)
{
	return row->only == 0 || (row->only & variant) != 0;
}

const struct setting_row *
schema_find(const struct setting_group *group, const char *name, unsigned variant)
{
	const struct setting_row *other = NULL;

	for (size_t i = 0; i < group->row_count; i++) {
		const struct setting_row *row = &group->rows[i];

		if (strcmp(row->name, name) != 0)
			continue;
		if (schema_belongs(row, variant))
			return row;
		other = row;
	}
	return other;
}

uint64_t
schema_bit(const struct setting_group *group, const struct setting_row *row)
{
	assert(row >= group->rows && row < group->rows + group->row_count && group->row_count <= 64);
	return UINT64_C(1) << (row - group->rows);
}

int
schema_name_find(const struct setting_row *row, const char *name)
{
	for (int i = 0; row->names(i); i++)
		if (strcmp(row->names(i), name) == 0)
			return i;
	return -1;
}

int64_t
schema_characters(const char *text)
{
	int64_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xC0) == 0x80 ? 0 : (unsigned char)*text >= 0xF0 ? 2 : 1;
	return count;
}

/* How many letters must be changed, added, left out or swapped with their neighbour to make one name of the
 * other. */
static size_t
distance(const char *a, const char *b)
{
	enum { LONGEST = 32 };
	size_t rows[3][LONGEST + 1];
	size_t a_length = strlen(a), b_length = strlen(b);
	size_t *before = rows[0], *last = rows[1], *now = rows[2];

	if (a_length > LONGEST || b_length > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= b_length; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *spare = before;

		now[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t cost = last[j - 1] +
				      (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));

			cost = last[j] + 1 < cost ? last[j] + 1 : cost;
			cost = now[j - 1] + 1 < cost ? now[j - 1] + 1 : cost;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < cost)
				cost = before[j - 2] + 1;
			now[j] = cost;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[b_length];
}

const char *
schema_nearest(const struct setting_group *group, const char *name, unsigned variant)
{
	const char *nearest = NULL;
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < group->row_count; i++) {
		const struct setting_row *row = &group->rows[i];
		size_t shorter = strlen(row->name) < strlen(name) ? strlen(row->name) : strlen(name);
		size_t far = distance(row->name, name);

		/* "timeout" and "timeout_ms", "address" and "addr" */
		if (shorter >= 3 && strncasecmp(row->name, name, shorter) == 0)
			far = far < 1 ? far : 1;
		if (schema_belongs(row, variant) && far < least && far <= 1 + shorter / 4 && far < shorter) {
			nearest = row->name;
			least = far;
		}
	}
	return nearest;
}

/* Appends; what does not fit is left out. */
static void __attribute__((format(printf, 3, 4))) append(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

const char *
schema_allowed(const struct setting_row *row, char *text, size_t size)
{
	text[0] = '\0';
	switch (row->kind) {
	case SETTING_BOOL:
		append(text, size, "true, false");
		break;
	case SETTING_NAME:
	case SETTING_SET:
		for (int i = 0; row->names(i); i++)
			append(text, size, "%s%s", i > 0 ? ", " : "", row->names(i));
		break;
	case SETTING_INT:
	case SETTING_INTS:
		for (const int *choice = row->choices; choice && *choice; choice++)
			append(text, size, "%s%d", choice > row->choices ? ", " : "", *choice);
		if (!row->choices && row->min == INT64_MIN)
			append(text, size, "-2^63..2^63-1");
		else if (!row->choices)
			append(text, size, "%lld..%lld", (long long)row->min, (long long)row->max);
		break;
	case SETTING_NUMBER:
		if (row->max == INT64_MAX)
			append(text, size, "%lld or more", (long long)row->min);
		break;
	case SETTING_TEXT:
	case SETTING_TEXTS:
		append(text, size, "%lld..%lld characters", (long long)row->min, (long long)row->max);
		break;
	case SETTING_BYTES:
	case SETTING_BYTE_LIST:
		append(text, size, "%lld..%lld bytes", (long long)row->min, (long long)row->max);
		break;
	case SETTING_GROUP:
	case SETTING_LIST:
	case SETTING_VALUE:
	case SETTING_LABELS:
		break;
	}
	return text;
}

/* What a value of the row is called, without article. */
static const char *
kind_text(const struct setting_row *row)
{
	static const char *const texts[] = {
		[SETTING_BOOL] = "true or false",
		[SETTING_INT] = "whole number",
		[SETTING_NUMBER] = "number",
		[SETTING_TEXT] = "text of",
		[SETTING_NAME] = "one of",
		[SETTING_SET] = "list of",
		[SETTING_GROUP] = "group { ... }",
		[SETTING_LIST] = "list ( { ... }, ... )",
		[SETTING_INTS] = "whole number, or list ( ... ) of them",
		[SETTING_VALUE] = "truth value, number or text",
		[SETTING_BYTES] = "text of",
		[SETTING_BYTE_LIST] = "text, or list ( ... ) of texts, of",
		[SETTING_TEXTS] = "text, or list ( ... ) of texts, of",
		[SETTING_LABELS] = "group { label = number; ... }",
	};

	return row->choices ? row->choices[1] ? "one of" : "only" : texts[row->kind];
}

const char *
schema_wanted(const struct setting_row *row, char *text, size_t size)
{
	bool article = row->kind != SETTING_BOOL && row->kind != SETTING_NAME && !row->choices;
	char allowed[SCHEMA_TEXT_SIZE];

	schema_allowed(row, allowed, sizeof(allowed));
	text[0] = '\0';
	append(text, size, "%s%s", article ? "a " : "", kind_text(row));
	if (row->kind != SETTING_BOOL && allowed[0] && row->min != INT64_MIN)
		append(text, size, " %s", allowed);
	return text;
}

const char *
schema_manual(const struct setting_row *row, char *text, size_t size)
{
	const char *preset = row->preset_about ? row->preset_about : row->preset;
	char wanted[SCHEMA_TEXT_SIZE];

	schema_wanted(row, wanted, sizeof(wanted));
	text[0] = '\0';
	append(text, size, "%s", strncmp(wanted, "a ", 2) == 0 ? wanted + 2 : wanted);
	text[0] = (char)toupper((unsigned char)text[0]);
	if (row->unit)
		append(text, size, " %s", row->unit);
	append(text, size, "; %s%s.",
	    row->required ? "required"
	    : preset	  ? "default "
			  : "optional",
	    row->required || !preset ? "" : preset);
	return text;
}
