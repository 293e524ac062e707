#include "cloud/cloud_loss.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"

#define RETRY_MS     5000 /* doubling, if a value could not be written */
#define RETRY_MAX_MS 30000
#define SAMPLE_MS    1000 /* a unit that answers is tried before, but not more often */

struct silence;

/* A value to be written. */
struct safe {
	struct awaiter awaiter;
	struct silence *silence;
	const struct point_write *write;
	bool wanted; /* not written in this loss */
	bool running;
	bool said;
};

/* Of one device. */
struct silence {
	struct cloud_loss *loss;
	const struct device *device;
	struct heap_node due; /* mono ms: the server counts as lost, or what that asks for is tried again */
	bool heard;	      /* the server has answered on this connection */
	bool lost;
	int64_t since_mono_ms; /* there is no session that was heard */
	int64_t sent_mono_ms;
	int retry_ms;
	struct safe *safe;
	size_t count;
};

struct cloud_loss {
	const struct settings *settings;
	struct commands *commands;
	struct shared *shared;
	struct heap due;
	struct silence *devices;
	struct safe *safe;
};

static awaiter_outcome safe_outcome;

static void
share_out(struct cloud_loss *loss)
{
	const struct settings *settings = loss->settings;
	struct safe *next = loss->safe;

	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];
		struct silence *silence = &loss->devices[i];

		*silence = (struct silence){
			.loss = loss,
			.device = device,
			.since_mono_ms = clock_mono_ms(),
			.safe = next,
			.count = device->on_cloud_loss_count,
		};
		for (size_t j = 0; j < silence->count; j++)
			*next++ = (struct safe){ .awaiter.outcome = safe_outcome,
				.silence = silence,
				.write = &device->on_cloud_loss[j] };
		if (silence->count > 0)
			heap_set(&loss->due, &silence->due,
			    silence->since_mono_ms + (int64_t)device->cloud_loss_s * 1000);
	}
}

struct cloud_loss *
cloud_loss_new(const struct settings *settings, struct commands *commands, struct shared *shared)
{
	struct cloud_loss *loss = calloc(1, sizeof(*loss));
	size_t count = 0;

	if (!loss)
		return NULL;
	for (size_t i = 0; i < settings->device_count; i++)
		count += settings->devices[i].on_cloud_loss_count;
	loss->settings = settings;
	loss->commands = commands;
	loss->shared = shared;
	loss->devices = calloc(settings->device_count + 1, sizeof(loss->devices[0]));
	loss->safe = calloc(count + 1, sizeof(loss->safe[0]));
	if (heap_init(&loss->due, settings->device_count) < 0 || !loss->devices || !loss->safe) {
		cloud_loss_free(loss);
		return NULL;
	}
	share_out(loss);
	return loss;
}

void
cloud_loss_free(struct cloud_loss *loss)
{
	if (!loss)
		return;
	heap_done(&loss->due);
	free(loss->devices);
	free(loss->safe);
	free(loss);
}

static void
safe_say(struct safe *safe, const struct outcome *outcome, const char *result)
{
	char text[OUTCOME_TEXT_MAX];

	if (safe->said)
		return;
	safe->said = true;
	outcome_text(outcome, COMMAND_WRITE, text, sizeof(text));
	log_warning("device %s: on_cloud_loss: %s: %s: %s", safe->silence->device->name,
	    safe->write->point->key, text, result);
}

static bool
is_safe(const struct silence *silence)
{
	for (size_t i = 0; i < silence->count; i++)
		if (silence->safe[i].wanted || silence->safe[i].running)
			return false;
	return true;
}

/* Is something to be written to the unit of that point, and not on its way? */
static bool
is_unsafe_unit(const struct silence *silence, const struct point *point)
{
	for (size_t i = 0; i < silence->count; i++) {
		const struct safe *safe = &silence->safe[i];

		if (safe->wanted && !safe->running && safe->write->point->bus == point->bus &&
		    safe->write->point->unit == point->unit)
			return true;
	}
	return false;
}

static void
safe_send(struct safe *safe)
{
	struct cloud_loss *loss = safe->silence->loss;
	struct command command = {
		.kind = COMMAND_WRITE,
		.point = safe->write->point,
		.expires_mono_ms = clock_mono_ms() + loss->settings->server.rpc_timeout_ms,
	};
	struct command_group group;

	if (value_copy(&safe->write->value, &command.value) < 0)
		return;
	group.count = 0;
	command_group_add(&group, &command, &safe->awaiter, 0);
	safe->running = commands_push(loss->commands, &group) == 0;
	if (!safe->running)
		value_done(&command.value);
}

/* Write what is not written yet, one by one and in order. What finds no place is tried again like what fails.
 */
static void
send_all(struct silence *silence)
{
	for (size_t i = 0; i < silence->count; i++)
		if (silence->safe[i].wanted && !silence->safe[i].running)
			safe_send(&silence->safe[i]);
	silence->sent_mono_ms = clock_mono_ms();
	heap_set(&silence->loss->due, &silence->due, silence->sent_mono_ms + silence->retry_ms);
	silence->retry_ms *= 2;
	if (silence->retry_ms > RETRY_MAX_MS)
		silence->retry_ms = RETRY_MAX_MS;
}

static void
note_loss(struct silence *silence)
{
	silence->lost = true;
	log_warning("device %s: no session with the server for %d s: its on_cloud_loss values are written",
	    silence->device->name, silence->device->cloud_loss_s);
	for (size_t i = 0; i < silence->count; i++) {
		silence->safe[i].wanted = true;
		silence->safe[i].said = false;
		/* A wish that is older than the loss would undo what is written now. */
		shared_drop(silence->loss->shared, silence->safe[i].write->point);
	}
	silence->retry_ms = RETRY_MS;
	send_all(silence);
}

void
cloud_loss_heard(struct cloud_loss *loss, size_t device)
{
	struct silence *silence = &loss->devices[device];

	silence->heard = true;
	heap_remove(&loss->due, &silence->due);
	if (!silence->lost)
		return;
	silence->lost = false;
	log_notice("device %s: the server is back after %" PRId64 " s", silence->device->name,
	    (clock_mono_ms() - silence->since_mono_ms) / 1000);
	for (size_t i = 0; i < silence->count; i++)
		silence->safe[i].wanted = false;
}

void
cloud_loss_silent(struct cloud_loss *loss, size_t device)
{
	struct silence *silence = &loss->devices[device];

	if (!silence->heard)
		return;
	silence->heard = false;
	silence->since_mono_ms = clock_mono_ms();
	if (silence->count > 0)
		heap_set(&loss->due, &silence->due,
		    silence->since_mono_ms + (int64_t)silence->device->cloud_loss_s * 1000);
}

static void
safe_outcome(struct awaiter *awaiter, size_t index, struct outcome *outcome)
{
	struct safe *safe = heap_entry(awaiter, struct safe, awaiter);
	struct silence *silence = safe->silence;

	(void)index;
	safe->running = false;
	if (!safe->wanted)
		return;
	safe->wanted = !outcome_is_good(outcome) && !outcome_is_final(outcome);
	if (safe->wanted)
		safe_say(safe, outcome, "will be written once the unit answers");
	else if (!outcome_is_good(outcome))
		safe_say(safe, outcome, "not tried again");
	if (is_safe(silence))
		heap_remove(&silence->loss->due, &silence->due);
}

void
cloud_loss_sample(struct cloud_loss *loss, const struct sample *sample)
{
	struct silence *silence = &loss->devices[sample->point->device->index];

	if (silence->lost && is_unsafe_unit(silence, sample->point) &&
	    clock_mono_ms() - silence->sent_mono_ms >= SAMPLE_MS)
		send_all(silence);
}

static struct safe *
same_safe(struct silence *from, const struct point_write *write, const struct difference *difference)
{
	const struct point *point = difference_point(difference, write->point);

	for (size_t i = 0; point && i < from->count; i++)
		if (from->safe[i].write->point == point && value_equal(&from->safe[i].write->value, &write->value))
			return &from->safe[i];
	return NULL;
}

static void
adopt_silence(struct silence *silence, struct silence *from, const struct difference *difference)
{
	struct cloud_loss *loss = silence->loss;

	silence->heard = from->heard;
	silence->lost = from->lost && silence->count > 0;
	silence->since_mono_ms = from->since_mono_ms;
	silence->sent_mono_ms = from->sent_mono_ms;
	silence->retry_ms = from->lost ? from->retry_ms : RETRY_MS;
	for (size_t i = 0; i < silence->count; i++) {
		struct safe *safe = &silence->safe[i];
		struct safe *old = same_safe(from, safe->write, difference);

		safe->wanted = silence->lost && (!old || old->wanted);
		if (!old)
			continue;
		safe->running = old->running;
		safe->said = old->said;
		if (old->running)
			commands_give(loss->commands, &old->awaiter, &safe->awaiter);
		old->running = false;
	}
	heap_remove(&loss->due, &silence->due);
	if (silence->lost && !is_safe(silence))
		heap_set(&loss->due, &silence->due, clock_mono_ms());
	else if (!silence->lost && !silence->heard && silence->count > 0)
		heap_set(&loss->due, &silence->due,
		    silence->since_mono_ms + (int64_t)silence->device->cloud_loss_s * 1000);
}

void
cloud_loss_adopt(struct cloud_loss *loss, struct cloud_loss *from, const struct difference *difference)
{
	for (size_t i = 0; i < loss->settings->device_count; i++) {
		const struct device *was = difference_device(difference, &loss->settings->devices[i]);

		if (was)
			adopt_silence(&loss->devices[i], &from->devices[was->index], difference);
	}
	for (size_t i = 0; i < from->settings->device_count; i++)
		for (size_t j = 0; j < from->devices[i].count; j++)
			if (from->devices[i].safe[j].running) {
				from->devices[i].safe[j].wanted = false;
				commands_abandon(loss->commands, &from->devices[i].safe[j].awaiter);
			}
}

int64_t
cloud_loss_due_mono_ms(const struct cloud_loss *loss)
{
	const struct heap_node *first = heap_first(&loss->due);

	return first ? first->due : CLOCK_NEVER;
}

void
cloud_loss_tick(struct cloud_loss *loss)
{
	int64_t now = clock_mono_ms();
	struct heap_node *first;

	while ((first = heap_first(&loss->due)) && first->due <= now) {
		struct silence *silence = heap_entry(first, struct silence, due);

		if (silence->lost)
			send_all(silence);
		else
			note_loss(silence);
	}
}
