/* What a test asks of the bench: one function a command, found in a table. */
#ifndef BENCH_COMMAND_H
#define BENCH_COMMAND_H

#include <json-c/json.h>

#include "bench/bench.h"

/* Carry out and answer one command; `ctx` is the bench. A control_handler. */
void command_handle(void *ctx, struct json_object *command);

#endif
