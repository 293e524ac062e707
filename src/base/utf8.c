#include "base/utf8.h"

/* RFC 3629, 4: by its first byte, how long a character is and what its second byte may be; further ones
 * are 80..BF. */
static const struct {
	unsigned char first, last;
	unsigned char length;
	unsigned char second_min, second_max;
} forms[] = {
	{ .first = 0xc2, .last = 0xdf, .length = 2, .second_min = 0x80, .second_max = 0xbf },
	{ .first = 0xe0, .last = 0xe0, .length = 3, .second_min = 0xa0, .second_max = 0xbf },
	{ .first = 0xe1, .last = 0xec, .length = 3, .second_min = 0x80, .second_max = 0xbf },
	{ .first = 0xed, .last = 0xed, .length = 3, .second_min = 0x80, .second_max = 0x9f },
	{ .first = 0xee, .last = 0xef, .length = 3, .second_min = 0x80, .second_max = 0xbf },
	{ .first = 0xf0, .last = 0xf0, .length = 4, .second_min = 0x90, .second_max = 0xbf },
	{ .first = 0xf1, .last = 0xf3, .length = 4, .second_min = 0x80, .second_max = 0xbf },
	{ .first = 0xf4, .last = 0xf4, .length = 4, .second_min = 0x80, .second_max = 0x8f },
};

size_t
utf8_step(const char *text, size_t length)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t form = 0;

	if (length == 0)
		return 0;
	if (bytes[0] < 0x80)
		return 1;
	while (form < sizeof(forms) / sizeof(forms[0]) && bytes[0] > forms[form].last)
		form++;
	if (form == sizeof(forms) / sizeof(forms[0]) || bytes[0] < forms[form].first)
		return 0;
	if (length < forms[form].length)
		return 0;
	if (bytes[1] < forms[form].second_min || bytes[1] > forms[form].second_max)
		return 0;
	for (size_t i = 2; i < forms[form].length; i++)
		if (bytes[i] < 0x80 || bytes[i] > 0xbf)
			return 0;
	return forms[form].length;
}

bool
utf8_valid(const char *text, size_t length)
{
	size_t at = 0, step;

	while (at < length && (step = utf8_step(text + at, length - at)) > 0)
		at += step;
	return at == length;
}
