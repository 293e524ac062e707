#include "conf/schema_calls.h"

#define COUNT(array)	   (sizeof(array) / sizeof((array)[0]))
#define INTO(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

#define NAME_CHARACTERS 255

static const struct setting_row param_rows[] = {
	{ .name = "name",
	    .about = "what the parameter is called",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .preset_about = "the key of the point",
	    INTO(struct call_param_input, name) },
	{ .name = "point",
	    .about = "key of the point that is read for it",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    INTO(struct call_param_input, point) },
	{ .name = "value",
	    .about = "a value of its own, in place of a point's",
	    .kind = SETTING_VALUE,
	    INTO(struct call_param_input, value) },
};

const struct setting_group schema_call_param = { .name = "call parameter",
	.rows = param_rows,
	.row_count = COUNT(param_rows),
	.size = sizeof(struct call_param_input) };

static const struct setting_row result_rows[] = {
	{ .name = "point",
	    .about = "key of a writable point of the device",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .required = true,
	    INTO(struct call_result_input, point) },
	{ .name = "field",
	    .about = "the field of the answer that is written; a.b is b in a, a dot the answer itself",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .preset_about = "the key of the point",
	    INTO(struct call_result_input, field) },
	{ .name = "value",
	    .about = "what is written instead, whatever the answer is",
	    .kind = SETTING_VALUE,
	    INTO(struct call_result_input, value) },
};

const struct setting_group schema_call_result = { .name = "call result",
	.rows = result_rows,
	.row_count = COUNT(result_rows),
	.size = sizeof(struct call_result_input) };

static const struct setting_row call_rows[] = {
	{ .name = "method",
	    .about = "what the server is asked for",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .required = true,
	    INTO(struct call_input, method) },
	{ .name = "on",
	    .about = "key of a point: the server is asked when it changes",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    INTO(struct call_input, on) },
	{ .name = "value",
	    .about = "only when the point becomes this",
	    .kind = SETTING_VALUE,
	    INTO(struct call_input, value) },
	{ .name = "period_ms",
	    .about = "how often the server is asked by itself, the first time with the first session",
	    .kind = SETTING_INT,
	    .min = 1000,
	    .max = 604800000,
	    .unit = "ms",
	    INTO(struct call_input, period_ms) },
	{ .name = "timeout_ms",
	    .about = "longest wait for the answer",
	    .kind = SETTING_INT,
	    .min = 100,
	    .max = 600000,
	    .preset = "10000",
	    .unit = "ms",
	    INTO(struct call_input, timeout_ms) },
	{ .name = "params",
	    .about = "the parameters",
	    .kind = SETTING_LIST,
	    .group = &schema_call_param,
	    INTO(struct call_input, params) },
	{ .name = "result",
	    .about = "what is written with the answer, in this order",
	    .kind = SETTING_LIST,
	    .group = &schema_call_result,
	    INTO(struct call_input, results) },
};

const struct setting_group schema_call = {
	.name = "call", .rows = call_rows, .row_count = COUNT(call_rows), .size = sizeof(struct call_input)
};
