/* One bus at work: a thread that owns a link, polls what is due and executes commands ahead of polls.
 * Everything that it tells others goes into two sinks; everything that it says to people it says here, once a
 * change of state.
 */
#ifndef FIELD_BUS_H
#define FIELD_BUS_H

#include "field/link.h"
#include "model/command.h"
#include "model/difference.h"
#include "model/health.h"
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

/* Closes and frees a worker that does not run. NULL is fine. */
void bus_worker_free(struct bus_worker *worker);

/* Run, or go on after bus_worker_await(). Returns 0 or negative errno. */
int bus_worker_start(struct bus_worker *worker);

/* Tell the worker to end when the exchange in flight is over; or at once: a read in flight is given up, a write is waited for
 * a second at most. Its line stays open. To end several, tell all first. */
void bus_worker_tell_pause(struct bus_worker *worker);
void bus_worker_tell_stop(struct bus_worker *worker);

/* Wait until it has ended, or until `until_us` (CLOCK_NEVER: as long as it takes). Returns whether it has. */
bool bus_worker_await(struct bus_worker *worker, int64_t until_us);

/* It does not run and will not: close the line, keep what was learned, answer whatever waits with OUTCOME_STOPPED. */
void bus_worker_close(struct bus_worker *worker);

/* Neither runs. Go on where `from`, of the same bus in older settings, has been, with its line as it is. Commands whose points
 * are not the same get OUTCOME_STOPPED with their old point, at once. `from` is left to be freed. */
void bus_worker_adopt(
    struct bus_worker *worker, struct bus_worker *from, const struct difference *difference);

/* A report for bus_worker_ask(), `full` with room for all points. Returns NULL when there is no memory. */
struct health_bus *bus_worker_report(const struct bus_worker *worker, bool full);

/* Any thread. The worker answers between two transactions, a waiting one at once, one that is stopped when it is joined.
 * Returns 0, or -EBUSY with too many questions open: then the report is still the caller's. */
int bus_worker_ask(struct bus_worker *worker, const struct health_question *question);

/* How long the worker can be busy with one transaction, in ms, as long as everything that it calls returns in time. */
int bus_worker_busy_max_ms(const struct bus_worker *worker);

/* Any thread. As command.h says for the sink. */
int bus_worker_command(struct bus_worker *worker, const struct command *commands, size_t count);

#endif
