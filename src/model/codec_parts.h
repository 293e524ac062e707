/* What the files of the codec have in common (codec.h). Nobody else includes this. Pure.
 */
#ifndef MODEL_CODEC_PARTS_H
#define MODEL_CODEC_PARTS_H

#include <math.h>
#include <string.h>

#include "base/rare.h"
#include "model/codec.h"
#include "model/codec_cells.h"
#include "model/whole.h"

/* Without it ThingsBoard would take a text of decimal digits for a number. */
#define HEX_PREFIX "0x"
#define HEX_DIGITS 4 /* a register */

/* A type is a row. */
struct codec_row {
	struct codec_type type;
	int (*decode)(const struct point *point, const uint16_t *cells, struct value *ret);
	enum codec_fault (*encode)(const struct point *point, const struct value *value, uint16_t *cells);
};
extern const struct codec_row codec_rows[TYPE_COUNT];

static inline bool
codec_is_number(const struct value *value)
{
	return value->kind == VALUE_INT || value->kind == VALUE_UINT ||
	       (value->kind == VALUE_REAL && isfinite(value->real));
}

/* One of a point's numbers, as if it were a point by itself. */
static inline struct point
codec_element_of(const struct point *point)
{
	struct point element = *point;

	element.count = point->count / point->array;
	element.array = 0;
	return element;
}

/* --- codec.c --- */

/* Decimals of the shortest decimal number that reads as `number`; -1 if they are more than
 * SCALE_DECIMALS_MAX. */
int codec_decimals_of(double number);

/* --- codec_decode.c --- */

/* The label of that number; NULL if there is none. */
const struct enum_label *codec_find_label(const struct point *point, struct whole raw);

static inline const struct enum_label *
codec_label_numbered(const struct point *point, struct whole raw)
{
	return point->label_count > 0 ? codec_find_label(point, raw) : NULL;
}

static inline const struct enum_label *
codec_label_called(const struct point *point, const char *text)
{
	for (size_t i = 0; i < point->label_count; i++)
		if (strcmp(point->labels[i].label, text) == 0)
			return &point->labels[i];
	return NULL;
}

/* raw * scale + offset, exactly if these are whole and 64 bits are enough for product and sum. */
int codec_scale(const struct point *point, struct whole raw, struct value *ret);

/* Below, at or above the limit: negative, 0, positive. Exact also for whole numbers that no double holds. */
int codec_compare(const struct value *number, double limit);

int codec_decode_unsigned(const struct point *point, const uint16_t *cells, struct value *ret);
int codec_decode_signed(const struct point *point, const uint16_t *cells, struct value *ret);
int codec_decode_bool(const struct point *point, const uint16_t *cells, struct value *ret);
int codec_decode_float32(const struct point *point, const uint16_t *cells, struct value *ret);
int codec_decode_float64(const struct point *point, const uint16_t *cells, struct value *ret);
int codec_decode_float16(const struct point *point, const uint16_t *cells, struct value *ret);
int codec_decode_bcd(const struct point *point, const uint16_t *cells, struct value *ret);
int codec_decode_string(const struct point *point, const uint16_t *cells, struct value *ret);
int codec_decode_bytes(const struct point *point, const uint16_t *cells, struct value *ret);

/* --- codec_encode.c --- */

enum codec_fault codec_encode_unsigned(const struct point *point, const struct value *value, uint16_t *cells);
enum codec_fault codec_encode_signed(const struct point *point, const struct value *value, uint16_t *cells);
enum codec_fault codec_encode_bool(const struct point *point, const struct value *value, uint16_t *cells);
enum codec_fault codec_encode_float32(const struct point *point, const struct value *value, uint16_t *cells);
enum codec_fault codec_encode_float64(const struct point *point, const struct value *value, uint16_t *cells);
enum codec_fault codec_encode_float16(const struct point *point, const struct value *value, uint16_t *cells);
enum codec_fault codec_encode_bcd(const struct point *point, const struct value *value, uint16_t *cells);
enum codec_fault codec_encode_string(const struct point *point, const struct value *value, uint16_t *cells);
enum codec_fault codec_encode_bytes(const struct point *point, const struct value *value, uint16_t *cells);

#endif
