/* Points -> few read requests. Pure: no I/O, no clock.
 *
 * Points of one unit and table that touch or overlap share a request, up to the limits of the standard,
 * whatever device, type or name they have; a request is read at the shortest period of its points, and each
 * point is delivered at its own.
 */
#ifndef FIELD_PLAN_H
#define FIELD_PLAN_H

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
	int count; /* cells, 1..125 registers or 1..2000 bits */
	int period_ms;
	int timeout_ms;		 /* the longest that any of its points' devices allows */
	struct plan_item *items; /* by address */
	size_t item_count;
};

struct plan {
	struct plan_request *requests;
	size_t request_count;
	struct plan_item *items; /* all items, request after request */
};

/* Plan the reads of all points of `bus`. Returns 0 or -ENOMEM. */
int plan_build(const struct settings *settings, const struct bus *bus, struct plan *ret);
void plan_done(struct plan *plan);

/* How long a request for the point is waited for: what its device says, else what its bus says. */
int plan_timeout_ms(const struct point *point);

/* Requests per second that the plan asks for. */
double plan_rate(const struct plan *plan);

#endif
