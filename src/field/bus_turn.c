#include "base/clock.h"
#include "field/bus_log.h"
#include "field/bus_state.h"

/* --- polls --- */

static void
note_accepted(struct bus_worker *worker, struct poll_request *poll)
{
	struct plan_unit lore = poll->unit->lore;
	bool searched = poll->search != NULL;
	bool failed = poll->failing_told;
	int before = schedule_accepted(&worker->schedule, poll, clock_mono_us());

	poll->failing_told = false;
	if ((before != 0 && !searched) || failed)
		bus_log_answered(worker->bus, poll);
	bus_log_length(worker->bus, poll->unit, &lore);
}

/* The unit answers other requests, but not this one. */
static void
note_failed(const struct bus_worker *worker, struct poll_request *poll)
{
	if (poll->failures < UNIT_FAILURES_OFFLINE || poll->failing_told ||
	    poll->unit->state.state == UNIT_OFFLINE)
		return;
	poll->failing_told = true;
	bus_log_unanswered(worker->bus, poll);
}

static void
note_refused(struct bus_worker *worker, struct poll_request *poll, int exception)
{
	bool searched = poll->search != NULL;
	bool news;
	enum schedule_verdict verdict =
	    schedule_refused(&worker->schedule, poll, exception, clock_mono_us(), &news);

	if (verdict == SCHEDULE_KEPT || verdict == SCHEDULE_LEFT_OUT)
		delivery_request_refused(&worker->delivery, poll);
	/* Of a search its begin and what it finds is told. */
	if (news || verdict == SCHEDULE_HOLES || (verdict == SCHEDULE_LEFT_OUT && searched))
		bus_log_refused(worker->bus, poll, exception, verdict);
}

static bool
run_poll(struct bus_worker *worker)
{
	struct link_report report;
	struct pdu_request request;
	int64_t due_us;
	struct poll_request *poll;
	int error;

	if (schedule_wants_update(&worker->schedule, clock_mono_us())) {
		delivery_flush(&worker->delivery); /* it is of a request of the old plan */
		schedule_update(&worker->schedule, clock_mono_us());
	}
	lore_tend(&worker->lore);
	poll = schedule_next(&worker->schedule, clock_mono_us(), &due_us);
	if (!poll)
		return false;
	request = pdu_read(poll->table, poll->unit->state.id, poll->addr, poll->count);
	error = bus_exchange(worker, poll->unit, poll, &request, poll->timeout_ms, delivery_cells(&worker->delivery), &report);
	if (error == 0 && writer_greets(worker->writer, poll->unit->state.id)) {
		schedule_touch(&worker->schedule, poll->items[0]->point, clock_mono_us());
	} else if (error == 0) {
		delivery_reply(&worker->delivery, poll, &report);
		note_accepted(worker, poll);
	} else if (error > 0 && !pdu_is_gateways(error)) {
		note_refused(worker, poll, error);
	} else {
		note_failed(worker, poll);
	}
	return true;
}

/* --- what the writer needs --- */

static int
writer_ask(
    void *ctx, const struct pdu_request *request, int timeout_ms, uint16_t *cells, struct link_report *report)
{
	struct bus_worker *worker = ctx;

	return bus_exchange(worker, schedule_unit(&worker->schedule, request->unit), NULL, request,
	    timeout_ms, cells, report);
}

static int64_t
unit_quiet_until_us(void *ctx, int unit)
{
	const struct bus_worker *worker = ctx;
	const struct poll_unit *polled = schedule_unit(&worker->schedule, unit);

	if (!polled)
		return 0;
	return polled->state.quiet_until_us > polled->state.paused_until_us ? polled->state.quiet_until_us
									    : polled->state.paused_until_us;
}

static void
keep_unit_quiet(void *ctx, int unit, int64_t until_us)
{
	struct bus_worker *worker = ctx;
	struct poll_unit *polled = schedule_unit(&worker->schedule, unit);

	if (polled)
		schedule_unit_pause(&worker->schedule, polled, until_us, clock_mono_us());
}

static bool
is_unit_away(void *ctx, int unit)
{
	const struct bus_worker *worker = ctx;
	const struct poll_unit *polled = schedule_unit(&worker->schedule, unit);

	return polled && polled->state.state == UNIT_OFFLINE;
}

static void
touch_point(void *ctx, const struct point *point)
{
	struct bus_worker *worker = ctx;

	schedule_touch(&worker->schedule, point, clock_mono_us());
}

struct writer_port
bus_turn_writer_port(struct bus_worker *worker)
{
	return (struct writer_port){
		.ask = writer_ask,
		.quiet_until_us = unit_quiet_until_us,
		.keep_quiet = keep_unit_quiet,
		.is_away = is_unit_away,
		.written = touch_point,
		.ctx = worker,
	};
}

/* --- whose turn it is --- */

/* When a unit that is only written may be tried with its on_connect values, which is how it is met;
 * CLOCK_NEVER if it has none left. */
static int64_t
knock_us(const struct bus_worker *worker, const struct poll_unit *unit)
{
	const struct unit *state = &unit->state;
	int64_t at_us =
	    state->held_until_us > state->paused_until_us ? state->held_until_us : state->paused_until_us;

	if (!unit->write_only || !writer_greets(worker->writer, state->id))
		return CLOCK_NEVER;
	return at_us > state->quiet_until_us ? at_us : state->quiet_until_us;
}

void
bus_turn_knock(struct bus_worker *worker)
{
	int64_t now_us = clock_mono_us();

	for (size_t i = 0; i < worker->schedule.unit_count; i++)
		if (knock_us(worker, &worker->schedule.unit[i]) <= now_us)
			writer_answered(worker->writer, worker->schedule.unit[i].state.id);
}

static bool
run_command(struct bus_worker *worker)
{
	int64_t began_us = clock_mono_us();

	if (!writer_run(worker->writer))
		return false;
	worker->in_a_row++;
	worker->commands_us += clock_mono_us() - began_us;
	return true;
}

static bool
run_poll_in_turn(struct bus_worker *worker)
{
	worker->in_a_row = 0;
	worker->commands_us = 0;
	return run_poll(worker);
}

bool
bus_turn_run(struct bus_worker *worker)
{
	bool enough = worker->in_a_row >= BUS_COMMANDS_IN_A_ROW || worker->commands_us >= BUS_COMMAND_TIME_US;

	return (enough && run_poll_in_turn(worker)) || run_command(worker) || run_poll_in_turn(worker);
}

static int64_t
next_knock_us(const struct bus_worker *worker)
{
	int64_t next_us = CLOCK_NEVER;

	for (size_t i = 0; i < worker->schedule.unit_count; i++) {
		int64_t at_us = knock_us(worker, &worker->schedule.unit[i]);

		next_us = at_us < next_us ? at_us : next_us;
	}
	return next_us;
}

int64_t
bus_turn_due_us(struct bus_worker *worker)
{
	int64_t now_us = clock_mono_us();
	int64_t knock_us = next_knock_us(worker);
	int64_t due_us;

	if (schedule_next(&worker->schedule, now_us, &due_us))
		return now_us;
	return knock_us < due_us ? knock_us : due_us;
}
