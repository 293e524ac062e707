#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/gateway.h"
#include "conf/conf.h"
#include "model/difference.h"

#define STATE_FOLDER "/var/lib/fieldgate"

/* Of a stop: a write on a bus is awaited for a second; the disk leaves some time for what comes after it. */
#define STOP_FIELD_MS 1100
#define STOP_DISK_MS  (GATEWAY_STOP_MS - 500)

/* In a reload the disk ends what it does: so long it may take, and so long once more while the field is paused. */
#define DISK_MS	       5000
#define DISK_PAUSED_MS 1000

/* What the example describes is nobody's: nothing of it is asked or sent, and the log says how to go on. */
static void
leave_example(struct settings *settings)
{
	if (!settings->example.file)
		return;
	log_notice("%s:%u: this is an example, nothing is read or sent: describe your buses and devices "
		   "there, delete "
		   "this line, then restart fieldgate",
	    settings->example.file, settings->example.line);
	settings->bus_count = settings->device_count = settings->point_count = 0;
	settings->gateway = NULL;
}

static struct settings *
load_settings(const char *path)
{
	struct settings *settings = NULL;
	struct conf_report report;
	int error = conf_load(path, &settings, &report);

	for (size_t i = 0; i < report.count; i++)
		log_error("%s", report.lines[i]);
	if (error == -ENOMEM)
		log_error("%s: out of memory", path);
	else if (error < 0)
		log_error("%s: not started: %zu mistake%s", path, report.count, report.count == 1 ? "" : "s");
	conf_report_done(&report);
	if (settings)
		leave_example(settings);
	return settings;
}

int
gateway_load(struct gateway *gateway, const char *path)
{
	*gateway = (struct gateway){ .path = path, .settings = load_settings(path) };
	return gateway->settings ? 0 : -1;
}

/* systemd names the folders that it made, the first of several counts. `ret` stays as it is if there is none.
 * Returns 0 or -ENOMEM. */
static int
folder_of(struct settings *settings, const char *variable, const char **ret)
{
	const char *list = getenv(variable);
	size_t length = list ? strcspn(list, ":") : 0;
	char *dir;

	if (length == 0)
		return 0;
	dir = settings_alloc(settings, length + 1);
	if (!dir)
		return -ENOMEM;
	memcpy(dir, list, length);
	*ret = dir;
	return 0;
}

static int
choose_folders(struct settings *settings)
{
	const char *dir = STATE_FOLDER;
	int error = folder_of(settings, "STATE_DIRECTORY", &dir);

	if (!settings->store.dir)
		settings->store.dir = dir;
	settings->runtime_dir = settings->store.dir;
	return error < 0 ? error : folder_of(settings, "RUNTIME_DIRECTORY", &settings->runtime_dir);
}

/* A session takes a descriptor or three, a bus two; the default soft limit is 1024. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int
make_parts(struct gateway *gateway)
{
	gateway->resolver = resolver_start();
	if (!gateway->resolver)
		return -errno;
	gateway->uplink = uplink_new(gateway->settings, gateway->resolver);
	if (!gateway->uplink)
		return -errno;
	gateway->field = field_new(gateway->settings, gateway->resolver, uplink_samples(gateway->uplink),
	    uplink_outcomes(gateway->uplink));
	return gateway->field ? 0 : -errno;
}

int
gateway_start(struct gateway *gateway)
{
	int error = choose_folders(gateway->settings);

	raise_descriptor_limit();
	if (error == 0)
		error = make_parts(gateway);
	if (error == 0)
		error = field_start(gateway->field);
	if (error < 0)
		return error;
	error = uplink_start(gateway->uplink, field_commands(gateway->field));
	if (error < 0)
		field_stop(gateway->field, CLOCK_NEVER);
	return error;
}

/* ---- other settings ---- */

/* To the log and to who asked for it. */
static void __attribute__((format(printf, 3, 4)))
tell(FILE *told, enum log_level level, const char *format, ...)
{
	char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	if (!text)
		return;
	log_line(level, "reload: %s", text);
	if (told)
		fprintf(told, "%s\n", text);
	free(text);
}

static int
load_again(const struct gateway *gateway, FILE *told, struct settings **ret)
{
	struct conf_report report;
	int error = conf_load(gateway->path, ret, &report);

	for (size_t i = 0; i < report.count; i++)
		tell(told, LOG_LEVEL_ERROR, "%s", report.lines[i]);
	if (error == -EINVAL)
		tell(told, LOG_LEVEL_ERROR, "%s: not taken over: %zu mistake%s", gateway->path, report.count,
		    report.count == 1 ? "" : "s");
	conf_report_done(&report);
	if (error == 0)
		leave_example(*ret);
	return error;
}

/* The disk is not moved while rows are on it. */
static int
keep_folder(const struct gateway *gateway, struct settings *settings, FILE *told)
{
	const char *dir = gateway->settings->store.dir;

	/* What outlives the process is open already and is handed over. */
	settings->runtime_dir = NULL;
	if (strcmp(settings->store.dir, dir) != 0) {
		tell(told, LOG_LEVEL_WARNING, "store.dir: stays %s until the next start", dir);
		settings->store.dir = settings_strdup(settings, dir);
	}
	return settings->store.dir ? 0 : -ENOMEM;
}

struct handover {
	struct field *from;
	struct field *to;
	const struct difference *difference;
	int64_t paused_mono_us; /* since when nothing is asked */
};

static void
hand_over(void *ctx)
{
	struct handover *handover = ctx;

	field_adopt(handover->to, handover->from, handover->difference);
}

/* The signal waits for the main thread, which is here: a stop has its deadline (GATEWAY_STOP_MS). */
static bool
stop_is_wanted(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* Returns 0, or negative errno with everything as it was. */
static int
change_over(struct gateway *gateway, struct handover *handover)
{
	struct uplink *uplink = gateway->uplink;
	int error = uplink_prepare(uplink, handover->difference, field_commands(handover->to));

	/* A disk that does not answer is found out before the field is paused. */
	if (error == 0)
		error = uplink_hold(uplink, DISK_MS, stop_is_wanted);
	if (error == 0) {
		handover->paused_mono_us = clock_mono_us();
		field_pause(handover->from);
		error = uplink_hold(uplink, DISK_PAUSED_MS, stop_is_wanted);
		if (error == 0)
			error = uplink_switch(uplink, hand_over, handover);
		if (error < 0 && field_start(handover->from) < 0)
			gateway->failed = true;
	}
	if (error < 0)
		uplink_give_up(uplink);
	return error;
}

static int
take_over(struct gateway *gateway, struct settings *settings, const struct difference *difference)
{
	struct handover handover = { .from = gateway->field, .difference = difference };
	int error;

	handover.to = field_new(settings, gateway->resolver, uplink_samples(gateway->uplink),
	    uplink_outcomes(gateway->uplink));
	error = handover.to ? change_over(gateway, &handover) : -errno;
	if (error < 0) {
		field_free(handover.to);
		return error;
	}
	gateway->field = handover.to;
	if (field_start(gateway->field) < 0)
		gateway->failed = true;
	log_info("reload: the field was paused for %.1f ms", (double)(clock_mono_us() - handover.paused_mono_us) / 1000);
	field_free(handover.from);
	return 0;
}

static int
reload(struct gateway *gateway, struct settings *settings, FILE *told)
{
	struct settings *was = gateway->settings;
	struct difference *difference = NULL;
	char text[DIFFERENCE_TEXT_MAX];
	int error = choose_folders(settings);

	if (error == 0)
		error = keep_folder(gateway, settings, told);
	if (error == 0)
		difference = difference_new(was, settings);
	if (error == 0 && !difference)
		error = -ENOMEM;
	/* Also without a difference: lines of the file may have moved, which messages name. */
	if (error == 0)
		error = take_over(gateway, settings, difference);
	if (error == 0)
		tell(told, LOG_LEVEL_NOTICE, "%s", difference_text(difference, text, sizeof(text)));
	difference_free(difference);
	if (error == 0) {
		gateway->settings = settings;
		settings = was;
	}
	settings_free(settings);
	return error;
}

int
gateway_reload(struct gateway *gateway, FILE *told)
{
	struct settings *settings = NULL;
	int error = load_again(gateway, told, &settings);

	if (error == 0)
		error = reload(gateway, settings, told);
	if (error == -ETIMEDOUT)
		tell(told, LOG_LEVEL_ERROR, "not taken over: the disk of the store does not answer");
	else if (error == -ECANCELED)
		tell(told, LOG_LEVEL_NOTICE, "not taken over: the gateway is to stop");
	else if (error < 0 && error != -EINVAL)
		tell(told, LOG_LEVEL_ERROR, "not taken over: %s", strerror(-error));
	return error;
}

bool
gateway_stop(struct gateway *gateway, int64_t asked_mono_ms)
{
	struct uplink_end end = {
		.cloud_mono_ms = asked_mono_ms + GATEWAY_CALM_MS,
		.disk_mono_ms = asked_mono_ms + STOP_DISK_MS,
	};
	bool ended = field_stop(gateway->field, (asked_mono_ms + STOP_FIELD_MS) * 1000);

	if (!ended)
		log_warning("stopping: a bus hangs in its driver and is left as it is");
	uplink_stop(gateway->uplink, end);
	return ended;
}

bool
gateway_failed(const struct gateway *gateway)
{
	return gateway->failed || uplink_failed(gateway->uplink);
}

void
gateway_free(struct gateway *gateway)
{
	field_free(gateway->field);
	uplink_free(gateway->uplink);
	resolver_stop(gateway->resolver);
	settings_free(gateway->settings);
}
