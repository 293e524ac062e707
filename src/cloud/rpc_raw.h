/* Requests for registers by their address: modbus_read and modbus_write, and get and set with the text of
 * parameters that ThingsBoard's own gateway takes. Each is made into a point for one command, bounded to the
 * bus and the units of the device's own points. Pure.
 */
#ifndef CLOUD_RPC_RAW_H
#define CLOUD_RPC_RAW_H

#include <stdbool.h>

#include "cloud/tb_json.h"
#include "model/settings.h"

/* How many cells, be they coils or registers. */
#define RPC_RAW_CELLS_MAX MODBUS_MAX_READ_REGISTERS

/* What is asked for. */
struct rpc_raw {
	struct point point; /* its key is the method's name, which lives as long as the program */
	bool write;
	struct value value; /* what is written, not yet checked; the caller's */
};

/* Is it such a request, be it allowed or not? */
bool rpc_raw_is(const char *method, const struct tb_json *params);

/* Understand one.
 * error  RPC_TEXT_MAX bytes
 * Returns 0; -EINVAL with what is wrong in `error`, and nothing to free. */
int rpc_raw_parse(const struct device *device, const char *method, const struct tb_json *params,
    struct rpc_raw *ret, char *error);

#endif
