/* A point's value and when it was read. The field pushes samples into a sink and knows nothing of who takes them. */
#ifndef MODEL_SAMPLE_H
#define MODEL_SAMPLE_H

#include "model/settings.h"
#include "model/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How it is with a point. Good samples are made at each reading, others only when it changes. */
enum quality {
	QUALITY_GOOD,
	QUALITY_NO_VALUE, /* the unit answers, but what it says is no value: not a number, no text */
	QUALITY_REFUSED,  /* the unit answers an exception for it */
	QUALITY_STALE,	  /* not read for longer than QUALITY_STALE_PERIODS of its periods */
	QUALITY_OFFLINE,  /* its unit does not answer, or its bus cannot be opened */
	QUALITY_UNKNOWN,  /* not a sample's: nothing has been tried yet */
	QUALITIES
};

#define QUALITY_STALE_PERIODS 3

struct sample {
	const struct point *point;
	int64_t taken_mono_ms; /* both clocks when the reply was complete, or when the quality changed */
	int64_t taken_unix_ms;
	enum quality quality;
	/* What the sink is to do with it, as it said itself when it was asked. */
	bool reported;
	bool watched;
	struct value value; /* VALUE_NONE unless the quality is good */
};

/* "good", "no value", "refused", "stale", "offline", "unknown" */
const char *quality_name(enum quality quality);

/* Where samples go. Called from the threads of the buses; all samples of a point come from one thread.
 *
 * wants  asked for each sample, in order: is it to be pushed? Most are what their point was before, and need not wake anybody.
 * push   takes those, all of one reply in one call. Returns how many it took, the first ones; the others are still the
 *        caller's. */
struct sample_sink {
	bool (*wants)(void *ctx, struct sample *sample);
	size_t (*push)(void *ctx, const struct sample *samples, size_t count);
	void *ctx;
};

#endif
