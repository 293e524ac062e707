/* Conversations: how each begins, and what its end means. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "field/line.h"
#include "field/serial_bus_state.h"

/* After a conversation that failed the line is settled when nothing came for so long. */
#define SETTLE_QUIET_US 20000
#define GREET_MIN_US	1000000
#define GREET_MAX_US	30000000

static int64_t
longest_frame_us(const struct serial_bus *self)
{
	return line_chars_at_us(self->bus, self->talker.baud, (size_t)self->bus->framing.max_bytes);
}

void
serial_bus_talk_begin(struct serial_bus *self, enum talk_owner owner, const struct script *script, struct instrument *asked,
    int timeout_ms, const struct template_values *values)
{
	int64_t now_us = clock_mono_us();

	self->owner = owner;
	self->asked = asked;
	self->asked_us = now_us;
	talker_begin(&self->talker, script, timeout_ms > 0 ? timeout_ms : self->bus->timeout_ms, longest_frame_us(self),
	    values, now_us);
}

void
serial_bus_talk_script(struct serial_bus *self, enum talk_owner owner, const struct script *script)
{
	struct template_values values = { .bus = self->bus };

	serial_bus_talk_begin(self, owner, script, NULL, 0, &values);
}

/* --- on_open --- */

void
serial_bus_talk_greet_again(struct serial_bus *self, int64_t pause_us)
{
	if (self->on_open.count == 0)
		return;
	self->greet_pause_us = GREET_MIN_US;
	self->greet_us = clock_mono_us() + pause_us;
}

static bool
somebody_is_away(const struct serial_bus *self)
{
	for (size_t i = 0; i < self->instruments.count; i++)
		if (self->instruments.items[i].silent || self->instruments.items[i].unit.state == UNIT_OFFLINE)
			return true;
	return false;
}

/* It is spoken again as long as it fails or somebody is away, who may have been switched off and on. Given up because we stop, it did
 * not fail: whoever goes on with other settings speaks it. */
static void
end_greeting(struct serial_bus *self, int error)
{
	if (error == -ECANCELED) {
		self->greet_us = clock_mono_us();
		return;
	}
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

/* --- polls --- */

void
serial_bus_talk_poll(struct serial_bus *self, struct instrument *instrument)
{
	const struct device *device = instrument->device;
	struct template_values values = { .bus = self->bus, .device = device };

	self->in_a_row = 0;
	errands_begin_reads(&self->errands, device);
	instrument_asked(instrument, clock_mono_us());
	serial_bus_talk_begin(self, OWNER_POLL, &instrument->poll, instrument, device->timeout_ms, &values);
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
		serial_bus_talk_greet_again(self, change == UNIT_LOST ? GREET_MIN_US : 0);
	errands_end_reads(&self->errands, instrument->device, OUTCOME_TIMEOUT, error == 0 ? EBADMSG : -error);
}

/* --- the end --- */

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

/* Was there an answer that the script knows? One that it only waits for is as good as the values in it. */
static bool
is_answered(const struct serial_bus *self, int error)
{
	const struct script *script = self->talker.talk.script;

	if (error == -EPERM && self->talker.talk.refuse)
		return true;
	for (size_t i = 0; error == 0 && i < script->count; i++)
		if (script->expects[i])
			return true;
	return false;
}

void
serial_bus_talk_finish(struct serial_bus *self, int error)
{
	enum talk_owner owner = self->owner;

	talker_end(&self->talker);
	if (is_answered(self, error))
		serial_bus_line_fruit(self);
	if (owner == OWNER_POLL)
		end_poll(self, error);
	else if (owner == OWNER_WRITE)
		serial_bus_write_end(self, error);
	else if (owner == OWNER_OPEN)
		end_greeting(self, error);
	self->owner = OWNER_NOBODY;
	self->asked = NULL;
	settle(self, error);
}

int64_t
serial_bus_talk_ready_us(const struct serial_bus *self)
{
	int64_t quiet_us = self->came_us + SETTLE_QUIET_US;

	if (quiet_us > self->settle_us)
		quiet_us = self->settle_us;
	return quiet_us > self->ready_us ? quiet_us : self->ready_us;
}
