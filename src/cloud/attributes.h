/* The client attributes of one device: state, not events. The last value of each is known here as it is
 * printed, and goes up on each new connection and whenever it changes, until a PUBACK says that the server
 * has it. The cloud's thread.
 */
#ifndef CLOUD_ATTRIBUTES_H
#define CLOUD_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "model/difference.h"
#include "model/settings.h"
#include "model/value.h"

struct attributes;

/* For the points of kind attribute. Returns NULL when there is no memory. */
struct attributes *attributes_new(const struct device *device);
void attributes_free(struct attributes *attributes);

/* Go on where `from`, of the same device in older settings, has been: what is known of points that are the same, and what of it
 * is on its way. */
void attributes_adopt(struct attributes *attributes, struct attributes *from, const struct difference *difference);

/* The point has this value now. Returns 0, -EINVAL for a value that cannot be printed, -ENOMEM. */
int attributes_set(struct attributes *attributes, const struct point *point, const struct value *value);

/* Does the server lack something? */
bool attributes_due(const struct attributes *attributes);

/* Write the object with what the server lacks, as far as it fits, and take it as sent. Returns its length, or
 * 0 when there is nothing to send. */
size_t attributes_build(struct attributes *attributes, char *payload, size_t size);

void attributes_confirm(struct attributes *attributes); /* what was sent has arrived */
void attributes_unsend(struct attributes *attributes);	/* it has not: send it again */
void attributes_rewind(struct attributes *attributes);	/* a new connection: send all that is known */

#endif
