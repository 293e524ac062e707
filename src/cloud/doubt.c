#include "cloud/doubt.h"

#define WAITS_MAX 5	/* doublings of the pace */
#define ROWS_MAX  4096 /* wary no more */

void
doubt_up(struct doubt *doubt, int64_t pace_ms, int64_t now_mono_ms)
{
	doubt->control = false;
	doubt->wary_rows = 1;
	doubt->pace_ms = pace_ms;
	doubt->retry_mono_ms = now_mono_ms + (pace_ms << doubt->waits);
}

static void
wait_longer(struct doubt *doubt)
{
	if (doubt->waits < WAITS_MAX)
		doubt->waits++;
}

static void
suspect(struct doubt *doubt, uint64_t first_seq, uint64_t last_seq)
{
	doubt->state = DOUBT_SUSPECT;
	doubt->wary_rows = 1;
	doubt->wary_values = 0;
	doubt->first_seq = first_seq;
	doubt->last_seq = last_seq;
	doubt->strikes = 0;
	doubt->waits = 0;
}

/* What was not in doubt until now is as well. */
static void
extend(struct doubt *doubt, uint64_t first_seq, uint64_t last_seq, const struct batch *alone)
{
	if (alone && alone->rows == 1 && alone->values > 1)
		doubt->wary_values = alone->values / 2;
	if (first_seq < doubt->first_seq)
		doubt->first_seq = first_seq;
	if (last_seq > doubt->last_seq)
		doubt->last_seq = last_seq;
}

static void
halve(struct doubt *doubt, const struct batch *piece)
{
	doubt->halved = true;
	doubt->strikes = 0;
	doubt->waits = 0;
	doubt->passed_max = 0;
	if (piece->rows > 1)
		doubt->rows_max = piece->rows / 2;
	else
		doubt->values_max = piece->values / 2;
}

/* The server does not take this piece, though it takes others. */
static enum doubt_verdict
strike(struct doubt *doubt, const struct batch *piece)
{
	if (piece->values > 1) {
		halve(doubt, piece);
		return DOUBT_RETRY;
	}
	wait_longer(doubt);
	return ++doubt->strikes >= DOUBT_STRIKES ? DOUBT_SET_ASIDE : DOUBT_RETRY;
}

enum doubt_verdict
doubt_closed(
    struct doubt *doubt, uint64_t first_seq, uint64_t last_seq, const struct batch *alone, bool trial)
{
	switch (doubt->state) {
	case DOUBT_NONE:
		*doubt = (struct doubt){ .state = DOUBT_ALONE, .wary_rows = 1, .first_seq = first_seq, .last_seq = last_seq };
		break;
	case DOUBT_ALONE:
		if (!trial)
			extend(doubt, first_seq, last_seq, alone);
		else if (++doubt->strikes >= DOUBT_CLOSINGS)
			suspect(doubt, first_seq, last_seq);
		break;
	case DOUBT_SUSPECT:
		if (trial && doubt->control)
			return strike(doubt, alone);
		if (trial)
			wait_longer(doubt);
		else
			extend(doubt, first_seq, last_seq, alone);
		break;
	}
	return DOUBT_RETRY;
}

enum doubt_verdict
doubt_refused(struct doubt *doubt, const struct batch *batch, bool trial, bool for_good, int64_t now_mono_ms)
{
	bool proven = trial && doubt->control && doubt->state == DOUBT_SUSPECT;
	enum doubt_verdict verdict = DOUBT_RETRY;

	if (for_good && batch->values == 1)
		return DOUBT_SET_ASIDE;
	if (doubt->state == DOUBT_NONE || doubt->state == DOUBT_ALONE)
		suspect(doubt, batch->first_seq, batch->last_seq);
	else if (!trial)
		extend(doubt, batch->first_seq, batch->last_seq, batch);
	if (for_good) {
		halve(doubt, batch);
		doubt->retry_mono_ms = now_mono_ms;
		return DOUBT_RETRY;
	}
	if (proven)
		verdict = strike(doubt, batch);
	else if (trial)
		wait_longer(doubt);
	doubt->retry_mono_ms = now_mono_ms + (doubt->pace_ms << doubt->waits);
	return verdict;
}

void
doubt_acked(struct doubt *doubt, const struct batch *batch, bool trial)
{
	if (!trial) {
		doubt->control = true;
		doubt->wary_rows = doubt->wary_rows < ROWS_MAX ? 2 * doubt->wary_rows : ROWS_MAX;
		return;
	}
	doubt->strikes = 0;
	doubt->waits = 0;
	if (batch->values > doubt->passed_max)
		doubt->passed_max = batch->values;
}

unsigned
doubt_advance(struct doubt *doubt, uint64_t next_seq)
{
	bool only_size = doubt->halved && !doubt->found;
	unsigned passed_max = doubt->passed_max;

	if (next_seq > doubt->first_seq)
		doubt->first_seq = next_seq;
	if (doubt->state == DOUBT_NONE || doubt->first_seq <= doubt->last_seq)
		return 0;
	*doubt = (struct doubt){ .control = doubt->control, .pace_ms = doubt->pace_ms, .wary_rows = 1 };
	return only_size ? passed_max : 0;
}

void
doubt_found(struct doubt *doubt)
{
	if (doubt->state == DOUBT_NONE)
		return;
	doubt->found = true;
	doubt->rows_max = 0;
	doubt->values_max = 0;
	doubt->strikes = 0;
	doubt->waits = 0;
}

bool
doubt_may_try(const struct doubt *doubt, int64_t now_mono_ms)
{
	return doubt->state == DOUBT_ALONE ||
	       (doubt->state == DOUBT_SUSPECT && now_mono_ms >= doubt->retry_mono_ms);
}
