/* When a line that could not be opened is tried again, and what people are told about it: once that it is gone and why, once that it is
 * back. A serial port that somebody watches for (field/hotplug.h) is tried when it appears and now and then; one that is
 * occupied or refuses, each second; a connection after pauses that double. Time is passed in; it logs. One thread.
 */
#ifndef FIELD_REOPEN_H
#define FIELD_REOPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "model/health.h"
#include "model/settings.h"

struct reopen {
	const struct bus *bus;
	bool told;     /* the log says that the bus cannot be opened */
	char why[HEALTH_WHY_MAX]; /* the last time */
	int error;     /* errno of the last failure to open, 0 after success */
	int error_before; /* of the one before it */
	int told_error;	  /* that the log speaks of */
	int pause_ms;  /* the last one */
	int64_t at_us; /* not opened before; while closed */
};

void reopen_init(struct reopen *reopen, const struct bus *bus, int64_t now_us);

/* It could not be opened, or nothing good came of it.
 * error    negative errno
 * watched  is somebody watching for it to come back? */
void reopen_failed(struct reopen *reopen, int error, bool watched, const char *what, int64_t now_us);

/* It was open since then, and good came of it: again at once, but not more often than after a failure, since a server may have one good
 * thing to say to each who connects. */
void reopen_lost(struct reopen *reopen, int64_t opened_us, int64_t now_us);

/* What was watched for is there, perhaps: it may want a moment for its links and rights. */
void reopen_soon(struct reopen *reopen, int64_t now_us);

/* It works: the next pause is a short one again. */
void reopen_well(struct reopen *reopen);

#endif
