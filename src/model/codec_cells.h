/* What the cells of a point hold, as a raw value, and back: order of bytes and registers, and fields of bits. For the codec's own
 * files; inline, since each value passes here.
 */
#ifndef MODEL_CODEC_CELLS_H
#define MODEL_CODEC_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/settings.h"

/* What must be undone, in this order. */
static const struct {
	bool bytes_swapped;
	bool words_reversed;
	int words_exchanged; /* each with that one whose place differs in this bit, of four words */
} orders[] = {
	[ORDER_ABCD] = { .words_reversed = false },
	[ORDER_CDAB] = { .words_reversed = true },
	[ORDER_BADC] = { .bytes_swapped = true },
	[ORDER_DCBA] = { .words_reversed = true, .bytes_swapped = true },
	[ORDER_CDABGHEF] = { .words_exchanged = 1 },
	[ORDER_EFGHABCD] = { .words_exchanged = 2 },
};

/* A register with its bytes as the point orders them; its own inverse. */
static inline uint16_t
order_bytes(const struct point *point, uint16_t cell)
{
	if (!orders[point->order].bytes_swapped)
		return cell;
	return (uint16_t)(cell << 8 | cell >> 8);
}

/* Where the register stands that is the `rank`-th from the least significant one. */
static inline int
word_index(const struct point *point, int rank)
{
	int index = orders[point->order].words_reversed ? rank : point->count - 1 - rank;

	return point->count == 4 ? index ^ orders[point->order].words_exchanged : index;
}

/* All bits of the cells; of coils, the one at the lowest address is the least significant. */
static inline uint64_t
gather_all(const struct point *point, const uint16_t *cells)
{
	uint64_t raw = 0;

	if (point->count == 1)
		return point_table_has_bits(point->table) ? cells[0] != 0 : order_bytes(point, cells[0]);
	if (point_table_has_bits(point->table)) {
		for (int i = point->count; i-- > 0;)
			raw = raw << 1 | (cells[i] != 0);
	} else {
		for (int rank = point->count; rank-- > 0;)
			raw = raw << 16 | order_bytes(point, cells[word_index(point, rank)]);
	}
	return raw;
}

static inline void
scatter_all(const struct point *point, uint64_t raw, uint16_t *cells)
{
	if (point_table_has_bits(point->table)) {
		for (int i = 0; i < point->count; i++, raw >>= 1)
			cells[i] = raw & 1;
	} else {
		for (int rank = 0; rank < point->count; rank++, raw >>= 16)
			cells[word_index(point, rank)] = order_bytes(point, (uint16_t)raw);
	}
}

static inline bool
is_field(const struct point *point)
{
	return point->bit != POINT_NO_BIT && !point_table_has_bits(point->table);
}

static inline int
raw_width(const struct point *point)
{
	int cells = point->array > 0 ? point->count / point->array : point->count;
	int width = point_table_has_bits(point->table) ? cells : cells * 16;

	if (is_field(point))
		width = point->bits > 0 ? point->bits : 1;
	return width < 64 ? width : 64;
}

static inline uint64_t
raw_mask(const struct point *point)
{
	return UINT64_MAX >> (64 - raw_width(point));
}

/* The raw value: what the cells hold, or a field of it. */
static inline uint64_t
gather(const struct point *point, const uint16_t *cells)
{
	uint64_t all = gather_all(point, cells);

	return is_field(point) ? all >> point->bit & raw_mask(point) : all;
}

/* The bits beside a field stay what they are in the cells. */
static inline void
scatter(const struct point *point, uint64_t raw, uint16_t *cells)
{
	if (is_field(point)) {
		uint64_t mask = raw_mask(point) << point->bit;

		raw = (gather_all(point, cells) & ~mask) | (raw << point->bit & mask);
	}
	scatter_all(point, raw, cells);
}

static inline int
chars_per_register(const struct point *point)
{
	return point->chars == 1 ? 1 : 2;
}

static inline size_t
text_size(const struct point *point)
{
	return (size_t)point->count * (size_t)chars_per_register(point);
}

#endif
