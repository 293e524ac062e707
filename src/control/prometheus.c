#include "control/prometheus.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <string.h>

#include "control/look.h"

#define LABELS_MAX 1024

/* Of what there is one sample. */
enum scope { OF_GATEWAY, OF_BUS, OF_UNIT, OF_DEVICE };

struct metric {
	const char *name; /* behind "fieldgate_" */
	const char *type;
	enum scope scope;
	const char *path;  /* of the number */
	const char *is;	   /* it is a text, or a truth: 1 if it is this, else 0 */
	const char *help;
};

/* A row is a metric; it is printed, and its documentation is made, from here. */
#define GAUGE(n, of, at, text)	    { .name = (n), .type = "gauge", .scope = (of), .path = (at), .help = (text) }
#define COUNTER(n, of, at, text)    { .name = (n), .type = "counter", .scope = (of), .path = (at), .help = (text) }
#define TRUTH(n, of, at, word, text) \
	{ .name = (n), .type = "gauge", .scope = (of), .path = (at), .is = (word), .help = (text) }

static const struct metric metrics[] = {
	GAUGE("uptime_seconds", OF_GATEWAY, "process.uptime_s",
	    "Time since the start of the daemon."),
	GAUGE("resident_memory_bytes", OF_GATEWAY, "process.rss_bytes",
	    "Resident memory."),
	GAUGE("open_descriptors", OF_GATEWAY, "process.descriptors",
	    "Open file descriptors."),
	GAUGE("max_descriptors", OF_GATEWAY, "process.descriptors_max",
	    "Limit of file descriptors."),
	GAUGE("threads", OF_GATEWAY, "process.threads",
	    "Threads."),
	COUNTER("cpu_seconds_total", OF_GATEWAY, "process.cpu_s",
	    "Processor time, user and system."),
	TRUTH("clock_set", OF_GATEWAY, "server.clock_set", "true",
	    "Whether the wall clock is believed."),
	COUNTER("values_total", OF_GATEWAY, "server.values",
	    "Good values read from the field."),
	COUNTER("samples_refused_total", OF_GATEWAY, "server.samples_refused",
	    "Samples dropped because the cloud side did not keep up."),
	COUNTER("connects_total", OF_GATEWAY, "server.connects",
	    "MQTT sessions that came up."),
	COUNTER("connects_refused_total", OF_GATEWAY, "server.refusals",
	    "MQTT connects that the server refused."),
	COUNTER("connects_failed_total", OF_GATEWAY, "server.failures",
	    "MQTT connects that got no answer."),
	COUNTER("sessions_lost_total", OF_GATEWAY, "server.losses",
	    "MQTT sessions that were up and ended."),
	GAUGE("store_rows", OF_GATEWAY, "store.rows",
	    "Rows that are not acknowledged."),
	GAUGE("store_unsaved_rows", OF_GATEWAY, "store.unsaved_rows",
	    "Of these, in memory only."),
	GAUGE("store_memory_bytes", OF_GATEWAY, "store.memory_bytes",
	    "Memory that rows take."),
	GAUGE("store_disk_bytes", OF_GATEWAY, "store.disk_bytes",
	    "Disk that rows take."),
	COUNTER("store_dropped_rows_total", OF_GATEWAY, "store.dropped_rows",
	    "Rows dropped for want of room."),
	COUNTER("store_aged_rows_total", OF_GATEWAY, "store.aged_rows",
	    "Rows dropped because they were too old."),
	COUNTER("store_lost_rows_total", OF_GATEWAY, "store.lost_rows",
	    "Rows on disk that cannot be read."),
	COUNTER("store_undated_rows_total", OF_GATEWAY, "store.undated_rows",
	    "Rows dropped because their time can never be known."),
	COUNTER("store_damaged_rows_total", OF_GATEWAY, "store.damaged_rows",
	    "Rows on disk with a wrong checksum."),
	TRUTH("store_disk_well", OF_GATEWAY, "store.disk", "well",
	    "Whether the disk takes what it is given."),

	TRUTH("bus_open", OF_BUS, "state", "open",
	    "Whether the bus is open."),
	TRUTH("bus_fault", OF_BUS, "state", "fault",
	    "Whether the bus cannot be opened or nothing good comes from it."),
	GAUGE("bus_silent_seconds", OF_BUS, "silent_s",
	    "How long its thread has not answered; 0 if it does."),
	COUNTER("bus_opens_total", OF_BUS, "opened",
	    "How often the bus was opened."),
	GAUGE("bus_load_ratio", OF_BUS, "load",
	    "Wanted share of the bus's time; above 1 is too much."),
	GAUGE("bus_stretch_ratio", OF_BUS, "stretch",
	    "Factor by which periods are longer than asked for."),
	COUNTER("bus_good_frames_total", OF_BUS, "frames.good",
	    "Frames of serial instruments that had a value."),
	COUNTER("bus_bad_checksums_total", OF_BUS, "frames.bad_checksum",
	    "Frames of serial instruments whose checksum was wrong or not there."),
	COUNTER("bus_unmatched_frames_total", OF_BUS, "frames.unmatched",
	    "Frames of serial instruments that nobody claimed or that had nothing in them."),
	COUNTER("bus_wasted_bytes_total", OF_BUS, "frames.wasted_bytes",
	    "Bytes of serial instruments that belonged to no frame."),
	COUNTER("bus_noise_bytes_total", OF_BUS, "line.noise_bytes",
	    "Received bytes of no frame."),
	COUNTER("bus_stale_bytes_total", OF_BUS, "line.stale_bytes",
	    "Received bytes of frames that nobody waited for."),
	COUNTER("bus_echoes_total", OF_BUS, "line.echoes",
	    "Requests that came back and were stripped."),
	COUNTER("bus_collisions_total", OF_BUS, "line.collisions",
	    "Requests that came back as something else."),
	COUNTER("bus_frame_errors_total", OF_BUS, "line.frame_errors",
	    "Framing errors of the UART."),
	COUNTER("bus_parity_errors_total", OF_BUS, "line.parity_errors",
	    "Parity errors of the UART."),
	COUNTER("bus_overruns_total", OF_BUS, "line.overruns",
	    "Overruns of the UART."),
	COUNTER("bus_breaks_total", OF_BUS, "line.breaks",
	    "Breaks that the UART saw."),
	COUNTER("bus_samples_refused_total", OF_BUS, "samples_refused",
	    "Samples of the bus that found no room in the queue to the cloud side."),

	TRUTH("unit_online", OF_UNIT, "state", "online",
	    "Whether the unit answers."),
	COUNTER("unit_requests_total", OF_UNIT, "requests",
	    "Requests sent to the unit."),
	COUNTER("unit_answers_total", OF_UNIT, "ok",
	    "Good answers of the unit."),
	COUNTER("unit_timeouts_total", OF_UNIT, "timeouts",
	    "Requests without an answer."),
	COUNTER("unit_bad_frames_total", OF_UNIT, "bad_frames",
	    "Answers with a wrong CRC, cut, or to something else."),
	COUNTER("unit_stale_total", OF_UNIT, "stale",
	    "Frames of the unit that nobody waited for."),
	COUNTER("unit_echoes_total", OF_UNIT, "echoes",
	    "Requests to the unit that came back."),
	COUNTER("unit_no_values_total", OF_UNIT, "no_values",
	    "Readings that are no value."),
	COUNTER("unit_missed_polls_total", OF_UNIT, "missed",
	    "Polls left out for want of time."),

	TRUTH("device_up", OF_DEVICE, "session", "up",
	    "Whether the device's MQTT session is up."),
	GAUGE("device_backlog_rows", OF_DEVICE, "rows",
	    "Rows of the device that are not acknowledged."),
	GAUGE("device_oldest_row_seconds", OF_DEVICE, "oldest_s",
	    "Age of the oldest of them."),
	GAUGE("device_in_flight_messages", OF_DEVICE, "in_flight",
	    "Messages that wait for their PUBACK."),
	COUNTER("device_messages_total", OF_DEVICE, "messages",
	    "Telemetry messages sent."),
	COUNTER("device_acked_messages_total", OF_DEVICE, "acked",
	    "Telemetry messages acknowledged."),
	COUNTER("device_acked_rows_total", OF_DEVICE, "acked_rows",
	    "Rows acknowledged."),
	COUNTER("device_refused_values_total", OF_DEVICE, "refused_values",
	    "Rows that the server refused."),
	COUNTER("device_rpc_requests_total", OF_DEVICE, "rpc.requests",
	    "RPC requests from the server."),
	COUNTER("device_rpc_errors_total", OF_DEVICE, "rpc.errors",
	    "Of these, answered with an error."),
	GAUGE("device_points", OF_DEVICE, "points_all",
	    "Points of the device."),
	GAUGE("device_good_points", OF_DEVICE, "points_good",
	    "Points whose last reading was good."),
	GAUGE("device_last_value_seconds", OF_DEVICE, "value_s",
	    "Age of the newest value of the device."),
};

static void
print_head(const char *name, const char *type, const char *help, FILE *out)
{
	fprintf(out, "# HELP fieldgate_%s %s\n# TYPE fieldgate_%s %s\n", name, help, name, type);
}

/* Append `name="text"`, escaped. */
static void
add_label(char *labels, const char *name, const char *text)
{
	size_t used = strlen(labels);

	if (used + 2 * strlen(text) + strlen(name) + 8 > LABELS_MAX)
		return;
	used += (size_t)snprintf(labels + used, LABELS_MAX - used, "%s%s=\"", used > 0 ? "," : "", name);
	for (; *text; text++) {
		if (*text == '\\' || *text == '"' || *text == '\n')
			labels[used++] = '\\';
		labels[used++] = (char)(*text == '\n' ? 'n' : *text);
	}
	labels[used++] = '"';
	labels[used] = '\0';
}

static void
print_number(double number, FILE *out)
{
	if (number == floor(number) && fabs(number) < 1e15)
		fprintf(out, " %.0f\n", number);
	else
		fprintf(out, " %.15g\n", number);
}

static void
print_sample(const char *name, const char *labels, double number, FILE *out)
{
	fprintf(out, "fieldgate_%s", name);
	if (labels[0])
		fprintf(out, "{%s}", labels);
	print_number(number, out);
}

/* Returns whether the object has the number. */
static bool
find_number(const struct metric *metric, const struct json_object *object, double *ret)
{
	const struct json_object *member = look_at(object, metric->path);

	if (!member && strcmp(metric->path, "silent_s") == 0) {
		*ret = 0;
		return true;
	}
	if (!member)
		return false;
	if (metric->is && json_object_is_type(member, json_type_boolean))
		*ret = json_object_get_boolean(member);
	else if (metric->is)
		*ret = strcmp(look_text(object, metric->path), metric->is) == 0;
	else
		*ret = look_number(member, "", NAN);
	return isfinite(*ret);
}

static void
print_of(const struct metric *metric, const struct json_object *object, const char *labels, FILE *out)
{
	double number;

	if (find_number(metric, object, &number))
		print_sample(metric->name, labels, number, out);
}

typedef void per_object(const void *what, const struct json_object *object, const char *labels, FILE *out);

static void
each_unit(const struct json_object *status, per_object *print, const void *what, FILE *out)
{
	for (size_t i = 0; i < look_length(status, "buses"); i++) {
		const struct json_object *bus = look_element(status, "buses", i);

		for (size_t k = 0; k < look_length(bus, "units"); k++) {
			const struct json_object *unit = look_element(bus, "units", k);
			char labels[LABELS_MAX] = "";
			char number[24] = "";

			/* A serial instrument is known by its device. */
			if (look_at(unit, "unit"))
				snprintf(number, sizeof(number), "%" PRIu64, look_count(unit, "unit"));
			add_label(labels, "bus", look_text(bus, "name"));
			add_label(labels, "unit", number[0] ? number : look_text(unit, "device"));
			print(what, unit, labels, out);
		}
	}
}

static void
print_metric_of(const void *what, const struct json_object *object, const char *labels, FILE *out)
{
	print_of(what, object, labels, out);
}

static void
each_element(const struct json_object *status, const char *array, const char *label, const struct metric *metric, FILE *out)
{
	for (size_t i = 0; i < look_length(status, array); i++) {
		const struct json_object *element = look_element(status, array, i);
		char labels[LABELS_MAX] = "";

		add_label(labels, label, look_text(element, "name"));
		print_of(metric, element, labels, out);
	}
}

static void
print_metric(const struct metric *metric, const struct json_object *status, FILE *out)
{
	print_head(metric->name, metric->type, metric->help, out);
	switch (metric->scope) {
	case OF_GATEWAY:
		print_of(metric, status, "", out);
		break;
	case OF_BUS:
		each_element(status, "buses", "bus", metric, out);
		break;
	case OF_UNIT:
		each_unit(status, print_metric_of, metric, out);
		break;
	case OF_DEVICE:
		each_element(status, "devices", "device", metric, out);
		break;
	}
}

/* ---- what is more than one number ---- */

static void
print_exceptions(const void *what, const struct json_object *unit, const char *labels, FILE *out)
{
	const struct json_object *codes = look_at(unit, "exceptions");
	struct json_object_iterator at, end;

	if (!json_object_is_type(codes, json_type_object))
		return;
	at = json_object_iter_begin((struct json_object *)(uintptr_t)codes);
	end = json_object_iter_end(codes);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
		char more[LABELS_MAX];

		snprintf(more, sizeof(more), "%s", labels);
		add_label(more, "code", json_object_iter_peek_name(&at));
		print_sample(what, more, (double)json_object_get_uint64(json_object_iter_peek_value(&at)), out);
	}
}

static void
print_latency(const void *what, const struct json_object *unit, const char *labels, FILE *out)
{
	static const struct {
		const char *quantile;
		const char *path;
	} quantiles[] = { { "0.5", "latency_ms.p50" }, { "0.95", "latency_ms.p95" }, { "1", "latency_ms.max" } };
	const char *name = what;
	char more[LABELS_MAX];

	if (look_count(unit, "latency_ms.count") == 0)
		return;
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		snprintf(more, sizeof(more), "%s", labels);
		add_label(more, "quantile", quantiles[i].quantile);
		print_sample(name, more, look_number(unit, quantiles[i].path, 0) / 1e3, out);
	}
	snprintf(more, sizeof(more), "%s_sum", name);
	print_sample(more, labels, look_number(unit, "latency_ms.sum", 0) / 1e3, out);
	snprintf(more, sizeof(more), "%s_count", name);
	print_sample(more, labels, (double)look_count(unit, "latency_ms.count"), out);
}

void
prometheus_print(const struct json_object *status, FILE *out)
{
	char labels[LABELS_MAX] = "";

	print_head("info", "gauge", "The version that runs; always 1.", out);
	add_label(labels, "version", look_text(status, "fieldgate"));
	print_sample("info", labels, 1, out);
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		print_metric(&metrics[i], status, out);
	print_head("unit_exceptions_total", "counter", "Exceptions that the unit answered, by code.", out);
	each_unit(status, print_exceptions, "unit_exceptions_total", out);
	print_head("unit_latency_seconds", "summary", "From the begin of a request to the end of its reply.", out);
	each_unit(status, print_latency, "unit_latency_seconds", out);
}
