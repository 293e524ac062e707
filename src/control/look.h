/* Reading an answer (control/report.h) that may be of another version: what is missing or of another type reads as nothing. */
#ifndef CONTROL_LOOK_H
#define CONTROL_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

/* A member by its path, "latency_ms.p50"; NULL if there is none or it is null. Any object may be NULL. */
const struct json_object *look_at(const struct json_object *object, const char *path);

double look_number(const struct json_object *object, const char *path, double missing);
uint64_t look_count(const struct json_object *object, const char *path); /* 0 if missing */
bool look_truth(const struct json_object *object, const char *path);
const char *look_text(const struct json_object *object, const char *path); /* "" if missing */

/* The elements of an array; none if it is missing. */
size_t look_length(const struct json_object *object, const char *path);
const struct json_object *look_element(const struct json_object *object, const char *path, size_t index);

#endif
