/* A Modbus server without a wire: request PDU in, reply PDU out. Pure, time is passed in.
 *
 * Source: Modbus Application Protocol V1.1b3, chapters 6 and 7. Functions 1-6, 15, 16, 22, 23.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "sim/registers.h"

#define PDU_MAX 253 /* V1.1b3, 4.1: 256 bytes of an RS-485 frame less address and CRC */

enum exception {
	EXCEPTION_NONE = 0,
	EXCEPTION_FUNCTION = 1,
	EXCEPTION_ADDRESS = 2,
	EXCEPTION_VALUE = 3,
	EXCEPTION_GATEWAY_TARGET = 11
};

/* What a request asks for. `data` points into the PDU it was read from. */
struct request {
	uint8_t function;
	uint8_t exception; /* what is wrong with it whatever unit it goes to; later: what the unit answered */
	bool reads;
	bool writes;
	bool addressed; /* addr and count mean something */
	enum table table;
	uint16_t addr; /* function 23: of what is written */
	uint16_t count;
	uint16_t read_addr; /* of what is read; only differs with function 23 */
	uint16_t read_count;
	const uint8_t
	    *data; /* values to write in wire form (function 22: the two masks), NULL if there are none */
};

/* Read a PDU of 1..PDU_MAX bytes, of any content. */
void request_parse(const uint8_t *pdu, size_t length, struct request *ret_request);

/* How many values a request carries (0 for a read; 2 masks for function 22), and the i-th of them. */
unsigned request_value_count(const struct request *request);
uint16_t request_value(const struct request *request, unsigned i);

/* Bytes at request->data. */
size_t request_data_length(const struct request *request);

/* Execute `request` on `unit` and write the reply. request->exception is set to what was answered.
 * reply  room for PDU_MAX bytes
 * Returns the length of the reply. */
size_t server_serve(struct unit *unit, struct request *request, int64_t now_us, uint8_t *reply);

/* Write an exception reply; returns its length. */
size_t server_exception(uint8_t function, uint8_t exception, uint8_t *reply);

/* The length of the request PDU that begins with these bytes, by its function code.
 * Returns 0 if more bytes are needed to know, negative for a function whose requests have no known length. */
int request_length(const uint8_t *pdu, size_t length);

#endif
