#include "line/checksum.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SDI12_CHARACTERS 3
#define SDI12_BITS	 6
#define SDI12_MARK	 0x40

enum method { METHOD_NONE, METHOD_XOR, METHOD_SUM, METHOD_TWOS, METHOD_CRC };

/* The parameters of a CRC are those of Greg Cook's catalogue of parametrised CRC algorithms; tests/unit/test_checksum.c has the
 * check values from there. */
static const struct {
	struct checksum_row row;
	enum method method;
	uint32_t poly;
	uint32_t init;
	bool reflected; /* bits go in and come out least significant first */
	uint32_t xor_out;
} rows[CHECKSUMS] = {
	[CHECKSUM_NONE] = { .row = { .name = "none", .about = "frames prove nothing" } },
	[CHECKSUM_XOR] = { .row = { .name = "xor", .bits = 8, .about = "exclusive or of the bytes" }, .method = METHOD_XOR },
	[CHECKSUM_SUM8] = { .row = { .name = "sum8", .bits = 8, .about = "sum of the bytes" }, .method = METHOD_SUM },
	[CHECKSUM_TWOS_COMPLEMENT] = { .row = { .name = "twos-complement",
					   .bits = 8,
					   .about = "what makes the sum of the bytes and it zero" },
	    .method = METHOD_TWOS },
	[CHECKSUM_SUM16] = { .row = { .name = "sum16", .bits = 16, .about = "sum of the bytes" }, .method = METHOD_SUM },
	[CHECKSUM_CRC8] = { .row = { .name = "crc8", .bits = 8, .about = "CRC-8/SMBUS" }, .method = METHOD_CRC, .poly = 0x07 },
	[CHECKSUM_CRC8_MAXIM] = { .row = { .name = "crc8-maxim", .bits = 8, .about = "CRC-8/MAXIM-DOW, of 1-Wire" },
	    .method = METHOD_CRC,
	    .poly = 0x31,
	    .reflected = true },
	[CHECKSUM_CRC16_MODBUS] = { .row = { .name = "crc16-modbus",
					.bits = 16,
					.little = true,
					.about = "CRC-16/MODBUS, its low byte first" },
	    .method = METHOD_CRC,
	    .poly = 0x8005,
	    .init = 0xffff,
	    .reflected = true },
	[CHECKSUM_CRC16_CCITT] = { .row = { .name = "crc16-ccitt",
				       .bits = 16,
				       .about = "CRC-16/IBM-3740, also called CCITT-FALSE" },
	    .method = METHOD_CRC,
	    .poly = 0x1021,
	    .init = 0xffff },
	[CHECKSUM_CRC16_XMODEM] = { .row = { .name = "crc16-xmodem", .bits = 16, .about = "CRC-16/XMODEM" },
	    .method = METHOD_CRC,
	    .poly = 0x1021 },
	[CHECKSUM_CRC16_KERMIT] = { .row = { .name = "crc16-kermit",
					.bits = 16,
					.little = true,
					.about = "CRC-16/KERMIT, its low byte first" },
	    .method = METHOD_CRC,
	    .poly = 0x1021,
	    .reflected = true },
	[CHECKSUM_CRC16_X25] = { .row = { .name = "crc16-x25",
				     .bits = 16,
				     .little = true,
				     .about = "CRC-16/IBM-SDLC, of X.25 and HDLC, its low byte first" },
	    .method = METHOD_CRC,
	    .poly = 0x1021,
	    .init = 0xffff,
	    .reflected = true,
	    .xor_out = 0xffff },
	[CHECKSUM_CRC16_ARC] = { .row = { .name = "crc16-arc", .bits = 16, .about = "CRC-16/ARC" },
	    .method = METHOD_CRC,
	    .poly = 0x8005,
	    .reflected = true },
	[CHECKSUM_CRC32] = { .row = { .name = "crc32", .bits = 32, .about = "CRC-32/ISO-HDLC, of Ethernet and zip" },
	    .method = METHOD_CRC,
	    .poly = 0x04c11db7,
	    .init = 0xffffffff,
	    .reflected = true,
	    .xor_out = 0xffffffff },
	[CHECKSUM_NMEA] = { .row = { .name = "nmea",
				.bits = 8,
				.form = CHECKSUM_HEX,
				.about = "of NMEA 0183: exclusive or of what is between $ or ! and *, in hexadecimal behind that" },
	    .method = METHOD_XOR },
};

const struct checksum_row *
checksum_row(enum checksum_type type)
{
	return &rows[type].row;
}

const char *
checksum_form_name(enum checksum_form form)
{
	static const char *const names[CHECKSUM_FORMS] = {
		[CHECKSUM_BINARY] = "binary", [CHECKSUM_HEX] = "hex", [CHECKSUM_SDI12] = "sdi-12"
	};

	return names[form];
}

static uint32_t
mask_of(int bits)
{
	return bits >= 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1;
}

static uint32_t
reflect(uint32_t number, int bits)
{
	uint32_t other = 0;

	for (int i = 0; i < bits; i++)
		other |= (number >> i & 1) << (bits - 1 - i);
	return other;
}

/* Four bits at a time: noise that looks like the start of long frames has each of them summed. */
static uint32_t
crc_reflected(uint32_t poly, uint32_t crc, const uint8_t *bytes, size_t length)
{
	uint32_t table[16];

	for (uint32_t n = 0; n < 16; n++) {
		table[n] = n;
		for (int bit = 0; bit < 4; bit++)
			table[n] = table[n] & 1 ? table[n] >> 1 ^ poly : table[n] >> 1;
	}
	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		crc = crc >> 4 ^ table[crc & 0xf];
		crc = crc >> 4 ^ table[crc & 0xf];
	}
	return crc;
}

/* The same with the most significant bit first; poly and crc are the upper bits of theirs. */
static uint32_t
crc_straight(uint32_t poly, uint32_t crc, const uint8_t *bytes, size_t length)
{
	uint32_t table[16];

	for (uint32_t n = 0; n < 16; n++) {
		table[n] = n << 28;
		for (int bit = 0; bit < 4; bit++)
			table[n] = table[n] >> 31 ? table[n] << 1 ^ poly : table[n] << 1;
	}
	for (size_t i = 0; i < length; i++) {
		crc ^= (uint32_t)bytes[i] << 24;
		crc = crc << 4 ^ table[crc >> 28];
		crc = crc << 4 ^ table[crc >> 28];
	}
	return crc;
}

static uint32_t
crc_of(enum checksum_type type, const uint8_t *bytes, size_t length)
{
	int bits = rows[type].row.bits;
	uint32_t poly = rows[type].poly, init = rows[type].init;
	uint32_t crc = rows[type].reflected
			   ? crc_reflected(reflect(poly, bits), reflect(init, bits), bytes, length)
			   : crc_straight(poly << (32 - bits), init << (32 - bits), bytes, length) >> (32 - bits);

	return crc ^ rows[type].xor_out;
}

uint32_t
checksum_of(enum checksum_type type, const uint8_t *bytes, size_t length)
{
	enum method method = rows[type].method;
	uint32_t sum = 0;

	if (method == METHOD_CRC)
		return crc_of(type, bytes, length);
	for (size_t i = 0; i < length; i++)
		sum = method == METHOD_XOR ? sum ^ bytes[i] : sum + bytes[i];
	if (method == METHOD_TWOS)
		sum = 0 - sum;
	return method == METHOD_NONE ? 0 : sum & mask_of(rows[type].row.bits);
}

size_t
checksum_size(const struct checksum *checksum)
{
	size_t bytes = (size_t)rows[checksum->type].row.bits / 8;

	if (bytes == 0)
		return 0;
	return checksum->form == CHECKSUM_HEX	? 2 * bytes
	       : checksum->form == CHECKSUM_SDI12 ? SDI12_CHARACTERS
						  : bytes;
}

void
checksum_write(const struct checksum *checksum, uint32_t sum, uint8_t *ret)
{
	static const char digits[] = "0123456789ABCDEF";
	int size = (int)checksum_size(checksum);

	for (int i = 0; i < size; i++) {
		int rank = size - 1 - i; /* of the byte, digit or character that goes to i; 0 is the least significant */

		if (checksum->form == CHECKSUM_HEX)
			ret[i] = (uint8_t)digits[sum >> (4 * rank) & 0xf];
		else if (checksum->form == CHECKSUM_SDI12)
			ret[i] = (uint8_t)(SDI12_MARK | (sum >> (SDI12_BITS * rank) & 0x3f));
		else
			ret[i] = (uint8_t)(sum >> (8 * (checksum->little ? i : rank)));
	}
}

/* The first '$' or '!', and the last '*' with two characters behind it. */
static int
find_nmea(const uint8_t *bytes, size_t length, struct checksum_place *ret)
{
	size_t from = 0, star = length;

	while (from < length && bytes[from] != '$' && bytes[from] != '!')
		from++;
	while (star > from && bytes[star - 1] != '*')
		star--;
	if (from >= length || star <= from + 1 || length - star < 2)
		return -ENODATA;
	*ret = (struct checksum_place){ .at = star, .from = from + 1, .to = star - 1 };
	return 0;
}

/* A position that may be counted from the end. Returns false if the frame has none such. */
static bool
place_of(int position, size_t length, size_t *ret)
{
	size_t far = (size_t)(position < 0 ? -(int64_t)position : position);

	if (far > length)
		return false;
	*ret = position < 0 ? length - far : far;
	return true;
}

int
checksum_find(const struct checksum *checksum, const uint8_t *bytes, size_t length, struct checksum_place *ret)
{
	size_t size = checksum_size(checksum);
	struct checksum_place place;

	if (checksum->type == CHECKSUM_NMEA)
		return find_nmea(bytes, length, ret);
	if (length < size || !place_of(checksum->at == 0 ? -(int)size : checksum->at, length, &place.at) ||
	    place.at + size > length || !place_of(checksum->from, length, &place.from))
		return -ENODATA;
	place.to = place.at;
	if (checksum->to != 0 && !place_of(checksum->to, length, &place.to))
		return -ENODATA;
	if (place.from > place.to)
		return -ENODATA;
	*ret = place;
	return 0;
}

static bool
is_same(const struct checksum *checksum, const uint8_t *wanted, const uint8_t *found, size_t size)
{
	if (checksum->form != CHECKSUM_HEX)
		return memcmp(wanted, found, size) == 0;
	for (size_t i = 0; i < size; i++)
		if ((found[i] >= 'a' && found[i] <= 'f' ? found[i] - ('a' - 'A') : found[i]) != wanted[i])
			return false;
	return true;
}

/* Characters as they are, bytes in hexadecimal. */
static void
show(const struct checksum *checksum, const uint8_t *bytes, size_t size, char text[CHECKSUM_TEXT_MAX])
{
	char *at = text;

	for (size_t i = 0; i < size; i++)
		if (checksum->form == CHECKSUM_BINARY)
			at += sprintf(at, "%02X", bytes[i]);
		else
			*at++ = (char)(bytes[i] > ' ' && bytes[i] < 127 ? bytes[i] : '?');
	*at = '\0';
}

int
checksum_judge(const struct checksum *checksum, const uint8_t *bytes, size_t length, char wanted[CHECKSUM_TEXT_MAX],
    char found[CHECKSUM_TEXT_MAX])
{
	uint8_t right[CHECKSUM_SIZE_MAX] = { 0 };
	size_t size = checksum_size(checksum);
	struct checksum_place place;
	int error;

	if (checksum->type == CHECKSUM_NONE)
		return 0;
	error = checksum_find(checksum, bytes, length, &place);
	if (error)
		return error;
	checksum_write(checksum, checksum_of(checksum->type, bytes + place.from, place.to - place.from), right);
	if (is_same(checksum, right, bytes + place.at, size))
		return 0;
	show(checksum, right, size, wanted);
	show(checksum, bytes + place.at, size, found);
	return -EBADMSG;
}
