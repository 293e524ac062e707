/* What came: whose it is, and whether there is any sense in it. */
#include "base/duration.h"
#include "base/log.h"
#include "field/serial_bus_state.h"

/* So many bytes since the last value, and people are told. */
#define NONSENSE_BYTES 4096

static void
on_frame(void *ctx, const struct line_frame *frame, bool proven, const char *why)
{
	struct serial_bus *self = ctx;

	(void)why;
	self->speaker = NULL;
	if (proven && self->owner != OWNER_NOBODY)
		talk_frame(&self->talker.talk, frame->bytes + frame->from, frame->to - frame->from, self->came_us);
}

static void
on_claim(void *ctx, const struct device *device, bool claimed, const char *why)
{
	struct serial_bus *self = ctx;
	struct instrument *instrument = claimed ? instruments_find(&self->instruments, device) : NULL;

	(void)why;
	self->speaker = instrument && (!instrument->nameless || instrument == self->asked) ? instrument : NULL;
}

static void
note_heard(struct serial_bus *self, struct instrument *instrument)
{
	int64_t away_us;
	char text[DURATION_TEXT_MAX];

	if (instrument == self->asked)
		talk_good(&self->talker.talk, self->came_us);
	if (!instrument_heard(instrument, self->came_us, &away_us))
		return;
	if (instrument->unit.state != UNIT_OFFLINE)
		log_notice("bus %s device %s: speaks again after %s", self->bus->name, instrument->device->name,
		    duration_text(away_us, text, sizeof(text)));
	serial_bus_talk_greet_again(self, 0);
}

/* Has the frame something that only the instrument can have put there? */
static bool
is_proof(const struct serial_bus *self, const struct device *device)
{
	return self->bus->checksum.type != CHECKSUM_NONE || device->pattern || (self->bus->address && device->address.length > 0);
}

static void
on_value(void *ctx, const struct point *point, enum quality quality, struct value *value, const char *why)
{
	struct serial_bus *self = ctx;
	bool good = quality == QUALITY_GOOD;

	(void)why;
	if (!self->speaker) {
		value_done(value);
		return;
	}
	if (good || is_proof(self, self->speaker->device))
		serial_bus_line_fruit(self);
	note_heard(self, self->speaker);
	errands_value(&self->errands, point, OUTCOME_DONE, good ? value : NULL);
	instruments_value(&self->instruments, self->speaker, point, quality, value, self->came_us, self->came_unix_ms);
}

struct listener_sink
serial_bus_input_sink(struct serial_bus *self)
{
	return (struct listener_sink){ .frame = on_frame, .claim = on_claim, .value = on_value, .ctx = self };
}

/* Is there any sense in what comes? Said once, and once when there is again. */
static void
note_sense(struct serial_bus *self)
{
	struct listener_counters counters;

	listener_counters(self->listener, &counters);
	if (counters.values != self->sense_values) {
		self->sense_values = counters.values;
		self->sense_bytes = counters.bytes;
		if (self->nonsense_told)
			log_notice("bus %s: values come again", self->bus->name);
		self->nonsense_told = false;
	} else if (!self->nonsense_told && counters.bytes - self->sense_bytes >= NONSENSE_BYTES) {
		log_warning("bus %s: %llu bytes came and no value in them%s%s", self->bus->name,
		    (unsigned long long)(counters.bytes - self->sense_bytes),
		    counters.last_bad[0] ? ", the last that was no good frame: " : "", counters.last_bad);
		self->nonsense_told = true;
	}
}

void
serial_bus_input_take(struct serial_bus *self, const uint8_t *bytes, size_t length)
{
	size_t echoed = talker_echoed(&self->talker, bytes, length);

	bytes += echoed;
	length -= echoed;
	if (length == 0)
		return;
	if (self->bus->type != BUS_SERIAL_TCP)
		serial_bus_line_fruit(self);
	if (self->owner != OWNER_NOBODY)
		talk_bytes(&self->talker.talk, bytes, length, self->came_us);
	listener_feed(self->listener, bytes, length, self->came_us / 1000);
	instruments_push(&self->instruments);
	note_sense(self);
}
