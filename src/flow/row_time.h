/* The time of a row as it is kept, in memory and on disk: ms since 1970, or since a boot of the machine, and which. Part of
 * the store. Pure; one thread.
 */
#ifndef FLOW_ROW_TIME_H
#define FLOW_ROW_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* This boot of the machine. */
struct boot {
	uint32_t tag; /* wall_boot_tag() */
	bool dated;   /* it is known when it was */
	int64_t unix_ms;
};

/* The time of what happened `boot_ms` after the boot. */
int64_t row_time_undated(const struct boot *boot, int64_t boot_ms);

bool row_time_is_undated(int64_t ts_ms);

/* Of an undated time: is it since this boot, or an earlier one? */
bool row_time_is_of(const struct boot *boot, int64_t ts_ms);

/* The time since 1970, as far as it is known; otherwise ts_ms as it is. */
int64_t row_time_date(const struct boot *boot, int64_t ts_ms);

#endif
