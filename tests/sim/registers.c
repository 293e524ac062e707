#include "sim/registers.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const table_names[TABLES] = {
	[TABLE_COIL] = "coil",
	[TABLE_DISCRETE] = "discrete",
	[TABLE_INPUT] = "input",
	[TABLE_HOLDING] = "holding",
};

static const struct motion_row {
	const char *name;
	unsigned cells;
} motion_rows[] = {
	[MOTION_NONE] = { .name = "none", .cells = 1 },
	[MOTION_COUNTER] = { .name = "counter", .cells = 1 },
	[MOTION_COUNTER32] = { .name = "counter32", .cells = 2 },
	[MOTION_RAMP] = { .name = "ramp", .cells = 1 },
	[MOTION_SINE] = { .name = "sine", .cells = 1 },
	[MOTION_TOGGLE] = { .name = "toggle", .cells = 1 },
	[MOTION_FLOAT_SINE] = { .name = "float_sine", .cells = 2 },
	[MOTION_READS] = { .name = "reads", .cells = 1 },
	[MOTION_READS32] = { .name = "reads32", .cells = 2 },
};

int
table_parse(const char *name)
{
	for (int i = 0; i < TABLES; i++)
		if (name && !strcmp(name, table_names[i]))
			return i;
	return -1;
}

int
motion_parse(const char *name)
{
	for (int i = 0; i < (int)(sizeof(motion_rows) / sizeof(motion_rows[0])); i++)
		if (name && !strcmp(name, motion_rows[i].name))
			return i;
	return -1;
}

bool
table_is_bits(enum table table)
{
	return table == TABLE_COIL || table == TABLE_DISCRETE;
}

struct unit *
unit_new(uint8_t address, unsigned size)
{
	struct unit *unit = calloc(1, sizeof(*unit));
	struct cell *cells = calloc(TABLES * (size_t)size, sizeof(*cells));

	if (!unit || !cells) {
		free(unit);
		free(cells);
		return NULL;
	}
	unit->address = address;
	unit->size = size;
	unit->limit_exception = 3;
	for (unsigned i = 0; i < TABLES; i++)
		unit->cells[i] = cells + i * (size_t)size;
	return unit;
}

void
unit_free(struct unit *unit)
{
	if (!unit)
		return;
	free(unit->cells[0]);
	free(unit->motions);
	free(unit);
}

bool
unit_has(const struct unit *unit, unsigned addr, unsigned count)
{
	return addr <= unit->size && count <= unit->size - addr;
}

/* A signed or an unsigned 16-bit value, whichever the number fits. */
static uint16_t
word_from(double value)
{
	double rounded = nearbyint(fmin(fmax(value, -32768.0), 65535.0));

	return (uint16_t)(int32_t)rounded;
}

static double
motion_steps(const struct motion *motion, int64_t elapsed_us)
{
	int64_t periods = elapsed_us / motion->period_us;
	double span = motion->high - motion->low + 1.0;
	double offset = fmod(motion->step * (double)periods, span);

	return motion->low + (offset < 0.0 ? offset + span : offset);
}

static double
motion_value(const struct motion *motion, int64_t now_us)
{
	int64_t elapsed_us = now_us > motion->start_us ? now_us - motion->start_us : 0;
	double phase = (double)(elapsed_us % motion->period_us) / (double)motion->period_us;
	double ramp = (motion->high - motion->low) * phase;

	switch (motion->kind) {
	case MOTION_COUNTER:
	case MOTION_COUNTER32:
		return motion_steps(motion, elapsed_us);
	case MOTION_RAMP:
		return motion->low + (motion->step > 0.0 ? motion->step * floor(ramp / motion->step) : ramp);
	case MOTION_SINE:
	case MOTION_FLOAT_SINE:
		return (motion->low + motion->high) / 2.0 +
		       (motion->high - motion->low) / 2.0 * sin(2.0 * M_PI * phase);
	case MOTION_TOGGLE:
		return elapsed_us / motion->period_us % 2 ? motion->high : motion->low;
	case MOTION_READS:
		return (uint16_t)motion->reads;
	case MOTION_READS32:
		return motion->reads;
	case MOTION_NONE:
		break;
	}
	return 0.0;
}

static uint16_t
motion_word(const struct motion *motion, unsigned addr, int64_t now_us)
{
	double value;
	uint32_t bits;

	assert(motion); /* of a cell that moves */
	value = motion_value(motion, now_us);

	if (motion_rows[motion->kind].cells == 1)
		return word_from(value);
	if (motion->kind == MOTION_FLOAT_SINE) {
		float single = (float)value;
		memcpy(&bits, &single, sizeof(bits));
	} else {
		bits = (uint32_t)(int64_t)value;
	}
	return (uint16_t)(addr == motion->addr ? bits >> 16 : bits & 0xffff);
}

uint16_t
unit_peek(const struct unit *unit, enum table table, unsigned addr, int64_t now_us)
{
	const struct cell *cell = &unit->cells[table][addr];
	uint16_t value = cell->value;

	if (cell->motion)
		value = motion_word(&unit->motions[cell->motion - 1], addr, now_us);
	return table_is_bits(table) ? value != 0 : value;
}

uint16_t
unit_read(struct unit *unit, enum table table, unsigned addr, int64_t now_us)
{
	const struct cell *cell = &unit->cells[table][addr];
	struct motion *motion = cell->motion ? &unit->motions[cell->motion - 1] : NULL;

	if (motion && motion->addr == addr &&
	    (motion->kind == MOTION_READS || motion->kind == MOTION_READS32))
		motion->reads++;
	return unit_peek(unit, table, addr, now_us);
}

/* Leave the cells of a motion where they are now, and give its slot back. */
static void
unit_halt(struct unit *unit, unsigned slot, int64_t now_us)
{
	struct motion *motion = &unit->motions[slot - 1];
	unsigned end = motion->addr + motion_rows[motion->kind].cells;

	for (unsigned addr = motion->addr; addr < end; addr++) {
		struct cell *cell = &unit->cells[motion->table][addr];
		cell->value = unit_peek(unit, motion->table, addr, now_us);
		cell->motion = 0;
	}
	motion->kind = MOTION_NONE;
}

void
unit_write(struct unit *unit, enum table table, unsigned addr, uint16_t value, int64_t now_us)
{
	struct cell *cell = &unit->cells[table][addr];

	if (cell->motion)
		unit_halt(unit, cell->motion, now_us);
	cell->value = table_is_bits(table) ? value != 0 : value;
}

static unsigned
unit_motion_slot(struct unit *unit)
{
	struct motion *motions;

	for (unsigned i = 0; i < unit->motion_count; i++)
		if (unit->motions[i].kind == MOTION_NONE)
			return i + 1;
	if (unit->motion_count == UINT16_MAX)
		return 0;
	motions = realloc(unit->motions, (unit->motion_count + 1) * sizeof(*motions));
	if (!motions)
		return 0;
	unit->motions = motions;
	motions[unit->motion_count].kind = MOTION_NONE;
	return ++unit->motion_count;
}

int
unit_move(struct unit *unit, const struct motion *motion, int64_t now_us)
{
	unsigned cells = motion_rows[motion->kind].cells;
	unsigned slot;

	if (!unit_has(unit, motion->addr, cells) || motion->period_us < 1 || motion->high < motion->low ||
	    (cells > 1 && table_is_bits(motion->table)))
		return -EINVAL;
	for (unsigned addr = motion->addr; addr < motion->addr + cells; addr++)
		if (unit->cells[motion->table][addr].motion)
			unit_halt(unit, unit->cells[motion->table][addr].motion, now_us);
	if (motion->kind == MOTION_NONE)
		return 0;
	slot = unit_motion_slot(unit);
	if (!slot)
		return -ENOMEM;
	unit->motions[slot - 1] = *motion;
	for (unsigned addr = motion->addr; addr < motion->addr + cells; addr++)
		unit->cells[motion->table][addr].motion = (uint16_t)slot;
	return 0;
}
