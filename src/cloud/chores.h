/* What the server asks of the gateway itself, by RPC to its own device: status, reload, loglevel. The cloud's thread understands
 * the request and hands it on as a chore for the main thread; what comes back is the reply. Whatever cannot be done is answered
 * in words. Owned by the cloud's thread.
 */
#ifndef CLOUD_CHORES_H
#define CLOUD_CHORES_H

#include <stddef.h>
#include <stdint.h>

#include "cloud/downlink_port.h"
#include "model/health.h"

#define CHORES_MAX	8 /* that wait to be done, and to be told */
#define CHORE_TEXT_MAX 32

enum chore_kind { CHORE_STATUS, CHORE_RELOAD, CHORE_LOG_LEVEL, CHORE_KINDS };

struct chore {
	enum chore_kind kind;
	int64_t id;		    /* of the request */
	unsigned connection;	    /* that it came on */
	char text[CHORE_TEXT_MAX]; /* the level */
};

/* The reply: JSON on the heap, which belongs to who has this. */
struct chore_done {
	int64_t id;
	unsigned connection;
	char *text;
	size_t length;
};

struct chores;

/* `device` is the gateway's. Returns NULL when there is no memory. */
struct chores *chores_new(size_t device, struct downlink_port port);
void chores_free(struct chores *chores);

/* Go on in other settings, on the connections that `from` had. */
void chores_adopt(struct chores *chores, struct chores *from);

/* Its session is up anew: replies to what was asked before go nowhere. */
void chores_up(struct chores *chores);

/* An RPC request came. */
void chores_request(struct chores *chores, int64_t id, const void *payload, size_t length);

/* A chore is done. Takes the text. */
void chores_tell(struct chores *chores, struct chore_done *done);

/* How many requests came, and how many were answered with an error here. */
void chores_health(const struct chores *chores, struct health_device *ret);

#endif
