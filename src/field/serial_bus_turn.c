/* Whose turn it is. */
#include <errno.h>

#include "base/clock.h"
#include "field/serial_bus_state.h"

/* A flood of commands does not stop the polls. */
#define COMMANDS_IN_A_ROW 8

/* Whoever was met or is back gets its on_connect values before anything else. */
static void
take_greetings(struct serial_bus *self)
{
	for (size_t i = 0; i < self->instruments.count; i++) {
		struct instrument *instrument = &self->instruments.items[i];

		if (!instrument->greet)
			continue;
		instrument->greeted = errands_greet(&self->errands, instrument->device, instrument->greeted);
		instrument->greet = instrument->greeted < instrument->device->on_connect_count;
		if (!instrument->greet)
			instrument->greeted = 0;
	}
}

/* Returns whether one has begun. */
static bool
begin_next(struct serial_bus *self, int64_t now_us)
{
	struct instrument *instrument;
	struct errand *errand;
	int64_t due_us;

	take_greetings(self);
	if (now_us < serial_bus_talk_ready_us(self))
		return false;
	if (now_us >= self->greet_us) {
		serial_bus_talk_script(self, OWNER_OPEN, &self->on_open);
		return true;
	}
	instrument = instruments_next(&self->instruments, now_us, &due_us);
	if (instrument && self->in_a_row >= COMMANDS_IN_A_ROW) {
		serial_bus_talk_poll(self, instrument);
		return true;
	}
	while ((errand = errands_next_write(&self->errands)))
		if (serial_bus_write_begin(self, errand))
			return true;
	if (instrument)
		serial_bus_talk_poll(self, instrument);
	return instrument != NULL;
}

void
serial_bus_turn_run(struct serial_bus *self)
{
	for (int i = 0; self->open && i <= COMMANDS_IN_A_ROW; i++) {
		int error;

		if (self->owner == OWNER_NOBODY &&
		    (thread_should_end(&self->thread) || !begin_next(self, clock_mono_us())))
			return;
		error = talker_run(&self->talker, clock_mono_us());
		if (error == -EAGAIN)
			return;
		if (error < 0 && self->talker.broken)
			serial_bus_line_close(self, error);
		else
			serial_bus_talk_finish(self, error);
	}
}

/* When there is something to say. */
static int64_t
talk_due_us(struct serial_bus *self)
{
	int64_t due_us;
	int64_t ready;

	if (self->owner != OWNER_NOBODY)
		return talker_due_us(&self->talker);
	ready = serial_bus_talk_ready_us(self);
	(void)instruments_next(&self->instruments, INT64_MIN, &due_us);
	due_us = serial_bus_earlier(due_us, self->greet_us);
	if (errands_next_write(&self->errands))
		due_us = INT64_MIN;
	return due_us > ready ? due_us : ready;
}

int64_t
serial_bus_turn_due_us(struct serial_bus *self)
{
	int64_t errand_ms = errands_due_ms(&self->errands);
	int64_t frame_ms = listener_deadline(self->listener);
	int64_t due = serial_bus_earlier(talk_due_us(self), instruments_due_us(&self->instruments));

	if (errand_ms < CLOCK_NEVER / 1000)
		due = serial_bus_earlier(due, errand_ms * 1000);
	if (frame_ms < CLOCK_NEVER)
		due = serial_bus_earlier(due, frame_ms * 1000);
	return due;
}
