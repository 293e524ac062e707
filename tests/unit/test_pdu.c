/* Requests as bytes, and replies that do or do not answer them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "field/pdu.h"

static void
test_requests_are_the_standards_examples(void **state)
{
	static const uint16_t registers[] = { 0x000a, 0x0102 };
	static const uint16_t coils[] = { 1, 0, 1, 1, 0, 0, 1, 1, 1, 0 };
	static const uint16_t on[] = { 1 };
	static const uint16_t three[] = { 3 };
	static const uint16_t masks[] = { 0x00f2, 0x0025 };
	uint8_t pdu[PDU_MAX];
	struct pdu_request request;

	(void)state;
	request = pdu_read(TABLE_HOLDING, 1, 107, 3);
	assert_int_equal(pdu_build(&request, pdu), 5);
	assert_memory_equal(pdu, "\x03\x00\x6b\x00\x03", 5);
	request = pdu_read(TABLE_COIL, 1, 19, 19);
	assert_int_equal(pdu_build(&request, pdu), 5);
	assert_memory_equal(pdu, "\x01\x00\x13\x00\x13", 5);
	request = pdu_read(TABLE_DISCRETE, 1, 196, 22);
	assert_int_equal(pdu_build(&request, pdu), 5);
	assert_memory_equal(pdu, "\x02\x00\xc4\x00\x16", 5);
	request = pdu_read(TABLE_INPUT, 1, 8, 1);
	assert_int_equal(pdu_build(&request, pdu), 5);
	assert_memory_equal(pdu, "\x04\x00\x08\x00\x01", 5);
	request = pdu_write(TABLE_COIL, 1, 172, 1, on);
	assert_int_equal(pdu_build(&request, pdu), 5);
	assert_memory_equal(pdu, "\x05\x00\xac\xff\x00", 5);
	request = pdu_write(TABLE_HOLDING, 1, 1, 1, three);
	assert_int_equal(pdu_build(&request, pdu), 5);
	assert_memory_equal(pdu, "\x06\x00\x01\x00\x03", 5);
	request = pdu_write(TABLE_COIL, 1, 19, 10, coils);
	assert_int_equal(pdu_build(&request, pdu), 8);
	assert_memory_equal(pdu, "\x0f\x00\x13\x00\x0a\x02\xcd\x01", 8);
	request = pdu_write(TABLE_HOLDING, 1, 1, 2, registers);
	assert_int_equal(pdu_build(&request, pdu), 10);
	assert_memory_equal(pdu, "\x10\x00\x01\x00\x02\x04\x00\x0a\x01\x02", 10);
	request = pdu_mask_write(1, 4, masks);
	assert_int_equal(pdu_build(&request, pdu), 7);
	assert_memory_equal(pdu, "\x16\x00\x04\x00\xf2\x00\x25", 7);
}

static void
test_a_single_cell_can_be_written_as_several(void **state)
{
	static const uint16_t cells[] = { 3, 1 };
	uint8_t pdu[PDU_MAX];
	struct pdu_request request = pdu_write_multiple(TABLE_HOLDING, 1, 1, 1, cells);

	(void)state;
	assert_int_equal(pdu_build(&request, pdu), 8);
	assert_memory_equal(pdu, "\x10\x00\x01\x00\x01\x02\x00\x03", 8);
	request = pdu_write_multiple(TABLE_COIL, 1, 1, 1, cells + 1);
	assert_int_equal(pdu_build(&request, pdu), 7);
	assert_memory_equal(pdu, "\x0f\x00\x01\x00\x01\x01\x01", 7);
	request = pdu_write_multiple(TABLE_INPUT, 1, 1, 1, cells);
	assert_int_equal(pdu_build(&request, pdu), -EINVAL);
}

static void
test_impossible_requests_are_refused(void **state)
{
	uint16_t cells[2048] = { 0 };
	uint8_t pdu[PDU_MAX];
	const struct pdu_request wrong[] = {
		pdu_read(TABLE_HOLDING, 1, 0, 126),
		pdu_read(TABLE_HOLDING, 1, 0, 0),
		pdu_read(TABLE_HOLDING, 1, -1, 1),
		pdu_read(TABLE_HOLDING, 1, 65535, 2),
		pdu_read(TABLE_COIL, 1, 0, 2001),
		pdu_write(TABLE_HOLDING, 1, 0, 124, cells),
		pdu_write(TABLE_COIL, 1, 0, 1969, cells),
		pdu_write(TABLE_INPUT, 1, 0, 1, cells),
		pdu_write(TABLE_DISCRETE, 1, 0, 1, cells),
		pdu_write(TABLE_HOLDING, 1, 0, 1, NULL),
	};
	const struct pdu_request largest[] = {
		pdu_read(TABLE_HOLDING, 1, 65535 - 124, 125),
		pdu_read(TABLE_COIL, 1, 0, 2000),
		pdu_write(TABLE_HOLDING, 1, 0, 123, cells),
		pdu_write(TABLE_COIL, 1, 0, 1968, cells),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(pdu_build(&wrong[i], pdu), -EINVAL);
	for (size_t i = 0; i < sizeof(largest) / sizeof(largest[0]); i++)
		assert_in_range(pdu_build(&largest[i], pdu), 5, PDU_MAX);
}

#define MATCH(request, unit, text, cells)                                                                    \
	pdu_match(request, unit, (const uint8_t *)(text), sizeof(text) - 1, cells)

static void
test_a_register_reply_must_fit_in_every_field(void **state)
{
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	uint16_t cells[2] = { 7, 7 };

	(void)state;
	assert_int_equal(MATCH(&request, 18, "\x03\x04\x00\x01\x00\x02", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x04\x04\x00\x01\x00\x02", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x03\x02\x00\x01\x00\x02", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x03\x02\x00\x01", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x03\x06\x00\x01\x00\x02\x00\x03", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x03\x04\x00\x01\x00", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x03\x04\x00\x01\x00\x02\x00", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x03", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "", cells), -EBADMSG);
	assert_int_equal(cells[0], 7);
	assert_int_equal(MATCH(&request, 17, "\x03\x04\x12\x34\x00\x02", cells), 0);
	assert_int_equal(cells[0], 0x1234);
	assert_int_equal(cells[1], 2);
}

static void
test_exceptions_are_those_of_the_request(void **state)
{
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	uint16_t cells[2];

	(void)state;
	assert_int_equal(MATCH(&request, 17, "\x83\x02", cells), 2);
	assert_int_equal(MATCH(&request, 17, "\x83\xff", cells), 255);
	assert_int_equal(MATCH(&request, 18, "\x83\x02", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x84\x02", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x83\x00", cells), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x83\x02\x00", cells), -EBADMSG);
}

static void
test_bits_come_lowest_first_whatever_pads_them(void **state)
{
	struct pdu_request request = pdu_read(TABLE_COIL, 1, 0, 10);
	uint16_t cells[10];
	static const uint16_t expected[] = { 1, 0, 1, 1, 0, 0, 1, 1, 1, 0 };

	(void)state;
	assert_int_equal(MATCH(&request, 1, "\x01\x02\xcd\x01", cells), 0);
	assert_memory_equal(cells, expected, sizeof(expected));
	assert_int_equal(MATCH(&request, 1, "\x01\x02\xcd\xfd", cells), 0);
	assert_memory_equal(cells, expected, sizeof(expected));
}

static void
test_a_write_is_confirmed_by_its_own_echo_only(void **state)
{
	static const uint16_t cells[] = { 3, 4 };
	struct pdu_request one = pdu_write(TABLE_HOLDING, 1, 1, 1, cells);
	struct pdu_request two = pdu_write(TABLE_HOLDING, 1, 1, 2, cells);
	struct pdu_request coil = pdu_write(TABLE_COIL, 1, 172, 1, cells);

	(void)state;
	assert_int_equal(MATCH(&one, 1, "\x06\x00\x01\x00\x03", NULL), 0);
	assert_int_equal(MATCH(&one, 1, "\x06\x00\x02\x00\x03", NULL), -EBADMSG);
	assert_int_equal(MATCH(&one, 1, "\x06\x00\x01\x00\x04", NULL), -EBADMSG);
	assert_int_equal(MATCH(&one, 1, "\x10\x00\x01\x00\x01", NULL), -EBADMSG);
	assert_int_equal(MATCH(&two, 1, "\x10\x00\x01\x00\x02", NULL), 0);
	assert_int_equal(MATCH(&two, 1, "\x10\x00\x01\x00\x01", NULL), -EBADMSG);
	assert_int_equal(MATCH(&two, 1, "\x10\x00\x00\x00\x02", NULL), -EBADMSG);
	assert_int_equal(MATCH(&coil, 1, "\x05\x00\xac\xff\x00", NULL), 0);
	assert_int_equal(MATCH(&coil, 1, "\x05\x00\xac\x00\x00", NULL), -EBADMSG);
	assert_int_equal(MATCH(&coil, 1, "\x85\x03", NULL), 3);
}

static void
test_a_mask_write_is_confirmed_by_both_masks(void **state)
{
	static const uint16_t masks[] = { 0x00f2, 0x0025 };
	struct pdu_request request = pdu_mask_write(17, 4, masks);

	(void)state;
	assert_true(pdu_writes(&request));
	assert_int_equal(pdu_reply_length(&request), 7);
	assert_int_equal(MATCH(&request, 17, "\x16\x00\x04\x00\xf2\x00\x25", NULL), 0);
	assert_int_equal(MATCH(&request, 17, "\x96\x01", NULL), 1);
	assert_int_equal(MATCH(&request, 18, "\x16\x00\x04\x00\xf2\x00\x25", NULL), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x16\x00\x05\x00\xf2\x00\x25", NULL), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x16\x00\x04\x00\xf3\x00\x25", NULL), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x16\x00\x04\x00\xf2\x00\x24", NULL), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x16\x00\x04\x00\xf2\x00", NULL), -EBADMSG);
	assert_int_equal(MATCH(&request, 17, "\x16\x00\x04\x00\xf2", NULL), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_are_the_standards_examples),
		cmocka_unit_test(test_a_single_cell_can_be_written_as_several),
		cmocka_unit_test(test_impossible_requests_are_refused),
		cmocka_unit_test(test_a_mask_write_is_confirmed_by_both_masks),
		cmocka_unit_test(test_a_register_reply_must_fit_in_every_field),
		cmocka_unit_test(test_exceptions_are_those_of_the_request),
		cmocka_unit_test(test_bits_come_lowest_first_whatever_pads_them),
		cmocka_unit_test(test_a_write_is_confirmed_by_its_own_echo_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
