/* Cells <-> typed value, both ways through one table of types. A cell is a register, or a coil or discrete input as 0 or 1,
 * in the order of addresses, in host endian. The point's order is undone first: bit 0 is the least significant one of the
 * register as ordered. Pure: any thread, no I/O; only texts and lists allocate.
 */
#ifndef MODEL_CODEC_H
#define MODEL_CODEC_H

#include "model/settings.h"
#include "model/value.h"

#include <stdint.h>

/* A row of the table of types. */
struct codec_type {
	const char *name;
	enum point_type type;
	int registers; /* in input and holding registers; 0 = as many as the point's count says: a text */
	int bits;      /* bool and integers: width, and on coils and discrete inputs the most cells; 0 = no bits to pick */
	bool is_signed;
	bool scalable; /* scale, offset, decimals, min, max, deadband make sense */
	const char *about; /* one line for the manual */
};

/* The row of a type; rows 0..TYPE_COUNT-1 are in the order of the enum. */
const struct codec_type *codec_type(enum point_type type);

/* The row called `name`, or NULL. */
const struct codec_type *codec_type_find(const char *name);

/* Bits of the point's raw value, of one if there are several: those of its field, cells or registers; 0 for a text. */
int codec_raw_width(const struct point *point);

/* Decode one point.
 * cells  point->count of them, those of the point
 * ret    the engineering value; a VALUE_TEXT or VALUE_LIST is the caller's
 * Returns 0; -ERANGE when the value is not a finite number; -EILSEQ when a string is no valid UTF-8; -ENODATA when the
 * unit says so (`invalid`), a BCD digit is none, or it is not within valid_min and valid_max; -ENOMEM.
 * A raw value that an enum does not name decodes as the number.
 */
int codec_decode(const struct point *point, const uint16_t *cells, struct value *ret);

/* A number as a text has it: magnitude / 10^decimals, exactly. */
struct codec_decimal {
	bool negative;
	uint64_t magnitude;
	int decimals; /* may be negative: zeros before the decimal point that the magnitude does not have */
};

/* The value of a point whose number came as text: scale, offset, labels, what is invalid or not plausible, as codec_decode().
 * Returns 0; -ERANGE; -ENODATA. */
int codec_decode_decimal(const struct point *point, const struct codec_decimal *number, struct value *ret);

/* Why a value cannot be written. Text for people comes from codec_fault_text(). */
enum codec_fault {
	CODEC_OK,
	CODEC_NOT_WRITABLE,
	CODEC_WRONG_TYPE,  /* a text for a number, a list of another length and the like */
	CODEC_NO_LABEL,    /* not a label of the enum */
	CODEC_BELOW_MIN,
	CODEC_ABOVE_MAX,
	CODEC_NO_FIT,      /* outside of what the registers can hold */
	CODEC_TOO_LONG,    /* text longer than its registers */
	CODEC_UNSAFE,      /* text with characters that the command of an instrument cannot carry; codec_encode() never says so */
};

/* May `value` be written to `point`, and what cells is that?
 * cells  point->count of them. For a point with codec_needs_current() they hold the register's present content on entry.
 * Checks writable, type, enum, min, max and range; a real for an integer point is rounded to the nearest raw value.
 * A number written to an enum point must be one of its numbers; a label is held to min and max as its number is. A bool takes
 * true, false, 1 and 0. On any fault the cells stay as they were.
 */
enum codec_fault codec_encode(const struct point *point, const struct value *value, uint16_t *cells);

/* The point as if anything could be written to it: to encode a value that is only to be compared with what is read. */
struct point codec_unguarded(const struct point *point);

/* Is the point only some bits of its registers, so that they must be read before it can be written? */
bool codec_needs_current(const struct point *point);

/* "is above the maximum 30", "is no label of the enum (off, heat)": what is wrong, to follow the value in a sentence.
 * Writes at most `size` bytes, always terminated. */
void codec_fault_text(const struct point *point, enum codec_fault fault, char *text, size_t size);

/* Decimals that show every raw step of an integer exactly: those of scale and offset as they are written. */
int codec_default_decimals(enum point_type type, double scale, double offset);

#endif
