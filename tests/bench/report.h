/* Events: what a test sees of the bench, one JSON object a line on standard output. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <json-c/json.h>
#include <stddef.h>

#include "bench/telemetry.h"

struct session;

/* An event with its name, the time and, if not NULL, the token. Add members, then control_emit() it. */
struct json_object *report_new(const char *name, const char *token);

void report_string(struct json_object *event, const char *name, const char *value);
void report_number(struct json_object *event, const char *name, int64_t value);
void report_bool(struct json_object *event, const char *name, bool value);

/* Add "values", "types" and, for what was sent as a number, "text". */
void report_values(struct json_object *event, const struct element *element);

/* Text of a device that may be JSON: parsed if it is (strictly), else a string. */
void report_payload(struct json_object *event, const char *name, const char *text);

/* Downlink form of a JSON tree; NULL is null. Lives as long as the tree is unchanged. */
const char *json_text(struct json_object *json);

#endif
