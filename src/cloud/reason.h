/* MQTT's reason codes: what each says in words, what a user can do about it, and what a session does next. Pure tables.
 *
 * Return codes 1..5 of a CONNACK of MQTT 3.1.1 (3.2.2.3) and codes from 128 of MQTT 5 (2.4), where ThingsBoard's use of them
 * differs as ThingsBoard uses them.
 */
#ifndef CLOUD_REASON_H
#define CLOUD_REASON_H

#include <stdbool.h>
#include <stddef.h>

#include "model/settings.h"

/* When a session is tried again that was refused or ended with a code. */
enum reaction {
	REACT_BACK_OFF,	   /* as after any failure */
	REACT_LET_UP,	   /* the server has had too much: not before a while */
	REACT_STAND_BACK,  /* somebody else has the session, who would lose it when we come: as late as we may */
	REACT_SELDOM,	   /* only a person can mend it */
	REACT_OTHER_VERSION, /* at once, with another version of MQTT */
};

struct reason {
	int code;
	enum reaction reaction;
	const char *text;	/* "not authorized" */
	const char *advice;	/* what to do, or NULL */
	bool about_credentials; /* what to do depends on these */
};

/* A code that nobody has defined has a row too. */
const struct reason *reason_find(int code);

/* Static. */
const char *reason_text(int code);

/* What a user can do, for a device with such credentials; NULL if nothing. Static. */
const char *reason_advice(const struct reason *reason, enum credentials_kind kind);

/* All rows, for tests. */
extern const struct reason reasons[];
extern const size_t reason_count;

/* MQTT 5 codes that the owners act upon. */
#define REASON_SESSION_TAKEN_OVER 0x8E
#define REASON_QUOTA_EXCEEDED	  0x97

/* What a PUBACK or a DISCONNECT with `code` may say of the message in flight; 0 is a connection that was closed without any. */
enum blame {
	BLAME_NONE,    /* nothing: another matter */
	BLAME_MAYBE,   /* it may be to blame */
	BLAME_MESSAGE, /* it is */
	BLAME_RATE,    /* there were too many of them */
};
enum blame reason_blame(int code);

#endif
