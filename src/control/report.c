#include <config.h>

#include "control/report.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/protocol.h"

/* The value belongs to the tree that it is put into. Where there is no memory something is missing, which the reader stands. */
static void
put(struct json_object *object, const char *name, struct json_object *value)
{
	if (!object || json_object_object_add(object, name, value) < 0)
		json_object_put(value);
}

static void
append(struct json_object *array, struct json_object *value)
{
	if (!array || json_object_array_add(array, value) < 0)
		json_object_put(value);
}

static void
put_text(struct json_object *object, const char *name, const char *text)
{
	put(object, name, text && text[0] ? json_object_new_string(text) : NULL);
}

static void
put_count(struct json_object *object, const char *name, uint64_t count)
{
	put(object, name, json_object_new_uint64(count));
}

static void
put_integer(struct json_object *object, const char *name, int64_t number)
{
	put(object, name, json_object_new_int64(number));
}

static void
put_truth(struct json_object *object, const char *name, bool truth)
{
	put(object, name, json_object_new_boolean(truth));
}

/* By itself it would print 17 digits. */
static struct json_object *
new_fixed(double real, int decimals)
{
	char text[352];

	if (!isfinite(real))
		return NULL;
	snprintf(text, sizeof(text), "%.*f", decimals, real);
	return json_object_new_double_s(real, text);
}

static struct json_object *
new_short(double real, int digits)
{
	char text[64];

	if (!isfinite(real))
		return NULL;
	snprintf(text, sizeof(text), "%.*g", digits, real);
	return json_object_new_double_s(real, text);
}

static void
put_real(struct json_object *object, const char *name, double real, int decimals)
{
	put(object, name, new_fixed(real, decimals));
}

/* How long ago, in s; null for never. */
static void
put_age(struct json_object *object, const char *name, int64_t then_mono_us, int64_t now_mono_us)
{
	if (then_mono_us == 0)
		put(object, name, NULL);
	else
		put_real(object, name, (double)(now_mono_us - then_mono_us) / 1e6, 3);
}

/* ---- buses ---- */

static void
put_exceptions(struct json_object *object, const struct health_unit *unit)
{
	struct json_object *codes = json_object_new_object();

	for (int i = 0; i < HEALTH_EXCEPTIONS; i++) {
		char name[16] = "other";

		if (unit->by_exception[i] == 0)
			continue;
		if (i > 0)
			snprintf(name, sizeof(name), "%d", i);
		put_count(codes, name, unit->by_exception[i]);
	}
	put(object, "exceptions", codes);
}

static void
put_latency(struct json_object *object, const struct health_unit *unit)
{
	struct json_object *latency = json_object_new_object();

	put_count(latency, "count", unit->latency_count);
	put_real(latency, "sum", (double)unit->latency_sum_us / 1e3, 3);
	put_real(latency, "p50", (double)unit->latency_p50_us / 1e3, 3);
	put_real(latency, "p95", (double)unit->latency_p95_us / 1e3, 3);
	put_real(latency, "max", (double)unit->latency_max_us / 1e3, 3);
	put(object, "latency_ms", latency);
}

static struct json_object *
unit_object(const struct health_unit *unit, int64_t now_mono_us)
{
	struct json_object *object = json_object_new_object();

	put(object, "unit", unit->unit >= 0 ? json_object_new_int(unit->unit) : NULL);
	put_text(object, "device", unit->device);
	put_text(object, "state", health_unit_state_name(unit->state));
	put_age(object, "since_s", unit->since_mono_us, now_mono_us);
	put_age(object, "answered_s", unit->answered_mono_us, now_mono_us);
	put_count(object, "requests", unit->requests);
	put_count(object, "ok", unit->answers);
	put_count(object, "timeouts", unit->timeouts);
	put_count(object, "bad_frames", unit->bad_frames);
	put_exceptions(object, unit);
	put_count(object, "stale", unit->stale);
	put_count(object, "echoes", unit->echoes);
	put_count(object, "no_values", unit->no_values);
	put_count(object, "missed", unit->missed);
	put_latency(object, unit);
	return object;
}

static void
put_line(struct json_object *object, const struct health_line *line)
{
	struct json_object *counters = json_object_new_object();

	put_count(counters, "noise_bytes", line->noise_bytes);
	put_count(counters, "stale_bytes", line->stale_bytes);
	put_count(counters, "echoes", line->echoes);
	put_count(counters, "collisions", line->collisions);
	put_count(counters, "frame_errors", line->frame_errors);
	put_count(counters, "parity_errors", line->parity_errors);
	put_count(counters, "overruns", line->overruns);
	put_count(counters, "breaks", line->breaks);
	put(object, "line", counters);
}

/* Of serial instruments only. */
static void
put_frames(struct json_object *object, const struct health_frames *frames)
{
	struct json_object *counters = json_object_new_object();

	put_count(counters, "bytes", frames->bytes);
	put_count(counters, "frames", frames->frames);
	put_count(counters, "good", frames->good);
	put_count(counters, "bad_checksum", frames->bad_checksum);
	put_count(counters, "unmatched", frames->unmatched);
	put_count(counters, "wasted_bytes", frames->wasted_bytes);
	put_count(counters, "values", frames->values);
	put_count(counters, "no_values", frames->no_values);
	put_text(counters, "last_bad", frames->last_bad);
	put(object, "frames", counters);
}

static void
put_place(struct json_object *object, const struct bus *bus)
{
	char text[320];

	if (bus->port || bus->path)
		snprintf(text, sizeof(text), "%s", bus->port ? bus->port : bus->path);
	else
		snprintf(text, sizeof(text), "%s:%d", bus->host ? bus->host : "", bus->tcp_port);
	put_text(object, "at", text);
}

static void
put_bus_report(struct json_object *object, const struct health_bus *report, int64_t now_mono_us)
{
	struct json_object *units = json_object_new_array();

	put_age(object, "age_s", report->taken_mono_us, now_mono_us);
	put_text(object, "state", health_bus_state_name(report->state));
	put_text(object, "why", report->why);
	put_age(object, "since_s", report->since_mono_us, now_mono_us);
	put_count(object, "opened", report->opened);
	put_real(object, "load", report->load, 4);
	put_real(object, "stretch", report->stretch, 4);
	put_count(object, "commands", report->commands);
	put_count(object, "samples_refused", report->samples_refused);
	put_line(object, &report->line);
	if (bus_is_line(report->bus))
		put_frames(object, &report->frames);
	for (size_t i = 0; i < report->unit_count; i++)
		append(units, unit_object(&report->units[i], now_mono_us));
	put(object, "units", units);
}

static struct json_object *
bus_object(const struct health *health, size_t index)
{
	struct json_object *object = json_object_new_object();
	int64_t waits_us = health->bus_waits_us[index];

	put_text(object, "name", health->settings->buses[index].name);
	put_place(object, &health->settings->buses[index]);
	if (waits_us > 0)
		put_real(object, "silent_s", (double)waits_us / 1e6, 3);
	else
		put(object, "silent_s", NULL);
	if (health->buses[index])
		put_bus_report(object, health->buses[index], health->now_mono_us);
	return object;
}

static struct json_object *
buses_array(const struct health *health)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < health->settings->bus_count; i++)
		append(array, bus_object(health, i));
	return array;
}

/* ---- devices and their points ---- */

static struct json_object *
value_object(const struct health_value *value)
{
	switch ((enum value_kind)value->kind) {
	case VALUE_BOOL:
		return json_object_new_boolean(value->boolean);
	case VALUE_INT:
		return json_object_new_int64(value->integer);
	case VALUE_UINT:
		return json_object_new_uint64(value->whole);
	case VALUE_REAL:
		if (value->decimals < 0) /* as few digits as tell it apart, or nearly so */
			return new_short(value->real, value->decimals == DECIMALS_DOUBLE ? 15 : 7);
		return new_fixed(value->real, value->decimals);
	case VALUE_LABEL:
		return json_object_new_string(value->label);
	case VALUE_TEXT:
		return json_object_new_string(value->text);
	case VALUE_LIST:
	case VALUE_NONE:
		break;
	}
	return NULL;
}

static struct json_object *
point_object(const struct health_point *point, int64_t now_mono_us)
{
	struct json_object *object = json_object_new_object();

	put_text(object, "key", point->point->key);
	put_text(object, "quality", quality_name(point->quality));
	put_age(object, "age_s", point->taken_mono_us, now_mono_us);
	if (point->taken_mono_us == 0) {
		put(object, "value", NULL);
	} else {
		put_integer(object, "at", point->taken_unix_ms);
		put(object, "value", value_object(&point->value));
		if (point->value.kind == VALUE_LIST)
			put_integer(object, "items", point->value.items);
		if (point->value.kind == VALUE_TEXT && point->value.cut)
			put_truth(object, "cut", true);
	}
	if (point->exception != 0)
		put_integer(object, "exception", point->exception);
	if (point->retry_mono_us != 0)
		put_real(object, "retry_s", (double)(point->retry_mono_us - now_mono_us) / 1e6, 0);
	return object;
}

static void
put_session(struct json_object *object, const struct health_device *device, const struct health *health)
{
	struct json_object *rpc = json_object_new_object();

	put_text(object, "session", health_session_state_name(device->state));
	put_text(object, "why", device->why);
	put_age(object, "since_s", device->since_mono_ms * 1000, health->now_mono_us);
	put_integer(object, "in_flight", device->in_flight);
	put_count(object, "rows", device->rows);
	if (device->oldest_unix_ms > 0)
		put_real(object, "oldest_s", (double)(health->now_unix_ms - device->oldest_unix_ms) / 1e3, 1);
	else
		put(object, "oldest_s", NULL);
	put_count(object, "messages", device->messages);
	put_count(object, "acked", device->acked);
	put_count(object, "acked_rows", device->acked_rows);
	put_count(object, "refused_values", device->refused_values);
	put_count(rpc, "requests", device->rpc_requests);
	put_count(rpc, "errors", device->rpc_errors);
	put(object, "rpc", rpc);
}

static struct json_object *
device_object(const struct health *health, const struct device *device, const struct health_point *const *points,
    enum report_detail detail)
{
	struct json_object *object = json_object_new_object();
	struct json_object *array = detail == REPORT_FULL ? json_object_new_array() : NULL;
	int64_t newest_us = 0;
	size_t good = 0;

	put_text(object, "name", device->name);
	if (health->cloud && device->index < health->cloud->device_count)
		put_session(object, &health->cloud->devices[device->index], health);
	for (size_t i = 0; i < device->point_count; i++) {
		const struct health_point *point = points[device->points[i].index];

		if (!point)
			continue;
		newest_us = point->taken_mono_us > newest_us ? point->taken_mono_us : newest_us;
		good += point->quality == QUALITY_GOOD;
		if (array)
			append(array, point_object(point, health->now_mono_us));
	}
	/* What the gateway tells of itself is told here by other names. */
	if (device == health->settings->gateway)
		put_truth(object, "gateway", true);
	else
		put_truth(object, "answers", health_answers(health, device));
	put_count(object, "points_good", good);
	put_count(object, "points_all", device == health->settings->gateway ? 0 : device->point_count);
	put_age(object, "value_s", newest_us, health->now_mono_us);
	if (array)
		put(object, "points", array);
	return object;
}

/* Points are known by bus; they are told by device. Returns one for each point, NULL if it is not known, or NULL when there is no
 * memory. */
static const struct health_point **
sort_points(const struct health *health)
{
	const struct health_point **points = calloc(health->settings->point_count + 1, sizeof(points[0]));

	for (size_t i = 0; points && i < health->settings->bus_count; i++) {
		const struct health_bus *bus = health->buses[i];

		for (size_t k = 0; bus && k < bus->point_count; k++)
			points[bus->points[k].point->index] = &bus->points[k];
	}
	return points;
}

/* ---- the rest ---- */

static struct json_object *
process_object(const struct health *health)
{
	const struct health_process *process = &health->process;
	struct json_object *object = json_object_new_object();

	put_integer(object, "uptime_s", process->uptime_s);
	put_count(object, "rss_bytes", process->rss_bytes);
	put_count(object, "descriptors", process->descriptors);
	put_count(object, "descriptors_max", process->descriptors_max);
	put_count(object, "threads", process->threads);
	put_real(object, "cpu_s", process->cpu_s, 2);
	put_text(object, "log_level", process->log_level);
	put_real(object, "values_per_s", health->values_per_s, 1);
	return object;
}

static struct json_object *
server_object(const struct health *health)
{
	const struct health_cloud *cloud = health->cloud;
	struct json_object *object = json_object_new_object();

	put_text(object, "host", health->settings->server.host);
	put_integer(object, "port", health->settings->server.port);
	if (health->cloud_waits_us > 0)
		put_real(object, "silent_s", (double)health->cloud_waits_us / 1e6, 3);
	else
		put(object, "silent_s", NULL);
	if (!cloud)
		return object;
	put_age(object, "age_s", cloud->taken_mono_us, health->now_mono_us);
	put_truth(object, "clock_set", cloud->clock_set);
	put_text(object, "mqtt", cloud->mqtt_version == 5 ? "5" : "3.1.1");
	put_count(object, "connects", cloud->connects);
	put_count(object, "refusals", cloud->refusals);
	put_count(object, "failures", cloud->failures);
	put_count(object, "losses", cloud->losses);
	put_count(object, "values", cloud->values);
	put_count(object, "samples_refused", cloud->samples_refused);
	put_count(object, "shared_written", cloud->shared_written);
	put_count(object, "commands", cloud->commands);
	return object;
}

static struct json_object *
store_object(const struct health_store *store)
{
	struct json_object *object = json_object_new_object();

	put_count(object, "rows", store->rows);
	put_count(object, "unsaved_rows", store->unsaved_rows);
	put_count(object, "memory_bytes", store->memory_bytes);
	put_count(object, "disk_bytes", store->disk_bytes);
	put_count(object, "dropped_rows", store->dropped_rows);
	put_count(object, "aged_rows", store->aged_rows);
	put_count(object, "lost_rows", store->lost_rows);
	put_count(object, "undated_rows", store->undated_rows);
	put_count(object, "damaged_rows", store->damaged_rows);
	put_count(object, "unheld_rows", store->unheld_rows);
	put_text(object, "disk", health_disk_state_name(store));
	put_text(object, "disk_error", store->disk_error != 0 ? strerror(store->disk_error) : NULL);
	put_real(object, "disk_busy_s", (double)store->disk_busy_ms / 1e3, 3);
	return object;
}

/* ---- the text ---- */

/* Gives the object back too. */
static char *
print_object(struct json_object *object, size_t *ret_length)
{
	const char *text = object ? json_object_to_json_string_length(object,
					JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, ret_length)
				  : NULL;
	char *line = text ? malloc(*ret_length + 2) : NULL;

	if (line) {
		memcpy(line, text, *ret_length);
		line[(*ret_length)++] = '\n';
		line[*ret_length] = '\0';
	}
	json_object_put(object);
	return line;
}

static struct json_object *
new_answer(const char *error)
{
	struct json_object *object = json_object_new_object();

	put_text(object, "fieldgate", PACKAGE_VERSION);
	put_integer(object, "protocol", CONTROL_PROTOCOL);
	put_truth(object, "ok", error == NULL);
	if (error)
		put_text(object, "error", error);
	return object;
}

char *
report_outcome(const char *error, const char *told, size_t *ret_length)
{
	struct json_object *object = new_answer(error);

	if (told)
		put(object, "told", json_object_new_string(told));
	return print_object(object, ret_length);
}

char *
report_reply(bool well, const char *text, size_t *ret_length)
{
	struct json_object *object = json_object_new_object();
	char *reply;

	put(object, well ? "value" : "error", json_object_new_string(text));
	reply = print_object(object, ret_length);
	if (reply)
		reply[--*ret_length] = '\0';
	return reply;
}

char *
report_status(const struct health *health, enum report_detail detail, size_t *ret_length)
{
	struct json_object *object = new_answer(NULL);
	struct json_object *devices = json_object_new_array();
	const struct health_point **points = sort_points(health);

	if (!points) {
		json_object_put(object);
		json_object_put(devices);
		return NULL;
	}
	put_integer(object, "at", health->now_unix_ms);
	put(object, "process", process_object(health));
	if (detail != REPORT_SUMMARY)
		put(object, "buses", buses_array(health));
	put(object, "server", server_object(health));
	if (health->cloud)
		put(object, "store", store_object(&health->cloud->store));
	for (size_t i = 0; detail != REPORT_SUMMARY && i < health->settings->device_count; i++)
		append(devices, device_object(health, &health->settings->devices[i], points, detail));
	put(object, "devices", devices);
	free(points);
	return print_object(object, ret_length);
}

void
report_line(const struct health *health, char *text, size_t size)
{
	const struct settings *settings = health->settings;
	size_t devices = settings->device_count - (settings->gateway != NULL), up = 0, faults = 0;
	uint64_t rows = health->cloud ? health->cloud->store.rows : 0;
	char fault_text[48] = "";

	for (size_t i = 0; health->cloud && i < health->cloud->device_count && i < devices; i++)
		up += health->cloud->devices[i].state == HEALTH_SESSION_UP;
	for (size_t i = 0; i < settings->bus_count; i++)
		faults += health->bus_waits_us[i] > 0 ||
			  (health->buses[i] && health->buses[i]->state == HEALTH_BUS_FAULT);
	if (faults > 0)
		snprintf(fault_text, sizeof(fault_text), " (%zu in trouble)", faults);
	snprintf(text, size,
	    "%zu bus%s%s, %zu of %zu device%s answering, %zu of %zu session%s connected, %.*f values/s, backlog %" PRIu64,
	    settings->bus_count, settings->bus_count == 1 ? "" : "es", fault_text, health_answering(health), devices,
	    devices == 1 ? "" : "s", up, devices, devices == 1 ? "" : "s", health->values_per_s < 10 ? 1 : 0,
	    health->values_per_s, rows);
}
