#include <string.h>

#include "conf/schema_rows.h"

static const char *
check_method(union setting_value value)
{
	return strcmp(value.text, "get") == 0 || strcmp(value.text, "set") == 0
		   ? "is built in and cannot be redefined, another name is required"
		   : schema_check_printable(value);
}

static const char *
action_name(int number)
{
	static const char *const names[] = { [RPC_SET] = "set", [RPC_GET] = "get" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const struct setting_row step_rows[] = {
	{ .name = "point",
	    .about = "key of a writable point of the device",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .required = true,
	    INTO(struct step_input, point) },
	{ .name = "param",
	    .about = "name of the parameter that is written",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .preset_about = "the key of the point",
	    INTO(struct step_input, param) },
	{ .name = "value",
	    .about = "what is written instead, whatever the parameters are",
	    .kind = SETTING_VALUE,
	    INTO(struct step_input, value) },
};

const struct setting_group schema_rpc_step = {
	.name = "step", .rows = step_rows, .row_count = COUNT(step_rows), .size = sizeof(struct step_input)
};

static const struct setting_row rpc_rows[] = {
	{ .name = "method",
	    .about = "what the RPC is called; unique in the device, get and set are built in",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = METHOD_CHARACTERS,
	    .required = true,
	    .check = check_method,
	    INTO(struct rpc_input, method) },
	{ .name = "point",
	    .about = "key of the point that it sets or gets",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    INTO(struct rpc_input, point) },
	{ .name = "action",
	    .about = "what it does",
	    .kind = SETTING_NAME,
	    .names = action_name,
	    .preset_about = "set if the point is writable, else get",
	    INTO(struct rpc_input, action) },
	{ .name = "value",
	    .about = "what it sets the point to, whatever the parameters are",
	    .kind = SETTING_VALUE,
	    INTO(struct rpc_input, value) },
	{ .name = "set",
	    .about = "several points in place of one, written in this order",
	    .kind = SETTING_LIST,
	    .min = 1,
	    .group = &schema_rpc_step,
	    INTO(struct rpc_input, steps) },
};

const struct setting_group schema_rpc = {
	.name = "rpc", .rows = rpc_rows, .row_count = COUNT(rpc_rows), .size = sizeof(struct rpc_input)
};

static const struct setting_row write_rows[] = {
	{ .name = "point",
	    .about = "key of a writable point of the device",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .required = true,
	    INTO(struct write_input, point) },
	{ .name = "value",
	    .about = "what is written, as a set would have it",
	    .kind = SETTING_VALUE,
	    .required = true,
	    INTO(struct write_input, value) },
};

const struct setting_group schema_write = { .name = "write",
	.rows = write_rows,
	.row_count = COUNT(write_rows),
	.size = sizeof(struct write_input) };

static const struct setting_row cloud_loss_rows[] = {
	{ .name = "after_s",
	    .about = "how long the server must have been out of reach",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 86400,
	    .required = true,
	    .unit = "s",
	    INTO(struct cloud_loss_input, after_s) },
	{ .name = "set",
	    .about = "what is written then",
	    .kind = SETTING_LIST,
	    .min = 1,
	    .required = true,
	    .group = &schema_write,
	    INTO(struct cloud_loss_input, writes) },
};

const struct setting_group schema_cloud_loss = { .name = "on_cloud_loss",
	.rows = cloud_loss_rows,
	.row_count = COUNT(cloud_loss_rows),
	.size = sizeof(struct cloud_loss_input) };
