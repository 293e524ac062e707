/* What the tables of rows, schema_NOUN.c, have in common: limits, and the checks that more than one of them
 * needs. For those tables only.
 */
#ifndef CONF_SCHEMA_ROWS_H
#define CONF_SCHEMA_ROWS_H

#include "conf/schema.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Where a row's value goes. */
#define INTO(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

#define NAME_CHARACTERS	  64
#define KEY_CHARACTERS	  255 /* ThingsBoard drops data with longer keys, after it has acknowledged them */
#define HOST_CHARACTERS	  253 /* RFC 1035 2.3.4, as text */
#define PATH_CHARACTERS	  4095
#define METHOD_CHARACTERS 255
#define SECRET_CHARACTERS 255

/* Of a serial port of instruments: whatever its driver can. */
#define LINE_BAUD_MIN 50
#define LINE_BAUD_MAX 4000000

setting_check schema_check_printable; /* UTF-8 without control characters, not blank */
setting_check schema_check_host;      /* the same without a port or what else an URL has */
setting_check schema_check_no_blanks; /* the same without blanks */
setting_check schema_check_file;      /* a path that is not a folder's */
setting_check schema_check_pattern;   /* PCRE2; what it says lives until the next call */
setting_check schema_check_word;      /* letters, digits and _ */
setting_check schema_check_code;      /* OBIS: digits, letters and - : . * */
setting_check schema_check_pointer;   /* RFC 6901 */
setting_check schema_check_ascii;     /* begins with a printable ASCII character */

#endif
