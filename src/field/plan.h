/* Points -> few read requests. Pure: no I/O, no clock.
 *
 * What a plan is to be: least bus time per second, that is the least sum over its requests of cost / period,
 * where a request is read at the shortest period of the points that only it brings, and every point is
 * delivered at its own. A request costs its characters, the silence before it, the pause that the bus asks
 * for and the turnaround of its unit, measured or assumed. So a hole between two points is read where its
 * characters cost less than another request, whatever device, type, name and period the points have.
 *
 * How: the points of a unit and table are sorted by address, and dynamic programming cuts them into the runs
 * that cost least. With one period that is the optimum of all plans. With several, runs that are best for
 * each period by itself may lie across one another; so the periods are put into layers, from one layer for
 * all to a layer each, faster layers first; points that a faster request covers anyway are its guests and
 * cost nothing; and the layering that costs least is taken. That is never dearer than the best plan without
 * layers, nor than one plan a period.
 */
#ifndef FIELD_PLAN_H
#define FIELD_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "model/settings.h"

struct plan_item {
	const struct point *point;
	int offset; /* the point's first cell within the request */
};

struct plan_request {
	int unit;
	enum point_table table;
	int addr;
	int count;	/* cells, 1..125 registers or 1..2000 bits */
	int hole_count; /* of them, cells that no item names */
	int period_ms;
	int timeout_ms;		 /* the longest that any of its points' devices allows */
	int64_t cost_us;	 /* predicted: the time for which it keeps the bus busy */
	struct plan_item *items; /* by address */
	size_t item_count;
};

struct plan {
	struct plan_request *requests; /* by unit, table, address */
	size_t request_count;
	struct plan_item *items; /* all items, request after request */
	size_t item_count;
};

/* What was learned about a unit. Zero is "nothing yet". */
struct plan_unit {
	int unit;
	int64_t turnaround_us; /* from the end of a request to the begin of its reply, measured */
	bool no_holes;	       /* it refuses to read what nobody named */
	int max_registers;     /* it refuses longer reads; 0: as the settings say */
	int max_bits;
};

struct plan_lore {
	const struct plan_unit *units;
	size_t unit_count;
	bool (*left_out)(const void *ctx, const struct point *point); /* not to be read; NULL: all are */
	const void *ctx;
};

/* Plan the reads of all points of `bus` with a period. Returns 0 or -ENOMEM. */
int plan_build(const struct settings *settings, const struct bus *bus, struct plan *ret);

/* The same with what was learned. */
int plan_remake(
    const struct settings *settings, const struct bus *bus, const struct plan_lore *lore, struct plan *ret);
void plan_done(struct plan *plan);

/* How long a read of `count` cells keeps the bus busy, with this turnaround (0: the one assumed). */
int64_t plan_cost_us(const struct bus *bus, enum point_table table, int count, int64_t turnaround_us);

/* The turnaround that is assumed. */
int64_t plan_assumed_turnaround_us(const struct bus *bus);

/* Time on the wire of a read of `count` cells, request and reply; 0 where we cannot know. */
int64_t plan_wire_us(const struct bus *bus, enum point_table table, int count);

/* Predicted time of a request, in us. */
int64_t plan_request_us(const struct plan_request *request);

/* The share of the bus's time that the plan wants: 1.0 is all of it. Above that no point meets its period:
 * each becomes longer by this factor. */
double plan_load(const struct plan *plan);

/* How long a request for the point is waited for: what its device says, else what its bus says. */
int plan_timeout_ms(const struct point *point);

/* Requests per second that the plan asks for. */
double plan_rate(const struct plan *plan);

#endif
