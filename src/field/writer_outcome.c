/* What came of commands. */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "field/writer_state.h"
#include "model/codec.h"

static void
push_outcome(struct writer *writer, struct outcome *outcome)
{
	if (writer->outcomes.push(writer->outcomes.ctx, outcome) == 0)
		return;
	value_done(&outcome->value);
	if (writer->outcomes_refused++ == 0)
		log_error("bus %s: the outcome of a command found no room and is lost", writer->bus->name);
}

void
writer_finish(struct writer *writer, struct job *job, struct outcome *outcome)
{
	outcome->point = job->command.point;
	outcome->tag = job->command.tag;
	if (job->greeting) {
		writer_greeting_finish(writer, job->greeting, outcome);
		value_done(&outcome->value);
	} else {
		push_outcome(writer, outcome);
		value_done(&job->command.value);
	}
	job->over = true;
}

struct outcome
writer_failure_of(const struct job *job, int error, bool asked, bool writing)
{
	struct outcome outcome = { .error = error < 0 ? -error : 0, .exception = error > 0 ? error : 0 };

	if (job->written)
		outcome.status = OUTCOME_UNVERIFIED;
	else if (error == -ETIME)
		outcome.status = OUTCOME_EXPIRED;
	else if (error > 0)
		outcome.status = OUTCOME_EXCEPTION;
	else if (error == -EINVAL)
		outcome = (struct outcome){ .status = OUTCOME_REFUSED, .fault = CODEC_NO_FIT };
	else if ((asked && (writing || job->command.kind == COMMAND_READ)) || job->done > 0)
		outcome.status = OUTCOME_TIMEOUT;
	else if (asked)
		outcome.status = OUTCOME_AWAY;
	else
		outcome.status = error == -ECANCELED ? OUTCOME_STOPPED : OUTCOME_OFFLINE;
	return outcome;
}

void
writer_refuse(struct writer *writer, enum outcome_status status, int error)
{
	for (size_t i = 0; i < writer->job_count; i++) {
		struct job *job = &writer->jobs[i];
		struct outcome outcome = { .status = status, .error = error };

		if (writer_is_begun(job))
			outcome = writer_failure_of(job, error != 0 ? -error : -ECANCELED, true, true);
		writer_finish(writer, job, &outcome);
	}
	writer_sweep(writer);
	for (size_t i = 0; writer->greetings && i < writer->greeting_count; i++)
		writer->greetings[i].met = false;
	writer->greet = false;
}

int64_t
writer_expiry_us(const struct job *job)
{
	int64_t expiry_ms = job->command.expires_mono_ms;

	return !writer_is_begun(job) && expiry_ms < CLOCK_NEVER / 1000 - 1 ? (expiry_ms + 1) * 1000 : CLOCK_NEVER;
}

void
writer_expire(struct writer *writer)
{
	int64_t now_us = writer->job_count > 0 ? clock_mono_us() : 0;

	for (size_t i = 0; i < writer->job_count; i++) {
		struct job *job = &writer->jobs[i];
		struct outcome outcome = { .status = OUTCOME_EXPIRED };

		if (now_us >= writer_expiry_us(job))
			writer_finish(writer, job, &outcome);
	}
	writer_sweep(writer);
}

/* A unit that does not answer has had its try: what else waits for it would cost a timeout each. */
void
writer_give_up_unit(struct writer *writer, int unit, bool greetings_only)
{
	for (size_t i = 0; i < writer->job_count; i++) {
		struct job *job = &writer->jobs[i];
		struct outcome outcome = { .status = OUTCOME_AWAY };

		if (job->over || writer_is_begun(job) || job->command.point->unit != unit ||
		    (greetings_only && !job->greeting))
			continue;
		if (job->greeting)
			outcome.status = OUTCOME_OFFLINE;
		writer_finish(writer, job, &outcome);
	}
}
