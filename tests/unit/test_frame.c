/* An answer is found among noise whatever its pieces, and nobody sleeps past its end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "field/frame.h"

#define ROUNDS	  20000
#define BYTES_MAX 600

static uint16_t cells[MODBUS_MAX_READ_BITS];

static unsigned
dice(unsigned sides)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % sides;
}

/* The answer to a read of registers is built as a request of that many bytes would be: its CRC by the same code, which
 * test_link.c holds against frames of the standard. */
static size_t
put_crc(uint8_t *frame, size_t length)
{
	unsigned crc = 0xffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= frame[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
	}
	frame[length] = (uint8_t)crc;
	frame[length + 1] = (uint8_t)(crc >> 8);
	return length + 2;
}

static size_t
put_answer(const struct pdu_request *request, uint8_t *frame)
{
	size_t length = 3;

	frame[0] = (uint8_t)request->unit;
	frame[1] = (uint8_t)request->function;
	frame[2] = (uint8_t)(request->count * 2);
	for (int i = 0; i < request->count * 2; i++)
		frame[length++] = (uint8_t)dice(256);
	return put_crc(frame, length);
}

/* Noise that likes to look like the head of the answer. */
static size_t
put_noise(const struct pdu_request *request, uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		const uint8_t likely[] = { (uint8_t)request->unit, (uint8_t)request->function,
			(uint8_t)(request->count * 2), (uint8_t)(request->function | PDU_EXCEPTION_BIT), 0, 255 };

		bytes[i] = dice(2) ? likely[dice(sizeof(likely))] : (uint8_t)dice(256);
	}
	return length;
}

static void
test_an_answer_in_noise_is_found_in_time(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 100, 1 + (int)dice(20));
		uint8_t sent[FRAME_MAX];
		uint8_t bytes[BYTES_MAX];
		struct frame_search search = { .request = &request, .sent = sent, .takes_echo = dice(2) };
		size_t noise = put_noise(&request, bytes, dice(30));
		size_t end = noise + put_answer(&request, bytes + noise);
		size_t length = 0;
		int result = -EAGAIN;

		search.sent_length = (size_t)frame_build_rtu(&request, sent);
		put_noise(&request, bytes + end, 20);
		while (result == -EAGAIN) {
			size_t step = 1 + dice(7);

			assert_true(length < end);
			length = length + step < end ? length + step : end;
			result = frame_search(&search, bytes, length, cells);
			if (result == -EAGAIN && !search.clean && search.stale == 0)
				assert_true(length + search.more <= end);
			/* One in 65,536 times noise is a sound frame, and may swallow the answer. */
			if (search.stale > 0)
				break;
		}
		if (search.stale > 0)
			continue;
		assert_int_equal(result, 0);
		assert_int_equal(search.at, end);
		assert_int_equal(search.noise, noise);
		assert_int_equal(search.clean, noise == 0);
	}
}

static void
test_bytes_of_chance_are_no_answer_and_all_are_counted(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 100, 2);
		uint8_t sent[FRAME_MAX];
		uint8_t bytes[BYTES_MAX];
		struct frame_search search = { .request = dice(8) ? &request : NULL, .sent = sent };
		size_t length = put_noise(&request, bytes, dice(60));

		search.sent_length = (size_t)frame_build_rtu(&request, sent);
		assert_int_equal(frame_search(&search, bytes, length, cells), -EAGAIN);
		frame_search_end(&search, length);
		assert_int_equal(search.noise + search.stale, length);
		assert_int_equal(search.at, length);
	}
}

static void
test_which_requests_look_like_their_own_answers(void **state)
{
	static const uint16_t value[] = { 1, 2, 3 };
	const struct {
		struct pdu_request request;
		bool expected;
	} rows[] = {
		{ pdu_write(TABLE_HOLDING, 1, 7, 1, value), true },
		{ pdu_write(TABLE_COIL, 1, 7, 1, value), true },
		{ pdu_write(TABLE_HOLDING, 1, 7, 3, value), false },
		{ pdu_read(TABLE_HOLDING, 1, 0x0300, 1), false },
		{ pdu_read(TABLE_INPUT, 1, 0, 2), false },
		{ pdu_read(TABLE_COIL, 1, 0, 20), false },
		/* three bytes of coils follow: the low half of the address and the quantity */
		{ pdu_read(TABLE_COIL, 1, 0x0300, 20), true },
		{ pdu_read(TABLE_DISCRETE, 1, 0x0355, 17), true },
		{ pdu_read(TABLE_COIL, 1, 0x0300, 25), false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t sent[FRAME_MAX];
		int length = frame_build_rtu(&rows[i].request, sent);

		assert_true(length > 0);
		assert_int_equal(frame_is_own_answer(&rows[i].request, sent, (size_t)length), rows[i].expected);
	}
}

static void
test_frames_are_those_of_the_standard(void **state)
{
	static const uint16_t value[] = { 3 };
	struct pdu_request read = pdu_read(TABLE_HOLDING, 17, 0x6b, 3);
	struct pdu_request write = pdu_write(TABLE_HOLDING, 17, 1, 1, value);
	uint8_t frame[FRAME_MAX];

	(void)state;
	assert_int_equal(frame_build_rtu(&read, frame), 8);
	assert_memory_equal(frame, "\x11\x03\x00\x6b\x00\x03\x76\x87", 8);
	assert_int_equal(frame_build_rtu(&write, frame), 8);
	assert_memory_equal(frame, "\x11\x06\x00\x01\x00\x03\x9a\x9b", 8);
	assert_int_equal(frame_build_mbap(&read, 0x1234, frame), 12);
	assert_memory_equal(frame, "\x12\x34\x00\x00\x00\x06\x11\x03\x00\x6b\x00\x03", 12);
	read.count = 126;
	assert_int_equal(frame_build_rtu(&read, frame), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_answer_in_noise_is_found_in_time),
		cmocka_unit_test(test_bytes_of_chance_are_no_answer_and_all_are_counted),
		cmocka_unit_test(test_which_requests_look_like_their_own_answers),
		cmocka_unit_test(test_frames_are_those_of_the_standard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
