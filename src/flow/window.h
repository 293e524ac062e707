/* Aggregation: what a point showed during a window of time becomes its least, greatest, mean, last value and their number.
 *
 * Windows run on the monotonic clock and begin where the wall clock shows a multiple of their length, as far as that is
 * known when they begin. One that has no samples does not exist. Pure: time is passed in; nothing is allocated after
 * windows_new(); one thread.
 */
#ifndef FLOW_WINDOW_H
#define FLOW_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "model/difference.h"
#include "model/sample.h"

/* Samples that were taken before the end of a window may still be on their way: it is closed so long after its end, or by
 * the first sample after it. */
#define WINDOWS_GRACE_MS 1000

/* What came of a window: `value` lives during the call. The times are those of its end. */
typedef void windows_emit(void *ctx, const struct point *point, enum point_aggregate aggregate, int64_t mono_ms,
    int64_t unix_ms, const struct value *value);

struct windows;

/* For the points that have aggregates. Returns NULL when there is no memory. */
struct windows *windows_new(const struct settings *settings, windows_emit *emit, void *ctx);
void windows_free(struct windows *windows);

/* A good sample of a point with aggregates.
 * aligned  its taken_unix_ms is to be believed */
void windows_add(struct windows *windows, const struct sample *sample, bool aligned);

/* When windows_close() has something to do next, or CLOCK_NEVER. */
int64_t windows_due_mono_ms(const struct windows *windows);
void windows_close(struct windows *windows, int64_t now_mono_ms);

/* The end of the program: close all, with the time of their last sample. */
void windows_flush(struct windows *windows);

/* Other settings are to come: close so those of points that are not the same in them. */
void windows_part(struct windows *windows, const struct difference *difference);

/* The others go on in windows for the new settings. */
void windows_adopt(struct windows *windows, const struct windows *from, const struct difference *difference);

#endif
