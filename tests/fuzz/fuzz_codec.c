/* Any point, any cells, any value: what is decoded can be written back and then reads the same.
 *
 * Bytes: type, table, order, count or bit, scale, what else the point has, kind of the value; 8 for the
 * value; the cells. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/codec.h"

#define HEAD_BYTES 15
#define CELLS_MAX  125

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const double scales[][2] = { { 1, 0 }, { 0.1, 0 }, { 10, -40 }, { -1, 0 }, { 0.01, -273.15 },
	{ 1e300, 1e300 }, { 1e-300, 0 }, { 0x1p63, -0x1p63 }, { -3, 0x1.fffffffffffffp63 }, { 1.0 / 3, 1 } };

static const int64_t sentinels[] = { 0x8000, -1 };

static const struct enum_label labels[] = { { "off", 0 }, { "heat", 1 }, { "fault", -1 } };

static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* Some bits of its registers. */
static void
make_field(struct point *point, const struct codec_type *type, const uint8_t *head)
{
	if (point_table_has_bits(point->table) || type->bits == 0)
		return;
	if (type->bits == 8) {
		point->bit = head[3] & 0x80 ? 8 : 0;
		point->bits = 8;
	} else if (head[3] & 0x80) {
		int width = type->registers * 16;

		point->bits = 1 + (head[2] >> 3) % type->bits;
		point->bit = head[3] % (width - point->bits + 1);
	}
}

/* A point as a configuration could have it. */
static struct point
make_point(const uint8_t *head)
{
	const struct codec_type *type = codec_type((enum point_type)(head[0] % TYPE_COUNT));
	size_t scale = type->scalable ? head[4] % (sizeof(scales) / sizeof(scales[0])) : 0;
	struct point point = {
		.type = type->type,
		.table = (enum point_table)(head[1] % 4),
		.order = (enum point_order)(head[2] % 6),
		.bit = POINT_NO_BIT,
		.scale = scales[scale][0],
		.offset = scales[scale][1],
		.writable = true,
	};

	if (type->bits == 0 && point_table_has_bits(point.table))
		point.table = TABLE_HOLDING;
	if (point_table_has_bits(point.table))
		point.count = 1 + head[3] % type->bits;
	else
		point.count = type->registers > 0 ? type->registers : 1 + head[3] % CELLS_MAX;
	make_field(&point, type, head);
	if (head[1] & 0x80 && type->scalable && point.bit == POINT_NO_BIT &&
	    !point_table_has_bits(point.table)) {
		point.array = 2 + (head[1] >> 4 & 7);
		point.count = type->registers * point.array;
	}
	point.chars = 1 + (head[4] & 1);
	if (head[5] & 16) {
		point.invalid = sentinels;
		point.invalid_count = sizeof(sentinels) / sizeof(sentinels[0]);
	}
	point.has_valid_min = type->scalable && head[5] & 32;
	point.has_valid_max = type->scalable && head[5] & 64;
	point.valid_min = -1000;
	point.valid_max = 1e6;
	point.decimals = head[5] & 1 ? head[5] % (DECIMALS_MAX + 1)
				     : codec_default_decimals(point.type, point.scale, point.offset);
	if (head[5] & 2 && type->bits > 0) {
		point.labels = labels;
		point.label_count = sizeof(labels) / sizeof(labels[0]);
	}
	point.has_min = type->scalable && head[5] & 4;
	point.has_max = type->scalable && head[5] & 8;
	point.min = -100;
	point.max = 0x1p53;
	return point;
}

#define KINDS (VALUE_LABEL + 2) /* the last is a list of whole numbers */

static struct value
make_list(size_t count, int64_t number)
{
	struct value value = { .kind = VALUE_LIST, .list = value_list_new(count) };

	require(value.list != NULL);
	for (size_t i = 0; i < count; i++)
		value.list->items[i] = (struct value){ .kind = VALUE_INT, .integer = number >> i };
	return value;
}

static struct value
make_value(const uint8_t *head, char text[9])
{
	struct value value = { .kind = head[6] % KINDS <= VALUE_LABEL ? (enum value_kind)(head[6] % KINDS)
								      : VALUE_LIST };
	uint64_t bits;

	memcpy(&bits, head + 7, sizeof(bits));
	memcpy(text, head + 7, 8);
	text[8] = '\0';
	switch (value.kind) {
	case VALUE_BOOL:
		value.boolean = bits & 1;
		break;
	case VALUE_INT:
		value.integer = (int64_t)bits;
		break;
	case VALUE_UINT:
		value.whole = bits | (uint64_t)1 << 63;
		break;
	case VALUE_REAL:
		memcpy(&value.real, &bits, sizeof(bits));
		break;
	case VALUE_LABEL:
		value.label = bits & 1 ? text : labels[bits % 3].label;
		break;
	case VALUE_LIST:
		return make_list(2 + (head[1] >> 4 & 7), (int64_t)bits);
	case VALUE_NONE:
	case VALUE_TEXT:
		break;
	}
	return value;
}

/* Exact only without a fractional scale, and where no min or max forbids what was read. */
static void
check_returns(struct point point, const struct value *value, const uint16_t *cells)
{
	uint16_t written[CELLS_MAX];
	struct value back;

	if (point.scale != 1 || point.offset != 0 || point.decimals == 0)
		return;
	point.table = point_table_has_bits(point.table) ? TABLE_COIL : TABLE_HOLDING;
	point.has_min = point.has_max = false;
	/* An enum's unnamed numbers are read but not written. */
	if (point.label_count > 0 && value->kind != VALUE_LABEL)
		return;
	memcpy(written, cells, sizeof(written));
	require(codec_encode(&point, value, written) == CODEC_OK);
	require(codec_decode(&point, written, &back) == 0);
	require(value_equal(value, &back));
	value_done(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint16_t cells[CELLS_MAX] = { 0 };
	char letters[9], text[48];
	struct point point;
	struct value value;
	enum codec_fault fault;

	if (size < HEAD_BYTES)
		return 0;
	point = make_point(data);
	for (size_t i = HEAD_BYTES; i + 1 < size && (i - HEAD_BYTES) / 2 < CELLS_MAX; i += 2)
		cells[(i - HEAD_BYTES) / 2] = (uint16_t)(data[i] << 8 | data[i + 1]);

	if (codec_decode(&point, cells, &value) == 0) {
		require(value.kind != VALUE_NONE);
		check_returns(point, &value, cells);
		value_done(&value);
	}
	value = make_value(data, letters);
	fault = codec_encode(&point, &value, cells);
	codec_fault_text(&point, fault, text, 1 + data[3] % sizeof(text));
	require(strlen(text) < sizeof(text));
	value_done(&value);
	if (fault == CODEC_OK && point.type < TYPE_FLOAT32 && codec_decode(&point, cells, &value) == 0)
		value_done(&value);
	return 0;
}
