/* Which devices are there: one whose units have all been silent for offline_after_s is not, until one of them answers. A device
 * that is not there has no session, so that ThingsBoard shows it inactive. Pure: time is passed in; the cloud's thread.
 */
#ifndef CLOUD_PRESENCE_H
#define CLOUD_PRESENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/difference.h"
#include "model/sample.h"
#include "model/settings.h"

struct presence;

/* All are there to begin with. Returns NULL when there is no memory. */
struct presence *presence_new(const struct settings *settings);
void presence_free(struct presence *presence);

/* Go on where `from` of older settings has been. */
void presence_adopt(struct presence *presence, const struct presence *from, const struct difference *difference);

/* What the field says of a point, good or not. */
void presence_sample(struct presence *presence, const struct sample *sample);

bool presence_is_there(const struct presence *presence, size_t device);

/* A device that came or went, each once. Returns false when there is none. */
bool presence_news(struct presence *presence, size_t *ret_device);

/* When presence_tick() has something to do, or CLOCK_NEVER. */
int64_t presence_due_mono_ms(const struct presence *presence);
void presence_tick(struct presence *presence, int64_t now_mono_ms);

#endif
