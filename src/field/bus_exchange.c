#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "field/bus_log.h"
#include "field/bus_state.h"

/* --- what it says about the unit --- */

static void
note_change(struct bus_worker *worker, const struct poll_unit *unit, enum unit_change change, int error,
    int timeout_ms, int64_t away_us)
{
	if (change == UNIT_SAME)
		return;
	bus_log_unit(worker->bus, unit, change, error, timeout_ms, away_us,
	    unit->shortest || writer_greets(worker->writer, unit->state.id));
	if (change == UNIT_LOST)
		delivery_unit_offline(&worker->delivery, unit);
}

/* Replies that came too late belong to a unit that may be out of step. */
static void
note_stale(struct bus_worker *worker, const struct link_report *report)
{
	for (int i = 0; i < report->stale_count; i++) {
		struct poll_unit *unit = schedule_unit(&worker->schedule, report->stale_units[i]);
		enum unit_change change;

		if (!unit)
			continue;
		change = schedule_unit_stale(&worker->schedule, unit, clock_mono_us());
		note_change(worker, unit, change, -EBADMSG, 0, 0);
		if (!unit->timed_out || unit->late_told)
			continue;
		bus_log_late(worker->bus, unit);
		unit->late_told = true;
	}
}

/* Did the unit fail? It did not if the line did, except that a connection which breaks on a request is the
 * unit's doing. */
static bool
is_units_failure(const struct bus_worker *worker, int error, bool sent)
{
	return error == -ETIMEDOUT || error == -EBADMSG || error == -EBUSY || pdu_is_gateways(error) ||
	       (error < 0 && sent && worker->bus->type != BUS_RTU);
}

/* For how long after a failed request its answer may still come: as long again as it was to be waited for. */
static int64_t
pending_us(int error, int timeout_ms, int64_t now_us, const struct link_report *report)
{
	if (!report->sent || error >= 0)
		return 0;
	if (error == -ETIMEDOUT)
		return (int64_t)2 * timeout_ms * 1000;
	return 2 * (now_us - report->asked_mono_us);
}

/* What the outcome of a request says about its unit.
 * timeout_ms  for which it should have been waited, wait_ms for which it was */
static void
judge_unit(struct bus_worker *worker, struct poll_unit *unit, struct poll_request *poll, int error,
    int timeout_ms, int wait_ms, const struct link_report *report)
{
	int64_t now_us = clock_mono_us();
	enum unit_change change = UNIT_SAME;
	bool no_holes = unit->lore.no_holes;
	int64_t away_us = 0;

	if (is_units_failure(worker, error, report->sent))
		change = schedule_unit_failed(&worker->schedule, unit, poll, report->asked_mono_us, now_us,
		    pending_us(error, timeout_ms, now_us, report));
	else if (error >= 0)
		change =
		    schedule_unit_answered(&worker->schedule, unit, report->asked_mono_us, now_us, &away_us);
	if (error >= 0 && !pdu_is_gateways(error))
		writer_answered(worker->writer, unit->state.id);
	else if (change == UNIT_LOST)
		writer_lost(worker->writer, unit->state.id);
	if (error < 0)
		unit->timed_out = error == -ETIMEDOUT && wait_ms == timeout_ms;
	note_change(worker, unit, change, error, timeout_ms, away_us);
	if (unit->lore.no_holes && !no_holes)
		bus_log_no_holes(worker->bus, unit);
}

/* --- what it says about the line --- */

static void
judge_line(struct bus_worker *worker, int error, const struct link_report *report)
{
	if (error >= 0) {
		bus_line_fruit(worker);
	} else if (report->closed) {
		/* It was closed to get in step again, which is no reason to wait. */
		worker->line.fruitful = true;
		bus_line_close(worker, 0);
	} else if (error == -ENOTCONN) {
		bus_line_close(worker, -ECONNRESET);
	} else if (error != -ETIMEDOUT && error != -EBADMSG && error != -EBUSY && error != -ETIME &&
		   error != -EINVAL) {
		bus_line_close(worker, error);
	}
}

static void
tell_news(struct bus_worker *worker)
{
	const char *news = worker->line.link->ops->news(worker->line.link);

	if (news)
		log_warning("bus %s: %s", worker->bus->name, news);
}

/* How long the exchange kept the line, until the next may begin, and its unit, if that answered. */
static void
note_time(struct bus_worker *worker, struct poll_request *poll, int error, int64_t began_us,
    const struct link_report *report)
{
	int64_t now_us = clock_mono_us();
	int64_t free_us = worker->line.link->ops->ready_us(worker->line.link);
	bool answered = error >= 0 && !pdu_is_gateways(error);

	schedule_spent(&worker->schedule, answered ? poll : NULL,
	    (free_us > now_us ? free_us : now_us) - began_us, now_us);
	if (poll && error == 0)
		schedule_measured(
		    &worker->schedule, poll, report->done_mono_us - report->asked_mono_us, now_us);
}

/* The request was given up for us to end, and its answer may still come. Should the line stay open over that,
 * the answer must not be taken for another's. */
static void
note_given_up(
    struct bus_worker *worker, struct poll_unit *unit, int timeout_ms, const struct link_report *report)
{
	if (!report->sent)
		return;
	if (worker->bus->type == BUS_TCP) {
		worker->line.fruitful = true;
		bus_line_close(worker, 0);
		worker->line.reopen.at_us = worker->line.closed_us;
	} else if (unit) {
		schedule_unit_pause(&worker->schedule, unit,
		    report->asked_mono_us + (int64_t)2 * timeout_ms * 1000, clock_mono_us());
	}
}

/* --- asking --- */

static void
hand_up(void *ctx)
{
	delivery_flush(ctx);
}

int
bus_exchange(struct bus_worker *worker, struct poll_unit *unit, struct poll_request *poll,
    const struct pdu_request *request, int timeout_ms, uint16_t *cells, struct link_report *report)
{
	int64_t began_us = clock_mono_us();
	int wait_ms = poll ? schedule_wait_ms(poll) : timeout_ms;
	struct link *link = worker->line.link;
	int error;

	link->meanwhile = hand_up;
	link->ctx = &worker->delivery;
	error = link->ops->exchange(link, request, wait_ms, cells, report);
	if (error == -ECANCELED) {
		note_given_up(worker, unit, timeout_ms, report);
		return error;
	}
	if (error != -ENOTCONN && error != -ETIME && unit) {
		unit_count(&unit->state.counters, error);
		if (poll)
			overload_poll(&worker->overload, &worker->schedule,
			    schedule_advance(&worker->schedule, poll, report->asked_mono_us),
			    clock_mono_us());
		judge_unit(worker, unit, poll, error, timeout_ms, wait_ms, report);
		note_time(worker, poll, error, began_us, report);
		unit->state.counters.echoes += report->echoed;
	}
	note_stale(worker, report);
	tell_news(worker);
	judge_line(worker, error, report);
	return error;
}
