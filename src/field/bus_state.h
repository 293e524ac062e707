/* What the files of a Modbus bus's worker have in common (bus.h). Nobody else includes this. Owned by the worker's thread. */
#ifndef FIELD_BUS_STATE_H
#define FIELD_BUS_STATE_H

#include "field/bus.h"
#include "field/delivery.h"
#include "field/inbox.h"
#include "field/lore.h"
#include "field/overload.h"
#include "field/reopen.h"
#include "field/schedule.h"
#include "field/thread.h"
#include "field/writer.h"

/* The line, and how it did. */
struct bus_line {
	struct link *link;
	bool open;
	bool fruitful; /* a valid frame came since it was opened */
	struct reopen reopen;
	int64_t closed_us;
	enum health_bus_state state; /* since state_us */
	int64_t state_us;
	uint64_t opened; /* how often */
};

struct bus_worker {
	const struct bus *bus;
	struct thread thread;
	struct inbox inbox;
	struct bus_line line;
	struct schedule schedule;
	struct writer *writer; /* executes commands */
	struct delivery delivery;
	struct lore lore;
	struct overload overload;

	bool begun;	     /* it has run */
	int in_a_row;	     /* commands since the last poll */
	int64_t commands_us; /* and how long they took */
};

/* --- bus_line.c: open or closed --- */

/* Close the line. Without an error it is opened again when it is needed; with one at once, unless nothing good came from it
 * since it was opened: then it is as if it could not be opened. So it is if a server takes a connection and drops it before
 * it was used: it has too many. */
void bus_line_close(struct bus_worker *worker, int error);

/* A valid frame came. */
void bus_line_fruit(struct bus_worker *worker);

/* It is closed: open it when it is time, and wait until then. While it is closed commands are answered at once, unless it was lost
 * a moment ago. */
void bus_line_open(struct bus_worker *worker);

/* It is open: may something be sent now? Until then commands can still come and go first. */
bool bus_line_ready(const struct bus_worker *worker);

/* It is open: wait until there is something to do, or it says something by itself. */
void bus_line_wait(struct bus_worker *worker);

/* Since when it is how it is. */
void bus_line_note_state(struct bus_worker *worker);

/* Neither worker runs. The line as it is: whether it is open, how it did, and what of it was told. */
void bus_line_adopt(struct bus_worker *worker, struct bus_worker *from);

/* --- bus_exchange.c: asking --- */

/* Make one request and let everybody know what came of it but the one who asked.
 * unit  NULL if nothing of it is polled
 * poll  what is polled, or NULL for a command
 * Returns what exchange() does; after -ENOTCONN, -ETIME, and -ECANCELED with nothing sent it is as if it had not been called. */
int bus_exchange(struct bus_worker *worker, struct poll_unit *unit, struct poll_request *poll,
    const struct pdu_request *request, int timeout_ms, uint16_t *cells, struct link_report *report);

/* --- bus_turn.c: whose turn it is --- */

/* How the writer reaches the units. */
struct writer_port bus_turn_writer_port(struct bus_worker *worker);

/* Let the writer try the units that are only written, which nothing else would meet. */
void bus_turn_knock(struct bus_worker *worker);

/* Make the next command or poll. Commands go first, but not for ever. Returns false if there is nothing to be done now. */
bool bus_turn_run(struct bus_worker *worker);

/* When the line is needed next, besides for commands: not before the first poll is due. */
int64_t bus_turn_due_us(struct bus_worker *worker);

#endif
