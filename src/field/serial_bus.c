#include "field/serial_bus.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "field/checkup.h"
#include "field/errands.h"
#include "field/inbox.h"
#include "field/instrument.h"
#include "field/line.h"
#include "field/port.h"
#include "field/reopen.h"
#include "field/serial.h"
#include "field/talk.h"
#include "field/talker.h"
#include "field/thread.h"
#include "line/listener.h"
#include "model/codec.h"

#define CHUNK_MAX 4096
/* Between two looks for bytes, so that a port which babbles wakes us 250 times a second at most, for a chunk each. It is what a
 * frame's time may be late. */
#define LOOK_PAUSE_US 4000
/* After a conversation that failed the line is settled when nothing came for so long. */
#define SETTLE_QUIET_US 20000
/* A connection that was just lost may be back at once: a command waits so long for it before it is told "offline". */
#define OPEN_GRACE_US 300000
/* How long a write under way and on_close have when the bus is to stop, together. */
#define STOP_GRACE_US 1000000
/* A flood of commands does not stop the polls. */
#define COMMANDS_IN_A_ROW 8
/* Waking so much later than wanted is not the doing of a busy machine. */
#define STANDSTILL_US	  2000000
#define STANDSTILL_CHUNKS 1024 /* that may have come meanwhile */
#define BUSY_MAX_MS	  1000
#define GREET_MIN_US	  1000000
#define GREET_MAX_US	  30000000
/* So many bytes since the last value, and people are told. */
#define NONSENSE_BYTES 4096

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
	bool fruitful; /* bytes came since it was opened */
	bool ended;    /* a file is at its end */
	bool closing;  /* when it ends, on_close is spoken */
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

/* --- what came --- */

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void
log_change(const struct serial_bus *self, const struct instrument *instrument, enum unit_change change, int error,
    int64_t away_us)
{
	const char *bus = self->bus->name;
	const char *device = instrument->device->name;
	char text[DURATION_TEXT_MAX];

	if (change == UNIT_BACK)
		log_notice("bus %s device %s: answers again after %s", bus, device,
		    duration_text(away_us, text, sizeof(text)));
	else if (change == UNIT_LOST)
		log_warning("bus %s device %s: no answer (%s), asked again every %d..%d s", bus, device,
		    error == -ETIMEDOUT ? "timeout"
		    : error == -EBADMSG ? "what comes is not the expected answer"
					: strerror(-error),
		    UNIT_PAUSE_MIN_MS / 1000, instrument->unit.pause_max_ms / 1000);
}

/* Speak on_open again, now: whoever lost power has forgotten it. */
static void
greet_again(struct serial_bus *self, int64_t pause_us)
{
	if (self->on_open.count == 0)
		return;
	self->greet_pause_us = GREET_MIN_US;
	self->greet_us = clock_mono_us() + pause_us;
}

static void
on_frame(void *ctx, const struct line_frame *frame, bool proven, const char *why)
{
	struct serial_bus *self = ctx;

	(void)why;
	self->speaker = NULL;
	if (proven && self->owner != OWNER_NOBODY)
		talk_frame(&self->talker.talk, frame->bytes + frame->from, frame->to - frame->from, self->came_us);
}

static void
on_claim(void *ctx, const struct device *device, bool claimed, const char *why)
{
	struct serial_bus *self = ctx;
	struct instrument *instrument = claimed ? instruments_find(&self->instruments, device) : NULL;

	(void)why;
	self->speaker = instrument && (!instrument->nameless || instrument == self->asked) ? instrument : NULL;
}

static void
note_heard(struct serial_bus *self, struct instrument *instrument)
{
	int64_t away_us;
	char text[DURATION_TEXT_MAX];

	if (instrument == self->asked)
		talk_good(&self->talker.talk, self->came_us);
	if (!instrument_heard(instrument, self->came_us, &away_us))
		return;
	if (instrument->unit.state != UNIT_OFFLINE)
		log_notice("bus %s device %s: speaks again after %s", self->bus->name, instrument->device->name,
		    duration_text(away_us, text, sizeof(text)));
	greet_again(self, 0);
}

static void
on_value(void *ctx, const struct point *point, enum quality quality, struct value *value, const char *why)
{
	struct serial_bus *self = ctx;
	bool good = quality == QUALITY_GOOD;

	(void)why;
	if (!self->speaker) {
		value_done(value);
		return;
	}
	note_heard(self, self->speaker);
	errands_value(&self->errands, point, OUTCOME_DONE, good ? value : NULL);
	instruments_value(&self->instruments, self->speaker, point, quality, value, self->came_us, self->came_unix_ms);
}

/* Is there any sense in what comes? Said once, and once when there is again. */
static void
note_sense(struct serial_bus *self)
{
	struct listener_counters counters;

	listener_counters(self->listener, &counters);
	if (counters.values != self->sense_values) {
		self->sense_values = counters.values;
		self->sense_bytes = counters.bytes;
		if (self->nonsense_told)
			log_notice("bus %s: values come again", self->bus->name);
		self->nonsense_told = false;
	} else if (!self->nonsense_told && counters.bytes - self->sense_bytes >= NONSENSE_BYTES) {
		log_warning("bus %s: %llu bytes came and no value in them%s%s", self->bus->name,
		    (unsigned long long)(counters.bytes - self->sense_bytes),
		    counters.last_bad[0] ? ", the last that was no good frame: " : "", counters.last_bad);
		self->nonsense_told = true;
	}
}

static void
take(struct serial_bus *self, const uint8_t *bytes, size_t length)
{
	size_t echoed = talker_echoed(&self->talker, bytes, length);

	bytes += echoed;
	length -= echoed;
	if (length == 0)
		return;
	self->fruitful = true;
	reopen_well(&self->reopen);
	if (self->owner != OWNER_NOBODY)
		talk_bytes(&self->talker.talk, bytes, length, self->came_us);
	listener_feed(self->listener, bytes, length, self->came_us / 1000);
	instruments_push(&self->instruments);
	note_sense(self);
}

/* --- the line --- */

static void finish_talk(struct serial_bus *self, int error);

static void
close_line(struct serial_bus *self, int error)
{
	int64_t now_us = clock_mono_us();

	if (self->owner != OWNER_NOBODY)
		finish_talk(self, error);
	port_close(self->port);
	self->open = false;
	self->closed_us = self->reopen.at_us = now_us;
	if (self->fruitful)
		return;
	reopen_failed(&self->reopen, error, port_watch_fd(self->port) >= 0, strerror(-error), now_us);
	instruments_closed(&self->instruments);
}

static void
note_open(struct serial_bus *self)
{
	int64_t now_us = clock_mono_us();

	self->open = true;
	self->opened++;
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
	greet_again(self, 0);
}

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
	self->ended = true;
	self->reopen.at_us = CLOCK_NEVER;
	self->reopen.error = ENODATA;
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

static void
receive(struct serial_bus *self)
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
		close_line(self, got < 0 ? -errno : self->bus->type == BUS_SERIAL ? -EIO : -ECONNRESET);
	} else {
		self->came_us = clock_mono_us();
		self->came_unix_ms = clock_unix_ms();
		self->look_us = self->came_us + LOOK_PAUSE_US;
		take(self, bytes, (size_t)got);
	}
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

/* While the line is closed commands are answered at once, unless it was lost a moment ago. */
static void
open_line(struct serial_bus *self)
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
		int64_t until_us = waits ? earlier(self->reopen.at_us, grace_us) : self->reopen.at_us;

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

/* --- conversations --- */

static int64_t
longest_frame_us(const struct serial_bus *self)
{
	return line_chars_at_us(self->bus, self->talker.baud, (size_t)self->bus->framing.max_bytes);
}

static void
begin_talk(struct serial_bus *self, enum talk_owner owner, const struct script *script, struct instrument *asked,
    int timeout_ms, const struct template_values *values)
{
	int64_t now_us = clock_mono_us();

	self->owner = owner;
	self->asked = asked;
	self->asked_us = now_us;
	talker_begin(&self->talker, script, timeout_ms > 0 ? timeout_ms : self->bus->timeout_ms, longest_frame_us(self),
	    values, now_us);
}

static void
begin_poll(struct serial_bus *self, struct instrument *instrument)
{
	const struct device *device = instrument->device;
	struct template_values values = { .bus = self->bus, .device = device };

	self->in_a_row = 0;
	errands_begin_reads(&self->errands, device);
	instrument_asked(instrument, clock_mono_us());
	begin_talk(self, OWNER_POLL, &instrument->poll, instrument, device->timeout_ms, &values);
}

static void
end_poll(struct serial_bus *self, int error)
{
	struct instrument *instrument = self->asked;
	int64_t now_us = clock_mono_us();
	int64_t away_us = 0;
	enum unit_change change;

	if (error == -ECANCELED) {
		instrument->due_us = now_us;
		errands_end_reads(&self->errands, instrument->device, OUTCOME_STOPPED, 0);
		return;
	}
	change = instruments_judge(&self->instruments, instrument, error, self->asked_us, now_us, &away_us);
	log_change(self, instrument, change, error, away_us);
	if (change == UNIT_BACK) {
		instrument->greet = instrument->device->on_connect_count > 0;
		instrument->greeted = 0;
	}
	if (change != UNIT_SAME)
		greet_again(self, change == UNIT_LOST ? GREET_MIN_US : 0);
	errands_end_reads(&self->errands, instrument->device, OUTCOME_TIMEOUT, error == 0 ? EBADMSG : -error);
}

/* --- writes --- */

/* Patterns and text of a command that can be sent. Returns the fault that it has. */
static enum codec_fault
prepare_write(struct serial_bus *self, const struct command *command, struct template_values *values)
{
	const struct line_command *line = command->point->command;
	char expect[TEMPLATE_BYTES_MAX];
	enum template_fault fault;

	if (!line)
		return CODEC_NOT_WRITABLE;
	self->write_value = command->value;
	*values = (struct template_values){
		.bus = self->bus, .device = command->point->device, .point = command->point, .value = &self->write_value
	};
	fault = talker_check(&self->talker, &line->send, values);
	if (fault == TEMPLATE_OK)
		fault = template_fill_pattern(line->expect, values, expect);
	if (fault != TEMPLATE_OK)
		return fault == TEMPLATE_UNSAFE ? CODEC_UNSAFE : fault == TEMPLATE_TOO_LONG ? CODEC_TOO_LONG : CODEC_WRONG_TYPE;
	self->write_step = (struct line_step){ .send = line->send, .expect = line->expect, .timeout_ms = line->timeout_ms };
	if (pattern_new(expect, &self->write_expect, NULL) != 0 ||
	    (line->refuse && pattern_new(line->refuse, &self->write_refuse, NULL) != 0))
		return CODEC_WRONG_TYPE;
	return CODEC_OK;
}

static void
forget_write(struct serial_bus *self)
{
	pattern_free(self->write_expect);
	pattern_free(self->write_refuse);
	self->write_expect = self->write_refuse = NULL;
}

/* Returns whether a conversation has begun; else the command is answered. */
static bool
begin_write(struct serial_bus *self, struct errand *errand)
{
	const struct command *command = &errand->command;
	struct instrument *instrument = instruments_find(&self->instruments, command->point->device);
	const struct value *known = instrument_known(instrument, command->point);
	struct outcome outcome = { .status = OUTCOME_REFUSED };
	struct template_values values;

	errand->started = true;
	if (command->kind == COMMAND_WRITE_CHANGED && value_equal(known, &command->value)) {
		outcome.status = OUTCOME_UNCHANGED;
		(void)value_copy(known, &outcome.value);
		errands_finish_write(&self->errands, &outcome);
		return false;
	}
	outcome.fault = (int)prepare_write(self, command, &values);
	if (outcome.fault != CODEC_OK) {
		forget_write(self);
		errands_finish_write(&self->errands, &outcome);
		return false;
	}
	self->in_a_row++;
	self->write_script = (struct script){ .steps = &self->write_step, .count = 1, .expects = &self->write_expect };
	begin_talk(self, OWNER_WRITE, &self->write_script, instrument, command->point->device->timeout_ms, &values);
	self->talker.talk.refuse = self->write_refuse;
	return true;
}

static enum outcome_status
write_status(const struct serial_bus *self, int error)
{
	if (error == 0)
		return OUTCOME_DONE;
	if (!self->talker.talk.sent)
		return OUTCOME_OFFLINE;
	return error == -EPERM ? OUTCOME_EXCEPTION : OUTCOME_TIMEOUT;
}

static void
end_write(struct serial_bus *self, int error)
{
	const struct template_values *values = &self->talker.values;
	struct outcome outcome = { .status = write_status(self, error), .error = -error };

	if (error == 0) {
		(void)value_copy(values->value, &outcome.value);
		/* It holds something else now, and says so when it is asked. */
		instrument_know(self->asked, values->point, values->value);
		self->asked->due_us = clock_mono_us();
	}
	errands_finish_write(&self->errands, &outcome);
	forget_write(self);
}

/* --- on_open --- */

static bool
somebody_is_away(const struct serial_bus *self)
{
	for (size_t i = 0; i < self->instruments.count; i++)
		if (self->instruments.items[i].silent || self->instruments.items[i].unit.state == UNIT_OFFLINE)
			return true;
	return false;
}

/* It is spoken again as long as it fails or somebody is away, who may have been switched off and on. */
static void
end_greeting(struct serial_bus *self, int error)
{
	if (error != 0 && !self->greet_told)
		log_warning("bus %s: on_open: %s", self->bus->name,
		    error == -ETIMEDOUT ? "no answer" : error == -EBADMSG ? "not the expected answer" : strerror(-error));
	else if (error == 0 && self->greet_told)
		log_notice("bus %s: on_open: done", self->bus->name);
	self->greet_told = error != 0;
	self->greet_us = CLOCK_NEVER;
	if (error == 0 && !somebody_is_away(self))
		return;
	self->greet_us = clock_mono_us() + self->greet_pause_us;
	if (self->greet_pause_us < GREET_MAX_US / 2)
		self->greet_pause_us *= 2;
	else
		self->greet_pause_us = GREET_MAX_US;
}

static void
begin_script(struct serial_bus *self, enum talk_owner owner, const struct script *script)
{
	struct template_values values = { .bus = self->bus };

	begin_talk(self, owner, script, NULL, 0, &values);
}

/* --- whose turn it is --- */

/* After a failure an answer may still be on its way, and what comes next must not be taken for that of somebody else. */
static void
settle(struct serial_bus *self, int error)
{
	int64_t now_us = clock_mono_us();
	int64_t took_us = now_us - self->asked_us;

	self->ready_us = now_us + (int64_t)self->bus->request_pause_ms * 1000;
	self->settle_us = now_us;
	if (error == 0)
		return;
	self->settle_us = now_us + took_us;
	if (self->instruments.nameless && error == -ETIMEDOUT && self->ready_us < now_us + took_us)
		self->ready_us = now_us + took_us;
}

static void
finish_talk(struct serial_bus *self, int error)
{
	enum talk_owner owner = self->owner;

	talker_end(&self->talker);
	if (owner == OWNER_POLL)
		end_poll(self, error);
	else if (owner == OWNER_WRITE)
		end_write(self, error);
	else if (owner == OWNER_OPEN)
		end_greeting(self, error);
	self->owner = OWNER_NOBODY;
	self->asked = NULL;
	settle(self, error);
}

static int64_t
ready_us(const struct serial_bus *self)
{
	int64_t quiet_us = self->came_us + SETTLE_QUIET_US;

	if (quiet_us > self->settle_us)
		quiet_us = self->settle_us;
	return quiet_us > self->ready_us ? quiet_us : self->ready_us;
}

/* Whoever was met or is back gets its on_connect values before anything else. */
static void
take_greetings(struct serial_bus *self)
{
	for (size_t i = 0; i < self->instruments.count; i++) {
		struct instrument *instrument = &self->instruments.items[i];

		if (!instrument->greet)
			continue;
		instrument->greeted = errands_greet(&self->errands, instrument->device, instrument->greeted);
		instrument->greet = instrument->greeted < instrument->device->on_connect_count;
		if (!instrument->greet)
			instrument->greeted = 0;
	}
}

/* Returns whether one has begun. */
static bool
begin_next(struct serial_bus *self, int64_t now_us)
{
	struct instrument *instrument;
	struct errand *errand;
	int64_t due_us;

	take_greetings(self);
	if (now_us < ready_us(self))
		return false;
	if (now_us >= self->greet_us) {
		begin_script(self, OWNER_OPEN, &self->on_open);
		return true;
	}
	instrument = instruments_next(&self->instruments, now_us, &due_us);
	if (instrument && self->in_a_row >= COMMANDS_IN_A_ROW) {
		begin_poll(self, instrument);
		return true;
	}
	while ((errand = errands_next_write(&self->errands)))
		if (begin_write(self, errand))
			return true;
	if (instrument)
		begin_poll(self, instrument);
	return instrument != NULL;
}

/* Go on with the conversation, or begin the next. */
static void
converse(struct serial_bus *self)
{
	for (int i = 0; self->open && i <= COMMANDS_IN_A_ROW; i++) {
		int error;

		if (self->owner == OWNER_NOBODY &&
		    (thread_should_end(&self->thread) || !begin_next(self, clock_mono_us())))
			return;
		error = talker_run(&self->talker, clock_mono_us());
		if (error == -EAGAIN)
			return;
		if (error < 0 && self->talker.broken)
			close_line(self, error);
		else
			finish_talk(self, error);
	}
}

/* --- questions --- */

static void
note_state(struct serial_bus *self)
{
	enum health_bus_state state = self->reopen.told ? HEALTH_BUS_FAULT
				      : self->open	 ? HEALTH_BUS_OPEN
							 : HEALTH_BUS_CLOSED;

	if (state == self->state)
		return;
	self->state = state;
	self->state_us = clock_mono_us();
}

static void
fill_report(const struct serial_bus *self, struct health_bus *report)
{
	struct listener_counters counters;

	listener_counters(self->listener, &counters);
	report->taken_mono_us = clock_mono_us();
	report->state = self->state;
	report->since_mono_us = self->state_us;
	report->opened = self->opened;
	report->samples_refused = self->instruments.refused;
	report->commands = self->errands.count;
	report->stretch = 1;
	snprintf(report->why, sizeof(report->why), "%s", self->reopen.told ? self->reopen.why : "");
	report->line = (struct health_line){
		.collisions = self->talker.collisions,
		.frame_errors = self->errors.frame,
		.parity_errors = self->errors.parity,
		.overruns = self->errors.overrun,
		.breaks = self->errors.breaks,
	};
	report->frames = (struct health_frames){
		.bytes = counters.bytes,
		.frames = counters.frames,
		.good = counters.good,
		.bad_checksum = counters.bad_checksum,
		.unmatched = counters.unmatched,
		.wasted_bytes = counters.wasted_bytes,
		.values = counters.values,
		.no_values = counters.no_values,
	};
	snprintf(report->frames.last_bad, sizeof(report->frames.last_bad), "%s", counters.last_bad);
	checkup_instruments(&self->instruments, report);
}

/* The driver counts since it was loaded. */
static void
count_errors(struct serial_bus *self)
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

static void
answer_questions(struct serial_bus *self)
{
	struct health_question question;

	while (inbox_question(&self->inbox, &question)) {
		count_errors(self);
		fill_report(self, question.bus);
		health_give_back(&question);
	}
}

/* --- the loop --- */

static void
take_commands(struct serial_bus *self)
{
	struct inbox_command taken;

	while (inbox_command(&self->inbox, errands_room(&self->errands), &taken)) {
		const struct command *command = &taken.command;
		struct instrument *instrument = instruments_find(&self->instruments, command->point->device);

		errands_take(&self->errands, command);
		if (command->kind == COMMAND_READ && instrument && instrument->polled)
			instrument->wanted = true;
	}
}

/* Time passes: frames that end by silence, samples whose period is over, who is silent, what has expired. */
static void
tick(struct serial_bus *self)
{
	int64_t now_us = clock_mono_us();
	struct instrument *instrument;

	errands_expire(&self->errands, now_us / 1000);
	if (!self->open)
		return;
	if (now_us / 1000 >= listener_deadline(self->listener))
		listener_tick(self->listener, now_us / 1000);
	instruments_tick(&self->instruments, now_us);
	while ((instrument = instruments_fall_silent(&self->instruments, now_us))) {
		if (instrument->unit.state != UNIT_OFFLINE)
			log_warning("bus %s device %s: silent for %d s", self->bus->name, instrument->device->name,
			    instrument->device->silence_s);
		greet_again(self, 0);
	}
}

/* When there is something to say. */
static int64_t
talk_due_us(struct serial_bus *self)
{
	int64_t due_us;
	int64_t ready;

	if (self->owner != OWNER_NOBODY)
		return talker_due_us(&self->talker);
	ready = ready_us(self);
	(void)instruments_next(&self->instruments, INT64_MIN, &due_us);
	due_us = earlier(due_us, self->greet_us);
	if (errands_next_write(&self->errands))
		due_us = INT64_MIN;
	return due_us > ready ? due_us : ready;
}

static int64_t
due_us(struct serial_bus *self)
{
	int64_t errand_ms = errands_due_ms(&self->errands);
	int64_t frame_ms = listener_deadline(self->listener);
	int64_t due = earlier(talk_due_us(self), instruments_due_us(&self->instruments));

	if (errand_ms < CLOCK_NEVER / 1000)
		due = earlier(due, errand_ms * 1000);
	if (frame_ms < CLOCK_NEVER)
		due = earlier(due, frame_ms * 1000);
	return due;
}

static void
rest(struct serial_bus *self)
{
	int64_t now_us = clock_mono_us();
	int64_t until_us = due_us(self);
	bool look = now_us >= self->look_us;
	short events = (short)((look ? POLLIN : 0) | (talker_is_blocked(&self->talker) ? POLLOUT : 0));
	int ready;

	if (self->thread.ending && self->owner == OWNER_NOBODY)
		return;
	if (!look)
		until_us = earlier(until_us, self->look_us);
	ready = wait_line(self, port_fd(self->port), events, until_us);
	if (ready > 0)
		self->readable = (ready & ~POLLOUT) != 0;
	if (until_us < now_us)
		until_us = now_us;
	now_us = clock_mono_us();
	if (now_us > until_us && now_us - until_us > STANDSTILL_US && self->bus->type != BUS_FILE)
		leave_out(self);
}

static void
serve(struct serial_bus *self)
{
	receive(self);
	if (self->open)
		tick(self);
	if (self->open)
		converse(self);
	if (self->open)
		rest(self);
}

/* A conversation under way is let come to its end, since whoever asked for a write would never know of it; then on_close is spoken. */
static void
serve_last(struct serial_bus *self)
{
	int64_t end_us = clock_mono_us() + STOP_GRACE_US;

	while (self->open && self->owner != OWNER_NOBODY && clock_mono_us() < end_us)
		serve(self);
	if (self->owner != OWNER_NOBODY)
		finish_talk(self, -ECANCELED);
	if (!self->open || !self->closing || self->on_close.count == 0)
		return;
	begin_script(self, OWNER_CLOSE, &self->on_close);
	while (self->open && self->owner != OWNER_NOBODY && clock_mono_us() < end_us)
		serve(self);
	if (self->owner != OWNER_NOBODY)
		finish_talk(self, -ECANCELED);
}

static void *
run(void *arg)
{
	struct serial_bus *self = arg;

	while (!thread_should_end(&self->thread)) {
		note_state(self);
		answer_questions(self);
		take_commands(self);
		errands_expire(&self->errands, clock_mono_ms());
		if (self->open)
			serve(self);
		else
			open_line(self);
	}
	serve_last(self);
	return NULL;
}

/* Whatever still waits is answered, also what is pushed while the thread ends. */
static void
answer_rest(struct serial_bus *self)
{
	do {
		errands_refuse(&self->errands, OUTCOME_STOPPED, 0, true);
		take_commands(self);
	} while (self->errands.count > 0);
}

/* --- making --- */

static int
init(struct serial_bus *self, const struct settings *settings, struct resolver *resolver, struct sample_sink samples)
{
	const struct listener_sink sink = {
		.frame = on_frame, .claim = on_claim, .value = on_value, .ctx = self
	};
	int error = thread_init(&self->thread);

	if (error == 0)
		error = inbox_init(&self->inbox, &self->thread, SERIAL_BUS_COMMANDS_MAX);
	if (error == 0)
		error = instruments_init(&self->instruments, settings, self->bus, samples);
	if (error == 0)
		error = script_init(&self->on_open, &self->bus->on_open, false);
	if (error == 0)
		error = script_init(&self->on_close, &self->bus->on_close, false);
	if (error == 0)
		error = listener_new(settings, self->bus, &sink, &self->listener);
	if (error != 0)
		return error;
	self->port = port_new(self->bus, resolver, thread_stop_fd(&self->thread));
	return self->port ? 0 : -errno;
}

struct serial_bus *
serial_bus_new(const struct settings *settings, const struct bus *bus, struct resolver *resolver,
    struct sample_sink samples, struct outcome_sink outcomes)
{
	struct serial_bus *self = calloc(1, sizeof(*self));
	int error;

	if (!self)
		return NULL;
	self->bus = bus;
	self->greet_us = CLOCK_NEVER;
	self->closed_us = clock_mono_us();
	reopen_init(&self->reopen, bus, self->closed_us);
	errands_init(&self->errands, bus, outcomes);
	talker_init(&self->talker, bus);
	error = init(self, settings, resolver, samples);
	if (error == 0)
		return self;
	serial_bus_free(self);
	errno = -error;
	return NULL;
}

void
serial_bus_free(struct serial_bus *self)
{
	if (!self)
		return;
	if (self->port)
		serial_bus_close(self);
	port_free(self->port);
	listener_free(self->listener);
	script_done(&self->on_open);
	script_done(&self->on_close);
	instruments_done(&self->instruments);
	inbox_done(&self->inbox);
	thread_done(&self->thread);
	free(self);
}

int
serial_bus_start(struct serial_bus *self)
{
	return thread_start(&self->thread, run, self);
}

void
serial_bus_tell_pause(struct serial_bus *self)
{
	thread_tell_pause(&self->thread);
}

void
serial_bus_tell_stop(struct serial_bus *self)
{
	thread_tell_stop(&self->thread);
}

void
serial_bus_tell_close(struct serial_bus *self)
{
	self->closing = true;
	thread_tell_stop(&self->thread);
}

bool
serial_bus_await(struct serial_bus *self, int64_t until_us)
{
	return thread_await(&self->thread, until_us);
}

void
serial_bus_close(struct serial_bus *self)
{
	port_close(self->port);
	self->open = false;
	answer_rest(self);
	answer_questions(self);
}

/* --- other settings --- */

static void
adopt_commands(struct serial_bus *self, struct serial_bus *from, const struct difference *difference)
{
	do {
		errands_adopt(&self->errands, &from->errands, difference);
		take_commands(from);
	} while (from->errands.count > 0);
}

/* The line as it is: whether it is open, how it did, and what of it was told. */
static void
adopt_line(struct serial_bus *self, struct serial_bus *from)
{
	struct port *port = self->port;

	/* A port knows what ends its waits. */
	self->port = from->port;
	from->port = port;
	thread_exchange(&self->thread, &from->thread);
	port_rebind(self->port, self->bus);
	self->open = from->open;
	self->ended = from->ended;
	self->fruitful = from->fruitful;
	self->reopen = from->reopen;
	self->reopen.bus = self->bus;
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

void
serial_bus_adopt(struct serial_bus *self, struct serial_bus *from, const struct difference *difference)
{
	assert(!self->thread.running && !from->thread.running);
	answer_questions(from); /* while it still knows */
	instruments_adopt(&self->instruments, &from->instruments, difference, clock_mono_us());
	adopt_commands(self, from, difference);
	adopt_line(self, from);
	self->look_us = from->look_us;
	self->came_us = from->came_us;
	self->came_unix_ms = from->came_unix_ms;
	self->ready_us = from->ready_us;
	self->settle_us = from->settle_us;
	self->greet_us = from->greet_us;
	self->greet_pause_us = from->greet_pause_us;
	self->greet_told = from->greet_told;
	/* What was begun of a frame is lost. */
	listener_reset(self->listener, true);
}

struct health_bus *
serial_bus_report(const struct serial_bus *self, bool full)
{
	size_t points = 0;

	for (size_t i = 0; full && i < self->instruments.count; i++)
		points += self->instruments.items[i].reading_count;
	return health_bus_new(self->bus, self->instruments.count, points);
}

int
serial_bus_ask(struct serial_bus *self, const struct health_question *question)
{
	return inbox_ask(&self->inbox, question);
}

/* It waits for nothing in a conversation but for RTS, and for what patterns may take. */
int
serial_bus_busy_max_ms(const struct serial_bus *self)
{
	return BUSY_MAX_MS + (int)(line_chars_us(self->bus, self->bus->rs485 == RS485_OFF ? 0 : TEMPLATE_BYTES_MAX) / 1000);
}

int
serial_bus_command(struct serial_bus *self, const struct command *commands, size_t count)
{
	return inbox_push(&self->inbox, commands, count);
}
