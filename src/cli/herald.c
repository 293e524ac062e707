#include "cli/herald.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "cli/reload.h"
#include "cloud/chores.h"
#include "control/report.h"
#include "model/gauges.h"

#define FIRST_LOOK_S	 2
#define ACCURACY_US	 1000000
#define PENDING_MAX	 16
#define REPLY_BYTES_MAX	 65000 /* the server's limit for a payload */

/* A chore that waits for a round. */
struct pending {
	bool used;
	struct chore chore;
};

struct herald {
	struct gateway *gateway;
	struct inspector *inspector;
	sd_event_source *timer;
	sd_event_source *chores_io;
	struct sample *samples;	 /* room for all its points */
	struct pending pending[PENDING_MAX];
};

/* ---- what it tells ---- */

static void
tell_gauges(void *ctx, uint64_t number, const struct health *health)
{
	struct herald *herald = ctx;
	struct sample_sink sink = uplink_samples(herald->gateway->uplink);
	size_t count, wanted = 0;

	(void)number;
	/* The settings may be others by now. */
	if (!herald->samples || !health->settings->gateway)
		return;
	count = gauges_read(health->settings, health, herald->samples);
	for (size_t i = 0; i < count; i++)
		if (sink.wants(sink.ctx, &herald->samples[i]))
			herald->samples[wanted++] = herald->samples[i];
	/* What finds no room will be told the next time. */
	sink.push(sink.ctx, herald->samples, wanted);
}

static void
set_timer(struct herald *herald, uint64_t delay_s)
{
	sd_event_source_set_time_relative(herald->timer, delay_s * 1000000);
	sd_event_source_set_enabled(herald->timer, SD_EVENT_ONESHOT);
}

static int
on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct herald *herald = userdata;

	(void)source, (void)usec;
	inspector_ask(herald->inspector, false, tell_gauges, herald, 0);
	set_timer(herald, GAUGES_LOOK_S);
	return 0;
}

/* ---- what it is asked ---- */

/* Takes the text. */
static void
reply(struct herald *herald, const struct chore *chore, char *text, size_t length)
{
	struct chore_done done = {
		.id = chore->id, .connection = chore->connection, .text = text, .length = length
	};

	if (!text || fifo_push(uplink_chores_done(herald->gateway->uplink), &done, 1) == 0)
		free(text);
}

static void
reply_words(struct herald *herald, const struct chore *chore, bool well, const char *words)
{
	size_t length = 0;
	char *text = report_reply(well, words, &length);

	reply(herald, chore, text, length);
}

static void
tell_status(void *ctx, uint64_t number, const struct health *health)
{
	struct herald *herald = ctx;
	struct pending *pending = &herald->pending[number];
	size_t length = 0;
	char *text = report_status(health, REPORT_BRIEF, &length);

	if (text && length > REPLY_BYTES_MAX) {
		free(text);
		text = report_status(health, REPORT_SUMMARY, &length);
	}
	pending->used = false;
	reply(herald, &pending->chore, text, length);
}

static void
do_status(struct herald *herald, const struct chore *chore)
{
	for (size_t i = 0; i < PENDING_MAX; i++) {
		if (herald->pending[i].used)
			continue;
		herald->pending[i] = (struct pending){ .used = true, .chore = *chore };
		if (inspector_ask(herald->inspector, false, tell_status, herald, i) < 0)
			herald->pending[i].used = false;
		return;
	}
	reply_words(herald, chore, false, "busy: too many requests are waiting");
}

static void
do_reload(struct herald *herald, const struct chore *chore)
{
	char *text = NULL;
	size_t size = 0;
	FILE *told = open_memstream(&text, &size);
	bool well;

	if (!told) {
		reply_words(herald, chore, false, "out of memory");
		return;
	}
	log_notice("reload: asked for by the server");
	well = reload_gateway(herald->gateway, herald->inspector, herald, told) == 0;
	fclose(told);
	if (text && size > 0 && text[size - 1] == '\n')
		text[size - 1] = '\0';
	reply_words(herald, chore, well, text ? text : "");
	free(text);
}

static void
do_log_level(struct herald *herald, const struct chore *chore)
{
	int level = log_level_find(chore->text);

	if (level < 0)
		return; /* the chores have checked it */
	if (log_get_level() != (enum log_level)level)
		log_notice("log: the level is %s from now on, asked for by the server", chore->text);
	log_set_level((enum log_level)level);
	reply_words(herald, chore, true, chore->text);
}

static int
on_chores(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	static void (*const acts[CHORE_KINDS])(struct herald *herald, const struct chore *chore) = {
		[CHORE_STATUS] = do_status,
		[CHORE_RELOAD] = do_reload,
		[CHORE_LOG_LEVEL] = do_log_level,
	};
	struct herald *herald = userdata;
	struct chore chore;

	(void)source, (void)fd, (void)revents;
	while (fifo_pop(uplink_chores(herald->gateway->uplink), &chore, 1) == 1)
		acts[chore.kind](herald, &chore);
	return 0;
}

/* ---- its life ---- */

int
herald_renew(struct herald *herald)
{
	const struct device *device = herald->gateway->settings->gateway;

	sd_event_source_set_enabled(herald->timer, SD_EVENT_OFF);
	free(herald->samples);
	herald->samples = NULL;
	if (!device)
		return 0;
	herald->samples = calloc(device->point_count + 1, sizeof(herald->samples[0]));
	if (!herald->samples)
		return -ENOMEM;
	set_timer(herald, FIRST_LOOK_S);
	return 0;
}

int
herald_start(sd_event *loop, struct gateway *gateway, struct inspector *inspector, struct herald **ret)
{
	struct herald *herald = calloc(1, sizeof(*herald));
	int error;

	if (!herald)
		return -ENOMEM;
	herald->gateway = gateway;
	herald->inspector = inspector;
	*ret = herald;
	error = sd_event_add_io(
	    loop, &herald->chores_io, fifo_fd(uplink_chores(gateway->uplink)), EPOLLIN, on_chores, herald);
	if (error >= 0)
		error = sd_event_add_time_relative(
		    loop, &herald->timer, CLOCK_MONOTONIC, 0, ACCURACY_US, on_timer, herald);
	return error < 0 ? error : herald_renew(herald);
}

void
herald_stop(struct herald *herald)
{
	if (!herald)
		return;
	sd_event_source_disable_unref(herald->chores_io);
	sd_event_source_disable_unref(herald->timer);
	free(herald->samples);
	free(herald);
}
