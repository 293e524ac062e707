#include "model/health.h"

#include <stdlib.h>
#include <string.h>

#include "base/rare.h"

static const char *const unit_states[HEALTH_UNIT_STATES] = {
	[HEALTH_UNIT_UNTRIED] = "untried",
	[HEALTH_UNIT_ONLINE] = "online",
	[HEALTH_UNIT_SUSPECT] = "suspect",
	[HEALTH_UNIT_OFFLINE] = "offline",
};

static const char *const bus_states[HEALTH_BUS_STATES] = {
	[HEALTH_BUS_CLOSED] = "closed",
	[HEALTH_BUS_OPEN] = "open",
	[HEALTH_BUS_FAULT] = "fault",
};

static const char *const session_states[HEALTH_SESSION_STATES] = {
	[HEALTH_SESSION_WAITING] = "waiting",
	[HEALTH_SESSION_CONNECTING] = "connecting",
	[HEALTH_SESSION_UP] = "up",
	[HEALTH_SESSION_CLOSED] = "closed",
};

/* A serial instrument has no unit but is one. */
static bool
is_unit_of(const struct health_unit *unit, const struct point *point)
{
	return unit->device ? strcmp(unit->device, point->device->name) == 0 : unit->unit == point->unit;
}

static bool
answers_at(const struct health *health, const struct point *point)
{
	const struct health_bus *bus = health->buses[point->bus->index];

	if (!bus || bus->state == HEALTH_BUS_FAULT || health->bus_waits_us[point->bus->index] > 0)
		return false;
	for (size_t i = 0; i < bus->unit_count; i++)
		if (is_unit_of(&bus->units[i], point) &&
		    (bus->units[i].state == HEALTH_UNIT_ONLINE || bus->units[i].state == HEALTH_UNIT_SUSPECT))
			return true;
	return false;
}

bool
health_answers(const struct health *health, const struct device *device)
{
	const struct point *before = NULL;

	for (size_t i = 0; i < device->point_count; i++) {
		const struct point *point = &device->points[i];
		bool seen = before && before->bus == point->bus && before->unit == point->unit;

		if (point->bus && !seen && answers_at(health, point))
			return true;
		before = point;
	}
	return false;
}

size_t
health_answering(const struct health *health)
{
	size_t count = 0;

	for (size_t i = 0; i < health->settings->device_count; i++)
		count += health_answers(health, &health->settings->devices[i]);
	return count;
}

const char *
health_unit_state_name(enum health_unit_state state)
{
	return unit_states[state];
}

const char *
health_bus_state_name(enum health_bus_state state)
{
	return bus_states[state];
}

const char *
health_session_state_name(enum health_session_state state)
{
	return session_states[state];
}

const char *
health_disk_state_name(const struct health_store *store)
{
	if (!store->on_disk)
		return "none";
	if (store->disk_error != 0)
		return "failing";
	return store->disk_busy_ms >= HEALTH_DISK_SILENT_MS ? "silent" : "well";
}

/* Cut between two characters, not inside one. */
static RARE void
keep_text(struct health_value *kept, const char *text)
{
	size_t length = strlen(text);

	kept->cut = length >= sizeof(kept->text);
	if (kept->cut) {
		length = sizeof(kept->text) - 1;
		while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(kept->text, text, length);
	kept->text[length] = '\0';
}

void
health_value_set(struct health_value *kept, const struct value *value)
{
	kept->kind = (uint8_t)value->kind;
	kept->decimals = value->decimals;
	kept->cut = false;
	kept->items = 0;
	if (value->kind == VALUE_TEXT)
		keep_text(kept, value->text);
	else if (value->kind == VALUE_LIST)
		kept->items = (uint32_t)value->list->count;
	else
		kept->whole = value->whole; /* whichever member it is */
}

void
health_give_back(const struct health_question *question)
{
	struct health_answer answer = { .bus = question->bus, .cloud = question->cloud };

	fifo_push(question->answers, &answer, 1);
}

struct health_bus *
health_bus_new(const struct bus *bus, size_t unit_room, size_t point_room)
{
	struct health_bus *report = calloc(1, sizeof(*report));

	if (!report)
		return NULL;
	report->bus = bus;
	report->unit_room = unit_room;
	report->point_room = point_room;
	report->units = calloc(unit_room + 1, sizeof(report->units[0]));
	report->points = calloc(point_room + 1, sizeof(report->points[0]));
	if (report->units && report->points)
		return report;
	health_bus_free(report);
	return NULL;
}

void
health_bus_free(struct health_bus *report)
{
	if (!report)
		return;
	free(report->units);
	free(report->points);
	free(report);
}

struct health_cloud *
health_cloud_new(size_t device_room)
{
	struct health_cloud *report = calloc(1, sizeof(*report));

	if (!report)
		return NULL;
	report->device_room = device_room;
	report->devices = calloc(device_room + 1, sizeof(report->devices[0]));
	if (report->devices)
		return report;
	health_cloud_free(report);
	return NULL;
}

void
health_cloud_free(struct health_cloud *report)
{
	if (!report)
		return;
	free(report->devices);
	free(report);
}

void
health_value_adopt(struct health_value *value, const struct point *point)
{
	if (value->kind != VALUE_LABEL)
		return;
	for (size_t i = 0; i < point->label_count; i++)
		if (strcmp(point->labels[i].label, value->label) == 0) {
			value->label = point->labels[i].label;
			return;
		}
	value->kind = VALUE_NONE;
}
