#include "cli/gateway.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "conf/conf.h"

#define STATE_FOLDER "/var/lib/fieldgate"

/* systemd and people expect a stop within 2 s: a transaction on a bus may take one part of it, this is the
 * cloud's. */
#define FLUSH_GRACE_MS 1000

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

/* systemd names the folder that it made (StateDirectory=), the first of several. Returns 0 or -ENOMEM. */
static int
choose_folder(struct settings *settings)
{
	const char *list = getenv("STATE_DIRECTORY");
	size_t length = list ? strcspn(list, ":") : 0;
	char *dir;

	if (settings->store.dir)
		return 0;
	if (length == 0) {
		settings->store.dir = STATE_FOLDER;
		return 0;
	}
	dir = settings_alloc(settings, length + 1);
	if (!dir)
		return -ENOMEM;
	memcpy(dir, list, length);
	settings->store.dir = dir;
	return 0;
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
	int error = choose_folder(gateway->settings);

	raise_descriptor_limit();
	if (error == 0)
		error = make_parts(gateway);
	if (error == 0)
		error = field_start(gateway->field);
	if (error < 0)
		return error;
	error = uplink_start(gateway->uplink, field_commands(gateway->field));
	if (error < 0)
		field_stop(gateway->field);
	return error;
}

void
gateway_reload(struct gateway *gateway)
{
	log_notice("reload: %s is read at the start only: restart fieldgate to take it over", gateway->path);
}

void
gateway_stop(struct gateway *gateway)
{
	field_stop(gateway->field);
	uplink_stop(gateway->uplink, FLUSH_GRACE_MS);
}

bool
gateway_failed(const struct gateway *gateway)
{
	return uplink_failed(gateway->uplink);
}

void
gateway_free(struct gateway *gateway)
{
	field_free(gateway->field);
	resolver_stop(gateway->resolver);
	uplink_free(gateway->uplink);
	settings_free(gateway->settings);
}
