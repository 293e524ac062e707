#include <config.h>

#include <errno.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "conf/document.h"
#include "conf/mistakes.h"

/* Kept for sorting; a file with more than that is not a configuration with mistakes, it is something else. */
#define MISTAKES_MAX_KEPT (2 * MISTAKES_MAX_SHOWN)

#define NAME_SHOWN 64 /* of names that are too long to be ours */

void
mistakes_init(struct mistakes *mistakes, const struct document *document)
{
	memset(mistakes, 0, sizeof(*mistakes));
	mistakes->document = document;
}

void
mistakes_done(struct mistakes *mistakes)
{
	for (size_t i = 0; i < mistakes->count; i++)
		free(mistakes->list[i].text);
	free(mistakes->list);
	mistakes->list = NULL;
	mistakes->count = mistakes->capacity = 0;
}

bool
mistakes_any(const struct mistakes *mistakes)
{
	return mistakes->count > 0 || mistakes->uncounted > 0;
}

static bool
make_room(struct mistakes *mistakes)
{
	size_t capacity = mistakes->capacity ? 2 * mistakes->capacity : 16;
	struct mistake *list;

	if (mistakes->count < mistakes->capacity)
		return true;
	list = realloc(mistakes->list, capacity * sizeof(*list));
	if (!list) {
		mistakes->no_memory = true;
		return false;
	}
	mistakes->list = list;
	mistakes->capacity = capacity;
	return true;
}

/* Takes `text`, NULL if there was no memory for it. */
static void
keep(struct mistakes *mistakes, size_t flat, char *text)
{
	if (!text)
		mistakes->no_memory = true;
	else if (make_room(mistakes)) {
		mistakes->list[mistakes->count] =
		    (struct mistake){ .flat = flat, .sequence = mistakes->count, .text = text };
		mistakes->count++;
		return;
	}
	free(text);
}

static bool
is_full(struct mistakes *mistakes)
{
	if (mistakes->count < MISTAKES_MAX_KEPT)
		return false;
	mistakes->uncounted++;
	return true;
}

/* devices[2].points[4] */
static void
print_path(FILE *out, const config_setting_t *setting)
{
	const config_setting_t *parent = config_setting_parent(setting);

	if (!parent)
		return;
	print_path(out, parent);
	if (config_setting_name(setting))
		fprintf(out, "%s%.*s", config_setting_parent(parent) ? "." : "", NAME_SHOWN,
		    config_setting_name(setting));
	else
		fprintf(out, "[%d]", config_setting_index(setting));
}

static size_t
flat_of(const config_setting_t *setting)
{
	/* The root has no line of its own. */
	return config_setting_source_line(setting) ? config_setting_source_line(setting) : 1;
}

void
mistakes_add(
    struct mistakes *mistakes, const config_setting_t *setting, const char *name, const char *format, ...)
{
	const config_setting_t *member;
	char *text = NULL;
	size_t size = 0, flat;
	FILE *out;
	va_list args;

	if (is_full(mistakes))
		return;
	member = name ? config_setting_get_member(setting, name) : NULL;
	flat = flat_of(member ? member : setting);
	out = open_memstream(&text, &size);
	if (!out) {
		mistakes->no_memory = true;
		return;
	}
	fprintf(
	    out, "%s:%u: ", document_file(mistakes->document, flat), document_line(mistakes->document, flat));
	print_path(out, setting);
	if (name)
		fprintf(out, "%s%.*s", config_setting_parent(setting) ? "." : "", NAME_SHOWN, name);
	if (name || config_setting_parent(setting))
		fputs(": ", out);
	va_start(args, format);
	vfprintf(out, format, args);
	va_end(args);
	if (fclose(out) != 0) {
		free(text);
		text = NULL;
	}
	keep(mistakes, flat, text);
}

void
mistakes_add_line(struct mistakes *mistakes, size_t flat, const char *format, ...)
{
	const struct document *document = mistakes->document;
	char *what = NULL, *text = NULL;
	va_list args;

	if (is_full(mistakes))
		return;
	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		what = NULL;
	va_end(args);
	if (what && asprintf(&text, "%s:%u: %s", document_file(document, flat), document_line(document, flat),
			what) < 0)
		text = NULL;
	free(what);
	keep(mistakes, flat, text);
}

void
mistakes_add_file(struct mistakes *mistakes, const char *path, const char *format, ...)
{
	char *what = NULL, *text = NULL;
	va_list args;

	if (is_full(mistakes))
		return;
	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		what = NULL;
	va_end(args);
	if (what && asprintf(&text, "%s: %s", path, what) < 0)
		text = NULL;
	free(what);
	keep(mistakes, 0, text);
}

static int
compare(const void *left, const void *right)
{
	const struct mistake *a = left, *b = right;

	if (a->flat != b->flat)
		return a->flat < b->flat ? -1 : 1;
	return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

int
mistakes_take(struct mistakes *mistakes, char ***ret_lines, size_t *ret_count)
{
	size_t shown = mistakes->count < MISTAKES_MAX_SHOWN ? mistakes->count : MISTAKES_MAX_SHOWN;
	size_t more = mistakes->count - shown + mistakes->uncounted;
	char *last = NULL;
	char **lines;

	if (mistakes->no_memory)
		return -ENOMEM;
	lines = calloc(shown + 1, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	if (more > 0 && asprintf(&last, "and %zu more", more) < 0) {
		free(lines);
		return -ENOMEM;
	}
	if (mistakes->count > 0)
		qsort(mistakes->list, mistakes->count, sizeof(mistakes->list[0]), compare);
	for (size_t i = 0; i < shown; i++) {
		lines[i] = mistakes->list[i].text;
		mistakes->list[i].text = NULL;
	}
	if (last)
		lines[shown] = last;
	*ret_lines = lines;
	*ret_count = shown + (more > 0);
	return 0;
}

const char *
mistakes_quote(const char *text, char shown[MISTAKES_QUOTE_SIZE])
{
	const size_t limit = MISTAKES_QUOTE_SIZE - sizeof("...\"");
	size_t used = 0, length = strlen(text);

	shown[used++] = '"';
	while (length > 0) {
		size_t step = utf8_step(text, length);
		bool visible = step > 0 && (unsigned char)*text >= ' ' && *text != 127;

		if (step == 0)
			step = 1;
		if (used + step > limit) {
			memcpy(shown + used, "...", 3);
			used += 3;
			break;
		}
		if (visible)
			memcpy(shown + used, text, step);
		else
			memset(shown + used, '?', step);
		used += step;
		text += step;
		length -= step;
	}
	shown[used++] = '"';
	shown[used] = '\0';
	return shown;
}

const char *
mistakes_also(const struct mistakes *mistakes, const config_setting_t *here, const config_setting_t *there,
    char also[MISTAKES_ALSO_SIZE])
{
	const struct document *document = mistakes->document;
	const char *file = document_file(document, flat_of(there));
	unsigned line = document_line(document, flat_of(there));

	if (strcmp(file, document_file(document, flat_of(here))) == 0)
		snprintf(also, MISTAKES_ALSO_SIZE, "line %u", line);
	else
		snprintf(also, MISTAKES_ALSO_SIZE, "%s:%u", file, line);
	return also;
}
