/* Listens to a bus of serial instruments: bytes -> frames -> checksum -> whose it is -> values of its points.
 *
 * One thread, no I/O, no clock. Any bytes, in any chunks: bounded time and memory, and never a wrong value that the description
 * does not allow. Texts in values are valid UTF-8.
 */
#ifndef LINE_LISTENER_H
#define LINE_LISTENER_H

#include "line/frame.h"
#include "model/sample.h"
#include "model/settings.h"

/* What became of a frame. */
enum frame_verdict {
	FRAME_GOOD,
	FRAME_BAD_CHECKSUM,
	FRAME_NO_CHECKSUM, /* there is none where it should be */
	FRAME_NOBODYS,	   /* no device claims it */
	FRAME_EMPTY,	   /* a device claims it, but none of its points is in it */
	FRAME_WASTE,	   /* bytes that are no frame */
};

#define LISTENER_PRINTABLE_MAX 160

struct listener_counters {
	uint64_t bytes;
	uint64_t frames;       /* all of those below */
	uint64_t good;
	uint64_t bad_checksum; /* wrong or not there */
	uint64_t unmatched;    /* FRAME_NOBODYS and FRAME_EMPTY */
	uint64_t wasted_bytes; /* in no frame */
	uint64_t resyncs;      /* how often such were met */
	uint64_t values;
	uint64_t no_values;    /* found, but no value: "OL", out of range, invalid UTF-8 */
	char last_bad[LISTENER_PRINTABLE_MAX]; /* the last frame that was not good, or bytes in none; printable, "" if none */
	enum frame_verdict last_bad_verdict;
};

/* Told in this order: for a frame, first `frame`; if it proves itself, for each device on the bus `claim`, and after the claim
 * one `value` or `miss` for each of its points. All may be NULL. What is passed lives until the call returns. */
struct listener_sink {
	/* proven  its checksum is right, or none is asked for
	 * why     what is wrong with the checksum, or "" */
	void (*frame)(void *ctx, const struct line_frame *frame, bool proven, const char *why);
	/* Does the frame belong to the device? claimed: it was heard; else why not. */
	void (*claim)(void *ctx, const struct device *device, bool claimed, const char *why);
	/* A point's value, QUALITY_GOOD, or QUALITY_NO_VALUE with why there is none. The value is the receiver's; with NULL here it is
	 * freed. How often a value may go up is the business of whoever listens. */
	void (*value)(void *ctx, const struct point *point, enum quality quality, struct value *value, const char *why);
	/* The point is not in this frame, which is nothing bad. */
	void (*miss)(void *ctx, const struct point *point, const char *why);
	/* Bytes in no frame: the first `kept` of `length`. */
	void (*waste)(void *ctx, const uint8_t *bytes, size_t kept, uint64_t length, const char *why);
	void *ctx;
};

struct listener;

/* settings and bus live as long as the listener; bus_is_line(bus).
 * Returns 0; -ENOMEM; -EINVAL if a pattern is none. */
int listener_new(const struct settings *settings, const struct bus *bus, const struct listener_sink *sink,
    struct listener **ret);
void listener_free(struct listener *listener);

void listener_feed(struct listener *listener, const uint8_t *bytes, size_t length, int64_t now_mono_ms);
int64_t listener_deadline(const struct listener *listener); /* when listener_tick() is due; INT64_MAX = never */
void listener_tick(struct listener *listener, int64_t now_mono_ms);
void listener_end(struct listener *listener); /* nothing more comes: the file is at its end */

/* The port was opened anew. middle: as in framer_reset(). */
void listener_reset(struct listener *listener, bool middle);

void listener_counters(const struct listener *listener, struct listener_counters *ret);

/* Bytes as a person can read them: printable ASCII as it is, "\r", "\n", "\t", "\\", others as "\x1b"; cut with "..." Writes at
 * most `size` bytes, always terminated. Returns `text`. */
const char *line_printable(const uint8_t *bytes, size_t length, char *text, size_t size);

#endif
