/* A bus of serial instruments at work: a thread that owns a serial port, a connection to a device server or a file, listens to what
 * comes, polls what is polled, and executes commands ahead of polls. Everything that it tells others goes into two sinks;
 * everything that it says to people it says here, once a change of state.
 */
#ifndef FIELD_SERIAL_BUS_H
#define FIELD_SERIAL_BUS_H

#include "base/resolver.h"
#include "model/command.h"
#include "model/difference.h"
#include "model/health.h"
#include "model/sample.h"
#include "model/settings.h"

#define SERIAL_BUS_COMMANDS_MAX 64 /* in the queue; ERRANDS_MAX more may wait for their turn */

struct serial_bus;

/* bus_is_line(bus). The resolver is needed for a device server only. Returns NULL with errno set. */
struct serial_bus *serial_bus_new(const struct settings *settings, const struct bus *bus, struct resolver *resolver,
    struct sample_sink samples, struct outcome_sink outcomes);

/* Closes and frees one that does not run. NULL is fine. */
void serial_bus_free(struct serial_bus *self);

/* Run, or go on after serial_bus_await(). Returns 0 or negative errno. */
int serial_bus_start(struct serial_bus *self);

/* Tell it to end when the conversation under way is over, which is given up after a second. Its line stays open; or it is to be
 * closed, and on_close is spoken. To end several, tell all first. */
void serial_bus_tell_pause(struct serial_bus *self);
void serial_bus_tell_stop(struct serial_bus *self);
void serial_bus_tell_close(struct serial_bus *self);

/* Wait until it has ended, or until `until_us` (CLOCK_NEVER: as long as it takes). Returns whether it has. */
bool serial_bus_await(struct serial_bus *self, int64_t until_us);

/* It does not run and will not: close the line, answer whatever waits with OUTCOME_STOPPED. */
void serial_bus_close(struct serial_bus *self);

/* Neither runs. Go on where `from`, of the same bus in older settings, has been, as bus_worker_adopt() has it. */
void serial_bus_adopt(struct serial_bus *self, struct serial_bus *from, const struct difference *difference);

/* As bus.h says for bus_worker_report() and the like. An instrument that has no Modbus address is the unit -1. */
struct health_bus *serial_bus_report(const struct serial_bus *self, bool full);
int serial_bus_ask(struct serial_bus *self, const struct health_question *question);
int serial_bus_busy_max_ms(const struct serial_bus *self);

/* Any thread. As command.h says for the sink. */
int serial_bus_command(struct serial_bus *self, const struct command *commands, size_t count);

#endif
