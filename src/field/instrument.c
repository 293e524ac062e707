#include "field/instrument.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define STALE_LOOK_US 1000000

/* --- making --- */

static size_t
count_points(const struct device *device, const struct bus *bus)
{
	size_t count = 0;

	for (size_t i = 0; i < device->point_count; i++)
		count += device->points[i].bus == bus;
	return count;
}

static int
init_instrument(struct instrument *instrument, const struct device *device, const struct bus *bus, size_t count)
{
	size_t at = 0;

	instrument->device = device;
	instrument->reading_count = count;
	instrument->readings = calloc(count, sizeof(struct reading));
	if (!instrument->readings)
		return -ENOMEM;
	for (size_t i = 0; i < device->point_count; i++)
		if (device->points[i].bus == bus)
			instrument->readings[at++] =
			    (struct reading){ .point = &device->points[i], .quality = QUALITY_UNKNOWN };
	instrument->polled = device->bus == bus && device->poll.count > 0;
	instrument->nameless = instrument->polled && !device->pattern && (device->address.length == 0 || !bus->address);
	unit_init(&instrument->unit, 0, false);
	if (device->offline_retry_max_ms > 0)
		instrument->unit.pause_max_ms = device->offline_retry_max_ms;
	return instrument->polled ? script_init(&instrument->poll, &device->poll, true) : 0;
}

int
instruments_init(struct instruments *instruments, const struct settings *settings, const struct bus *bus,
    struct sample_sink sink)
{
	size_t points = 0;
	size_t polled = 0;
	int error = 0;

	*instruments = (struct instruments){ .bus = bus, .sink = sink };
	instruments->items = calloc(settings->device_count + 1, sizeof(struct instrument));
	if (!instruments->items)
		return -ENOMEM;
	for (size_t i = 0; error == 0 && i < settings->device_count; i++) {
		size_t count = count_points(&settings->devices[i], bus);
		struct instrument *instrument = &instruments->items[instruments->count];

		if (count == 0)
			continue;
		instruments->count++;
		points += count;
		error = init_instrument(instrument, &settings->devices[i], bus, count);
		polled += instrument->polled;
		instruments->nameless = instruments->nameless || instrument->nameless;
	}
	instruments->nameless = instruments->nameless && polled > 1;
	instruments->all_polled = polled == instruments->count;
	instruments->batch_size = points + 1;
	if (error == 0)
		instruments->batch = calloc(instruments->batch_size, sizeof(struct sample));
	if (error == 0 && !instruments->batch)
		error = -ENOMEM;
	if (error != 0)
		instruments_done(instruments);
	return error;
}

static void
drop_held(struct reading *reading)
{
	if (reading->held)
		value_done(&reading->sample.value);
	reading->held = false;
}

void
instruments_done(struct instruments *instruments)
{
	for (size_t i = 0; i < instruments->count; i++) {
		struct instrument *instrument = &instruments->items[i];

		for (size_t j = 0; instrument->readings && j < instrument->reading_count; j++) {
			drop_held(&instrument->readings[j]);
			value_done(&instrument->readings[j].known);
		}
		free(instrument->readings);
		script_done(&instrument->poll);
	}
	for (size_t i = 0; instruments->batch && i < instruments->batched; i++)
		value_done(&instruments->batch[i].value);
	free(instruments->batch);
	free(instruments->items);
	*instruments = (struct instruments){ .bus = NULL };
}

struct instrument *
instruments_find(struct instruments *instruments, const struct device *device)
{
	for (size_t i = 0; i < instruments->count; i++)
		if (instruments->items[i].device == device)
			return &instruments->items[i];
	return NULL;
}

/* They are in the order of their device. */
static struct reading *
find_reading(const struct instrument *instrument, const struct point *point)
{
	size_t low = 0;
	size_t high = instrument->reading_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (instrument->readings[middle].point < point)
			low = middle + 1;
		else
			high = middle;
	}
	return low < instrument->reading_count && instrument->readings[low].point == point ? &instrument->readings[low]
											    : NULL;
}

/* --- samples --- */

/* Found no room: a change of quality is said when it is noticed again. */
static void
note_refused(struct instruments *instruments, struct sample *sample)
{
	struct instrument *instrument = instruments_find(instruments, sample->point->device);
	struct reading *reading = instrument ? find_reading(instrument, sample->point) : NULL;

	value_done(&sample->value);
	instruments->refused++;
	if (reading && sample->quality != QUALITY_GOOD)
		reading->quality = QUALITY_UNKNOWN;
}

void
instruments_push(struct instruments *instruments)
{
	size_t count = instruments->batched;
	size_t taken;

	if (count == 0)
		return;
	taken = instruments->sink.push(instruments->sink.ctx, instruments->batch, count);
	for (size_t i = taken; i < count; i++)
		note_refused(instruments, &instruments->batch[i]);
	instruments->batched = 0;
	if (taken < count && !instruments->told)
		log_warning("bus %s: samples find no room and are dropped", instruments->bus->name);
	else if (taken == count && instruments->told)
		log_notice("bus %s: samples find room again, %llu were dropped", instruments->bus->name,
		    (unsigned long long)instruments->refused);
	instruments->told = taken < count;
}

static void
add_sample(struct instruments *instruments, struct sample *sample)
{
	if (!instruments->sink.wants(instruments->sink.ctx, sample)) {
		value_done(&sample->value);
		return;
	}
	if (instruments->batched == instruments->batch_size)
		instruments_push(instruments);
	instruments->batch[instruments->batched++] = *sample;
}

static void
send_held(struct instruments *instruments, struct reading *reading, int64_t now_us)
{
	int64_t period_us = (int64_t)reading->point->line->period_ms * 1000;

	reading->next_us = now_us - reading->next_us < period_us ? reading->next_us + period_us : now_us + period_us;
	reading->held = false;
	add_sample(instruments, &reading->sample);
}

static void
note_quality(struct instruments *instruments, struct reading *reading, enum quality quality)
{
	struct sample sample = { .point = reading->point,
		.taken_mono_ms = clock_mono_ms(),
		.taken_unix_ms = clock_unix_ms(),
		.quality = quality };

	if (quality == QUALITY_OFFLINE)
		value_done(&reading->known);
	if (reading->quality == quality || reading->point->line->source == SOURCE_NOWHERE)
		return;
	/* It was good until now. */
	if (reading->held)
		send_held(instruments, reading, clock_mono_us());
	add_sample(instruments, &sample);
	reading->quality = quality;
}

static void
note_all(struct instruments *instruments, struct instrument *instrument, enum quality quality)
{
	for (size_t i = 0; i < instrument->reading_count; i++)
		note_quality(instruments, &instrument->readings[i], quality);
	instruments_push(instruments);
}

static bool
is_passed_on(const struct reading *reading, int64_t now_us)
{
	return reading->point->aggregate || reading->point->line->period_ms == 0 || reading->quality != QUALITY_GOOD ||
	       now_us >= reading->next_us;
}

void
instruments_value(struct instruments *instruments, struct instrument *instrument, const struct point *point,
    enum quality quality, struct value *value, int64_t now_us, int64_t now_unix_ms)
{
	struct reading *reading = find_reading(instrument, point);
	struct sample sample = { .point = point,
		.taken_mono_ms = now_us / 1000,
		.taken_unix_ms = now_unix_ms,
		.quality = quality };

	if (!reading || quality != QUALITY_GOOD) {
		value_done(value);
		if (reading) {
			reading->fresh_us = now_us;
			note_quality(instruments, reading, quality);
		}
		return;
	}
	reading->fresh_us = now_us;
	reading->last_us = now_us;
	reading->last_unix_ms = now_unix_ms;
	health_value_set(&reading->last, value);
	if (point->command)
		instrument_know(instrument, point, value);
	sample.value = *value;
	value->kind = VALUE_NONE;
	drop_held(reading);
	if (is_passed_on(reading, now_us)) {
		reading->next_us = now_us + (int64_t)point->line->period_ms * 1000;
		add_sample(instruments, &sample);
	} else {
		reading->sample = sample;
		reading->held = true;
	}
	reading->quality = QUALITY_GOOD;
}

const struct value *
instrument_known(const struct instrument *instrument, const struct point *point)
{
	static const struct value none = { .kind = VALUE_NONE };
	const struct reading *reading = find_reading(instrument, point);

	return reading ? &reading->known : &none;
}

void
instrument_know(struct instrument *instrument, const struct point *point, const struct value *value)
{
	struct reading *reading = find_reading(instrument, point);

	if (!reading || value_equal(&reading->known, value))
		return;
	value_done(&reading->known);
	if (value_copy(value, &reading->known) != 0)
		reading->known = (struct value){ .kind = VALUE_NONE };
}

/* --- who is there --- */

void
instruments_opened(struct instruments *instruments, int64_t now_us)
{
	for (size_t i = 0; i < instruments->count; i++) {
		struct instrument *instrument = &instruments->items[i];

		instrument->due_us = now_us;
		instrument->heard_us = now_us;
		if (instrument->unit.held_until_us > now_us)
			instrument->unit.held_until_us = now_us;
		for (size_t j = 0; j < instrument->reading_count; j++)
			instrument->readings[j].fresh_us = now_us;
	}
	instruments->probe_us = now_us;
}

void
instruments_closed(struct instruments *instruments)
{
	for (size_t i = 0; i < instruments->count; i++)
		note_all(instruments, &instruments->items[i], QUALITY_OFFLINE);
}

bool
instrument_heard(struct instrument *instrument, int64_t now_us, int64_t *ret_away_us)
{
	bool was_silent = instrument->silent;

	*ret_away_us = now_us - instrument->heard_us;
	if (was_silent || instrument->said_us == 0) {
		instrument->since_us = now_us;
		instrument->greet = instrument->device->on_connect_count > 0;
		instrument->greeted = 0;
	}
	instrument->heard_us = instrument->said_us = now_us;
	instrument->silent = false;
	return was_silent;
}

static int64_t
silence_us(const struct instrument *instrument)
{
	int64_t limit_us = (int64_t)instrument->device->silence_s * 1000000;

	return limit_us > 0 ? limit_us : CLOCK_NEVER;
}

static int64_t
silent_at_us(const struct instrument *instrument)
{
	int64_t limit_us = silence_us(instrument);

	return limit_us == CLOCK_NEVER || instrument->silent ? CLOCK_NEVER : instrument->heard_us + limit_us;
}

struct instrument *
instruments_fall_silent(struct instruments *instruments, int64_t now_us)
{
	for (size_t i = 0; i < instruments->count; i++) {
		struct instrument *instrument = &instruments->items[i];

		if (now_us < silent_at_us(instrument))
			continue;
		instrument->silent = true;
		instrument->since_us = now_us;
		note_all(instruments, instrument, QUALITY_OFFLINE);
		return instrument;
	}
	return NULL;
}

/* Of one that is polled we know how often it should say a value; of another that it is silent at most for silence_s. */
static int64_t
stale_us(const struct instrument *instrument, const struct reading *reading)
{
	int period_ms = instrument->device->period_ms > reading->point->line->period_ms ? instrument->device->period_ms
										   : reading->point->line->period_ms;

	return instrument->polled ? (int64_t)period_ms * 1000 * QUALITY_STALE_PERIODS : silence_us(instrument);
}

static void
note_stale(struct instruments *instruments, const struct instrument *instrument, int64_t now_us)
{
	for (size_t i = 0; i < instrument->reading_count; i++) {
		struct reading *reading = &instrument->readings[i];
		int64_t limit_us = stale_us(instrument, reading);

		if (reading->quality == QUALITY_GOOD && limit_us != CLOCK_NEVER && now_us - reading->fresh_us > limit_us)
			note_quality(instruments, reading, QUALITY_STALE);
	}
}

void
instruments_tick(struct instruments *instruments, int64_t now_us)
{
	bool look = now_us >= instruments->look_us;

	for (size_t i = 0; i < instruments->count; i++) {
		const struct instrument *instrument = &instruments->items[i];

		for (size_t j = 0; j < instrument->reading_count; j++) {
			struct reading *reading = &instrument->readings[j];

			if (reading->held && now_us >= reading->next_us)
				send_held(instruments, reading, now_us);
		}
		if (look)
			note_stale(instruments, instrument, now_us);
	}
	if (look)
		instruments->look_us = now_us + STALE_LOOK_US;
	instruments_push(instruments);
}

/* Stale points wake nobody: whoever waits for a point that is late is awake, or falls silent. */
int64_t
instruments_due_us(const struct instruments *instruments)
{
	int64_t due_us = CLOCK_NEVER;

	for (size_t i = 0; i < instruments->count; i++) {
		const struct instrument *instrument = &instruments->items[i];
		int64_t silent_us = silent_at_us(instrument);

		if (silent_us < due_us)
			due_us = silent_us;
		for (size_t j = 0; j < instrument->reading_count; j++)
			if (instrument->readings[j].held && instrument->readings[j].next_us < due_us)
				due_us = instrument->readings[j].next_us;
	}
	return due_us;
}

/* --- polls --- */

/* When it may be asked: its period, its pause if it does not answer, and the share of all such. */
static int64_t
turn_us(const struct instruments *instruments, const struct instrument *instrument)
{
	int64_t at_us = instrument->due_us;

	if (instrument->wanted)
		return INT64_MIN;
	if (instrument->unit.held_until_us > at_us)
		at_us = instrument->unit.held_until_us;
	if (instrument->unit.failures > 0 && instruments->probe_us > at_us)
		at_us = instruments->probe_us;
	return at_us;
}

struct instrument *
instruments_next(struct instruments *instruments, int64_t now_us, int64_t *ret_due_us)
{
	struct instrument *next = NULL;
	int64_t next_us = CLOCK_NEVER;

	for (size_t i = 0; i < instruments->count; i++) {
		struct instrument *instrument = &instruments->items[i];
		int64_t at_us = instrument->polled ? turn_us(instruments, instrument) : CLOCK_NEVER;

		if (at_us < next_us) {
			next = instrument;
			next_us = at_us;
		}
	}
	*ret_due_us = next_us;
	return next && next_us <= now_us ? next : NULL;
}

void
instrument_asked(struct instrument *instrument, int64_t now_us)
{
	int64_t period_us = (int64_t)instrument->device->period_ms * 1000;

	instrument->wanted = false;
	if (period_us <= 0)
		period_us = 1000;
	/* What was missed is left out. */
	if (instrument->due_us <= now_us)
		instrument->due_us += ((now_us - instrument->due_us) / period_us + 1) * period_us;
}

enum unit_change
instruments_judge(struct instruments *instruments, struct instrument *instrument, int error, int64_t asked_us,
    int64_t now_us, int64_t *ret_away_us)
{
	bool first = instrument->unit.failures == 0;
	enum unit_change change;

	unit_count(&instrument->unit.counters, error == -EPERM ? -EBADMSG : error);
	if (error == 0) {
		unit_measure(&instrument->unit, now_us - asked_us, 0);
		return unit_answered(&instrument->unit, asked_us, now_us, ret_away_us);
	}
	change = unit_failed(&instrument->unit, asked_us, now_us, 0);
	if (!first)
		instruments->probe_us =
		    now_us + (now_us - asked_us) * (100 - UNIT_PROBE_SHARE) / UNIT_PROBE_SHARE;
	if (change == UNIT_LOST)
		note_all(instruments, instrument, QUALITY_OFFLINE);
	return change;
}

/* --- other settings --- */

static void
adopt_reading(struct reading *reading, struct reading *from)
{
	const struct point *point = reading->point;

	*reading = *from;
	reading->point = reading->sample.point = point;
	health_value_adopt(&reading->last, point);
	from->held = false;
	from->known = (struct value){ .kind = VALUE_NONE };
	if (difference_carry(point, &reading->known) != 0)
		value_done(&reading->known);
	if (reading->held && difference_carry(point, &reading->sample.value) != 0)
		drop_held(reading);
}

static void
adopt_instrument(struct instrument *instrument, struct instrument *from, const struct difference *difference)
{
	int pause_max_ms = instrument->unit.pause_max_ms;

	instrument->unit = from->unit;
	instrument->unit.pause_max_ms = pause_max_ms;
	instrument->due_us = from->due_us;
	instrument->heard_us = from->heard_us;
	instrument->said_us = from->said_us;
	instrument->since_us = from->since_us;
	instrument->silent = from->silent;
	instrument->greet = from->greet;
	for (size_t i = 0; i < instrument->reading_count; i++) {
		const struct point *was = difference_point(difference, instrument->readings[i].point);
		struct reading *reading = was ? find_reading(from, was) : NULL;

		if (reading)
			adopt_reading(&instrument->readings[i], reading);
	}
}

void
instruments_adopt(
    struct instruments *instruments, struct instruments *from, const struct difference *difference, int64_t now_us)
{
	instruments_opened(instruments, now_us);
	for (size_t i = 0; i < instruments->count; i++) {
		struct instrument *instrument = &instruments->items[i];
		const struct device *was = difference_device(difference, instrument->device);
		struct instrument *older = was ? instruments_find(from, was) : NULL;

		if (older)
			adopt_instrument(instrument, older, difference);
	}
	instruments->probe_us = from->probe_us;
	instruments->refused = from->refused;
	instruments->told = from->told;
}
