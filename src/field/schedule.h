/* What is to be polled next on one bus: requests, their units, their deadlines. It knows no clock and does no
 * I/O: time is passed in, so that hours of polling are tested in milliseconds. One thread, the bus's worker.
 *
 * Two layers of deadlines (base/heap.h): each unit orders its own requests, and the bus orders its units by
 * the time at which their first request is due or they may be asked again, whichever is later. A unit that is
 * away costs nothing. Deadlines do not drift: the next is the last plus whole periods. Where the bus is too
 * slow for its periods the request that has waited longest goes first, periods are left out and counted:
 * everybody gets slower, nobody starves.
 */
#ifndef FIELD_SCHEDULE_H
#define FIELD_SCHEDULE_H

#include "base/heap.h"
#include "field/plan.h"
#include "field/unit.h"
#include "model/sample.h"

#define SCHEDULE_REFUSED_RETRY_MS 60000 /* a point that the unit refuses is asked for again this seldom */

struct schedule_item {
	const struct point *point;
	int64_t due_us;	  /* delivered with the first reply to a request due then or later */
	int64_t fresh_us; /* when it was delivered last, or there was news of its quality */
	enum quality quality; /* as was told last */
	bool undecodable;     /* its last reply made no value */
};

struct poll_unit {
	struct heap_node node;
	struct heap polls;
	struct poll_request *probe; /* the request that failed, asked first */
	bool timed_out;		    /* its last failure was a timeout */
	bool late_told;		    /* the log says that it answers late */
	struct unit state;
};

/* A request that is polled: one of the plan, or a part of one that the unit refused as a whole. */
struct poll_request {
	struct heap_node node; /* due, in its unit's heap */
	struct poll_unit *unit;
	enum point_table table;
	int addr;
	int count;
	int period_ms;
	int timeout_ms;
	int exception; /* that the last reply brought, or 0 */
	struct schedule_item *items;
	size_t item_count;
	struct poll_request *whole; /* a part: the request that it is part of */
	struct poll_request *parts; /* a whole: room for its parts, item_count of them */
	size_t part_count;	    /* parts in use while it is split */
	size_t refused_count;	    /* of them, how many the unit refuses */
};

struct schedule {
	struct plan plan;
	struct heap units;
	struct poll_unit *unit;
	size_t unit_count;
	struct poll_request *requests; /* the plan's */
	struct poll_request *parts;    /* room for as many as there are items */
	struct schedule_item *items;
	size_t item_count;
	int64_t open_us; /* when the line was opened: nothing can have been missed before */
};

/* Plan the bus; everything is due at `now_us`. Returns 0 or -ENOMEM. */
int schedule_init(
    struct schedule *schedule, const struct settings *settings, const struct bus *bus, int64_t now_us);
void schedule_done(struct schedule *schedule);

/* The request to be made next, and from when on; NULL if there is nothing to poll. */
struct poll_request *schedule_next(const struct schedule *schedule, int64_t *ret_due_us);

/* The line was opened: what was due before is due now, and was not missed. */
void schedule_opened(struct schedule *schedule, int64_t now_us);

/* Is the item to be delivered with the reply to a request that was sent at `asked_us`? If so, moves it to its
 * next time. */
bool schedule_deliver(struct schedule_item *item, int64_t asked_us);

/* The request was sent at `asked_us`: move it to its next deadline. Call it before the outcome moves the
 * unit. Returns how many periods were left out for lack of time; those of a closed line and of a unit that
 * was held are not counted. */
uint64_t schedule_advance(struct schedule *schedule, struct poll_request *request, int64_t asked_us);

/* The request brought values. Returns the exception that it brought before, or 0; parts that all answer are
 * joined again. */
int schedule_accepted(struct schedule *schedule, struct poll_request *request, int64_t now_us);

/* The request brought an exception. Returns whether it was split: a refused request for several points is
 * asked in parts from then on, so that one bad register costs one point; a part that is refused on its own is
 * asked seldom. */
bool schedule_refused(struct schedule *schedule, struct poll_request *request, int exception, int64_t now_us);

/* What unit.h says, for polls and commands alike; the unit is put where it then belongs.
 * request  the poll that failed, or NULL */
enum unit_change schedule_unit_answered(struct schedule *schedule, struct poll_unit *unit, int64_t asked_us,
    int64_t now_us, int64_t *ret_away_us);
enum unit_change schedule_unit_failed(struct schedule *schedule, struct poll_unit *unit,
    struct poll_request *request, int64_t asked_us, int64_t now_us, bool pending);
enum unit_change schedule_unit_stale(struct schedule *schedule, struct poll_unit *unit, int64_t now_us);

/* The point was written: poll it at once. */
void schedule_touch(struct schedule *schedule, const struct point *point, int64_t now_us);

/* The unit called `id`, or NULL if nothing of it is polled. */
struct poll_unit *schedule_unit(const struct schedule *schedule, int id);

#endif
