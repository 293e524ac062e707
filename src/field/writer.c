#include "field/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "field/plan.h"
#include "model/codec.h"
#include "model/exception.h"

#define WHOLE_CELL 0xffff
#define UNITS	   256
/* Cells of one value that are written one by one without a poll between: those of a number. */
#define SINGLES_AT_ONCE 4

/* An on_connect value. */
struct greeting {
	const struct point_write *write;
	bool wanted; /* not written since the unit was met */
	bool met;    /* and the unit has just answered */
	bool queued;
	bool told; /* the log says that it cannot be written */
	int tries; /* without an answer */
};

struct job {
	struct command command;
	struct greeting *greeting; /* or NULL: a command that was taken */
	unsigned group;		   /* of one push */
	int done;		   /* cells written so far, one by one */
	bool written;		   /* and to be read back */
	bool over;
};

/* Neighbours that one request writes or reads back. */
struct run {
	const struct point *first; /* whose unit and table it is */
	int addr;
	int count;
	int timeout_ms;
	size_t jobs[WRITER_COMMANDS_MAX]; /* in the order in which they came */
	size_t job_count;
	uint16_t value[MODBUS_MAX_READ_BITS];
	uint16_t mask[MODBUS_MAX_READ_BITS]; /* the bits of each cell that `value` is about */
	uint16_t held[MODBUS_MAX_READ_BITS]; /* what the unit held before */
};

struct writer {
	const struct bus *bus;
	struct writer_port port;
	struct outcome_sink outcomes;
	uint64_t outcomes_refused;

	struct job *jobs;
	size_t job_count;
	size_t taken; /* of them, how many are commands */
	unsigned group;
	bool group_open; /* commands of the last group are still to come */

	struct greeting *greetings;
	size_t greeting_count;
	bool greet; /* some greeting is for a unit that was met */
	struct {
		int write_pause_ms;
		bool lacks_mask_write;
	} units[UNITS];
	struct run run;
};

/* --- making --- */

static size_t
collect_greetings(const struct settings *settings, const struct bus *bus, struct greeting *ret)
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
	writer->greeting_count = collect_greetings(settings, bus, NULL);
	writer->greetings = calloc(writer->greeting_count + 1, sizeof(*writer->greetings));
	writer->jobs = calloc(WRITER_COMMANDS_MAX + writer->greeting_count, sizeof(*writer->jobs));
	if (!writer->greetings || !writer->jobs) {
		writer_free(writer);
		errno = ENOMEM;
		return NULL;
	}
	collect_greetings(settings, bus, writer->greetings);
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

/* Let go of the jobs that are over. */
static void
sweep(struct writer *writer)
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

/* Has something of it been done? Then it is brought to its end. */
static bool
is_begun(const struct job *job)
{
	return job->written || job->done > 0;
}

static bool
is_whole(const struct writer *writer, const struct job *job)
{
	return !writer->group_open || job->greeting || job->group != writer->group;
}

/* --- outcomes --- */

/* May the unit take it a little later? */
static bool
is_passing(const struct outcome *outcome)
{
	return outcome->status == OUTCOME_TIMEOUT || outcome->status == OUTCOME_AWAY ||
	       (outcome->status == OUTCOME_EXCEPTION && exception_is_passing(outcome->exception));
}

/* An on_connect value that got no answer, or a passing one, is tried again at the next answer of its unit, a
 * few times; what the unit refuses it will refuse again. */
static void
finish_greeting(struct writer *writer, struct greeting *greeting, const struct outcome *outcome)
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

static void
push_outcome(struct writer *writer, struct outcome *outcome)
{
	if (writer->outcomes.push(writer->outcomes.ctx, outcome) == 0)
		return;
	value_done(&outcome->value);
	if (writer->outcomes_refused++ == 0)
		log_error("bus %s: the outcome of a command found no room and is lost", writer->bus->name);
}

/* The job is over; it takes the outcome's value. */
static void
finish(struct writer *writer, struct job *job, struct outcome *outcome)
{
	outcome->point = job->command.point;
	outcome->tag = job->command.tag;
	if (job->greeting) {
		finish_greeting(writer, job->greeting, outcome);
		value_done(&outcome->value);
	} else {
		push_outcome(writer, outcome);
		value_done(&job->command.value);
	}
	job->over = true;
}

/* Put into words of an outcome what went wrong with a job.
 * asked    a request went out
 * writing  and it was a write */
static struct outcome
failure_of(const struct job *job, int error, bool asked, bool writing)
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

		if (is_begun(job))
			outcome = failure_of(job, error != 0 ? -error : -ECANCELED, true, true);
		finish(writer, job, &outcome);
	}
	sweep(writer);
	for (size_t i = 0; writer->greetings && i < writer->greeting_count; i++)
		writer->greetings[i].met = false;
	writer->greet = false;
}

/* When nothing of the job may begin any more. */
static int64_t
expiry_us(const struct job *job)
{
	int64_t expiry_ms = job->command.expires_mono_ms;

	return !is_begun(job) && expiry_ms < CLOCK_NEVER / 1000 - 1 ? (expiry_ms + 1) * 1000 : CLOCK_NEVER;
}

void
writer_expire(struct writer *writer)
{
	int64_t now_us = writer->job_count > 0 ? clock_mono_us() : 0;

	for (size_t i = 0; i < writer->job_count; i++) {
		struct job *job = &writer->jobs[i];
		struct outcome outcome = { .status = OUTCOME_EXPIRED };

		if (now_us >= expiry_us(job))
			finish(writer, job, &outcome);
	}
	sweep(writer);
}

/* A unit that does not answer has had its try: what else waits for it would cost a timeout each. */
static void
give_up_unit(struct writer *writer, int unit, bool greetings_only)
{
	for (size_t i = 0; i < writer->job_count; i++) {
		struct job *job = &writer->jobs[i];
		struct outcome outcome = { .status = OUTCOME_AWAY };

		if (job->over || is_begun(job) || job->command.point->unit != unit ||
		    (greetings_only && !job->greeting))
			continue;
		if (job->greeting)
			outcome.status = OUTCOME_OFFLINE;
		finish(writer, job, &outcome);
	}
}

/* --- what belongs together --- */

static int
end_of(const struct point *point)
{
	return point->addr + point->count;
}

/* What the cells of the point are to be, and which of their bits: a point that is only a part of them leaves
 * the others as they were, whatever they were. Returns the fault. */
static enum codec_fault
encode(const struct job *job, uint16_t *value, uint16_t *mask)
{
	const struct point *point = job->command.point;
	size_t size = (size_t)point->count * sizeof(*value);
	enum codec_fault fault;

	if (!point_table_writable(point->table))
		return CODEC_NOT_WRITABLE;
	memset(value, 0, size);
	memset(mask, 0xff, size);
	fault = codec_encode(point, &job->command.value, value);
	if (fault != CODEC_OK || codec_encode(point, &job->command.value, mask) != CODEC_OK)
		return fault;
	for (int i = 0; i < point->count; i++)
		mask[i] = (uint16_t) ~(value[i] ^ mask[i]);
	return CODEC_OK;
}

/* Is it to be done by mask write? */
static bool
is_masked(const struct writer *writer, const struct point *point)
{
	return codec_needs_current(point) && point->count == 1 && point->device->mask_write &&
	       !writer->units[point->unit].lacks_mask_write;
}

/* The longest request that writes and reads back several points. */
static int
room_of(const struct point *point)
{
	int most = point_table_has_bits(point->table) ? MODBUS_MAX_WRITE_BITS : MODBUS_MAX_WRITE_REGISTERS;
	int allowed =
	    point_table_has_bits(point->table) ? point->device->max_bits : point->device->max_registers;

	return allowed > 0 && allowed < most ? allowed : most;
}

/* May the two go out in one request, if they touch? */
static bool
is_akin(const struct writer *writer, const struct job *a, const struct job *b)
{
	const struct point *p = a->command.point;
	const struct point *q = b->command.point;

	if (a->over || a->greeting || b->greeting || a->group != b->group ||
	    a->command.kind != b->command.kind || p->unit != q->unit || p->table != q->table ||
	    a->written != b->written)
		return false;
	if (a->written)
		return true;
	return a->command.kind != COMMAND_READ && p->write != WRITE_SINGLE && q->write != WRITE_SINGLE &&
	       is_masked(writer, p) == is_masked(writer, q) && (!is_masked(writer, p) || p->addr == q->addr);
}

/* Widen the run by the point if it touches and the limits allow it. */
static bool
widen(struct run *run, const struct point *point)
{
	int addr = point->addr < run->addr ? point->addr : run->addr;
	int end = run->addr + run->count;

	if (point->addr > end || end_of(point) < run->addr)
		return false;
	if (end_of(point) > end)
		end = end_of(point);
	if (end - addr > run->count && (end - addr > room_of(point) || end - addr > room_of(run->first)))
		return false;
	run->addr = addr;
	run->count = end - addr;
	if (plan_timeout_ms(point) > run->timeout_ms)
		run->timeout_ms = plan_timeout_ms(point);
	return true;
}

static bool
is_in(const struct run *run, size_t index)
{
	for (size_t i = 0; i < run->job_count; i++)
		if (run->jobs[i] == index)
			return true;
	return false;
}

static void
insert(struct run *run, size_t index)
{
	size_t at = run->job_count++;

	for (; at > 0 && run->jobs[at - 1] > index; at--)
		run->jobs[at] = run->jobs[at - 1];
	run->jobs[at] = index;
}

static struct run *
gather(struct writer *writer, size_t index)
{
	const struct job *job = &writer->jobs[index];
	const struct point *point = job->command.point;
	struct run *run = &writer->run;
	bool grown = true;

	run->first = point;
	run->addr = point->addr;
	run->count = point->count;
	run->timeout_ms = plan_timeout_ms(point);
	run->jobs[0] = index;
	run->job_count = 1;
	while (grown) {
		grown = false;
		for (size_t i = 0; i < writer->job_count; i++) {
			if (is_in(run, i) || !is_akin(writer, &writer->jobs[i], job) ||
			    !widen(run, writer->jobs[i].command.point))
				continue;
			insert(run, i);
			grown = true;
		}
	}
	return run;
}

/* Lay the jobs' cells over one another: of two that want the same bits the later one gets them. */
static void
lay_out(const struct writer *writer, struct run *run)
{
	uint16_t value[MODBUS_MAX_READ_BITS];
	uint16_t mask[MODBUS_MAX_READ_BITS];

	memset(run->value, 0, (size_t)run->count * sizeof(run->value[0]));
	memset(run->mask, 0, (size_t)run->count * sizeof(run->mask[0]));
	for (size_t i = 0; i < run->job_count; i++) {
		const struct job *job = &writer->jobs[run->jobs[i]];
		int offset = job->command.point->addr - run->addr;

		encode(job, value, mask);
		for (int j = 0; j < job->command.point->count; j++) {
			uint16_t *cell = &run->value[offset + j];

			*cell = (uint16_t)((*cell & ~mask[j]) | (value[j] & mask[j]));
			run->mask[offset + j] |= mask[j];
		}
	}
}

/* Refuse what cannot be written, of all that was pushed together: the others are joined without it. */
static void
refuse_wrong(struct writer *writer, const struct job *like)
{
	uint16_t value[MODBUS_MAX_READ_BITS];
	uint16_t mask[MODBUS_MAX_READ_BITS];

	for (size_t i = 0; i < writer->job_count; i++) {
		struct job *job = &writer->jobs[i];
		struct outcome outcome = { .status = OUTCOME_REFUSED, .fault = CODEC_NO_FIT };

		if (job != like && (job->greeting || like->greeting || job->group != like->group))
			continue;
		/* Too long for any request: the configuration's check does not let it come so far. */
		if (job->command.point->count <= MODBUS_MAX_READ_BITS)
			outcome.fault =
			    job->command.kind == COMMAND_READ ? CODEC_OK : (int)encode(job, value, mask);
		if (outcome.fault != CODEC_OK)
			finish(writer, job, &outcome);
	}
}

/* --- asking --- */

struct step {
	struct writer *writer;
	struct run *run;
	bool asked;   /* the last request went out, at least in part */
	bool writing; /* it was a write */
};

/* It may have to wait, for the line or for a read before it, so that the time is over by then. */
static int64_t
send_by_us(const struct step *step)
{
	int64_t by_us = CLOCK_NEVER;

	for (size_t i = 0; i < step->run->job_count; i++) {
		int64_t over_us = expiry_us(&step->writer->jobs[step->run->jobs[i]]);

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
	finish(step->writer, job, &outcome);
}

/* Do `cells`, those of the run, hold what the job wants? */
static bool
holds(const struct run *run, const struct job *job, const uint16_t *cells)
{
	const struct point *point = job->command.point;
	uint16_t value[MODBUS_MAX_READ_BITS];
	uint16_t mask[MODBUS_MAX_READ_BITS];

	encode(job, value, mask);
	cells += point->addr - run->addr;
	for (int i = 0; i < point->count; i++)
		if ((cells[i] ^ value[i]) & mask[i])
			return false;
	return true;
}

/* Cut the run down to the jobs that it still has. Between them it stays as it is. */
static void
narrow(const struct writer *writer, struct run *run)
{
	int addr = run->addr + run->count;
	int end = run->addr;
	size_t skip;

	for (size_t i = 0; i < run->job_count; i++) {
		const struct point *point = writer->jobs[run->jobs[i]].command.point;

		addr = point->addr < addr ? point->addr : addr;
		end = end_of(point) > end ? end_of(point) : end;
	}
	skip = (size_t)(addr - run->addr);
	run->addr = addr;
	run->count = end - addr;
	memmove(run->value, run->value + skip, (size_t)run->count * sizeof(run->value[0]));
	memmove(run->mask, run->mask + skip, (size_t)run->count * sizeof(run->mask[0]));
	memmove(run->held, run->held + skip, (size_t)run->count * sizeof(run->held[0]));
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

		if (!is_begun(job) && holds(run, job, run->held))
			finish_with_value(step, job, OUTCOME_UNCHANGED, run->held);
		else
			run->jobs[kept++] = run->jobs[i];
	}
	run->job_count = kept;
	if (kept > 0)
		narrow(writer, run);
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
	bool masked = is_masked(writer, run->first);
	bool changed_only = job->command.kind == COMMAND_WRITE_CHANGED;
	int error = 0;

	lay_out(writer, run);
	if ((changed_only && !is_begun(job)) || (is_partial(run) && !masked)) {
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
		    step, job, holds(run, job, run->held) ? OUTCOME_DONE : OUTCOME_DIFFERENT, run->held);
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
		struct outcome outcome = failure_of(job, error, step->asked, step->writing);

		greeting = greeting || job->greeting;
		finish(writer, job, &outcome);
	}
	if (silent && writer->port.is_away(writer->port.ctx, unit))
		give_up_unit(writer, unit, false);
	else if (silent && greeting)
		give_up_unit(writer, unit, true);
}

/* If the peer had ended the connection everything stays where it is, for the next one. */
static void
run_step(struct writer *writer, size_t index)
{
	struct job *job = &writer->jobs[index];
	struct step step = { .writer = writer };
	int error;

	if (!is_begun(job))
		refuse_wrong(writer, job);
	if (!job->over) {
		step.run = gather(writer, index);
		error = job->written			    ? verify_step(&step)
			: job->command.kind == COMMAND_READ ? read_step(&step)
							    : write_step(&step);
		if (error != 0 && error != -EAGAIN && error != -ENOTCONN)
			fail(&step, error);
	}
	sweep(writer);
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
static void
adopt_greetings(struct writer *writer, const struct writer *from, const struct difference *difference)
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

static void
adopt_job(struct writer *writer, struct writer *from, struct job *job, const struct difference *difference)
{
	const struct point *point = difference_point_now(difference, job->command.point);

	if (!point || writer_room(writer) == 0 || difference_carry(point, &job->command.value) != 0) {
		struct outcome outcome = { .status = OUTCOME_STOPPED };

		if (is_begun(job))
			outcome = failure_of(job, -ECANCELED, true, true);
		finish(from, job, &outcome);
		return;
	}
	writer->jobs[writer->job_count] = *job;
	writer->jobs[writer->job_count++].command.point = point;
	writer->taken++;
}

void
writer_adopt(struct writer *writer, struct writer *from, const struct difference *difference)
{
	adopt_greetings(writer, from, difference);
	for (int i = 0; i < UNITS; i++)
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

/* --- units that come on line --- */

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

/* Put the values of the units that were met, or of `unit`, before all that waits. Returns whether there were
 * any. */
static bool
queue_greetings(struct writer *writer, int unit)
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

/* --- the turn --- */

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
		queue_greetings(writer, -1);
	job = first_ready(writer);
	/* A unit that has not got its values gets them before a command, which may change them. */
	if (job && !job->greeting && !is_begun(job) && queue_greetings(writer, job->command.point->unit))
		job = first_ready(writer);
	if (job)
		run_step(writer, (size_t)(job - writer->jobs));
	return job != NULL;
}

int64_t
writer_due_us(const struct writer *writer)
{
	int64_t due_us = writer->greet ? 0 : CLOCK_NEVER;

	for (size_t i = 0; i < writer->job_count; i++) {
		const struct job *job = &writer->jobs[i];
		int64_t ready = ready_us(writer, job);
		int64_t over = expiry_us(job);

		ready = over < ready ? over : ready;
		due_us = ready < due_us ? ready : due_us;
	}
	return due_us;
}
