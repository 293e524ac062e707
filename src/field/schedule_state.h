/* What the files of the schedule have in common (schedule.h). Nobody else includes this. */
#ifndef FIELD_SCHEDULE_STATE_H
#define FIELD_SCHEDULE_STATE_H

#include "field/schedule.h"

#define SCHEDULE_MEASURED_ENOUGH 16 /* replies, until the turnaround of a unit is believed */
#define SCHEDULE_LENGTH_DOUBTS	 2  /* of a unit, until it gets shorter requests */

static inline int64_t
schedule_period_us(const struct poll_request *request)
{
	return (int64_t)request->period_ms * 1000;
}

/* --- schedule.c: where requests and units stand --- */

/* Polls of the unit may not be made before. */
int64_t schedule_held_until_us(const struct unit *unit);

/* Put the unit, or the request, into the heap, and out of the one it is in; NULL: into none. */
void schedule_place_unit(struct poll_unit *unit, struct heap *heap, int64_t key);
void schedule_place_request(struct poll_request *request, struct heap *heap, int64_t key);

/* Put the unit where it belongs after one of its deadlines or its hold has moved. */
void schedule_settle(struct schedule *schedule, struct poll_unit *unit, int64_t now_us);

/* Nothing is to be done for the request before `due_us`. */
void schedule_request_wait(struct schedule *schedule, struct poll_request *request, int64_t due_us);

/* --- schedule_load.c: the time that is there and that is wanted --- */

/* Its period, as long as it is while there is too much to do. */
int64_t schedule_stretched_us(const struct schedule *schedule, const struct poll_request *request);

/* The share of the bus's time that the request wants; the requests of the unit want so much more. */
double schedule_load_of(const struct poll_request *request);
void schedule_add_load(struct schedule *schedule, struct poll_unit *unit, double load);

/* The unit has begun to fail, or to answer: then it is polled no more, or again.
 * counted  did its requests count before? */
bool schedule_counts(const struct poll_unit *unit);
void schedule_recount(struct schedule *schedule, const struct poll_unit *unit, bool counted);

/* --- schedule_refusal.c: what is refused --- */

/* Something was learned about a unit that need not hold for ever. */
void schedule_note_lore(struct schedule *schedule, int64_t now_us);

/* Is somebody looking for what is refused, of a unit that answers? The plan stays until that is found. */
bool schedule_is_searching(const struct schedule *schedule);
void schedule_forget_searches(struct schedule *schedule);

/* The point is tried by itself from now on, seldom. */
void schedule_leave_out(struct schedule_item *item, int64_t now_us);

/* --- schedule_plan.c: the plan --- */

/* Make a plan of what is known and put it in the place of the one before. Returns 0; -ENOMEM, and the one before stays. */
int schedule_plan(struct schedule *schedule, int64_t now_us);

/* There is no request any more. */
void schedule_forget_requests(struct schedule *schedule);

/* --- schedule_init.c: points --- */

/* The item of a point that is polled on this bus, or NULL. */
struct schedule_item *schedule_item_of(const struct schedule *schedule, const struct point *point);

#endif
