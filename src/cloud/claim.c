#include <config.h>

#include "cloud/claim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "cloud/reason.h"
#include "cloud/tb_json.h"
#include "cloud/tb_topic.h"

#define PAYLOAD_MAX 2048 /* 255 characters of a secret, escaped, are 1530 bytes at most */
#define NOTE_MAX    64
#define ROOM_MS	    1000  /* the limits that the server told have no room: it is looked again */
#define AGAIN_MS    10000 /* after "quota exceeded" */

struct item {
	const struct device *device; /* NULL: it has no claim */
	char *path;		     /* NULL: nothing is remembered */
	bool due;
	int id; /* of the message that waits for its PUBACK, or 0 */
	int64_t again_mono_ms; /* not before: the server has too much, or its limits have no room; 0 = now */
	bool quota_said;
};

struct claims {
	const struct settings *settings;
	struct keeper *keeper;
	struct sender_port port;
	struct item *items; /* by the index of the device */
	int64_t due_mono_ms; /* the earliest again_mono_ms, or CLOCK_NEVER */
};

/* What is kept once this very claim was made. */
static void
print_note(const struct claim *claim, char note[NOTE_MAX])
{
	snprintf(note, NOTE_MAX, "fieldgate claimed 1 %016" PRIx64 " %d\n", hash_bytes(claim->secret, strlen(claim->secret)),
	    claim->duration_ms);
}

static void
load(struct claims *claims, const struct device *device)
{
	struct item *item = &claims->items[device->index];
	char note[NOTE_MAX], *kept;

	item->device = device;
	item->path = keeper_path(claims->keeper, "claimed", device->name);
	kept = item->path ? keeper_read(item->path) : NULL;
	print_note(device->claim, note);
	item->due = !kept || strcmp(kept, note) != 0;
	free(kept);
}

struct claims *
claims_new(const struct settings *settings, struct keeper *keeper, struct sender_port port)
{
	struct claims *claims = calloc(1, sizeof(*claims));

	if (!claims)
		return NULL;
	claims->settings = settings;
	claims->keeper = keeper;
	claims->port = port;
	claims->due_mono_ms = CLOCK_NEVER;
	claims->items = calloc(settings->device_count + 1, sizeof(claims->items[0]));
	if (!claims->items) {
		free(claims);
		return NULL;
	}
	for (size_t i = 0; i < settings->device_count; i++)
		if (settings->devices[i].claim)
			load(claims, &settings->devices[i]);
	return claims;
}

void
claims_free(struct claims *claims)
{
	if (!claims)
		return;
	keeper_forget(claims->keeper, claims->items, claims->items + claims->settings->device_count);
	for (size_t i = 0; i < claims->settings->device_count; i++)
		free(claims->items[i].path);
	free(claims->items);
	free(claims);
}

/* {"secretKey":"s","durationMs":n}; without a duration the server takes its own. */
static int
print_payload(const struct claim *claim, char *text, size_t size)
{
	static const char head[] = "{\"secretKey\":";
	size_t used = sizeof(head) - 1;
	int length = tb_json_string(claim->secret, text + used, size - used - NOTE_MAX);

	if (length < 0)
		return length;
	memcpy(text, head, used);
	used += (size_t)length;
	if (claim->duration_ms > 0)
		used += (size_t)snprintf(text + used, size - used, ",\"durationMs\":%d", claim->duration_ms);
	text[used++] = '}';
	return (int)used;
}

static void
say_again(struct claims *claims, struct item *item, int64_t delay_ms)
{
	item->again_mono_ms = clock_mono_ms() + delay_ms;
	if (item->again_mono_ms < claims->due_mono_ms)
		claims->due_mono_ms = item->again_mono_ms;
}

static void
say(struct claims *claims, struct item *item)
{
	size_t index = item->device->index;
	char payload[PAYLOAD_MAX];
	int length;

	if (!item->due || item->id != 0 || !claims->port.is_up(claims->port.ctx, index))
		return;
	item->again_mono_ms = 0;
	length = print_payload(item->device->claim, payload, sizeof(payload));
	if (length > 0)
		length = claims->port.publish(claims->port.ctx, index, TB_CLAIM, 0, payload, (size_t)length);
	explicit_bzero(payload, sizeof(payload));
	if (length > 0)
		item->id = length;
	else if (length == -EAGAIN)
		say_again(claims, item, ROOM_MS);
}

int64_t
claims_due_mono_ms(const struct claims *claims)
{
	return claims->due_mono_ms;
}

void
claims_tick(struct claims *claims, int64_t now_mono_ms)
{
	if (now_mono_ms < claims->due_mono_ms)
		return;
	claims->due_mono_ms = CLOCK_NEVER;
	for (size_t i = 0; i < claims->settings->device_count; i++) {
		struct item *item = &claims->items[i];

		if (item->again_mono_ms == 0)
			continue;
		if (item->again_mono_ms <= now_mono_ms)
			say(claims, item);
		else if (item->again_mono_ms < claims->due_mono_ms)
			claims->due_mono_ms = item->again_mono_ms;
	}
}

static void
on_kept(void *ctx, int error)
{
	const struct item *item = ctx;

	if (error < 0)
		log_warning("device %s: that it can be claimed will be said again after a restart: %s cannot be written: %s",
		    item->device->name, item->path, strerror(-error));
}

void
claims_up(struct claims *claims, size_t device)
{
	if (claims->items[device].device)
		say(claims, &claims->items[device]);
}

void
claims_down(struct claims *claims, size_t device)
{
	claims->items[device].id = 0;
	claims->items[device].again_mono_ms = 0;
}

bool
claims_acked(struct claims *claims, size_t device, int id)
{
	struct item *item = &claims->items[device];
	char note[NOTE_MAX];
	int error;

	if (item->id == 0 || item->id != id)
		return false;
	item->id = 0;
	item->due = false;
	item->quota_said = false;
	log_notice("device %s: has told the server with which secret it can be claimed", item->device->name);
	print_note(item->device->claim, note);
	error = item->path ? keeper_probe(claims->keeper) : 0;
	if (error == 0 && item->path)
		error = keeper_write(claims->keeper, item->path, note, on_kept, item);
	if (error < 0)
		on_kept(item, error);
	return true;
}

bool
claims_refused(struct claims *claims, size_t device, int id, int reason)
{
	struct item *item = &claims->items[device];

	if (item->id == 0 || item->id != id)
		return false;
	item->id = 0;
	if (reason_blame(reason) == BLAME_RATE) {
		if (!item->quota_said)
			log_warning("device %s: the server does not take its claim now: %s: it is told again every %d s",
			    item->device->name, reason_text(reason), AGAIN_MS / 1000);
		item->quota_said = true;
		say_again(claims, item, AGAIN_MS);
		return true;
	}
	item->due = false;
	log_warning("device %s: the server refuses its claim: %s", item->device->name, reason_text(reason));
	return true;
}

void
claims_repeat(struct claims *claims, size_t device)
{
	struct item *item = &claims->items[device];

	if (!item->device)
		return;
	item->due = true;
	say(claims, item);
}
