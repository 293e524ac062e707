/* RPC requests: what one asks for, checked against the device's points, and replies in words. Pure: no I/O,
 * no state. */
#ifndef CLOUD_RPC_H
#define CLOUD_RPC_H

#include <stddef.h>

#include "model/command.h"
#include "model/settings.h"

#define RPC_TEXT_MAX  OUTCOME_TEXT_MAX /* an error in words */
#define RPC_REPLY_MAX 4096 /* a reply; the longest text that registers hold fits, escaped */

/* What a request asks for. */
struct rpc_call {
	enum command_kind kind; /* COMMAND_READ or COMMAND_WRITE */
	const struct point *point;
	struct value value; /* COMMAND_WRITE: may be written as it is; the caller's */
};

/* Understand a request to `device`: the built-in methods get and set, and those of the configuration.
 * error  at least RPC_TEXT_MAX bytes; says what is wrong when it is not understood
 * Returns 0 or -EINVAL. */
int rpc_parse(
    const struct device *device, const void *payload, size_t length, struct rpc_call *ret, char *error);

/* May `value` be written to `point`? Returns 0, or -EINVAL with "99 is above the maximum 30" in `error`,
 * RPC_TEXT_MAX bytes. */
int rpc_check_value(const struct point *point, const struct value *value, char *error);

/* {"value":V} or {"error":"text"} into RPC_REPLY_MAX bytes. Returns the length. */
size_t rpc_reply_value(const struct value *value, char *reply);
size_t rpc_reply_error(const char *error, char *reply);

/* The point of a device by its key, or NULL. */
const struct point *rpc_point(const struct device *device, const char *key);

#endif
