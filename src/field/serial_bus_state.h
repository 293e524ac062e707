/* What the files of a serial bus's worker have in common (serial_bus.h). Nobody else includes this. Owned by its thread. */
#ifndef FIELD_SERIAL_BUS_STATE_H
#define FIELD_SERIAL_BUS_STATE_H

#include "field/errands.h"
#include "field/inbox.h"
#include "field/instrument.h"
#include "field/port.h"
#include "field/reopen.h"
#include "field/serial.h"
#include "field/serial_bus.h"
#include "field/talk.h"
#include "field/talker.h"
#include "field/thread.h"
#include "line/listener.h"

/* Whose conversation it is. */
enum talk_owner { OWNER_NOBODY, OWNER_OPEN, OWNER_POLL, OWNER_WRITE, OWNER_CLOSE };

struct serial_bus {
	const struct bus *bus;
	struct thread thread;
	struct inbox inbox;
	struct errands errands;
	struct instruments instruments;
	struct listener *listener;

	struct port *port;
	struct reopen reopen;
	bool open;
	bool fruitful; /* something good came since it was opened */
	bool closing;  /* when it ends, on_close is spoken */
	int64_t opened_us;
	int64_t closed_us;
	enum health_bus_state state; /* since state_us */
	int64_t state_us;
	uint64_t opened; /* how often */
	struct serial_errors errors; /* of the UART, since the start */
	struct serial_errors errors_seen; /* what its driver said of them last */

	/* what came */
	bool readable;
	int64_t look_us; /* for bytes, not before */
	int64_t came_us; /* the last ones */
	int64_t came_unix_ms;
	struct instrument *speaker; /* whose the frame is that is being taken apart */
	uint64_t sense_bytes;	    /* when the last value came */
	uint64_t sense_values;
	bool nonsense_told;

	/* what is said */
	struct talker talker;
	enum talk_owner owner;
	struct instrument *asked; /* whose answers count though they do not say whose they are */
	int64_t asked_us;
	int64_t ready_us;  /* the next conversation does not begin before; */
	int64_t settle_us; /* until then it waits for quiet as well */
	int in_a_row;	   /* writes since the last poll */
	struct script on_open;
	struct script on_close;
	int64_t greet_us; /* when on_open is spoken; CLOCK_NEVER */
	int64_t greet_pause_us;
	bool greet_told; /* the log says that it failed */
	struct line_step write_step;
	struct pattern *write_expect;
	struct pattern *write_refuse;
	struct script write_script;
	struct value write_value; /* a loan from the command */
};

static inline int64_t
serial_bus_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* --- serial_bus_input.c: what came --- */

/* What the listener makes of bytes goes here. */
struct listener_sink serial_bus_input_sink(struct serial_bus *self);

/* Bytes came from the line, at came_us. */
void serial_bus_input_take(struct serial_bus *self, const uint8_t *bytes, size_t length);

/* --- serial_bus_line.c: the line --- */

/* Something came that only whoever is meant can have said. Of a device server any byte would not do: it may tell who connects that it is
 * busy, and hang up. */
void serial_bus_line_fruit(struct serial_bus *self);

/* Close the line, to be opened again at once, unless it bore no fruit since it was opened: then it is as if it could not be opened.
 * Whoever is spoken to is given up with `error`, which is negative. */
void serial_bus_line_close(struct serial_bus *self, int error);

/* It is closed: open it when it is time, and wait until then. While it is closed commands are answered at once, unless it was lost
 * a moment ago. */
void serial_bus_line_open(struct serial_bus *self);

/* It is open: take what came, if it is readable. May close it. */
void serial_bus_line_receive(struct serial_bus *self);

/* It is open: wait until there is something to do. */
void serial_bus_line_rest(struct serial_bus *self);

/* Since when it is how it is. */
void serial_bus_line_note_state(struct serial_bus *self);

/* Bring the errors of the UART up to date. */
void serial_bus_line_count_errors(struct serial_bus *self);

/* Neither worker runs. The line as it is: whether it is open, how it did, and what of it was told. */
void serial_bus_line_adopt(struct serial_bus *self, struct serial_bus *from);

/* --- serial_bus_talk.c: conversations, one at a time --- */

/* Begin one; serial_bus_turn_run() goes on with it.
 * asked       whose answers count though they do not say whose they are; may be NULL
 * timeout_ms  0: the bus's */
void serial_bus_talk_begin(struct serial_bus *self, enum talk_owner owner, const struct script *script, struct instrument *asked,
    int timeout_ms, const struct template_values *values);

/* Begin a poll; begin one in the bus's name. */
void serial_bus_talk_poll(struct serial_bus *self, struct instrument *instrument);
void serial_bus_talk_script(struct serial_bus *self, enum talk_owner owner, const struct script *script);

/* The one under way is over: 0, or negative errno; -ECANCELED if it was given up because we stop. */
void serial_bus_talk_finish(struct serial_bus *self, int error);

/* The next one does not begin before. */
int64_t serial_bus_talk_ready_us(const struct serial_bus *self);

/* Speak on_open again after a pause: whoever lost power has forgotten it. */
void serial_bus_talk_greet_again(struct serial_bus *self, int64_t pause_us);

/* --- serial_bus_write.c: writes --- */

/* Returns whether a conversation has begun; else the command is answered. */
bool serial_bus_write_begin(struct serial_bus *self, struct errand *errand);

/* It is over, as serial_bus_talk_finish() has it: answer the command. */
void serial_bus_write_end(struct serial_bus *self, int error);

/* --- serial_bus_turn.c: whose turn it is --- */

/* Go on with the conversation, or begin the next. Commands go first, but not for ever. */
void serial_bus_turn_run(struct serial_bus *self);

/* When there is something to do, besides for bytes that come. */
int64_t serial_bus_turn_due_us(struct serial_bus *self);

#endif
