/* Is the wall clock to be believed, and when was the boot? A computer without a battery for its clock boots in the past,
 * and a time that was sent wrong stays wrong for ever.
 *
 * A clock that shows a time before WALL_FLOOR_UNIX_MS is wrong. Another is taken as set
 * - if NTP keeps it, or if it was set from a hardware clock at boot;
 * - if it is seen to be set: it steps against the time since the boot;
 * - some time after the boot, since it may have been set by hand before anybody looked.
 * Neither alone is enough: without a hardware clock some systems start with the time of their last shutdown, and a computer
 * that no NTP reaches may well have a clock that is right.
 *
 * Only wall_look() asks the system; the rest is pure. One thread.
 */
#ifndef BASE_WALL_H
#define BASE_WALL_H

#include <stdbool.h>
#include <stdint.h>

#define WALL_FLOOR_UNIX_MS INT64_C(1735689600000) /* 2025-01-01: no version of this program is older */
#define WALL_STEP_MS	   1000			  /* what moves the clock by less is no setting of it */
#define WALL_LOOK_MS	   1000			  /* how often to look while it is not set */

/* What the clocks showed at one moment. */
struct wall_sight {
	int64_t mono_ms;
	int64_t boot_ms;
	int64_t unix_ms;
	bool kept; /* NTP keeps it, or a hardware clock set it; if not looked for: false */
};

enum wall_event {
	WALL_SAME,
	WALL_SET,     /* it is to be believed from now on */
	WALL_TAKEN,   /* so it is, for want of anything that speaks for it or against it */
	WALL_STEPPED, /* it was to be believed and is, but was set by stepped_ms */
	WALL_LOST,    /* it shows a time that is impossible */
};

struct wall {
	int64_t wait_ms; /* after the boot */
	bool seen;
	bool set;
	bool impossible;      /* it showed a time that is, when it was last seen */
	int64_t set_mono_ms;  /* since when */
	int64_t boot_unix_ms; /* of the boot, by the clock as it was last seen */
	int64_t slept_ms;     /* since the boot */
	int64_t stepped_ms;   /* by the last step */
};

void wall_init(struct wall *wall, int wait_s);

/* Look at the clocks; with `kept` also for what speaks for the wall clock, which takes system calls. */
struct wall_sight wall_look(bool kept);

/* Take in what was seen. */
enum wall_event wall_see(struct wall *wall, const struct wall_sight *sight);

/* The time of what was read when the clocks showed `mono_ms` and `unix_ms`. Returns true with it in *ret_ms, or false with
 * the time since the boot, to which boot_unix_ms is to be added once the clock is set. */
bool wall_time(const struct wall *wall, int64_t mono_ms, int64_t unix_ms, int64_t *ret_ms);

#endif
