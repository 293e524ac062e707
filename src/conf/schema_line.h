/* The groups of settings that only serial instruments have, and the checks of their texts. Part of the table in schema.c. */
#ifndef CONF_SCHEMA_LINE_H
#define CONF_SCHEMA_LINE_H

#include "conf/schema.h"

/* Of a serial port of instruments: whatever its driver can. */
#define LINE_BAUD_MIN 50
#define LINE_BAUD_MAX 4000000

extern const struct setting_group schema_framing;
extern const struct setting_group schema_checksum;
extern const struct setting_group schema_address;
extern const struct setting_group schema_step;
extern const struct setting_group schema_command;

setting_names schema_format_name;

/* Their text lives until the next call. */
setting_check schema_check_pattern; /* PCRE2 */
setting_check schema_check_word;    /* letters, digits and _ */
setting_check schema_check_code;    /* OBIS: digits, letters and - : . * */
setting_check schema_check_pointer; /* RFC 6901 */
setting_check schema_check_ascii;   /* printable ASCII */

#endif
