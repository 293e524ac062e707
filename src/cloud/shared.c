#include "cloud/shared.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "cloud/rpc.h"

#define RETRY_MS  5000
#define ASK_MAX	  16384 /* bytes of the keys of one attribute request, as the gateway API writes them; servers may take less than 64 kB */
#define KEY_BYTES 1024	/* KEY_error: 255 characters are 765 bytes at most */
#define TELL_MS	  200
#define ROOM_MS	  500 /* they have no room: it is looked again */

/* VALUE_NONE once the unit has it or has refused it. */
struct wanted {
	struct awaiter awaiter;
	struct shared *shared;
	const struct point *point;
	struct value value;
	int64_t since_mono_ms;
	int64_t retry_mono_ms; /* not before */
	bool running;	       /* a command is on its way */
	bool replaced;	       /* `value` is newer than that command's */
	bool updated; /* by an update, since the attribute request that is not answered yet was sent */
	bool queued;  /* in the list of those to be sent together */
	bool waits;   /* in the list of those that found no place */
	struct wanted *next_waiting;
	uint64_t said; /* hash of what was logged last about it, so that it is said once */
	char *why;   /* the unit does not have what was wanted; "" if it has; NULL: nothing was wanted yet */
	bool untold; /* and the server does not know that */
};

struct shared_device {
	struct shared *shared;
	const struct device *device;
	bool up;
	struct heap_node due;  /* mono ms: tell the server why */
	size_t tell_max;       /* in one message; 0 = what fits */
	bool delay_said;       /* that shared attributes wait for a unit */
	bool news;	       /* the server has not been asked for all of them */
	struct wanted *wanted; /* one for each shared point */
	size_t count;
};

struct shared {
	const struct settings *settings;
	struct downlink_port port;
	struct commands *commands;
	struct shared_device *devices;
	struct heap due;
	struct wanted *wanted;
	struct wanted **queued; /* to be sent together */
	size_t queued_count;
	struct wanted **by_point;
	struct wanted *waiting; /* found no place in a queue; tried again with each outcome */
	struct wanted **waiting_end;
	struct shared_counts counts;
	char payload[TB_MAX_PAYLOAD];
};

static awaiter_outcome wanted_outcome;

static void
share_out(struct shared *shared)
{
	const struct settings *settings = shared->settings;
	struct wanted *next = shared->wanted;

	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];
		struct shared_device *list = &shared->devices[i];

		*list = (struct shared_device){ .shared = shared, .device = device, .wanted = next };
		for (size_t j = 0; j < device->point_count; j++) {
			const struct point *point = &device->points[j];

			if (!point->shared)
				continue;
			*next = (struct wanted){
				.awaiter.outcome = wanted_outcome, .shared = shared, .point = point
			};
			shared->by_point[point->index] = next++;
		}
		list->count = (size_t)(next - list->wanted);
	}
}

struct shared *
shared_new(const struct settings *settings, struct downlink_port port, struct commands *commands)
{
	struct shared *shared = calloc(1, sizeof(*shared));
	size_t count = 0;

	if (!shared)
		return NULL;
	for (size_t i = 0; i < settings->device_count; i++)
		count += shared_count(&settings->devices[i]);
	shared->settings = settings;
	shared->port = port;
	shared->commands = commands;
	shared->waiting_end = &shared->waiting;
	shared->devices = calloc(settings->device_count + 1, sizeof(shared->devices[0]));
	shared->wanted = calloc(count + 1, sizeof(shared->wanted[0]));
	shared->queued = calloc(count + 1, sizeof(struct wanted *));
	shared->by_point = calloc(settings->point_count + 1, sizeof(struct wanted *));
	if (heap_init(&shared->due, settings->device_count) < 0 || !shared->devices || !shared->wanted ||
	    !shared->queued || !shared->by_point) {
		shared_free(shared);
		return NULL;
	}
	share_out(shared);
	return shared;
}

void
shared_free(struct shared *shared)
{
	if (!shared)
		return;
	for (size_t i = 0; shared->by_point && i < shared->settings->point_count; i++)
		if (shared->by_point[i]) {
			value_done(&shared->by_point[i]->value);
			free(shared->by_point[i]->why);
		}
	heap_done(&shared->due);
	free(shared->devices);
	free(shared->wanted);
	free(shared->queued);
	free(shared->by_point);
	free(shared);
}

size_t
shared_count(const struct device *device)
{
	size_t count = 0;

	for (size_t i = 0; i < device->point_count; i++)
		count += device->points[i].shared;
	return count;
}

struct shared_counts
shared_counts(const struct shared *shared)
{
	return shared->counts;
}

/* ---- sending ---- */

static void
wanted_wait(struct wanted *wanted)
{
	struct shared *shared = wanted->shared;

	if (wanted->waits)
		return;
	wanted->waits = true;
	wanted->next_waiting = NULL;
	*shared->waiting_end = wanted;
	shared->waiting_end = &wanted->next_waiting;
}

static void
wanted_add(struct command_group *group, struct wanted *wanted)
{
	int64_t now = clock_mono_ms();
	struct command command = {
		.kind = COMMAND_WRITE_CHANGED,
		.point = wanted->point,
		.expires_mono_ms = now + wanted->shared->settings->server.rpc_timeout_ms,
	};

	wanted->retry_mono_ms = now + RETRY_MS;
	if (value_copy(&wanted->value, &command.value) == 0)
		command_group_add(group, &command, &wanted->awaiter, 0);
}

static struct wanted *
wanted_of(struct awaiter *awaiter)
{
	return heap_entry(awaiter, struct wanted, awaiter);
}

static void
wanted_push(struct shared *shared, struct command_group *group)
{
	bool taken = group->count > 0 && commands_push(shared->commands, group) == 0;

	for (size_t i = 0; i < group->count; i++) {
		struct wanted *wanted = wanted_of(group->awaiters[i]);

		if (taken) {
			wanted->running = true;
			wanted->replaced = false;
		} else {
			value_done(&group->commands[i].value);
			wanted_wait(wanted);
		}
	}
	group->count = 0;
}

static void
wanted_send(struct wanted *wanted)
{
	struct command_group group;

	group.count = 0;
	wanted_add(&group, wanted);
	wanted_push(wanted->shared, &group);
}

/* Neighbours side by side, so that they are in one group. */
static int
compare_wanted(const void *a, const void *b)
{
	const struct point *p = (*(struct wanted *const *)a)->point;
	const struct point *q = (*(struct wanted *const *)b)->point;

	if (p->bus != q->bus)
		return p->bus->index < q->bus->index ? -1 : 1;
	if (p->unit != q->unit)
		return p->unit < q->unit ? -1 : 1;
	if (p->table != q->table)
		return p->table < q->table ? -1 : 1;
	return p->addr < q->addr ? -1 : p->addr > q->addr;
}

/* Send what was queued: the field makes one request of those that touch. */
static void
flush(struct shared *shared)
{
	struct command_group group;

	qsort(shared->queued, shared->queued_count, sizeof(struct wanted *), compare_wanted);
	group.count = 0;
	for (size_t i = 0; i < shared->queued_count; i++) {
		struct wanted *wanted = shared->queued[i];

		wanted->queued = false;
		if (group.count == COMMAND_GROUP_MAX ||
		    (group.count > 0 && group.commands[0].point->bus != wanted->point->bus))
			wanted_push(shared, &group);
		if (wanted->value.kind != VALUE_NONE)
			wanted_add(&group, wanted);
	}
	wanted_push(shared, &group);
	shared->queued_count = 0;
}

void
shared_room(struct shared *shared)
{
	struct wanted *wanted = shared->waiting;

	if (!wanted)
		return;
	shared->waiting = wanted->next_waiting;
	if (!shared->waiting)
		shared->waiting_end = &shared->waiting;
	wanted->waits = false;
	if (wanted->value.kind != VALUE_NONE && !wanted->running)
		wanted_send(wanted);
}

void
shared_sample(struct shared *shared, const struct sample *sample)
{
	struct wanted *wanted = shared->by_point[sample->point->index];

	if (!wanted || wanted->value.kind == VALUE_NONE || wanted->running ||
	    clock_mono_ms() < wanted->retry_mono_ms)
		return;
	wanted_send(wanted);
}

/* ---- outcomes ---- */

static void
wanted_clear(struct wanted *wanted)
{
	value_done(&wanted->value);
	wanted->replaced = false;
}

static struct shared_device *
list_of(const struct wanted *wanted)
{
	return &wanted->shared->devices[wanted->point->device->index];
}

/* The server is to know why the point is not what it is wanted to be; "" if it is, or nothing is wanted. Many
 * come at once, so they are sent a moment later. */
static void
wanted_tell(struct wanted *wanted, const char *why)
{
	struct shared_device *list = list_of(wanted);
	char *copy;

	if (wanted->why && strcmp(wanted->why, why) == 0)
		return;
	copy = strdup(why);
	if (!copy)
		return;
	free(wanted->why);
	wanted->why = copy;
	wanted->untold = true;
	if (list->up && list->due.position == 0)
		heap_set(&wanted->shared->due, &list->due, clock_mono_ms() + TELL_MS);
}

/* Append "KEY_error":"why" to the object. Returns false if it has no room. */
static bool
put_why(const struct wanted *wanted, char *payload, size_t *used)
{
	struct value value = { .kind = VALUE_LABEL, .label = wanted->why };
	char key[KEY_BYTES];
	int length;

	snprintf(key, sizeof(key), "%s_error", wanted->point->key);
	length = tb_json_member(key, &value, *used == 1, payload + *used, TB_MAX_PAYLOAD - *used - 1);
	if (length > 0)
		*used += (size_t)length;
	return length > 0;
}

/* Client attributes are state: what is lost with a session is sent again with the next. */
static void
tell_all(struct shared *shared, struct shared_device *list)
{
	char *payload = shared->payload;
	size_t used = 1, end = 0, told = 0;
	int result;

	payload[0] = '{';
	for (; end < list->count && (list->tell_max == 0 || told < list->tell_max); end++) {
		if (list->wanted[end].untold && !put_why(&list->wanted[end], payload, &used))
			break;
		told += list->wanted[end].untold;
	}
	payload[used] = '}';
	heap_remove(&shared->due, &list->due);
	if (told == 0)
		return;
	result = shared->port.publish(
	    shared->port.ctx, list->device->index, TB_ATTRIBUTES, (int64_t)told, payload, used + 1);
	if (result == -EMSGSIZE && told > 1)
		list->tell_max = told / 2; /* the server takes less at a time */
	else if (result != -EAGAIN)
		for (size_t i = 0; i < end; i++)
			list->wanted[i].untold = false;
	if (end < list->count || result == -EAGAIN || (result == -EMSGSIZE && told > 1))
		heap_set(&shared->due, &list->due, clock_mono_ms() + (result == -EAGAIN ? ROOM_MS : TELL_MS));
}

void
shared_up(struct shared *shared, size_t device)
{
	struct shared_device *list = &shared->devices[device];

	list->up = true;
	for (size_t i = 0; i < list->count; i++)
		if (list->wanted[i].why) {
			list->wanted[i].untold = true;
			heap_set(&shared->due, &list->due, clock_mono_ms() + TELL_MS);
		}
}

void
shared_down(struct shared *shared, size_t device)
{
	shared->devices[device].up = false;
	heap_remove(&shared->due, &shared->devices[device].due);
}

int64_t
shared_due_mono_ms(const struct shared *shared)
{
	const struct heap_node *first = heap_first(&shared->due);

	return first ? first->due : CLOCK_NEVER;
}

void
shared_tick(struct shared *shared)
{
	int64_t now = clock_mono_ms();
	struct heap_node *first;

	while ((first = heap_first(&shared->due)) && first->due <= now)
		tell_all(shared, heap_entry(first, struct shared_device, due));
}

/* The server sends the same bad value on each connection: it is said once. */
static void
wanted_say(struct wanted *wanted, const char *why, const char *result)
{
	uint64_t hash = hash_bytes(why, strlen(why));

	wanted_tell(wanted, why);
	if (hash == wanted->said)
		return;
	wanted->said = hash;
	log_warning("device %s: shared attribute %s: %s: %s", wanted->point->device->name, wanted->point->key,
	    why, result);
}

/* What could not be written now stays wanted. A device that is away has many such points and one reason. */
static void
wanted_delayed(struct shared_device *list, struct wanted *wanted, const struct outcome *outcome)
{
	char text[RPC_TEXT_MAX];

	if (wanted->value.kind == VALUE_NONE)
		return;
	outcome_text(outcome, COMMAND_WRITE_CHANGED, text, sizeof(text));
	wanted_tell(wanted, text);
	if (list->delay_said)
		return;
	list->delay_said = true;
	log_warning("device %s: shared attribute %s: %s: what is wanted is written once the unit answers",
	    list->device->name, wanted->point->key, text);
}

/* The unit has said no, or took it and holds something else: it would do the same again. */
static void
wanted_refused(struct wanted *wanted, const struct outcome *outcome)
{
	bool taken = outcome->status == OUTCOME_DIFFERENT || outcome->status == OUTCOME_UNVERIFIED;
	char text[RPC_TEXT_MAX];

	outcome_text(outcome, COMMAND_WRITE_CHANGED, text, sizeof(text));
	wanted_say(wanted, text, taken ? "not tried again" : "not written");
	wanted_clear(wanted);
}

static void
wanted_outcome(struct awaiter *awaiter, size_t index, struct outcome *outcome)
{
	struct wanted *wanted = wanted_of(awaiter);
	struct shared_device *list = list_of(wanted);

	(void)index;
	wanted->running = false;
	if (outcome->status == OUTCOME_DONE)
		wanted->shared->counts.written++;
	if (wanted->replaced) {
		wanted_send(wanted);
	} else if (outcome_is_good(outcome)) {
		wanted->said = 0;
		list->delay_said = false;
		wanted_clear(wanted);
		wanted_tell(wanted, "");
	} else if (outcome_is_final(outcome)) {
		wanted_refused(wanted, outcome);
	} else {
		wanted_delayed(list, wanted, outcome);
	}
}

void
shared_overrule(struct shared *shared, const struct point *point, int64_t asked_mono_ms)
{
	struct wanted *wanted = point->index == POINT_AD_HOC ? NULL : shared->by_point[point->index];

	if (!wanted || wanted->running || wanted->since_mono_ms > asked_mono_ms)
		return;
	wanted_clear(wanted);
	wanted_tell(wanted, "");
}

void
shared_drop(struct shared *shared, const struct point *point)
{
	struct wanted *wanted = shared->by_point[point->index];

	if (wanted)
		wanted_clear(wanted);
}

/* ---- other settings ---- */

static void
adopt_wanted(struct wanted *wanted, struct wanted *from)
{
	struct commands *commands = wanted->shared->commands;

	if (difference_carry(wanted->point, &from->value) == 0) {
		wanted->value = from->value;
		from->value = (struct value){ 0 };
	}
	wanted->since_mono_ms = from->since_mono_ms;
	wanted->retry_mono_ms = from->retry_mono_ms;
	wanted->running = from->running;
	wanted->replaced = from->replaced;
	wanted->updated = from->updated;
	wanted->said = from->said;
	wanted->why = from->why;
	wanted->untold = from->untold;
	from->why = NULL;
	if (from->running)
		commands_give(commands, &from->awaiter, &wanted->awaiter);
	from->running = false;
}

static void
adopt_list(struct shared_device *list, const struct shared_device *from)
{
	list->delay_said = from->delay_said;
	list->up = from->up;
	if (from->due.position != 0)
		heap_set(&list->shared->due, &list->due, from->due.due);
}

void
shared_adopt(struct shared *shared, struct shared *from, const struct difference *difference)
{
	for (size_t i = 0; i < shared->settings->device_count; i++) {
		struct shared_device *list = &shared->devices[i];
		const struct device *was = difference_device(difference, list->device);

		if (was)
			adopt_list(list, &from->devices[was->index]);
		for (size_t j = 0; j < list->count; j++) {
			const struct point *point = difference_point(difference, list->wanted[j].point);

			if (was && point)
				adopt_wanted(&list->wanted[j], from->by_point[point->index]);
			else
				list->news = true;
		}
	}
	for (struct wanted *wanted = from->waiting; wanted; wanted = wanted->next_waiting) {
		const struct point *point = difference_point_now(difference, wanted->point);

		if (point && difference_device_now(difference, wanted->point->device))
			wanted_wait(shared->by_point[point->index]);
	}
	for (size_t i = 0; i < from->settings->point_count; i++)
		if (from->by_point[i] && from->by_point[i]->running) {
			wanted_clear(from->by_point[i]);
			commands_abandon(shared->commands, &from->by_point[i]->awaiter);
		}
	shared->counts = from->counts;
}

bool
shared_is_news(const struct shared *shared, size_t device)
{
	return shared->devices[device].news;
}

/* ---- what the server says ---- */

/* It wants `json` in a shared point, and no longer what it wanted before, even if that cannot be had: flush()
 * sends it. */
static void
wanted_set(struct wanted *wanted, const struct tb_json *json)
{
	struct shared *shared = wanted->shared;
	char error[RPC_TEXT_MAX];
	struct value value;

	wanted_clear(wanted);
	if (tb_json_scalar(json, &value) < 0) {
		shared->counts.refused++;
		wanted_say(
		    wanted, "the value is neither a number nor a text nor true or false", "not written");
		return;
	}
	if (rpc_check_value(wanted->point, &value, error) < 0) {
		shared->counts.refused++;
		wanted_say(wanted, error, "not written");
		value_done(&value);
		return;
	}
	wanted->value = value;
	wanted->since_mono_ms = clock_mono_ms();
	wanted->replaced = wanted->running;
	if (wanted->running || wanted->queued)
		return;
	wanted->queued = true;
	shared->queued[shared->queued_count++] = wanted;
}

static struct wanted *
wanted_find(struct shared_device *list, const char *key)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->wanted[i].point->key, key) == 0)
			return &list->wanted[i];
	return NULL;
}

static struct wanted *
wanted_named(struct shared_device *list, const char *key)
{
	struct wanted *wanted = wanted_find(list, key);

	if (!wanted)
		log_debug("device %s: shared attribute %.64s is of no point", list->device->name, key);
	return wanted;
}

/* An update that came after the request is newer than the answer may be. */
static void
on_answered(void *ctx, const char *key, const struct tb_json *member)
{
	struct wanted *wanted = wanted_named(ctx, key);

	if (wanted && !wanted->updated)
		wanted_set(wanted, member);
}

static void
on_updated(void *ctx, const char *key, const struct tb_json *member)
{
	struct wanted *wanted = wanted_named(ctx, key);

	if (!wanted)
		return;
	wanted->updated = true;
	wanted_set(wanted, member);
}

static void
on_deleted(void *ctx, const struct tb_json *element)
{
	const char *key = tb_json_text(element);
	struct wanted *wanted = key ? wanted_find(ctx, key) : NULL;

	if (!wanted)
		return;
	wanted->updated = true;
	wanted->said = 0;
	wanted_clear(wanted);
	wanted_tell(wanted, "");
}

void
shared_update(struct shared *shared, size_t device, const struct tb_json *json)
{
	struct shared_device *list = &shared->devices[device];

	if (tb_json_elements(tb_json_get(json, "deleted"), on_deleted, list) < 0)
		tb_json_members(json, on_updated, list);
	flush(shared);
}

/* {"client":{..},"shared":{..}} as the server sends it, or flat as its manual shows it. */
void
shared_response(struct shared *shared, size_t device, const struct tb_json *json)
{
	struct shared_device *list = &shared->devices[device];

	if (tb_json_members(tb_json_get(json, "shared"), on_answered, list) < 0)
		tb_json_members(json, on_answered, list);
	flush(shared);
}

size_t
shared_request(struct shared *shared, size_t device, size_t *from, char *payload)
{
	struct shared_device *list = &shared->devices[device];
	size_t used = (size_t)sprintf(payload, "{\"sharedKeys\":\"");
	size_t first = *from, bytes = 0;

	for (; *from < list->count; ++*from) {
		struct wanted *wanted = &list->wanted[*from];
		int length = tb_json_string(wanted->point->key, payload + used, TB_MAX_PAYLOAD - used - 4);

		if (length < 0)
			continue; /* no key of the server */
		bytes += (size_t)length + 1;
		if (bytes > ASK_MAX && *from > first)
			break;
		wanted->updated = false;
		/* Only the inside of the string is wanted, and a comma after it. */
		memmove(payload + used, payload + used + 1, (size_t)length - 2);
		used += (size_t)length - 2;
		payload[used++] = ',';
	}
	used--;
	memcpy(payload + used, "\"}", 2);
	return used + 2;
}
