#include "field/serial_bus.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "field/checkup.h"
#include "field/line.h"
#include "field/serial_bus_state.h"

/* How long a write under way and on_close have when the bus is to stop, together. */
#define STOP_GRACE_US 1000000
#define BUSY_MAX_MS   1000

/* --- questions --- */

static void
fill_report(const struct serial_bus *self, struct health_bus *report)
{
	struct listener_counters counters;

	listener_counters(self->listener, &counters);
	report->taken_mono_us = clock_mono_us();
	report->state = self->state;
	report->since_mono_us = self->state_us;
	report->opened = self->opened;
	report->samples_refused = self->instruments.refused;
	report->commands = self->errands.count;
	report->stretch = 1;
	snprintf(report->why, sizeof(report->why), "%s", self->reopen.told ? self->reopen.why : "");
	report->line = (struct health_line){
		.collisions = self->talker.collisions,
		.frame_errors = self->errors.frame,
		.parity_errors = self->errors.parity,
		.overruns = self->errors.overrun,
		.breaks = self->errors.breaks,
	};
	report->frames = (struct health_frames){
		.bytes = counters.bytes,
		.frames = counters.frames,
		.good = counters.good,
		.bad_checksum = counters.bad_checksum,
		.unmatched = counters.unmatched,
		.wasted_bytes = counters.wasted_bytes,
		.values = counters.values,
		.no_values = counters.no_values,
	};
	snprintf(report->frames.last_bad, sizeof(report->frames.last_bad), "%s", counters.last_bad);
	checkup_instruments(&self->instruments, report);
}

static void
answer_questions(struct serial_bus *self)
{
	struct health_question question;

	while (inbox_question(&self->inbox, &question)) {
		serial_bus_line_count_errors(self);
		fill_report(self, question.bus);
		health_give_back(&question);
	}
}

/* --- the loop --- */

static void
take_commands(struct serial_bus *self)
{
	struct inbox_command taken;

	while (inbox_command(&self->inbox, errands_room(&self->errands), &taken)) {
		const struct command *command = &taken.command;
		struct instrument *instrument = instruments_find(&self->instruments, command->point->device);

		errands_take(&self->errands, command);
		if (command->kind == COMMAND_READ && instrument && instrument->polled)
			instrument->wanted = true;
	}
}

/* Time passes: frames that end by silence, samples whose period is over, who is silent, what has expired. */
static void
tick(struct serial_bus *self)
{
	int64_t now_us = clock_mono_us();
	struct instrument *instrument;

	errands_expire(&self->errands, now_us / 1000);
	if (!self->open)
		return;
	if (now_us / 1000 >= listener_deadline(self->listener))
		listener_tick(self->listener, now_us / 1000);
	instruments_tick(&self->instruments, now_us);
	while ((instrument = instruments_fall_silent(&self->instruments, now_us))) {
		if (instrument->unit.state != UNIT_OFFLINE)
			log_warning("bus %s device %s: silent for %d s", self->bus->name, instrument->device->name,
			    instrument->device->silence_s);
		serial_bus_talk_greet_again(self, 0);
	}
}

static void
serve(struct serial_bus *self)
{
	serial_bus_line_receive(self);
	if (self->open)
		tick(self);
	if (self->open)
		serial_bus_turn_run(self);
	if (self->open)
		serial_bus_line_rest(self);
}

/* A conversation under way is let come to its end, since whoever asked for a write would never know of it; then on_close is spoken. */
static void
serve_last(struct serial_bus *self)
{
	int64_t end_us = clock_mono_us() + STOP_GRACE_US;

	while (self->open && self->owner != OWNER_NOBODY && clock_mono_us() < end_us)
		serve(self);
	if (self->owner != OWNER_NOBODY)
		serial_bus_talk_finish(self, -ECANCELED);
	if (!self->open || !self->closing || self->on_close.count == 0)
		return;
	serial_bus_talk_script(self, OWNER_CLOSE, &self->on_close);
	while (self->open && self->owner != OWNER_NOBODY && clock_mono_us() < end_us)
		serve(self);
	if (self->owner != OWNER_NOBODY)
		serial_bus_talk_finish(self, -ECANCELED);
}

static void *
run(void *arg)
{
	struct serial_bus *self = arg;

	while (!thread_should_end(&self->thread)) {
		serial_bus_line_note_state(self);
		answer_questions(self);
		take_commands(self);
		errands_expire(&self->errands, clock_mono_ms());
		if (self->open)
			serve(self);
		else
			serial_bus_line_open(self);
	}
	serve_last(self);
	return NULL;
}

/* Whatever still waits is answered, also what is pushed while the thread ends. */
static void
answer_rest(struct serial_bus *self)
{
	do {
		errands_refuse(&self->errands, OUTCOME_STOPPED, 0, true);
		take_commands(self);
	} while (self->errands.count > 0);
}

/* --- making --- */

static int
init(struct serial_bus *self, const struct settings *settings, struct resolver *resolver, struct sample_sink samples)
{
	const struct listener_sink sink = serial_bus_input_sink(self);
	int error = thread_init(&self->thread);

	if (error == 0)
		error = inbox_init(&self->inbox, &self->thread, SERIAL_BUS_COMMANDS_MAX);
	if (error == 0)
		error = instruments_init(&self->instruments, settings, self->bus, samples);
	if (error == 0)
		error = script_init(&self->on_open, &self->bus->on_open, false);
	if (error == 0)
		error = script_init(&self->on_close, &self->bus->on_close, false);
	if (error == 0)
		error = listener_new(settings, self->bus, &sink, &self->listener);
	if (error != 0)
		return error;
	self->port = port_new(self->bus, resolver, thread_stop_fd(&self->thread));
	return self->port ? 0 : -errno;
}

struct serial_bus *
serial_bus_new(const struct settings *settings, const struct bus *bus, struct resolver *resolver,
    struct sample_sink samples, struct outcome_sink outcomes)
{
	struct serial_bus *self = calloc(1, sizeof(*self));
	int error;

	if (!self)
		return NULL;
	self->bus = bus;
	self->greet_us = CLOCK_NEVER;
	self->closed_us = clock_mono_us();
	reopen_init(&self->reopen, bus, self->closed_us);
	errands_init(&self->errands, bus, outcomes);
	talker_init(&self->talker, bus);
	error = init(self, settings, resolver, samples);
	if (error == 0)
		return self;
	serial_bus_free(self);
	errno = -error;
	return NULL;
}

void
serial_bus_free(struct serial_bus *self)
{
	if (!self)
		return;
	if (self->port)
		serial_bus_close(self);
	port_free(self->port);
	listener_free(self->listener);
	script_done(&self->on_open);
	script_done(&self->on_close);
	instruments_done(&self->instruments);
	inbox_done(&self->inbox);
	thread_done(&self->thread);
	free(self);
}

int
serial_bus_start(struct serial_bus *self)
{
	return thread_start(&self->thread, self->bus->name, run, self);
}

void
serial_bus_tell_pause(struct serial_bus *self)
{
	thread_tell_pause(&self->thread);
}

void
serial_bus_tell_stop(struct serial_bus *self)
{
	thread_tell_stop(&self->thread);
}

void
serial_bus_tell_close(struct serial_bus *self)
{
	self->closing = true;
	thread_tell_stop(&self->thread);
}

bool
serial_bus_await(struct serial_bus *self, int64_t until_us)
{
	return thread_await(&self->thread, until_us);
}

void
serial_bus_close(struct serial_bus *self)
{
	serial_bus_line_count_errors(self);
	port_close(self->port);
	self->open = false;
	answer_rest(self);
	answer_questions(self);
}

/* --- other settings --- */

static void
adopt_commands(struct serial_bus *self, struct serial_bus *from, const struct difference *difference)
{
	do {
		errands_adopt(&self->errands, &from->errands, difference);
		take_commands(from);
	} while (from->errands.count > 0);
}

void
serial_bus_adopt(struct serial_bus *self, struct serial_bus *from, const struct difference *difference)
{
	assert(!self->thread.running && !from->thread.running);
	answer_questions(from); /* while it still knows */
	instruments_adopt(&self->instruments, &from->instruments, difference, clock_mono_us());
	adopt_commands(self, from, difference);
	serial_bus_line_adopt(self, from);
	self->look_us = from->look_us;
	self->came_us = from->came_us;
	self->came_unix_ms = from->came_unix_ms;
	self->ready_us = from->ready_us;
	self->settle_us = from->settle_us;
	self->greet_us = from->greet_us;
	self->greet_pause_us = from->greet_pause_us;
	self->greet_told = from->greet_told;
	self->nonsense_told = from->nonsense_told;
	/* What was begun of a frame is lost. */
	listener_reset(self->listener, true);
}

struct health_bus *
serial_bus_report(const struct serial_bus *self, bool full)
{
	size_t points = 0;

	for (size_t i = 0; full && i < self->instruments.count; i++)
		points += self->instruments.items[i].reading_count;
	return health_bus_new(self->bus, self->instruments.count, points);
}

int
serial_bus_ask(struct serial_bus *self, const struct health_question *question)
{
	return inbox_ask(&self->inbox, question);
}

/* It waits for nothing in a conversation but for RTS, and for what patterns may take. */
int
serial_bus_busy_max_ms(const struct serial_bus *self)
{
	return BUSY_MAX_MS + (int)(line_chars_us(self->bus, self->bus->rs485 == RS485_OFF ? 0 : TEMPLATE_BYTES_MAX) / 1000);
}

int
serial_bus_command(struct serial_bus *self, const struct command *commands, size_t count)
{
	return inbox_push(&self->inbox, commands, count);
}
