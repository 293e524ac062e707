#include <string.h>

#include "conf/schema_rows.h"
#include "line/pattern.h"
#include "model/codec.h"

/* ThingsBoard refuses keys that look like HTML, silently and after the acknowledgement. */
static const char *
check_key(union setting_value value)
{
	if (strpbrk(value.text, "<>"))
		return "has a '<' or '>', which ThingsBoard refuses, other characters are allowed";
	return schema_check_printable(value);
}

static const char *
check_not_zero(union setting_value value)
{
	return value.number == 0 ? "would make every value the same, any other number is allowed" : NULL;
}

static const char *
byte_name(int number)
{
	static const char *const names[] = { [BYTE_LOW] = "low", [BYTE_HIGH] = "high" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
write_name(int number)
{
	static const char *const names[] = {
		[WRITE_AUTO] = "auto", [WRITE_SINGLE] = "single", [WRITE_MULTIPLE] = "multiple"
	};

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
table_name(int number)
{
	return number <= TABLE_HOLDING ? point_table_name((enum point_table)number) : NULL;
}

static const char *
type_name(int number)
{
	return number < TYPE_COUNT ? codec_type((enum point_type)number)->name : NULL;
}

static const char *
order_name(int number)
{
	return number < ORDERS ? point_order_name((enum point_order)number) : NULL;
}

static const char *
kind_name(int number)
{
	static const char *const names[] = { [KIND_TELEMETRY] = "telemetry", [KIND_ATTRIBUTE] = "attribute" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
report_name(int number)
{
	static const char *const names[] = { [REPORT_ALWAYS] = "always", [REPORT_CHANGE] = "change" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
aggregate_name(int number)
{
	return number < AGGREGATES ? point_aggregate_name((enum point_aggregate)number) : NULL;
}

static const char *
format_name(int number)
{
	static const char *const names[FORMATS] = { [FORMAT_NUMBER] = "number",
		[FORMAT_STRING] = "string",
		[FORMAT_HEX] = "hex",
		[FORMAT_BOOL] = "bool",
		[FORMAT_DEGREES] = "degrees" };

	return number < FORMATS ? names[number] : NULL;
}

static const int chars[] = { 1, 2, 0 };

/* The list form of an enum; its group form has a setting for each label. */
static const struct setting_row label_rows[] = {
	{ .name = "label",
	    .about = "text that stands for the number",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .required = true,
	    .check = schema_check_printable,
	    INTO(struct label_input, label.label) },
	{ .name = "value",
	    .about = "number as the registers hold it, before scale and offset",
	    .kind = SETTING_INT,
	    .min = INT64_MIN,
	    .max = INT64_MAX,
	    .required = true,
	    INTO(struct label_input, label.number) },
};

const struct setting_group schema_label = { .name = "label",
	.rows = label_rows,
	.row_count = COUNT(label_rows),
	.size = sizeof(struct label_input) };

static const struct setting_row point_rows[] = {
	{ .name = "key",
	    .about = "what ThingsBoard calls the value; unique in the device",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .required = true,
	    .check = check_key,
	    INTO(struct point_input, point.key) },
	{ .name = "table",
	    .about = "which of Modbus' four tables",
	    .kind = SETTING_NAME,
	    .names = table_name,
	    .preset_about = "none, and required on a Modbus bus",
	    INTO(struct point_input, point.table) },
	{ .name = "addr",
	    .about = "zero-based address, as on the wire: register 40010 is table holding, addr 9",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 65535,
	    .beyond = ": it counts from 0, and table says what a manual's first digit says: 400011 is holding, addr 10",
	    .preset_about = "none, and required on a Modbus bus",
	    INTO(struct point_input, point.addr) },
	{ .name = "type",
	    .about = "what the registers or bits hold",
	    .kind = SETTING_NAME,
	    .names = type_name,
	    .preset_about = "bool for coil and discrete and with bit, uint16 with bits, else required",
	    INTO(struct point_input, point.type) },
	{ .name = "count",
	    .about = "how many registers, coils or discrete inputs; a text must say",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = MODBUS_MAX_READ_REGISTERS,
	    .preset_about = "what the type takes",
	    INTO(struct point_input, point.count) },
	{ .name = "array",
	    .about = "so many numbers of the type one after the other, as an array",
	    .kind = SETTING_INT,
	    .min = 2,
	    .max = MODBUS_MAX_READ_REGISTERS,
	    .preset_about = "one number, by itself",
	    INTO(struct point_input, point.array) },
	{ .name = "order",
	    .about = "order of the bytes on the wire, A the most significant",
	    .kind = SETTING_NAME,
	    .names = order_name,
	    .preset = "ABCD",
	    INTO(struct point_input, point.order) },
	{ .name = "bit",
	    .about = "one bit of the registers, or the lowest of several; 0 is the least significant",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 63,
	    .preset_about = "all of them",
	    INTO(struct point_input, point.bit) },
	{ .name = "bits",
	    .about = "how many bits from that one up are the number",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 64,
	    .preset_about = "1 with bit",
	    INTO(struct point_input, point.bits) },
	{ .name = "byte",
	    .about = "which half of the register an int8 or uint8 is",
	    .kind = SETTING_NAME,
	    .names = byte_name,
	    .preset = "low",
	    INTO(struct point_input, byte) },
	{ .name = "chars",
	    .about = "characters of a string in each register",
	    .kind = SETTING_INT,
	    .choices = chars,
	    .preset = "2",
	    INTO(struct point_input, point.chars) },
	{ .name = "invalid",
	    .about = "what the registers hold when there is no value",
	    .kind = SETTING_INTS,
	    .min = INT64_MIN,
	    .max = INT64_MAX,
	    INTO(struct point_input, invalid) },
	{ .name = "valid_min",
	    .about = "least value that is believed; one below it is no value",
	    .kind = SETTING_NUMBER,
	    .preset_about = "what the type holds",
	    INTO(struct point_input, point.valid_min) },
	{ .name = "valid_max",
	    .about = "greatest value that is believed; one above it is no value",
	    .kind = SETTING_NUMBER,
	    .preset_about = "what the type holds",
	    INTO(struct point_input, point.valid_max) },
	{ .name = "scale",
	    .about = "value = number in the registers * scale + offset; not 0",
	    .kind = SETTING_NUMBER,
	    .preset = "1",
	    .check = check_not_zero,
	    INTO(struct point_input, point.scale) },
	{ .name = "offset",
	    .about = "see scale",
	    .kind = SETTING_NUMBER,
	    .preset = "0",
	    INTO(struct point_input, point.offset) },
	{ .name = "decimals",
	    .about = "decimals of the value as it is sent",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = DECIMALS_MAX,
	    .preset_about = "those of scale and offset, or all that a float has",
	    INTO(struct point_input, point.decimals) },
	{ .name = "enum",
	    .about = "labels for numbers, sent in their place",
	    .kind = SETTING_LABELS,
	    .min = 1,
	    .group = &schema_label,
	    INTO(struct point_input, labels) },
	{ .name = "writable",
	    .about = "may RPC or a shared attribute write it",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct point_input, point.writable) },
	{ .name = "readable",
	    .about = "is it read; if not it can only be written",
	    .kind = SETTING_BOOL,
	    .preset = "true",
	    INTO(struct point_input, readable) },
	{ .name = "min",
	    .about = "least value that may be written",
	    .kind = SETTING_NUMBER,
	    .preset_about = "what the type holds",
	    INTO(struct point_input, point.min) },
	{ .name = "max",
	    .about = "greatest value that may be written",
	    .kind = SETTING_NUMBER,
	    .preset_about = "what the type holds",
	    INTO(struct point_input, point.max) },
	{ .name = "write",
	    .about = "function that writes it: single is 5 or 6, multiple 15 or 16",
	    .kind = SETTING_NAME,
	    .names = write_name,
	    .preset_about = "auto, which is single for one register or coil, else multiple",
	    INTO(struct point_input, point.write) },
	{ .name = "verify",
	    .about = "read it back after a write; it has failed if something else comes",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct point_input, point.verify) },
	{ .name = "shared",
	    .about = "write the shared attribute of the same key to it",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct point_input, point.shared) },
	{ .name = "kind",
	    .about = "what it is in ThingsBoard",
	    .kind = SETTING_NAME,
	    .names = kind_name,
	    .preset = "telemetry",
	    INTO(struct point_input, point.kind) },
	{ .name = "report",
	    .about = "send every sample, or only changes",
	    .kind = SETTING_NAME,
	    .names = report_name,
	    .preset_about = "change with a deadband and for attributes, else always",
	    INTO(struct point_input, point.report) },
	{ .name = "deadband",
	    .about = "least change that is one",
	    .kind = SETTING_NUMBER,
	    .min = 0,
	    .max = INT64_MAX,
	    .preset = "0",
	    INTO(struct point_input, point.deadband) },
	{ .name = "deadband_percent",
	    .about = "least change in percent of the value sent last",
	    .kind = SETTING_NUMBER,
	    .min = 0,
	    .max = INT64_MAX,
	    .preset = "0",
	    INTO(struct point_input, point.deadband_percent) },
	{ .name = "min_interval_ms",
	    .about = "send it no sooner than that after the last",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 86400000,
	    .preset = "0",
	    .unit = "ms",
	    INTO(struct point_input, point.min_interval_ms) },
	{ .name = "max_interval_ms",
	    .about = "send it after that long even if unchanged; 0 is never",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 86400000,
	    .preset = "0",
	    .unit = "ms",
	    INTO(struct point_input, point.max_interval_ms) },
	{ .name = "aggregate",
	    .about = "send these of each window_ms, as KEY_min and so on, instead of samples",
	    .kind = SETTING_SET,
	    .names = aggregate_name,
	    INTO(struct point_input, point.aggregate) },
	{ .name = "window_ms",
	    .about = "time over which samples are aggregated",
	    .kind = SETTING_INT,
	    .min = 100,
	    .max = 86400000,
	    .preset_about = "none, and required with aggregate",
	    .unit = "ms",
	    INTO(struct point_input, point.window_ms) },
	{ .name = "quality",
	    .about = "send KEY_quality when it changes: good, no value, refused, stale or offline",
	    .kind = SETTING_BOOL,
	    .preset_about = "the device's",
	    INTO(struct point_input, point.quality) },
	{ .name = "period_ms",
	    .about = "how often it is read",
	    .kind = SETTING_INT,
	    .min = 10,
	    .max = 86400000,
	    .preset_about = "the device's; on a bus of serial instruments that of a device which is not "
			    "polled, if it has one, else every value is sent",
	    .unit = "ms",
	    INTO(struct point_input, point.period_ms) },
	{ .name = "bus",
	    .about = "another bus than the device's",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .preset_about = "the device's",
	    INTO(struct point_input, bus) },
	{ .name = "unit",
	    .about = "another unit than the device's",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 255,
	    .preset_about = "the device's",
	    INTO(struct point_input, point.unit) },
	/* In a frame of a serial instrument. */
	{ .name = "column",
	    .about = "which column of a line it is, or with obis which brackets; 0 is the first",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 255,
	    .preset_about = "none, and 0 with obis",
	    INTO(struct point_input, line.field.column) },
	{ .name = "sentence",
	    .about = "only in NMEA sentences with this id; three letters are those of any talker",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = 16,
	    .check = schema_check_word,
	    INTO(struct point_input, line.field.sentence) },
	{ .name = "field",
	    .about = "the key that it is the value of",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .check = schema_check_printable,
	    INTO(struct point_input, line.name) },
	{ .name = "pattern",
	    .about = "a regular expression that takes it out of the frame",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATTERN_CHARACTERS,
	    .check = schema_check_pattern,
	    INTO(struct point_input, line.pattern) },
	{ .name = "group",
	    .about = "the named group of its pattern, or of the device's, that it is",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = 32,
	    .check = schema_check_word,
	    .preset_about = "the first group of its pattern",
	    INTO(struct point_input, line.field.group) },
	{ .name = "json",
	    .about = "where in a JSON text it is, as a JSON pointer: /sensors/0/temperature",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .check = schema_check_pointer,
	    INTO(struct point_input, line.json) },
	{ .name = "obis",
	    .about = "the code before the brackets that it is in: 1-0:1.8.0",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = 32,
	    .check = schema_check_code,
	    INTO(struct point_input, line.obis) },
	{ .name = "at",
	    .about = "the byte of the frame that it begins with; 0 is the first",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 65535,
	    .preset_about = "none",
	    INTO(struct point_input, line.field.at) },
	{ .name = "length",
	    .about = "so many characters are it",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 1000,
	    .preset_about = "none, and required with at unless there is a type",
	    INTO(struct point_input, line.field.length) },
	{ .name = "format",
	    .about = "how its text is read",
	    .kind = SETTING_NAME,
	    .names = format_name,
	    .preset = "number",
	    INTO(struct point_input, line.field.format) },
	{ .name = "no_value",
	    .about = "texts in its place, or behind its number, that say that there is no value",
	    .kind = SETTING_TEXTS,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    INTO(struct point_input, line.no_values) },
	{ .name = "command",
	    .about = "how a serial instrument is told a value",
	    .kind = SETTING_GROUP,
	    .preset_about = "none, and required if it is writable on a bus of serial instruments",
	    .group = &schema_command,
	    INTO(struct point_input, command) },
};

const struct setting_group schema_point = { .name = "point",
	.rows = point_rows,
	.row_count = COUNT(point_rows),
	.size = sizeof(struct point_input) };
