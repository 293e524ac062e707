/* How what comes down reaches the session of a device, whatever its topics are: v1/devices/me, or a gateway's
 * for all. The cloud's thread.
 */
#ifndef CLOUD_DOWNLINK_PORT_H
#define CLOUD_DOWNLINK_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/tb_topic.h"

struct chore;

struct downlink_port {
	/* A payload of the device API, of the kind that the topic names. Returns an id > 0 or negative errno.
	 */
	int (*publish)(
	    void *ctx, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length);

	/* To RPC requests, and to shared attributes as well if wanted. Returns like publish(). */
	int (*subscribe)(void *ctx, size_t device, bool attributes);

	/* Of the gateway itself, for the main thread. Returns 0 or -EBUSY. */
	int (*chore)(void *ctx, const struct chore *chore);
	void *ctx;
};

#endif
