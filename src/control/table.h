/* An answer to "status" as tables for people. */
#ifndef CONTROL_TABLE_H
#define CONTROL_TABLE_H

#include <stdbool.h>
#include <stdio.h>

struct json_object;

/* values  every point with its value, else only the points that have no good one */
void table_print(const struct json_object *status, bool values, FILE *out);

/* Parts of it. */
void table_print_head(const struct json_object *status, FILE *out);
void table_print_buses(const struct json_object *status, FILE *out);

/* All points, of all devices or of the one called `device`. */
void table_print_points(const struct json_object *status, const char *device, FILE *out);

/* A point's value in words, without bytes that would steer a terminal. Returns `text`. */
#define TABLE_VALUE_MAX 400
const char *table_value(const struct json_object *point, char *text);

#endif
