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
	/* A payload of the device API, of the kind that the topic names; it may wait for the server's limits, but for client
	 * attributes, of which `id` says how many they are: -EAGAIN, or -EMSGSIZE if they can never be so many. Returns 0 or more, or negative errno. */
	int (*publish)(
	    void *ctx, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length);

	/* To RPC requests, and to shared attributes as well if wanted. Returns an id > 0 or negative errno; -EAGAIN if the server's
	 * limits do not let it go now: a subscription beyond them is granted and lost. */
	int (*subscribe)(void *ctx, size_t device, bool attributes);

	/* Of the gateway itself, for the main thread. Returns 0 or -EBUSY. */
	int (*chore)(void *ctx, const struct chore *chore);
	void *ctx;
};

#endif
