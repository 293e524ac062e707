/* What came through the sieve (sieve.h) becomes what goes up: samples -> windows -> rows of the store, with the times that they are
 * to have there. Through which session that leaves is not known here. It watches the wall clock, since what was read before that
 * is set waits in the store for its time. The cloud's thread.
 */
#ifndef CLOUD_INTAKE_H
#define CLOUD_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/store.h"
#include "model/difference.h"
#include "model/sample.h"
#include "model/settings.h"

struct intake;

/* A client attribute that is to be reported: state, which no store holds. The sample stays the caller's. */
typedef void intake_attribute(void *ctx, const struct sample *sample);

/* Settings, store and ctx outlive it. Returns NULL when there is no memory. */
struct intake *intake_new(const struct settings *settings, struct store *store, intake_attribute *attribute, void *ctx);
void intake_free(struct intake *intake);

/* Other settings are to come: what is in windows that do not go on in them becomes rows. */
void intake_part(struct intake *intake, const struct difference *difference);

/* Go on where `from`, of older settings and with the same store, has been. Only intake_free() is left to do with `from`. */
void intake_adopt(struct intake *intake, struct intake *from, const struct difference *difference);

/* Take samples as they come. Their values stay the caller's. */
void intake_take(struct intake *intake, const struct sample *samples, size_t count);

/* A device that has something new to send, each once. Returns false when there is none. To be asked after each of the other
 * calls. */
bool intake_news(struct intake *intake, size_t *ret_device);

/* When intake_tick() has something to do, or CLOCK_NEVER: windows close, the wall clock is looked at. */
int64_t intake_due_mono_ms(const struct intake *intake);
void intake_tick(struct intake *intake, int64_t now_mono_ms);

/* The field has ended: what is in windows is all that there will be. */
void intake_flush(struct intake *intake);

bool intake_clock_is_set(const struct intake *intake);

/* Rows that could not be held: no memory, or larger than all of the store. */
uint64_t intake_unheld_rows(const struct intake *intake);

#endif
