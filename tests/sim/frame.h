/* The two envelopes of a Modbus PDU: RTU (unit, PDU, CRC) and TCP (MBAP header, PDU). Pure. */
#ifndef SIM_FRAME_H
#define SIM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX     260 /* the longer of the two: MBAP 7 + PDU 253 */
#define FRAME_RTU_MAX 256
#define MBAP_LENGTH   7

enum framing { FRAMING_MBAP, FRAMING_RTU };

/* CRC-16 of Modbus over Serial Line V1.02, 6.2.2; its low byte goes first on the wire. */
uint16_t frame_crc(const uint8_t *bytes, size_t length);

/* Whether these bytes are one RTU frame: 4..256 of them, the last two the CRC of the others. */
bool frame_is_rtu(const uint8_t *bytes, size_t length);

/* Wrap a PDU. frame has room for FRAME_MAX. Returns the length of the frame. */
size_t frame_build(enum framing framing, uint16_t transaction, uint8_t unit, const uint8_t *pdu,
    size_t length, uint8_t *frame);

#endif
