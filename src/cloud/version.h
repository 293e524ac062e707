/* Which version of MQTT a server speaks: 5 is tried first, then 3.1.1 and 5 in turn until one works. Owned by the cloud's
 * thread; what is found out is logged here.
 */
#ifndef CLOUD_VERSION_H
#define CLOUD_VERSION_H

#include <stdbool.h>

#include "model/settings.h"

struct version {
	const struct server_settings *server;
	int number; /* that is spoken or tried: MQTT_PROTOCOL_V5 or MQTT_PROTOCOL_V311 of the library */
	int said;   /* what the log was told; MQTT 5 goes without saying */
	bool proven;
	unsigned mute_closes; /* connections that ended without a CONNACK, in a row */
};

void version_init(struct version *version, const struct server_settings *server);

/* What became of an attempt with version `tried`: the session is up; the server answered, perhaps no; it refused the
 * version, and true if the older one is worth an attempt at once; it closed the connection without an answer. */
void version_works(struct version *version, int tried);
void version_answered(struct version *version);
bool version_refused(struct version *version, int tried);
void version_closed(struct version *version, int tried);

#endif
