#include "cli/watchdog.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "control/report.h"

#define ACCURACY_US 250000
#define STATUS_MAX  160

struct watchdog {
	struct inspector *inspector;
	sd_event_source *timer;
	int64_t limit_ms; /* of the service manager; 0: there is none */
	int64_t period_ms;
	bool stuck_told;
	char status[STATUS_MAX]; /* as it was told last */
};

static void
tell_status(void *ctx, uint64_t number, const struct health *health)
{
	struct watchdog *watchdog = ctx;
	char status[STATUS_MAX];

	(void)number;
	if (health->settings->bus_count == 0)
		return; /* what was told at the start says more */
	report_line(health, status, sizeof(status));
	if (strcmp(status, watchdog->status) == 0)
		return;
	memcpy(watchdog->status, status, sizeof(status));
	sd_notifyf(0, "STATUS=%s", status);
}

static void
feed(struct watchdog *watchdog)
{
	int64_t silent_ms = 0;
	const char *who = inspector_stuck(watchdog->inspector, watchdog->limit_ms, &silent_ms);

	if (!who) {
		watchdog->stuck_told = false;
		sd_notify(0, "WATCHDOG=1");
		return;
	}
	if (!watchdog->stuck_told)
		log_error("watchdog: %s is stuck, it has not answered for %lld s: the service manager will start "
			  "fieldgate again",
		    who, (long long)silent_ms / 1000);
	watchdog->stuck_told = true;
}

static int
on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct watchdog *watchdog = userdata;

	(void)usec;
	if (watchdog->limit_ms > 0)
		feed(watchdog);
	inspector_ask(watchdog->inspector, false, tell_status, watchdog, 0);
	sd_event_source_set_time_relative(source, (uint64_t)watchdog->period_ms * 1000);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

static int64_t
smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int
watchdog_start(sd_event *loop, struct inspector *inspector, struct watchdog **ret)
{
	uint64_t limit_us = 0;
	struct watchdog *watchdog;
	int error;

	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	watchdog = calloc(1, sizeof(*watchdog));
	if (!watchdog)
		return -ENOMEM;
	watchdog->inspector = inspector;
	if (sd_watchdog_enabled(0, &limit_us) > 0)
		watchdog->limit_ms = (int64_t)(limit_us / 1000);
	watchdog->period_ms = WATCHDOG_PERIOD_MS;
	if (watchdog->limit_ms > 0)
		watchdog->period_ms = smaller(watchdog->period_ms, watchdog->limit_ms / 2);
	error = sd_event_add_time_relative(loop, &watchdog->timer, CLOCK_MONOTONIC,
	    (uint64_t)smaller(WATCHDOG_FIRST_MS, watchdog->period_ms) * 1000, ACCURACY_US, on_timer, watchdog);
	if (error < 0) {
		free(watchdog);
		return error;
	}
	*ret = watchdog;
	return 0;
}

void
watchdog_stop(struct watchdog *watchdog)
{
	if (!watchdog)
		return;
	sd_event_source_disable_unref(watchdog->timer);
	free(watchdog);
}
