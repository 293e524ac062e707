/* All buses: one worker thread each. What this room is to the others.
 */
#ifndef FIELD_FIELD_H
#define FIELD_FIELD_H

#include "base/resolver.h"
#include "model/command.h"
#include "model/sample.h"
#include "model/settings.h"

struct field;

/* Plans every bus. The settings, the resolver and the sinks' contexts must outlive it. Returns NULL with errno set. */
struct field *field_new(
    const struct settings *settings, struct resolver *resolver, struct sample_sink samples, struct outcome_sink outcomes);
void field_free(struct field *field);

/* Where commands go: to the worker of the bus of their point. Usable until field_free(). */
struct command_sink field_commands(struct field *field);

/* Start one thread a bus. Returns 0 or negative errno, with none left running. */
int field_start(struct field *field);

/* End all threads, side by side; a transaction in flight is finished or timed out first. Commands that wait get
 * OUTCOME_STOPPED. */
void field_stop(struct field *field);

#endif
