#include "sim/frame.h"

#include <string.h>

uint16_t
frame_crc(const uint8_t *bytes, size_t length)
{
	uint16_t crc = 0xffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
	}
	return crc;
}

bool
frame_is_rtu(const uint8_t *bytes, size_t length)
{
	return length >= 4 && length <= FRAME_RTU_MAX &&
	       frame_crc(bytes, length - 2) == (bytes[length - 2] | bytes[length - 1] << 8);
}

size_t
frame_build(enum framing framing, uint16_t transaction, uint8_t unit, const uint8_t *pdu, size_t length,
    uint8_t *frame)
{
	uint16_t crc;

	if (framing == FRAMING_MBAP) {
		frame[0] = (uint8_t)(transaction >> 8);
		frame[1] = (uint8_t)transaction;
		frame[2] = frame[3] = 0;
		frame[4] = (uint8_t)((length + 1) >> 8);
		frame[5] = (uint8_t)(length + 1);
		frame[6] = unit;
		memcpy(frame + MBAP_LENGTH, pdu, length);
		return MBAP_LENGTH + length;
	}
	frame[0] = unit;
	memcpy(frame + 1, pdu, length);
	crc = frame_crc(frame, length + 1);
	frame[length + 1] = (uint8_t)crc;
	frame[length + 2] = (uint8_t)(crc >> 8);
	return length + 3;
}
