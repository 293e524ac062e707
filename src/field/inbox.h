/* What others want of the worker of a bus: commands and questions. They ring the bell of its thread. Any thread may push; the
 * worker takes out. Commands that it leaves in for lack of room ring no more: before it sleeps it asks inbox_waits().
 */
#ifndef FIELD_INBOX_H
#define FIELD_INBOX_H

#include "base/fifo.h"
#include "field/thread.h"
#include "model/command.h"
#include "model/health.h"

/* A command in the queue. */
struct inbox_command {
	struct command command;
	bool more; /* another of the same push follows */
};

struct inbox {
	struct fifo *commands;	/* struct inbox_command */
	bool left;		/* the last look did not find the end of them; the worker's */
	struct fifo *questions; /* struct health_question */
};

/* The thread is initialised and stays so until inbox_done(). Returns 0 or negative errno; then inbox_done() is to follow all the
 * same, which is fine with an inbox of zeros. */
int inbox_init(struct inbox *inbox, const struct thread *thread, size_t commands_max);
void inbox_done(struct inbox *inbox);

/* Any thread. All or none. Returns 0, or -EBUSY. */
int inbox_push(struct inbox *inbox, const struct command *commands, size_t count);
int inbox_ask(struct inbox *inbox, const struct health_question *question);

/* Take out the oldest, if there is `room` for it. Returns false if there is none, or no room. */
bool inbox_command(struct inbox *inbox, size_t room, struct inbox_command *ret);

/* May some have been left in that there is room for now? */
bool inbox_waits(const struct inbox *inbox, size_t room);

/* Take out the oldest. Returns false if there is none. */
bool inbox_question(struct inbox *inbox, struct health_question *ret);

#endif
