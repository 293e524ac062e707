/* Every checksum against its published check value, where it sits, and frames of real instruments. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "line/checksum.h"

#define BYTES(text) ((const uint8_t *)(text)), (sizeof(text) - 1)

/* "check" of "123456789": Greg Cook, Catalogue of parametrised CRC algorithms, https://reveng.sourceforge.io/crc-catalogue/.
 * The sums are what adding up gives: 0x1dd. */
static const struct {
	enum checksum_type type;
	uint32_t check;
} checks[] = {
	{ CHECKSUM_NONE, 0 },
	{ CHECKSUM_XOR, 0x31 },
	{ CHECKSUM_SUM8, 0xdd },
	{ CHECKSUM_TWOS_COMPLEMENT, 0x23 },
	{ CHECKSUM_SUM16, 0x1dd },
	{ CHECKSUM_CRC8, 0xf4 },
	{ CHECKSUM_CRC8_MAXIM, 0xa1 },
	{ CHECKSUM_CRC16_MODBUS, 0x4b37 },
	{ CHECKSUM_CRC16_CCITT, 0x29b1 },
	{ CHECKSUM_CRC16_XMODEM, 0x31c3 },
	{ CHECKSUM_CRC16_KERMIT, 0x2189 },
	{ CHECKSUM_CRC16_X25, 0x906e },
	{ CHECKSUM_CRC16_ARC, 0xbb3d },
	{ CHECKSUM_CRC32, 0xcbf43926 },
	{ CHECKSUM_NMEA, 0x31 },
};

static void
test_check_values(void **state)
{
	(void)state;
	assert_int_equal(sizeof(checks) / sizeof(checks[0]), CHECKSUMS);
	for (size_t i = 0; i < CHECKSUMS; i++) {
		assert_int_equal(checks[i].type, i);
		assert_int_equal(checksum_of(checks[i].type, BYTES("123456789")), checks[i].check);
	}
}

/* Frames that prove themselves, from the documents of those who made them or worked out by hand. */
static const struct {
	const char *what;
	struct checksum checksum;
	const uint8_t *frame;
	size_t length;
} frames[] = {
	{ "NMEA 0183, the usual example of a GGA sentence", { .type = CHECKSUM_NMEA, .form = CHECKSUM_HEX },
	    BYTES("$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47") },
	{ "MH-Z19B user's manual V1.0: FF 86 02 20 00 00 00 00 58", { .type = CHECKSUM_TWOS_COMPLEMENT, .from = 1 },
	    BYTES("\xff\x86\x02\x20\0\0\0\0\x58") },
	{ "Modbus over serial line, read of one register", { .type = CHECKSUM_CRC16_MODBUS, .little = true },
	    BYTES("\x01\x03\x00\x00\x00\x01\x84\x0a") },
	{ "IEC 62056-21: from behind STX to ETX", { .type = CHECKSUM_XOR, .from = 1 }, BYTES("\x02" "ABC!\r\n\x03" "\x65") },
	{ "SDI-12 1.4, 4.4.12: 0+3.14OqZ", { .type = CHECKSUM_CRC16_ARC, .form = CHECKSUM_SDI12 }, BYTES("0+3.14OqZ") },
	{ "in hexadecimal of either case before ETX", { .type = CHECKSUM_SUM8, .form = CHECKSUM_HEX, .from = 1, .at = -3 },
	    BYTES("\x02" "123456789dD\x03") },
	{ "at the front, over what is behind it", { .type = CHECKSUM_XOR, .at = 1, .from = 2, .to = -1 },
	    BYTES("A1123456789Z") },
	{ "the high byte first", { .type = CHECKSUM_CRC16_CCITT }, BYTES("123456789\x29\xb1") },
	{ "the low byte first", { .type = CHECKSUM_CRC16_CCITT, .little = true }, BYTES("123456789\xb1\x29") },
};

static void
test_frames(void **state)
{
	char wanted[CHECKSUM_TEXT_MAX], found[CHECKSUM_TEXT_MAX];
	uint8_t broken[128];

	(void)state;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct checksum checksum = frames[i].checksum;
		const uint8_t *bytes = frames[i].frame;
		struct checksum_place place = { 0 };

		if (checksum_judge(&checksum, bytes, frames[i].length, wanted, found) != 0)
			fail_msg("%s: %s, should be %s", frames[i].what, found, wanted);
		assert_int_equal(checksum_find(&checksum, bytes, frames[i].length, &place), 0);
		/* Every byte that it covers counts. */
		for (size_t j = place.from; j < place.to; j++) {
			memcpy(broken, bytes, frames[i].length);
			broken[j] ^= 0x01;
			if (checksum.type == CHECKSUM_NMEA && (broken[j] == '*' || broken[j] == '$'))
				continue;
			if (checksum_judge(&checksum, broken, frames[i].length, wanted, found) != -EBADMSG)
				fail_msg("%s: byte %zu does not count", frames[i].what, j);
		}
	}
}

static void
test_not_there(void **state)
{
	static const struct {
		struct checksum checksum;
		const char *frame;
	} cases[] = {
		{ { .type = CHECKSUM_NMEA, .form = CHECKSUM_HEX }, "$GPGGA,1" },
		{ { .type = CHECKSUM_NMEA, .form = CHECKSUM_HEX }, "$GPGGA,1*4" },
		{ { .type = CHECKSUM_NMEA, .form = CHECKSUM_HEX }, "GPGGA,1*47" },
		{ { .type = CHECKSUM_NMEA, .form = CHECKSUM_HEX }, "" },
		{ { .type = CHECKSUM_CRC32, .form = CHECKSUM_HEX }, "1234567" },
		{ { .type = CHECKSUM_XOR, .from = 3 }, "123" },
		{ { .type = CHECKSUM_XOR, .at = -4 }, "123" },
		{ { .type = CHECKSUM_XOR, .at = 3 }, "123" },
		{ { .type = CHECKSUM_XOR, .to = -4 }, "123" },
		{ { .type = CHECKSUM_SUM16, .at = -1 }, "123" },
	};
	char wanted[CHECKSUM_TEXT_MAX], found[CHECKSUM_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (checksum_judge(&cases[i].checksum, (const uint8_t *)cases[i].frame, strlen(cases[i].frame), wanted,
			found) != -ENODATA)
			fail_msg("case %zu: a checksum was found", i);
}

/* What is written is read, in each form. */
static void
test_round_trip(void **state)
{
	uint8_t frame[32] = "some frame";
	char wanted[CHECKSUM_TEXT_MAX], found[CHECKSUM_TEXT_MAX];

	(void)state;
	for (int type = CHECKSUM_XOR; type < CHECKSUM_NMEA; type++)
		for (int form = 0; form < CHECKSUM_FORMS; form++)
			for (int little = 0; little < 2; little++) {
				struct checksum checksum = { .type = (enum checksum_type)type,
					.form = (enum checksum_form)form,
					.little = little };

				if (form == CHECKSUM_SDI12 && checksum_row(checksum.type)->bits != 16)
					continue;
				checksum_write(&checksum, checksum_of(checksum.type, frame, 10), frame + 10);
				assert_int_equal(checksum_judge(&checksum, frame, 10 + checksum_size(&checksum), wanted, found), 0);
			}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check_values),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
