/* What belongs together: commands whose points touch, and the cells that they make. */
#include <string.h>

#include "field/plan.h"
#include "field/writer_state.h"
#include "model/codec.h"

/* --- which --- */

static int
end_of(const struct point *point)
{
	return point->addr + point->count;
}

bool
writer_is_masked(const struct writer *writer, const struct point *point)
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
	       writer_is_masked(writer, p) == writer_is_masked(writer, q) &&
	       (!writer_is_masked(writer, p) || p->addr == q->addr);
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

struct run *
writer_gather(struct writer *writer, size_t index)
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

/* Cut the run down to the jobs that it still has. Between them it stays as it is. */
void
writer_narrow(const struct writer *writer, struct run *run)
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

/* --- their cells --- */

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

void
writer_lay_out(const struct writer *writer, struct run *run)
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

bool
writer_holds(const struct run *run, const struct job *job, const uint16_t *cells)
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

void
writer_refuse_wrong(struct writer *writer, const struct job *like)
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
			writer_finish(writer, job, &outcome);
	}
}
