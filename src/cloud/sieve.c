#include "cloud/sieve.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cloud/downlink.h"
#include "flow/filter.h"

struct sieve {
	const struct settings *settings;
	struct filter *filter;
	bool *watched;	      /* each point: whatever its samples say, they are wanted */
	unsigned *forgotten;  /* each point: what its device's `outages` was when it was looked at last */
	atomic_uint *outages; /* each device */
	/* Each bus, and one more for what has none: good samples. Each is written by one thread. */
	atomic_uint_fast64_t *values;
};

struct sieve *
sieve_new(const struct settings *settings)
{
	struct sieve *sieve = calloc(1, sizeof(*sieve));

	if (!sieve)
		return NULL;
	sieve->settings = settings;
	sieve->filter = filter_new(settings->point_count);
	sieve->watched = calloc(settings->point_count + 1, sizeof(sieve->watched[0]));
	sieve->forgotten = calloc(settings->point_count + 1, sizeof(sieve->forgotten[0]));
	sieve->outages = calloc(settings->device_count + 1, sizeof(sieve->outages[0]));
	sieve->values = calloc(settings->bus_count + 1, sizeof(sieve->values[0]));
	if (!sieve->filter || !sieve->watched || !sieve->forgotten || !sieve->outages || !sieve->values) {
		sieve_free(sieve);
		return NULL;
	}
	downlink_watch(settings, sieve->watched);
	return sieve;
}

void
sieve_free(struct sieve *sieve)
{
	if (!sieve)
		return;
	filter_free(sieve->filter);
	free(sieve->watched);
	free(sieve->forgotten);
	free(sieve->outages);
	free(sieve->values);
	free(sieve);
}

static void
adopt_device(struct sieve *sieve, const struct sieve *from, const struct device *device, const struct difference *difference)
{
	const struct device *was = difference_device(difference, device);

	if (!was)
		return;
	atomic_init(&sieve->outages[device->index], atomic_load(&from->outages[was->index]));
	for (size_t i = 0; i < device->point_count; i++) {
		const struct point *old = difference_point(difference, &device->points[i]);

		if (old)
			sieve->forgotten[device->points[i].index] = from->forgotten[old->index];
	}
}

void
sieve_adopt(struct sieve *sieve, struct sieve *from, const struct difference *difference)
{
	filter_adopt(sieve->filter, from->filter, difference);
	for (size_t i = 0; i < sieve->settings->device_count; i++)
		adopt_device(sieve, from, &sieve->settings->devices[i], difference);
	/* Only their sum is of interest. */
	atomic_init(&sieve->values[sieve->settings->bus_count], sieve_values(from));
}

static void
count(struct sieve *sieve, const struct point *point)
{
	atomic_uint_fast64_t *values = &sieve->values[point->bus ? point->bus->index : sieve->settings->bus_count];

	atomic_store_explicit(values, atomic_load_explicit(values, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Was it told what is remembered here before the last outage? */
static void
forget_outages(struct sieve *sieve, const struct point *point)
{
	unsigned outages = atomic_load_explicit(&sieve->outages[point->device->index], memory_order_relaxed);

	if (sieve->forgotten[point->index] == outages)
		return;
	sieve->forgotten[point->index] = outages;
	filter_forget(sieve->filter, point);
}

bool
sieve_wants(struct sieve *sieve, struct sample *sample)
{
	const struct point *point = sample->point;

	sample->reported = sample->watched = false;
	if (sample->quality != QUALITY_GOOD) {
		filter_forget(sieve->filter, point);
		return true;
	}
	count(sieve, point);
	forget_outages(sieve, point);
	sample->watched = sieve->watched[point->index];
	sample->reported = point->aggregate == 0 && filter_pass(sieve->filter, sample);
	return sample->reported || sample->watched || point->aggregate != 0;
}

void
sieve_lost(struct sieve *sieve, const struct sample *sample)
{
	if (sample->reported)
		filter_forget(sieve->filter, sample->point);
}

void
sieve_forget(struct sieve *sieve, size_t device)
{
	atomic_fetch_add_explicit(&sieve->outages[device], 1, memory_order_relaxed);
}

uint64_t
sieve_values(const struct sieve *sieve)
{
	uint64_t sum = 0;

	for (size_t i = 0; i <= sieve->settings->bus_count; i++)
		sum += atomic_load_explicit(&sieve->values[i], memory_order_relaxed);
	return sum;
}
