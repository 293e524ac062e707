#include "sim/sender.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct reply {
	struct reply *next;
	int64_t due_us;
	int64_t gap_us;
	size_t chunk;
	enum ending ending;
	bool overlay;
	uint64_t number;
	size_t length;
	uint8_t bytes[];
};

#define FIFO_US 1000

static bool sender_step(struct sender *sender);

static void
sender_tick(void *ctx, int64_t now_us)
{
	(void)now_us;
	sender_step(ctx);
}

void
sender_init(struct sender *sender, struct loop *loop)
{
	*sender = (struct sender){ .loop = loop };
	sender->timer.handler = sender_tick;
	sender->timer.ctx = sender;
}

void
sender_done(struct sender *sender)
{
	timer_stop(sender->loop, &sender->timer);
	while (sender->head) {
		struct reply *reply = sender->head;
		sender->head = reply->next;
		free(reply);
	}
	sender->waiting = 0;
	sender->sent = 0;
	sender->started = sender->blocked = false;
}

int64_t
sender_wire_us(const struct sender *sender, size_t bytes)
{
	return sender->baud ? (int64_t)bytes * sender->bits * 1000000 / sender->baud : 0;
}

bool
sender_is_talking(const struct sender *sender)
{
	return sender->started && !sender->head->overlay;
}

void
sender_garble(struct sender *sender)
{
	struct reply *reply = sender->head;

	for (size_t i = sender->sent; i < reply->length; i++)
		reply->bytes[i] ^= 0x55;
}

/* When the head may begin. */
static int64_t
sender_start_us(const struct sender *sender)
{
	int64_t due_us = sender->head->due_us;
	int64_t clear_us = sender->clear && !sender->head->overlay ? sender->clear(sender->ctx) : 0;

	return clear_us > due_us ? clear_us : due_us;
}

static size_t
sender_chunk(const struct sender *sender)
{
	const struct reply *reply = sender->head;
	size_t rest = reply->length - sender->sent;
	size_t chunk = reply->chunk;

	if (!chunk && sender->baud) {
		chunk = (size_t)FIFO_US * sender->baud / sender->bits / 1000000;
		chunk = chunk ? chunk : 1;
	}
	return chunk && chunk < rest ? chunk : rest;
}

/* When the next `chunk` bytes of the head have passed the wire. */
static int64_t
sender_chunk_us(const struct sender *sender, size_t chunk)
{
	const struct reply *reply = sender->head;
	int64_t gaps = reply->chunk ? (int64_t)(sender->sent / reply->chunk) : 0;

	return sender->start_us + sender_wire_us(sender, sender->sent + chunk) + gaps * reply->gap_us;
}

static bool
sender_finish(struct sender *sender)
{
	struct reply *reply = sender->head;
	enum ending ending = reply->ending;

	sender->head = reply->next;
	sender->waiting--;
	sender->sent = 0;
	sender->started = false;
	free(reply);
	return sender->finished(sender->ctx, ending);
}

/* Let out what is due, and sleep until the next piece is. */
static bool
sender_step(struct sender *sender)
{
	while (sender->head && !sender->blocked) {
		int64_t now_us = clock_mono_us();
		int64_t at_us = sender->started ? sender->start_us : sender_start_us(sender);
		size_t chunk;
		ssize_t sent;

		if (!sender->started && at_us <= now_us) {
			sender->started = true;
			/* A timer that was a little late does not slow the line down, a long stop does not
			 * speed it up. */
			sender->start_us = now_us - at_us < FIFO_US ? at_us : now_us;
		}
		chunk = sender_chunk(sender);
		if (sender->started)
			at_us = sender_chunk_us(sender, chunk);
		if (at_us > now_us) {
			timer_set(sender->loop, &sender->timer, at_us);
			return true;
		}
		sent = chunk ? sender->send(sender->ctx, sender->head->bytes + sender->sent, chunk) : 0;
		sender->blocked = sent < (ssize_t)chunk;
		sender->sent += sent > 0 ? (size_t)sent : 0;
		if (sender->sent < sender->head->length)
			continue;
		if (sender->head->length > 0 && !sender->head->overlay)
			sender->left(sender->ctx, sender->head->number, now_us);
		if (!sender_finish(sender))
			return false;
	}
	return true;
}

bool
sender_resume(struct sender *sender)
{
	sender->blocked = false;
	return sender_step(sender);
}

/* Behind all that are due earlier or at the same time; never before one that has begun. */
static void
sender_queue(struct sender *sender, struct reply *reply)
{
	struct reply **place = &sender->head;

	assert(!sender->started || sender->head);
	if (sender->started)
		place = &(*place)->next;
	while (*place && !reply->overlay && (*place)->due_us <= reply->due_us)
		place = &(*place)->next;
	reply->next = *place;
	*place = reply;
	sender->waiting++;
}

void
sender_push(struct sender *sender, const struct answer *answer, int64_t due_us, bool overlay)
{
	size_t skip = 0;
	struct reply *reply;

	/* The usual case of a socket: nothing waits, nothing is delayed, and no memory is needed. */
	if (!sender->head && !sender->baud && !answer->chunk && answer->ending == ENDING_STAY &&
	    due_us <= clock_mono_us()) {
		int64_t now_us = clock_mono_us();
		ssize_t sent = sender->send(sender->ctx, answer->bytes, answer->length);
		skip = sent > 0 ? (size_t)sent : 0;
		if (skip == answer->length) {
			sender->left(sender->ctx, answer->number, now_us);
			return;
		}
		sender->blocked = true;
	}
	reply = malloc(sizeof(*reply) + answer->length - skip);
	if (!reply)
		return;
	*reply = (struct reply){
		.due_us = due_us,
		.gap_us = answer->gap_us,
		.chunk = answer->chunk,
		.ending = answer->ending,
		.overlay = overlay,
		.number = answer->number,
		.length = answer->length - skip,
	};
	memcpy(reply->bytes, answer->bytes + skip, reply->length);
	sender_queue(sender, reply);
	/* Always from the timer, so that a push never ends in the destruction of the one who pushes. */
	if (!sender->blocked && !sender->started)
		timer_set(sender->loop, &sender->timer, sender->head->due_us);
}
