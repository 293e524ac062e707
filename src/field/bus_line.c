#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "field/bus_state.h"
#include "field/port.h"

/* A connection that was just lost may be back at once: a command waits so long for it before it is told
 * "offline". */
#define OPEN_GRACE_US 300000

/* Is somebody watching for the closed line to come back? */
static bool
is_watched(const struct bus_line *line)
{
	short events;

	return !line->open && line->link->ops->idle_fd(line->link, &events) >= 0;
}

static void
note_trouble(struct bus_worker *worker, int error, const char *what)
{
	reopen_failed(&worker->line.reopen, error, is_watched(&worker->line), what, clock_mono_us());
	delivery_all_offline(&worker->delivery);
}

void
bus_line_close(struct bus_worker *worker, int error)
{
	struct bus_line *line = &worker->line;

	if (error == 0 && !line->fruitful)
		error = -ECONNRESET;
	line->link->ops->close(line->link);
	line->open = false;
	line->closed_us = clock_mono_us();
	line->reopen.at_us = error == 0 ? bus_turn_due_us(worker) : line->closed_us;
	if (error == 0 || line->fruitful)
		return;
	note_trouble(worker, error, strerror(-error));
}

void
bus_line_fruit(struct bus_worker *worker)
{
	worker->line.fruitful = true;
	reopen_well(&worker->line.reopen);
}

static void
note_open(struct bus_worker *worker)
{
	struct bus_line *line = &worker->line;

	line->open = true;
	line->opened++;
	line->fruitful = false;
	line->reopen.error = 0;
	schedule_opened(&worker->schedule, clock_mono_us());
	/* A serial port that opens is there. A server that takes a connection may drop it at once: wait for a
	 * frame. */
	if (worker->bus->type == BUS_RTU)
		reopen_well(&line->reopen);
}

/* Wait for the line to say something, for what others want, or until then. Returns what port_wait() does. */
static int
wait_line(struct bus_worker *worker, int64_t until_us)
{
	struct link *link = worker->line.link;
	struct thread *thread = &worker->thread;
	short events = 0;
	int fd = link->ops->idle_fd(link, &events);
	int ready;

	if (inbox_waits(&worker->inbox, writer_room(worker->writer)))
		return -EAGAIN;
	ready = port_wait(fd, events, thread_bell_fd(thread), thread_stop_fd(thread), until_us);
	if (ready == -EAGAIN)
		thread_still_bell(thread);
	return ready;
}

/* Until it is time to try, or something appears that may be it. */
static void
wait_closed(struct bus_worker *worker)
{
	struct bus_line *line = &worker->line;

	if (wait_line(worker, line->reopen.at_us) <= 0)
		return;
	(void)line->link->ops->idle(line->link);
	reopen_soon(&line->reopen, clock_mono_us());
}

void
bus_line_open(struct bus_worker *worker)
{
	struct bus_line *line = &worker->line;
	int64_t grace_us = line->closed_us + OPEN_GRACE_US;
	int64_t now_us = clock_mono_us();
	bool wanted = writer_waits(worker->writer);
	int error;

	if (wanted && line->reopen.error == 0 && line->reopen.at_us > now_us) {
		/* Closed because nothing was to be asked: open it for the command, whose grace starts now. */
		line->reopen.at_us = now_us;
		line->closed_us = now_us;
		grace_us = now_us + OPEN_GRACE_US;
	}
	if (line->reopen.error != 0 || now_us >= grace_us)
		writer_refuse(worker->writer, OUTCOME_OFFLINE, line->reopen.error);
	wanted = writer_waits(worker->writer);
	if (now_us < line->reopen.at_us) {
		wait_closed(worker);
		return;
	}
	if (inbox_waits(&worker->inbox, writer_room(worker->writer)))
		return;
	error = line->link->ops->open(
	    line->link, thread_bell_fd(&worker->thread), wanted ? grace_us : CLOCK_NEVER);
	if (error == 0)
		note_open(worker);
	else if (error == -EAGAIN)
		thread_still_bell(&worker->thread);
	else if (error != -ECANCELED)
		note_trouble(worker, error, line->link->ops->fault(line->link));
}

bool
bus_line_ready(const struct bus_worker *worker)
{
	const struct link *link = worker->line.link;

	return link->ops->ready_us(link) <= clock_mono_us();
}

void
bus_line_wait(struct bus_worker *worker)
{
	struct link *link = worker->line.link;
	int64_t ready_us = link->ops->ready_us(link);
	int64_t until_us = bus_turn_due_us(worker);
	int64_t command_us = writer_due_us(worker->writer);
	int error;

	if (command_us < until_us)
		until_us = command_us;
	if (ready_us > until_us)
		until_us = ready_us;
	if (wait_line(worker, until_us) <= 0)
		return;
	error = link->ops->idle(link);
	bus_line_close(worker, error == -ENOTCONN ? 0 : error);
}

void
bus_line_note_state(struct bus_worker *worker)
{
	struct bus_line *line = &worker->line;
	enum health_bus_state state = line->reopen.told ? HEALTH_BUS_FAULT
				      : line->open	? HEALTH_BUS_OPEN
							: HEALTH_BUS_CLOSED;

	if (state == line->state)
		return;
	line->state = state;
	line->state_us = clock_mono_us();
}

void
bus_line_adopt(struct bus_worker *worker, struct bus_worker *from)
{
	struct link *link = worker->line.link;

	/* A link knows what ends its waits. */
	thread_exchange(&worker->thread, &from->thread);
	worker->line = from->line;
	worker->line.reopen.bus = worker->bus;
	worker->line.link->ops->rebind(worker->line.link, worker->bus);
	from->line.link = link;
	from->line.open = false;
}
