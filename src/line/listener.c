#include "line/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "line/checksum.h"
#include "line/extract.h"
#include "line/framer.h"
#include "line/pattern.h"

struct heard_point {
	const struct point *point;
	struct extractor extractor;
};

struct heard_device {
	const struct device *device;
	struct pattern *pattern;    /* NULL = any frame */
	struct heard_point *points; /* those on this bus */
	size_t count;
};

struct listener {
	const struct bus *bus;
	struct listener_sink sink;
	struct framer *framer;
	struct extractor address; /* of the bus; has no field if it has none */
	struct heard_device *devices;
	size_t count;
	struct listener_counters counters;
};

/* One byte as it is shown. Returns its length, up to 4. */
static size_t
show_byte(uint8_t byte, char text[5])
{
	switch (byte) {
	case '\r':
		return (size_t)snprintf(text, 5, "\\r");
	case '\n':
		return (size_t)snprintf(text, 5, "\\n");
	case '\t':
		return (size_t)snprintf(text, 5, "\\t");
	case '\\':
		return (size_t)snprintf(text, 5, "\\\\");
	default:
		return (size_t)snprintf(text, 5, byte < ' ' || byte > '~' ? "\\x%02x" : "%c", byte);
	}
}

const char *
line_printable(const uint8_t *bytes, size_t length, char *text, size_t size)
{
	static const char more[] = "...";
	size_t used = 0, all = 0;
	char one[5];

	if (size == 0)
		return text;
	for (size_t i = 0; i < length && all < size; i++)
		all += show_byte(bytes[i], one);
	for (size_t i = 0; i < length; i++) {
		size_t need = show_byte(bytes[i], one);

		if (all >= size && used + need + sizeof(more) > size) {
			snprintf(text + used, size - used, "%s", more);
			return text;
		}
		memcpy(text + used, one, need);
		used += need;
	}
	text[used] = '\0';
	return text;
}

static void
remember_bad(struct listener *listener, const struct line_frame *frame, enum frame_verdict verdict)
{
	line_printable(frame->bytes, frame->length, listener->counters.last_bad, LISTENER_PRINTABLE_MAX);
	listener->counters.last_bad_verdict = verdict;
}

/* Is a text of the frame the device's address? */
static bool
is_addressed(struct listener *listener, struct extract_frame *reading, const struct device *device, const char **why)
{
	struct extract_text found;

	if (device->address.length == 0 || !listener->address.field)
		return true;
	if (extract_find(&listener->address, reading, &found, why) != 0)
		return false;
	while (listener->bus->address->source != SOURCE_TEXT_AT && found.length > 0 && found.text[0] == ' ') {
		found.text++;
		found.length--;
	}
	while (listener->bus->address->source != SOURCE_TEXT_AT && found.length > 0 && found.text[found.length - 1] == ' ')
		found.length--;
	*why = "another address";
	return found.length == device->address.length &&
	       memcmp(found.text, device->address.data, found.length) == 0;
}

static bool
is_claimed(struct listener *listener, struct extract_frame *reading, struct heard_device *heard, const char **why)
{
	const struct line_frame *frame = reading->frame;
	int matches;

	reading->pattern = NULL;
	if (!is_addressed(listener, reading, heard->device, why))
		return false;
	if (!heard->pattern)
		return true;
	matches = pattern_match(heard->pattern, frame->bytes + frame->from, frame->to - frame->from);
	*why = matches == 0 ? "its pattern does not match" : "its pattern needs too many steps";
	reading->pattern = heard->pattern;
	return matches == 1;
}

static void
tell_value(struct listener *listener, const struct point *point, enum quality quality, struct value *value, const char *why)
{
	if (quality == QUALITY_GOOD)
		listener->counters.values++;
	else
		listener->counters.no_values++;
	if (listener->sink.value)
		listener->sink.value(listener->sink.ctx, point, quality, value, why);
	else
		value_done(value);
}

/* Is the point in the frame, be it with a value or without? */
static bool
take_point(struct listener *listener, struct extract_frame *reading, struct heard_point *heard)
{
	struct value value = { .kind = VALUE_NONE };
	const char *why = "";
	int error = extract_value(&heard->extractor, reading, heard->point, &value, &why);

	if (error == -ENOENT) {
		if (listener->sink.miss)
			listener->sink.miss(listener->sink.ctx, heard->point, why);
		return false;
	}
	if (error == -ENOMEM)
		return true;
	tell_value(listener, heard->point, error == 0 ? QUALITY_GOOD : QUALITY_NO_VALUE, &value, error == 0 ? "" : why);
	return true;
}

/* Returns how many of its points are in the frame, or -1 if the frame is not the device's. */
static int
take_for_device(struct listener *listener, struct extract_frame *reading, struct heard_device *heard)
{
	const char *why = "";
	bool claimed = is_claimed(listener, reading, heard, &why);
	int found = 0;

	if (listener->sink.claim)
		listener->sink.claim(listener->sink.ctx, heard->device, claimed, claimed ? "" : why);
	if (!claimed)
		return -1;
	for (size_t i = 0; i < heard->count; i++)
		found += take_point(listener, reading, &heard->points[i]);
	return found;
}

static void
take_proven(struct listener *listener, const struct line_frame *frame)
{
	struct extract_frame reading;
	bool claimed = false, found = false;

	extract_begin(&reading, frame);
	for (size_t i = 0; i < listener->count; i++) {
		int points = take_for_device(listener, &reading, &listener->devices[i]);

		claimed = claimed || points >= 0;
		found = found || points > 0;
	}
	extract_end(&reading);
	if (found) {
		listener->counters.good++;
		return;
	}
	listener->counters.unmatched++;
	remember_bad(listener, frame, claimed ? FRAME_EMPTY : FRAME_NOBODYS);
}

/* What is text in it ends before the checksum. */
static void
narrow(const struct checksum *checksum, struct line_frame *frame)
{
	struct checksum_place place;
	size_t behind = checksum->type == CHECKSUM_NMEA ? 1 : 0; /* the '*' */

	if (checksum->type == CHECKSUM_NONE || checksum_find(checksum, frame->bytes, frame->length, &place) != 0)
		return;
	if (place.at + checksum_size(checksum) >= frame->to && place.at >= frame->from + behind && place.at < frame->to)
		frame->to = place.at - behind;
}

static bool
take_frame(void *ctx, const struct line_frame *framed, bool again)
{
	struct listener *listener = ctx;
	struct line_frame frame = *framed;
	char wanted[CHECKSUM_TEXT_MAX], found[CHECKSUM_TEXT_MAX], why[96] = "";
	int error = checksum_judge(&listener->bus->checksum, frame.bytes, frame.length, wanted, found);

	if (error && again)
		return false;
	listener->counters.frames++;
	if (error == -EBADMSG)
		snprintf(why, sizeof(why), "checksum %s, should be %s", found, wanted);
	else if (error)
		snprintf(why, sizeof(why), "no checksum");
	else
		narrow(&listener->bus->checksum, &frame);
	if (listener->sink.frame)
		listener->sink.frame(listener->sink.ctx, &frame, error == 0, why);
	if (error) {
		listener->counters.bad_checksum++;
		remember_bad(listener, &frame, error == -EBADMSG ? FRAME_BAD_CHECKSUM : FRAME_NO_CHECKSUM);
		return false;
	}
	take_proven(listener, &frame);
	return true;
}

static void
take_waste(void *ctx, const uint8_t *bytes, size_t kept, uint64_t length, const char *why)
{
	struct listener *listener = ctx;

	line_printable(bytes, kept, listener->counters.last_bad, LISTENER_PRINTABLE_MAX);
	listener->counters.last_bad_verdict = FRAME_WASTE;
	if (listener->sink.waste)
		listener->sink.waste(listener->sink.ctx, bytes, kept, length, why);
}

void
listener_feed(struct listener *listener, const uint8_t *bytes, size_t length, int64_t now_mono_ms)
{
	listener->counters.bytes += length;
	framer_feed(listener->framer, bytes, length, now_mono_ms);
}

int64_t
listener_deadline(const struct listener *listener)
{
	return framer_deadline(listener->framer);
}

void
listener_tick(struct listener *listener, int64_t now_mono_ms)
{
	framer_tick(listener->framer, now_mono_ms);
}

void
listener_end(struct listener *listener)
{
	framer_end(listener->framer);
}

void
listener_reset(struct listener *listener, bool middle)
{
	framer_reset(listener->framer, middle);
}

void
listener_counters(const struct listener *listener, struct listener_counters *ret)
{
	*ret = listener->counters;
	ret->wasted_bytes = framer_wasted(listener->framer);
	ret->resyncs = framer_resyncs(listener->framer);
}

/* Making one. */

/* Is it read from frames of the bus? */
static bool
is_heard(const struct point *point, const struct bus *bus)
{
	return point->bus == bus && point->line && point->line->source != SOURCE_NOWHERE;
}

static size_t
points_on(const struct device *device, const struct bus *bus)
{
	size_t count = 0;

	for (size_t i = 0; i < device->point_count; i++)
		count += is_heard(&device->points[i], bus);
	return count;
}

static int
make_device(struct listener *listener, const struct device *device, size_t count)
{
	struct heard_device *heard = &listener->devices[listener->count++];
	int error = device->pattern ? pattern_new(device->pattern, &heard->pattern, NULL) : 0;

	heard->device = device;
	heard->points = calloc(count, sizeof(*heard->points));
	if (!heard->points)
		error = -ENOMEM;
	for (size_t i = 0; !error && i < device->point_count; i++) {
		const struct point *point = &device->points[i];
		struct heard_point *into = &heard->points[heard->count];

		if (!is_heard(point, listener->bus))
			continue;
		error = extractor_init(&into->extractor, point->line, heard->pattern);
		into->point = point;
		heard->count += !error;
	}
	return error;
}

static int
make_devices(struct listener *listener, const struct settings *settings)
{
	int error = 0;

	listener->devices = calloc(settings->device_count + 1, sizeof(*listener->devices));
	if (!listener->devices)
		return -ENOMEM;
	for (size_t i = 0; !error && i < settings->device_count; i++) {
		size_t count = points_on(&settings->devices[i], listener->bus);

		if (count > 0)
			error = make_device(listener, &settings->devices[i], count);
	}
	return error;
}

int
listener_new(const struct settings *settings, const struct bus *bus, const struct listener_sink *sink,
    struct listener **ret)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int error;

	if (!listener)
		return -ENOMEM;
	listener->bus = bus;
	listener->sink = *sink;
	error = framer_new(&bus->framing, bus->checksum.type != CHECKSUM_NONE, take_frame, take_waste, listener,
	    &listener->framer);
	if (!error && bus->address)
		error = extractor_init(&listener->address, bus->address, NULL);
	if (!error)
		error = make_devices(listener, settings);
	if (error)
		listener_free(listener);
	else
		*ret = listener;
	return error;
}

void
listener_free(struct listener *listener)
{
	if (!listener)
		return;
	for (size_t i = 0; i < listener->count; i++) {
		struct heard_device *heard = &listener->devices[i];

		for (size_t j = 0; j < heard->count; j++)
			extractor_done(&heard->points[j].extractor);
		free(heard->points);
		pattern_free(heard->pattern);
	}
	free(listener->devices);
	extractor_done(&listener->address);
	framer_free(listener->framer);
	free(listener);
}
