/* Modbus protocol data units: requests as bytes, and replies held against the request they should answer.
 * Pure: any thread, no I/O. Source: MODBUS Application Protocol V1.1b3, chapter 6; the numbers in brackets
 * are its clauses.
 */
#ifndef FIELD_PDU_H
#define FIELD_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/settings.h"

#define PDU_MAX 253 /* [4.1] */

enum pdu_function {
	PDU_READ_COILS = 1,
	PDU_READ_DISCRETE = 2,
	PDU_READ_HOLDING = 3,
	PDU_READ_INPUT = 4,
	PDU_WRITE_COIL = 5,
	PDU_WRITE_REGISTER = 6,
	PDU_WRITE_COILS = 15,
	PDU_WRITE_REGISTERS = 16,
	PDU_MASK_WRITE_REGISTER = 22,
};

#define PDU_EXCEPTION_BIT 0x80

/* Exceptions that decide what we do. [7] */
enum pdu_exception {
	PDU_ILLEGAL_FUNCTION = 1,
	PDU_ILLEGAL_ADDRESS = 2,
	PDU_ILLEGAL_VALUE = 3,
	PDU_GATEWAY_NO_PATH = 10,   /* a gateway speaks, not the unit */
	PDU_GATEWAY_NO_ANSWER = 11, /* so does it here */
};

struct pdu_request {
	int unit;
	enum pdu_function function;
	int addr;
	int count;	       /* cells */
	const uint16_t *cells; /* writes: `count` of them, the caller's; coils as 0 or 1; function 22: the AND
				  mask and the OR mask of its one register */
	int64_t send_by_mono_us; /* it has no sense any more when it would go out later; 0: it has whenever that is */
};

/* The request that reads or writes `count` cells of `table`: a single cell is written with functions 5 and 6,
 * which even the plainest devices know. A table that cannot be written makes a request that pdu_build()
 * refuses. */
struct pdu_request pdu_read(enum point_table table, int unit, int addr, int count);
struct pdu_request pdu_write(enum point_table table, int unit, int addr, int count, const uint16_t *cells);

/* The same with functions 15 and 16, be it for one cell. */
struct pdu_request pdu_write_multiple(
    enum point_table table, int unit, int addr, int count, const uint16_t *cells);

/* Function 22: the unit makes its register (register AND masks[0]) OR (masks[1] AND NOT masks[0]). [6.16] */
struct pdu_request pdu_mask_write(int unit, int addr, const uint16_t masks[2]);

/* Does the exception come from a gateway, which speaks for a unit that did not answer? */
bool pdu_is_gateways(int exception);

bool pdu_writes(const struct pdu_request *request);

/* Write the request to `pdu`, which has room for PDU_MAX bytes. Returns its length; -EINVAL if the standard
 * does not know such a request (too many cells, past address 65535). */
int pdu_build(const struct pdu_request *request, uint8_t *pdu);

/* Length of the PDU that answers the request when nothing is wrong. */
size_t pdu_reply_length(const struct pdu_request *request);

/* Is this the answer to `request`? Every field is compared: unit, function, length, byte count, echoed
 * address, value and quantity. Padding bits are no field: some devices leave rubbish in them.
 * pdu    `length` bytes, as they came from a wire
 * cells  reads: request->count cells are written, and only on success; may be NULL for writes
 * Returns 0; the exception code 1..255 that the unit answered; -EBADMSG if this answers another request or
 * none. */
int pdu_match(
    const struct pdu_request *request, int unit, const uint8_t *pdu, size_t length, uint16_t *cells);

#endif
