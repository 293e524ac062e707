#include "cloud/news.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define GATHER_MS     1000  /* changes are gathered this long before they are logged, */
#define GATHER_MAX_MS 10000 /* and up to this long while many sessions are still connecting */
#define ACCURACY_US   200000
#define EACH_MAX      3 /* up to so many sessions get a line each */
#define REASONS_MAX   4 /* why the server is away: so many are told */

struct news {
	const struct server_settings *server;
	void (*look)(void *ctx, size_t *ret_up, bool *ret_busy);
	void *ctx;
	struct news_item *items;
	size_t item_count;
	sd_event_source *timer;
	int64_t since_mono_ms;	 /* 0 = nothing is new */
	const char *unreachable[REASONS_MAX]; /* why, while the server as a whole is; what was said of it */
	size_t reason_count;		      /* 0 = it is there */
	int64_t unreachable_since_mono_ms;
	int64_t back_after_ms; /* the server is back after so long, and the log has not said so; 0 = no */
};

/* How a condition is told, of many sessions and of one. */
static const struct {
	const char *many;
	const char *one;
	enum log_level level;
} words[] = {
	[CONDITION_NEW] = { .many = "new", .one = "new", .level = LOG_LEVEL_DEBUG },
	[CONDITION_UP] = { .many = "connected", .one = "connected", .level = LOG_LEVEL_NOTICE },
	[CONDITION_LOST] = { .many = "lost", .one = "session lost", .level = LOG_LEVEL_WARNING },
	[CONDITION_REFUSED] = { .many = "refused by the server",
	    .one = "the server refused the connection",
	    .level = LOG_LEVEL_WARNING },
	[CONDITION_FAILED] = { .many = "unable to connect", .one = "cannot connect", .level = LOG_LEVEL_WARNING },
};

static bool
is_due(const struct news_item *item)
{
	return item->now.condition != item->said.condition || item->now.why != item->said.why ||
	       item->now.advice != item->said.advice;
}

static bool
is_like(const struct news_item *item, const struct report *report)
{
	return is_due(item) && item->now.condition == report->condition && item->now.why == report->why &&
	       item->now.advice == report->advice;
}

/* Nothing to say of single devices while the one line about the server says it all. */
static bool
is_covered(const struct news *news, enum condition condition)
{
	return (condition == CONDITION_FAILED && news->reason_count > 0) ||
	       (condition == CONDITION_UP && news->back_after_ms > 0);
}

static void
tell_one(const struct news_item *item)
{
	const struct report *now = &item->now;

	log_line(words[now->condition].level, "%s: %s%s%s%s%s", item->name, words[now->condition].one,
	    now->why ? ": " : "", now->why ? now->why : "", now->advice ? ": " : "", now->advice ? now->advice : "");
}

static void
tell_many(const struct news *news, const struct report *report, size_t count)
{
	log_line(words[report->condition].level, "server %s:%d: %zu of %zu sessions %s%s%s%s%s",
	    news->server->host, news->server->port, count, news->item_count, words[report->condition].many,
	    report->why ? ": " : "", report->why ? report->why : "", report->advice ? ": " : "",
	    report->advice ? report->advice : "");
}

/* Say it once for all sessions whose news is the same as that of `first`. */
static void
tell_alike(struct news *news, struct news_item *first)
{
	const struct report report = first->now;
	bool covered = is_covered(news, report.condition);
	size_t count = 0;

	for (const struct news_item *item = first; item; item = item->next)
		count += is_like(item, &report);
	for (struct news_item *item = first; item; item = item->next)
		if (is_like(item, &report)) {
			if (count <= EACH_MAX && !covered && !(item->guest && report.condition == CONDITION_UP))
				tell_one(item);
			item->said = report;
		}
	if (count > EACH_MAX && !covered)
		tell_many(news, &report, count);
}

static void
tell_all(struct news *news, size_t up)
{
	for (struct news_item *item = news->items; item; item = item->next)
		if (is_due(item))
			tell_alike(news, item);
	if (news->back_after_ms > 0)
		log_notice("server %s:%d: back after %lld s, %zu of %zu sessions connected",
		    news->server->host, news->server->port, (long long)(news->back_after_ms + 500) / 1000, up,
		    news->item_count);
	news->back_after_ms = 0;
	news->since_mono_ms = 0;
}

static void
gather(struct news *news)
{
	sd_event_source_set_time_relative(news->timer, GATHER_MS * 1000);
	sd_event_source_set_enabled(news->timer, SD_EVENT_ONESHOT);
}

static int
on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct news *news = userdata;
	bool busy;
	size_t up;

	(void)source, (void)usec;
	news->look(news->ctx, &up, &busy);
	if (busy && news->reason_count == 0 && clock_mono_ms() - news->since_mono_ms < GATHER_MAX_MS)
		gather(news);
	else
		tell_all(news, up);
	return 0;
}

struct news *
news_new(const struct server_settings *server, sd_event *loop,
    void (*look)(void *ctx, size_t *ret_up, bool *ret_busy), void *ctx)
{
	struct news *news = calloc(1, sizeof(*news));
	int error;

	if (!news)
		return NULL;
	news->server = server;
	news->look = look;
	news->ctx = ctx;
	error = sd_event_add_time(loop, &news->timer, CLOCK_MONOTONIC, 0, ACCURACY_US, on_timer, news);
	if (error >= 0)
		error = sd_event_source_set_enabled(news->timer, SD_EVENT_OFF);
	if (error < 0) {
		news_free(news);
		errno = -error;
		return NULL;
	}
	return news;
}

void
news_free(struct news *news)
{
	if (!news)
		return;
	sd_event_source_disable_unref(news->timer);
	free(news);
}

void
news_add(struct news *news, struct news_item *item)
{
	item->next = news->items;
	news->items = item;
	news->item_count += !item->guest;
}

void
news_remove(struct news *news, struct news_item *item)
{
	struct news_item **at = &news->items;

	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
	news->item_count -= !item->guest;
}

void
news_rebind(struct news *news, const struct server_settings *server)
{
	news->server = server;
}

void
news_change(struct news *news, struct news_item *item, struct report report)
{
	item->now = report;
	if (news->since_mono_ms != 0)
		return;
	news->since_mono_ms = clock_mono_ms();
	gather(news);
}

void
news_server_failed(struct news *news, const char *why)
{
	for (size_t i = 0; i < news->reason_count; i++)
		if (news->unreachable[i] == why)
			return;
	if (news->reason_count == REASONS_MAX)
		return;
	if (news->reason_count == 0)
		news->unreachable_since_mono_ms = clock_mono_ms();
	news->unreachable[news->reason_count++] = why;
	log_warning("server %s:%d: %s; trying again", news->server->host, news->server->port, why);
}

void
news_server_answered(struct news *news)
{
	if (news->reason_count == 0)
		return;
	news->reason_count = 0;
	news->back_after_ms = clock_mono_ms() - news->unreachable_since_mono_ms + 1;
}
