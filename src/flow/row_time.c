#include "flow/row_time.h"

#include "base/wall.h"

/* A time since a boot: negative, and says which boot. */
#define BOOT_MS_BITS (63 - WALL_BOOT_TAG_BITS)
#define BOOT_MS_MASK ((INT64_C(1) << BOOT_MS_BITS) - 1)

int64_t
row_time_undated(const struct boot *boot, int64_t boot_ms)
{
	return INT64_MIN | (int64_t)boot->tag << BOOT_MS_BITS | (boot_ms & BOOT_MS_MASK);
}

bool
row_time_is_undated(int64_t ts_ms)
{
	return ts_ms < 0;
}

bool
row_time_is_of(const struct boot *boot, int64_t ts_ms)
{
	return (ts_ms & INT64_MAX) >> BOOT_MS_BITS == (int64_t)boot->tag;
}

int64_t
row_time_date(const struct boot *boot, int64_t ts_ms)
{
	if (!row_time_is_undated(ts_ms) || !boot->dated || !row_time_is_of(boot, ts_ms))
		return ts_ms;
	return boot->unix_ms + (ts_ms & BOOT_MS_MASK);
}
