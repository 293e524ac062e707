#include "cli/inspector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "cli/process.h"

#define ANSWERS_AT_ONCE	  16
#define ANSWERS_MAX	  1024
#define RATE_WINDOW_US	  10000000 /* values/s are those of the last one or two of these */
#define CLOUD_BUSY_MAX_MS 2000	   /* its loop does nothing that takes longer */

/* Whom we ask: a bus or the cloud's thread. */
struct part {
	struct health_answer known; /* as of the last answer */
	struct health_answer out;   /* the report that is with him, or nothing */
	int64_t asked_mono_us;
};

struct waiter {
	struct waiter *next;
	inspector_done *done;
	void *ctx;
	uint64_t number;
	bool full;
};

/* How many values there were. */
struct mark {
	int64_t mono_us;
	uint64_t values;
};

struct inspector {
	struct gateway *gateway;
	sd_event_source *answers_io;
	sd_event_source *timer;
	struct fifo *answers;
	struct part *parts; /* the buses by index, then the cloud */
	size_t part_count;
	size_t out_count; /* reports that are with somebody */
	int64_t started_mono_us;
	bool running; /* a round is */
	bool full;    /* it asks for points */
	struct waiter *waiters; /* for its end */
	struct waiter *later;	/* for that of the next one */
	struct mark before, last;
	struct health_bus **buses; /* for struct health */
	int64_t *waits_us;
	char name[80];
};

/* ---- reports ---- */

static void
answer_free(struct health_answer *answer)
{
	health_bus_free(answer->bus);
	health_cloud_free(answer->cloud);
	*answer = (struct health_answer){ .bus = NULL };
}

static bool
is_out(const struct part *part)
{
	return part->out.bus || part->out.cloud;
}

static bool
is_cloud(const struct inspector *inspector, const struct part *part)
{
	return part == &inspector->parts[inspector->part_count - 1];
}

static struct part *
find_part(struct inspector *inspector, const struct health_answer *answer)
{
	for (size_t i = 0; i < inspector->part_count; i++) {
		struct part *part = &inspector->parts[i];

		if (is_out(part) && part->out.bus == answer->bus && part->out.cloud == answer->cloud)
			return part;
	}
	return NULL;
}

/* What is with somebody, those of before included, finds room when it comes back. */
static bool
may_ask(const struct inspector *inspector)
{
	return inspector->out_count < ANSWERS_MAX;
}

static void
ask_part(struct inspector *inspector, struct part *part)
{
	struct gateway *gateway = inspector->gateway;
	struct health_question question = { .answers = inspector->answers };
	size_t index = (size_t)(part - inspector->parts);
	int error;

	if (is_out(part) || !may_ask(inspector))
		return;
	if (is_cloud(inspector, part))
		question.cloud = health_cloud_new(gateway->settings->device_count);
	else
		question.bus = field_report(gateway->field, index, inspector->full);
	part->out = (struct health_answer){ .bus = question.bus, .cloud = question.cloud };
	if (!is_out(part))
		return;
	part->asked_mono_us = clock_mono_us();
	error = question.cloud ? uplink_ask(gateway->uplink, &question) : field_ask(gateway->field, index, &question);
	if (error < 0)
		answer_free(&part->out);
	else
		inspector->out_count++;
}

/* ---- a round ---- */

static void
start_round(struct inspector *inspector)
{
	inspector->running = true;
	inspector->waiters = inspector->later;
	inspector->later = NULL;
	inspector->full = false;
	for (const struct waiter *waiter = inspector->waiters; waiter; waiter = waiter->next)
		inspector->full = inspector->full || waiter->full;
	for (size_t i = 0; i < inspector->part_count; i++)
		ask_part(inspector, &inspector->parts[i]);
	sd_event_source_set_time_relative(inspector->timer, (uint64_t)INSPECTOR_WAIT_MS * 1000);
	sd_event_source_set_enabled(inspector->timer, SD_EVENT_ONESHOT);
}

static double
values_per_s(struct inspector *inspector, const struct health_cloud *cloud)
{
	struct mark now = { .mono_us = clock_mono_us() };
	double rate = 0;

	if (!cloud)
		return 0;
	now.values = cloud->values;
	if (now.mono_us > inspector->before.mono_us)
		rate = (double)(now.values - inspector->before.values) * 1e6 /
		       (double)(now.mono_us - inspector->before.mono_us);
	if (now.mono_us - inspector->last.mono_us >= RATE_WINDOW_US) {
		inspector->before = inspector->last;
		inspector->last = now;
	}
	return rate;
}

static void
fill_health(struct inspector *inspector, struct health *ret)
{
	const struct part *cloud = &inspector->parts[inspector->part_count - 1];
	int64_t now_us = clock_mono_us();

	for (size_t i = 0; i < inspector->part_count; i++) {
		const struct part *part = &inspector->parts[i];

		inspector->buses[i] = part->known.bus;
		inspector->waits_us[i] = is_out(part) ? now_us - part->asked_mono_us : 0;
	}
	*ret = (struct health){
		.settings = inspector->gateway->settings,
		.now_mono_us = now_us,
		.now_unix_ms = clock_unix_ms(),
		.values_per_s = values_per_s(inspector, cloud->known.cloud),
		.buses = inspector->buses,
		.bus_waits_us = inspector->waits_us,
		.cloud = cloud->known.cloud,
		.cloud_waits_us = inspector->waits_us[inspector->part_count - 1],
	};
	process_look(&ret->process, inspector->started_mono_us);
}

/* Points are many and soon out of date. */
static void
forget_points(struct inspector *inspector)
{
	for (size_t i = 0; i < inspector->part_count; i++) {
		struct health_bus *bus = inspector->parts[i].known.bus;

		if (!bus || bus->point_room == 0)
			continue;
		free(bus->points);
		bus->points = NULL;
		bus->point_room = bus->point_count = 0;
	}
}

static void
end_round(struct inspector *inspector)
{
	struct waiter *waiters = inspector->waiters;
	struct health health;

	sd_event_source_set_enabled(inspector->timer, SD_EVENT_OFF);
	inspector->waiters = NULL;
	fill_health(inspector, &health);
	while (waiters) {
		struct waiter *waiter = waiters;

		waiters = waiter->next;
		waiter->done(waiter->ctx, waiter->number, &health);
		free(waiter);
	}
	forget_points(inspector);
	inspector->running = false;
	if (inspector->later)
		start_round(inspector);
}

static bool
all_back(const struct inspector *inspector)
{
	for (size_t i = 0; i < inspector->part_count; i++)
		if (is_out(&inspector->parts[i]))
			return false;
	return true;
}

static int
on_answers(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct inspector *inspector = userdata;
	struct health_answer answers[ANSWERS_AT_ONCE];
	size_t count = fifo_pop(inspector->answers, answers, ANSWERS_AT_ONCE);

	(void)source, (void)fd, (void)revents;
	inspector->out_count -= count;
	for (size_t i = 0; i < count; i++) {
		struct part *part = find_part(inspector, &answers[i]);

		/* of other settings */
		if (!part) {
			answer_free(&answers[i]);
			continue;
		}
		answer_free(&part->known);
		part->known = answers[i];
		part->out = (struct health_answer){ .bus = NULL };
	}
	if (inspector->running && all_back(inspector))
		end_round(inspector);
	return 0;
}

static int
on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source, (void)usec;
	end_round(userdata);
	return 0;
}

int
inspector_ask(struct inspector *inspector, bool full, inspector_done *done, void *ctx, uint64_t number)
{
	struct waiter *waiter = malloc(sizeof(*waiter));
	struct waiter **place = &inspector->later;

	if (!waiter)
		return -ENOMEM;
	*waiter = (struct waiter){ .done = done, .ctx = ctx, .number = number, .full = full };
	while (*place)
		place = &(*place)->next;
	*place = waiter;
	if (!inspector->running)
		start_round(inspector);
	return 0;
}

const char *
inspector_stuck(struct inspector *inspector, int64_t slack_ms, int64_t *ret_silent_ms)
{
	int64_t now_us = clock_mono_us();

	for (size_t i = 0; i < inspector->part_count; i++) {
		const struct part *part = &inspector->parts[i];
		bool cloud = is_cloud(inspector, part);
		int64_t silent_ms = (now_us - part->asked_mono_us) / 1000;

		if (!is_out(part) ||
		    silent_ms <= slack_ms + (cloud ? CLOUD_BUSY_MAX_MS : field_busy_max_ms(inspector->gateway->field, i)))
			continue;
		*ret_silent_ms = silent_ms;
		if (cloud)
			return "the cloud's thread";
		snprintf(inspector->name, sizeof(inspector->name), "the thread of bus %.60s",
		    inspector->gateway->settings->buses[i].name);
		return inspector->name;
	}
	return NULL;
}

/* ---- its life ---- */

static int
add_sources(struct inspector *inspector, sd_event *loop)
{
	int error = sd_event_add_io(
	    loop, &inspector->answers_io, fifo_fd(inspector->answers), EPOLLIN, on_answers, inspector);

	if (error >= 0)
		error = sd_event_add_time_relative(
		    loop, &inspector->timer, CLOCK_MONOTONIC, 0, 0, on_timer, inspector);
	if (error >= 0)
		error = sd_event_source_set_enabled(inspector->timer, SD_EVENT_OFF);
	return error;
}

static void
free_parts(struct inspector *inspector)
{
	for (size_t i = 0; inspector->parts && i < inspector->part_count; i++)
		answer_free(&inspector->parts[i].known);
	free(inspector->parts);
	free(inspector->buses);
	free(inspector->waits_us);
	inspector->parts = NULL;
	inspector->buses = NULL;
	inspector->waits_us = NULL;
	inspector->part_count = 0;
}

/* Returns 0 or -ENOMEM. */
static int
make_parts(struct inspector *inspector)
{
	size_t count = inspector->gateway->settings->bus_count + 1;

	inspector->parts = calloc(count, sizeof(inspector->parts[0]));
	inspector->buses = calloc(count, sizeof(struct health_bus *));
	inspector->waits_us = calloc(count, sizeof(inspector->waits_us[0]));
	inspector->part_count = inspector->parts ? count : 0;
	return inspector->parts && inspector->buses && inspector->waits_us ? 0 : -ENOMEM;
}

int
inspector_renew(struct inspector *inspector)
{
	free_parts(inspector);
	if (make_parts(inspector) < 0)
		return -ENOMEM;
	/* Whoever waits gets what those who are there now say. */
	if (inspector->running)
		for (size_t i = 0; i < inspector->part_count; i++)
			ask_part(inspector, &inspector->parts[i]);
	return 0;
}

struct inspector *
inspector_new(sd_event *loop, struct gateway *gateway)
{
	struct inspector *inspector = calloc(1, sizeof(*inspector));
	int error;

	if (!inspector)
		return NULL;
	inspector->gateway = gateway;
	inspector->started_mono_us = clock_mono_us();
	inspector->before.mono_us = inspector->last.mono_us = inspector->started_mono_us;
	inspector->answers = fifo_new(sizeof(struct health_answer), ANSWERS_MAX);
	error = inspector->answers ? make_parts(inspector) : -errno;
	if (error == 0)
		error = add_sources(inspector, loop);
	if (error >= 0)
		return inspector;
	inspector_free(inspector);
	errno = -error;
	return NULL;
}

static void
free_waiters(struct waiter *waiters)
{
	while (waiters) {
		struct waiter *waiter = waiters;

		waiters = waiter->next;
		free(waiter);
	}
}

void
inspector_free(struct inspector *inspector)
{
	struct health_answer answer;

	if (!inspector)
		return;
	sd_event_source_disable_unref(inspector->answers_io);
	sd_event_source_disable_unref(inspector->timer);
	while (inspector->answers && fifo_pop(inspector->answers, &answer, 1) == 1)
		answer_free(&answer);
	free_parts(inspector);
	free_waiters(inspector->waiters);
	free_waiters(inspector->later);
	fifo_free(inspector->answers);
	free(inspector);
}
