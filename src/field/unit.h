/* Is a unit there, and how fast is it? The state of one Modbus address on one bus, walked by what came of its
 * requests. It knows no clock and does no I/O: time is passed in. One thread.
 *
 *     ONLINE --no answer--> SUSPECT --third no answer--> OFFLINE --any valid frame--> ONLINE
 *
 * What a unit that is not there may cost the others on its bus, together with schedule.h:
 * - the first failure after it was trusted: one timeout. It is trusted before anything is known about it, and
 * when it has answered UNIT_TRUST requests in a row;
 * - every other wait is a wait for the learned turnaround, between UNIT_WAIT_MIN and the timeout; only each
 *   UNIT_PATIENT_EVERY-th one is a full timeout, so that a unit that has become slow is found again;
 * - all waits but first failures, of all units of the bus together, take at most UNIT_PROBE_SHARE % of its
 * time. So the periods of those that answer grow by a factor of at most 100 / (100 - UNIT_PROBE_SHARE), for
 * however many units are dead, and no wait is longer than a timeout. A unit that was offline is asked once a
 * pause, 1 s doubling to what its device says, and at its full rate from its first answer on.
 *
 * On a line without transaction ids (RTU, also over TCP) a reply that comes after its timeout looks like the
 * answer to the next request of the same shape. Such a unit is `guarded`:
 * - after a timeout it is not asked for as long as a reply may still come: two timeouts from the request,
 * however short we waited. What comes then is drained as noise;
 * - then it is asked the request that failed, or one whose reply has another length, so that a reply later
 * still is at least one of the same registers;
 * - when that is answered, it is not asked for a little longer than the two requests lay apart: were the answer that of
 *   the earlier request, then its own would come in this time and give it away (unit_stale()). So an answer
 * is only ever taken for that of other registers if it comes later than twice the timeout and the pause, and
 * the unit sends nothing when the second answer is due.
 */
#ifndef FIELD_UNIT_H
#define FIELD_UNIT_H

#include <stdbool.h>
#include <stdint.h>

#define UNIT_FAILURES_OFFLINE 3
#define UNIT_PAUSE_MIN_MS     1000
#define UNIT_PAUSE_MAX_MS     30000 /* unless its device says otherwise */
#define UNIT_PROVING_MAX_MS                                                                                  \
	2000 /* longest that a unit which answers again is kept waiting to prove it is in step */
/* The second of two late replies may take so much longer than the first: an adapter's 16 ms, a busy machine. */
#define UNIT_PROVING_SLACK_MS 30

#define UNIT_TRUST	   10
#define UNIT_PATIENT_EVERY 4
#define UNIT_PROBE_SHARE   10 /* % */

/* The learned wait: so many times what nearly all replies take, and no less than a late wake-up, a USB
 * adapter (16 ms) or a switch on the way may add. */
#define UNIT_WAIT_FACTOR	 3
#define UNIT_WAIT_MIN_LINE_MS	 50
#define UNIT_WAIT_MIN_NETWORK_MS 200

enum unit_state { UNIT_ONLINE, UNIT_SUSPECT, UNIT_OFFLINE };
enum unit_change { UNIT_SAME, UNIT_LOST, UNIT_BACK };

#define UNIT_LATENCY_BUCKETS 32
#define UNIT_EXCEPTIONS	     12 /* codes 1..11 of the standard; 0 counts all others */

/* How long replies took: bucket n counts those below 250 us * 2^(n/2), the last all others. */
struct unit_latency {
	uint32_t counts[UNIT_LATENCY_BUCKETS];
	int64_t sum_us;
	int64_t max_us;
};

/* All since the start. Plain: copy it to tell somebody else. */
struct unit_counters {
	uint64_t requests;
	uint64_t answers; /* good ones */
	uint64_t exceptions;
	uint64_t by_exception[UNIT_EXCEPTIONS];
	uint64_t timeouts;
	uint64_t bad_frames; /* CRC wrong, cut, or answering something else */
	uint64_t stale;	     /* frames of this unit that came when nobody waited for them */
	uint64_t echoes;     /* requests that came back before their reply */
	uint64_t no_values;  /* samples of points that held none, or none that can be believed */
	uint64_t missed;     /* polls left out because the bus was too slow */
	struct unit_latency latency;
};

struct unit {
	int id;
	bool guarded;
	int wait_min_ms;
	int pause_max_ms;
	enum unit_state state;
	int failures; /* in a row */
	int trust;    /* answers in a row since the last failure, up to UNIT_TRUST */
	bool patient; /* it answered late: the next wait is a full timeout */
	int pause_ms;
	int64_t held_until_us;	/* not polled before */
	int64_t quiet_until_us; /* not asked anything before, commands neither: a late reply could be taken
				   for the answer */
	int64_t paused_until_us; /* wants to be left alone after a write, by all */
	int64_t failed_us;	/* when the last failure began, that is when its request was sent */
	int64_t first_failed_us;
	int64_t since_us;	/* of its state; 0: nothing is known about it yet */
	int64_t answered_us;	/* its last valid frame, 0: there was none */
	int64_t turnaround_us; /* mean, besides the characters of request and reply */
	int64_t deviation_us;  /* mean, of that */
	uint32_t measured;     /* how often */
	struct unit_counters counters;
};

void unit_init(struct unit *unit, int id, bool guarded);

/* A request that was sent at `asked_us` got no valid answer until `now_us`.
 * pending_us  for so long after `asked_us` its answer may still come; 0: none is on its way */
enum unit_change unit_failed(struct unit *unit, int64_t asked_us, int64_t now_us, int64_t pending_us);

/* A request that was sent at `asked_us` got a valid frame, be it an exception.
 * ret_away_us  on UNIT_BACK: how long the unit was away */
enum unit_change unit_answered(struct unit *unit, int64_t asked_us, int64_t now_us, int64_t *ret_away_us);

/* A frame of the unit came when nobody waited for it: it is out of step, and asked again only after a pause.
 */
enum unit_change unit_stale(struct unit *unit, int64_t now_us);

/* A reply took `latency_us` from the begin of its request, `wire_us` of it for characters. */
void unit_measure(struct unit *unit, int64_t latency_us, int64_t wire_us);

/* How long to wait for the reply to a poll whose characters take `wire_us`: `timeout_ms`, or less. */
int unit_wait_ms(const struct unit *unit, int64_t wire_us, int timeout_ms);

/* One request with its result: 0, the exception, or negative errno. */
void unit_count(struct unit_counters *counters, int result);

/* The latency below which `permille` of the replies stayed, rounded up to a bound of the buckets; 0 if there
 * were none. */
int64_t unit_latency_us(const struct unit_latency *latency, int permille);

#endif
