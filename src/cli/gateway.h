/* The gateway at work: the rooms wired together, started in order and stopped in reverse. The main thread's. */
#ifndef CLI_GATEWAY_H
#define CLI_GATEWAY_H

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
};

/* Read the configuration; its mistakes go to the log. Returns 0, or -1 with nothing to be freed. */
int gateway_load(struct gateway *gateway, const char *path);

/* Returns 0, or negative errno; then gateway_free() is to be called all the same. */
int gateway_start(struct gateway *gateway);

/* SIGHUP: the configuration has changed. */
void gateway_reload(struct gateway *gateway);

/* The field first; then the cloud sends what is left, within a second. */
void gateway_stop(struct gateway *gateway);

/* Did it come to its end by itself? */
bool gateway_failed(const struct gateway *gateway);

void gateway_free(struct gateway *gateway);

#endif
