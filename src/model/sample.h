/* A point's value and when it was read. The field pushes samples into a sink and knows nothing of who takes them. */
#ifndef MODEL_SAMPLE_H
#define MODEL_SAMPLE_H

#include "model/settings.h"
#include "model/value.h"

#include <stddef.h>
#include <stdint.h>

struct sample {
	const struct point *point;
	int64_t taken_mono_ms; /* both clocks when the reply was complete */
	int64_t taken_unix_ms;
	struct value value;
};

/* Takes samples, those of one reply in one call. Returns how many it took, the first ones; the others are still the caller's.
 * Called from the threads of the buses. */
struct sample_sink {
	size_t (*push)(void *ctx, const struct sample *samples, size_t count);
	void *ctx;
};

#endif
