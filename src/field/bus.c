#include "field/bus.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "field/bus_state.h"
#include "field/checkup.h"

/* What is written may be read before and after, and the line drained in between. */
#define REQUESTS_IN_A_ROW 4

/* --- what others want --- */

static void
take_commands(struct bus_worker *worker)
{
	struct inbox_command taken;

	while (inbox_command(&worker->inbox, writer_room(worker->writer), &taken))
		writer_take(worker->writer, &taken.command, taken.more);
}

static void
fill_report(const struct bus_worker *worker, struct health_bus *report)
{
	const struct bus_line *line = &worker->line;

	report->taken_mono_us = clock_mono_us();
	report->state = line->state;
	report->since_mono_us = line->state_us;
	report->opened = line->opened;
	report->samples_refused = worker->delivery.refused;
	report->commands = WRITER_COMMANDS_MAX - writer_room(worker->writer);
	snprintf(report->why, sizeof(report->why), "%s", line->reopen.told ? line->reopen.why : "");
	checkup_line(line->link->ops->counters(line->link), &report->line);
	checkup_schedule(&worker->schedule, report);
}

static void
answer_questions(struct bus_worker *worker)
{
	struct health_question question;

	while (inbox_question(&worker->inbox, &question)) {
		delivery_flush(&worker->delivery);
		fill_report(worker, question.bus);
		health_give_back(&question);
	}
}

/* --- the loop --- */

static void *
worker_run(void *arg)
{
	struct bus_worker *worker = arg;

	while (!thread_should_end(&worker->thread)) {
		bus_line_note_state(worker);
		answer_questions(worker);
		take_commands(worker);
		writer_expire(worker->writer);
		delivery_look_for_stale(&worker->delivery);
		if (worker->line.open)
			bus_turn_knock(worker);
		if (worker->line.open && bus_line_ready(worker) && bus_turn_run(worker))
			continue;
		delivery_flush(&worker->delivery);
		if (worker->line.open)
			bus_line_wait(worker);
		else
			bus_line_open(worker);
	}
	delivery_flush(&worker->delivery);
	return NULL;
}

/* Points that are new to a unit or a line that is not there are so from the begin. */
static void
note_absent(struct bus_worker *worker)
{
	if (worker->line.reopen.told)
		delivery_all_offline(&worker->delivery);
	else
		delivery_absent_offline(&worker->delivery);
}

static void
begin(struct bus_worker *worker)
{
	int64_t now_us = clock_mono_us();

	if (worker->begun) {
		note_absent(worker);
		return;
	}
	worker->begun = true;
	worker->line.closed_us = worker->line.state_us = now_us;
	reopen_init(&worker->line.reopen, worker->bus, now_us);
	overload_begin(&worker->overload, now_us);
	lore_recall(&worker->lore);
}

int
bus_worker_start(struct bus_worker *worker)
{
	begin(worker);
	return thread_start(&worker->thread, worker->bus->name, worker_run, worker);
}

void
bus_worker_tell_pause(struct bus_worker *worker)
{
	thread_tell_pause(&worker->thread);
}

void
bus_worker_tell_stop(struct bus_worker *worker)
{
	thread_tell_stop(&worker->thread);
}

bool
bus_worker_await(struct bus_worker *worker, int64_t until_us)
{
	return thread_await(&worker->thread, until_us);
}

/* --- begin and end --- */

static int
init(struct bus_worker *worker, const struct settings *settings, struct link_maker maker,
    struct sample_sink samples, struct outcome_sink outcomes)
{
	const struct bus *bus = worker->bus;
	int error = thread_init(&worker->thread);

	if (error == 0)
		error = inbox_init(&worker->inbox, &worker->thread, BUS_COMMANDS_MAX);
	if (error == 0)
		error = schedule_init(&worker->schedule, settings, bus, clock_mono_us());
	if (error == 0)
		error = delivery_init(&worker->delivery, bus, &worker->schedule, samples);
	if (error == 0)
		error = lore_init(&worker->lore, bus, &worker->schedule);
	if (error != 0)
		return error;
	worker->writer = writer_new(settings, bus, bus_turn_writer_port(worker), outcomes);
	if (worker->writer)
		worker->line.link = maker.make(maker.ctx, bus, thread_stop_fd(&worker->thread));
	return worker->line.link ? 0 : -errno;
}

struct bus_worker *
bus_worker_new(const struct settings *settings, const struct bus *bus, struct link_maker maker,
    struct sample_sink samples, struct outcome_sink outcomes)
{
	struct bus_worker *worker = calloc(1, sizeof(*worker));
	int error;

	if (!worker)
		return NULL;
	worker->bus = bus;
	error = init(worker, settings, maker, samples, outcomes);
	if (error == 0)
		return worker;
	bus_worker_free(worker);
	errno = -error;
	return NULL;
}

/* Whatever still waits is answered, also what is pushed while the thread ends. */
static void
answer_rest(struct bus_worker *worker)
{
	answer_questions(worker);
	do {
		writer_refuse(worker->writer, OUTCOME_STOPPED, 0);
		take_commands(worker);
	} while (writer_waits(worker->writer));
}

void
bus_worker_close(struct bus_worker *worker)
{
	worker->line.link->ops->close(worker->line.link);
	worker->line.open = false;
	lore_keep_rest(&worker->lore);
	answer_rest(worker);
}

void
bus_worker_free(struct bus_worker *worker)
{
	struct link *link;

	if (!worker)
		return;
	link = worker->line.link;
	if (link)
		bus_worker_close(worker);
	writer_free(worker->writer);
	if (link)
		link->ops->free(link);
	lore_done(&worker->lore);
	delivery_done(&worker->delivery);
	schedule_done(&worker->schedule);
	inbox_done(&worker->inbox);
	thread_done(&worker->thread);
	free(worker);
}

/* --- other settings --- */

/* Commands that have not been taken yet, behind those that have. */
static void
adopt_commands(struct bus_worker *worker, struct bus_worker *from, const struct difference *difference)
{
	do {
		writer_adopt(worker->writer, from->writer, difference);
		take_commands(from);
	} while (writer_waits(from->writer));
}

void
bus_worker_adopt(struct bus_worker *worker, struct bus_worker *from, const struct difference *difference)
{
	assert(!worker->thread.running && !from->thread.running);
	answer_questions(from); /* while it still knows */
	schedule_adopt(&worker->schedule, &from->schedule, difference, clock_mono_us());
	adopt_commands(worker, from, difference);
	bus_line_adopt(worker, from);
	lore_adopt(&worker->lore, &from->lore);
	delivery_adopt(&worker->delivery, &from->delivery);
	worker->overload = from->overload;
	worker->begun = from->begun;
}

/* --- any thread --- */

int
bus_worker_command(struct bus_worker *worker, const struct command *commands, size_t count)
{
	return inbox_push(&worker->inbox, commands, count);
}

struct health_bus *
bus_worker_report(const struct bus_worker *worker, bool full)
{
	const struct schedule *schedule = &worker->schedule;

	return health_bus_new(worker->bus, schedule->unit_count, full ? schedule->item_count : 0);
}

int
bus_worker_ask(struct bus_worker *worker, const struct health_question *question)
{
	return inbox_ask(&worker->inbox, question);
}

int
bus_worker_busy_max_ms(const struct bus_worker *worker)
{
	int timeout_ms = worker->bus->timeout_ms;

	for (size_t i = 0; i < worker->schedule.item_count; i++) {
		const struct device *device = worker->schedule.items[i].point->device;

		timeout_ms = device->timeout_ms > timeout_ms ? device->timeout_ms : timeout_ms;
	}
	return REQUESTS_IN_A_ROW * timeout_ms;
}
