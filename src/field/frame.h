/* Modbus frames among the bytes of a wire: a request as bytes, and its answer found between noise, echo and what answers
 * something else. Pure: no I/O, no clock, no allocation.
 *
 * On a serial line nothing says where a frame begins. A search takes for the answer the first bytes that match the request in
 * every field (field/pdu.h) and whose CRC is right, wherever they begin; all others are an echo of the request, sound frames of
 * somebody, or noise, and are counted as such. libmodbus can do none of this: it takes the first bytes as the head of a frame,
 * and one byte of noise before a reply costs a whole timeout.
 */
#ifndef FIELD_FRAME_H
#define FIELD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "field/pdu.h"

#define FRAME_RTU_OVERHEAD  3 /* unit, CRC. MODBUS over Serial Line V1.02, 2.5.1 */
#define FRAME_RTU_EXCEPTION 5
#define FRAME_MBAP_HEADER   7 /* MODBUS Messaging on TCP/IP V1.0b, 3.1.3 */
#define FRAME_MAX	    (FRAME_MBAP_HEADER + PDU_MAX)
#define FRAME_STALE_MAX	    4

/* Write the request to `frame`, which has room for FRAME_MAX. Returns its length, or -EINVAL as pdu_build() does. */
int frame_build_rtu(const struct pdu_request *request, uint8_t *frame);
int frame_build_mbap(const struct pdu_request *request, uint16_t transaction, uint8_t *frame);

/* Length of the frame that answers the request when nothing is wrong. */
size_t frame_reply_rtu(const struct pdu_request *request);

/* Would the request, if it came back, pass for its own answer? That of functions 5, 6 and 22 always does, that of a read of
 * bits may by chance: an echo of such a request cannot be told from an answer by looking at it.
 * sent  the request as an RTU frame */
bool frame_is_own_answer(const struct pdu_request *request, const uint8_t *sent, size_t sent_length);

/* A search for the answer, in bytes that become more. */
struct frame_search {
	const struct pdu_request *request; /* NULL: nothing was asked, nothing can be the answer */
	const uint8_t *sent;		   /* the request as it went out */
	size_t sent_length;
	bool takes_echo; /* the first copy of the request is an echo */

	/* What has been found. */
	size_t at;    /* all bytes before are counted */
	size_t more;  /* so many at least are missing until there can be an answer */
	bool begun;   /* something that may become the answer has begun */
	bool damaged; /* as long as the answer, with its head, and its CRC is wrong */
	bool foreign; /* of our unit and function, and not what was asked for */
	bool echoed;  /* the request came back */
	bool clean;   /* nothing else came before the answer or the echo */
	size_t noise; /* bytes of no frame */
	size_t stale; /* bytes of sound frames that answer something else */
	int stale_units[FRAME_STALE_MAX];
	int stale_count;
};

/* Go on with the first `length` bytes; the same ones as before and perhaps more.
 * cells  as pdu_match() says
 * Returns 0 or the exception 1..255, and then `at` is behind the answer; -EAGAIN if more is needed. */
int frame_search(struct frame_search *search, const uint8_t *bytes, size_t length, uint16_t *cells);

/* No more bytes come: count those that never became anything. */
void frame_search_end(struct frame_search *search, size_t length);

/* The answer on Modbus TCP, where a header says how long a frame is.
 * ret_more  so many bytes at least are missing, 0 if the frame is whole
 * Returns what pdu_match() does, -EBADMSG too for a wrong transaction, protocol or length; -EAGAIN if more is needed. */
int frame_match_mbap(const struct pdu_request *request, uint16_t transaction, const uint8_t *bytes, size_t length,
    uint16_t *cells, size_t *ret_more);

/* How long a frame on Modbus TCP says it is. */
size_t frame_length_mbap(const uint8_t *frame);

#endif
