#include <stdlib.h>

#include "base/clock.h"
#include "field/schedule_state.h"

#define TURNAROUND_NEAR_US 2000 /* less is no difference */

static int64_t
planned_turnaround_us(const struct schedule *schedule, const struct poll_unit *unit)
{
	if (unit->lore.turnaround_us > 0)
		return unit->lore.turnaround_us;
	return plan_assumed_turnaround_us(schedule->bus);
}

void
schedule_measured(struct schedule *schedule, struct poll_request *request, int64_t latency_us, int64_t now_us)
{
	struct unit *state = &request->unit->state;
	int64_t planned_us = planned_turnaround_us(schedule, request->unit);
	int64_t off_us;

	unit_measure(state, latency_us, request->wire_us);
	off_us = state->turnaround_us - planned_us;
	if (state->measured < SCHEDULE_MEASURED_ENOUGH ||
	    now_us - schedule->planned_us < (int64_t)SCHEDULE_REPLAN_MIN_MS * 1000)
		return;
	if (off_us < TURNAROUND_NEAR_US && off_us > -TURNAROUND_NEAR_US)
		return;
	if (state->turnaround_us > planned_us * SCHEDULE_TURNAROUND_FACTOR ||
	    state->turnaround_us * SCHEDULE_TURNAROUND_FACTOR < planned_us)
		schedule->outdated = true;
}

/* --- units that fail --- */

/* It speaks again: whether it stands holes is to be found out. */
static void
forgive_silence(struct schedule *schedule, struct poll_unit *unit, int64_t now_us)
{
	int64_t at_us = now_us + (int64_t)SCHEDULE_FORGIVE_SILENCE_MS * 1000;

	if (unit->holes_silenced && !unit->silence_forgiven) {
		unit->silence_forgiven = true;
		if (at_us < schedule->forgive_at_us)
			schedule->forgive_at_us = at_us;
	}
	unit->holes_silenced = false;
}

enum unit_change
schedule_unit_answered(
    struct schedule *schedule, struct poll_unit *unit, int64_t asked_us, int64_t now_us, int64_t *ret_away_us)
{
	bool counted = schedule_counts(unit);
	enum unit_change change = unit_answered(&unit->state, asked_us, now_us, ret_away_us);

	schedule_recount(schedule, unit, counted);
	unit->probe = NULL;
	forgive_silence(schedule, unit, now_us);
	schedule_settle(schedule, unit, now_us);
	return change;
}

static int
reply_bytes(const struct poll_request *request)
{
	return point_table_has_bits(request->table) ? (request->count + 7) / 8 : request->count * 2;
}

/* The shortest request, unless a late reply to what failed could be taken for one to it; then what failed,
 * which costs the same. */
static struct poll_request *
choose_probe(const struct poll_unit *unit, struct poll_request *failed)
{
	struct poll_request *shortest = unit->shortest;

	if (unit->state.guarded && failed->table == shortest->table &&
	    reply_bytes(failed) == reply_bytes(shortest))
		return failed;
	return shortest;
}

/* A request that fails again and again while its unit answers others is asked ever more seldom. */
static void
defer(struct schedule *schedule, struct poll_request *request, int64_t now_us)
{
	int64_t pause_us = (int64_t)UNIT_PAUSE_MIN_MS * 1000;

	if (++request->failures < UNIT_FAILURES_OFFLINE)
		return;
	for (int i = UNIT_FAILURES_OFFLINE; i < request->failures && pause_us < UNIT_PAUSE_MAX_MS * 1000; i++)
		pause_us *= 2;
	if (request->grid_us < now_us + pause_us)
		request->grid_us = now_us + pause_us;
	schedule_request_wait(schedule, request, request->grid_us);
}

/* Was it perhaps the holes that a request got no answer for? */
static void
suspect_holes(struct schedule *schedule, const struct poll_request *request, bool lost, int64_t now_us)
{
	struct poll_unit *unit = request->unit;
	bool alone = request->failures >= UNIT_FAILURES_OFFLINE && !request->answered;

	if (request->hole_count == 0 || unit->lore.no_holes || (!alone && (!lost || unit->holes_proven)))
		return;
	unit->lore.no_holes = true;
	unit->holes_silenced = true;
	schedule->outdated = true;
	schedule_note_lore(schedule, now_us);
}

enum unit_change
schedule_unit_failed(struct schedule *schedule, struct poll_unit *unit, struct poll_request *request,
    int64_t asked_us, int64_t now_us, int64_t pending_us)
{
	bool first = unit->state.failures == 0;
	enum unit_change change = unit_failed(&unit->state, asked_us, now_us, pending_us);

	schedule_recount(schedule, unit, first);
	if (request && (first || !unit->probe))
		unit->probe = choose_probe(unit, request);
	if (request && first)
		defer(schedule, request, now_us);
	if (request)
		suspect_holes(schedule, request, change == UNIT_LOST, now_us);
	if (request && !first)
		schedule->probe_at_us =
		    now_us + (now_us - asked_us) * (100 - UNIT_PROBE_SHARE) / UNIT_PROBE_SHARE;
	schedule_settle(schedule, unit, now_us);
	return change;
}

enum unit_change
schedule_unit_stale(struct schedule *schedule, struct poll_unit *unit, int64_t now_us)
{
	bool counted = schedule_counts(unit);
	enum unit_change change = unit_stale(&unit->state, now_us);

	schedule_recount(schedule, unit, counted);
	schedule_settle(schedule, unit, now_us);
	return change;
}
