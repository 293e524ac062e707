/* The line: open or closed, what is read from it, and waiting for it. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "field/serial_bus_state.h"

#define CHUNK_MAX 4096
/* Between two looks for bytes, so that a port which babbles wakes us 250 times a second at most, for a chunk each. It is what a
 * frame's time may be late. */
#define LOOK_PAUSE_US 4000
/* A connection that was just lost may be back at once: a command waits so long for it before it is told "offline". */
#define OPEN_GRACE_US 300000
/* Waking so much later than wanted is not the doing of a busy machine. */
#define STANDSTILL_US	  2000000
#define STANDSTILL_CHUNKS 1024 /* that may have come meanwhile */

/* --- open or closed --- */

void
serial_bus_line_fruit(struct serial_bus *self)
{
	self->fruitful = true;
	reopen_well(&self->reopen);
}

void
serial_bus_line_close(struct serial_bus *self, int error)
{
	int64_t now_us = clock_mono_us();

	if (self->owner != OWNER_NOBODY)
		serial_bus_talk_finish(self, error);
	serial_bus_line_count_errors(self);
	port_close(self->port);
	self->open = false;
	self->closed_us = now_us;
	if (self->fruitful) {
		reopen_lost(&self->reopen, self->opened_us, now_us);
		return;
	}
	reopen_failed(&self->reopen, error, port_watch_fd(self->port) >= 0, strerror(-error), now_us);
	instruments_closed(&self->instruments);
}

static void
note_open(struct serial_bus *self)
{
	int64_t now_us = clock_mono_us();

	self->open = true;
	self->opened++;
	self->opened_us = now_us;
	self->fruitful = false;
	self->reopen.error = 0;
	if (self->bus->type == BUS_SERIAL)
		reopen_well(&self->reopen);
	listener_reset(self->listener, self->bus->type != BUS_FILE && !self->instruments.all_polled);
	talker_opened(&self->talker, port_fd(self->port));
	if (self->bus->type == BUS_SERIAL && serial_read_errors(port_fd(self->port), &self->errors_seen) != 0)
		self->errors_seen = (struct serial_errors){ .frame = 0 };
	instruments_opened(&self->instruments, now_us);
	self->readable = false;
	self->look_us = self->came_us = self->settle_us = now_us;
	self->ready_us = now_us + (self->bus->type == BUS_SERIAL_TCP ? (int64_t)self->bus->connect_pause_ms * 1000 : 0);
	serial_bus_talk_greet_again(self, 0);
}

/* Wait for one of `events`, for what others want, or until then. Returns what port_wait() does. */
static int
wait_line(struct serial_bus *self, int fd, short events, int64_t until_us)
{
	int ready;

	if (inbox_waits(&self->inbox, errands_room(&self->errands)))
		return -EAGAIN;
	ready = port_wait(fd, events, thread_bell_fd(&self->thread), thread_stop_fd(&self->thread), until_us);
	if (ready == -EAGAIN)
		thread_still_bell(&self->thread);
	return ready;
}

void
serial_bus_line_open(struct serial_bus *self)
{
	int64_t grace_us = self->closed_us + OPEN_GRACE_US;
	int64_t now_us = clock_mono_us();
	bool waits;
	int error;

	if (self->reopen.error != 0 || now_us >= grace_us)
		errands_refuse(&self->errands, OUTCOME_OFFLINE, self->reopen.error, true);
	waits = self->errands.count > 0;
	if (now_us < self->reopen.at_us) {
		int watch_fd = port_watch_fd(self->port);
		int64_t until_us = waits ? serial_bus_earlier(self->reopen.at_us, grace_us) : self->reopen.at_us;

		if (wait_line(self, watch_fd, POLLIN, until_us) <= 0)
			return;
		port_watch_end(self->port);
		reopen_soon(&self->reopen, clock_mono_us());
		return;
	}
	if (inbox_waits(&self->inbox, errands_room(&self->errands)))
		return;
	error = port_open(self->port, thread_bell_fd(&self->thread), waits ? grace_us : CLOCK_NEVER);
	if (error == 0) {
		note_open(self);
	} else if (error == -EAGAIN) {
		thread_still_bell(&self->thread);
	} else if (error != -ECANCELED) {
		reopen_failed(&self->reopen, error, port_watch_fd(self->port) >= 0, port_fault(self->port), clock_mono_us());
		instruments_closed(&self->instruments);
	}
}

void
serial_bus_line_note_state(struct serial_bus *self)
{
	enum health_bus_state state = self->reopen.told ? HEALTH_BUS_FAULT
				      : self->open	 ? HEALTH_BUS_OPEN
							 : HEALTH_BUS_CLOSED;

	if (state == self->state)
		return;
	self->state = state;
	self->state_us = clock_mono_us();
}

/* --- what comes --- */

/* A file is read once. */
static void
end_file(struct serial_bus *self)
{
	listener_end(self->listener);
	instruments_push(&self->instruments);
	instruments_closed(&self->instruments);
	log_notice("bus %s: %s is at its end", self->bus->name,
	    strcmp(self->bus->path, "-") == 0 ? "standard input" : self->bus->path);
	port_close(self->port);
	self->open = false;
	self->reopen.at_us = CLOCK_NEVER;
	self->reopen.error = ENODATA;
}

void
serial_bus_line_receive(struct serial_bus *self)
{
	uint8_t bytes[CHUNK_MAX];
	ssize_t got = 0;

	if (!self->readable)
		return;
	self->readable = false;
	do
		got = read(port_fd(self->port), bytes, sizeof(bytes));
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0 && self->bus->type == BUS_FILE) {
		end_file(self);
	} else if (got <= 0) {
		serial_bus_line_close(self, got < 0 ? -errno : self->bus->type == BUS_SERIAL ? -EIO : -ECONNRESET);
	} else {
		self->came_us = clock_mono_us();
		self->came_unix_ms = clock_unix_ms();
		self->look_us = self->came_us + LOOK_PAUSE_US;
		serial_bus_input_take(self, bytes, (size_t)got);
	}
}

/* We stood still (a stopped process, a suspended machine) while these bytes waited for us: nobody knows when they came, and a value
 * must not get the time of now. */
static void
leave_out(struct serial_bus *self)
{
	uint8_t bytes[CHUNK_MAX];
	int chunks = 0;

	while (chunks < STANDSTILL_CHUNKS && read(port_fd(self->port), bytes, sizeof(bytes)) > 0)
		chunks++;
	if (chunks == 0)
		return;
	log_notice("bus %s: what came while the gateway stood still is left out", self->bus->name);
	listener_reset(self->listener, true);
	self->came_us = clock_mono_us();
	self->readable = false;
}

void
serial_bus_line_rest(struct serial_bus *self)
{
	int64_t now_us = clock_mono_us();
	int64_t until_us = serial_bus_turn_due_us(self);
	bool look = now_us >= self->look_us;
	short events = (short)((look ? POLLIN : 0) | (talker_is_blocked(&self->talker) ? POLLOUT : 0));
	int ready;

	if (self->thread.ending && self->owner == OWNER_NOBODY)
		return;
	if (!look)
		until_us = serial_bus_earlier(until_us, self->look_us);
	ready = wait_line(self, port_fd(self->port), events, until_us);
	if (ready > 0)
		self->readable = (ready & ~POLLOUT) != 0;
	if (until_us < now_us)
		until_us = now_us;
	now_us = clock_mono_us();
	if (now_us > until_us && now_us - until_us > STANDSTILL_US && self->bus->type != BUS_FILE)
		leave_out(self);
}

/* The driver counts since it was loaded. */
void
serial_bus_line_count_errors(struct serial_bus *self)
{
	struct serial_errors now;

	if (self->bus->type != BUS_SERIAL || !self->open || serial_read_errors(port_fd(self->port), &now) != 0)
		return;
	self->errors.frame += now.frame - self->errors_seen.frame;
	self->errors.parity += now.parity - self->errors_seen.parity;
	self->errors.overrun += now.overrun - self->errors_seen.overrun;
	self->errors.breaks += now.breaks - self->errors_seen.breaks;
	self->errors_seen = now;
}

/* --- other settings --- */

void
serial_bus_line_adopt(struct serial_bus *self, struct serial_bus *from)
{
	struct port *port = self->port;

	/* A port knows what ends its waits. */
	self->port = from->port;
	from->port = port;
	thread_exchange(&self->thread, &from->thread);
	port_rebind(self->port, self->bus);
	self->open = from->open;
	self->fruitful = from->fruitful;
	self->reopen = from->reopen;
	self->reopen.bus = self->bus;
	self->opened_us = from->opened_us;
	self->closed_us = from->closed_us;
	self->state = from->state;
	self->state_us = from->state_us;
	self->opened = from->opened;
	self->errors = from->errors;
	self->errors_seen = from->errors_seen;
	from->open = false;
	if (self->open)
		talker_opened(&self->talker, port_fd(self->port));
}
