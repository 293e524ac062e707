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

/* For the points of kind attribute, and `facts` more that are no points. Returns NULL when there is no memory. */
struct attributes *attributes_new(const struct device *device, size_t facts);
void attributes_free(struct attributes *attributes);

/* Go on where `from`, of the same device in older settings, has been: what is known of points that are the same, and what of it
 * is on its way. */
void attributes_adopt(struct attributes *attributes, struct attributes *from, const struct difference *difference);

/* The point has this value now. Returns 0, -EINVAL for a value that cannot be printed, -ENOMEM. */
int attributes_set(struct attributes *attributes, const struct point *point, const struct value *value);

/* The same for a fact, 0 and up. */
int attributes_set_fact(struct attributes *attributes, size_t fact, const char *key, const struct value *value);

/* Does the server lack something? */
bool attributes_due(const struct attributes *attributes);

struct attributes_message {
	size_t length;
	unsigned values; /* 0 = there is nothing to send */
	bool trial;	 /* it has one that is in doubt, alone */
};

/* Write the object with what the server lacks, as far as it fits, and take it as sent: so many values at most, and if there is
 * nothing else, one that is in doubt. */
struct attributes_message attributes_build(struct attributes *attributes, char *payload, size_t size, unsigned values_max);

void attributes_confirm(struct attributes *attributes); /* what was sent has arrived */
void attributes_unsend(struct attributes *attributes);	/* it has not: send it again */
void attributes_rewind(struct attributes *attributes);	/* a new connection: send all that is known */

/* The server closed the connection on what was sent, or refused it: each of it is in doubt now, and goes alone.
 * proven  it is one that was in doubt already, and others were taken: the third time it is dropped until its value changes, as
 *         with `for_good` if it is alone
 * Returns the `"key":value` that was dropped, until the next call, with its length; or NULL. */
const char *attributes_doubt(struct attributes *attributes, bool proven, bool for_good, size_t *ret_length);

#endif
