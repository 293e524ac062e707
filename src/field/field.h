/* All buses: one worker thread each. What this room is to the others.
 */
#ifndef FIELD_FIELD_H
#define FIELD_FIELD_H

#include "base/resolver.h"
#include "model/command.h"
#include "model/difference.h"
#include "model/health.h"
#include "model/sample.h"
#include "model/settings.h"

struct field;

/* How long field_pause() waits for exchanges in flight; a write has a second more. */
#define FIELD_PAUSE_MS 1000

/* Plans every bus. The settings, the resolver and the sinks' contexts must outlive it. Returns NULL with errno set. */
struct field *field_new(const struct settings *settings, struct resolver *resolver,
    struct sample_sink samples, struct outcome_sink outcomes);
void field_free(struct field *field);

/* Where commands go: to the worker of the bus of their point. Usable until field_free(). */
struct command_sink field_commands(struct field *field);

/* As bus.h says for bus_worker_report() and the like. `bus` is its index. */
struct health_bus *field_report(const struct field *field, size_t bus, bool full);
int field_ask(struct field *field, size_t bus, const struct health_question *question);
int field_busy_max_ms(const struct field *field, size_t bus);

/* Start one thread a bus, or go on after field_pause(). Returns 0 or negative errno, with none left running. */
int field_start(struct field *field);

/* End all threads, side by side: a read in flight is given up, a write is waited for a second at most. Lines are closed.
 * Commands that wait get OUTCOME_STOPPED; so do those that still come, in field_free().
 * Returns false if a thread has not ended then, because a call of its driver does not come back: it still has its line, and nothing
 * that it uses may be freed. */
bool field_stop(struct field *field, int64_t until_mono_us);

/* End all threads between two exchanges, with lines open and commands waiting. What takes longer than FIELD_PAUSE_MS is given
 * up as by field_stop(): a read is made again, once its answer cannot come any more. */
void field_pause(struct field *field);

/* Neither runs. A new field, of other settings, goes on where `from` has been: lines that are the same stay open, points that
 * are the same are due when they were. What of `from` has no place in it ends as by field_stop(); outcomes of that have
 * their old points. Only field_free() is left to do with `from`. */
void field_adopt(struct field *field, struct field *from, const struct difference *difference);

#endif
