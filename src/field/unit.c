#include "field/unit.h"

#include <errno.h>

#define LATENCY_FIRST_US 250

void
unit_init(struct unit *unit, int id, bool guarded)
{
	*unit = (struct unit){
		.id = id,
		.guarded = guarded,
		.wait_min_ms = UNIT_WAIT_MIN_LINE_MS,
		.pause_max_ms = UNIT_PAUSE_MAX_MS,
		.trust = UNIT_TRUST,
		.quiet_until_us = INT64_MIN / 2,
	};
}

static void
hold(struct unit *unit, int64_t until_us)
{
	if (until_us > unit->held_until_us)
		unit->held_until_us = until_us;
}

/* Hold commands as well: what the unit still has to say would be taken for an answer. */
static void
quieten(struct unit *unit, int64_t until_us)
{
	if (until_us > unit->quiet_until_us)
		unit->quiet_until_us = until_us;
	hold(unit, until_us);
}

/* Lengthen the pause of a unit that is away: 1 s, 2 s, 4 s ... */
static void
lengthen_pause(struct unit *unit)
{
	if (unit->pause_ms == 0)
		unit->pause_ms = UNIT_PAUSE_MIN_MS;
	else if (unit->pause_ms < unit->pause_max_ms / 2)
		unit->pause_ms *= 2;
	else
		unit->pause_ms = unit->pause_max_ms;
}

enum unit_change
unit_failed(struct unit *unit, int64_t asked_us, int64_t now_us, int64_t pending_us)
{
	enum unit_change change = UNIT_SAME;

	if (unit->failures++ == 0)
		unit->first_failed_us = asked_us;
	unit->failed_us = asked_us;
	unit->trust = 0;
	unit->patient = false;
	if (unit->guarded && pending_us > 0)
		quieten(unit, asked_us + pending_us);
	if (unit->state == UNIT_ONLINE) {
		unit->state = UNIT_SUSPECT;
		unit->since_us = asked_us;
	}
	if (unit->failures < UNIT_FAILURES_OFFLINE)
		return UNIT_SAME;
	if (unit->state != UNIT_OFFLINE) {
		change = UNIT_LOST;
		unit->since_us = unit->first_failed_us;
	}
	unit->state = UNIT_OFFLINE;
	lengthen_pause(unit);
	hold(unit, now_us + (int64_t)unit->pause_ms * 1000);
	return change;
}

enum unit_change
unit_answered(struct unit *unit, int64_t asked_us, int64_t now_us, int64_t *ret_away_us)
{
	enum unit_change change = unit->state == UNIT_OFFLINE ? UNIT_BACK : UNIT_SAME;
	int64_t proving_us = asked_us - unit->failed_us;

	if (proving_us > UNIT_PROVING_MAX_MS * 1000)
		proving_us = UNIT_PROVING_MAX_MS * 1000;
	if (unit->failures > 0 || unit->held_until_us > now_us)
		unit->held_until_us = now_us;
	if (unit->failures > 0 && unit->guarded)
		quieten(unit, now_us + proving_us + UNIT_PROVING_SLACK_MS * 1000);
	if (change == UNIT_BACK)
		*ret_away_us = now_us - unit->first_failed_us;
	if (unit->state != UNIT_ONLINE || unit->answered_us == 0)
		unit->since_us = now_us;
	unit->answered_us = now_us;
	unit->state = UNIT_ONLINE;
	unit->patient = false;
	unit->failures = 0;
	unit->pause_ms = 0;
	if (unit->trust < UNIT_TRUST)
		unit->trust++;
	return change;
}

enum unit_change
unit_stale(struct unit *unit, int64_t now_us)
{
	unit->counters.stale++;
	/* While the unit counts as failed, late replies are what we wait for, and say that it is there. Right
	 * after it answered again they are not. */
	if (unit->failures > 0) {
		unit->patient = true;
		unit->pause_ms = 0;
		if (unit->held_until_us > now_us + UNIT_PAUSE_MIN_MS * 1000)
			unit->held_until_us = now_us + UNIT_PAUSE_MIN_MS * 1000;
		hold(unit, unit->quiet_until_us);
		return UNIT_SAME;
	}
	if (!unit->guarded || now_us - unit->quiet_until_us > UNIT_PROVING_MAX_MS * 1000)
		return UNIT_SAME;
	/* As if a request of a second ago had just failed: the pause is long enough to see more of the same.
	 */
	return unit_failed(
	    unit, now_us - UNIT_PAUSE_MIN_MS * 1000, now_us, (int64_t)2 * UNIT_PAUSE_MIN_MS * 1000);
}

/* --- how fast it is --- */

static int64_t
latency_bound_us(int bucket)
{
	int64_t bound = (int64_t)LATENCY_FIRST_US << (bucket / 2);

	return bucket % 2 == 0 ? bound : bound * 1414 / 1000;
}

static void
note_latency(struct unit_latency *latency, int64_t us)
{
	int bucket = 0;

	while (bucket < UNIT_LATENCY_BUCKETS - 1 && us >= latency_bound_us(bucket))
		bucket++;
	latency->counts[bucket]++;
	latency->sum_us += us;
	if (us > latency->max_us)
		latency->max_us = us;
}

int64_t
unit_latency_us(const struct unit_latency *latency, int permille)
{
	uint64_t total = 0;
	uint64_t seen = 0;

	for (int i = 0; i < UNIT_LATENCY_BUCKETS; i++)
		total += latency->counts[i];
	for (int i = 0; i < UNIT_LATENCY_BUCKETS; i++) {
		int64_t bound = latency_bound_us(i);

		seen += latency->counts[i];
		if (total > 0 && seen * 1000 >= total * (uint64_t)permille)
			return i < UNIT_LATENCY_BUCKETS - 1 && bound < latency->max_us ? bound
										       : latency->max_us;
	}
	return 0;
}

/* A smoothed mean and mean deviation, as TCP keeps them for its timeouts (RFC 6298). */
void
unit_measure(struct unit *unit, int64_t latency_us, int64_t wire_us)
{
	int64_t turnaround = latency_us > wire_us ? latency_us - wire_us : 0;
	int64_t off = turnaround - unit->turnaround_us;

	note_latency(&unit->counters.latency, latency_us);
	if (unit->measured++ == 0) {
		unit->turnaround_us = turnaround;
		unit->deviation_us = turnaround / 2;
		return;
	}
	unit->deviation_us += ((off < 0 ? -off : off) - unit->deviation_us) / 4;
	unit->turnaround_us += off / 8;
}

int
unit_wait_ms(const struct unit *unit, int64_t wire_us, int timeout_ms)
{
	int64_t wait_ms;
	bool trusted = unit->failures == 0 && unit->trust >= UNIT_TRUST;
	bool turn = unit->failures % UNIT_PATIENT_EVERY == UNIT_PATIENT_EVERY - 1;

	if (trusted || unit->patient || turn || unit->measured == 0)
		return timeout_ms;
	wait_ms = (wire_us + UNIT_WAIT_FACTOR * (unit->turnaround_us + 4 * unit->deviation_us) + 999) / 1000;
	if (wait_ms < unit->wait_min_ms)
		wait_ms = unit->wait_min_ms;
	return wait_ms < timeout_ms ? (int)wait_ms : timeout_ms;
}

void
unit_count(struct unit_counters *counters, int result)
{
	counters->requests++;
	if (result == 0)
		counters->answers++;
	else if (result == -ETIMEDOUT)
		counters->timeouts++;
	else if (result == -EBADMSG)
		counters->bad_frames++;
	if (result <= 0)
		return;
	counters->exceptions++;
	counters->by_exception[result < UNIT_EXCEPTIONS ? result : 0]++;
}
