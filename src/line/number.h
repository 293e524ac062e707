/* Numbers, truth values and texts as serial instruments write them. Pure; nothing here asks a locale. */
#ifndef LINE_NUMBER_H
#define LINE_NUMBER_H

#include "model/codec.h"

#include <stdbool.h>
#include <stddef.h>

/* Read all of the text as a number: blanks, sign before or after, digits, decimals, exponent, a unit. "+ 12.345kg", "12.5-",
 * "1,5 %" with decimal_comma, "1.2E-03 V", "001234.567*kWh". What is not all number and unit is no number: "OL", "12:30", "1.2.3",
 * "<5", "0x1F", "1 234".
 * ret_unit  where the unit begins, in `text`; the length of the text if there is none (NULL if nobody wants it)
 * Returns 0; -EINVAL for no number; -ERANGE for one that is beyond 64 bits and not just long in decimals. */
int number_parse(const char *text, size_t length, bool decimal_comma, struct codec_decimal *ret, size_t *ret_unit);

/* Hexadecimal digits, with 0x or without, up to 64 bits. Returns 0; -EINVAL; -ERANGE. */
int number_parse_hex(const char *text, size_t length, struct codec_decimal *ret);

/* 1, 0, true, false, on, off, yes, no, in any case. Returns 0 or -EINVAL. */
int number_parse_bool(const char *text, size_t length, bool *ret);

/* NMEA 0183: degrees and minutes, "4807.038" or "01131.000", which are 48 and 11 degrees; hemisphere N, S, E or W.
 * Returns 0 with degrees -180..180; -EINVAL. */
int number_parse_degrees(const char *text, size_t length, char hemisphere, double *ret);

/* Without the blanks around it. */
void number_trim(const char **text, size_t *length);

#endif
