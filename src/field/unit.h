/* Is a unit there? The state of one Modbus address on one bus, walked by what came of its requests. It knows
 * no clock and does no I/O: time is passed in. One thread.
 *
 *     ONLINE --no answer--> SUSPECT --third no answer--> OFFLINE --any valid frame--> ONLINE
 *
 * OFFLINE units are asked once a pause, 1 s doubling to 30 s, so that they cost the others one timeout a
 * pause.
 *
 * On a line without transaction ids (RTU, also over TCP) a reply that comes after its timeout looks like the
 * answer to the next request of the same shape. Such a unit is `guarded`:
 * - after a timeout it is not asked for one more timeout, in which a late reply is drained as noise;
 * - then it is asked the request that failed, so that a reply later still is at least one of the same
 * registers;
 * - when that is answered, it is not asked for as long as the two requests lay apart: were the answer that of
 * the earlier request, then its own would come in this time and give it away (unit_stale()). So an answer is
 * only ever taken for that of other registers if it comes later than twice the timeout and the pause, and the
 * unit sends nothing when the second answer is due.
 */
#ifndef FIELD_UNIT_H
#define FIELD_UNIT_H

#include <stdbool.h>
#include <stdint.h>

#define UNIT_FAILURES_OFFLINE 3
#define UNIT_PAUSE_MIN_MS     1000
#define UNIT_PAUSE_MAX_MS     30000
#define UNIT_PROVING_MAX_MS                                                                                  \
	2000 /* longest that a unit which answers again is kept waiting to prove it is in step */

enum unit_state { UNIT_ONLINE, UNIT_SUSPECT, UNIT_OFFLINE };
enum unit_change { UNIT_SAME, UNIT_LOST, UNIT_BACK };

/* All since the start. */
struct unit_counters {
	uint64_t requests;
	uint64_t answers; /* good ones */
	uint64_t exceptions;
	uint64_t timeouts;
	uint64_t bad_frames; /* CRC wrong, cut, or answering something else */
	uint64_t stale;	     /* frames of this unit that came when nobody waited for them */
	uint64_t no_values;  /* samples of points that held none, or none that can be believed */
	uint64_t missed;     /* polls left out because the bus was too slow */
};

struct unit {
	int id;
	bool guarded;
	enum unit_state state;
	int failures; /* in a row */
	int pause_ms;
	int64_t held_until_us;	/* not polled before */
	int64_t quiet_until_us; /* not asked anything before, commands neither: a late reply could be taken
				   for the answer */
	int64_t paused_until_us; /* wants to be left alone after a write, by all */
	int64_t failed_us;	/* when the last failure began, that is when its request was sent */
	int64_t first_failed_us;
	struct unit_counters counters;
};

void unit_init(struct unit *unit, int id, bool guarded);

/* A request that was sent at `asked_us` got no valid answer until `now_us`.
 * pending  an answer may still be on its way */
enum unit_change unit_failed(struct unit *unit, int64_t asked_us, int64_t now_us, bool pending);

/* A request that was sent at `asked_us` got a valid frame, be it an exception.
 * ret_away_us  on UNIT_BACK: how long the unit was away */
enum unit_change unit_answered(struct unit *unit, int64_t asked_us, int64_t now_us, int64_t *ret_away_us);

/* A frame of the unit came when nobody waited for it: it is out of step, and asked again only after a pause.
 */
enum unit_change unit_stale(struct unit *unit, int64_t now_us);

#endif
