/* A series of calls to one device, one after another, timed here: whoever only awaits its end does not wake up in between and
 * takes no processor from what is measured. One thread. */
#ifndef BENCH_SERIES_H
#define BENCH_SERIES_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct device;

/* Make `count` calls, each `gap_ms` after the reply to the one before, with a "value" in the params that counts from 0. At the end,
 * or when a reply is not there within `timeout_ms`, the event "rpc_series" tells how many microseconds each took. One at a time:
 * returns false if one is going on. */
bool series_start(
    struct device *device, const char *method, struct json_object *params, int count, int64_t gap_ms, int64_t timeout_ms);

/* Is this reply the one that a series waits for? */
bool series_reply(const struct device *device, int32_t id);

#endif
