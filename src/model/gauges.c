#include "model/gauges.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MS_PER_S 1000
#define UNITS	 256

enum scope { OF_GATEWAY, OF_BUS, OF_UNIT, OF_LINE, SCOPES };

/* What one is read from: those that its scope has. */
struct view {
	const struct health *health;
	const struct health_bus *bus;
	const struct health_unit *unit;
	bool silent; /* the bus does not answer: what is known of it is old */
};

struct kind {
	const char *name;
	enum scope scope;
	bool state; /* reported when it changes */
	bool attribute;
	void (*read)(const struct view *view, struct value *ret); /* leaves VALUE_NONE where there is no value */
};

struct gauge {
	const struct kind *kind;
	const struct bus *bus;
	const struct device *device; /* a serial instrument; else the Modbus unit */
	int unit;
};

/* ---- values ---- */

static void
set_count(struct value *value, uint64_t count)
{
	value->kind = VALUE_INT;
	value->integer = count < INT64_MAX ? (int64_t)count : INT64_MAX;
}

static void
set_real(struct value *value, double real, int8_t decimals)
{
	value->kind = VALUE_REAL;
	value->real = real;
	value->decimals = decimals;
}

static void
set_label(struct value *value, const char *label)
{
	value->kind = VALUE_LABEL;
	value->label = label;
}

static void
read_version(const struct view *view, struct value *ret)
{
	set_label(ret, view->health->process.version);
}

static void
read_uptime(const struct view *view, struct value *ret)
{
	set_count(ret, (uint64_t)view->health->process.uptime_s);
}

static void
read_rss(const struct view *view, struct value *ret)
{
	set_real(ret, (double)view->health->process.rss_bytes / 1e6, 1);
}

static void
read_cpu(const struct view *view, struct value *ret)
{
	set_real(ret, view->health->process.cpu_s, 1);
}

static void
read_values(const struct view *view, struct value *ret)
{
	set_real(ret, view->health->values_per_s, 1);
}

/* All but the gateway itself. */
static size_t
count_devices(const struct health *health)
{
	return health->settings->device_count - (health->settings->gateway != NULL);
}

static void
read_devices(const struct view *view, struct value *ret)
{
	set_count(ret, count_devices(view->health));
}

static void
read_devices_up(const struct view *view, struct value *ret)
{
	const struct health_cloud *cloud = view->health->cloud;
	uint64_t up = 0;

	if (!cloud)
		return;
	for (size_t i = 0; i < cloud->device_count && i < count_devices(view->health); i++)
		up += cloud->devices[i].state == HEALTH_SESSION_UP;
	set_count(ret, up);
}

static void
read_devices_answering(const struct view *view, struct value *ret)
{
	set_count(ret, health_answering(view->health));
}

static void
read_faults(const struct view *view, struct value *ret)
{
	const struct health *health = view->health;
	uint64_t faults = 0;

	for (size_t i = 0; i < health->settings->bus_count; i++)
		faults += health->bus_waits_us[i] > 0 ||
			  (health->buses[i] && health->buses[i]->state == HEALTH_BUS_FAULT);
	set_count(ret, faults);
}

static void
read_backlog(const struct view *view, struct value *ret)
{
	if (view->health->cloud)
		set_count(ret, view->health->cloud->store.rows);
}

static void
read_backlog_age(const struct view *view, struct value *ret)
{
	const struct health *health = view->health;
	int64_t oldest_ms = health->now_unix_ms;

	if (!health->cloud)
		return;
	for (size_t i = 0; i < health->cloud->device_count; i++) {
		int64_t ms = health->cloud->devices[i].oldest_unix_ms;

		if (ms > 0 && ms < oldest_ms)
			oldest_ms = ms;
	}
	set_count(ret, (uint64_t)(health->now_unix_ms - oldest_ms) / MS_PER_S);
}

static void
read_never_sent(const struct view *view, struct value *ret)
{
	const struct health_store *store;

	if (!view->health->cloud)
		return;
	store = &view->health->cloud->store;
	set_count(ret,
	    store->dropped_rows + store->aged_rows + store->lost_rows + store->undated_rows + store->unheld_rows);
}

static void
read_disk(const struct view *view, struct value *ret)
{
	const struct health_cloud *cloud = view->health->cloud;

	if (cloud)
		set_label(ret, health_disk_state_name(&cloud->store));
}

static void
read_bus_state(const struct view *view, struct value *ret)
{
	if (view->silent)
		set_label(ret, "silent");
	else if (view->bus)
		set_label(ret, view->bus->state == HEALTH_BUS_FAULT ? "fault" : "well");
}

static void
read_bus_load(const struct view *view, struct value *ret)
{
	if (view->bus)
		set_real(ret, view->bus->load * 100, 1);
}

static void
read_bus_missed(const struct view *view, struct value *ret)
{
	uint64_t missed = 0;

	if (!view->bus)
		return;
	for (size_t i = 0; i < view->bus->unit_count; i++)
		missed += view->bus->units[i].missed;
	set_count(ret, missed);
}

static void
read_bus_noise(const struct view *view, struct value *ret)
{
	if (view->bus)
		set_count(ret, view->bus->line.noise_bytes + view->bus->frames.wasted_bytes);
}

static void
read_line_frames(const struct view *view, struct value *ret)
{
	if (view->bus)
		set_count(ret, view->bus->frames.good);
}

static void
read_line_bad(const struct view *view, struct value *ret)
{
	if (view->bus)
		set_count(ret, view->bus->frames.bad_checksum + view->bus->frames.unmatched);
}

static void
read_unit_state(const struct view *view, struct value *ret)
{
	if (view->unit)
		set_label(ret, health_unit_state_name(view->unit->state));
}

static void
read_unit_requests(const struct view *view, struct value *ret)
{
	if (view->unit)
		set_count(ret, view->unit->requests);
}

static void
read_unit_timeouts(const struct view *view, struct value *ret)
{
	if (view->unit)
		set_count(ret, view->unit->timeouts);
}

static void
read_unit_bad_frames(const struct view *view, struct value *ret)
{
	if (view->unit)
		set_count(ret, view->unit->bad_frames);
}

static void
read_unit_exceptions(const struct view *view, struct value *ret)
{
	if (view->unit)
		set_count(ret, view->unit->exceptions);
}

static void
read_unit_latency(const struct view *view, struct value *ret)
{
	if (view->unit && view->unit->latency_count > 0)
		set_real(ret, (double)view->unit->latency_p95_us / 1e3, 1);
}

static const struct kind kinds[] = {
	{ .name = "version", .scope = OF_GATEWAY, .state = true, .attribute = true, .read = read_version },
	{ .name = "uptime_s", .scope = OF_GATEWAY, .read = read_uptime },
	{ .name = "rss_mb", .scope = OF_GATEWAY, .read = read_rss },
	{ .name = "cpu_s", .scope = OF_GATEWAY, .read = read_cpu },
	{ .name = "values_per_s", .scope = OF_GATEWAY, .read = read_values },
	{ .name = "devices", .scope = OF_GATEWAY, .read = read_devices },
	{ .name = "devices_answering", .scope = OF_GATEWAY, .state = true, .read = read_devices_answering },
	{ .name = "devices_up", .scope = OF_GATEWAY, .state = true, .read = read_devices_up },
	{ .name = "buses_in_trouble", .scope = OF_GATEWAY, .state = true, .read = read_faults },
	{ .name = "backlog_rows", .scope = OF_GATEWAY, .read = read_backlog },
	{ .name = "backlog_age_s", .scope = OF_GATEWAY, .read = read_backlog_age },
	{ .name = "rows_never_sent", .scope = OF_GATEWAY, .read = read_never_sent },
	{ .name = "disk", .scope = OF_GATEWAY, .state = true, .read = read_disk },
	{ .name = "state", .scope = OF_BUS, .state = true, .read = read_bus_state },
	{ .name = "load_percent", .scope = OF_BUS, .read = read_bus_load },
	{ .name = "missed_polls", .scope = OF_BUS, .read = read_bus_missed },
	{ .name = "noise_bytes", .scope = OF_BUS, .read = read_bus_noise },
	{ .name = "frames", .scope = OF_LINE, .read = read_line_frames },
	{ .name = "bad_frames", .scope = OF_LINE, .read = read_line_bad },
	{ .name = "state", .scope = OF_UNIT, .state = true, .read = read_unit_state },
	{ .name = "requests", .scope = OF_UNIT, .read = read_unit_requests },
	{ .name = "timeouts", .scope = OF_UNIT, .read = read_unit_timeouts },
	{ .name = "bad_frames", .scope = OF_UNIT, .read = read_unit_bad_frames },
	{ .name = "exceptions", .scope = OF_UNIT, .read = read_unit_exceptions },
	{ .name = "latency_ms", .scope = OF_UNIT, .read = read_unit_latency },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- points ---- */

/* Called for each place where one of the kinds belongs; `add` NULL: only count. */
struct maker {
	struct settings *settings;
	struct device *gateway;
	size_t count;
	bool counting;
	int error;
};

static char *
make_key(struct settings *settings, const struct gauge *gauge)
{
	const char *bus = gauge->bus ? gauge->bus->name : "";
	const char *device = gauge->device ? gauge->device->name : "";
	size_t size = strlen(bus) + strlen(device) + strlen(gauge->kind->name) + 32;
	char *key = settings_alloc(settings, size);

	if (!key)
		return NULL;
	if (gauge->kind->scope == OF_GATEWAY)
		snprintf(key, size, "%s", gauge->kind->name);
	else if (gauge->device)
		snprintf(key, size, "unit_%s_%s_%s", bus, device, gauge->kind->name);
	else if (gauge->kind->scope == OF_UNIT)
		snprintf(key, size, "unit_%s_%d_%s", bus, gauge->unit, gauge->kind->name);
	else
		snprintf(key, size, "bus_%s_%s", bus, gauge->kind->name);
	return key;
}

/* A figure goes up with the look that is nearest to the end of its period. */
static void
add_point(struct maker *maker, const struct gauge *gauge)
{
	int period_ms = maker->settings->gateway_period_s * MS_PER_S;
	int due_ms = period_ms - GAUGES_LOOK_S * MS_PER_S / 2;
	struct point *point;

	if (maker->counting || maker->error) {
		maker->count++;
		return;
	}
	point = &maker->gateway->points[maker->count];
	maker->settings->gauges[maker->count++] = *gauge;
	*point = (struct point){
		.device = maker->gateway,
		.index = maker->settings->point_count++,
		.source = maker->gateway->source,
		.key = make_key(maker->settings, gauge),
		.type = TYPE_FLOAT64,
		.bit = POINT_NO_BIT,
		.scale = 1,
		.kind = gauge->kind->attribute ? KIND_ATTRIBUTE : KIND_TELEMETRY,
		.report = REPORT_CHANGE,
		.min_interval_ms = gauge->kind->state ? 0 : due_ms,
		.max_interval_ms = gauge->kind->attribute ? 0 : due_ms,
		.period_ms = period_ms,
	};
	if (!point->key)
		maker->error = -ENOMEM;
}

/* `at` without its kind. */
static void
add_kinds(struct maker *maker, enum scope scope, struct gauge at)
{
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].scope == scope) {
			at.kind = &kinds[i];
			add_point(maker, &at);
		}
}

static bool
has_points_on(const struct device *device, const struct bus *bus)
{
	for (size_t i = 0; i < device->point_count; i++)
		if (device->points[i].bus == bus)
			return true;
	return false;
}

static void
add_instruments(struct maker *maker, const struct bus *bus)
{
	for (size_t i = 0; i < maker->settings->device_count; i++) {
		const struct device *device = &maker->settings->devices[i];

		if (device != maker->gateway && has_points_on(device, bus))
			add_kinds(maker, OF_UNIT, (struct gauge){ .bus = bus, .device = device });
	}
}

static void
add_units(struct maker *maker, const struct bus *bus)
{
	const struct settings *settings = maker->settings;
	bool known[UNITS] = { false };

	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];

		for (size_t k = 0; device != maker->gateway && k < device->point_count; k++)
			if (device->points[k].bus == bus && device->points[k].unit >= 0 && device->points[k].unit < UNITS)
				known[device->points[k].unit] = true;
	}
	for (int unit = 0; unit < UNITS; unit++)
		if (known[unit])
			add_kinds(maker, OF_UNIT, (struct gauge){ .bus = bus, .unit = unit });
}

static void
add_all(struct maker *maker)
{
	add_kinds(maker, OF_GATEWAY, (struct gauge){ .bus = NULL });
	for (size_t i = 0; i < maker->settings->bus_count; i++) {
		const struct bus *bus = &maker->settings->buses[i];

		add_kinds(maker, OF_BUS, (struct gauge){ .bus = bus });
		if (bus_is_line(bus)) {
			add_kinds(maker, OF_LINE, (struct gauge){ .bus = bus });
			add_instruments(maker, bus);
		} else {
			add_units(maker, bus);
		}
	}
}

int
gauges_build(struct settings *settings, struct device *gateway)
{
	struct maker maker = { .settings = settings, .gateway = gateway, .counting = true };
	size_t count;

	gateway->points = NULL;
	gateway->point_count = 0;
	add_all(&maker);
	count = maker.count;
	gateway->points = settings_alloc(settings, count * sizeof(gateway->points[0]));
	settings->gauges = settings_alloc(settings, count * sizeof(settings->gauges[0]));
	if (!gateway->points || !settings->gauges)
		return -ENOMEM;
	gateway->point_count = count;
	maker.counting = false;
	maker.count = 0;
	add_all(&maker);
	return maker.error;
}

/* ---- samples ---- */

static bool
is_of(const struct health_unit *unit, const struct gauge *gauge)
{
	if (!gauge->device)
		return unit->unit == gauge->unit;
	return unit->device && strcmp(unit->device, gauge->device->name) == 0;
}

static const struct health_unit *
find_unit(const struct health_bus *bus, const struct gauge *gauge)
{
	for (size_t i = 0; bus && i < bus->unit_count; i++)
		if (is_of(&bus->units[i], gauge))
			return &bus->units[i];
	return NULL;
}

static struct view
view_of(const struct health *health, const struct gauge *gauge)
{
	struct view view = { .health = health };

	if (!gauge->bus)
		return view;
	view.bus = health->buses[gauge->bus->index];
	view.silent = health->bus_waits_us[gauge->bus->index] > 0;
	if (gauge->kind->scope == OF_UNIT)
		view.unit = find_unit(view.bus, gauge);
	return view;
}

size_t
gauges_read(const struct settings *settings, const struct health *health, struct sample *ret)
{
	const struct device *gateway = settings->gateway;
	size_t count = 0;

	for (size_t i = 0; gateway && i < gateway->point_count; i++) {
		struct view view = view_of(health, &settings->gauges[i]);
		struct sample *sample = &ret[count];

		*sample = (struct sample){
			.point = &gateway->points[i],
			.taken_mono_ms = health->now_mono_us / MS_PER_S,
			.taken_unix_ms = health->now_unix_ms,
			.quality = QUALITY_GOOD,
		};
		settings->gauges[i].kind->read(&view, &sample->value);
		count += sample->value.kind != VALUE_NONE;
	}
	return count;
}
