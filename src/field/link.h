/* A line as its bus sees it: something that is opened, asked and closed, one request at a time. Behind the
 * table may be libmodbus on a serial port or a socket (link_modbus.c), or a script (tests). One thread, the
 * bus's worker.
 *
 * Blame is split by sign: negative is ours or the line's (timeout, CRC, port gone), positive is the Modbus
 * exception that the unit answered. No call waits without bound, and every wait ends early, with -ECANCELED,
 * when the bus is to stop.
 */
#ifndef FIELD_LINK_H
#define FIELD_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "field/pdu.h"

#define LINK_STALE_MAX 4

struct link;

/* What else an exchange saw. */
struct link_report {
	bool sent;	       /* the request went out, at least in part */
	bool closed;	       /* the link closed itself to get back in step: open it again, at once */
	bool echoed;	       /* it came back before its reply */
	int64_t asked_mono_us; /* when it went out */
	int64_t done_mono_us;  /* reply complete */
	int64_t done_unix_ms;
	uint64_t noise_bytes; /* of no frame */
	uint64_t
	    stale_bytes; /* of sound frames that came when nobody had asked, or answered something else */
	int stale_units[LINK_STALE_MAX]; /* units that they seem to be of */
	int stale_count;
};

/* What a line has seen since it was made. */
struct link_counters {
	uint64_t noise_bytes;
	uint64_t stale_bytes;
	uint64_t echoes;     /* requests that came back and were stripped */
	uint64_t collisions; /* requests that came back as something else */
	/* of the UART, where its driver counts */
	uint64_t frame_errors;
	uint64_t parity_errors;
	uint64_t overruns;
	uint64_t breaks;
};

struct link_ops {
	/* Open it, or go on doing so. Ends early with -EAGAIN when `wake_fd` (-1: none) becomes readable or
	 * at `until_us`: call again to go on. Returns 0; -EAGAIN; -ECANCELED; negative errno, and fault() has
	 * the words. */
	int (*open)(struct link *link, int wake_fd, int64_t until_us);

	/* Close it, or give up opening it. Fine if it is closed. */
	void (*close)(struct link *link);

	/* What went wrong in opening: "/dev/ttyUSB0: No such file or directory". Valid until the next call.
	 */
	const char *(*fault)(struct link *link);

	/* When the next request may go out: a line wants its silence. Until then the worker may do something
	 * else. */
	int64_t (*ready_us)(const struct link *link);

	/* While nothing is asked: the descriptor to watch and for what (besides hang-up and errors). Of a
	 * line that could not be opened because it is not there: what says that it may be back; else -1. */
	int (*idle_fd)(const struct link *link, short *ret_events);

	/* The idle descriptor has something to say. Returns 0 if opening is worth a try; -ENOTCONN if the
	 * peer ended the connection, which it may: open it when it is needed; else negative errno: the line
	 * is gone. */
	int (*idle)(struct link *link);

	/* What is new about the line and should be said once, in words, or NULL. Valid until the next call.
	 */
	const char *(*news)(struct link *link);

	const struct link_counters *(*counters)(const struct link *link);

	/* Make one request and take its reply.
	 * cells  reads: request->count are written, only on success
	 * Returns 0; the exception 1..255; -ETIMEDOUT or -EBADMSG: no or no valid answer, the line can be
	 * used again; -EBUSY: nothing was sent, since the line never was quiet; -ETIME: nothing was sent,
	 * since by then request->send_by_mono_us was over; -ENOTCONN: nothing was sent,
	 * the peer had ended the connection: open it and ask again; -EINVAL: no such request; -ECANCELED: the
	 * bus is to stop; else negative errno: the line is gone, close it. */
	int (*exchange)(struct link *link, const struct pdu_request *request, int timeout_ms, uint16_t *cells,
	    struct link_report *report);

	/* The settings are others, in which `bus` says the same about the line. Fine whether it is open or not. */
	void (*rebind)(struct link *link, const struct bus *bus);

	void (*free)(struct link *link);
};

struct link {
	const struct link_ops *ops;

	/* Called by exchange() once the request has left: whatever can be done until the reply comes. Set by who calls exchange();
	 * NULL: nothing. */
	void (*meanwhile)(void *ctx);
	void *ctx;
};

#endif
