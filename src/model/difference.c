#include "model/difference.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/difference_line.h"

struct difference {
	const struct settings *from;
	const struct settings *to;
	/* By the index of the new ones: what they were. */
	const struct bus **buses;
	const struct device **devices;
	const struct point **points;
	/* And by that of the old ones: what they are. */
	const struct device **devices_now;
	const struct point **points_now;
	struct difference_count bus_count;
	struct difference_count device_count;
	bool sessions;
	bool server;
	bool store;
	bool clock;
	bool gateway; /* the gateway as a device of its own, which is none of device_count */
};

/* --- alike? --- */

/* A test holds these lists against the rows of gateway.conf, so that none is forgotten. What a pointer leads
 * to is compared by its content, other things of the settings by their names. */
#define ALIKE(member)	   (a->member == b->member)
#define ALIKE_TEXT(member) same_text(a->member, b->member)

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* What a session is made with. */
static bool
same_sessions(const struct server_settings *a, const struct server_settings *b)
{
	return ALIKE(api) && ALIKE_TEXT(host) && ALIKE(port) && ALIKE(keepalive_s) && ALIKE(tls.on) && ALIKE_TEXT(tls.ca_file) &&
	       ALIKE_TEXT(tls.cert_file) && ALIKE_TEXT(tls.key_file);
}

static bool
same_server(const struct server_settings *a, const struct server_settings *b)
{
	return same_sessions(a, b) && ALIKE(connect_timeout_ms) && ALIKE(reconnect_min_ms) && ALIKE(reconnect_max_ms) && ALIKE(rpc_timeout_ms) &&
	       ALIKE(ack_timeout_ms) && ALIKE(in_flight) && ALIKE(batch_bytes);
}

static bool
same_store(const struct store_settings *a, const struct store_settings *b)
{
	return ALIKE(memory_mb) && ALIKE_TEXT(dir) && ALIKE(max_mb) && ALIKE(max_age_h) &&
	       ALIKE(flush_after_ms) && ALIKE(drop) && ALIKE(replay);
}

static bool
same_bus(const struct bus *a, const struct bus *b)
{
	return ALIKE_TEXT(name) && ALIKE(type) && ALIKE_TEXT(port) && ALIKE(baud) && ALIKE(parity) &&
	       ALIKE(data_bits) && ALIKE(stop_bits) && ALIKE(rs485) && ALIKE(rts_before_us) &&
	       ALIKE(rts_after_us) && ALIKE(echo) && ALIKE(low_latency) && ALIKE_TEXT(host) &&
	       ALIKE(tcp_port) && ALIKE(connect_timeout_ms) && ALIKE(connect_pause_ms) && ALIKE(timeout_ms) &&
	       ALIKE(silence_us) && ALIKE(request_pause_ms) && !difference_line_bus(a, b);
}

static bool
same_labels(const struct point *a, const struct point *b)
{
	if (a->label_count != b->label_count)
		return false;
	for (size_t i = 0; i < a->label_count; i++)
		if (a->labels[i].number != b->labels[i].number ||
		    !same_text(a->labels[i].label, b->labels[i].label))
			return false;
	return true;
}

static bool
same_invalid(const struct point *a, const struct point *b)
{
	return a->invalid_count == b->invalid_count &&
	       (a->invalid_count == 0 ||
		   memcmp(a->invalid, b->invalid, a->invalid_count * sizeof(a->invalid[0])) == 0);
}

/* What is read, and as what. */
static bool
same_reading(const struct point *a, const struct point *b)
{
	return ALIKE(unit) && ALIKE(table) && ALIKE(addr) && ALIKE(count) && ALIKE(type) && ALIKE(order) &&
	       ALIKE(bit) && ALIKE(bits) && ALIKE(array) && ALIKE(chars) && ALIKE(scale) && ALIKE(offset) &&
	       ALIKE(decimals) && ALIKE(has_valid_min) && ALIKE(has_valid_max) && ALIKE(valid_min) &&
	       ALIKE(valid_max) && ALIKE(period_ms) && same_invalid(a, b) && same_labels(a, b) &&
	       !difference_line_reading(a, b);
}

static bool
same_reporting(const struct point *a, const struct point *b)
{
	return ALIKE_TEXT(key) && ALIKE(kind) && ALIKE(report) && ALIKE(deadband) &&
	       ALIKE(deadband_percent) && ALIKE(min_interval_ms) && ALIKE(max_interval_ms) &&
	       ALIKE(aggregate) && ALIKE(window_ms) && ALIKE(quality);
}

static bool
same_writing(const struct point *a, const struct point *b)
{
	return ALIKE(writable) && ALIKE(shared) && ALIKE(has_min) && ALIKE(has_max) && ALIKE(min) &&
	       ALIKE(max) && ALIKE(write) && ALIKE(verify) && !difference_line_writing(a, b);
}

/* What the gateway tells of itself is on no bus. */
static bool
same_place(const struct point *a, const struct point *b)
{
	return a->bus && b->bus ? same_bus(a->bus, b->bus) : a->bus == b->bus;
}

static bool
same_point(const struct point *a, const struct point *b)
{
	return ALIKE_TEXT(device->name) && same_place(a, b) && same_reading(a, b) &&
	       same_reporting(a, b) && same_writing(a, b);
}

static bool
same_method(const struct rpc_method *a, const struct rpc_method *b)
{
	if (!ALIKE_TEXT(method) || !ALIKE(action) || !ALIKE(listed) || !ALIKE(step_count))
		return false;
	for (size_t i = 0; i < a->step_count; i++)
		if (!ALIKE_TEXT(steps[i].point->key) || !ALIKE_TEXT(steps[i].param) ||
		    !value_equal(&a->steps[i].value, &b->steps[i].value))
			return false;
	return true;
}

static bool
same_rpc(const struct device *a, const struct device *b)
{
	if (a->rpc_count != b->rpc_count)
		return false;
	for (size_t i = 0; i < a->rpc_count; i++)
		if (!same_method(&a->rpc[i], &b->rpc[i]))
			return false;
	return true;
}

/* Both none, or of the same key. */
static bool
same_key(const struct point *a, const struct point *b)
{
	return a && b ? same_text(a->key, b->key) : a == b;
}

static bool
same_call(const struct server_call *a, const struct server_call *b)
{
	if (!ALIKE_TEXT(method) || !same_key(a->on, b->on) || !value_equal(&a->on_value, &b->on_value) ||
	    !ALIKE(period_ms) || !ALIKE(timeout_ms) || !ALIKE(param_count) || !ALIKE(result_count))
		return false;
	for (size_t i = 0; i < a->param_count; i++)
		if (!ALIKE_TEXT(params[i].name) || !same_key(a->params[i].point, b->params[i].point) ||
		    !value_equal(&a->params[i].value, &b->params[i].value))
			return false;
	for (size_t i = 0; i < a->result_count; i++)
		if (!ALIKE_TEXT(results[i].field) || !same_key(a->results[i].point, b->results[i].point) ||
		    !value_equal(&a->results[i].value, &b->results[i].value))
			return false;
	return true;
}

static bool
same_calls(const struct device *a, const struct device *b)
{
	if (a->call_count != b->call_count)
		return false;
	for (size_t i = 0; i < a->call_count; i++)
		if (!same_call(&a->calls[i], &b->calls[i]))
			return false;
	return true;
}

static bool
same_writes(const struct point_write *a, size_t a_count, const struct point_write *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (!same_text(a[i].point->key, b[i].point->key) || !value_equal(&a[i].value, &b[i].value))
			return false;
	return true;
}

static bool
same_identity(const struct device *a, const struct device *b)
{
	return ALIKE_TEXT(name) && ALIKE(credentials.kind) && ALIKE_TEXT(credentials.token) &&
	       ALIKE_TEXT(credentials.client_id) && ALIKE_TEXT(credentials.user) &&
	       ALIKE_TEXT(credentials.cert_file);
}

static bool
same_provision(const struct provision *a, const struct provision *b)
{
	return a == b || (a && b && ALIKE_TEXT(key) && ALIKE_TEXT(secret) && ALIKE(type));
}

static bool
same_claim(const struct claim *a, const struct claim *b)
{
	return a == b || (a && b && ALIKE_TEXT(secret) && ALIKE(duration_ms));
}

static bool
same_secrets(const struct device *a, const struct device *b)
{
	return ALIKE_TEXT(credentials.password) && ALIKE_TEXT(credentials.secret_file) &&
	       ALIKE_TEXT(credentials.key_file);
}

/* All but its points. What it says only as the default of its points shows in them. */
static bool
same_device(const struct device *a, const struct device *b)
{
	return same_identity(a, b) && same_secrets(a, b) && same_provision(a->provision, b->provision) &&
	       same_claim(a->claim, b->claim) && ALIKE(timeout_ms) && ALIKE(max_registers) &&
	       ALIKE(max_bits) && ALIKE(max_hole_registers) && ALIKE(write_pause_ms) && ALIKE(mask_write) &&
	       ALIKE(raw_rpc) &&
	       ALIKE(offline_retry_max_ms) && ALIKE(facts) && ALIKE(when_offline) && ALIKE(offline_after_s) &&
	       ALIKE(point_count) && ALIKE(cloud_loss_s) && same_rpc(a, b) && same_calls(a, b) &&
	       same_writes(a->on_connect, a->on_connect_count, b->on_connect, b->on_connect_count) &&
	       same_writes(
		   a->on_cloud_loss, a->on_cloud_loss_count, b->on_cloud_loss, b->on_cloud_loss_count) &&
	       !difference_line_device(a, b);
}

/* --- pairs of a name --- */

static int
compare_devices(const void *a, const void *b)
{
	const struct device *const *p = a;
	const struct device *const *q = b;

	return strcmp((*p)->name, (*q)->name);
}

static int
compare_points(const void *a, const void *b)
{
	const struct point *const *p = a;
	const struct point *const *q = b;

	return strcmp((*p)->key, (*q)->key);
}

static const struct bus *
find_bus(const struct settings *settings, const char *name)
{
	for (size_t i = 0; i < settings->bus_count; i++)
		if (strcmp(settings->buses[i].name, name) == 0)
			return &settings->buses[i];
	return NULL;
}

static void
pair_buses(struct difference *difference)
{
	struct difference_count *count = &difference->bus_count;

	for (size_t i = 0; i < difference->to->bus_count; i++) {
		const struct bus *bus = &difference->to->buses[i];
		const struct bus *was = find_bus(difference->from, bus->name);

		if (!was)
			count->added++;
		else if (!same_bus(was, bus))
			count->changed++;
		else
			difference->buses[i] = was;
		count->unchanged += difference->buses[i] != NULL;
	}
	count->removed = difference->from->bus_count - count->changed - count->unchanged;
}

/* Returns whether every point of the new device was there before. */
static bool
pair_points(struct difference *difference, const struct device *was, const struct device *device,
    const struct point **sorted)
{
	size_t paired = 0;

	for (size_t i = 0; i < was->point_count; i++)
		sorted[i] = &was->points[i];
	qsort(sorted, was->point_count, sizeof(sorted[0]), compare_points);
	for (size_t i = 0; i < device->point_count; i++) {
		const struct point *point = &device->points[i];
		const struct point *const *found =
		    bsearch(&point, sorted, was->point_count, sizeof(sorted[0]), compare_points);

		if (!found || !same_point(*found, point))
			continue;
		difference->points[point->index] = *found;
		difference->points_now[(*found)->index] = point;
		paired++;
	}
	return paired == device->point_count;
}

static void
pair_devices(struct difference *difference, const struct device **sorted, const struct point **points)
{
	struct difference_count *count = &difference->device_count;
	const struct settings *from = difference->from;
	bool gateway_stays = false;

	for (size_t i = 0; i < from->device_count; i++)
		sorted[i] = &from->devices[i];
	qsort(sorted, from->device_count, sizeof(sorted[0]), compare_devices);
	for (size_t i = 0; i < difference->to->device_count; i++) {
		const struct device *device = &difference->to->devices[i];
		const struct device *const *found =
		    bsearch(&device, sorted, from->device_count, sizeof(sorted[0]), compare_devices);
		/* The gateway itself is no device that somebody has written down. */
		bool is_one = device != difference->to->gateway, was_one = found && *found != from->gateway;

		count->added += is_one && !was_one;
		if (!found)
			continue;
		if (same_identity(*found, device)) {
			difference->devices[i] = *found;
			difference->devices_now[(*found)->index] = device;
		}
		if (pair_points(difference, *found, device, points) && same_device(*found, device)) {
			count->unchanged += is_one && was_one;
			gateway_stays = gateway_stays || (!is_one && !was_one);
		} else {
			count->changed += is_one && was_one;
		}
	}
	difference->gateway = (difference->to->gateway || from->gateway) && !gateway_stays;
	count->removed = from->device_count - (from->gateway != NULL) - count->changed - count->unchanged;
}

struct difference *
difference_new(const struct settings *from, const struct settings *to)
{
	struct difference *difference = calloc(1, sizeof(*difference));
	const struct device **devices = calloc(from->device_count + 1, sizeof(struct device *));
	const struct point **points = calloc(from->point_count + 1, sizeof(struct point *));
	bool made = difference && devices && points;

	if (made) {
		difference->from = from;
		difference->to = to;
		difference->buses = calloc(to->bus_count + 1, sizeof(struct bus *));
		difference->devices = calloc(to->device_count + 1, sizeof(struct device *));
		difference->points = calloc(to->point_count + 1, sizeof(struct point *));
		difference->devices_now = calloc(from->device_count + 1, sizeof(struct device *));
		difference->points_now = calloc(from->point_count + 1, sizeof(struct point *));
		made = difference->buses && difference->devices && difference->points &&
		       difference->devices_now && difference->points_now;
	}
	if (made) {
		pair_buses(difference);
		pair_devices(difference, devices, points);
		difference->sessions = !same_sessions(&from->server, &to->server);
		difference->server = !same_server(&from->server, &to->server);
		difference->store = !same_store(&from->store, &to->store);
		difference->clock = from->clock.wait_s != to->clock.wait_s;
	}
	free(devices);
	free(points);
	if (made)
		return difference;
	difference_free(difference);
	errno = ENOMEM;
	return NULL;
}

void
difference_free(struct difference *difference)
{
	if (!difference)
		return;
	free(difference->buses);
	free(difference->devices);
	free(difference->points);
	free(difference->devices_now);
	free(difference->points_now);
	free(difference);
}

/* --- looking up --- */

const struct settings *
difference_from(const struct difference *difference)
{
	return difference->from;
}

const struct settings *
difference_to(const struct difference *difference)
{
	return difference->to;
}

const struct bus *
difference_bus(const struct difference *difference, const struct bus *bus)
{
	return difference->buses[bus->index];
}

const struct device *
difference_device(const struct difference *difference, const struct device *device)
{
	return difference->devices[device->index];
}

const struct point *
difference_point(const struct difference *difference, const struct point *point)
{
	return difference->points[point->index];
}

const struct device *
difference_device_now(const struct difference *difference, const struct device *device)
{
	return difference->devices_now[device->index];
}

const struct point *
difference_point_now(const struct difference *difference, const struct point *point)
{
	return difference->points_now[point->index];
}

static int
carry_label(const struct point *point, struct value *value)
{
	char *text;

	for (size_t i = 0; i < point->label_count; i++)
		if (strcmp(point->labels[i].label, value->label) == 0) {
			value->label = point->labels[i].label;
			return 0;
		}
	/* A text that stands in the settings, to be written into a point that holds one. */
	text = strdup(value->label);
	if (!text)
		return -ENOMEM;
	*value = (struct value){ .kind = VALUE_TEXT, .text = text };
	return 0;
}

int
difference_carry(const struct point *point, struct value *value)
{
	int error = 0;

	if (value->kind == VALUE_LABEL)
		return carry_label(point, value);
	for (size_t i = 0; value->kind == VALUE_LIST && error == 0 && i < value->list->count; i++)
		error = difference_carry(point, &value->list->items[i]);
	return error;
}

/* --- telling --- */

struct difference_count
difference_buses(const struct difference *difference)
{
	return difference->bus_count;
}

struct difference_count
difference_devices(const struct difference *difference)
{
	return difference->device_count;
}

bool
difference_sessions(const struct difference *difference)
{
	return difference->sessions;
}

bool
difference_server(const struct difference *difference)
{
	return difference->server;
}

bool
difference_store(const struct difference *difference)
{
	return difference->store;
}

bool
difference_clock(const struct difference *difference)
{
	return difference->clock;
}

static bool
is_none(const struct difference_count *count)
{
	return count->added + count->changed + count->removed == 0;
}

bool
difference_is_none(const struct difference *difference)
{
	return is_none(&difference->bus_count) && is_none(&difference->device_count) && !difference->server &&
	       !difference->store && !difference->clock && !difference->gateway;
}

static int
print_count(char *text, size_t size, const char *what, const struct difference_count *count)
{
	return snprintf(text, size, "%s: %zu added, %zu changed, %zu unchanged, %zu removed", what,
	    count->added, count->changed, count->unchanged, count->removed);
}

const char *
difference_text(const struct difference *difference, char *text, size_t size)
{
	char devices[DIFFERENCE_TEXT_MAX / 2 - 20];
	char buses[DIFFERENCE_TEXT_MAX / 2 - 20];

	print_count(devices, sizeof(devices), "devices", &difference->device_count);
	print_count(buses, sizeof(buses), "; buses", &difference->bus_count);
	snprintf(text, size, "%s%s%s%s%s%s", devices, is_none(&difference->bus_count) ? "" : buses,
	    difference->server ? "; server changed" : "", difference->store ? "; store changed" : "",
	    difference->clock ? "; clock changed" : "", difference->gateway ? "; gateway changed" : "");
	return text;
}
