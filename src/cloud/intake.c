#include "cloud/intake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wall.h"
#include "cloud/batch.h"
#include "cloud/tb_json.h"
#include "flow/stamps.h"
#include "flow/window.h"

#define MADE_KEY_BYTES	1024 /* KEY_quality and the like: 255 characters are 765 bytes at most */
#define MADE_NAME_BYTES (6 * MADE_KEY_BYTES) /* in JSON, whatever they are */

/* Of one device. */
struct remembered {
	struct stamps stamps;
	bool news;
	struct remembered *next_news;
};

/* A point's key as it stands in a row: "KEY": */
struct name {
	size_t at; /* in intake->names_text */
	size_t length;
};

/* What the samples of one reply have in common. */
struct moment {
	const struct device *device; /* NULL: there is none */
	int64_t mono_ms, unix_ms;
	int64_t ms; /* the time that they get */
	enum store_epoch epoch;
};

struct intake {
	const struct settings *settings;
	struct store *store;
	intake_attribute *attribute;
	void *ctx;
	struct windows *windows;
	struct name *names; /* of each point */
	char *names_text;
	enum quality *qualities; /* of each point, as its samples told */
	int64_t *told_ms;	 /* the time of each point's last value: a row has room for one */
	struct remembered *devices;
	struct remembered *news;
	uint64_t unheld_rows;

	struct moment moment;
	struct wall wall;
	bool waits_for_wall; /* and the log says so */
	int64_t wall_due_mono_ms;

	/* the row that is being put together */
	const struct device *row_device;
	int64_t row_ms;
	enum store_epoch row_epoch;
	unsigned row_values;
	size_t row_length;
	char row[TB_MAX_PAYLOAD];
};

/* ---- rows ---- */

static void
tell_news(struct intake *intake, size_t device)
{
	struct remembered *state = &intake->devices[device];

	if (state->news)
		return;
	state->news = true;
	state->next_news = intake->news;
	intake->news = state;
}

static void
finish_row(struct intake *intake)
{
	const struct device *device = intake->row_device;
	int error;

	intake->row_device = NULL;
	if (!device || intake->row_values == 0)
		return;
	error = store_append(intake->store, device->index, intake->row_ms, intake->row_epoch, intake->row_values,
	    intake->row, intake->row_length);
	if (error < 0)
		intake->unheld_rows++;
	tell_news(intake, device->index);
}

static void
start_row(struct intake *intake, const struct device *device, int64_t ms, enum store_epoch epoch)
{
	finish_row(intake);
	intake->row_device = device;
	intake->row_ms = ms;
	intake->row_epoch = epoch;
	intake->row_values = 0;
	intake->row_length = 0;
}

/* A row that would not fit into a payload goes on in another with the same time: the server keeps values by
 * key. */
static size_t
row_limit(const struct intake *intake)
{
	size_t limit = (size_t)intake->settings->server.batch_bytes;

	return limit > BATCH_ROW_OVERHEAD && limit < sizeof(intake->row)
		   ? limit - BATCH_ROW_OVERHEAD
		   : sizeof(intake->row) - BATCH_ROW_OVERHEAD;
}

/* The time of what was read at once is chosen once. */
static struct moment *
find_moment(struct intake *intake, const struct device *device, int64_t mono_ms, int64_t unix_ms)
{
	struct moment *moment = &intake->moment;
	int64_t ms;

	if (moment->device == device && moment->mono_ms == mono_ms && moment->unix_ms == unix_ms)
		return moment;
	moment->device = device;
	moment->mono_ms = mono_ms;
	moment->unix_ms = unix_ms;
	moment->epoch = wall_time(&intake->wall, mono_ms, unix_ms, &ms) ? STORE_UNIX : STORE_BOOT;
	moment->ms = stamps_take(&intake->devices[device->index].stamps, mono_ms, ms);
	return moment;
}

/* A poll that was late, and the next one that was not. The last may have been moved beyond this one. */
static void
tell_apart(struct intake *intake, struct moment *moment, int64_t *told_ms)
{
	while (*told_ms >= moment->ms && *told_ms - moment->ms < STAMPS_MOMENT_MS)
		moment->ms = stamps_move(&intake->devices[moment->device->index].stamps);
	*told_ms = moment->ms;
}

/* `name` is as tb_json_name() makes it. */
static void
add_telemetry(struct intake *intake, const struct moment *moment, const char *name, size_t name_length, const struct value *value)
{
	size_t limit = row_limit(intake);
	int length;

	if (intake->row_device != moment->device || intake->row_ms != moment->ms || intake->row_epoch != moment->epoch)
		start_row(intake, moment->device, moment->ms, moment->epoch);
	length = tb_json_named(name, name_length, value, intake->row_values == 0, intake->row + intake->row_length,
	    limit > intake->row_length ? limit - intake->row_length : 0);
	if (length == -EMSGSIZE) {
		start_row(intake, moment->device, moment->ms, moment->epoch);
		/* Alone it may be larger than a usual batch. */
		length = tb_json_named(name, name_length, value, true, intake->row, sizeof(intake->row) - BATCH_ROW_OVERHEAD);
	}
	if (length < 0) {
		log_debug("device %s: %.*s cannot be printed", moment->device->name, (int)name_length, name);
		return;
	}
	intake->row_length += (size_t)length;
	intake->row_values++;
}

static void
add_sample(struct intake *intake, const struct sample *sample)
{
	const struct point *point = sample->point;
	const struct name *name = &intake->names[point->index];
	struct moment *moment = find_moment(intake, point->device, sample->taken_mono_ms, sample->taken_unix_ms);

	tell_apart(intake, moment, &intake->told_ms[point->index]);
	add_telemetry(intake, moment, intake->names_text + name->at, name->length, &sample->value);
}

/* What the gateway makes of a point's samples goes up as KEY_suffix. */
static void
add_made(struct intake *intake, const struct point *point, const char *suffix, int64_t mono_ms, int64_t unix_ms,
    const struct value *value)
{
	char key[MADE_KEY_BYTES], name[MADE_NAME_BYTES];
	int length;

	snprintf(key, sizeof(key), "%s_%s", point->key, suffix);
	length = tb_json_name(key, name, sizeof(name));
	if (length > 0)
		add_telemetry(intake, find_moment(intake, point->device, mono_ms, unix_ms), name, (size_t)length, value);
}

static void
on_window(void *ctx, const struct point *point, enum point_aggregate aggregate, int64_t mono_ms, int64_t unix_ms,
    const struct value *value)
{
	add_made(ctx, point, point_aggregate_name(aggregate), mono_ms, unix_ms, value);
}

/* ---- samples ---- */

static void
note_quality(struct intake *intake, const struct sample *sample)
{
	const struct point *point = sample->point;
	struct value name = { .kind = VALUE_LABEL };

	if (intake->qualities[point->index] == sample->quality)
		return;
	intake->qualities[point->index] = sample->quality;
	name.label = quality_name(sample->quality);
	if (point->quality)
		add_made(intake, point, "quality", sample->taken_mono_ms, sample->taken_unix_ms, &name);
}

static void
report(struct intake *intake, const struct sample *sample)
{
	const struct point *point = sample->point;

	/* What the server wants it to be is a shared attribute; what it is, a client attribute of that key. */
	if (point->shared && point->kind == KIND_TELEMETRY) {
		intake->attribute(intake->ctx, sample);
		tell_news(intake, point->device->index);
	}
	if (point->aggregate != 0) {
		windows_add(intake->windows, sample, intake->wall.set);
	} else if (!sample->reported) {
		return;
	} else if (point->kind == KIND_TELEMETRY) {
		add_sample(intake, sample);
	} else {
		intake->attribute(intake->ctx, sample);
		tell_news(intake, point->device->index);
	}
}

/* ---- the wall clock ---- */

static void
log_wait_for_wall(const struct intake *intake, const struct wall_sight *sight)
{
	time_t shown = (time_t)(sight->unix_ms / 1000);
	char text[64] = "";
	struct tm tm;

	if (gmtime_r(&shown, &tm))
		strftime(text, sizeof(text), "%F %T UTC", &tm);
	if (intake->wall.impossible)
		log_warning("clock: shows %s and is not set: samples wait until it is", text);
	else
		log_warning("clock: shows %s, which may be wrong: samples wait until NTP keeps it or it is set, for %d s "
			    "from the boot",
		    text, intake->settings->clock.wait_s);
}

static void
date_rows(struct intake *intake)
{
	store_date(intake->store, intake->wall.boot_unix_ms);
	for (size_t i = 0; i < intake->settings->device_count; i++) {
		stamps_shift(&intake->devices[i].stamps, intake->wall.boot_unix_ms);
		tell_news(intake, i);
	}
}

/* The clock is lost: from now on times count from the boot again. */
static void
undate_stamps(struct intake *intake)
{
	for (size_t i = 0; i < intake->settings->device_count; i++)
		stamps_shift(&intake->devices[i].stamps, -intake->wall.boot_unix_ms);
}

static void
see_wall(struct intake *intake, bool kept)
{
	struct wall_sight sight = wall_look(kept);

	intake->moment.device = NULL;
	switch (wall_see(&intake->wall, &sight)) {
	case WALL_SAME:
		break;
	case WALL_SET:
		if (intake->waits_for_wall)
			log_notice("clock: is set, what was read before gets its time");
		date_rows(intake);
		break;
	case WALL_TAKEN:
		if (intake->waits_for_wall)
			log_warning("clock: neither NTP nor anybody else set it in %d s since the boot: taken as it is",
			    intake->settings->clock.wait_s);
		date_rows(intake);
		break;
	case WALL_STEPPED:
		log_notice("clock: was set %s by %.3f s", intake->wall.stepped_ms > 0 ? "forward" : "back",
		    (double)llabs(intake->wall.stepped_ms) / 1000);
		break;
	case WALL_LOST:
		undate_stamps(intake);
		break;
	}
	if (!intake->wall.set && kept && !intake->waits_for_wall)
		log_wait_for_wall(intake, &sight);
	if (kept || intake->wall.set) {
		intake->waits_for_wall = !intake->wall.set;
		intake->wall_due_mono_ms = intake->wall.set ? CLOCK_NEVER : sight.mono_ms + WALL_LOOK_MS;
	} else if (intake->wall_due_mono_ms == CLOCK_NEVER) {
		intake->wall_due_mono_ms = sight.mono_ms;
	}
}

/* ---- the module ---- */

/* Write the names of all points, or only look how long they are. Returns how many bytes they take. None is too long: a key has 255
 * characters at most. */
static size_t
write_names(struct intake *intake, bool write)
{
	char name[MADE_NAME_BYTES];
	size_t used = 0;

	for (size_t i = 0; i < intake->settings->device_count; i++)
		for (size_t j = 0; j < intake->settings->devices[i].point_count; j++) {
			const struct point *point = &intake->settings->devices[i].points[j];
			int length = tb_json_name(point->key, name, sizeof(name));

			if (length < 0)
				continue;
			if (write) {
				memcpy(intake->names_text + used, name, (size_t)length);
				intake->names[point->index] = (struct name){ .at = used, .length = (size_t)length };
			}
			used += (size_t)length;
		}
	return used;
}

struct intake *
intake_new(const struct settings *settings, struct store *store, intake_attribute *attribute, void *ctx)
{
	struct intake *intake = calloc(1, sizeof(*intake));

	if (!intake)
		return NULL;
	intake->settings = settings;
	intake->store = store;
	intake->attribute = attribute;
	intake->ctx = ctx;
	intake->windows = windows_new(settings, on_window, intake);
	intake->names = calloc(settings->point_count + 1, sizeof(intake->names[0]));
	intake->names_text = malloc(write_names(intake, false) + 1);
	intake->qualities = calloc(settings->point_count + 1, sizeof(intake->qualities[0]));
	intake->told_ms = calloc(settings->point_count + 1, sizeof(intake->told_ms[0]));
	intake->devices = calloc(settings->device_count + 1, sizeof(intake->devices[0]));
	if (!intake->windows || !intake->names || !intake->names_text || !intake->qualities || !intake->told_ms ||
	    !intake->devices) {
		intake_free(intake);
		return NULL;
	}
	write_names(intake, true);
	for (size_t i = 0; i < settings->point_count; i++)
		intake->qualities[i] = QUALITY_UNKNOWN;
	wall_init(&intake->wall, settings->clock.wait_s);
	return intake;
}

void
intake_free(struct intake *intake)
{
	if (!intake)
		return;
	windows_free(intake->windows);
	free(intake->names);
	free(intake->names_text);
	free(intake->qualities);
	free(intake->told_ms);
	free(intake->devices);
	free(intake);
}

void
intake_take(struct intake *intake, const struct sample *samples, size_t count)
{
	see_wall(intake, false);
	for (size_t i = 0; i < count; i++) {
		note_quality(intake, &samples[i]);
		if (samples[i].quality == QUALITY_GOOD)
			report(intake, &samples[i]);
	}
	finish_row(intake);
}

void
intake_part(struct intake *intake, const struct difference *difference)
{
	windows_part(intake->windows, difference);
	finish_row(intake);
}

static void
adopt_device(struct intake *intake, const struct intake *from, const struct device *device,
    const struct difference *difference)
{
	const struct device *was = difference_device(difference, device);

	if (!was)
		return;
	intake->devices[device->index].stamps = from->devices[was->index].stamps;
	for (size_t i = 0; i < device->point_count; i++) {
		const struct point *point = &device->points[i];
		const struct point *old = difference_point(difference, point);

		if (!old)
			continue;
		intake->qualities[point->index] = from->qualities[old->index];
		intake->told_ms[point->index] = from->told_ms[old->index];
	}
}

void
intake_adopt(struct intake *intake, struct intake *from, const struct difference *difference)
{
	int64_t wait_ms = intake->wall.wait_ms;

	windows_adopt(intake->windows, from->windows, difference);
	for (size_t i = 0; i < intake->settings->device_count; i++) {
		adopt_device(intake, from, &intake->settings->devices[i], difference);
		tell_news(intake, i);
	}
	intake->unheld_rows = from->unheld_rows;
	intake->wall = from->wall;
	intake->wall.wait_ms = wait_ms;
	intake->waits_for_wall = from->waits_for_wall;
	intake->wall_due_mono_ms = from->wall_due_mono_ms;
}

bool
intake_news(struct intake *intake, size_t *ret_device)
{
	struct remembered *state = intake->news;

	if (!state)
		return false;
	intake->news = state->next_news;
	state->news = false;
	*ret_device = (size_t)(state - intake->devices);
	return true;
}

int64_t
intake_due_mono_ms(const struct intake *intake)
{
	int64_t windows_ms = windows_due_mono_ms(intake->windows);

	return windows_ms < intake->wall_due_mono_ms ? windows_ms : intake->wall_due_mono_ms;
}

void
intake_tick(struct intake *intake, int64_t now_mono_ms)
{
	if (intake->wall_due_mono_ms <= now_mono_ms)
		see_wall(intake, true);
	windows_close(intake->windows, now_mono_ms);
	finish_row(intake);
}

void
intake_flush(struct intake *intake)
{
	windows_flush(intake->windows);
	finish_row(intake);
}

bool
intake_clock_is_set(const struct intake *intake)
{
	return intake->wall.set;
}

uint64_t
intake_unheld_rows(const struct intake *intake)
{
	return intake->unheld_rows;
}
