#include "fake/sinks.h"

#include <errno.h>
#include <poll.h>

#define WAIT_MS 20000

void
sinks_init(struct sinks *sinks, size_t samples, size_t outcomes)
{
	sinks->samples = fifo_new(sizeof(struct sample), samples);
	sinks->qualities = fifo_new(sizeof(struct sample), samples);
	sinks->outcomes = fifo_new(sizeof(struct outcome), outcomes);
}

void
sinks_clear(struct sinks *sinks)
{
	struct sample sample;

	while (fifo_pop(sinks->samples, &sample, 1) == 1)
		value_done(&sample.value);
}

void
sinks_done(struct sinks *sinks)
{
	struct outcome outcome;

	sinks_clear(sinks);
	while (fifo_pop(sinks->outcomes, &outcome, 1) == 1)
		value_done(&outcome.value);
	fifo_free(sinks->samples);
	fifo_free(sinks->qualities);
	fifo_free(sinks->outcomes);
}

static bool
wants_sample(void *ctx, struct sample *sample)
{
	(void)ctx, (void)sample;
	return true;
}

static size_t
push_samples(void *ctx, const struct sample *samples, size_t count)
{
	struct sinks *sinks = ctx;
	size_t taken = 0;

	while (taken < count && fifo_push(samples[taken].quality == QUALITY_GOOD ? sinks->samples : sinks->qualities,
				    &samples[taken], 1) == 1)
		taken++;
	return taken;
}

static int
push_outcome(void *ctx, const struct outcome *outcome)
{
	return fifo_push(((struct sinks *)ctx)->outcomes, outcome, 1) == 1 ? 0 : -EBUSY;
}

struct sample_sink
sinks_samples(struct sinks *sinks)
{
	return (struct sample_sink){ .wants = wants_sample, .push = push_samples, .ctx = sinks };
}

struct outcome_sink
sinks_outcomes(struct sinks *sinks)
{
	return (struct outcome_sink){ .push = push_outcome, .ctx = sinks };
}

static bool
take(struct fifo *fifo, void *ret)
{
	struct pollfd waiting = { .fd = fifo_fd(fifo), .events = POLLIN };

	/* It may be readable for a moment when what was in it has just been taken. */
	while (fifo_pop(fifo, ret, 1) == 0)
		if (poll(&waiting, 1, WAIT_MS) != 1)
			return false;
	return true;
}

bool
sinks_sample(struct sinks *sinks, struct sample *ret)
{
	return take(sinks->samples, ret);
}

bool
sinks_quality(struct sinks *sinks, struct sample *ret)
{
	return take(sinks->qualities, ret);
}

bool
sinks_outcome(struct sinks *sinks, struct outcome *ret)
{
	return take(sinks->outcomes, ret);
}
