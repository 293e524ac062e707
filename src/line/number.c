#include "line/number.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define UNIT_MAX     16  /* bytes of the longest unit */
#define EXPONENT_MAX 400 /* beyond that a double is 0 or infinite whatever its digits */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void
number_trim(const char **text, size_t *length)
{
	while (*length > 0 && is_blank(**text)) {
		(*text)++;
		(*length)--;
	}
	while (*length > 0 && is_blank((*text)[*length - 1]))
		(*length)--;
}

/* A place in a text. */
struct scan {
	const char *at;
	const char *end;
};

static void
skip_blanks(struct scan *scan)
{
	while (scan->at < scan->end && is_blank(*scan->at))
		scan->at++;
}

static bool
take_sign(struct scan *scan, bool *negative)
{
	if (scan->at == scan->end || (*scan->at != '+' && *scan->at != '-'))
		return false;
	*negative = *scan->at++ == '-';
	return true;
}

/* Digits before and after the decimal sign. Decimals that 64 bits have no room for are left out; digits before are not. */
static int
take_digits(struct scan *scan, char decimal, struct codec_decimal *number)
{
	bool any = false, fraction = false, full = false;

	for (; scan->at < scan->end; scan->at++) {
		uint64_t next;

		if (*scan->at == decimal && !fraction) {
			fraction = true;
			continue;
		}
		if (!is_digit(*scan->at))
			break;
		any = true;
		if (full)
			continue;
		if (__builtin_mul_overflow(number->magnitude, 10, &next) ||
		    __builtin_add_overflow(next, (uint64_t)(*scan->at - '0'), &next)) {
			if (!fraction)
				return -ERANGE;
			full = true;
			continue;
		}
		number->magnitude = next;
		number->decimals += fraction;
	}
	return any ? 0 : -EINVAL;
}

/* "E-03"; what is no exponent is left to be a unit. */
static void
take_exponent(struct scan *scan, struct codec_decimal *number)
{
	struct scan ahead = *scan;
	bool negative = false;
	int exponent = 0;

	if (ahead.at == ahead.end || (*ahead.at != 'e' && *ahead.at != 'E'))
		return;
	ahead.at++;
	take_sign(&ahead, &negative);
	if (ahead.at == ahead.end || !is_digit(*ahead.at))
		return;
	for (; ahead.at < ahead.end && is_digit(*ahead.at); ahead.at++)
		if (exponent < EXPONENT_MAX)
			exponent = exponent * 10 + *ahead.at - '0';
	number->decimals += negative ? exponent : -exponent;
	*scan = ahead;
}

/* Letters, and what units have besides: "%", "degC" with a degree sign in any encoding, "m3/h", "*kWh". */
static bool
is_unit(const char *text, size_t length, bool after_zero)
{
	if (length > UNIT_MAX || (after_zero && length > 0 && (*text == 'x' || *text == 'X')))
		return false;
	for (size_t i = 0; i < length; i++) {
		bool power = (text[i] == '2' || text[i] == '3') && i > 0 && is_letter(text[i - 1]);
		bool sign = text[i] && strchr("%*/\"'^ .", text[i]) && (i > 0 || text[i] != '.');

		if (!is_letter(text[i]) && (unsigned char)text[i] < 0x80 && !power && !sign)
			return false;
	}
	return true;
}

int
number_parse(const char *text, size_t length, bool decimal_comma, struct codec_decimal *ret, size_t *ret_unit)
{
	struct codec_decimal number = { .magnitude = 0 };
	struct scan scan = { .at = text, .end = text + length };
	bool sign, glued;
	int error;

	while (scan.end > scan.at && is_blank(scan.end[-1]))
		scan.end--;
	skip_blanks(&scan);
	sign = take_sign(&scan, &number.negative);
	skip_blanks(&scan);
	error = take_digits(&scan, decimal_comma ? ',' : '.', &number);
	if (error)
		return error;
	take_exponent(&scan, &number);
	glued = scan.at < scan.end && !is_blank(*scan.at);
	if (!sign)
		take_sign(&scan, &number.negative);
	skip_blanks(&scan);
	if (!is_unit(scan.at, (size_t)(scan.end - scan.at), number.magnitude == 0 && glued))
		return -EINVAL;
	if (number.decimals > EXPONENT_MAX || number.decimals < -EXPONENT_MAX)
		return -ERANGE;
	if (ret_unit)
		*ret_unit = scan.at < scan.end ? (size_t)(scan.at - text) : length;
	*ret = number;
	return 0;
}

int
number_parse_hex(const char *text, size_t length, struct codec_decimal *ret)
{
	uint64_t magnitude = 0;

	number_trim(&text, &length);
	if (length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		text += 2;
		length -= 2;
	}
	if (length == 0)
		return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		char c = (char)(text[i] | 0x20);
		int digit = is_digit(text[i]) ? text[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (digit < 0)
			return -EINVAL;
		if (magnitude >> 60)
			return -ERANGE;
		magnitude = magnitude << 4 | (uint64_t)digit;
	}
	*ret = (struct codec_decimal){ .magnitude = magnitude };
	return 0;
}

int
number_parse_bool(const char *text, size_t length, bool *ret)
{
	static const struct {
		const char *word;
		bool truth;
	} words[] = { { "1", true }, { "0", false }, { "true", true }, { "false", false }, { "on", true },
		{ "off", false }, { "yes", true }, { "no", false } };

	number_trim(&text, &length);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (length == strlen(words[i].word) && strncasecmp(text, words[i].word, length) == 0) {
			*ret = words[i].truth;
			return 0;
		}
	return -EINVAL;
}

int
number_parse_degrees(const char *text, size_t length, char hemisphere, double *ret)
{
	struct codec_decimal number;
	uint64_t unit = 1, whole, degrees;
	size_t rest;
	double minutes, most;
	int error;

	number_trim(&text, &length);
	if (hemisphere == '\0' || !strchr("NSEW", hemisphere))
		return -EINVAL;
	error = number_parse(text, length, false, &number, &rest);
	if (error || rest != length || number.negative || number.decimals < 0 || number.decimals > 15)
		return -EINVAL;
	for (int i = 0; i < number.decimals; i++)
		unit *= 10;
	whole = number.magnitude / unit;
	degrees = whole / 100;
	minutes = (double)(number.magnitude - degrees * 100 * unit) / (double)unit;
	most = hemisphere == 'N' || hemisphere == 'S' ? 90 : 180;
	if (minutes >= 60 || (double)degrees + minutes / 60 > most)
		return -EINVAL;
	*ret = (double)degrees + minutes / 60;
	if (hemisphere == 'S' || hemisphere == 'W')
		*ret = -*ret;
	return 0;
}
