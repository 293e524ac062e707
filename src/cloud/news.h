/* What the log says about sessions: changes of state, gathered for a moment, and one line for many that share a fate. While
 * the server as a whole is away one line says so. Owned by the cloud's thread.
 */
#ifndef CLOUD_NEWS_H
#define CLOUD_NEWS_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "model/settings.h"

enum condition {
	CONDITION_NEW,
	CONDITION_UP,
	CONDITION_LOST,
	CONDITION_REFUSED,
	CONDITION_FAILED,
};

struct report {
	enum condition condition;
	const char *why;    /* text that stays, or NULL */
	const char *advice; /* the same: what a user can do */
};

/* Of one session, and inside it. Zero-initialise it but for the name. */
struct news_item {
	struct news_item *next;
	char *name; /* "device Boiler": whose it is; the session's, who frees it */
	bool guest; /* no device: it is not counted, and not told when it is up */
	struct report now, said;
};

struct news;

/* `look` tells how many sessions are up, and whether many are on their way: then news can wait a little longer. Returns NULL
 * with errno set. */
struct news *news_new(const struct server_settings *server, sd_event *loop,
    void (*look)(void *ctx, size_t *ret_up, bool *ret_busy), void *ctx);
void news_free(struct news *news);

/* The item must be there until the news are not, or it is removed. */
void news_add(struct news *news, struct news_item *item);
void news_remove(struct news *news, struct news_item *item);

/* The settings are others, in which the server is the same. */
void news_rebind(struct news *news, const struct server_settings *server);

void news_change(struct news *news, struct news_item *item, struct report report);

/* An attempt ended without any answer of an MQTT server, and no session is up; `why` is static; each is said once until the server answers. */
void news_server_failed(struct news *news, const char *why);

/* The server is there, whatever it said. */
void news_server_answered(struct news *news);

#endif
