#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "conf/schema_rows.h"
#include "line/pattern.h"

const char *
schema_check_printable(union setting_value value)
{
	for (const char *at = value.text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			return "has a control character, printable text is required";
	if (!utf8_valid(value.text, strlen(value.text)))
		return "is no valid UTF-8, text in UTF-8 is required";
	if (value.text[strspn(value.text, " ")] == '\0')
		return "is blank, text is required";
	return NULL;
}

const char *
schema_check_no_blanks(union setting_value value)
{
	return strchr(value.text, ' ') ? "has a blank, printable text without blanks is required"
				       : schema_check_printable(value);
}

/* What was copied from a browser, or from the one line that other programs have for both. */
const char *
schema_check_host(union setting_value value)
{
	const char *colon = strchr(value.text, ':');

	if (strchr(value.text, '/'))
		return "is an URL or a path, only the name or the address in it is required";
	if (colon && !strchr(colon + 1, ':'))
		return "has a port in it, only the name or the address is required: port is a setting of its own";
	return schema_check_no_blanks(value);
}

const char *
schema_check_file(union setting_value value)
{
	return value.text[strlen(value.text) - 1] == '/' ? "is a folder, the name of a file is required"
							 : schema_check_printable(value);
}

const char *
schema_check_pattern(union setting_value value)
{
	static char text[PATTERN_TEXT_MAX + 96];
	char wrong[PATTERN_TEXT_MAX] = "no memory";
	struct pattern *pattern;

	if (pattern_new(value.text, &pattern, wrong) == 0) {
		pattern_free(pattern);
		return NULL;
	}
	snprintf(text, sizeof(text), "is no pattern: %s; a regular expression as PCRE2 has them is required", wrong);
	return text;
}

static const char *
check_letters(const char *text, const char *also, const char *wrong)
{
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr(also, *text))
			return wrong;
	return NULL;
}

const char *
schema_check_word(union setting_value value)
{
	return check_letters(value.text, "_", "has other characters than letters, digits and _, only those are allowed");
}

const char *
schema_check_code(union setting_value value)
{
	return check_letters(value.text, "-:.*&", "is no OBIS code, one such as 1-0:1.8.0 or 1.8.0 is required");
}

const char *
schema_check_pointer(union setting_value value)
{
	return value.text[0] == '/' ? NULL : "is no JSON pointer, one such as /sensors/0/temperature is required";
}

const char *
schema_check_ascii(union setting_value value)
{
	return isprint((unsigned char)value.text[0]) ? NULL : "is not printable, a printable character is required";
}
