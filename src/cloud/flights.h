/* The telemetry messages of one device that wait for their PUBACK, oldest first. The cloud's thread. */
#ifndef CLOUD_FLIGHTS_H
#define CLOUD_FLIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/batch.h"

struct flight {
	int id;
	bool trial; /* alone, because what is in it is in doubt */
	int64_t sent_mono_ms;
	struct batch batch;
};

struct flights {
	struct flight *list;
	int count;
	int room;
};

/* Room for so many. Returns 0 or -ENOMEM. */
int flights_init(struct flights *flights, int room);
void flights_done(struct flights *flights);

/* Go on with those of `from`, which is left to flights_done(); its room, if it has more in it than there is here. */
void flights_adopt(struct flights *flights, struct flights *from);

/* There must be room. */
void flights_add(struct flights *flights, const struct flight *flight);

/* Take out the one with this id. Returns false if there is none. */
bool flights_land(struct flights *flights, int id, struct flight *ret);

/* The rows in all of them lie in *ret_first..*ret_last; there must be one. */
void flights_range(const struct flights *flights, uint64_t *ret_first, uint64_t *ret_last);

#endif
