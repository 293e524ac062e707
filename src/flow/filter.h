/* Report by exception: does this sample go up, or is it the same as what was reported last? Pure state, no I/O; one thread.
 *
 * The first sample of a point after filter_new(), and after filter_forget(), always passes.
 */
#ifndef FLOW_FILTER_H
#define FLOW_FILTER_H

#include "model/difference.h"
#include "model/sample.h"

#include <stdbool.h>
#include <stddef.h>

struct filter;

/* One slot for each point of the settings, found by point->index. Returns NULL when there is no memory. */
struct filter *filter_new(size_t point_count);
void filter_free(struct filter *filter);

/* Should the sample be reported, by its point's report, deadbands and intervals (counted on taken_mono_ms)? If so it is
 * remembered as the point's last report. Only good samples may be asked about. */
bool filter_pass(struct filter *filter, const struct sample *sample);

/* What was remembered of points that are the same and of the same device goes on. */
void filter_adopt(struct filter *filter, struct filter *from, const struct difference *difference);

/* Let the point's next sample pass. */
void filter_forget(struct filter *filter, const struct point *point);

#endif
