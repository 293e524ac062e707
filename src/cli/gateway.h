/* The gateway at work: the rooms wired together, started in order and stopped in reverse. The main thread's. */
#ifndef CLI_GATEWAY_H
#define CLI_GATEWAY_H

#include <stdbool.h>
#include <stdio.h>

#include "base/resolver.h"
#include "cloud/uplink.h"
#include "field/field.h"
#include "model/settings.h"

struct gateway {
	const char *path; /* of the configuration */
	struct settings *settings;
	struct resolver *resolver;
	struct uplink *uplink;
	struct field *field;
	bool failed; /* it cannot go on */
};

/* Read the configuration; its mistakes go to the log. Returns 0, or -1 with nothing to be freed. */
int gateway_load(struct gateway *gateway, const char *path);

/* Returns 0, or negative errno; then gateway_free() is to be called all the same. */
int gateway_start(struct gateway *gateway);

/* Read the configuration again and take over what is different in it; what is not goes on as if nothing had happened. With
 * mistakes, or when it cannot be done, everything stays as it was.
 * told  gets a line of text for each thing to say, which the log says too; or NULL
 * Returns 0 or negative errno: -EINVAL for mistakes. It takes up to some seconds, in which the field is paused for 2 at most. */
int gateway_reload(struct gateway *gateway, FILE *told);

/* A stop has one deadline: GATEWAY_STOP_MS after it was asked for. Units and the server have had their part of it after
 * GATEWAY_CALM_MS; only a disk that is slow, with rows to save, gets the rest. */
#define GATEWAY_CALM_MS 1600
#define GATEWAY_STOP_MS 5000

/* The field first; then the cloud sends what is left, and saves what it cannot send.
 * asked_mono_ms  when the stop was asked for
 * Returns false if a bus hangs in its driver: then gateway_free() may not be called. */
bool gateway_stop(struct gateway *gateway, int64_t asked_mono_ms);

/* Did it come to its end by itself? */
bool gateway_failed(const struct gateway *gateway);

void gateway_free(struct gateway *gateway);

#endif
