/* The units of a bus and what is in them: four tables of cells, some of which move with time.
 *
 * A moving cell has no timer: its value is a function of the time at which it is read, and both words of a
 * 32-bit value belong to the same instant. Time is passed in, so tests need no clock.
 */
#ifndef SIM_REGISTERS_H
#define SIM_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum table { TABLE_COIL, TABLE_DISCRETE, TABLE_INPUT, TABLE_HOLDING, TABLES };

#define UNIT_CELLS_DEFAULT 200
#define UNIT_CELLS_MAX	   65536

enum motion_kind {
	MOTION_NONE,
	MOTION_COUNTER,	  /* low, low + step, ... high, low again: one step a period */
	MOTION_COUNTER32, /* the same over two registers, high word first */
	MOTION_RAMP,	  /* from low to high in one period, then low again; in steps if step is not 0 */
	MOTION_SINE,
	MOTION_TOGGLE,	   /* low for one period, high for the next */
	MOTION_FLOAT_SINE, /* float32 in two registers, high word first */
	MOTION_READS,	   /* how often this cell has been read */
	MOTION_READS32	   /* the same over two registers, high word first; a read of the first counts */
};

struct motion {
	enum motion_kind kind;
	enum table table;
	uint16_t addr;
	int64_t start_us;
	int64_t period_us;
	double low;
	double high;
	double step;
	uint32_t reads;
};

struct cell {
	uint16_t value;	  /* coils and inputs: 0 or 1 */
	uint16_t motion;  /* 1 + index in unit->motions, 0 = stands still */
	uint8_t illegal;  /* exception for any request that touches it, 0 = none */
	uint8_t readonly; /* exception for writes */
};

struct unit {
	uint8_t address;
	unsigned size;		/* cells in each table */
	unsigned max_registers; /* in one request; 0 = the standard's limit */
	unsigned max_bits;
	uint8_t limit_exception; /* what a longer request gets */
	struct cell *cells[TABLES];
	struct motion *motions;
	unsigned motion_count;
};

/* Returns NULL without memory. */
struct unit *unit_new(uint8_t address, unsigned size);
void unit_free(struct unit *unit);

bool unit_has(const struct unit *unit, unsigned addr, unsigned count);

/* addr must be inside the unit for all of these. unit_peek() shows a value without counting it as a read. */
uint16_t unit_peek(const struct unit *unit, enum table table, unsigned addr, int64_t now_us);
uint16_t unit_read(struct unit *unit, enum table table, unsigned addr, int64_t now_us);

/* A cell that is written stops moving; the other word of a 32-bit motion stays as it was at that instant. */
void unit_write(struct unit *unit, enum table table, unsigned addr, uint16_t value, int64_t now_us);

/* Let cells follow `motion` from now on. Returns 0, -EINVAL if it does not fit, -ENOMEM. */
int unit_move(struct unit *unit, const struct motion *motion, int64_t now_us);

/* Names as in commands; negative if there is none. */
int table_parse(const char *name);
int motion_parse(const char *name);
bool table_is_bits(enum table table);

#endif
