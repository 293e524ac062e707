#include "cloud/presence.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"

struct whereabouts {
	size_t silent; /* points whose unit does not answer */
	bool gone;
	bool news;
	struct whereabouts *next_news;
	struct heap_node due; /* mono ms: it has been silent long enough then */
};

struct presence {
	const struct settings *settings;
	struct whereabouts *devices;
	bool *silent; /* each point */
	struct heap due;
	struct whereabouts *news;
};

struct presence *
presence_new(const struct settings *settings)
{
	struct presence *presence = calloc(1, sizeof(*presence));

	if (!presence)
		return NULL;
	presence->settings = settings;
	presence->devices = calloc(settings->device_count + 1, sizeof(presence->devices[0]));
	presence->silent = calloc(settings->point_count + 1, sizeof(presence->silent[0]));
	if (!presence->devices || !presence->silent || heap_init(&presence->due, settings->device_count) < 0) {
		presence_free(presence);
		return NULL;
	}
	return presence;
}

void
presence_free(struct presence *presence)
{
	if (!presence)
		return;
	heap_done(&presence->due);
	free(presence->devices);
	free(presence->silent);
	free(presence);
}

static void
tell_news(struct presence *presence, struct whereabouts *device)
{
	if (device->news)
		return;
	device->news = true;
	device->next_news = presence->news;
	presence->news = device;
}

/* Points that are only written are never sampled. */
static size_t
count_read(const struct device *device)
{
	size_t count = 0;

	for (size_t i = 0; i < device->point_count; i++) {
		const struct point *point = &device->points[i];

		count += point->line ? point->line->source != SOURCE_NOWHERE : point->period_ms > 0;
	}
	return count;
}

static void
look(struct presence *presence, const struct device *settings, int64_t now_mono_ms)
{
	struct whereabouts *device = &presence->devices[settings->index];
	bool silent = device->silent > 0 && device->silent == count_read(settings);

	if (!silent) {
		heap_remove(&presence->due, &device->due);
		if (device->gone)
			tell_news(presence, device);
		device->gone = false;
	} else if (!device->gone && device->due.position == 0 && settings->when_offline == OFFLINE_CLOSE && settings->offline_after_s > 0) {
		heap_set(&presence->due, &device->due, now_mono_ms + (int64_t)settings->offline_after_s * 1000);
	}
}

void
presence_sample(struct presence *presence, const struct sample *sample)
{
	const struct point *point = sample->point;
	bool silent = sample->quality == QUALITY_OFFLINE;

	if (presence->silent[point->index] == silent)
		return;
	presence->silent[point->index] = silent;
	if (silent)
		presence->devices[point->device->index].silent++;
	else
		presence->devices[point->device->index].silent--;
	look(presence, point->device, sample->taken_mono_ms);
}

bool
presence_is_there(const struct presence *presence, size_t device)
{
	return !presence->devices[device].gone;
}

bool
presence_news(struct presence *presence, size_t *ret_device)
{
	struct whereabouts *device = presence->news;

	if (!device)
		return false;
	presence->news = device->next_news;
	device->news = false;
	*ret_device = (size_t)(device - presence->devices);
	return true;
}

int64_t
presence_due_mono_ms(const struct presence *presence)
{
	const struct heap_node *first = heap_first(&presence->due);

	return first ? first->due : CLOCK_NEVER;
}

void
presence_tick(struct presence *presence, int64_t now_mono_ms)
{
	struct heap_node *first;

	while ((first = heap_first(&presence->due)) && first->due <= now_mono_ms) {
		struct whereabouts *device = heap_entry(first, struct whereabouts, due);

		heap_remove(&presence->due, first);
		device->gone = true;
		tell_news(presence, device);
	}
}

void
presence_adopt(struct presence *presence, const struct presence *from, const struct difference *difference)
{
	const struct settings *settings = presence->settings;

	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];
		const struct device *was = difference_device(difference, device);

		for (size_t j = 0; j < device->point_count; j++) {
			const struct point *point = difference_point(difference, &device->points[j]);

			if (!point || !from->silent[point->index])
				continue;
			presence->silent[device->points[j].index] = true;
			presence->devices[i].silent++;
		}
		if (!was)
			continue;
		presence->devices[i].gone = from->devices[was->index].gone;
		if (presence->devices[i].gone)
			tell_news(presence, &presence->devices[i]);
		look(presence, device, clock_mono_ms());
	}
}
