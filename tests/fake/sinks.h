/* Sinks that keep what they get, for a test to wait for. */
#ifndef FAKE_SINKS_H
#define FAKE_SINKS_H

#include "base/fifo.h"
#include "model/command.h"
#include "model/sample.h"

struct sinks {
	struct fifo *samples;	/* good ones */
	struct fifo *qualities; /* the others */
	struct fifo *outcomes;
};

void sinks_init(struct sinks *sinks, size_t samples, size_t outcomes);
void sinks_done(struct sinks *sinks);
struct sample_sink sinks_samples(struct sinks *sinks);
struct outcome_sink sinks_outcomes(struct sinks *sinks);

/* The next one, waited for up to 20 s; false if none came. What it owns is the caller's. */
bool sinks_sample(struct sinks *sinks, struct sample *ret);
bool sinks_quality(struct sinks *sinks, struct sample *ret);
bool sinks_outcome(struct sinks *sinks, struct outcome *ret);

/* Drop the samples that are there. */
void sinks_clear(struct sinks *sinks);

#endif
