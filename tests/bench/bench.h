/* The bench as a whole: its loop, its devices, its sessions and the knobs that apply to all of them.
 *
 * One thread. Owned by main(); everything else gets a pointer.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/device.h"
#include "bench/timer.h"

/* Something that epoll watches; stands first in its owner. */
struct source {
	void (*ready)(struct source *source, uint32_t events);
	int fd;
};

struct knobs {
	bool any_token;
	bool telemetry_events;
	bool keep_series;
	bool blackhole;	    /* take bytes, never answer */
	bool refuse_accept; /* close right after accepting */
	bool send_ack;
	int64_t in_flight; /* what getSessionLimits tells */
	bool hides_limits; /* as servers before 3.8 do not know getSessionLimits */
	uint8_t refuse;
	int max_version;
	unsigned sessions_per_device;
	uint32_t max_payload; /* of the remaining length */
	int64_t inactivity_ms;
	int64_t client_rpc_timeout_ms;
	int64_t takeover_ms;	    /* until the older session of a device is closed */
	int64_t subscribe_delay_ms; /* between SUBACK and the subscription being effective */
	int64_t provision_close_ms;
	struct ack_rule ack;
	struct limits limits;
	char poison[128];    /* a payload with this text is ... */
	uint8_t poison_code; /* ... refused with this (MQTT 5), or too much for the server: 0 */
	char *provision_key, *provision_secret;
	bool provision_check; /* strategy CHECK_PRE_PROVISIONED_DEVICES instead of ALLOW_CREATE_NEW_DEVICES */
};

struct stats {
	uint64_t accepted, connects, refused, publishes, dups, elements, values, attributes, pubacks,
	    rpc_replies, closed_by_us, bytes_in, bytes_out;
};

struct bench {
	int epoll;
	const char *host;
	uint16_t port;
	struct source listener; /* fd -1 while stopped */
	int spare;		/* given up to turn a client away when there are no descriptors left */
	struct timer_heap timers;
	struct registry registry;
	struct session *sessions;
	struct session *dirty; /* with something to write at the end of the round */
	struct session *dead;  /* closed in this round of the loop, freed at its end */
	uint64_t session_count, session_number;
	struct knobs knobs;
	struct stats stats;
	bool done;
};

#endif
