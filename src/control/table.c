#include "control/table.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "control/grid.h"
#include "control/look.h"

#define DURATION_MAX 32
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BAD_POINTS_MAX 20 /* told where not all are wanted */

/* "0.2 s", "12 s", "3 min 20 s", "5 h 7 min", "3 d 4 h"; "-" for never */
static const char *
duration(double s, char *text)
{
	long long whole = (long long)s;

	if (s < 0)
		snprintf(text, DURATION_MAX, "-");
	else if (s < 10)
		snprintf(text, DURATION_MAX, "%.1f s", s);
	else if (s < 60)
		snprintf(text, DURATION_MAX, "%lld s", whole);
	else if (s < 3600)
		snprintf(text, DURATION_MAX, "%lld min %lld s", whole / 60, whole % 60);
	else if (s < 86400)
		snprintf(text, DURATION_MAX, "%lld h %lld min", whole / 3600, whole / 60 % 60);
	else
		snprintf(text, DURATION_MAX, "%lld d %lld h", whole / 86400, whole / 3600 % 24);
	return text;
}

static const char *
duration_of(const struct json_object *object, const char *path, char *text)
{
	return duration(look_number(object, path, -1), text);
}

static void
cell_count(struct grid *grid, const struct json_object *object, const char *path)
{
	grid_cell(grid, "%" PRIu64, look_count(object, path));
}

static void
cell_state(struct grid *grid, const struct json_object *object, const char *path)
{
	char text[DURATION_MAX];

	grid_cell(grid, "%s %s", look_text(object, path), duration_of(object, "since_s", text));
}

/* ---- the head ---- */

void
table_print_head(const struct json_object *status, FILE *out)
{
	size_t devices = 0, answering = 0, up = 0;
	char uptime[DURATION_MAX];

	for (size_t i = 0; i < look_length(status, "devices"); i++) {
		const struct json_object *device = look_element(status, "devices", i);
		bool counts = !look_truth(device, "gateway");

		devices += counts;
		answering += counts && look_truth(device, "answers");
		up += counts && strcmp(look_text(device, "session"), "up") == 0;
	}
	fprintf(out, "fieldgate %s, up %s: %.1f values/s, %zu of %zu device%s answering, %zu of %zu session%s connected, backlog %"
		     PRIu64 " rows; %.1f MB\n",
	    look_text(status, "fieldgate"), duration_of(status, "process.uptime_s", uptime),
	    look_number(status, "process.values_per_s", 0), answering, devices, devices == 1 ? "" : "s", up,
	    devices, devices == 1 ? "" : "s",
	    look_count(status, "store.rows"), look_number(status, "process.rss_bytes", 0) / 1e6);
	if (look_number(status, "server.silent_s", 0) > 0)
		fprintf(out, "! the cloud's thread has not answered for %s\n",
		    duration_of(status, "server.silent_s", uptime));
	if (look_at(status, "server.clock_set") && !look_truth(status, "server.clock_set"))
		fprintf(out, "! the clock is not set: samples wait until it is\n");
}

/* ---- buses and units ---- */

static uint64_t
sum_units(const struct json_object *bus, const char *path)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < look_length(bus, "units"); i++)
		sum += look_count(look_element(bus, "units", i), path);
	return sum;
}

static uint64_t
uart_errors(const struct json_object *bus)
{
	return look_count(bus, "line.frame_errors") + look_count(bus, "line.parity_errors") +
	       look_count(bus, "line.overruns") + look_count(bus, "line.breaks");
}

static void
add_bus(struct grid *grid, const struct json_object *bus)
{
	char text[DURATION_MAX];

	grid_cell(grid, "%s", look_text(bus, "name"));
	grid_cell(grid, "%s", look_text(bus, "at"));
	cell_state(grid, bus, "state");
	grid_cell(grid, "%.0f", look_number(bus, "load", 0) * 100);
	grid_cell(grid, "%.2f", look_number(bus, "stretch", 1));
	grid_cell(grid, "%" PRIu64, sum_units(bus, "requests"));
	grid_cell(grid, "%" PRIu64, sum_units(bus, "missed"));
	cell_count(grid, bus, "line.noise_bytes");
	cell_count(grid, bus, "line.stale_bytes");
	cell_count(grid, bus, "line.echoes");
	grid_cell(grid, "%" PRIu64, uart_errors(bus));
	if (look_text(bus, "why")[0])
		grid_note(grid, "%s", look_text(bus, "why"));
	if (look_number(bus, "silent_s", 0) > 0)
		grid_note(grid, "its thread has not answered for %s: this is how it was before",
		    duration_of(bus, "silent_s", text));
}

void
table_print_buses(const struct json_object *status, FILE *out)
{
	static const char *const headings[] = { "BUS", "AT", "STATE", ">LOAD %", ">STRETCH", ">REQUESTS", ">MISSED",
		">NOISE B", ">STALE B", ">ECHOES", ">UART" };
	struct grid *grid = grid_new(headings, COUNT(headings));

	if (!grid)
		return;
	for (size_t i = 0; i < look_length(status, "buses"); i++)
		add_bus(grid, look_element(status, "buses", i));
	fputc('\n', out);
	grid_print(grid, out);
	grid_free(grid);
}

static void
add_frames(struct grid *grid, const struct json_object *bus)
{
	grid_cell(grid, "%s", look_text(bus, "name"));
	cell_count(grid, bus, "frames.bytes");
	cell_count(grid, bus, "frames.frames");
	cell_count(grid, bus, "frames.good");
	cell_count(grid, bus, "frames.bad_checksum");
	cell_count(grid, bus, "frames.unmatched");
	cell_count(grid, bus, "frames.wasted_bytes");
	cell_count(grid, bus, "frames.values");
	cell_count(grid, bus, "frames.no_values");
	if (look_text(bus, "frames.last_bad")[0])
		grid_note(grid, "the last that was no good frame: %s", look_text(bus, "frames.last_bad"));
}

/* What came from serial instruments, if there are any. */
static void
print_frames(const struct json_object *status, FILE *out)
{
	static const char *const headings[] = { "INSTRUMENTS", ">BYTES", ">FRAMES", ">GOOD", ">BAD SUM", ">NOT USED",
		">NO FRAME B", ">VALUES", ">NO VALUE" };
	struct grid *grid = grid_new(headings, COUNT(headings));
	size_t count = 0;

	if (!grid)
		return;
	for (size_t i = 0; i < look_length(status, "buses"); i++) {
		const struct json_object *bus = look_element(status, "buses", i);

		if (!look_at(bus, "frames"))
			continue;
		add_frames(grid, bus);
		count++;
	}
	if (count > 0) {
		fputc('\n', out);
		grid_print(grid, out);
	}
	grid_free(grid);
}

/* "2:14 3:1" */
static void
cell_exceptions(struct grid *grid, const struct json_object *unit)
{
	const struct json_object *codes = look_at(unit, "exceptions");
	char text[GRID_CELL_MAX] = "-";
	size_t used = 0;

	if (json_object_is_type(codes, json_type_object)) {
		struct json_object_iterator at = json_object_iter_begin((struct json_object *)(uintptr_t)codes);
		struct json_object_iterator end = json_object_iter_end(codes);

		for (; !json_object_iter_equal(&at, &end) && used < sizeof(text) - 40; json_object_iter_next(&at))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.8s:%" PRIu64, used > 0 ? " " : "",
			    json_object_iter_peek_name(&at), json_object_get_uint64(json_object_iter_peek_value(&at)));
	}
	grid_cell(grid, "%s", text);
}

static void
add_unit(struct grid *grid, const struct json_object *bus, const struct json_object *unit)
{
	char text[DURATION_MAX];

	if (look_at(unit, "unit"))
		grid_cell(grid, "%s %" PRIu64, look_text(bus, "name"), look_count(unit, "unit"));
	else
		grid_cell(grid, "%s %s", look_text(bus, "name"), look_text(unit, "device"));
	cell_state(grid, unit, "state");
	grid_cell(grid, "%s", duration_of(unit, "answered_s", text));
	cell_count(grid, unit, "requests");
	cell_count(grid, unit, "ok");
	cell_count(grid, unit, "timeouts");
	cell_count(grid, unit, "bad_frames");
	cell_exceptions(grid, unit);
	cell_count(grid, unit, "stale");
	grid_cell(grid, "%.1f", look_number(unit, "latency_ms.p50", 0));
	grid_cell(grid, "%.1f", look_number(unit, "latency_ms.p95", 0));
	grid_cell(grid, "%.1f", look_number(unit, "latency_ms.max", 0));
}

static void
print_units(const struct json_object *status, FILE *out)
{
	static const char *const headings[] = { "UNIT", "STATE", ">ANSWERED", ">REQUESTS", ">OK", ">TIMEOUT", ">BAD",
		"EXCEPTIONS", ">STALE", ">p50 ms", ">p95 ms", ">max ms" };
	struct grid *grid = grid_new(headings, COUNT(headings));

	if (!grid)
		return;
	for (size_t i = 0; i < look_length(status, "buses"); i++) {
		const struct json_object *bus = look_element(status, "buses", i);

		for (size_t k = 0; k < look_length(bus, "units"); k++)
			add_unit(grid, bus, look_element(bus, "units", k));
	}
	fputc('\n', out);
	grid_print(grid, out);
	grid_free(grid);
}

/* ---- devices and points ---- */

static void
add_device(struct grid *grid, const struct json_object *device)
{
	char text[DURATION_MAX];

	grid_cell(grid, "%s", look_text(device, "name"));
	cell_state(grid, device, "session");
	cell_count(grid, device, "rows");
	grid_cell(grid, "%s", duration_of(device, "oldest_s", text));
	cell_count(grid, device, "in_flight");
	cell_count(grid, device, "acked");
	cell_count(grid, device, "refused_values");
	grid_cell(grid, "%" PRIu64 "/%" PRIu64, look_count(device, "rpc.errors"), look_count(device, "rpc.requests"));
	grid_cell(grid, "%" PRIu64 "/%" PRIu64, look_count(device, "points_good"), look_count(device, "points_all"));
	grid_cell(grid, "%s", duration_of(device, "value_s", text));
	if (look_text(device, "why")[0] && strcmp(look_text(device, "session"), "up") != 0)
		grid_note(grid, "%s", look_text(device, "why"));
}

static void
print_devices(const struct json_object *status, FILE *out)
{
	static const char *const headings[] = { "DEVICE", "SESSION", ">BACKLOG", ">OLDEST", ">IN FLIGHT", ">ACKED",
		">REFUSED", ">RPC BAD/ALL", ">GOOD POINTS", ">LAST VALUE" };
	struct grid *grid = grid_new(headings, COUNT(headings));

	if (!grid)
		return;
	for (size_t i = 0; i < look_length(status, "devices"); i++)
		add_device(grid, look_element(status, "devices", i));
	fputc('\n', out);
	grid_print(grid, out);
	grid_free(grid);
}

static bool
is_good(const struct json_object *point)
{
	return strcmp(look_text(point, "quality"), "good") == 0;
}

static const char *
json_text(const struct json_object *point)
{
	const struct json_object *value = look_at(point, "value");

	if (json_object_is_type(value, json_type_string))
		return look_text(point, "value");
	return value ? json_object_to_json_string((struct json_object *)(uintptr_t)value) : "-";
}

const char *
table_value(const struct json_object *point, char *text)
{
	if (look_at(point, "items"))
		snprintf(text, TABLE_VALUE_MAX, "(%" PRIu64 " values)", look_count(point, "items"));
	else
		snprintf(text, TABLE_VALUE_MAX, "%.*s%s", TABLE_VALUE_MAX - 8, json_text(point),
		    look_truth(point, "cut") ? "..." : "");
	return grid_harmless(text);
}

static void
add_point(struct grid *grid, const struct json_object *device, const struct json_object *point)
{
	char text[DURATION_MAX], value[TABLE_VALUE_MAX];

	grid_cell(grid, "%s", look_text(device, "name"));
	grid_cell(grid, "%s", look_text(point, "key"));
	grid_cell(grid, "%s", table_value(point, value));
	grid_cell(grid, "%s", duration_of(point, "age_s", text));
	if (look_at(point, "exception"))
		grid_cell(grid, "%s, exception %" PRIu64, look_text(point, "quality"), look_count(point, "exception"));
	else
		grid_cell(grid, "%s", look_text(point, "quality"));
	if (look_at(point, "retry_s"))
		grid_cell(grid, "in %s", duration_of(point, "retry_s", text));
	else
		grid_cell(grid, "-");
}

static const char *const point_headings[] = { "DEVICE", "POINT", ">VALUE", ">AGE", "QUALITY", "TRIED AGAIN" };

/* Only those that have no good value; of them the first ones. Returns how many there are. */
static size_t
add_bad_points(struct grid *grid, const struct json_object *status)
{
	size_t found = 0;

	for (size_t i = 0; i < look_length(status, "devices"); i++) {
		const struct json_object *device = look_element(status, "devices", i);

		for (size_t k = 0; k < look_length(device, "points"); k++) {
			const struct json_object *point = look_element(device, "points", k);

			if (!is_good(point) && found++ < BAD_POINTS_MAX)
				add_point(grid, device, point);
		}
	}
	return found;
}

static void
print_bad_points(const struct json_object *status, FILE *out)
{
	struct grid *grid = grid_new(point_headings, COUNT(point_headings));
	size_t found = grid ? add_bad_points(grid, status) : 0;

	if (found > 0) {
		fprintf(out, "\nWithout a good value:\n");
		grid_print(grid, out);
	}
	if (found > BAD_POINTS_MAX)
		fprintf(out, "and %zu more, which --values shows\n", found - BAD_POINTS_MAX);
	grid_free(grid);
}

void
table_print_points(const struct json_object *status, const char *name, FILE *out)
{
	struct grid *grid = grid_new(point_headings, COUNT(point_headings));

	for (size_t i = 0; grid && i < look_length(status, "devices"); i++) {
		const struct json_object *device = look_element(status, "devices", i);

		if (name && strcmp(name, look_text(device, "name")) != 0)
			continue;
		for (size_t k = 0; k < look_length(device, "points"); k++)
			add_point(grid, device, look_element(device, "points", k));
	}
	fputc('\n', out);
	if (grid)
		grid_print(grid, out);
	grid_free(grid);
}

/* ---- the store ---- */

static void
print_store(const struct json_object *status, FILE *out)
{
	const struct json_object *store = look_at(status, "store");
	const char *error = look_text(store, "disk_error");
	char silent[DURATION_MAX];
	uint64_t gone = look_count(store, "dropped_rows") + look_count(store, "aged_rows") + look_count(store, "lost_rows") +
			look_count(store, "undated_rows") + look_count(store, "unheld_rows");

	if (!store)
		return;
	fprintf(out, "\nstore: %" PRIu64 " rows (%" PRIu64 " of them in memory only), %.1f MB of memory, %.1f MB on disk, disk ",
	    look_count(store, "rows"), look_count(store, "unsaved_rows"), look_number(store, "memory_bytes", 0) / 1e6,
	    look_number(store, "disk_bytes", 0) / 1e6);
	if (strcmp(look_text(store, "disk"), "silent") == 0)
		fprintf(out, "has not answered for %s", duration_of(store, "disk_busy_s", silent));
	else
		fprintf(out, "%s%s%s", look_text(store, "disk"), error[0] ? ": " : "", error);
	fprintf(out, "; never sent: %" PRIu64 " rows\n", gone);
	if (gone > 0)
		fprintf(out,
		    "    for want of room %" PRIu64 ", too old %" PRIu64 ", unreadable %" PRIu64 ", of no known time %" PRIu64 "\n",
		    look_count(store, "dropped_rows") + look_count(store, "unheld_rows"), look_count(store, "aged_rows"),
		    look_count(store, "lost_rows"), look_count(store, "undated_rows"));
}

void
table_print(const struct json_object *status, bool values, FILE *out)
{
	table_print_head(status, out);
	table_print_buses(status, out);
	print_frames(status, out);
	print_units(status, out);
	print_devices(status, out);
	if (values)
		table_print_points(status, NULL, out);
	else
		print_bad_points(status, out);
	print_store(status, out);
}
