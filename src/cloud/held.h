/* Messages of one device, none of them with data points, that the server's limits do not let go yet: the server closes the
 * connection on what is too much, so they wait here. Replies to RPC go before what the server is asked for, and those whose
 * caller is likely to wait still before older ones, which may be awaited all the same (a persistent RPC is, for hours). What
 * waits is bounded in number, bytes and age; the oldest go first. Pure: time is passed in.
 */
#ifndef CLOUD_HELD_H
#define CLOUD_HELD_H

#include <stddef.h>
#include <stdint.h>

#include "cloud/tb_topic.h"

#define HELD_MAX	64
#define HELD_BYTES_MAX	65536 /* one of the largest */
#define HELD_REPLY_MS	60000 /* as long as a repeated request is answered from memory */
#define HELD_REQUEST_MS 10000 /* then it is made again */

struct held_message {
	struct held_message *next;
	enum tb_topic topic;
	int64_t id;
	int64_t since_mono_ms;
	size_t length;
	char payload[];
};

/* Zero-initialised it is empty. */
struct held {
	struct held_message *first, *last; /* by age */
	size_t count;
	size_t bytes;
	uint64_t dropped; /* replies that will not be sent */
};

/* Copies the message. Returns 0 or -ENOMEM. */
int held_add(struct held *held, enum tb_topic topic, int64_t id, const void *payload, size_t length, int64_t now_mono_ms);

/* What goes next, or NULL; held_remove() takes it out. What is too old is dropped.
 * fresh_ms  so old a reply is at most when its caller is sure to wait */
struct held_message *held_next(struct held *held, int64_t fresh_ms, int64_t now_mono_ms);
void held_remove(struct held *held, struct held_message *message);

/* The connection has ended: replies belong to it. They count as dropped. */
void held_clear(struct held *held);

#endif
