/* Any bytes from any instrument: the same frames and values however they come, texts that are UTF-8, in bounded time.
 *
 * The first line is the name of an instrument in tests/instruments; without one that is known, the next bytes make a framing, a
 * checksum and some points. What follows is what the instrument says. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "conf/conf.h"
#include "line/checksum.h"
#include "line/extract.h"
#include "line/listener.h"

#define INSTRUMENTS_MAX 64
#define MADE_BYTES	16
#define TEXT_MAX	256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	char *name;
	struct settings *settings;
} instruments[INSTRUMENTS_MAX];
static size_t instrument_count;

static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* What a listener said, as one number. */
struct heard {
	uint64_t hash;
	uint64_t events;
};

static void
hear(struct heard *heard, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < length; i++)
		heard->hash = (heard->hash ^ at[i]) * 1099511628211u;
	heard->events++;
}

static void
hear_value(struct heard *heard, const struct value *value)
{
	const char *text = value_text(value);

	hear(heard, &value->kind, sizeof(value->kind));
	if (text) {
		require(utf8_valid(text, strlen(text)) && strlen(text) <= EXTRACT_TEXT_MAX);
		hear(heard, text, strlen(text));
	} else if (value->kind == VALUE_LIST) {
		for (size_t i = 0; i < value->list->count; i++)
			hear_value(heard, &value->list->items[i]);
	} else if (value->kind == VALUE_REAL) {
		require(value->real - value->real == 0);
		hear(heard, &value->real, sizeof(value->real));
	} else if (value->kind == VALUE_BOOL) {
		hear(heard, &value->boolean, sizeof(value->boolean));
	} else if (value->kind != VALUE_NONE) {
		hear(heard, &value->integer, sizeof(value->integer));
	}
}

static void
take_frame(void *ctx, const struct line_frame *frame, bool proven, const char *why)
{
	require(frame->from <= frame->to && frame->to <= frame->length && frame->length <= LINE_FRAME_MAX);
	hear(ctx, frame->bytes, frame->length);
	hear(ctx, &proven, sizeof(proven));
	hear(ctx, why, strlen(why));
}

static void
take_claim(void *ctx, const struct device *device, bool claimed, const char *why)
{
	(void)device;
	hear(ctx, &claimed, sizeof(claimed));
	hear(ctx, why, strlen(why));
}

static void
take_value(void *ctx, const struct point *point, enum quality quality, struct value *value, const char *why)
{
	require(quality == QUALITY_GOOD ? value->kind != VALUE_NONE : quality == QUALITY_NO_VALUE && value->kind == VALUE_NONE);
	hear(ctx, point->key, strlen(point->key));
	hear(ctx, why, strlen(why));
	hear_value(ctx, value);
	value_done(value);
}

static void
take_waste(void *ctx, const uint8_t *bytes, size_t kept, uint64_t length, const char *why)
{
	char text[TEXT_MAX];

	line_printable(bytes, kept, text, sizeof(text));
	for (const char *c = text; *c; c++)
		require(*c >= ' ' && *c <= '~');
	hear(ctx, bytes, kept);
	hear(ctx, &length, sizeof(length));
	hear(ctx, why, strlen(why));
}

/* chunk  0: all at once; else pieces of up to so many bytes */
static struct heard
play(const struct settings *settings, const uint8_t *bytes, size_t length, size_t chunk)
{
	struct heard heard = { .hash = 14695981039346656037u };
	struct listener_sink sink = {
		.frame = take_frame, .claim = take_claim, .value = take_value, .waste = take_waste, .ctx = &heard
	};
	struct listener_counters counters;
	struct listener *listener = NULL;

	require(listener_new(settings, &settings->buses[0], &sink, &listener) == 0);
	for (size_t at = 0, turn = 0; at < length; turn++) {
		size_t some = chunk == 0 ? length : 1 + turn * 7 % chunk;

		some = some < length - at ? some : length - at;
		listener_feed(listener, bytes + at, some, 0);
		at += some;
	}
	listener_end(listener);
	listener_counters(listener, &counters);
	require(counters.bytes == length && counters.wasted_bytes <= length);
	require(counters.frames == counters.good + counters.bad_checksum + counters.unmatched);
	listener_free(listener);
	return heard;
}

static void
listen(const struct settings *settings, const uint8_t *bytes, size_t length)
{
	static const size_t chunks[] = { 1, 3, 64 };
	struct heard whole = play(settings, bytes, length, 0);

	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
		struct heard pieces = play(settings, bytes, length, chunks[i]);

		require(pieces.hash == whole.hash && pieces.events == whole.events);
	}
}

static void
load_instruments(void)
{
	DIR *folder = opendir(SRCDIR "/tests/instruments");
	struct dirent *entry;

	while (folder && instrument_count < INSTRUMENTS_MAX && (entry = readdir(folder))) {
		struct settings *settings = NULL;
		struct conf_report report;
		char path[4096];
		char *end = strstr(entry->d_name, ".conf");

		if (!end)
			continue;
		snprintf(path, sizeof(path), SRCDIR "/tests/instruments/%s", entry->d_name);
		require(conf_load(path, &settings, &report) == 0);
		conf_report_done(&report);
		*end = '\0';
		instruments[instrument_count].name = strdup(entry->d_name);
		instruments[instrument_count++].settings = settings;
	}
	require(instrument_count > 0);
	closedir(folder);
}

/* A bus and points as a configuration could have them. */
static void
make_up(const uint8_t *made, const uint8_t *bytes, size_t length)
{
	static const struct bytes marks[] = { { (const uint8_t *)"\r", 1 }, { (const uint8_t *)"\n", 1 },
		{ (const uint8_t *)"\r\n", 2 }, { (const uint8_t *)"\x03", 1 }, { (const uint8_t *)"aab", 3 } };
	static const char *const texts[] = { "a", "/a/0", "1.8.0", "(?<g>[0-9]+)x?", "^(a+)+$" };
	struct bytes ends[] = { marks[made[0] % 5], marks[made[1] % 5] };
	struct line_field fields[4];
	struct point points[4];
	struct device device = { .name = "d", .points = points, .point_count = 4, .pattern = made[2] & 1 ? texts[3] : NULL };
	struct bus bus = {
		.name = "b",
		.type = BUS_FILE,
		.framing = { .type = (enum framing_type)(made[3] % 6),
		    .ends = ends,
		    .end_count = 1 + (made[0] >> 7),
		    .start = marks[made[4] % 5],
		    .tail = made[5] % 4,
		    .length = 4 + made[5] % 20,
		    .length_at = made[6] % 8,
		    .length_size = 1 << made[6] / 64 % 3,
		    .length_little = made[6] & 32,
		    .length_plus = made[7] % 16 - 4,
		    .start_pattern = "^/",
		    .end_pattern = "^!",
		    .max_bytes = 24 + made[8] },
		.checksum = { .type = (enum checksum_type)(made[9] % CHECKSUMS),
		    .form = (enum checksum_form)(made[10] % 2),
		    .from = made[10] / 32,
		    .at = made[11] % 8 - 6 },
	};
	struct settings settings = { .buses = &bus, .bus_count = 1, .devices = &device, .device_count = 1 };

	if (bus.checksum.type == CHECKSUM_NMEA)
		bus.checksum.form = CHECKSUM_HEX;
	for (int i = 0; i < 4; i++) {
		uint8_t byte = made[12 + i];
		enum line_source source = (enum line_source)(byte % SOURCES);

		if (source == SOURCE_GROUP && !device.pattern)
			source = SOURCE_COLUMN;
		fields[i] = (struct line_field){ .source = source,
			.format = (enum line_format)(byte / SOURCES % FORMATS),
			.text = texts[source == SOURCE_JSON ? 1 : source == SOURCE_OBIS ? 2 : source == SOURCE_PATTERN ? 3 + (byte >> 7) : 0],
			.group = source == SOURCE_GROUP ? "g" : NULL,
			.column = byte % 3,
			.at = byte % 16,
			.length = source == SOURCE_BYTES_AT ? 4 : 1 + byte % 9,
			.separator = source == SOURCE_FIELD ? NULL : byte & 64 ? " " : ",",
			.assign = '=' };
		points[i] = (struct point){ .device = &device,
			.bus = &bus,
			.line = &fields[i],
			.key = "k",
			.table = TABLE_HOLDING,
			.type = TYPE_FLOAT32,
			.count = 2,
			.bit = POINT_NO_BIT,
			.scale = 1,
			.decimals = source == SOURCE_BYTES_AT ? DECIMALS_SINGLE : DECIMALS_TEXT };
	}
	listen(&settings, bytes, length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size < 64 ? size : 64);
	size_t length = end ? (size_t)(end - data) : 0;

	if (instrument_count == 0)
		load_instruments();
	for (size_t i = 0; end && i < instrument_count; i++)
		if (strlen(instruments[i].name) == length && memcmp(instruments[i].name, data, length) == 0) {
			listen(instruments[i].settings, end + 1, size - length - 1);
			return 0;
		}
	if (size >= MADE_BYTES)
		make_up(data, data + MADE_BYTES, size - MADE_BYTES);
	return 0;
}
