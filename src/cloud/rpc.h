/* RPC requests: what one asks for, checked against the device's points, and replies in words. Pure: no I/O,
 * no state. */
#ifndef CLOUD_RPC_H
#define CLOUD_RPC_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "cloud/tb_json.h"
#include "model/command.h"
#include "model/settings.h"

#define RPC_TEXT_MAX  OUTCOME_TEXT_MAX /* an error in words */
#define RPC_REPLY_MAX TB_MAX_PAYLOAD

#define RPC_ITEMS_MAX COMMAND_GROUP_MAX

static_assert(RPC_STEPS_MAX <= RPC_ITEMS_MAX, "a method of the configuration is one call");

/* One point of a request. */
struct rpc_item {
	const struct point *point;
	struct value value; /* COMMAND_WRITE: may be written as it is; the call's */
};

/* What a request asks for. */
struct rpc_call {
	enum command_kind kind; /* COMMAND_READ or COMMAND_WRITE */
	bool many;		/* answered by key, else `count` is 1 */
	bool by_text;		/* asked for in the words of ThingsBoard's own gateway */
	struct point *own;	/* the point of the one item, if it is of no settings; the call's */
	bool in_order;		/* each after the one before succeeded; else those that touch together */
	size_t count;
	struct rpc_item items[RPC_ITEMS_MAX];
};

/* What came of one key. */
struct rpc_result {
	const char *key;
	const struct value *value; /* or NULL: */
	const char *error;
};

/* Understand a request to `device`: the built-in methods get and set, and those of the configuration.
 * reply  RPC_REPLY_MAX bytes; when it is not understood, or a value cannot be written: what to answer, in
 *        words, `ret_length` long. Then nothing of it is to be done.
 * Returns 0 or -EINVAL. */
int rpc_parse(const struct device *device, const void *payload, size_t length, struct rpc_call *ret,
    char *reply, size_t *ret_length);

/* Free the values and the point that are left in it. */
void rpc_call_done(struct rpc_call *call);

/* May `value` be written to `point`? Returns 0, or -EINVAL with "99 is above the maximum 30" in `error`,
 * RPC_TEXT_MAX bytes. */
int rpc_check_value(const struct point *point, const struct value *value, char *error);

/* {"value":V} or {"error":"text"} into RPC_REPLY_MAX bytes. Returns the length. */
size_t rpc_reply_value(const struct value *value, char *reply);
size_t rpc_reply_success(const struct value *value, char *reply); /* {"success":true,"value":V} */
size_t rpc_reply_error(const char *error, char *reply);

/* {"values":{..}} into RPC_REPLY_MAX bytes; with {"errors":{..}} and {"error":"text"} if there are any.
 * summary  that text; NULL counts the errors
 * Returns the length. */
size_t rpc_reply_values(const char *summary, const struct rpc_result *results, size_t count, char *reply);

/* The point of a device by its key, or NULL. */
const struct point *rpc_point(const struct device *device, const char *key);

#endif
