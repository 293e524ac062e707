/* Commands on their way to the units of one bus: what is to be written or read once, ahead of polls, and what
 * came of it.
 *
 * Writes that were pushed together and touch are one request. A point that is only a part of its registers is
 * written by mask write (function 22) where its device says so, else by reading, changing and writing back; a
 * unit that refuses function 22 as illegal is remembered. What is to be verified is read back in a step of
 * its own, after the pause that the unit wants, so that others need not wait for it. A unit that is met for
 * the first time or answers again gets its on_connect values before anything else.
 *
 * It does no I/O and has no thread: it asks through struct writer_port. One thread, the bus's worker.
 */
#ifndef FIELD_WRITER_H
#define FIELD_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "field/link.h"
#include "field/pdu.h"
#include "model/command.h"
#include "model/difference.h"
#include "model/settings.h"

#define WRITER_COMMANDS_MAX   64 /* that wait at the same time */
#define WRITER_GREETING_TRIES 3	 /* of an on_connect value that gets no answer, until the unit is lost again \
				  */

struct writer;

/* How it reaches the units. */
struct writer_port {
	/* As link.h says for exchange(), and whoever has to know of the outcome knows it. May call
	 * writer_answered() and writer_lost(). */
	int (*ask)(void *ctx, const struct pdu_request *request, int timeout_ms, uint16_t *cells,
	    struct link_report *report);

	/* Nothing may be asked of the unit before; and from now on not before `until_us`, polls neither. */
	int64_t (*quiet_until_us)(void *ctx, int unit);
	void (*keep_quiet)(void *ctx, int unit, int64_t until_us);

	/* Does it count as not answering? */
	bool (*is_away)(void *ctx, int unit);

	/* The point holds a new value. */
	void (*written)(void *ctx, const struct point *point);
	void *ctx;
};

/* Returns NULL with errno set. */
struct writer *writer_new(const struct settings *settings, const struct bus *bus, struct writer_port port,
    struct outcome_sink outcomes);

/* What still waits gets OUTCOME_STOPPED. NULL is fine. */
void writer_free(struct writer *writer);

/* Go on where `from`, of the same bus in older settings, has been: it is left with nothing that waits. Commands for points
 * that are not the same any more get OUTCOME_STOPPED, with their old point. on_connect values that are the same are not
 * written again for it; those that are new or others are, when their unit answers next. */
void writer_adopt(struct writer *writer, struct writer *from, const struct difference *difference);

/* How many commands it can take now. */
size_t writer_room(const struct writer *writer);

/* Take a command, whose outcome then is the writer's business.
 * more  another of the same push follows */
void writer_take(struct writer *writer, const struct command *command, bool more);

/* Does something wait? */
bool writer_waits(const struct writer *writer);

/* Drop the commands whose time is over. */
void writer_expire(struct writer *writer);

/* Do the next step of the first command that may start now: a request, or a read and the write that depends
 * on it. Returns whether there was one. */
bool writer_run(struct writer *writer);

/* When there will be something to do, be it to drop what expires; CLOCK_NEVER. */
int64_t writer_due_us(const struct writer *writer);

/* The line is closed or we stop: answer everything that waits. */
void writer_refuse(struct writer *writer, enum outcome_status status, int error);

/* A valid frame came from the unit; it counts as lost. */
void writer_answered(struct writer *writer, int unit);
void writer_lost(struct writer *writer, int unit);

/* Are there values to be written before what the unit says counts? */
bool writer_greets(const struct writer *writer, int unit);

#endif
