#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/codec.h"
#include "model/half.h"

#define CELLS_MAX 64

/* The last two are for four registers only. */
static const enum point_order all_orders[] = { ORDER_ABCD, ORDER_CDAB, ORDER_BADC, ORDER_DCBA, ORDER_CDABGHEF,
	ORDER_EFGHABCD };

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The linker puts this in the place of malloc(). */
static bool no_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *
__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

/* A writable point of the type as it stands in the holding registers, unscaled. */
static struct point
holding(enum point_type type)
{
	int registers = codec_type(type)->registers;
	bool byte = codec_type(type)->bits == 8;

	return (struct point){
		.table = TABLE_HOLDING,
		.type = type,
		.count = registers > 0 ? registers : 8,
		.bit = byte ? 0 : POINT_NO_BIT,
		.bits = byte ? 8 : 0,
		.scale = 1,
		.decimals = codec_default_decimals(type, 1, 0),
		.writable = true,
	};
}

static struct point
coils(enum point_type type, int count)
{
	struct point point = holding(type);

	point.table = TABLE_COIL;
	point.count = count;
	return point;
}

static struct value
of_int(int64_t number)
{
	return (struct value){ .kind = VALUE_INT, .integer = number };
}

static struct value
of_uint(uint64_t number)
{
	return (struct value){ .kind = VALUE_UINT, .whole = number };
}

static struct value
of_real(double number)
{
	return (struct value){ .kind = VALUE_REAL, .decimals = DECIMALS_DOUBLE, .real = number };
}

static struct value
of_bool(bool on)
{
	return (struct value){ .kind = VALUE_BOOL, .boolean = on };
}

/* Only for what is passed on, not freed: a label's text is not the value's. */
static struct value
of_text(const char *text)
{
	return (struct value){ .kind = VALUE_LABEL, .label = text };
}

static struct value
decoded(const struct point *point, const uint16_t *cells)
{
	struct value value = { .kind = VALUE_NONE };

	assert_int_equal(codec_decode(point, cells, &value), 0);
	return value;
}

static void
assert_decodes(const struct point *point, const uint16_t *cells, struct value wanted)
{
	struct value value = decoded(point, cells);

	assert_true(value_equal(&value, &wanted));
	if (wanted.kind != VALUE_LABEL)
		assert_int_equal(value.kind, wanted.kind);
	value_done(&value);
}

static void
assert_encodes(const struct point *point, struct value value, const uint16_t *wanted)
{
	uint16_t cells[CELLS_MAX];

	memset(cells, 0xa5, sizeof(cells));
	assert_int_equal(codec_encode(point, &value, cells), CODEC_OK);
	assert_memory_equal(cells, wanted, (size_t)point->count * sizeof(cells[0]));
	assert_int_equal(cells[point->count], 0xa5a5);
}

static void
assert_refused(const struct point *point, struct value value, enum codec_fault fault)
{
	uint16_t cells[CELLS_MAX];

	memset(cells, 0xa5, sizeof(cells));
	assert_int_equal(codec_encode(point, &value, cells), fault);
	for (size_t i = 0; i < CELLS_MAX; i++)
		assert_int_equal(cells[i], 0xa5a5);
}

/* decode(encode(value)) is the value. */
static void
assert_returns(const struct point *point, struct value value)
{
	uint16_t cells[CELLS_MAX] = { 0 };
	struct value back;

	assert_int_equal(codec_encode(point, &value, cells), CODEC_OK);
	back = decoded(point, cells);
	assert_true(value_equal(&back, &value));
	value_done(&back);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < TYPE_COUNT; i++) {
		const struct codec_type *type = codec_type((enum point_type)i);

		assert_int_equal(type->type, i);
		assert_non_null(type->about);
		assert_ptr_equal(codec_type_find(type->name), type);
	}
	assert_null(codec_type_find("int"));
	assert_null(codec_type_find(""));
}

/* What a type is tried with: the corners of its range, and what looks different in each order. */
static const struct {
	enum point_type type;
	size_t count;
	struct value values[8];
} samples[] = {
#define INT(n)                                                                                               \
	{                                                                                                    \
		.kind = VALUE_INT, .integer = (n)                                                            \
	}
#define UINT(n)                                                                                              \
	{                                                                                                    \
		.kind = VALUE_UINT, .whole = (n)                                                             \
	}
#define REAL(n)                                                                                              \
	{                                                                                                    \
		.kind = VALUE_REAL, .real = (n)                                                              \
	}
#define TEXT(s)                                                                                              \
	{                                                                                                    \
		.kind = VALUE_LABEL, .label = (s)                                                            \
	}
#define BOOL(b)                                                                                              \
	{                                                                                                    \
		.kind = VALUE_BOOL, .boolean = (b)                                                           \
	}
	{ .type = TYPE_BOOL, .count = 2, .values = { BOOL(false), BOOL(true) } },
	{ .type = TYPE_INT8,
	    .count = 5,
	    .values = { INT(0), INT(1), INT(-1), INT(INT8_MAX), INT(INT8_MIN) } },
	{ .type = TYPE_UINT8, .count = 4, .values = { INT(0), INT(1), INT(0x80), INT(UINT8_MAX) } },
	{ .type = TYPE_INT16,
	    .count = 6,
	    .values = { INT(0), INT(1), INT(-1), INT(INT16_MAX), INT(INT16_MIN), INT(0x1234) } },
	{ .type = TYPE_UINT16,
	    .count = 5,
	    .values = { INT(0), INT(1), INT(0x8000), INT(UINT16_MAX), INT(0x1234) } },
	{ .type = TYPE_INT32,
	    .count = 6,
	    .values = { INT(0), INT(1), INT(-1), INT(INT32_MAX), INT(INT32_MIN), INT(0x12345678) } },
	{ .type = TYPE_UINT32,
	    .count = 5,
	    .values = { INT(0), INT(1), INT(0x80000000), INT(UINT32_MAX), INT(0x12345678) } },
	{ .type = TYPE_INT64,
	    .count = 8,
	    .values = { INT(0), INT(1), INT(-1), INT(INT64_MAX), INT(INT64_MIN), INT(0x123456789abcdef0),
		INT(9007199254740993), INT(-9007199254740993) } },
	{ .type = TYPE_UINT64,
	    .count = 6,
	    .values = { INT(0), INT(1), INT(INT64_MAX), UINT((uint64_t)INT64_MAX + 1), UINT(UINT64_MAX),
		UINT(0xfedcba9876543210) } },
	{ .type = TYPE_BCD16, .count = 5, .values = { INT(0), INT(9), INT(10), INT(1234), INT(9999) } },
	{ .type = TYPE_BCD32,
	    .count = 5,
	    .values = { INT(0), INT(9), INT(10000), INT(12345678), INT(99999999) } },
	{ .type = TYPE_FLOAT16,
	    .count = 6,
	    .values = { REAL(0), REAL(21.296875), REAL(-0.0999755859375), REAL(65504), REAL(-0x1p-14),
		REAL(0x1p-24) } },
	{ .type = TYPE_FLOAT32,
	    .count = 6,
	    .values = { REAL(0), REAL(21.3f), REAL(-0.1f), REAL(FLT_MAX), REAL(-FLT_MIN), REAL(0x1p-149) } },
	{ .type = TYPE_FLOAT64,
	    .count = 6,
	    .values = { REAL(0), REAL(21.3), REAL(-0.1), REAL(DBL_MAX), REAL(-DBL_MIN), REAL(0x1p-1074) } },
	{ .type = TYPE_STRING,
	    .count = 5,
	    .values = { TEXT(""), TEXT("a"), TEXT("PM5110"), TEXT("16 bytes exactly"),
		TEXT("Öl \xe2\x82\xac") } },
	{ .type = TYPE_BYTES,
	    .count = 2,
	    .values = { TEXT("0x00000000000000000000000000000000"),
		TEXT("0x0123456789abcdeffedcba9876543210") } },
#undef INT
#undef UINT
#undef REAL
#undef TEXT
#undef BOOL
};

static void
test_each_type_in_each_order(void **state)
{
	(void)state;
	assert_int_equal(LENGTH(samples), TYPE_COUNT);
	for (size_t i = 0; i < LENGTH(samples); i++)
		for (size_t k = 0; k < LENGTH(all_orders); k++) {
			struct point point = holding(samples[i].type);

			assert_int_equal(samples[i].type, i);
			point.order = all_orders[k];
			for (size_t n = 0; n < samples[i].count; n++)
				assert_returns(&point, samples[i].values[n]);
		}
}

static void
test_each_type_on_coils(void **state)
{
	(void)state;
	for (size_t i = 0; i < TYPE_COUNT; i++)
		for (int count = 1; count <= codec_type((enum point_type)i)->bits; count++) {
			struct point point = coils((enum point_type)i, count);
			bool is_signed = codec_type((enum point_type)i)->is_signed;
			uint64_t most = UINT64_MAX >> (64 - count) >> is_signed;

			if (i == TYPE_BOOL) {
				assert_returns(&point, of_bool(true));
				assert_returns(&point, of_bool(false));
				continue;
			}
			assert_returns(&point, of_int(0));
			if (is_signed)
				assert_returns(&point, of_int(-(int64_t)most - 1));
			assert_returns(&point, most > INT64_MAX ? of_uint(most) : of_int((int64_t)most));
			if (count < 63)
				assert_refused(&point, of_int((int64_t)most + 1), CODEC_NO_FIT);
			if (is_signed && count < 63)
				assert_refused(&point, of_int(-(int64_t)most - 2), CODEC_NO_FIT);
		}
}

/* Written by hand from the standard's big-endian layout. */
static void
test_golden_registers(void **state)
{
	static const struct {
		enum point_type type;
		struct value value;
		uint16_t registers[6][4]; /* by order; the last two of four registers only */
	} golden[] = {
		{ TYPE_INT8, { .kind = VALUE_INT, .integer = -2 },
		    { { 0x00fe }, { 0x00fe }, { 0xfe00 }, { 0xfe00 } } },
		{ TYPE_UINT8, { .kind = VALUE_INT, .integer = 200 },
		    { { 0x00c8 }, { 0x00c8 }, { 0xc800 }, { 0xc800 } } },
		{ TYPE_BCD16, { .kind = VALUE_INT, .integer = 1234 },
		    { { 0x1234 }, { 0x1234 }, { 0x3412 }, { 0x3412 } } },
		{ TYPE_BCD32, { .kind = VALUE_INT, .integer = 90817263 },
		    { { 0x9081, 0x7263 }, { 0x7263, 0x9081 }, { 0x8190, 0x6372 }, { 0x6372, 0x8190 } } },
		{ TYPE_FLOAT16, { .kind = VALUE_REAL, .real = -1.5 },
		    { { 0xbe00 }, { 0xbe00 }, { 0x00be }, { 0x00be } } },
		{ TYPE_FLOAT32, { .kind = VALUE_REAL, .real = 21.3f },
		    { { 0x41aa, 0x6666 }, { 0x6666, 0x41aa }, { 0xaa41, 0x6666 }, { 0x6666, 0xaa41 } } },
		{ TYPE_FLOAT64, { .kind = VALUE_REAL, .real = 21.3 },
		    { { 0x4035, 0x4ccc, 0xcccc, 0xcccd }, { 0xcccd, 0xcccc, 0x4ccc, 0x4035 },
			{ 0x3540, 0xcc4c, 0xcccc, 0xcdcc }, { 0xcdcc, 0xcccc, 0xcc4c, 0x3540 },
			{ 0x4ccc, 0x4035, 0xcccd, 0xcccc }, { 0xcccc, 0xcccd, 0x4035, 0x4ccc } } },
		{ TYPE_INT16, { .kind = VALUE_INT, .integer = -2 },
		    { { 0xfffe }, { 0xfffe }, { 0xfeff }, { 0xfeff } } },
		{ TYPE_UINT16, { .kind = VALUE_INT, .integer = 0x1234 },
		    { { 0x1234 }, { 0x1234 }, { 0x3412 }, { 0x3412 } } },
		{ TYPE_INT32, { .kind = VALUE_INT, .integer = -123456789 },
		    { { 0xf8a4, 0x32eb }, { 0x32eb, 0xf8a4 }, { 0xa4f8, 0xeb32 }, { 0xeb32, 0xa4f8 } } },
		{ TYPE_UINT32, { .kind = VALUE_INT, .integer = 0xa1b2c3d4 },
		    { { 0xa1b2, 0xc3d4 }, { 0xc3d4, 0xa1b2 }, { 0xb2a1, 0xd4c3 }, { 0xd4c3, 0xb2a1 } } },
		{ TYPE_INT64, { .kind = VALUE_INT, .integer = 0x0123456789abcdef },
		    { { 0x0123, 0x4567, 0x89ab, 0xcdef }, { 0xcdef, 0x89ab, 0x4567, 0x0123 },
			{ 0x2301, 0x6745, 0xab89, 0xefcd }, { 0xefcd, 0xab89, 0x6745, 0x2301 },
			{ 0x4567, 0x0123, 0xcdef, 0x89ab }, { 0x89ab, 0xcdef, 0x0123, 0x4567 } } },
		{ TYPE_UINT64, { .kind = VALUE_UINT, .whole = 0xfedcba9876543210 },
		    { { 0xfedc, 0xba98, 0x7654, 0x3210 }, { 0x3210, 0x7654, 0xba98, 0xfedc },
			{ 0xdcfe, 0x98ba, 0x5476, 0x1032 }, { 0x1032, 0x5476, 0x98ba, 0xdcfe },
			{ 0xba98, 0xfedc, 0x3210, 0x7654 }, { 0x7654, 0x3210, 0xfedc, 0xba98 } } },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(golden); i++)
		for (size_t k = 0; k < (codec_type(golden[i].type)->registers == 4 ? 6 : 4); k++) {
			struct point point = holding(golden[i].type);
			uint16_t cells[4];

			point.order = all_orders[k];
			assert_decodes(&point, golden[i].registers[k], golden[i].value);
			if (!codec_needs_current(&point)) {
				assert_encodes(&point, golden[i].value, golden[i].registers[k]);
				continue;
			}
			memset(cells, 0, sizeof(cells));
			assert_int_equal(codec_encode(&point, &golden[i].value, cells), CODEC_OK);
			assert_int_equal(cells[0], golden[i].registers[k][0]);
		}
}

static void
test_strings(void **state)
{
	static const uint16_t plain[3] = { 0x504d, 0x3531, 0x3000 }, swapped[3] = { 0x4d50, 0x3135, 0x0030 };
	struct point point = holding(TYPE_STRING);
	struct value value = { .kind = VALUE_NONE };

	(void)state;
	point.count = 3;
	for (size_t k = 0; k < LENGTH(all_orders); k++) {
		bool swaps = all_orders[k] == ORDER_BADC || all_orders[k] == ORDER_DCBA;

		point.order = all_orders[k];
		assert_decodes(&point, swaps ? swapped : plain, of_text("PM510"));
		assert_encodes(&point, of_text("PM510"), swaps ? swapped : plain);
	}
	point.order = ORDER_ABCD;
	assert_decodes(&point, (const uint16_t[]){ 0x4120, 0x2020, 0x2020 }, of_text("A"));
	assert_decodes(&point, (const uint16_t[]){ 0x4120, 0x4220, 0x0041 }, of_text("A B"));
	assert_decodes(&point, (const uint16_t[]){ 0x2020, 0x2020, 0x2020 }, of_text(""));
	assert_decodes(&point, (const uint16_t[]){ 0x0041, 0x4141, 0x4141 }, of_text(""));
	assert_decodes(&point, (const uint16_t[]){ 0x4142, 0x4344, 0x4546 }, of_text("ABCDEF"));
	/* What follows the NUL is not looked at. */
	assert_decodes(&point, (const uint16_t[]){ 0x4100, 0xffff, 0xffff }, of_text("A"));
	/* Nor what follows erased memory. */
	assert_decodes(&point, (const uint16_t[]){ 0x41ff, 0x4141, 0 }, of_text("A"));
	assert_decodes(&point, (const uint16_t[]){ 0xffff, 0xffff, 0xffff }, of_text(""));
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 0x41fe, 0, 0 }, &value), -EILSEQ);
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 0xc0af, 0, 0 }, &value), -EILSEQ);
	assert_int_equal(value.kind, VALUE_NONE);
	assert_refused(&point, of_text("ABCDEFG"), CODEC_TOO_LONG);
	assert_refused(&point, of_int(5), CODEC_WRONG_TYPE);
	assert_refused(&point, of_bool(true), CODEC_WRONG_TYPE);
}

static void
test_one_character_a_register(void **state)
{
	struct point point = holding(TYPE_STRING);

	(void)state;
	point.count = 3;
	point.chars = 1;
	/* What is beside it is not looked at. */
	assert_decodes(&point, (const uint16_t[]){ 0x0041, 0x4142, 0x0020 }, of_text("AB"));
	assert_encodes(&point, of_text("AB"), (const uint16_t[]){ 0x0041, 0x0042, 0x0000 });
	assert_refused(&point, of_text("ABCD"), CODEC_TOO_LONG);
	point.order = ORDER_BADC;
	assert_decodes(&point, (const uint16_t[]){ 0x4100, 0x4200, 0x4300 }, of_text("ABC"));
	assert_encodes(&point, of_text("ABC"), (const uint16_t[]){ 0x4100, 0x4200, 0x4300 });
}

static void
test_bytes(void **state)
{
	struct point point = holding(TYPE_BYTES);

	(void)state;
	point.count = 2;
	assert_decodes(&point, (const uint16_t[]){ 0x01ff, 0xa0b0 }, of_text("0x01ffa0b0"));
	assert_encodes(&point, of_text("0x01FFa0B0"), (const uint16_t[]){ 0x01ff, 0xa0b0 });
	point.order = ORDER_BADC;
	assert_decodes(&point, (const uint16_t[]){ 0x01ff, 0xa0b0 }, of_text("0xff01b0a0"));
	assert_encodes(&point, of_text("0xff01b0a0"), (const uint16_t[]){ 0x01ff, 0xa0b0 });
	assert_refused(&point, of_text("0x01ffa0b"), CODEC_WRONG_TYPE);
	assert_refused(&point, of_text("0x01ffa0b00"), CODEC_WRONG_TYPE);
	assert_refused(&point, of_text("0x01ffa0bg"), CODEC_WRONG_TYPE);
	assert_refused(&point, of_text("01ffa0b0"), CODEC_WRONG_TYPE);
	assert_refused(&point, of_text("01ffa0b000"), CODEC_WRONG_TYPE);
	assert_refused(&point, of_int(1), CODEC_WRONG_TYPE);
}

static void
test_lists(void **state)
{
	static const struct enum_label labels[] = { { "off", 0 }, { "heat", 1 } };
	static const int64_t sentinel = 0x8000;
	struct point point = holding(TYPE_INT16), wide = holding(TYPE_INT32);
	struct value list = { .kind = VALUE_LIST, .list = value_list_new(3) }, value = { .kind = VALUE_NONE };
	uint16_t cells[6];

	(void)state;
	point.array = point.count = 3;
	point.scale = 0.5;
	point.decimals = 1;
	point.invalid = &sentinel;
	point.invalid_count = 1;
	assert_int_equal(codec_raw_width(&point), 16);
	value = decoded(&point, (const uint16_t[]){ 1, 0xffff, 4 });
	list.list->items[0] = of_real(0.5);
	list.list->items[1] = of_real(-0.5);
	list.list->items[2] = of_int(2);
	assert_true(value_equal(&value, &list));
	value_done(&value);
	assert_encodes(&point, list, (const uint16_t[]){ 1, 0xffff, 4 });
	/* All or nothing. */
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 1, 0x8000, 4 }, &value), -ENODATA);
	assert_int_equal(value.kind, VALUE_NONE);
	list.list->items[2] = of_int(20000);
	assert_refused(&point, list, CODEC_NO_FIT);
	point.has_max = true;
	point.max = 10;
	assert_refused(&point, list, CODEC_ABOVE_MAX);
	list.list->items[2] = of_text("2");
	assert_refused(&point, list, CODEC_WRONG_TYPE);
	assert_refused(&point, of_int(2), CODEC_WRONG_TYPE);
	point.array = point.count = 2;
	assert_refused(&point, list, CODEC_WRONG_TYPE);
	/* A list is nothing for a single number, text or truth. */
	for (size_t i = 0; i < TYPE_COUNT; i++) {
		struct point single = holding((enum point_type)i);

		assert_refused(&single, list, CODEC_WRONG_TYPE);
	}
	/* Each in its order, and by its label. */
	wide.array = 3;
	wide.count = 6;
	wide.order = ORDER_CDAB;
	wide.labels = labels;
	wide.label_count = LENGTH(labels);
	list.list->items[0] = of_text("heat");
	list.list->items[1] = of_text("off");
	list.list->items[2] = of_text("heat");
	assert_encodes(&wide, list, (const uint16_t[]){ 1, 0, 0, 0, 1, 0 });
	assert_int_equal(codec_encode(&wide, &list, cells), CODEC_OK);
	value = decoded(&wide, cells);
	assert_true(value_equal(&value, &list));
	value_done(&value);
	value_done(&list);
}

static void
test_byte_of_register(void **state)
{
	struct point point = holding(TYPE_INT8);
	struct value value = of_int(-2);
	uint16_t cell = 0x1234;

	(void)state;
	point.bit = 8;
	assert_decodes(&point, (const uint16_t[]){ 0x80ff }, of_int(-128));
	assert_int_equal(codec_encode(&point, &value, &cell), CODEC_OK);
	assert_int_equal(cell, 0xfe34);
	assert_refused(&point, of_int(128), CODEC_NO_FIT);
}

static void
test_bcd(void **state)
{
	struct point point = holding(TYPE_BCD16);
	struct value value = { .kind = VALUE_NONE };

	(void)state;
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 0x123a }, &value), -ENODATA);
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 0xf123 }, &value), -ENODATA);
	assert_int_equal(value.kind, VALUE_NONE);
	assert_refused(&point, of_int(10000), CODEC_NO_FIT);
	assert_refused(&point, of_int(-1), CODEC_NO_FIT);
	point.scale = 0.1;
	point.decimals = 1;
	assert_decodes(&point, (const uint16_t[]){ 0x0123 }, of_real(123 * 0.1));
	assert_encodes(&point, of_real(999.9), (const uint16_t[]){ 0x9999 });
}

static void
test_halves(void **state)
{
	static const struct {
		uint16_t half;
		double real;
	} rows[] = { { 0x0000, 0 }, { 0x3c00, 1 }, { 0xc000, -2 }, { 0x7bff, 65504 }, { 0x0400, 0x1p-14 },
		{ 0x0001, 0x1p-24 }, { 0x03ff, 1023 * 0x1p-24 }, { 0x3555, 0.333251953125 } };
	struct point point = holding(TYPE_FLOAT16);
	struct value value = { .kind = VALUE_NONE };

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		assert_decodes(&point, &rows[i].half, of_real(rows[i].real));
		assert_encodes(&point, of_real(rows[i].real), &rows[i].half);
	}
	for (unsigned half = 0; half <= UINT16_MAX; half++)
		if ((half & 0x7fff) <= 0x7c00)
			assert_int_equal(half_of_real(half_to_real((uint16_t)half)), half);
	/* To the nearest, of two the even one. */
	assert_int_equal(half_of_real(1 + 0x1p-11), 0x3c00);
	assert_int_equal(half_of_real(1 + 3 * 0x1p-11), 0x3c02);
	assert_int_equal(half_of_real(1.99999), 0x4000);
	assert_int_equal(half_of_real(0x1p-25), 0);
	assert_int_equal(half_of_real(0x1.8p-25), 1);
	assert_int_equal(half_of_real(65519.99), 0x7bff);
	assert_int_equal(half_of_real(65520), 0x7c00);
	assert_true(isnan(half_to_real(half_of_real((double)NAN))));
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 0x7c00 }, &value), -ERANGE);
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 0x7e00 }, &value), -ERANGE);
	assert_refused(&point, of_real(65520), CODEC_NO_FIT);
	assert_int_equal(codec_default_decimals(TYPE_FLOAT16, 1, 0), DECIMALS_HALF);
}

static void
test_no_value(void **state)
{
	static const int64_t sentinels[] = { 0x8000, -1 }, of_float[] = { 0x7fc00000 };
	struct point point = holding(TYPE_INT16), real = holding(TYPE_FLOAT32), field = holding(TYPE_UINT16);
	struct point wide = holding(TYPE_UINT64);
	struct value value = { .kind = VALUE_NONE };

	(void)state;
	point.invalid = sentinels;
	point.invalid_count = 2;
	point.scale = 0.1;
	point.decimals = 1;
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 0x8000 }, &value), -ENODATA);
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 0xffff }, &value), -ENODATA);
	assert_decodes(&point, (const uint16_t[]){ 0x7fff }, of_real(0x7fff * 0.1));
	point.order = ORDER_BADC;
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 0x0080 }, &value), -ENODATA);
	real.invalid = of_float;
	real.invalid_count = 1;
	assert_int_equal(codec_decode(&real, (const uint16_t[]){ 0x7fc0, 0 }, &value), -ENODATA);
	assert_int_equal(codec_decode(&real, (const uint16_t[]){ 0x7fc0, 1 }, &value), -ERANGE);
	/* Of a field only its own bits count. */
	field.bit = 4;
	field.bits = 3;
	field.invalid = sentinels + 1;
	field.invalid_count = 1;
	assert_int_equal(codec_decode(&field, (const uint16_t[]){ 0x0070 }, &value), -ENODATA);
	assert_decodes(&field, (const uint16_t[]){ 0xff8f }, of_int(0));
	wide.invalid = sentinels + 1;
	wide.invalid_count = 1;
	assert_int_equal(
	    codec_decode(&wide, (const uint16_t[]){ 0xffff, 0xffff, 0xffff, 0xffff }, &value), -ENODATA);
	assert_int_equal(value.kind, VALUE_NONE);
}

static void
test_plausibility(void **state)
{
	static const struct enum_label labels[] = { { "off", 0 }, { "heat", 1 }, { "fault", 90 } };
	struct point point = holding(TYPE_INT16);
	struct value value = { .kind = VALUE_NONE };

	(void)state;
	point.scale = 0.1;
	point.decimals = 1;
	point.has_valid_min = point.has_valid_max = true;
	point.valid_min = -40;
	point.valid_max = 85;
	assert_decodes(&point, (const uint16_t[]){ 850 }, of_real(85));
	assert_decodes(&point, (const uint16_t[]){ (uint16_t)-400 }, of_real(-40));
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 851 }, &value), -ENODATA);
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ (uint16_t)-401 }, &value), -ENODATA);
	point.has_valid_min = false;
	assert_decodes(&point, (const uint16_t[]){ (uint16_t)-401 }, of_real(-401 * 0.1));
	/* They say nothing about what may be written. */
	assert_encodes(&point, of_real(90), (const uint16_t[]){ 900 });
	point.scale = 1;
	point.labels = labels;
	point.label_count = LENGTH(labels);
	assert_decodes(&point, (const uint16_t[]){ 1 }, of_text("heat"));
	assert_int_equal(codec_decode(&point, (const uint16_t[]){ 90 }, &value), -ENODATA);
	assert_int_equal(value.kind, VALUE_NONE);
}

static void
test_bool(void **state)
{
	struct point point = holding(TYPE_BOOL);
	struct point coil = coils(TYPE_BOOL, 1);

	(void)state;
	assert_decodes(&point, (const uint16_t[]){ 0 }, of_bool(false));
	assert_decodes(&point, (const uint16_t[]){ 0x0100 }, of_bool(true));
	assert_encodes(&point, of_bool(true), (const uint16_t[]){ 1 });
	assert_encodes(&coil, of_bool(true), (const uint16_t[]){ 1 });
	assert_encodes(&coil, of_int(0), (const uint16_t[]){ 0 });
	assert_encodes(&coil, of_int(1), (const uint16_t[]){ 1 });
	assert_encodes(&coil, of_real(1.0), (const uint16_t[]){ 1 });
	assert_refused(&coil, of_int(2), CODEC_NO_FIT);
	assert_refused(&coil, of_int(-1), CODEC_NO_FIT);
	assert_refused(&coil, of_uint(UINT64_MAX), CODEC_NO_FIT);
	assert_refused(&coil, of_real(0.5), CODEC_NO_FIT);
	assert_refused(&coil, of_real((double)NAN), CODEC_WRONG_TYPE);
	assert_refused(&coil, of_text("true"), CODEC_WRONG_TYPE);
	assert_refused(&coil, (struct value){ .kind = VALUE_NONE }, CODEC_WRONG_TYPE);
	assert_false(codec_needs_current(&coil));
	assert_false(codec_needs_current(&point));
}

static void
test_bit_of_register(void **state)
{
	(void)state;
	for (int bit = 0; bit < 16; bit++)
		for (size_t k = 0; k < LENGTH(all_orders); k++) {
			struct point point = holding(TYPE_BOOL);
			bool swaps = all_orders[k] == ORDER_BADC || all_orders[k] == ORDER_DCBA;
			uint16_t mask = (uint16_t)(1 << (swaps ? (bit + 8) % 16 : bit));
			struct value on = of_bool(true), off = of_bool(false);
			uint16_t cell = 0x5a5a;

			point.bit = bit;
			point.order = all_orders[k];
			assert_true(codec_needs_current(&point));
			assert_decodes(&point, &mask, on);
			assert_decodes(&point, (const uint16_t[]){ (uint16_t)~mask }, off);
			assert_int_equal(codec_encode(&point, &on, &cell), CODEC_OK);
			assert_int_equal(cell, 0x5a5a | mask);
			assert_int_equal(codec_encode(&point, &off, &cell), CODEC_OK);
			assert_int_equal(cell, 0x5a5a & ~mask);
		}
}

static void
test_fields(void **state)
{
	struct point field = holding(TYPE_UINT16), nibble = holding(TYPE_INT16), wide = holding(TYPE_UINT64);
	struct value value = of_int(5);
	uint16_t cells[4] = { 0xffff, 0xffff, 0xffff, 0xffff };

	(void)state;
	field.bit = 4;
	field.bits = 3;
	assert_true(codec_needs_current(&field));
	assert_int_equal(codec_raw_width(&field), 3);
	assert_decodes(&field, (const uint16_t[]){ 0xff5f }, of_int(5));
	assert_int_equal(codec_encode(&field, &value, cells), CODEC_OK);
	assert_int_equal(cells[0], 0xffdf);
	assert_refused(&field, of_int(8), CODEC_NO_FIT);
	assert_refused(&field, of_int(-1), CODEC_NO_FIT);
	field.order = ORDER_BADC;
	assert_decodes(&field, (const uint16_t[]){ 0x5fff }, of_int(5));
	/* A signed one has its sign in its own highest bit. */
	nibble.bit = 12;
	nibble.bits = 4;
	assert_decodes(&nibble, (const uint16_t[]){ 0x8fff }, of_int(-8));
	assert_decodes(&nibble, (const uint16_t[]){ 0x7000 }, of_int(7));
	value = of_int(-1);
	cells[0] = 0x0123;
	assert_int_equal(codec_encode(&nibble, &value, cells), CODEC_OK);
	assert_int_equal(cells[0], 0xf123);
	assert_refused(&nibble, of_int(8), CODEC_NO_FIT);
	assert_refused(&nibble, of_int(-9), CODEC_NO_FIT);
	/* Over the border of words, in any order of them. */
	wide.bit = 12;
	wide.bits = 8;
	wide.order = ORDER_CDAB;
	assert_decodes(&wide, (const uint16_t[]){ 0xa000, 0x000b, 0, 0 }, of_int(0xba));
	value = of_int(0x5c);
	memset(cells, 0xff, sizeof(cells));
	assert_int_equal(codec_encode(&wide, &value, cells), CODEC_OK);
	assert_memory_equal(cells, ((const uint16_t[]){ 0xcfff, 0xfff5, 0xffff, 0xffff }), sizeof(cells));
	wide.bit = 0;
	wide.bits = 64;
	assert_returns(&wide, of_uint(UINT64_MAX));
	assert_false(codec_needs_current(&wide));
	wide.bits = 63;
	assert_true(codec_needs_current(&wide));
}

static void
test_coils_as_number(void **state)
{
	struct point point = coils(TYPE_UINT16, 5);

	(void)state;
	assert_decodes(&point, (const uint16_t[]){ 1, 0, 0, 1, 0 }, of_int(9));
	assert_encodes(&point, of_int(18), (const uint16_t[]){ 0, 1, 0, 0, 1 });
	assert_refused(&point, of_int(32), CODEC_NO_FIT);
	assert_refused(&point, of_int(-1), CODEC_NO_FIT);
}

static void
test_whole_scale_is_exact(void **state)
{
	struct point point = holding(TYPE_INT64);
	uint16_t cells[4];

	(void)state;
	point.scale = 10;
	point.offset = -3;
	assert_returns(&point, of_int(9007199254740997));
	assert_returns(&point, of_int(-9007199254741003));
	point.scale = -1;
	point.offset = 0;
	assert_decodes(&point, (const uint16_t[]){ 0x8000, 0, 0, 0 }, of_uint((uint64_t)1 << 63));
	assert_returns(&point, of_uint((uint64_t)1 << 63));
	assert_returns(&point, of_int(-INT64_MAX));
	/* Too large for 64 bits: the nearest real. */
	point.scale = 4;
	assert_decodes(&point, (const uint16_t[]){ 0x7fff, 0xffff, 0xffff, 0xffff }, of_real(0x1p65));
	assert_decodes(&point, (const uint16_t[]){ 0x8000, 0, 0, 0 }, of_real(-0x1p65));
	/* An explicit number of decimals does not make a whole number a real one. */
	point.decimals = 2;
	assert_decodes(&point, (const uint16_t[]){ 0, 0, 0, 2 }, of_int(8));

	point = holding(TYPE_UINT64);
	point.offset = -1;
	assert_decodes(&point, (const uint16_t[]){ 0, 0, 0, 0 }, of_int(-1));
	assert_decodes(&point, (const uint16_t[]){ 0xffff, 0xffff, 0xffff, 0xffff }, of_uint(UINT64_MAX - 1));
	assert_returns(&point, of_int(-1));
	assert_refused(&point, of_int(-2), CODEC_NO_FIT);
	assert_refused(&point, of_uint(UINT64_MAX), CODEC_NO_FIT);
	assert_refused(&point, of_real(-0x1p80), CODEC_NO_FIT);
	point.offset = 0;
	assert_int_equal(
	    codec_encode(&point, &(struct value){ .kind = VALUE_REAL, .real = 0x1p63 }, cells), CODEC_OK);
	assert_int_equal(cells[0], 0x8000);
}

static void
test_fractional_scale(void **state)
{
	struct point point = holding(TYPE_INT16);
	struct value value;

	(void)state;
	point.scale = 0.1;
	point.decimals = codec_default_decimals(point.type, point.scale, point.offset);
	value = decoded(&point, (const uint16_t[]){ 213 });
	assert_int_equal(value.kind, VALUE_REAL);
	assert_int_equal(value.decimals, 1);
	assert_true(fabs(value.real - 21.3) < 1e-12);
	assert_encodes(&point, of_real(21.3), (const uint16_t[]){ 213 });
	assert_encodes(&point, of_real(21.26), (const uint16_t[]){ 213 });
	assert_encodes(&point, of_real(21.24), (const uint16_t[]){ 212 });
	assert_encodes(&point, of_real(-0.26), (const uint16_t[]){ 0xfffd });
	assert_encodes(&point, of_int(5), (const uint16_t[]){ 50 });
	assert_refused(&point, of_real(3276.8), CODEC_NO_FIT);
	assert_encodes(&point, of_real(-3276.8), (const uint16_t[]){ 0x8000 });
	assert_refused(&point, of_real(1e300), CODEC_NO_FIT);
	/* Every raw value comes back. */
	for (uint32_t raw = 0; raw <= UINT16_MAX; raw++) {
		uint16_t cell = (uint16_t)raw, again = 0;

		value = decoded(&point, &cell);
		assert_int_equal(codec_encode(&point, &value, &again), CODEC_OK);
		assert_int_equal(again, cell);
	}
	/* Asked for no decimals, it is a whole number. */
	point.decimals = 0;
	assert_decodes(&point, (const uint16_t[]){ 215 }, of_int(22));
	assert_decodes(&point, (const uint16_t[]){ (uint16_t)-215 }, of_int(-22));
	/* Whole scales: a real between two raw values goes to the nearest. */
	point.scale = 2;
	assert_encodes(&point, of_int(3), (const uint16_t[]){ 2 });
	assert_encodes(&point, of_int(-3), (const uint16_t[]){ 0xfffe });
	assert_encodes(&point, of_real(2.9), (const uint16_t[]){ 1 });
}

static void
test_floats(void **state)
{
	struct point single = holding(TYPE_FLOAT32), dual = holding(TYPE_FLOAT64);
	struct value value = { .kind = VALUE_NONE };
	static const uint16_t bad[][2] = { { 0x7f80, 0 }, { 0xff80, 0 }, { 0x7fc0, 0 }, { 0x7f80, 1 } };

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_int_equal(codec_decode(&single, bad[i], &value), -ERANGE);
	assert_int_equal(codec_decode(&dual, (const uint16_t[]){ 0x7ff0, 0, 0, 0 }, &value), -ERANGE);
	assert_int_equal(codec_decode(&dual, (const uint16_t[]){ 0x7ff8, 0, 0, 1 }, &value), -ERANGE);
	dual.scale = 10;
	assert_int_equal(codec_decode(&dual, (const uint16_t[]){ 0x7fef, 0, 0, 0 }, &value), -ERANGE);
	assert_int_equal(value.kind, VALUE_NONE);
	dual.scale = 0.1;
	assert_refused(&dual, of_real(DBL_MAX), CODEC_NO_FIT);

	assert_int_equal(decoded(&single, (const uint16_t[]){ 0x41aa, 0x6666 }).decimals, DECIMALS_SINGLE);
	assert_refused(&single, of_real(1e39), CODEC_NO_FIT);
	assert_refused(&single, of_real(-1e300), CODEC_NO_FIT);
	assert_refused(&single, of_real((double)NAN), CODEC_WRONG_TYPE);
	assert_refused(&single, of_real((double)INFINITY), CODEC_WRONG_TYPE);
	assert_refused(&single, of_text("1"), CODEC_WRONG_TYPE);
	assert_refused(&single, of_bool(true), CODEC_WRONG_TYPE);
	assert_encodes(&single, of_int(42), (const uint16_t[]){ 0x4228, 0 });
	assert_encodes(&single, of_real((double)FLT_MAX), (const uint16_t[]){ 0x7f7f, 0xffff });

	single.decimals = 0;
	assert_decodes(&single, (const uint16_t[]){ 0x4228, 0 }, of_int(42));
	assert_decodes(&single, (const uint16_t[]){ 0xc22a, 0 }, of_int(-43)); /* -42.5 */
	assert_decodes(&single, (const uint16_t[]){ 0x7149, 0xf2ca }, of_real((double)1e30f));
	assert_decodes(&single, (const uint16_t[]){ 0x5f00, 0 }, of_real(0x1p63));
	assert_decodes(&single, (const uint16_t[]){ 0xdf00, 0 }, of_real(-0x1p63));

	single.scale = 0.5;
	single.offset = 1;
	single.decimals = 3;
	value = decoded(&single, (const uint16_t[]){ 0x4228, 0 });
	assert_int_equal(value.decimals, 3);
	assert_true(value.real == 22);
	assert_encodes(&single, of_real(22), (const uint16_t[]){ 0x4228, 0 });
}

static void
test_labels(void **state)
{
	static const struct enum_label labels[] = { { "off", 0 }, { "heat", 1 }, { "fault", -1 } };
	static const struct enum_label states[] = { { "closed", 0 }, { "open", 1 } };
	struct point point = holding(TYPE_INT16);

	(void)state;
	point.labels = labels;
	point.label_count = LENGTH(labels);
	assert_decodes(&point, (const uint16_t[]){ 1 }, of_text("heat"));
	assert_decodes(&point, (const uint16_t[]){ 0xffff }, of_text("fault"));
	assert_int_equal(decoded(&point, (const uint16_t[]){ 1 }).kind, VALUE_LABEL);
	assert_decodes(&point, (const uint16_t[]){ 7 }, of_int(7));
	assert_encodes(&point, of_text("fault"), (const uint16_t[]){ 0xffff });
	assert_encodes(&point, of_int(1), (const uint16_t[]){ 1 });
	assert_encodes(&point, of_real(1), (const uint16_t[]){ 1 });
	assert_refused(&point, of_real(1.2), CODEC_NO_LABEL);
	assert_refused(&point, of_int(7), CODEC_NO_LABEL);
	assert_refused(&point, of_text("Heat"), CODEC_NO_LABEL);
	assert_refused(&point, of_text(""), CODEC_NO_LABEL);
	assert_refused(&point, of_bool(true), CODEC_WRONG_TYPE);
	point.has_max = true;
	point.max = 0;
	assert_refused(&point, of_text("heat"), CODEC_ABOVE_MAX);
	assert_encodes(&point, of_text("off"), (const uint16_t[]){ 0 });
	/* Numbers of an enum are raw ones. */
	point.has_max = false;
	point.scale = 10;
	assert_decodes(&point, (const uint16_t[]){ 1 }, of_text("heat"));
	assert_encodes(&point, of_text("heat"), (const uint16_t[]){ 1 });
	assert_encodes(&point, of_int(10), (const uint16_t[]){ 1 });

	/* A label whose number is beyond all doubles. */
	point.scale = 1e308;
	point.offset = 1e308;
	assert_refused(&point, of_text("heat"), CODEC_NO_FIT);

	/* A number above INT64_MAX is not -1. */
	point = holding(TYPE_UINT64);
	point.labels = labels;
	point.label_count = LENGTH(labels);
	assert_decodes(&point, (const uint16_t[]){ 0xffff, 0xffff, 0xffff, 0xffff }, of_uint(UINT64_MAX));
	assert_refused(&point, of_text("fault"), CODEC_NO_FIT);

	point = coils(TYPE_BOOL, 1);
	point.labels = states;
	point.label_count = LENGTH(states);
	assert_decodes(&point, (const uint16_t[]){ 1 }, of_text("open"));
	assert_encodes(&point, of_text("open"), (const uint16_t[]){ 1 });
	assert_encodes(&point, of_bool(false), (const uint16_t[]){ 0 });
	assert_refused(&point, of_text("ajar"), CODEC_NO_LABEL);
}

static void
test_what_is_refused(void **state)
{
	static const struct {
		enum point_type type;
		int64_t below, above;
	} ranges[] = {
		{ TYPE_INT16, INT16_MIN - 1, INT16_MAX + 1 },
		{ TYPE_UINT16, -1, UINT16_MAX + 1 },
		{ TYPE_INT32, (int64_t)INT32_MIN - 1, (int64_t)INT32_MAX + 1 },
		{ TYPE_UINT32, -1, (int64_t)UINT32_MAX + 1 },
	};
	struct point point;

	(void)state;
	for (size_t i = 0; i < LENGTH(ranges); i++) {
		point = holding(ranges[i].type);
		assert_returns(&point, of_int(ranges[i].below + 1));
		assert_returns(&point, of_int(ranges[i].above - 1));
		assert_refused(&point, of_int(ranges[i].below), CODEC_NO_FIT);
		assert_refused(&point, of_int(ranges[i].above), CODEC_NO_FIT);
		assert_refused(&point, of_int(INT64_MIN), CODEC_NO_FIT);
		assert_refused(&point, of_uint(UINT64_MAX), CODEC_NO_FIT);
		assert_refused(&point, of_real(DBL_MAX), CODEC_NO_FIT);
		assert_refused(&point, of_real((double)NAN), CODEC_WRONG_TYPE);
		assert_refused(&point, of_text("1"), CODEC_WRONG_TYPE);
		assert_refused(&point, of_bool(true), CODEC_WRONG_TYPE);
		assert_refused(&point, (struct value){ .kind = VALUE_NONE }, CODEC_WRONG_TYPE);
	}
	point = holding(TYPE_INT64);
	assert_refused(&point, of_uint((uint64_t)INT64_MAX + 1), CODEC_NO_FIT);
	assert_refused(&point, of_real(0x1p63), CODEC_NO_FIT);
	assert_encodes(&point, of_real(-0x1p63), (const uint16_t[]){ 0x8000, 0, 0, 0 });

	point.writable = false;
	assert_refused(&point, of_int(1), CODEC_NOT_WRITABLE);
	point.writable = true;
	point.table = TABLE_INPUT;
	assert_refused(&point, of_int(1), CODEC_NOT_WRITABLE);
	point = coils(TYPE_BOOL, 1);
	point.table = TABLE_DISCRETE;
	assert_refused(&point, of_bool(true), CODEC_NOT_WRITABLE);
}

static void
test_bounds(void **state)
{
	struct point point = holding(TYPE_INT16);

	(void)state;
	point.scale = 0.1;
	point.has_min = point.has_max = true;
	point.min = 5;
	point.max = 30;
	assert_encodes(&point, of_real(5), (const uint16_t[]){ 50 });
	assert_encodes(&point, of_int(30), (const uint16_t[]){ 300 });
	point.min = 5.5;
	assert_encodes(&point, of_real(5.5), (const uint16_t[]){ 55 });
	assert_refused(&point, of_real(5.499), CODEC_BELOW_MIN);
	assert_refused(&point, of_real(30.01), CODEC_ABOVE_MAX);
	assert_refused(&point, of_uint(UINT64_MAX), CODEC_ABOVE_MAX);
	assert_refused(&point, of_real((double)INFINITY), CODEC_WRONG_TYPE);

	/* Exact where doubles are not: 2^53 + 1 is above 2^53. */
	point = holding(TYPE_UINT64);
	point.has_min = point.has_max = true;
	point.min = 0x1p53;
	point.max = 0x1p53;
	assert_returns(&point, of_int((int64_t)1 << 53));
	assert_refused(&point, of_int(((int64_t)1 << 53) + 1), CODEC_ABOVE_MAX);
	assert_refused(&point, of_int(((int64_t)1 << 53) - 1), CODEC_BELOW_MIN);
	point.min = point.max = 0x1p63 + 2048;
	assert_refused(&point, of_uint(((uint64_t)1 << 63) + 2047), CODEC_BELOW_MIN);
	assert_refused(&point, of_uint(((uint64_t)1 << 63) + 2049), CODEC_ABOVE_MAX);
	point.max = 0x1p64;
	assert_returns(&point, of_uint(UINT64_MAX));
	point.min = 0x1p64;
	assert_refused(&point, of_uint(UINT64_MAX), CODEC_BELOW_MIN);
}

static void
assert_fault_text(const struct point *point, enum codec_fault fault, size_t size, const char *wanted)
{
	char text[128];

	memset(text, '#', sizeof(text));
	codec_fault_text(point, fault, text, size);
	assert_string_equal(text, wanted);
	assert_int_equal(text[size], '#');
}

static void
test_fault_texts(void **state)
{
	static const struct enum_label labels[] = { { "off", 0 }, { "heat", 1 }, { "cool", 2 } };
	struct point point = holding(TYPE_INT16);
	char text[64];

	(void)state;
	point.min = 0.1;
	point.max = 30;
	point.labels = labels;
	point.label_count = LENGTH(labels);
	assert_fault_text(&point, CODEC_ABOVE_MAX, 100, "is above the maximum 30");
	assert_fault_text(&point, CODEC_BELOW_MIN, 100, "is below the minimum 0.1");
	assert_fault_text(&point, CODEC_NO_FIT, 100, "does not fit into int16");
	assert_fault_text(&point, CODEC_NO_LABEL, 100, "is no label of the enum (off, heat, cool)");
	assert_fault_text(&point, CODEC_NO_LABEL, 42, "is no label of the enum (off, heat, ...)");
	assert_fault_text(&point, CODEC_NO_LABEL, 35, "is no label of the enum (off, ...)");
	assert_fault_text(&point, CODEC_NO_LABEL, 34, "is no label of the enum (...)");
	assert_fault_text(&point, CODEC_NO_LABEL, 10, "is no lab");
	assert_fault_text(&point, CODEC_NO_LABEL, 1, "");
	for (size_t size = 0; size < sizeof(text); size++)
		for (int fault = CODEC_OK; fault <= CODEC_UNSAFE; fault++) {
			memset(text, '#', sizeof(text));
			codec_fault_text(&point, (enum codec_fault)fault, text, size);
			if (size > 0)
				assert_true(strlen(text) < size);
			assert_int_equal(text[size], '#');
		}
	point = coils(TYPE_UINT16, 3);
	assert_fault_text(&point, CODEC_NO_FIT, 100, "does not fit into 3 coils");
	point = holding(TYPE_STRING);
	assert_fault_text(&point, CODEC_TOO_LONG, 100, "is longer than 16 bytes");
	assert_fault_text(&point, CODEC_WRONG_TYPE, 100, "is not a text");
	point = holding(TYPE_BOOL);
	assert_fault_text(&point, CODEC_NO_FIT, 100, "is neither true nor false");
}

static void
test_default_decimals(void **state)
{
	static const struct {
		double scale, offset;
		int decimals;
	} rows[] = {
		{ 1, 0, 0 },
		{ 10, -40, 0 },
		{ 1e20, 0, 0 },
		{ 0.1, 0, 1 },
		{ -0.1, 0, 1 },
		{ 0.05, 0, 2 },
		{ 1e-3, 0, 3 },
		{ 1, 0.25, 2 },
		{ 0.1, -273.15, 2 },
		{ 0.3, 0, 1 },
		{ 1.0 / 128, 0, 7 },
		{ 1e-9, 0, 9 },
		{ 1e-10, 0, DECIMALS_DOUBLE },
		{ 1.0 / 3, 0, DECIMALS_DOUBLE },
		{ 0.1, 1.0 / 3, DECIMALS_DOUBLE },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		assert_int_equal(
		    codec_default_decimals(TYPE_INT16, rows[i].scale, rows[i].offset), rows[i].decimals);
		assert_int_equal(
		    codec_default_decimals(TYPE_FLOAT32, rows[i].scale, rows[i].offset), DECIMALS_SINGLE);
		assert_int_equal(
		    codec_default_decimals(TYPE_FLOAT64, rows[i].scale, rows[i].offset), DECIMALS_DOUBLE);
	}
}

static void
test_no_memory(void **state)
{
	struct point point = holding(TYPE_STRING);
	struct value value = { .kind = VALUE_NONE };
	int result;

	(void)state;
	no_memory = true;
	result = codec_decode(&point, (const uint16_t[8]){ 0x4142 }, &value);
	no_memory = false;
	assert_int_equal(result, -ENOMEM);
	assert_int_equal(value.kind, VALUE_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_each_type_in_each_order),
		cmocka_unit_test(test_each_type_on_coils),
		cmocka_unit_test(test_golden_registers),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_one_character_a_register),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_byte_of_register),
		cmocka_unit_test(test_bcd),
		cmocka_unit_test(test_halves),
		cmocka_unit_test(test_no_value),
		cmocka_unit_test(test_plausibility),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_bit_of_register),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_coils_as_number),
		cmocka_unit_test(test_whole_scale_is_exact),
		cmocka_unit_test(test_fractional_scale),
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_fault_texts),
		cmocka_unit_test(test_default_decimals),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
