/* A step: a request, or a read and the write that depends on it. */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "field/writer_state.h"
#include "model/codec.h"

#define WHOLE_CELL 0xffff
/* Cells of one value that are written one by one without a poll between: those of a number. */
#define SINGLES_AT_ONCE 4

struct step {
	struct writer *writer;
	struct run *run;
	bool asked;   /* the last request went out, at least in part */
	bool writing; /* it was a write */
};

/* --- asking --- */

/* It may have to wait, for the line or for a read before it, so that the time is over by then. */
static int64_t
send_by_us(const struct step *step)
{
	int64_t by_us = CLOCK_NEVER;

	for (size_t i = 0; i < step->run->job_count; i++) {
		int64_t over_us = writer_expiry_us(&step->writer->jobs[step->run->jobs[i]]);

		by_us = over_us < by_us ? over_us : by_us;
	}
	return by_us;
}

static int
ask(struct step *step, struct pdu_request *request, uint16_t *cells)
{
	struct writer *writer = step->writer;
	struct link_report report = { 0 };
	int error;

	request->send_by_mono_us = send_by_us(step);
	error = writer->port.ask(writer->port.ctx, request, step->run->timeout_ms, cells, &report);
	step->asked = report.sent;
	step->writing = pdu_writes(request);
	return error == -EAGAIN ? -EIO : error; /* which has a meaning of its own here */
}

static int
read_cells(struct step *step, uint16_t *cells)
{
	const struct run *run = step->run;
	struct pdu_request request = pdu_read(run->first->table, run->first->unit, run->addr, run->count);

	return ask(step, &request, cells);
}

/* What was just learned may forbid to go on now: the unit has to prove that it is in step, or is to be
 * greeted first. */
static bool
must_wait(const struct writer *writer, int unit)
{
	return writer->greet || writer->port.quiet_until_us(writer->port.ctx, unit) > clock_mono_us();
}

static int
write_request(struct step *step, struct pdu_request *request)
{
	struct writer *writer = step->writer;
	int pause_ms = writer->units[request->unit].write_pause_ms;
	int error = ask(step, request, NULL);

	if (error == 0 && pause_ms > 0)
		writer->port.keep_quiet(
		    writer->port.ctx, request->unit, clock_mono_us() + (int64_t)pause_ms * 1000);
	return error;
}

/* One by one; goes on where it was when the unit wants a pause between, and lets others have their turn if
 * there are many. */
static int
write_singly(struct step *step, struct job *job)
{
	struct run *run = step->run;
	int enough = job->done + SINGLES_AT_ONCE;

	while (job->done < run->count) {
		struct pdu_request request = pdu_write(
		    run->first->table, run->first->unit, run->addr + job->done, 1, run->value + job->done);
		int error = write_request(step, &request);

		if (error != 0)
			return error;
		if (++job->done < run->count &&
		    (job->done == enough || must_wait(step->writer, run->first->unit)))
			return -EAGAIN;
	}
	return 0;
}

static int
write_masked(struct step *step)
{
	struct writer *writer = step->writer;
	struct run *run = step->run;
	int unit = run->first->unit;
	uint16_t masks[2] = { (uint16_t)~run->mask[0], (uint16_t)(run->value[0] & run->mask[0]) };
	struct pdu_request request = pdu_mask_write(unit, run->addr, masks);
	int error = write_request(step, &request);

	if (error != PDU_ILLEGAL_FUNCTION)
		return error;
	writer->units[unit].lacks_mask_write = true;
	log_notice("bus %s unit %d: does not know mask write (function 22): registers are read, changed and "
		   "written back",
	    writer->bus->name, unit);
	return -EAGAIN;
}

static int
write_cells(struct step *step)
{
	struct run *run = step->run;
	struct pdu_request request =
	    pdu_write(run->first->table, run->first->unit, run->addr, run->count, run->value);

	for (size_t i = 0; i < run->job_count; i++)
		if (step->writer->jobs[run->jobs[i]].command.point->write == WRITE_MULTIPLE)
			request = pdu_write_multiple(
			    run->first->table, run->first->unit, run->addr, run->count, run->value);
	return write_request(step, &request);
}

/* --- steps --- */

/* Finish a job of the run whose value is in `cells`, those of the run. */
static void
finish_with_value(struct step *step, struct job *job, enum outcome_status status, const uint16_t *cells)
{
	const struct point *point = job->command.point;
	struct outcome outcome = { .status = status };

	/* What is no value (NaN, a broken text) comes back as VALUE_NONE. */
	(void)codec_decode(point, cells + (point->addr - step->run->addr), &outcome.value);
	writer_finish(step->writer, job, &outcome);
}

/* Finish the jobs whose cells hold their values already. Returns whether any are left. */
static bool
drop_unchanged(struct step *step)
{
	struct writer *writer = step->writer;
	struct run *run = step->run;
	size_t kept = 0;

	for (size_t i = 0; i < run->job_count; i++) {
		struct job *job = &writer->jobs[run->jobs[i]];

		if (!writer_is_begun(job) && writer_holds(run, job, run->held))
			finish_with_value(step, job, OUTCOME_UNCHANGED, run->held);
		else
			run->jobs[kept++] = run->jobs[i];
	}
	run->job_count = kept;
	if (kept > 0)
		writer_narrow(writer, run);
	return kept > 0;
}

static bool
is_partial(const struct run *run)
{
	for (int i = 0; i < run->count; i++)
		if (run->mask[i] != WHOLE_CELL)
			return true;
	return false;
}

/* The unit has taken the run's value: what is to be verified is read back in a step of its own. */
static void
note_written(struct step *step)
{
	struct writer *writer = step->writer;
	struct run *run = step->run;

	for (size_t i = 0; i < run->job_count; i++) {
		struct job *job = &writer->jobs[run->jobs[i]];

		writer->port.written(writer->port.ctx, job->command.point);
		job->written = true;
		if (!job->command.point->verify)
			finish_with_value(step, job, OUTCOME_DONE, run->value);
	}
}

/* Read if that is wanted, compare, write. Returns -EAGAIN if it has to go on, or to start again, later. */
static int
write_step(struct step *step)
{
	struct writer *writer = step->writer;
	struct run *run = step->run;
	struct job *job = &writer->jobs[run->jobs[0]];
	bool masked = writer_is_masked(writer, run->first);
	bool changed_only = job->command.kind == COMMAND_WRITE_CHANGED;
	int error = 0;

	writer_lay_out(writer, run);
	if ((changed_only && !writer_is_begun(job)) || (is_partial(run) && !masked)) {
		error = read_cells(step, run->held);
		if (error == 0 && must_wait(writer, run->first->unit))
			error = -EAGAIN;
		if (error != 0 || (changed_only && !drop_unchanged(step)))
			return error;
		job = &writer->jobs[run->jobs[0]];
	}
	for (int i = 0; !masked && i < run->count; i++)
		run->value[i] = (uint16_t)((run->value[i] & run->mask[i]) | (run->held[i] & ~run->mask[i]));
	if (masked)
		error = write_masked(step);
	else if (run->first->write == WRITE_SINGLE)
		error = write_singly(step, job);
	else
		error = write_cells(step);
	if (error == 0)
		note_written(step);
	return error;
}

static int
verify_step(struct step *step)
{
	struct run *run = step->run;
	int error = read_cells(step, run->held);

	for (size_t i = 0; error == 0 && i < run->job_count; i++) {
		struct job *job = &step->writer->jobs[run->jobs[i]];

		finish_with_value(
		    step, job, writer_holds(run, job, run->held) ? OUTCOME_DONE : OUTCOME_DIFFERENT, run->held);
	}
	return error;
}

static int
read_step(struct step *step)
{
	struct run *run = step->run;
	int error = read_cells(step, run->held);

	if (error == 0)
		finish_with_value(step, &step->writer->jobs[run->jobs[0]], OUTCOME_DONE, run->held);
	return error;
}

static void
fail(struct step *step, int error)
{
	struct writer *writer = step->writer;
	struct run *run = step->run;
	int unit = run->first->unit;
	bool silent = (error < 0 && error != -EINVAL && step->asked) || error == PDU_GATEWAY_NO_PATH ||
		      error == PDU_GATEWAY_NO_ANSWER;
	bool greeting = false;

	for (size_t i = 0; i < run->job_count; i++) {
		struct job *job = &writer->jobs[run->jobs[i]];
		struct outcome outcome = writer_failure_of(job, error, step->asked, step->writing);

		greeting = greeting || job->greeting;
		writer_finish(writer, job, &outcome);
	}
	if (silent && writer->port.is_away(writer->port.ctx, unit))
		writer_give_up_unit(writer, unit, false);
	else if (silent && greeting)
		writer_give_up_unit(writer, unit, true);
}

/* If the peer had ended the connection everything stays where it is, for the next one. */
void
writer_step_run(struct writer *writer, size_t index)
{
	struct job *job = &writer->jobs[index];
	struct step step = { .writer = writer };
	int error;

	if (!writer_is_begun(job))
		writer_refuse_wrong(writer, job);
	if (!job->over) {
		step.run = writer_gather(writer, index);
		error = job->written			    ? verify_step(&step)
			: job->command.kind == COMMAND_READ ? read_step(&step)
							    : write_step(&step);
		if (error != 0 && error != -EAGAIN && error != -ENOTCONN)
			fail(&step, error);
	}
	writer_sweep(writer);
}
