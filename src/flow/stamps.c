#include "flow/stamps.h"

#include <stdlib.h>

static unsigned
kept_count(const struct stamps *stamps)
{
	return stamps->count < STAMPS_KEPT ? stamps->count : STAMPS_KEPT;
}

static bool
is_used(const struct stamps *stamps, int64_t mono_ms, int64_t ms)
{
	for (unsigned i = 0; i < kept_count(stamps); i++)
		if (stamps->kept[i].ms == ms &&
		    (stamps->kept[i].moved || llabs(stamps->kept[i].mono_ms - mono_ms) > STAMPS_MOMENT_MS))
			return true;
	return false;
}

int64_t
stamps_take(struct stamps *stamps, int64_t mono_ms, int64_t ms)
{
	int64_t shown_ms = ms;
	const struct stamp *last = &stamps->kept[(stamps->count + STAMPS_KEPT - 1) % STAMPS_KEPT];

	if (stamps->count > 0 && mono_ms == last->mono_ms)
		return last->ms;
	/* The clock goes on nearly always: then there is nothing to look for. */
	while (stamps->count > 0 && ms <= stamps->highest_ms && is_used(stamps, mono_ms, ms))
		ms++;
	if (stamps->count == 0 || ms > stamps->highest_ms)
		stamps->highest_ms = ms;
	stamps->kept[stamps->count++ % STAMPS_KEPT] = (struct stamp){
		.mono_ms = mono_ms, .ms = ms, .moved = ms != shown_ms
	};
	return ms;
}

int64_t
stamps_move(struct stamps *stamps)
{
	struct stamp next = stamps->kept[(stamps->count + STAMPS_KEPT - 1) % STAMPS_KEPT];

	next.moved = true;
	do
		next.ms++;
	while (is_used(stamps, next.mono_ms, next.ms));
	if (next.ms > stamps->highest_ms)
		stamps->highest_ms = next.ms;
	stamps->kept[stamps->count++ % STAMPS_KEPT] = next;
	return next.ms;
}

void
stamps_shift(struct stamps *stamps, int64_t by_ms)
{
	for (unsigned i = 0; i < kept_count(stamps); i++)
		stamps->kept[i].ms += by_ms;
	stamps->highest_ms += by_ms;
}
