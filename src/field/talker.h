/* Speaks: walks a conversation (field/talk.h) on the descriptor of a line. Fills in what is sent, sends it as fast as the line takes
 * it, knows when the last bit has left, changes the speed and puts it back at the end, and takes out what comes back on two wires.
 * Waits for nothing but RTS, where that switches a transceiver. One thread, the bus's worker.
 */
#ifndef FIELD_TALKER_H
#define FIELD_TALKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "field/talk.h"
#include "line/template.h"
#include "model/settings.h"

struct talker {
	const struct bus *bus;
	int fd;
	int baud; /* as the line has it now */
	struct talk talk;
	struct template_values values;
	bool broken; /* the line is gone: close it */

	bool sending;
	bool blocked; /* it takes no more for now: flow control, or a peer that does not read */
	size_t length;
	size_t written;
	size_t echoed; /* of what was written, how much came back, where the line has an echo */
	int64_t left_us;    /* its last bit should have left: look */
	int64_t shift_until_us; /* the driver is not asked any longer */
	int64_t give_up_us; /* it has not */
	uint64_t collisions; /* an echo that was not what had been sent */
	uint8_t bytes[TEMPLATE_BYTES_MAX];
};

void talker_init(struct talker *talker, const struct bus *bus);

/* The line was opened: it has the speed of its bus. */
void talker_opened(struct talker *talker, int fd);

/* Would it go out? Changes nothing of what is under way; nothing may be. */
enum template_fault talker_check(struct talker *talker, const struct bytes *template, const struct template_values *values);

/* Begin a conversation; `values` is copied, what it points to lives as long as that. */
void talker_begin(struct talker *talker, const struct script *script, int timeout_ms, int64_t frame_us,
    const struct template_values *values, int64_t now_us);

/* Go on. Returns 0 when it is over and all was well; -EAGAIN: again at talker_due_us(), when bytes came, or when the line takes more;
 * as talk->error; -EIO that what is to be sent does not leave; or a negative errno of the line, with `broken`. */
int talker_run(struct talker *talker, int64_t now_us);
int64_t talker_due_us(const struct talker *talker);
bool talker_is_blocked(const struct talker *talker);

/* It is over, or given up: the line gets its speed back. */
void talker_end(struct talker *talker);

/* How many of these bytes are the echo of what was sent, at their begin. */
size_t talker_echoed(struct talker *talker, const uint8_t *bytes, size_t length);

#endif
