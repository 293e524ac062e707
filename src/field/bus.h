/* One bus at work: a thread that owns a link, polls what is due and executes commands ahead of polls.
 * Everything that it tells others goes into two sinks; everything that it says to people it says here, once a
 * change of state.
 */
#ifndef FIELD_BUS_H
#define FIELD_BUS_H

#include "field/link.h"
#include "model/command.h"
#include "model/sample.h"
#include "model/settings.h"

#define BUS_COMMANDS_MAX 64 /* in the queue; as many again may wait for their unit to be ready */

/* A flood of commands does not stop the polls: after so many commands in a row, or so much time of them, a poll
 * that is due gets its turn. */
#define BUS_COMMANDS_IN_A_ROW 8
#define BUS_COMMAND_TIME_US   1000000

struct bus_worker;

/* Makes the link of a bus, which then belongs to the worker; its waits end when `stop_fd` becomes readable.
 * NULL with errno. */
struct link_maker {
	struct link *(*make)(void *ctx, const struct bus *bus, int stop_fd);
	void *ctx;
};

/* Plans the bus and makes its link. Returns NULL with errno set. */
struct bus_worker *bus_worker_new(const struct settings *settings, const struct bus *bus,
    struct link_maker maker, struct sample_sink samples, struct outcome_sink outcomes);

/* Frees a worker that does not run. Commands that still wait get OUTCOME_STOPPED. NULL is fine. */
void bus_worker_free(struct bus_worker *worker);

/* Returns 0 or negative errno. */
int bus_worker_start(struct bus_worker *worker);

/* Tell the worker to end, and wait until it has. To stop several, tell all first. */
void bus_worker_tell_stop(struct bus_worker *worker);
void bus_worker_join(struct bus_worker *worker);

/* Any thread. As command.h says for the sink. */
int bus_worker_command(struct bus_worker *worker, const struct command *commands, size_t count);

#endif
