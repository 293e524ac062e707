#include <config.h>

#include "conf/syntax.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define LINE_MAX_BYTES 512 /* what is looked at of one */

/* The line without its comment, and with blanks in place of what stands in quotes. */
static struct syntax_line
outside_of_texts(struct syntax_line line, char text[LINE_MAX_BYTES])
{
	bool inside = false;
	size_t used = 0;

	while (used < line.length && used < LINE_MAX_BYTES && (inside || line.text[used] != '#')) {
		bool quote = line.text[used] == '"';
		bool escaped = inside && used > 0 && line.text[used - 1] == '\\';

		text[used] = ' ';
		if (quote || !inside)
			text[used] = line.text[used];
		if (quote && !escaped)
			inside = !inside;
		used++;
	}
	return (struct syntax_line){ .text = text, .length = used };
}

static bool
has(struct syntax_line line, const char *text)
{
	return line.length > 0 && memmem(line.text, line.length, text, strlen(text)) != NULL;
}

/* What an editor for letters makes of ", or a web page has: “ ” „ ‘ ’ « ». */
static bool
has_foreign_quotes(struct syntax_line line)
{
	static const char *const quotes[] = { "\xe2\x80\x9c", "\xe2\x80\x9d", "\xe2\x80\x9e", "\xe2\x80\x98", "\xe2\x80\x99",
		"\xc2\xab", "\xc2\xbb" };

	for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++)
		if (has(line, quotes[i]))
			return true;
	return false;
}

static size_t
skip_blanks(struct syntax_line line, size_t at)
{
	while (at < line.length && isspace((unsigned char)line.text[at]))
		at++;
	return at;
}

/* The value after an '=' from `at` on; the line's length if there is none. */
static size_t
find_value(struct syntax_line line, size_t at)
{
	const char *equals = at < line.length ? memchr(line.text + at, '=', line.length - at) : NULL;

	return equals ? skip_blanks(line, (size_t)(equals - line.text) + 1) : line.length;
}

static size_t
count_digits(struct syntax_line line, size_t at)
{
	size_t end = at;

	while (end < line.length && isdigit((unsigned char)line.text[end]))
		end++;
	return end - at;
}

/* "scale = 0,1" */
static bool
has_decimal_comma(struct syntax_line line)
{
	for (size_t at = find_value(line, 0); at < line.length; at = find_value(line, at)) {
		size_t digits;

		if (line.text[at] == '-' || line.text[at] == '+')
			at++;
		digits = count_digits(line, at);
		at += digits;
		if (digits > 0 && at < line.length && line.text[at] == ',' && count_digits(line, at + 1) > 0)
			return true;
	}
	return false;
}

/* "name = Boiler" */
static bool
has_bare_word(struct syntax_line line)
{
	for (size_t at = find_value(line, 0); at < line.length; at = find_value(line, at)) {
		size_t end = at;

		while (end < line.length && (isalnum((unsigned char)line.text[end]) || strchr("_-./:", line.text[end])))
			end++;
		if (end > at && (isalpha((unsigned char)line.text[at]) || line.text[at] == '/') &&
		    !(end - at == 4 && strncasecmp(line.text + at, "true", 4) == 0) &&
		    !(end - at == 5 && strncasecmp(line.text + at, "false", 5) == 0))
			return true;
	}
	return false;
}

static char
last_character(struct syntax_line line)
{
	size_t length = line.length;

	while (length > 0 && isspace((unsigned char)line.text[length - 1]))
		length--;
	if (length == 0)
		return '\0';
	return line.text[length - 1];
}

static bool
lacks_comma(struct syntax_line line, struct syntax_line above)
{
	size_t at = skip_blanks(line, 0);

	return at < line.length && line.text[at] == '{' && last_character(above) == '}';
}

const char *
syntax_hint(struct syntax_line line, struct syntax_line above)
{
	char text[LINE_MAX_BYTES], text_above[LINE_MAX_BYTES];

	line = outside_of_texts(line, text);
	above = outside_of_texts(above, text_above);
	if (has_foreign_quotes(line))
		return "quotes are \", not the ones that stand here";
	if (lacks_comma(line, above))
		return "a comma is missing between } and { of a list";
	if (has_decimal_comma(line))
		return "a number has a decimal point, not a comma";
	if (has_bare_word(line))
		return "a text stands in quotes, \"...\"";
	return "look for a missing ';', ',', '=', quote or bracket";
}
