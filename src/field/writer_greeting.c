/* on_connect values: of units that come on line. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "field/writer_state.h"
#include "model/exception.h"

size_t
writer_greeting_collect(const struct settings *settings, const struct bus *bus, struct greeting *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];

		for (size_t j = 0; j < device->on_connect_count; j++) {
			if (device->on_connect[j].point->bus != bus)
				continue;
			if (ret)
				ret[count] =
				    (struct greeting){ .write = &device->on_connect[j], .wanted = true };
			count++;
		}
	}
	return count;
}

void
writer_answered(struct writer *writer, int unit)
{
	for (size_t i = 0; i < writer->greeting_count; i++) {
		struct greeting *greeting = &writer->greetings[i];

		if (greeting->write->point->unit != unit || !greeting->wanted || greeting->queued)
			continue;
		greeting->met = true;
		writer->greet = true;
	}
}

void
writer_lost(struct writer *writer, int unit)
{
	for (size_t i = 0; i < writer->greeting_count; i++) {
		struct greeting *greeting = &writer->greetings[i];

		if (greeting->write->point->unit != unit)
			continue;
		greeting->wanted = true;
		greeting->tries = 0;
	}
}

bool
writer_greets(const struct writer *writer, int unit)
{
	for (size_t i = 0; i < writer->greeting_count; i++)
		if (writer->greetings[i].wanted && writer->greetings[i].write->point->unit == unit)
			return true;
	return false;
}

bool
writer_greeting_queue(struct writer *writer, int unit)
{
	size_t at = 0;

	for (size_t i = 0; i < writer->greeting_count; i++) {
		struct greeting *greeting = &writer->greetings[i];
		const struct point_write *write = greeting->write;

		if (greeting->queued || !greeting->wanted || (!greeting->met && write->point->unit != unit))
			continue;
		memmove(&writer->jobs[at + 1], &writer->jobs[at],
		    (writer->job_count - at) * sizeof(*writer->jobs));
		writer->jobs[at++] = (struct job){
			.command = { .kind = COMMAND_WRITE,
			    .point = write->point,
			    .value = write->value,
			    .expires_mono_ms = CLOCK_NEVER },
			.greeting = greeting,
		};
		writer->job_count++;
		greeting->queued = true;
		greeting->met = false;
	}
	writer->greet = false;
	return at > 0;
}

/* --- what came of them --- */

/* May the unit take it a little later? */
static bool
is_passing(const struct outcome *outcome)
{
	return outcome->status == OUTCOME_TIMEOUT || outcome->status == OUTCOME_AWAY ||
	       (outcome->status == OUTCOME_EXCEPTION && exception_is_passing(outcome->exception));
}

/* An on_connect value that got no answer, or a passing one, is tried again at the next answer of its unit, a
 * few times; what the unit refuses it will refuse again. */
void
writer_greeting_finish(struct writer *writer, struct greeting *greeting, const struct outcome *outcome)
{
	const struct point *point = greeting->write->point;
	bool good = outcome->status == OUTCOME_DONE || outcome->status == OUTCOME_UNCHANGED;
	bool sent = outcome->status != OUTCOME_OFFLINE && outcome->status != OUTCOME_STOPPED;
	char text[OUTCOME_TEXT_MAX];

	greeting->queued = false;
	if (!sent)
		return;
	greeting->wanted = is_passing(outcome) && (writer->port.is_away(writer->port.ctx, point->unit) ||
						      ++greeting->tries < WRITER_GREETING_TRIES);
	if (greeting->wanted || greeting->told == !good)
		return;
	greeting->told = !good;
	outcome_text(outcome, COMMAND_WRITE, text, sizeof(text));
	if (good)
		log_notice("bus %s unit %d: on_connect: %s: written again", writer->bus->name, point->unit,
		    point->key);
	else
		log_warning(
		    "bus %s unit %d: on_connect: %s: %s", writer->bus->name, point->unit, point->key, text);
}

/* --- other settings --- */

static struct greeting *
same_greeting(struct writer *writer, const struct greeting *from, const struct difference *difference)
{
	const struct point *point = difference_point_now(difference, from->write->point);

	for (size_t i = 0; point && i < writer->greeting_count; i++)
		if (writer->greetings[i].write->point == point &&
		    value_equal(&writer->greetings[i].write->value, &from->write->value))
			return &writer->greetings[i];
	return NULL;
}

/* An on_connect value whose writing has begun begins again. */
void
writer_greeting_adopt(struct writer *writer, const struct writer *from, const struct difference *difference)
{
	for (size_t i = 0; i < from->greeting_count; i++) {
		const struct greeting *old = &from->greetings[i];
		struct greeting *greeting = same_greeting(writer, old, difference);

		if (!greeting)
			continue;
		greeting->wanted = old->wanted || old->queued;
		greeting->met = old->met || old->queued;
		greeting->told = old->told;
		greeting->tries = old->tries;
		writer->greet = writer->greet || greeting->met;
	}
}
