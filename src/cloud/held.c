#include "cloud/held.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool
is_reply(const struct held_message *message)
{
	return message->topic == TB_RPC_RESPONSE;
}

void
held_remove(struct held *held, struct held_message *message)
{
	struct held_message **at = &held->first;
	struct held_message *before = NULL;

	while (*at != message) {
		before = *at;
		at = &before->next;
	}
	*at = message->next;
	if (held->last == message)
		held->last = before;
	held->count--;
	held->bytes -= message->length;
	free(message);
}

static void
drop(struct held *held, struct held_message *message)
{
	held->dropped += is_reply(message);
	held_remove(held, message);
}

void
held_clear(struct held *held)
{
	while (held->first)
		drop(held, held->first);
}

int
held_add(struct held *held, enum tb_topic topic, int64_t id, const void *payload, size_t length, int64_t now_mono_ms)
{
	struct held_message *message = malloc(sizeof(*message) + length);

	if (!message)
		return -ENOMEM;
	*message = (struct held_message){ .topic = topic, .id = id, .since_mono_ms = now_mono_ms, .length = length };
	memcpy(message->payload, payload, length);
	while (held->first && (held->count >= HELD_MAX || held->bytes + length > HELD_BYTES_MAX))
		drop(held, held->first);
	*(held->last ? &held->last->next : &held->first) = message;
	held->last = message;
	held->count++;
	held->bytes += length;
	return 0;
}

static void
drop_old(struct held *held, int64_t now_mono_ms)
{
	struct held_message *next;

	for (struct held_message *message = held->first; message; message = next) {
		next = message->next;
		if (now_mono_ms - message->since_mono_ms >= (is_reply(message) ? HELD_REPLY_MS : HELD_REQUEST_MS))
			drop(held, message);
	}
}

struct held_message *
held_next(struct held *held, int64_t fresh_ms, int64_t now_mono_ms)
{
	struct held_message *old = NULL, *request = NULL;

	drop_old(held, now_mono_ms);
	for (struct held_message *message = held->first; message; message = message->next) {
		if (is_reply(message) && now_mono_ms - message->since_mono_ms <= fresh_ms)
			return message;
		if (is_reply(message) && !old)
			old = message;
		if (!is_reply(message) && !request)
			request = message;
	}
	return request ? request : old;
}
