/* Does a bus keep its periods? Judged over windows of ten seconds; it is fine or overloaded, and each change is said once. One
 * thread, the bus's worker.
 */
#ifndef FIELD_OVERLOAD_H
#define FIELD_OVERLOAD_H

#include "field/schedule.h"

struct overload {
	int64_t since_us; /* of this window */
	uint64_t polls;
	uint64_t missed;
	bool told; /* the log says that it is */
};

void overload_begin(struct overload *overload, int64_t now_us);

/* One poll of the schedule's bus is made, and `missed` were left out before it. */
void overload_poll(struct overload *overload, const struct schedule *schedule, uint64_t missed, int64_t now_us);

#endif
