/* All buses: one worker thread each. What this room is to the others.
 */
#ifndef FIELD_FIELD_H
#define FIELD_FIELD_H

#include "base/resolver.h"
#include "model/command.h"
#include "model/sample.h"
#include "model/settings.h"

struct field;

/* Plans every bus. The settings and the sinks' contexts must outlive it. The resolver pushes into queues of
 * the field: end with field_stop(), resolver_stop(), field_free(). Returns NULL with errno set. */
struct field *field_new(const struct settings *settings, struct resolver *resolver,
    struct sample_sink samples, struct outcome_sink outcomes);
void field_free(struct field *field);

/* Where commands go: to the worker of the bus of their point. Usable until field_free(). */
struct command_sink field_commands(struct field *field);

/* Start one thread a bus. Returns 0 or negative errno, with none left running. */
int field_start(struct field *field);

/* End all threads, side by side: a read in flight is given up, a write is waited for a second at most.
 * Commands that wait get OUTCOME_STOPPED; so do those that still come, in field_free(). */
void field_stop(struct field *field);

#endif
