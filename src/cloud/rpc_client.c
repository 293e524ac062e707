#include "cloud/rpc_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"

/* A request without an answer. */
struct ask {
	struct heap_node due; /* mono ms: it is given up */
	struct ask *next;     /* of the same device, or that are free */
	size_t device;
	int64_t id;
	rpc_answer *answered;
	void *ctx;
};

struct rpc_client {
	struct downlink_port port;
	size_t devices;
	int64_t last_id;
	struct heap due;
	struct ask *asks;
	struct ask *free;
	struct ask **waiting; /* of each device */
	struct rpc_client_counts counts;
	char payload[TB_MAX_PAYLOAD];
};

struct rpc_client *
rpc_client_new(size_t devices, size_t requests, struct downlink_port port)
{
	struct rpc_client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->port = port;
	client->devices = devices;
	client->asks = calloc(requests + 1, sizeof(client->asks[0]));
	client->waiting = calloc(devices + 1, sizeof(struct ask *));
	if (heap_init(&client->due, requests) < 0 || !client->asks || !client->waiting) {
		rpc_client_free(client);
		return NULL;
	}
	for (size_t i = 0; i < requests; i++) {
		client->asks[i].next = client->free;
		client->free = &client->asks[i];
	}
	return client;
}

void
rpc_client_free(struct rpc_client *client)
{
	if (!client)
		return;
	heap_done(&client->due);
	free(client->asks);
	free(client->waiting);
	free(client);
}

/* Returns the length, or -EMSGSIZE. */
static int
print_request(struct rpc_client *client, const char *method, const char *params)
{
	char *payload = client->payload;
	int used = snprintf(payload, sizeof(client->payload), "{\"method\":");
	int quoted = tb_json_string(method, payload + used, sizeof(client->payload) - (size_t)used);
	size_t room;
	int rest;

	if (quoted < 0)
		return -EMSGSIZE;
	used += quoted;
	room = sizeof(client->payload) - (size_t)used;
	rest = snprintf(payload + used, room, ",\"params\":%s}", params ? params : "{}");
	return rest < 0 || (size_t)rest >= room ? -EMSGSIZE : used + rest;
}

int
rpc_client_ask(struct rpc_client *client, size_t device, const char *method, const char *params,
    int timeout_ms, rpc_answer *answered, void *ctx)
{
	struct ask *ask = client->free;
	int length, result;

	if (!ask)
		return -EBUSY;
	length = print_request(client, method, params);
	if (length < 0)
		return length;
	result = client->port.publish(
	    client->port.ctx, device, TB_RPC_REQUEST, client->last_id + 1, client->payload, (size_t)length);
	if (result < 0)
		return result;
	client->free = ask->next;
	client->counts.asked++;
	ask->device = device;
	ask->id = ++client->last_id;
	ask->answered = answered;
	ask->ctx = ctx;
	ask->next = client->waiting[device];
	client->waiting[device] = ask;
	heap_set(&client->due, &ask->due, clock_mono_ms() + timeout_ms);
	return 0;
}

static void
release(struct rpc_client *client, struct ask *ask)
{
	struct ask **at = &client->waiting[ask->device];

	while (*at != ask)
		at = &(*at)->next;
	*at = ask->next;
	heap_remove(&client->due, &ask->due);
	ask->next = client->free;
	client->free = ask;
}

void
rpc_client_forget(struct rpc_client *client, size_t device, const void *ctx)
{
	struct ask *next;

	for (struct ask *ask = client->waiting[device]; ask; ask = next) {
		next = ask->next;
		if (ask->ctx == ctx)
			release(client, ask);
	}
}

/* It may ask again from within. */
static void
finish(struct rpc_client *client, struct ask *ask, const struct tb_json *answer, const char *error)
{
	rpc_answer *answered = ask->answered;
	void *ctx = ask->ctx;

	release(client, ask);
	answered(ctx, ask->device, answer, error);
}

void
rpc_client_response(struct rpc_client *client, size_t device, int64_t id, const void *payload, size_t length)
{
	struct ask *ask = client->waiting[device];
	struct tb_json *answer;

	while (ask && ask->id != id)
		ask = ask->next;
	if (!ask) {
		client->counts.unknown++;
		return;
	}
	client->counts.answered++;
	answer = tb_json_parse(payload, length);
	finish(client, ask, answer, answer ? NULL : "the server's answer is not valid JSON");
	tb_json_free(answer);
}

/* There is as much room as there was: a request that finds none is as one of a session that ended. */
static bool
adopt_ask(struct rpc_client *client, size_t device, const struct ask *from)
{
	struct ask *ask = client->free;

	if (!ask)
		return false;
	client->free = ask->next;
	ask->device = device;
	ask->id = from->id;
	ask->answered = from->answered;
	ask->ctx = from->ctx;
	ask->next = client->waiting[device];
	client->waiting[device] = ask;
	heap_set(&client->due, &ask->due, from->due.due);
	return true;
}

void
rpc_client_adopt(struct rpc_client *client, struct rpc_client *from, const struct difference *difference)
{
	const struct settings *settings = difference_from(difference);

	client->last_id = from->last_id;
	for (size_t i = 0; i < from->devices; i++) {
		const struct device *now = difference_device_now(difference, &settings->devices[i]);

		while (now && from->waiting[i] && adopt_ask(client, now->index, from->waiting[i])) {
			heap_remove(&from->due, &from->waiting[i]->due);
			from->waiting[i] = from->waiting[i]->next;
		}
		rpc_client_down(from, i);
	}
	client->counts = from->counts;
}

void
rpc_client_down(struct rpc_client *client, size_t device)
{
	while (client->waiting[device]) {
		client->counts.unanswered++;
		finish(client, client->waiting[device], NULL, "the session ended before the server answered");
	}
}

int64_t
rpc_client_due_mono_ms(const struct rpc_client *client)
{
	const struct heap_node *first = heap_first(&client->due);

	return first ? first->due : CLOCK_NEVER;
}

void
rpc_client_tick(struct rpc_client *client)
{
	int64_t now = clock_mono_ms();
	struct heap_node *first;

	while ((first = heap_first(&client->due)) && first->due <= now) {
		client->counts.unanswered++;
		finish(client, heap_entry(first, struct ask, due), NULL, "the server did not answer in time");
	}
}

struct rpc_client_counts
rpc_client_counts(const struct rpc_client *client)
{
	return client->counts;
}
