#include "field/errands.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

void
errands_init(struct errands *errands, const struct bus *bus, struct outcome_sink outcomes)
{
	errands->bus = bus;
	errands->outcomes = outcomes;
	errands->refused = 0;
	errands->count = 0;
}

size_t
errands_room(const struct errands *errands)
{
	return ERRANDS_MAX - errands->count;
}

void
errands_take(struct errands *errands, const struct command *command)
{
	assert(errands->count < ERRANDS_MAX);
	errands->items[errands->count++] = (struct errand){ .command = *command };
}

size_t
errands_greet(struct errands *errands, const struct device *device, size_t from)
{
	size_t i;

	for (i = from; i < device->on_connect_count && errands->count < ERRANDS_MAX; i++) {
		const struct point_write *write = &device->on_connect[i];
		struct errand errand = { .command = { .kind = COMMAND_WRITE, .point = write->point,
					     .expires_mono_ms = CLOCK_NEVER },
			.unasked = true };

		if (write->point->bus != errands->bus)
			continue;
		if (value_copy(&write->value, &errand.command.value) == 0)
			errands->items[errands->count++] = errand;
	}
	return i;
}

static bool
is_read(const struct errand *errand)
{
	return errand->command.kind == COMMAND_READ;
}

/* What finds nobody there is written when its device is. */
static void
tell_greeting(const struct errands *errands, struct outcome *outcome)
{
	char text[OUTCOME_TEXT_MAX];

	value_done(&outcome->value);
	if (outcome->status == OUTCOME_DONE || outcome->status == OUTCOME_OFFLINE || outcome->status == OUTCOME_STOPPED)
		return;
	outcome_text(outcome, COMMAND_WRITE, text, sizeof(text));
	log_warning("bus %s device %s: on_connect of %s: %s", errands->bus->name, outcome->point->device->name,
	    outcome->point->key, text);
}

static void
finish(struct errands *errands, size_t at, struct outcome *outcome)
{
	struct command *command = &errands->items[at].command;
	bool unasked = errands->items[at].unasked;

	outcome->point = command->point;
	outcome->tag = command->tag;
	value_done(&command->value);
	errands->count--;
	memmove(&errands->items[at], &errands->items[at + 1], (errands->count - at) * sizeof(struct errand));
	if (unasked) {
		tell_greeting(errands, outcome);
		return;
	}
	if (errands->outcomes.push(errands->outcomes.ctx, outcome) == 0)
		return;
	value_done(&outcome->value);
	if (errands->refused++ == 0)
		log_error("bus %s: the outcome of a command found no room and is lost", errands->bus->name);
}

struct errand *
errands_next_write(struct errands *errands)
{
	for (size_t i = 0; i < errands->count; i++)
		if (!is_read(&errands->items[i]) && !errands->items[i].started)
			return &errands->items[i];
	return NULL;
}

void
errands_finish_write(struct errands *errands, struct outcome *outcome)
{
	for (size_t i = 0; i < errands->count; i++)
		if (!is_read(&errands->items[i]) && errands->items[i].started) {
			finish(errands, i, outcome);
			return;
		}
	value_done(&outcome->value);
}

bool
errands_begin_reads(struct errands *errands, const struct device *device)
{
	bool begun = false;

	for (size_t i = 0; i < errands->count; i++) {
		struct errand *errand = &errands->items[i];

		if (!is_read(errand) || errand->started || errand->command.point->device != device)
			continue;
		errand->started = true;
		begun = true;
	}
	return begun;
}

void
errands_value(struct errands *errands, const struct point *point, enum outcome_status status, const struct value *value)
{
	for (size_t i = errands->count; i-- > 0;) {
		struct outcome outcome = { .status = status };

		if (!is_read(&errands->items[i]) || errands->items[i].command.point != point)
			continue;
		if (value && value_copy(value, &outcome.value) != 0)
			outcome.status = OUTCOME_STOPPED;
		finish(errands, i, &outcome);
	}
}

void
errands_end_reads(struct errands *errands, const struct device *device, enum outcome_status status, int error)
{
	for (size_t i = errands->count; i-- > 0;) {
		const struct errand *errand = &errands->items[i];
		struct outcome outcome = { .status = status, .error = error };

		if (is_read(errand) && errand->started && errand->command.point->device == device)
			finish(errands, i, &outcome);
	}
}

/* A read that waits for what an instrument says by itself has begun when it was taken. */
void
errands_expire(struct errands *errands, int64_t now_ms)
{
	for (size_t i = errands->count; i-- > 0;) {
		const struct errand *errand = &errands->items[i];
		struct outcome outcome = { .status = OUTCOME_EXPIRED };

		if (now_ms < errand->command.expires_mono_ms || (errand->started && !is_read(errand)))
			continue;
		if (is_read(errand))
			outcome = (struct outcome){ .status = OUTCOME_TIMEOUT, .error = ETIMEDOUT };
		finish(errands, i, &outcome);
	}
}

int64_t
errands_due_ms(const struct errands *errands)
{
	int64_t due_ms = CLOCK_NEVER;

	for (size_t i = 0; i < errands->count; i++)
		if ((is_read(&errands->items[i]) || !errands->items[i].started) &&
		    errands->items[i].command.expires_mono_ms < due_ms)
			due_ms = errands->items[i].command.expires_mono_ms;
	return due_ms;
}

void
errands_refuse(struct errands *errands, enum outcome_status status, int error, bool all)
{
	for (size_t i = errands->count; i-- > 0;) {
		struct outcome outcome = { .status = status, .error = error };

		if (all || !errands->items[i].started)
			finish(errands, i, &outcome);
	}
}

void
errands_adopt(struct errands *errands, struct errands *from, const struct difference *difference)
{
	while (from->count > 0) {
		struct errand errand = from->items[0];
		const struct point *point = difference_point_now(difference, errand.command.point);
		struct outcome outcome = { .status = OUTCOME_STOPPED };

		if (!point || point->bus != errands->bus || errands_room(errands) == 0 ||
		    difference_carry(point, &errand.command.value) != 0) {
			finish(from, 0, &outcome);
			continue;
		}
		errand.command.point = point;
		errand.started = false;
		errands->items[errands->count++] = errand;
		from->count--;
		memmove(&from->items[0], &from->items[1], from->count * sizeof(struct errand));
	}
}
