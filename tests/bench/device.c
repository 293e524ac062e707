#include "bench/device.h"

#include <stdlib.h>
#include <string.h>

#include "bench/alloc.h"
#include "bench/bench.h"

static void
series_done(struct series *series)
{
	for (size_t i = 0; i < series->count; i++)
		json_object_put(series->rows[i].json);
	free(series->rows);
	series->rows = NULL;
	series->count = series->room = 0;
}

static void
series_free(struct lh_entry *entry)
{
	struct series *series = lh_entry_v(entry);

	series_done(series);
	json_object_put(series->latest.json);
	free(series->key);
	free(series);
}

static void
device_free(struct device *device)
{
	while (device->rpcs)
		rpc_free(device->rpcs); /* NOLINT: which takes it out of the list */
	lh_table_free(device->series);
	json_object_put(device->client);
	json_object_put(device->shared);
	free(device->token);
	free(device->name);
	free(device->client_id);
	free(device->username);
	free(device->password);
	free(device->basic_id);
	free(device);
}

void
registry_init(struct registry *registry)
{
	registry->devices = lh_kchar_table_new(1024, NULL);
	registry->basic = lh_kchar_table_new(16, NULL);
}

void
registry_done(struct registry *registry)
{
	struct lh_entry *entry, *next;

	lh_foreach_safe(registry->devices, entry, next) device_free(lh_entry_v(entry));
	lh_table_free(registry->devices);
	lh_table_free(registry->basic);
}

static void *
table_find(const struct lh_table *table, const char *key)
{
	void *found = NULL;

	/* json-c does not say const, but a look-up changes nothing. */
	union {
		const struct lh_table *in;
		struct lh_table *out;
	} plain = { .in = table };

	return lh_table_lookup_ex(plain.out, key, &found) ? found : NULL;
}

struct device *
registry_find(const struct registry *registry, const char *token)
{
	return table_find(registry->devices, token);
}

struct device *
registry_find_name(const struct registry *registry, const char *name)
{
	struct lh_entry *entry;

	lh_foreach(registry->devices, entry)
	{
		struct device *device = lh_entry_v(entry);

		if (!device->parent && strcmp(device->name, name) == 0)
			return device;
	}
	return NULL;
}

static char *
basic_id_new(const char *client_id, const char *username)
{
	/* A line break separates, so that no two pairs look the same. */
	return alloc_format("%s\n%s", client_id ? client_id : "", username ? username : "");
}

struct device *
registry_find_basic(const struct registry *registry, const char *client_id, const char *username)
{
	char *id = basic_id_new(client_id, username);
	struct device *device = table_find(registry->basic, id);

	free(id);
	return device;
}

struct device *
registry_add(struct registry *registry, struct bench *bench, const char *token, const char *name)
{
	struct device *device = registry_find(registry, token);

	if (!device) {
		device = alloc_zeroed(1, sizeof(*device));
		device->bench = bench;
		device->token = alloc_string(token);
		device->name = alloc_string(name ? name : token);
		device->client = json_object_new_object();
		device->shared = json_object_new_object();
		device->series = lh_kchar_table_new(16, series_free);
		device->send_ack = -1;
		lh_table_insert(registry->devices, device->token, device);
	} else if (name) {
		free(device->name);
		device->name = alloc_string(name);
	}
	return device;
}

void
registry_set_basic(struct registry *registry, struct device *device, const char *client_id,
    const char *username, const char *password)
{
	if (device->basic_id)
		lh_table_delete(registry->basic, device->basic_id);
	free(device->client_id);
	free(device->username);
	free(device->password);
	free(device->basic_id);
	device->basic = true;
	device->client_id = alloc_string(client_id);
	device->username = alloc_string(username);
	device->password = alloc_string(password);
	device->basic_id = basic_id_new(client_id, username);
	lh_table_delete(registry->basic, device->basic_id);
	lh_table_insert(registry->basic, device->basic_id, device);
}

void
registry_remove(struct registry *registry, struct device *device)
{
	if (device->basic_id && table_find(registry->basic, device->basic_id) == device)
		lh_table_delete(registry->basic, device->basic_id);
	lh_table_delete(registry->devices, device->token);
	device_free(device);
}

static void
row_set(struct row *row, const struct value *value, int64_t ts_unix_ms)
{
	json_object_put(row->json);
	*row = (struct row){
		.ts_unix_ms = ts_unix_ms, .type = value->type, .json = json_object_get(value->json)
	};
}

/* Index of the first row that is not older. */
static size_t
series_place(const struct series *series, int64_t ts_unix_ms)
{
	size_t low = 0, high = series->count;

	if (high > 0 && series->rows[high - 1].ts_unix_ms < ts_unix_ms)
		return high;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (series->rows[middle].ts_unix_ms < ts_unix_ms)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Let the oldest go, many at once, for it moves all the others. */
static void
series_trim(struct series *series)
{
	size_t gone = SERIES_KEPT / 4;

	if (series->count < SERIES_KEPT + gone)
		return;
	for (size_t i = 0; i < gone; i++)
		json_object_put(series->rows[i].json);
	series->count -= gone;
	memmove(series->rows, series->rows + gone, series->count * sizeof(struct row));
}

static void
series_put(struct series *series, const struct value *value, int64_t ts_unix_ms)
{
	size_t place;

	series_trim(series);
	place = series_place(series, ts_unix_ms);
	if (place == series->count || series->rows[place].ts_unix_ms != ts_unix_ms) {
		if (series->count == series->room) {
			series->room = series->room ? 2 * series->room : 16;
			series->rows = alloc_resize(series->rows, series->room, sizeof(struct row));
		}
		memmove(series->rows + place + 1, series->rows + place,
		    (series->count - place) * sizeof(struct row));
		series->rows[place].json = NULL;
		series->count++;
	}
	row_set(&series->rows[place], value, ts_unix_ms);
}

void
device_store(struct device *device, const struct value *value, int64_t ts_unix_ms, bool keep_series)
{
	struct series *series = table_find(device->series, value->key);

	if (!series) {
		series = alloc_zeroed(1, sizeof(*series));
		series->key = alloc_string(value->key);
		lh_table_insert(device->series, series->key, series);
	}
	if (!series->latest.json || ts_unix_ms >= series->latest.ts_unix_ms)
		row_set(&series->latest, value, ts_unix_ms);
	if (keep_series)
		series_put(series, value, ts_unix_ms);
}

const struct series *
device_series(const struct device *device, const char *key)
{
	return table_find(device->series, key);
}

void
device_forget_series(struct device *device)
{
	struct lh_entry *entry;

	lh_foreach(device->series, entry) series_done(lh_entry_v(entry));
}

static bool
limits_take(struct bench *bench, struct limits *own, size_t points)
{
	struct limits *all = &bench->knobs.limits;
	int64_t now = clock_mono_ms();

	if (points == 0)
		return limiter_take(&all->messages, 1, now) && limiter_take(&own->messages, 1, now);
	return limiter_take(&all->telemetry_messages, 1, now) &&
	       limiter_take(&all->data_points, (double)points, now) &&
	       limiter_take(&own->telemetry_messages, 1, now) &&
	       limiter_take(&own->data_points, (double)points, now);
}

bool
device_take_message(struct device *device)
{
	return limits_take(device->bench, &device->limits, 0);
}

bool
device_take_points(struct device *device, size_t points)
{
	return limits_take(device->bench, &device->limits, points);
}

bool
device_take_child_message(struct device *gateway)
{
	return limits_take(gateway->bench, &gateway->child_limits, 0);
}

bool
device_take_child_points(struct device *gateway, size_t points)
{
	return limits_take(gateway->bench, &gateway->child_limits, points);
}

void
rpc_free(struct rpc *rpc)
{
	struct rpc **link = &rpc->device->rpcs;

	while (*link != rpc)
		link = &(*link)->next;
	*link = rpc->next;
	timer_stop(&rpc->device->bench->timers, &rpc->expiry);
	free(rpc->data);
	free(rpc);
}
