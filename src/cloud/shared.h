/* Shared attributes: what the server wants points to be. A value stays wanted until the unit has it or has
 * refused it. Why it has not is told as the client attribute KEY_error, which is empty once all is well. The
 * cloud's thread.
 */
#ifndef CLOUD_SHARED_H
#define CLOUD_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/commands.h"
#include "cloud/downlink_port.h"
#include "cloud/tb_json.h"
#include "model/difference.h"
#include "model/sample.h"
#include "model/settings.h"

struct shared;

/* The settings and the commands must outlive it. Returns NULL when there is no memory. */
struct shared *shared_new(
    const struct settings *settings, struct downlink_port port, struct commands *commands);
void shared_free(struct shared *shared);

/* How many shared points has the device? */
size_t shared_count(const struct device *device);

/* Go on where `from`, of older settings and with the same commands, has been. Returns, by shared_is_news(),
 * for which devices the server is to be asked again: they have a shared point that is new or not the same. */
void shared_adopt(struct shared *shared, struct shared *from, const struct difference *difference);
bool shared_is_news(const struct shared *shared, size_t device);

/* Write the request for the shared attributes of a device into TB_MAX_PAYLOAD bytes, from the one at *from on; there are
 * more to be asked for while *from, the next, is less than shared_count(). What comes by an update from now on is newer
 * than the answer. Returns the length. */
size_t shared_request(struct shared *shared, size_t device, size_t *from, char *payload);

/* The answer to it, and an update: flat, or {"deleted":[..]}. */
void shared_response(struct shared *shared, size_t device, const struct tb_json *json);
void shared_update(struct shared *shared, size_t device, const struct tb_json *json);

/* A fresh sample: its unit answers, so what could not be written to it is tried again. */
void shared_sample(struct shared *shared, const struct sample *sample);

/* There is a session, or none any more. */
void shared_up(struct shared *shared, size_t device);
void shared_down(struct shared *shared, size_t device);

/* When shared_tick() is to be called, CLOCK_NEVER if it need not. */
int64_t shared_due_mono_ms(const struct shared *shared);
void shared_tick(struct shared *shared);

/* Somebody else's outcome has come, so that there is room for a command. */
void shared_room(struct shared *shared);

/* The point was set by other means, at the wish of someone who asked then: what was wanted before is not. */
void shared_overrule(struct shared *shared, const struct point *point, int64_t asked_mono_ms);

/* Nothing is wanted of the point until the server says so again. */
void shared_drop(struct shared *shared, const struct point *point);

struct shared_counts {
	uint64_t written;
	uint64_t refused; /* values that are none for their point */
};
struct shared_counts shared_counts(const struct shared *shared);

#endif
