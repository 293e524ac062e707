/* What to make of rows on which the server closed the connection, or which it refused: poison, or a server that just went away?
 *
 * The rule. What was in flight when the server closed is sent again, one message at a time and in order. That ends it, if it was
 * the server that went. A message that is closed on alone DOUBT_CLOSINGS times in a row is suspected: only now order is given up,
 * what is behind it goes first, and the suspect is tried alone, on a connection on which another message with values of the same
 * device was acknowledged before. Only then does it count when the server closes on it, or never acknowledges it. A suspect of
 * more than one value is halved then; a single value is set aside the third time, and so is at once what the server itself calls malformed or too large (MQTT 5). A
 * server that is down, restarts, or takes nothing at all acknowledges nothing else, so nothing is ever set aside for its sake.
 *
 * This is what decides, for one device: pure, time is passed in. Zero-initialise it.
 */
#ifndef CLOUD_DOUBT_H
#define CLOUD_DOUBT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/batch.h"

#define DOUBT_CLOSINGS 4 /* of a message alone; a line that breaks now and then does not do that */
#define DOUBT_STRIKES  3 /* of a single value */

enum doubt_state {
	DOUBT_NONE,
	DOUBT_ALONE,   /* first_seq..last_seq go one message at a time */
	DOUBT_SUSPECT, /* the message at first_seq is to blame: others go before it */
};

struct doubt {
	enum doubt_state state;
	uint64_t first_seq, last_seq;
	bool control;	     /* on this connection another message was acknowledged */
	unsigned strikes;    /* against the piece that is tried, or the message that goes alone */
	unsigned waits;	     /* how often the wait before the next try was doubled */
	size_t rows_max;     /* of the piece; 0 = what fits */
	unsigned values_max; /* the same */
	/* What is not in doubt goes carefully meanwhile, for it may be the size that is wrong, or the rate: */
	size_t wary_rows;	 /* of a message, from 1 on; doubled when one arrives */
	unsigned wary_values; /* once a single row was too much; 0 = what fits */
	int64_t pace_ms;
	int64_t retry_mono_ms; /* the next try */
	bool halved;	       /* it was cut ... */
	bool found;	       /* ... and poison was found; or not: */
	unsigned passed_max;   /* values of the largest piece that passed since */
};

/* What is to be done with a message that did not arrive. */
enum doubt_verdict {
	DOUBT_RETRY,	 /* nothing is proven: it is still in doubt */
	DOUBT_SET_ASIDE, /* it is a single value, and poison */
};

/* A new connection. A suspect is tried on it when it has stood for pace_ms, longer after each try that did not help. */
void doubt_up(struct doubt *doubt, int64_t pace_ms, int64_t now_mono_ms);

/* The connection ended by the server's doing, or because a PUBACK never came, with rows first_seq..last_seq unacknowledged.
 * alone  they were this message; NULL if there were several
 * trial  it was sent alone because it is in doubt */
enum doubt_verdict doubt_closed(
    struct doubt *doubt, uint64_t first_seq, uint64_t last_seq, const struct batch *alone, bool trial);

/* The server refused a message by a reason, and keeps the connection (MQTT 5).
 * for_good  the reason finds fault with the message itself */
enum doubt_verdict doubt_refused(
    struct doubt *doubt, const struct batch *batch, bool trial, bool for_good, int64_t now_mono_ms);

/* A message was acknowledged. */
void doubt_acked(struct doubt *doubt, const struct batch *batch, bool trial);

/* What is in doubt has been dealt with up to this row: go on with it, or end.
 * Returns 0, or at the end how many values a message may have if only its size was wrong. */
unsigned doubt_advance(struct doubt *doubt, uint64_t next_seq);

/* Poison was set aside: what is left of what was in doubt is whole again. */
void doubt_found(struct doubt *doubt);

/* May the suspect be tried? */
bool doubt_may_try(const struct doubt *doubt, int64_t now_mono_ms);

#endif
