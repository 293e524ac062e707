/* The times that one device has used lately. When the wall clock is set back it shows times again that were there before,
 * and ThingsBoard takes two values of one key and time for one: the older would be gone. Pure; one thread.
 */
#ifndef FLOW_STAMPS_H
#define FLOW_STAMPS_H

#include <stdbool.h>
#include <stdint.h>

#define STAMPS_KEPT 32

#define STAMPS_MOMENT_MS 50 /* times of one reading are no further apart, and may be the same */

struct stamp {
	int64_t mono_ms;
	int64_t ms;
	bool moved; /* it is not what the clock showed */
};

struct stamps {
	int64_t highest_ms;
	struct stamp kept[STAMPS_KEPT];
	unsigned count; /* ever kept */
};

/* The time for what was read at `mono_ms`, by the clock at `ms`: that, or the next one that is not among those that the
 * device used last at another moment. What was read at one moment has one time. */
int64_t stamps_take(struct stamps *stamps, int64_t mono_ms, int64_t ms);

/* The time that was given last is taken after all, by an earlier reading within the same millisecond: give the next. */
int64_t stamps_move(struct stamps *stamps);

/* Times counted from somewhere else until now: all of them move. */
void stamps_shift(struct stamps *stamps, int64_t by_ms);

#endif
