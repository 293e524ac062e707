#include "field/talker.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "field/line.h"
#include "field/serial.h"

/* What should have left has so much longer to do so, before it is taken as stuck. */
#define LEAVE_GRACE_US 1000000
#define LEAVE_LOOK_US  2000
/* A driver that says for longer than this that something is left in its shift register does not know. */
#define SHIFT_GRACE_US 100000

void
talker_init(struct talker *talker, const struct bus *bus)
{
	talker->bus = bus;
	talker->fd = -1;
	talker->baud = bus->baud;
	talker->sending = talker->blocked = talker->broken = false;
	talker->collisions = 0;
	talker->written = talker->echoed = talker->length = 0;
}

void
talker_opened(struct talker *talker, int fd)
{
	uint64_t collisions = talker->collisions;

	talker_init(talker, talker->bus);
	talker->collisions = collisions;
	talker->fd = fd;
}

enum template_fault
talker_check(struct talker *talker, const struct bytes *template, const struct template_values *values)
{
	size_t length;

	talker->written = talker->echoed = 0;
	return template_fill(template, values, talker->bytes, &length);
}

void
talker_begin(struct talker *talker, const struct script *script, int timeout_ms, int64_t frame_us,
    const struct template_values *values, int64_t now_us)
{
	talker->values = *values;
	talker->sending = talker->blocked = false;
	talk_begin(&talker->talk, script, timeout_ms, frame_us, now_us);
}

/* --- speed --- */

static int
set_baud(struct talker *talker, int baud)
{
	int error = 0;

	if (baud != talker->baud && line_is_serial(talker->bus))
		error = serial_set_baud(talker->fd, baud);
	if (error == 0)
		talker->baud = baud;
	return error;
}

void
talker_end(struct talker *talker)
{
	talker->sending = talker->blocked = false;
	(void)set_baud(talker, talker->bus->baud);
}

/* --- sending --- */

/* Write what the line takes. MSG_NOSIGNAL is for sockets; SIGPIPE is blocked in this thread anyway. */
static int
write_more(struct talker *talker)
{
	while (talker->written < talker->length) {
		ssize_t put =
		    write(talker->fd, talker->bytes + talker->written, talker->length - talker->written);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno != EAGAIN)
			return -errno;
		talker->blocked = put < 0;
		if (put < 0)
			return 0;
		talker->written += (size_t)put;
	}
	return 0;
}

/* Where RTS switches the transceiver the line is ours until it is switched back. */
static int
write_switched(struct talker *talker, int64_t wire_us)
{
	int error = serial_begin_send(talker->bus, talker->fd);

	if (error == 0)
		error = write_more(talker);
	if (serial_end_send(talker->bus, talker->fd, error == 0 ? wire_us : 0) != 0 && error == 0)
		error = -EIO;
	return error;
}

static int
begin_sending(struct talker *talker, int64_t now_us)
{
	const struct line_step *step = talk_step(&talker->talk);
	int64_t wire_us;
	int error;

	if (template_fill(&step->send, &talker->values, talker->bytes, &talker->length) != TEMPLATE_OK)
		return -EINVAL;
	wire_us = line_chars_at_us(talker->bus, talker->baud, talker->length);
	talker->sending = true;
	talker->blocked = false;
	talker->written = talker->echoed = 0;
	talker->left_us = now_us + wire_us;
	talker->shift_until_us = talker->left_us + SHIFT_GRACE_US;
	talker->give_up_us = talker->left_us + LEAVE_GRACE_US;
	talker->talk.sent = true;
	error = line_is_serial(talker->bus) ? write_switched(talker, wire_us) : write_more(talker);
	if (error != 0)
		talker->broken = true;
	return error;
}

/* Returns 0 when all has left, -EAGAIN while not. */
static int
go_on_sending(struct talker *talker, int64_t now_us)
{
	int error = write_more(talker);

	if (error != 0) {
		talker->broken = true;
		return error;
	}
	if (talker->written < talker->length)
		return now_us < talker->give_up_us ? -EAGAIN : -EIO;
	if (now_us < talker->left_us)
		return -EAGAIN;
	if (line_is_serial(talker->bus) && !serial_has_left(talker->fd) && now_us < talker->shift_until_us) {
		talker->left_us = now_us + LEAVE_LOOK_US;
		return -EAGAIN;
	}
	talker->sending = false;
	return 0;
}

bool
talker_is_blocked(const struct talker *talker)
{
	return talker->sending && talker->blocked;
}

size_t
talker_echoed(struct talker *talker, const uint8_t *bytes, size_t length)
{
	size_t count = 0;

	if (talker->bus->echo != ECHO_STRIP)
		return 0;
	while (count < length && talker->echoed < talker->written) {
		if (bytes[count] != talker->bytes[talker->echoed]) {
			talker->collisions++;
			talker->echoed = talker->written;
			break;
		}
		talker->echoed++;
		count++;
	}
	return count;
}

/* --- walking --- */

static int
send_step(struct talker *talker, int64_t now_us)
{
	int error = talker->sending ? 0 : begin_sending(talker, now_us);

	if (error == 0)
		error = go_on_sending(talker, now_us);
	if (error == 0)
		talk_go_on(&talker->talk, now_us);
	return error;
}

int
talker_run(struct talker *talker, int64_t now_us)
{
	int error = 0;

	while (error == 0) {
		switch (talk_want(&talker->talk, now_us)) {
		case TALK_BAUD:
			error = set_baud(talker, talk_step(&talker->talk)->baud);
			talk_go_on(&talker->talk, now_us);
			break;
		case TALK_SEND:
			error = send_step(talker, now_us);
			break;
		case TALK_WAIT:
			return -EAGAIN;
		case TALK_DONE:
			return 0;
		case TALK_FAILED:
			return talker->talk.error;
		}
	}
	return error;
}

int64_t
talker_due_us(const struct talker *talker)
{
	if (!talker->sending)
		return talk_until_us(&talker->talk);
	if (talker->blocked)
		return talker->give_up_us;
	return talker->left_us;
}
