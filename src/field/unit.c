#include "field/unit.h"

void
unit_init(struct unit *unit, int id, bool guarded)
{
	*unit = (struct unit){ .id = id, .guarded = guarded, .quiet_until_us = INT64_MIN / 2 };
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

/* Lengthen the pause of a unit that is away: 1 s, 2 s, 4 s ... 30 s. */
static void
lengthen_pause(struct unit *unit)
{
	unit->pause_ms = unit->pause_ms ? unit->pause_ms * 2 : UNIT_PAUSE_MIN_MS;
	if (unit->pause_ms > UNIT_PAUSE_MAX_MS)
		unit->pause_ms = UNIT_PAUSE_MAX_MS;
}

enum unit_change
unit_failed(struct unit *unit, int64_t asked_us, int64_t now_us, bool pending)
{
	enum unit_change change = UNIT_SAME;

	if (unit->failures++ == 0)
		unit->first_failed_us = asked_us;
	unit->failed_us = asked_us;
	if (unit->guarded && pending)
		quieten(unit, now_us + (now_us - asked_us));
	if (unit->state == UNIT_ONLINE)
		unit->state = UNIT_SUSPECT;
	if (unit->failures < UNIT_FAILURES_OFFLINE)
		return UNIT_SAME;
	if (unit->state != UNIT_OFFLINE)
		change = UNIT_LOST;
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

	if (unit->held_until_us > now_us)
		unit->held_until_us = now_us;
	if (unit->failures > 0 && unit->guarded)
		quieten(unit,
		    now_us +
			(proving_us < UNIT_PROVING_MAX_MS * 1000 ? proving_us : UNIT_PROVING_MAX_MS * 1000));
	if (change == UNIT_BACK)
		*ret_away_us = now_us - unit->first_failed_us;
	unit->state = UNIT_ONLINE;
	unit->failures = 0;
	unit->pause_ms = 0;
	return change;
}

enum unit_change
unit_stale(struct unit *unit, int64_t now_us)
{
	unit->counters.stale++;
	/* While the unit counts as failed, late replies are what we wait for. Right after it answered again
	 * they are not. */
	if (!unit->guarded || unit->failures > 0 ||
	    now_us - unit->quiet_until_us > UNIT_PROVING_MAX_MS * 1000)
		return UNIT_SAME;
	/* As if a request of a second ago had just failed: the pause is long enough to see more of the same.
	 */
	return unit_failed(unit, now_us - UNIT_PAUSE_MIN_MS * 1000, now_us, true);
}
