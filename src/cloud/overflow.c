#include "cloud/overflow.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"

#define OVER_MS 60000 /* nothing lost for so long: it is over */

void
overflow_note(struct overflow *overflow, uint64_t lost, int64_t now_mono_ms)
{
	if (lost == overflow->lost)
		return;
	overflow->last_mono_ms = now_mono_ms;
	if (overflow->since_mono_ms == 0) {
		overflow->since_mono_ms = now_mono_ms;
		overflow->lost_before = overflow->lost;
		log_warning("%s", overflow->begin);
	}
	overflow->lost = lost;
}

int64_t
overflow_due_mono_ms(const struct overflow *overflow)
{
	return overflow->since_mono_ms == 0 ? CLOCK_NEVER : overflow->last_mono_ms + OVER_MS;
}

static void
say_over(struct overflow *overflow, const char *thing)
{
	if (overflow->since_mono_ms == 0)
		return;
	log_warning("%s: %" PRIu64 " were lost in %" PRId64 " s", thing, overflow->lost - overflow->lost_before,
	    (overflow->last_mono_ms - overflow->since_mono_ms) / 1000 + 1);
	overflow->since_mono_ms = 0;
}

void
overflow_tick(struct overflow *overflow, int64_t now_mono_ms)
{
	if (now_mono_ms >= overflow_due_mono_ms(overflow))
		say_over(overflow, overflow->over);
}

void
overflow_finish(struct overflow *overflow)
{
	say_over(overflow, overflow->end);
}
