/* Writes: from a command to what is said, and from the answer to its outcome. */
#include <errno.h>

#include "base/clock.h"
#include "field/serial_bus_state.h"
#include "model/codec.h"

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

bool
serial_bus_write_begin(struct serial_bus *self, struct errand *errand)
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
	serial_bus_talk_begin(self, OWNER_WRITE, &self->write_script, instrument, command->point->device->timeout_ms, &values);
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

void
serial_bus_write_end(struct serial_bus *self, int error)
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
