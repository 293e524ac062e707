#include "field/writer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "field/writer_state.h"

/* --- making --- */

/* Of several devices with points of one unit the most careful counts. */
static void
collect_pauses(struct writer *writer, const struct settings *settings)
{
	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];

		for (size_t j = 0; j < device->point_count; j++) {
			const struct point *point = &device->points[j];
			int *pause_ms = &writer->units[point->unit].write_pause_ms;

			if (point->bus == writer->bus && device->write_pause_ms > *pause_ms)
				*pause_ms = device->write_pause_ms;
		}
	}
}

struct writer *
writer_new(const struct settings *settings, const struct bus *bus, struct writer_port port,
    struct outcome_sink outcomes)
{
	struct writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return NULL;
	writer->bus = bus;
	writer->port = port;
	writer->outcomes = outcomes;
	writer->greeting_count = writer_greeting_collect(settings, bus, NULL);
	writer->greetings = calloc(writer->greeting_count + 1, sizeof(*writer->greetings));
	writer->jobs = calloc(WRITER_COMMANDS_MAX + writer->greeting_count, sizeof(*writer->jobs));
	if (!writer->greetings || !writer->jobs) {
		writer_free(writer);
		errno = ENOMEM;
		return NULL;
	}
	writer_greeting_collect(settings, bus, writer->greetings);
	collect_pauses(writer, settings);
	return writer;
}

void
writer_free(struct writer *writer)
{
	if (!writer)
		return;
	if (writer->jobs)
		writer_refuse(writer, OUTCOME_STOPPED, 0);
	free(writer->greetings);
	free(writer->jobs);
	free(writer);
}

/* --- the queue --- */

size_t
writer_room(const struct writer *writer)
{
	return WRITER_COMMANDS_MAX - writer->taken;
}

bool
writer_waits(const struct writer *writer)
{
	return writer->job_count > 0 || writer->greet;
}

void
writer_take(struct writer *writer, const struct command *command, bool more)
{
	if (!writer->group_open)
		writer->group++;
	writer->group_open = more;
	writer->jobs[writer->job_count] = (struct job){ .command = *command, .group = writer->group };
	/* What cannot be read cannot be compared. */
	if (command->kind == COMMAND_WRITE_CHANGED && command->point->period_ms == 0)
		writer->jobs[writer->job_count].command.kind = COMMAND_WRITE;
	writer->job_count++;
	writer->taken++;
}

void
writer_sweep(struct writer *writer)
{
	size_t kept = 0;

	for (size_t i = 0; i < writer->job_count; i++) {
		if (writer->jobs[i].over)
			writer->taken -= writer->jobs[i].greeting == NULL;
		else
			writer->jobs[kept++] = writer->jobs[i];
	}
	writer->job_count = kept;
}

/* --- the turn --- */

static bool
is_whole(const struct writer *writer, const struct job *job)
{
	return !writer->group_open || job->greeting || job->group != writer->group;
}

/* When a job may start: a unit that may still answer something older, or wants its pause, is left alone. */
static int64_t
ready_us(const struct writer *writer, const struct job *job)
{
	if (!is_whole(writer, job))
		return CLOCK_NEVER;
	return writer->port.quiet_until_us(writer->port.ctx, job->command.point->unit);
}

static struct job *
first_ready(struct writer *writer)
{
	int64_t now_us = clock_mono_us();

	for (size_t i = 0; i < writer->job_count; i++)
		if (ready_us(writer, &writer->jobs[i]) <= now_us)
			return &writer->jobs[i];
	return NULL;
}

bool
writer_run(struct writer *writer)
{
	struct job *job;

	if (writer->greet)
		writer_greeting_queue(writer, -1);
	job = first_ready(writer);
	/* A unit that has not got its values gets them before a command, which may change them. */
	if (job && !job->greeting && !writer_is_begun(job) && writer_greeting_queue(writer, job->command.point->unit))
		job = first_ready(writer);
	if (job)
		writer_step_run(writer, (size_t)(job - writer->jobs));
	return job != NULL;
}

int64_t
writer_due_us(const struct writer *writer)
{
	int64_t due_us = writer->greet ? 0 : CLOCK_NEVER;

	for (size_t i = 0; i < writer->job_count; i++) {
		const struct job *job = &writer->jobs[i];
		int64_t ready = ready_us(writer, job);
		int64_t over = writer_expiry_us(job);

		ready = over < ready ? over : ready;
		due_us = ready < due_us ? ready : due_us;
	}
	return due_us;
}

/* --- other settings --- */

static void
adopt_job(struct writer *writer, struct writer *from, struct job *job, const struct difference *difference)
{
	const struct point *point = difference_point_now(difference, job->command.point);

	if (!point || writer_room(writer) == 0 || difference_carry(point, &job->command.value) != 0) {
		struct outcome outcome = { .status = OUTCOME_STOPPED };

		if (writer_is_begun(job))
			outcome = writer_failure_of(job, -ECANCELED, true, true);
		writer_finish(from, job, &outcome);
		return;
	}
	writer->jobs[writer->job_count] = *job;
	writer->jobs[writer->job_count++].command.point = point;
	writer->taken++;
}

void
writer_adopt(struct writer *writer, struct writer *from, const struct difference *difference)
{
	writer_greeting_adopt(writer, from, difference);
	for (int i = 0; i < WRITER_UNITS; i++)
		writer->units[i].lacks_mask_write = from->units[i].lacks_mask_write;
	writer->group = from->group;
	writer->group_open = from->group_open;
	writer->outcomes_refused = from->outcomes_refused;
	for (size_t i = 0; i < from->job_count; i++)
		if (!from->jobs[i].greeting)
			adopt_job(writer, from, &from->jobs[i], difference);
	from->job_count = 0;
	from->taken = 0;
	from->greet = false;
}
