/* Two answers to "status", one after the other, as lines of what is new: time, device, point, value, with tabs between them. */
#ifndef CONTROL_WATCH_H
#define CONTROL_WATCH_H

#include <stdbool.h>
#include <stdio.h>

struct json_object;

/* before  NULL: everything is new
 * device  only of this one; NULL: of all */
void watch_print_news(const struct json_object *before, const struct json_object *status, const char *device, FILE *out);

/* Is there such a device? With NULL: yes. */
bool watch_knows(const struct json_object *status, const char *device);

/* The head, the buses and the values, for a terminal. */
void watch_print_all(const struct json_object *status, const char *device, FILE *out);

#endif
