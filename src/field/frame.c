#include "field/frame.h"

#include <errno.h>
#include <string.h>

#define CRC_BYTES    2
#define MBAP_COUNTED 6 /* bytes before those that its length field counts */
#define UNIT_MAX     247

/* MODBUS over Serial Line V1.02, 6.2.2, by half bytes. */
static unsigned
crc16(const uint8_t *bytes, size_t length)
{
	static const uint16_t half[16] = { 0x0000, 0xcc01, 0xd801, 0x1400, 0xf001, 0x3c00, 0x2800, 0xe401, 0xa001,
		0x6c00, 0x7800, 0xb401, 0x5000, 0x9c01, 0x8801, 0x4400 };
	unsigned crc = 0xffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		crc = crc >> 4 ^ half[crc & 15];
		crc = crc >> 4 ^ half[crc & 15];
	}
	return crc;
}

static bool
crc_is_right(const uint8_t *frame, size_t length)
{
	unsigned crc = crc16(frame, length - CRC_BYTES);

	return frame[length - 2] == (crc & 0xff) && frame[length - 1] == crc >> 8;
}

int
frame_build_rtu(const struct pdu_request *request, uint8_t *frame)
{
	int length = pdu_build(request, frame + 1);
	unsigned crc;

	if (length < 0)
		return length;
	frame[0] = (uint8_t)request->unit;
	crc = crc16(frame, (size_t)length + 1);
	frame[length + 1] = (uint8_t)crc;
	frame[length + 2] = (uint8_t)(crc >> 8);
	return length + FRAME_RTU_OVERHEAD;
}

int
frame_build_mbap(const struct pdu_request *request, uint16_t transaction, uint8_t *frame)
{
	int length = pdu_build(request, frame + FRAME_MBAP_HEADER);

	if (length < 0)
		return length;
	frame[0] = (uint8_t)(transaction >> 8);
	frame[1] = (uint8_t)transaction;
	frame[2] = 0;
	frame[3] = 0;
	frame[4] = (uint8_t)((length + 1) >> 8);
	frame[5] = (uint8_t)(length + 1);
	frame[6] = (uint8_t)request->unit;
	return length + FRAME_MBAP_HEADER;
}

size_t
frame_reply_rtu(const struct pdu_request *request)
{
	return pdu_reply_length(request) + FRAME_RTU_OVERHEAD;
}

bool
frame_is_own_answer(const struct pdu_request *request, const uint8_t *sent, size_t sent_length)
{
	uint16_t cells[MODBUS_MAX_READ_BITS];

	return pdu_match(request, sent[0], sent + 1, sent_length - FRAME_RTU_OVERHEAD, cells) == 0;
}

/* --- what may stand at one place --- */

/* Every answer() below looks at the `length` bytes from one place on, and returns how long the frame is that stands there or
 * may yet: 0 if none does. */

static bool
agrees(const uint8_t *bytes, size_t length, const uint8_t *with, size_t with_length)
{
	return memcmp(bytes, with, length < with_length ? length : with_length) == 0;
}

/* The answer to the request, as far as its head says so. */
static size_t
answer_length(const struct frame_search *search, const uint8_t *bytes, size_t length)
{
	const struct pdu_request *request = search->request;
	size_t whole;

	if (!request || bytes[0] != request->unit)
		return 0;
	if (length == 1 || bytes[1] == ((unsigned)request->function | PDU_EXCEPTION_BIT))
		return FRAME_RTU_EXCEPTION;
	if (bytes[1] != (unsigned)request->function)
		return 0;
	whole = frame_reply_rtu(request);
	/* A confirmation of a write repeats the head of the request; a read tells how many bytes follow. */
	if (pdu_writes(request))
		return agrees(bytes, length, search->sent, whole - CRC_BYTES) ? whole : 0;
	return length < 3 || bytes[2] == whole - FRAME_RTU_OVERHEAD - 2 ? whole : 0;
}

/* An answer to anything else that we might have asked. */
static size_t
foreign_length(const uint8_t *bytes, size_t length)
{
	if (bytes[0] == 0 || bytes[0] > UNIT_MAX)
		return 0;
	if (length == 1 || bytes[1] & PDU_EXCEPTION_BIT)
		return FRAME_RTU_EXCEPTION;
	switch (bytes[1]) {
	case PDU_READ_COILS:
	case PDU_READ_DISCRETE:
	case PDU_READ_HOLDING:
	case PDU_READ_INPUT:
		return length < 3 ? FRAME_RTU_EXCEPTION : bytes[2] + (size_t)FRAME_RTU_OVERHEAD + 2;
	case PDU_WRITE_COIL:
	case PDU_WRITE_REGISTER:
	case PDU_WRITE_COILS:
	case PDU_WRITE_REGISTERS:
		return 8;
	default:
		return 0;
	}
}

/* --- the search --- */

static void
count_noise(struct frame_search *search, size_t count)
{
	search->noise += count;
	search->at += count;
	search->clean = search->clean && count == 0;
}

static void
count_stale(struct frame_search *search, int unit, size_t length)
{
	if (search->stale_count < FRAME_STALE_MAX)
		search->stale_units[search->stale_count++] = unit;
	search->stale += length;
	search->at += length;
	search->clean = false;
}

static bool
is_copy(const struct frame_search *search, const uint8_t *bytes, size_t length)
{
	return length == search->sent_length && memcmp(bytes, search->sent, length) == 0;
}

/* An answer at this place, if there is a whole one.
 * Returns 0, the exception, -EAGAIN if one may become whole, -EBADMSG if there is none. */
static int
answer_at(struct frame_search *search, const uint8_t *bytes, size_t length, uint16_t *cells, size_t *ret_length)
{
	size_t whole = answer_length(search, bytes, length);

	if (whole == 0) {
		if (search->request && length > 1 && bytes[0] == search->request->unit &&
		    (bytes[1] & ~(unsigned)PDU_EXCEPTION_BIT) == (unsigned)search->request->function)
			search->foreign = true;
		return -EBADMSG;
	}
	if (whole > length) {
		if (!search->begun || whole - length < search->more)
			search->more = whole - length;
		search->begun = true;
		return -EAGAIN;
	}
	*ret_length = whole;
	if (is_copy(search, bytes, whole) && search->takes_echo && !search->echoed)
		return -EBADMSG;
	if (crc_is_right(bytes, whole))
		return pdu_match(search->request, bytes[0], bytes + 1, whole - FRAME_RTU_OVERHEAD, cells);
	search->damaged = true;
	return -EBADMSG;
}

/* The echo: is it at this place? 0, -EAGAIN if it may be, -EBADMSG if not. */
static int
echo_at(const struct frame_search *search, const uint8_t *bytes, size_t length)
{
	if (!search->takes_echo || search->echoed || !agrees(bytes, length, search->sent, search->sent_length))
		return -EBADMSG;
	return length < search->sent_length ? -EAGAIN : 0;
}

/* Settle what begins at search->at, if it is no answer. Returns whether that can be said yet. */
static bool
pass(struct frame_search *search, const uint8_t *bytes, size_t length)
{
	size_t whole = foreign_length(bytes, length);

	if (whole > length)
		return false;
	if (whole > 0 && crc_is_right(bytes, whole))
		count_stale(search, bytes[0], whole);
	else
		count_noise(search, 1);
	return true;
}

/* Something at search->at may go on. An answer behind it is one all the same: noise may look like the head of a frame. */
static int
look_behind(struct frame_search *search, const uint8_t *bytes, size_t length, uint16_t *cells)
{
	for (size_t from = search->at + 1; from < length; from++) {
		size_t whole;
		int error = answer_at(search, bytes + from, length - from, cells, &whole);

		if (error >= 0) {
			count_noise(search, from - search->at);
			search->at += whole;
			return error;
		}
	}
	return -EAGAIN;
}

static int
search_on(struct frame_search *search, const uint8_t *bytes, size_t length, uint16_t *cells)
{
	search->clean = search->clean || search->at == 0;
	search->begun = false;
	search->more = FRAME_RTU_EXCEPTION;
	while (search->at < length) {
		const uint8_t *here = bytes + search->at;
		size_t left = length - search->at;
		int echo = echo_at(search, here, left);
		size_t whole = 0;
		int error;

		if (echo == 0) {
			search->echoed = true;
			search->at += search->sent_length;
			continue;
		}
		if (echo == -EAGAIN && answer_length(search, here, left) == 0) {
			search->more = search->sent_length - left;
			return look_behind(search, bytes, length, cells);
		}
		error = answer_at(search, here, left, cells, &whole);
		if (error >= 0) {
			search->at += whole;
			return error;
		}
		if (error == -EAGAIN || echo == -EAGAIN || !pass(search, here, left))
			return look_behind(search, bytes, length, cells);
	}
	return -EAGAIN;
}

int
frame_search(struct frame_search *search, const uint8_t *bytes, size_t length, uint16_t *cells)
{
	int error = search_on(search, bytes, length, cells);

	/* Among noise the head of an answer may be none, and the true one may be short and begin with the next byte. */
	if (!search->clean && search->more > FRAME_RTU_EXCEPTION)
		search->more = FRAME_RTU_EXCEPTION;
	return error;
}

void
frame_search_end(struct frame_search *search, size_t length)
{
	search->foreign = search->foreign || search->begun;
	if (length > search->at)
		count_noise(search, length - search->at);
}

size_t
frame_length_mbap(const uint8_t *frame)
{
	return (size_t)(frame[4] << 8 | frame[5]) + MBAP_COUNTED;
}

int
frame_match_mbap(const struct pdu_request *request, uint16_t transaction, const uint8_t *bytes, size_t length,
    uint16_t *cells, size_t *ret_more)
{
	size_t whole;

	*ret_more = 0;
	if (length < MBAP_COUNTED) {
		*ret_more = MBAP_COUNTED - length;
		return -EAGAIN;
	}
	whole = frame_length_mbap(bytes);
	if ((bytes[0] << 8 | bytes[1]) != transaction || bytes[2] != 0 || bytes[3] != 0 ||
	    whole < FRAME_MBAP_HEADER + 2 || whole > FRAME_MAX)
		return -EBADMSG;
	if (length < whole) {
		*ret_more = whole - length;
		return -EAGAIN;
	}
	return pdu_match(request, bytes[6], bytes + FRAME_MBAP_HEADER, whole - FRAME_MBAP_HEADER, cells);
}
