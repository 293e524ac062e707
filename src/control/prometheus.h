/* An answer to "status" in the text format of Prometheus, as node_exporter's textfile collector takes it: one HELP and one TYPE
 * for each metric, its samples together, no times. Source: prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.
 */
#ifndef CONTROL_PROMETHEUS_H
#define CONTROL_PROMETHEUS_H

#include <stdio.h>

struct json_object;

void prometheus_print(const struct json_object *status, FILE *out);

#endif
