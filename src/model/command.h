/* A wanted read or write of one point, and what came of it. The cloud pushes commands into one sink, the field pushes
 * outcomes into the other; every command that was taken gets exactly one outcome.
 */
#ifndef MODEL_COMMAND_H
#define MODEL_COMMAND_H

#include "model/settings.h"
#include "model/value.h"

#include <stddef.h>
#include <stdint.h>

enum command_kind {
	COMMAND_READ,           /* read now, not from memory */
	COMMAND_WRITE,
	COMMAND_WRITE_CHANGED,  /* read, and write if the registers would change */
};

struct command {
	enum command_kind kind;
	const struct point *point; /* of the settings, or one with index POINT_AD_HOC that lives until the outcome is pushed */
	struct value value;       /* writes: checked with codec_encode(); owned */
	int64_t expires_mono_ms;  /* not started by then: dropped, with OUTCOME_EXPIRED */
	uint64_t tag;             /* comes back in the outcome; the field does not read it */
};

enum outcome_status {
	OUTCOME_DONE,      /* the unit said so */
	OUTCOME_UNCHANGED, /* COMMAND_WRITE_CHANGED: the registers hold it already */
	OUTCOME_DIFFERENT, /* the unit said so, and then holds something else: `value` */
	OUTCOME_UNVERIFIED, /* the unit said so, but could not be read back: `exception` or `error` */
	OUTCOME_EXCEPTION, /* the unit refused: `exception`; an instrument: that is all we know */
	OUTCOME_REFUSED,   /* the value cannot be written: `fault` */
	OUTCOME_TIMEOUT,   /* sent, no valid reply: it may or may not have been done */
	OUTCOME_OFFLINE,   /* not sent: the bus is not open */
	OUTCOME_AWAY,      /* nothing written: the unit does not answer, neither to what has to be read before */
	OUTCOME_EXPIRED,   /* not sent: its time was over */
	OUTCOME_STOPPED,   /* not sent: the gateway is stopping or takes over other settings, or a queue is full */
};

struct outcome {
	enum outcome_status status;
	const struct point *point;
	uint64_t tag;
	int exception;      /* OUTCOME_EXCEPTION: code 1..255 */
	int fault;          /* OUTCOME_REFUSED: enum codec_fault */
	struct value value; /* DONE, UNCHANGED, DIFFERENT: what was read, or written as the registers hold it; owned */
	int error;          /* OFFLINE: the errno that says why, or 0; TIMEOUT, UNVERIFIED: ETIMEDOUT, EBADMSG, EIO..., or 0 */
};

#define COMMAND_GROUP_MAX 32 /* commands of one push */

/* Takes 1..COMMAND_GROUP_MAX commands for points of one bus: all or none. Writes of one push whose points touch are made in
 * one request; each command has its own outcome nevertheless. Returns 0, and they are taken; -EBUSY if the queue has no room
 * for all. Never waits. Called from the cloud's thread. */
struct command_sink {
	int (*push)(void *ctx, const struct command *commands, size_t count);
	void *ctx;
};

/* Takes one outcome. Returns 0, and it is taken; -EBUSY if the queue is full. Called from the threads of the buses. */
struct outcome_sink {
	int (*push)(void *ctx, const struct outcome *outcome);
	void *ctx;
};

#define OUTCOME_TEXT_MAX 512

/* What an outcome other than DONE and UNCHANGED means, in words for people: "unit 3 refused: exception 2 (illegal data
 * address)". Writes at most `size` bytes, always terminated. */
void outcome_text(const struct outcome *outcome, enum command_kind kind, char *text, size_t size);

#endif
