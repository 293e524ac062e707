/* MQTT's reason codes in words, and what a refused CONNECT means for the next attempt. Pure tables. */
#ifndef CLOUD_REASON_H
#define CLOUD_REASON_H

#include <stdbool.h>

enum refusal {
	REFUSED_TOKEN,	 /* only a person can mend it: wait long */
	REFUSED_VERSION, /* the server does not speak our version of MQTT */
	REFUSED_FOR_NOW, /* busy, rate limited, down: wait as for any failure */
};

/* What a CONNACK with `code` refuses: MQTT 3.1.1 return codes 1..5, MQTT 5 reason codes from 128. */
enum refusal reason_refusal(int code);

/* "not authorized", "session taken over": for return codes 1..5 of a 3.1.1 CONNACK and MQTT 5 codes from 128.
 * Static. */
const char *reason_text(int code);

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
