/* The commands of a bus of serial instruments that wait or are under way, and what comes of them: every one that was taken has
 * exactly one outcome. Writes go one after the other, in their order. A read waits for the next value of its point: that of the
 * next poll, or what the instrument says by itself; never for one that is there already. Time is passed in; no I/O. One thread.
 */
#ifndef FIELD_ERRANDS_H
#define FIELD_ERRANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/command.h"
#include "model/difference.h"

#define ERRANDS_MAX 64

struct errand {
	struct command command;
	bool started; /* it is being written, or its device is being asked */
	bool unasked; /* an on_connect value: nobody waits for its outcome */
};

struct errands {
	const struct bus *bus;
	struct outcome_sink outcomes;
	uint64_t refused;
	struct errand items[ERRANDS_MAX]; /* oldest first */
	size_t count;
};

void errands_init(struct errands *errands, const struct bus *bus, struct outcome_sink outcomes);

size_t errands_room(const struct errands *errands);

/* Take one over. There is room. */
void errands_take(struct errands *errands, const struct command *command);

/* The values of a device's on_connect are written like commands, with a word to people if that fails: as many as there is room for,
 * from `from` on. Returns where to go on, on_connect_count if that was all. */
size_t errands_greet(struct errands *errands, const struct device *device, size_t from);

/* The oldest write that has not started, or NULL. Valid until the next call. */
struct errand *errands_next_write(struct errands *errands);

/* The write that was started is over; so says `outcome`, whose value is taken over. */
void errands_finish_write(struct errands *errands, struct outcome *outcome);

/* Is a read for a point of the device waiting that nobody has begun? Then it is begun now. */
bool errands_begin_reads(struct errands *errands, const struct device *device);

/* The point has a new value, QUALITY_GOOD, or none: reads are over that wait for it. */
void errands_value(struct errands *errands, const struct point *point, enum outcome_status status, const struct value *value);

/* The device was asked, and that is over: begun reads of its points that have no value yet get none. */
void errands_end_reads(struct errands *errands, const struct device *device, enum outcome_status status, int error);

/* Drop those whose time is over. */
void errands_expire(struct errands *errands, int64_t now_ms);

/* When that is; CLOCK_NEVER. */
int64_t errands_due_ms(const struct errands *errands);

/* Take over what waits in `from`, of older settings; what has no place here gets OUTCOME_STOPPED. */
void errands_adopt(struct errands *errands, struct errands *from, const struct difference *difference);

/* The line is closed or we stop. All that have not started, or `all`. */
void errands_refuse(struct errands *errands, enum outcome_status status, int error, bool all);

#endif
