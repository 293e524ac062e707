/* What the files of the writer have in common (writer.h). Nobody else includes this. Owned by the bus's worker. */
#ifndef FIELD_WRITER_STATE_H
#define FIELD_WRITER_STATE_H

#include "field/writer.h"

#define WRITER_UNITS 256

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
	} units[WRITER_UNITS];
	struct run run;
};

/* Has something of it been done? Then it is brought to its end. */
static inline bool
writer_is_begun(const struct job *job)
{
	return job->written || job->done > 0;
}

/* --- writer.c: the queue --- */

/* Let go of the jobs that are over. Those that are left have other places then. */
void writer_sweep(struct writer *writer);

/* --- writer_outcome.c: what came of commands --- */

/* The job is over; it takes the outcome's value. */
void writer_finish(struct writer *writer, struct job *job, struct outcome *outcome);

/* Put into words of an outcome what went wrong with a job.
 * error    as writer_port.ask() returned it
 * asked    a request went out
 * writing  and it was a write */
struct outcome writer_failure_of(const struct job *job, int error, bool asked, bool writing);

/* When nothing of the job may begin any more; CLOCK_NEVER. */
int64_t writer_expiry_us(const struct job *job);

/* The unit does not answer: finish what waits for it and has not begun, or only its on_connect values. */
void writer_give_up_unit(struct writer *writer, int unit, bool greetings_only);

/* --- writer_greeting.c: on_connect values --- */

/* Those of points on the bus; ret has room for them, or is NULL. Returns how many there are. */
size_t writer_greeting_collect(const struct settings *settings, const struct bus *bus, struct greeting *ret);

/* Put the values of the units that were met, or of `unit`, before all that waits. Returns whether there were any. */
bool writer_greeting_queue(struct writer *writer, int unit);

/* Its job is over: is it to be tried again? */
void writer_greeting_finish(struct writer *writer, struct greeting *greeting, const struct outcome *outcome);

/* As writer_adopt() has it. */
void writer_greeting_adopt(struct writer *writer, const struct writer *from, const struct difference *difference);

/* --- writer_neighbours.c: what belongs together --- */

/* Refuse what cannot be written, of all that was pushed together with the job: the others are joined without it. */
void writer_refuse_wrong(struct writer *writer, const struct job *like);

/* The run that the job at `index` goes in: writer->run, good until the next call. Its cells are not set. */
struct run *writer_gather(struct writer *writer, size_t index);

/* Set value and mask from its jobs: of two that want the same bits the later one gets them. */
void writer_lay_out(const struct writer *writer, struct run *run);

/* Cut the run down to the jobs that it still has. */
void writer_narrow(const struct writer *writer, struct run *run);

/* Do `cells`, those of the run, hold what the job wants? */
bool writer_holds(const struct run *run, const struct job *job, const uint16_t *cells);

/* Is the point to be written by mask write? */
bool writer_is_masked(const struct writer *writer, const struct point *point);

/* --- writer_step.c: a step --- */

/* Do the next step of the job at `index` and of those that go with it, and sweep. */
void writer_step_run(struct writer *writer, size_t index);

#endif
