/* What differs between two configurations, and what of the new one goes on from the old one: the base of a reload. Things are
 * the same by name, devices by name and key: their order and their place in the file do not matter. Pure; any thread.
 *
 * Both settings must outlive it.
 */
#ifndef MODEL_DIFFERENCE_H
#define MODEL_DIFFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/settings.h"

struct difference;

struct difference_count {
	size_t added;
	size_t changed; /* there is one of that name in both, and something about it is another */
	size_t unchanged;
	size_t removed;
};

/* Returns NULL when there is no memory. */
struct difference *difference_new(const struct settings *from, const struct settings *to);
void difference_free(struct difference *difference);

const struct settings *difference_from(const struct difference *difference);
const struct settings *difference_to(const struct difference *difference);

/* What a thing of the new settings was in the old ones; NULL if there was none, or not the same.
 * bus     the same line: nothing about it has changed
 * device  the same identity: name and credentials, but for password and key; whatever else about it may have changed
 * point   the same values: nothing about it has changed, nor about its bus; of a device of the same name */
const struct bus *difference_bus(const struct difference *difference, const struct bus *bus);
const struct device *difference_device(const struct difference *difference, const struct device *device);
const struct point *difference_point(const struct difference *difference, const struct point *point);

/* The other way round: what a thing of the old settings is in the new ones, or NULL. */
const struct device *difference_device_now(const struct difference *difference, const struct device *device);
const struct point *difference_point_now(const struct difference *difference, const struct point *point);

/* A value that was read from or is meant for a point of the old settings goes on with `point`, which is the same: its labels
 * then belong to the new ones. Returns 0; -ENOMEM, with the value as it was. */
int difference_carry(const struct point *point, struct value *value);

/* A device has changed with anything that it says, with its points, and with the bus that these are on. */
struct difference_count difference_buses(const struct difference *difference);
struct difference_count difference_devices(const struct difference *difference);

/* Is the server another one, or is it to be spoken to in another way? Then all sessions are to be made anew. */
bool difference_sessions(const struct difference *difference);

/* Is anything about these another? */
bool difference_server(const struct difference *difference);
bool difference_store(const struct difference *difference);
bool difference_clock(const struct difference *difference);

/* Nothing at all is another. */
bool difference_is_none(const struct difference *difference);

#define DIFFERENCE_TEXT_MAX 256

/* "devices: 2 added, 1 changed, 38 unchanged, 0 removed; buses: ...; server changed", always terminated. Returns `text`. */
const char *difference_text(const struct difference *difference, char *text, size_t size);

#endif
