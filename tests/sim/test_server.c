/* Request in, reply out: every function with its limits, every exception, and the envelopes. */
/* cmocka.h needs the first four before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
/* clang-format on */

#include "sim/fault.h"
#include "sim/frame.h"
#include "sim/server.h"

#define CELLS 3000

static uint8_t reply[PDU_MAX];

/* Send bytes to the unit; returns the length of the reply. */
static size_t
ask(struct unit *unit, const uint8_t *pdu, size_t length)
{
	struct request request;

	request_parse(pdu, length, &request);
	return server_serve(unit, &request, 0, reply);
}

#define ASK(unit, ...) ask(unit, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void
assert_reply(size_t length, const uint8_t *expected, size_t expected_length)
{
	assert_true(length == expected_length);
	assert_int_equal(memcmp(reply, expected, expected_length), 0);
}

#define ASSERT_REPLY(length, ...)                                                                            \
	assert_reply(length, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static int
setup(void **state)
{
	*state = unit_new(1, CELLS);
	return *state ? 0 : -1;
}

static int
teardown(void **state)
{
	unit_free(*state);
	return 0;
}

static void
test_read_registers(void **state)
{
	unit_write(*state, TABLE_HOLDING, 5, 0x1234, 0);
	unit_write(*state, TABLE_INPUT, 5, 0xabcd, 0);
	ASSERT_REPLY(ASK(*state, 3, 0, 5, 0, 1), 3, 2, 0x12, 0x34);
	ASSERT_REPLY(ASK(*state, 4, 0, 4, 0, 2), 4, 4, 0, 0, 0xab, 0xcd);
}

static void
test_read_bits(void **state)
{
	unit_write(*state, TABLE_COIL, 0, 1, 0);
	unit_write(*state, TABLE_COIL, 9, 1, 0);
	unit_write(*state, TABLE_DISCRETE, 7, 77, 0);
	ASSERT_REPLY(ASK(*state, 1, 0, 0, 0, 10), 1, 2, 0x01, 0x02);
	ASSERT_REPLY(ASK(*state, 2, 0, 0, 0, 8), 2, 1, 0x80);
	/* Bits beyond the quantity are zero, whatever the next coil is. */
	ASSERT_REPLY(ASK(*state, 1, 0, 0, 0, 9), 1, 2, 0x01, 0x00);
}

static void
test_write_single(void **state)
{
	ASSERT_REPLY(ASK(*state, 5, 0, 3, 0xff, 0), 5, 0, 3, 0xff, 0);
	assert_int_equal(unit_peek(*state, TABLE_COIL, 3, 0), 1);
	ASSERT_REPLY(ASK(*state, 5, 0, 3, 0, 0), 5, 0, 3, 0, 0);
	assert_int_equal(unit_peek(*state, TABLE_COIL, 3, 0), 0);
	ASSERT_REPLY(ASK(*state, 6, 0, 3, 0xbe, 0xef), 6, 0, 3, 0xbe, 0xef);
	assert_int_equal(unit_peek(*state, TABLE_HOLDING, 3, 0), 0xbeef);
}

static void
test_write_multiple(void **state)
{
	ASSERT_REPLY(ASK(*state, 15, 0, 1, 0, 10, 2, 0x01, 0x02), 15, 0, 1, 0, 10);
	assert_int_equal(unit_peek(*state, TABLE_COIL, 1, 0), 1);
	assert_int_equal(unit_peek(*state, TABLE_COIL, 2, 0), 0);
	assert_int_equal(unit_peek(*state, TABLE_COIL, 10, 0), 1);
	ASSERT_REPLY(ASK(*state, 16, 0, 1, 0, 2, 4, 1, 2, 3, 4), 16, 0, 1, 0, 2);
	assert_int_equal(unit_peek(*state, TABLE_HOLDING, 1, 0), 0x0102);
	assert_int_equal(unit_peek(*state, TABLE_HOLDING, 2, 0), 0x0304);
}

/* The example of V1.1b3, 6.16: 0x12 AND 0xF2 OR 0x25 gives 0x17. */
static void
test_mask(void **state)
{
	unit_write(*state, TABLE_HOLDING, 4, 0x12, 0);
	ASSERT_REPLY(ASK(*state, 22, 0, 4, 0, 0xf2, 0, 0x25), 22, 0, 4, 0, 0xf2, 0, 0x25);
	assert_int_equal(unit_peek(*state, TABLE_HOLDING, 4, 0), 0x17);
}

static void
test_read_write(void **state)
{
	/* Writes first: the reply shows what was just written. */
	ASSERT_REPLY(ASK(*state, 23, 0, 3, 0, 2, 0, 4, 0, 1, 2, 0xaa, 0xbb), 23, 4, 0, 0, 0xaa, 0xbb);
}

/* A request with this function, quantity, and as many data bytes as it implies (or one more). */
static size_t
ask_quantity(struct unit *unit, uint8_t function, unsigned quantity)
{
	uint8_t pdu[600] = { function, 0, 0, (uint8_t)(quantity >> 8), (uint8_t)quantity };
	size_t data = function == 15 ? (quantity + 7) / 8 : quantity * 2;

	if (function < 15)
		return ask(unit, pdu, 5);
	pdu[5] = (uint8_t)data;
	return ask(unit, pdu, 6 + (data & 0xff));
}

static void
test_quantities(void **state)
{
	static const struct {
		uint8_t function;
		unsigned max;
	} rows[] = { { 1, 2000 }, { 2, 2000 }, { 3, 125 }, { 4, 125 }, { 15, 1968 }, { 16, 123 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t function = rows[i].function;
		ask_quantity(*state, function, rows[i].max);
		assert_int_equal(reply[0], function);
		ask_quantity(*state, function, 1);
		assert_int_equal(reply[0], function);
		ASSERT_REPLY(ask_quantity(*state, function, rows[i].max + 1), function | 0x80, 3);
		ASSERT_REPLY(ask_quantity(*state, function, 0), function | 0x80, 3);
	}
}

static void
test_read_write_quantities(void **state)
{
	uint8_t pdu[10 + 244] = { 23, 0, 0, 0, 125, 0, 0, 0, 121, 242 };

	assert_int_equal(ask(*state, pdu, 10 + 242), 2 + 250);
	pdu[4] = 126;
	ASSERT_REPLY(ask(*state, pdu, 10 + 242), 23 | 0x80, 3);
	pdu[4] = 125;
	pdu[8] = 122;
	pdu[9] = 244;
	ASSERT_REPLY(ask(*state, pdu, 10 + 244), 23 | 0x80, 3);
}

static void
test_addresses(void **state)
{
	ASSERT_REPLY(ASK(*state, 3, CELLS >> 8, (CELLS - 1) & 255, 0, 1), 3, 2, 0, 0);
	ASSERT_REPLY(ASK(*state, 3, CELLS >> 8, (CELLS - 1) & 255, 0, 2), 0x83, 2);
	ASSERT_REPLY(ASK(*state, 4, 0xff, 0xff, 0, 125), 0x84, 2);
	ASSERT_REPLY(ASK(*state, 5, 0xff, 0xff, 0xff, 0), 0x85, 2);
	ASSERT_REPLY(ASK(*state, 6, CELLS >> 8, CELLS & 255, 0, 0), 0x86, 2);
	ASSERT_REPLY(ASK(*state, 22, 0xff, 0, 0, 0, 0, 0), 22 | 0x80, 2);
	ASSERT_REPLY(ASK(*state, 23, 0, 0, 0, 1, 0xff, 0, 0, 1, 2, 0, 0), 23 | 0x80, 2);
	/* The quantity is judged before the address. */
	ASSERT_REPLY(ASK(*state, 3, 0xff, 0xff, 0, 126), 0x83, 3);
}

static void
test_bad_requests(void **state)
{
	ASSERT_REPLY(ASK(*state, 0), 0x80, 1);
	ASSERT_REPLY(ASK(*state, 7), 0x87, 1);
	ASSERT_REPLY(ASK(*state, 43, 14, 1, 0), 43 | 0x80, 1);
	ASSERT_REPLY(ASK(*state, 5, 0, 0, 0xff, 1), 0x85, 3);
	ASSERT_REPLY(ASK(*state, 5, 0, 0, 0, 1), 0x85, 3);
	ASSERT_REPLY(ASK(*state, 3, 0, 0, 0), 0x83, 3);
	ASSERT_REPLY(ASK(*state, 3, 0, 0, 0, 1, 0), 0x83, 3);
	ASSERT_REPLY(ASK(*state, 3), 0x83, 3);
	ASSERT_REPLY(ASK(*state, 16, 0, 0, 0, 2, 2, 0, 0), 16 | 0x80, 3);
	ASSERT_REPLY(ASK(*state, 16, 0, 0, 0, 1, 2, 0), 16 | 0x80, 3);
	ASSERT_REPLY(ASK(*state, 15, 0, 0, 0, 8, 2, 0, 0), 15 | 0x80, 3);
}

/* What cannot be executed has no values to show: its count may be larger than the request. */
static void
test_values(void **state)
{
	static const uint8_t good[] = { 16, 0, 0, 0, 1, 2, 0xab, 0xcd };
	static const uint8_t bad[] = { 16, 0, 0, 0x07, 0xd0, 2, 0xab, 0xcd };
	struct request request;

	(void)state;
	request_parse(good, sizeof(good), &request);
	request.exception = 11;
	assert_int_equal(request_value_count(&request), 1);
	assert_int_equal(request_value(&request, 0), 0xabcd);
	request_parse(bad, sizeof(bad), &request);
	assert_int_equal(request.exception, 3);
	request.exception = 11;
	assert_int_equal(request_value_count(&request), 0);
	assert_int_equal(request_data_length(&request), 0);
}

/* Requests of every function and length, of bytes from a generator: whatever comes, there is an answer. */
static void
test_noise(void **state)
{
	uint8_t pdu[PDU_MAX];

	for (unsigned i = 0; i < 20000; i++) {
		size_t length = 1 + i % PDU_MAX;
		noise_fill(pdu, sizeof(pdu));
		pdu[0] = (uint8_t)(i / 7);
		length = ask(*state, pdu, length);
		assert_in_range(length, 2, PDU_MAX);
	}
}

static void
test_marked_cells(void **state)
{
	struct unit *unit = *state;

	unit->cells[TABLE_HOLDING][10].illegal = 4;
	unit->cells[TABLE_HOLDING][12].readonly = 2;
	ASSERT_REPLY(ASK(unit, 3, 0, 8, 0, 3), 0x83, 4);
	ASSERT_REPLY(ASK(unit, 6, 0, 10, 0, 0), 0x86, 4);
	ASSERT_REPLY(ASK(unit, 3, 0, 11, 0, 2), 3, 4, 0, 0, 0, 0);
	ASSERT_REPLY(ASK(unit, 16, 0, 11, 0, 2, 4, 1, 1, 1, 1), 16 | 0x80, 2);
	assert_int_equal(unit_peek(unit, TABLE_HOLDING, 11, 0), 0);
}

static void
test_limits(void **state)
{
	struct unit *unit = *state;

	unit->max_registers = 10;
	unit->max_bits = 16;
	assert_int_equal(ASK(unit, 3, 0, 0, 0, 10), 22);
	ASSERT_REPLY(ASK(unit, 3, 0, 0, 0, 11), 0x83, 3);
	unit->limit_exception = 2;
	ASSERT_REPLY(ASK(unit, 1, 0, 0, 0, 17), 0x81, 2);
}

static void
test_motion(void **state)
{
	struct unit *unit = *state;
	struct motion motion = { .kind = MOTION_COUNTER32,
		.table = TABLE_INPUT,
		.period_us = 1000,
		.low = 65534,
		.high = 4294967295.0,
		.step = 1 };

	assert_int_equal(unit_move(unit, &motion, 0), 0);
	assert_int_equal(unit_peek(unit, TABLE_INPUT, 0, 1999), 0);
	assert_int_equal(unit_peek(unit, TABLE_INPUT, 1, 1999), 65535);
	assert_int_equal(unit_peek(unit, TABLE_INPUT, 0, 2000), 1);
	assert_int_equal(unit_peek(unit, TABLE_INPUT, 1, 2000), 0);
	motion = (struct motion){ .kind = MOTION_COUNTER,
		.table = TABLE_INPUT,
		.addr = 1,
		.period_us = 1000,
		.low = -1,
		.high = 1,
		.step = 1 };
	assert_int_equal(unit_move(unit, &motion, 2000), 0);
	assert_int_equal(unit_peek(unit, TABLE_INPUT, 0, 9000), 1); /* the other word stopped where it was */
	assert_int_equal(unit_peek(unit, TABLE_INPUT, 1, 0), 0xffff);
	assert_int_equal(unit_peek(unit, TABLE_INPUT, 1, 1000), 0);
	assert_int_equal(unit_peek(unit, TABLE_INPUT, 1, 3000), 0xffff);
	motion.kind = MOTION_READS;
	assert_int_equal(unit_move(unit, &motion, 0), 0);
	ASSERT_REPLY(ASK(unit, 4, 0, 1, 0, 1), 4, 2, 0, 1);
	ASSERT_REPLY(ASK(unit, 4, 0, 1, 0, 1), 4, 2, 0, 2);
	motion.addr = CELLS - 1;
	motion.kind = MOTION_FLOAT_SINE;
	assert_true(unit_move(unit, &motion, 0) < 0);
}

static void
test_frames(void **state)
{
	/* Modbus over Serial Line V1.02, 6.2.2: the CRC of 02 07 is 0x1241. */
	static const uint8_t example[] = { 0x02, 0x07, 0x41, 0x12 };
	uint8_t frame[FRAME_MAX];

	(void)state;
	assert_int_equal(frame_crc(example, 2), 0x1241);
	assert_int_equal(frame_crc(example, 0), 0xffff);
	assert_true(frame_is_rtu(example, 4));
	assert_false(frame_is_rtu(example, 3));
	assert_int_equal(frame_build(FRAMING_RTU, 9, 0x02, example + 1, 1, frame), 4);
	assert_memory_equal(frame, example, 4);
	assert_int_equal(frame_build(FRAMING_MBAP, 0x0102, 3, example, 2, frame), 9);
	assert_memory_equal(frame, ((const uint8_t[]){ 1, 2, 0, 0, 0, 3, 3, 2, 7 }), 9);
}

static void
test_request_length(void **state)
{
	(void)state;
	assert_int_equal(request_length((const uint8_t[]){ 3 }, 1), 5);
	assert_int_equal(request_length((const uint8_t[]){ 16, 0, 0, 0 }, 4), 0);
	assert_int_equal(request_length((const uint8_t[]){ 16, 0, 0, 0, 2, 4 }, 6), 10);
	assert_int_equal(request_length((const uint8_t[]){ 23, 0, 0, 0, 1, 0, 0, 0, 1, 2 }, 10), 12);
	assert_int_equal(request_length((const uint8_t[]){ 22 }, 1), 7);
	assert_true(request_length((const uint8_t[]){ 43 }, 1) < 0);
}

/* Every fault on every size of reply, in both envelopes: no byte out of bounds. */
static void
test_fault_bounds(void **state)
{
	static const uint8_t asked[] = { 1, 3, 0, 0, 0, 1, 0x84, 0x0a };
	static struct answer answer;

	(void)state;
	for (int kind = 0; kind <= FAULT_HALF_OPEN; kind++)
		for (size_t length = 0; length <= PDU_MAX; length++)
			for (int n = 0; n < 4; n++) {
				struct fault fault = { .kind = (enum fault_kind)kind,
					.bytes = n < 2 ? -1 : FAULT_DATA_MAX,
					.value = n < 3 ? -1 : 65535,
					.whole = n & 1 };
				struct incoming incoming = { .framing = n & 1 ? FRAMING_MBAP : FRAMING_RTU,
					.unit = 1,
					.pdu = asked + 1,
					.length = 5,
					.frame = asked,
					.frame_length = sizeof(asked) };
				if (length == 1)
					continue; /* no reply is that short */
				memset(reply, 3, sizeof(reply));
				answer.length = 0;
				fault_shape(&fault, &incoming, reply, length, &answer);
				assert_in_range(answer.length, 0, ANSWER_MAX);
			}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_single, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_multiple, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mask, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quantities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_write_quantities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noise, setup, teardown),
		cmocka_unit_test_setup_teardown(test_marked_cells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_motion, setup, teardown),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_request_length),
		cmocka_unit_test(test_fault_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
