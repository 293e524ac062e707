#include "flow/stamps.h"

#include <stdbool.h>

static unsigned
kept_count(const struct stamps *stamps)
{
	return stamps->count < STAMPS_KEPT ? stamps->count : STAMPS_KEPT;
}

static bool
is_used(const struct stamps *stamps, int64_t ms)
{
	for (unsigned i = 0; i < kept_count(stamps); i++)
		if (stamps->kept[i] == ms)
			return true;
	return false;
}

int64_t
stamps_take(struct stamps *stamps, int64_t mono_ms, int64_t ms)
{
	if (stamps->count > 0 && mono_ms == stamps->last_mono_ms)
		return stamps->last_ms;
	/* The clock goes on nearly always: then there is nothing to look for. */
	if (stamps->count > 0 && ms <= stamps->highest_ms)
		while (is_used(stamps, ms))
			ms++;
	if (stamps->count == 0 || ms > stamps->highest_ms)
		stamps->highest_ms = ms;
	stamps->last_mono_ms = mono_ms;
	stamps->last_ms = ms;
	stamps->kept[stamps->count++ % STAMPS_KEPT] = ms;
	return ms;
}

void
stamps_shift(struct stamps *stamps, int64_t by_ms)
{
	for (unsigned i = 0; i < kept_count(stamps); i++)
		stamps->kept[i] += by_ms;
	stamps->last_ms += by_ms;
	stamps->highest_ms += by_ms;
}
