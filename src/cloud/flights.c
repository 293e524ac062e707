#include "cloud/flights.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
flights_init(struct flights *flights, int room)
{
	*flights = (struct flights){ .room = room, .list = calloc((size_t)room, sizeof(flights->list[0])) };
	return flights->list ? 0 : -ENOMEM;
}

void
flights_done(struct flights *flights)
{
	free(flights->list);
}

void
flights_adopt(struct flights *flights, struct flights *from)
{
	struct flights spare = *flights;

	if (from->count > flights->room) {
		*flights = *from;
		*from = spare;
		from->count = 0;
		return;
	}
	memcpy(flights->list, from->list, (size_t)from->count * sizeof(from->list[0]));
	flights->count = from->count;
}

void
flights_add(struct flights *flights, const struct flight *flight)
{
	assert(flights->count < flights->room);
	flights->list[flights->count++] = *flight;
}

bool
flights_land(struct flights *flights, int id, struct flight *ret)
{
	for (int i = 0; i < flights->count; i++)
		if (flights->list[i].id == id) {
			*ret = flights->list[i];
			flights->count--;
			memmove(&flights->list[i], &flights->list[i + 1],
			    (size_t)(flights->count - i) * sizeof(flights->list[0]));
			return true;
		}
	return false;
}

void
flights_range(const struct flights *flights, uint64_t *ret_first, uint64_t *ret_last)
{
	*ret_first = UINT64_MAX;
	*ret_last = 0;
	for (int i = 0; i < flights->count; i++) {
		const struct batch *batch = &flights->list[i].batch;

		if (batch->first_seq < *ret_first)
			*ret_first = batch->first_seq;
		if (batch->last_seq > *ret_last)
			*ret_last = batch->last_seq;
	}
}
