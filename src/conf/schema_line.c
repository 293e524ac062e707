#include <string.h>

#include "conf/schema_rows.h"
#include "line/checksum.h"
#include "line/frame.h"
#include "line/pattern.h"

#define DELIMITER    (1U << FRAMING_DELIMITER)
#define FIXED	     (1U << FRAMING_FIXED)
#define START_END    (1U << FRAMING_START_END)
#define LENGTH_FIELD (1U << FRAMING_LENGTH_FIELD)
#define SILENCE	     (1U << FRAMING_SILENCE)
#define TELEGRAM     (1U << FRAMING_TELEGRAM)

#define MARK_BYTES 16   /* of a delimiter, a start or an end */
#define SEND_BYTES 1024

/* Checks. */

/* Where nothing is filled in, ${address} would be an end of the text and eight letters behind it, which is never there. */
static const char *
check_not_slots(union setting_value value)
{
	return strstr(value.text, "${") ? "has a ${...}, which only send and the expect of a command have, leave it out"
					: schema_check_pattern(value);
}

/* Names. */

static const char *
framing_name(int number)
{
	static const char *const names[] = { [FRAMING_DELIMITER] = "delimiter",
		[FRAMING_FIXED] = "fixed",
		[FRAMING_START_END] = "start-end",
		[FRAMING_LENGTH_FIELD] = "length-field",
		[FRAMING_SILENCE] = "silence",
		[FRAMING_TELEGRAM] = "telegram" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
checksum_name(int number)
{
	return number < CHECKSUMS ? checksum_row((enum checksum_type)number)->name : NULL;
}

static const char *
form_name(int number)
{
	return number < CHECKSUM_FORMS ? checksum_form_name((enum checksum_form)number) : NULL;
}

static const char *
byte_order_name(int number)
{
	static const char *const names[] = { [BYTES_BIG] = "big", [BYTES_LITTLE] = "little" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
escape_name(int number)
{
	static const char *const names[ESCAPES] = {
		[ESCAPE_NONE] = "none", [ESCAPE_QUOTES] = "quotes", [ESCAPE_JSON] = "json"
	};

	return number < ESCAPES ? names[number] : NULL;
}

static const int length_sizes[] = { 1, 2, 4, 0 };

/* Rows. */

static const struct setting_row framing_rows[] = {
	{ .name = "type",
	    .about = "how a frame begins and ends",
	    .kind = SETTING_NAME,
	    .names = framing_name,
	    .required = true,
	    .selects = true,
	    INTO(struct framing_input, framing.type) },
	{ .name = "end",
	    .about = "what ends a line; of several, whichever comes",
	    .kind = SETTING_BYTE_LIST,
	    .min = 1,
	    .max = MARK_BYTES,
	    .preset_about = "CR and LF",
	    .only = DELIMITER | TELEGRAM,
	    INTO(struct framing_input, ends) },
	{ .name = "end",
	    .about = "what ends a frame; of several, whichever comes",
	    .kind = SETTING_BYTE_LIST,
	    .min = 1,
	    .max = MARK_BYTES,
	    .required = true,
	    .only = START_END,
	    INTO(struct framing_input, ends) },
	{ .name = "start",
	    .about = "what a frame begins with",
	    .kind = SETTING_BYTES,
	    .min = 1,
	    .max = MARK_BYTES,
	    .required = true,
	    .only = START_END,
	    INTO(struct framing_input, framing.start) },
	{ .name = "start",
	    .about = "what a frame begins with",
	    .kind = SETTING_BYTES,
	    .min = 1,
	    .max = MARK_BYTES,
	    .preset_about = "anything",
	    .only = FIXED | LENGTH_FIELD,
	    INTO(struct framing_input, framing.start) },
	{ .name = "tail",
	    .about = "bytes of the frame behind its end, such as a check character",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 64,
	    .preset = "0",
	    .only = START_END,
	    INTO(struct framing_input, framing.tail) },
	{ .name = "length",
	    .about = "bytes of a frame",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = LINE_FRAME_MAX,
	    .required = true,
	    .only = FIXED,
	    INTO(struct framing_input, framing.length) },
	{ .name = "length_at",
	    .about = "the byte of the frame that its length begins with; 0 is the first",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 255,
	    .required = true,
	    .only = LENGTH_FIELD,
	    INTO(struct framing_input, framing.length_at) },
	{ .name = "length_size",
	    .about = "bytes of the length",
	    .kind = SETTING_INT,
	    .choices = length_sizes,
	    .preset = "1",
	    .only = LENGTH_FIELD,
	    INTO(struct framing_input, framing.length_size) },
	{ .name = "length_order",
	    .about = "which of them comes first: big is the most significant",
	    .kind = SETTING_NAME,
	    .names = byte_order_name,
	    .preset = "big",
	    .only = LENGTH_FIELD,
	    INTO(struct framing_input, length_order) },
	{ .name = "length_plus",
	    .about = "bytes of the frame that its length does not count",
	    .kind = SETTING_INT,
	    .min = -255,
	    .max = 255,
	    .preset = "0",
	    .only = LENGTH_FIELD,
	    INTO(struct framing_input, framing.length_plus) },
	{ .name = "start_pattern",
	    .about = "a regular expression that the first line matches",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATTERN_CHARACTERS,
	    .required = true,
	    .check = schema_check_pattern,
	    .only = TELEGRAM,
	    INTO(struct framing_input, framing.start_pattern) },
	{ .name = "end_pattern",
	    .about = "a regular expression that the last line matches",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATTERN_CHARACTERS,
	    .required = true,
	    .check = schema_check_pattern,
	    .only = TELEGRAM,
	    INTO(struct framing_input, framing.end_pattern) },
	{ .name = "gap_ms",
	    .about = "what comes after so long a pause is another frame",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 60000,
	    .required = true,
	    .unit = "ms",
	    .only = SILENCE,
	    INTO(struct framing_input, framing.gap_ms) },
	{ .name = "gap_ms",
	    .about = "a frame that is not complete after so long a pause is dropped; 0: it is waited for",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 60000,
	    .preset = "1000",
	    .unit = "ms",
	    .only = DELIMITER | FIXED | START_END | LENGTH_FIELD | TELEGRAM,
	    INTO(struct framing_input, framing.gap_ms) },
	{ .name = "max_bytes",
	    .about = "what is longer is no frame",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = LINE_FRAME_MAX,
	    .preset = "4096",
	    .unit = "bytes",
	    INTO(struct framing_input, framing.max_bytes) },
};

const struct setting_group schema_framing = { .name = "framing",
	.rows = framing_rows,
	.row_count = COUNT(framing_rows),
	.size = sizeof(struct framing_input) };

static const struct setting_row checksum_rows[] = {
	{ .name = "type",
	    .about = "how it is worked out",
	    .kind = SETTING_NAME,
	    .names = checksum_name,
	    .required = true,
	    INTO(struct checksum_input, checksum.type) },
	{ .name = "form",
	    .about = "how it is written in the frame",
	    .kind = SETTING_NAME,
	    .names = form_name,
	    .preset_about = "binary, and hex with nmea",
	    INTO(struct checksum_input, checksum.form) },
	{ .name = "order",
	    .about = "which of its bytes comes first in binary: big is the most significant",
	    .kind = SETTING_NAME,
	    .names = byte_order_name,
	    .preset_about = "that of the type",
	    INTO(struct checksum_input, order) },
	{ .name = "from",
	    .about = "the first byte of the frame that it covers; 0 is the first of all",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 255,
	    .preset = "0",
	    INTO(struct checksum_input, checksum.from) },
	{ .name = "to",
	    .about = "the first byte that it does not cover any more; negative: counted from the end of the frame",
	    .kind = SETTING_INT,
	    .min = -255,
	    .max = 255,
	    .preset_about = "the checksum itself",
	    INTO(struct checksum_input, checksum.to) },
	{ .name = "at",
	    .about = "its first byte in the frame; negative: counted from the end of the frame",
	    .kind = SETTING_INT,
	    .min = -255,
	    .max = 255,
	    .preset_about = "it is the last thing in the frame",
	    INTO(struct checksum_input, checksum.at) },
};

const struct setting_group schema_checksum = { .name = "checksum",
	.rows = checksum_rows,
	.row_count = COUNT(checksum_rows),
	.size = sizeof(struct checksum_input) };

static const struct setting_row address_rows[] = {
	{ .name = "column",
	    .about = "the address is this column of a line; 0 is the first",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 255,
	    .preset_about = "none",
	    INTO(struct address_input, field.field.column) },
	{ .name = "separator",
	    .about = "what is between two columns; a blank stands for any number of them",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = 8,
	    .preset = ",",
	    INTO(struct address_input, field.field.separator) },
	{ .name = "pattern",
	    .about = "a regular expression whose first group is the address",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATTERN_CHARACTERS,
	    .check = schema_check_pattern,
	    INTO(struct address_input, field.pattern) },
	{ .name = "json",
	    .about = "where in a JSON text it is, as a JSON pointer",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = 255,
	    .check = schema_check_pointer,
	    INTO(struct address_input, field.json) },
	{ .name = "at",
	    .about = "the byte of the frame that it begins with; 0 is the first",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 65535,
	    .preset_about = "none",
	    INTO(struct address_input, field.field.at) },
	{ .name = "length",
	    .about = "bytes of it there",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 64,
	    .preset = "1",
	    INTO(struct address_input, field.field.length) },
};

const struct setting_group schema_address = { .name = "address",
	.rows = address_rows,
	.row_count = COUNT(address_rows),
	.size = sizeof(struct address_input) };

static const struct setting_row step_rows[] = {
	{ .name = "baud",
	    .about = "the speed from here to the end of the script",
	    .kind = SETTING_INT,
	    .min = LINE_BAUD_MIN,
	    .max = LINE_BAUD_MAX,
	    .preset_about = "as it is",
	    INTO(struct script_step_input, step.baud) },
	{ .name = "send",
	    .about = "what is sent; ${address} and ${checksum} stand for those",
	    .kind = SETTING_BYTES,
	    .min = 1,
	    .max = SEND_BYTES,
	    INTO(struct script_step_input, step.send) },
	{ .name = "expect",
	    .about = "a regular expression that what comes must match",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATTERN_CHARACTERS,
	    .check = check_not_slots,
	    INTO(struct script_step_input, step.expect) },
	{ .name = "frame",
	    .about = "wait for a good frame of the device",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct script_step_input, step.frame) },
	{ .name = "timeout_ms",
	    .about = "longest wait for what is expected",
	    .kind = SETTING_INT,
	    .min = 10,
	    .max = 60000,
	    .preset_about = "the bus's",
	    .unit = "ms",
	    INTO(struct script_step_input, step.timeout_ms) },
	{ .name = "delay_ms",
	    .about = "pause at the end of the step",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 60000,
	    .preset = "0",
	    .unit = "ms",
	    INTO(struct script_step_input, step.delay_ms) },
};

const struct setting_group schema_script_step = { .name = "script step",
	.rows = step_rows,
	.row_count = COUNT(step_rows),
	.size = sizeof(struct script_step_input) };

static const struct setting_row command_rows[] = {
	{ .name = "send",
	    .about = "what is sent; ${value}, ${address} and ${checksum} stand for those",
	    .kind = SETTING_BYTES,
	    .min = 1,
	    .max = SEND_BYTES,
	    .required = true,
	    INTO(struct command_input, command.send) },
	{ .name = "expect",
	    .about = "a regular expression that the answer matches if it is done; ${value} stands for itself",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATTERN_CHARACTERS,
	    .required = true,
	    .check = schema_check_pattern,
	    INTO(struct command_input, command.expect) },
	{ .name = "refuse",
	    .about = "a regular expression that the answer matches if it is refused",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATTERN_CHARACTERS,
	    .check = check_not_slots,
	    INTO(struct command_input, command.refuse) },
	{ .name = "timeout_ms",
	    .about = "longest wait for the answer",
	    .kind = SETTING_INT,
	    .min = 10,
	    .max = 60000,
	    .preset_about = "the bus's",
	    .unit = "ms",
	    INTO(struct command_input, command.timeout_ms) },
	{ .name = "escape",
	    .about = "what a text may hold",
	    .kind = SETTING_NAME,
	    .names = escape_name,
	    .preset = "none",
	    INTO(struct command_input, command.escape) },
	{ .name = "width",
	    .about = "a number is filled up with zeros to so many characters",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 32,
	    .preset = "0",
	    INTO(struct command_input, command.width) },
	{ .name = "decimals",
	    .about = "decimals of a number",
	    .kind = SETTING_INT,
	    .min = -1,
	    .max = DECIMALS_MAX,
	    .preset = "-1",
	    .preset_about = "-1, as many as it has",
	    INTO(struct command_input, command.decimals) },
};

const struct setting_group schema_command = { .name = "command",
	.rows = command_rows,
	.row_count = COUNT(command_rows),
	.size = sizeof(struct command_input) };
