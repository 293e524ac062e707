#include "field/pdu.h"

#include <errno.h>
#include <string.h>

#define COIL_ON	    0xff00 /* [6.5] */
#define ADDRESS_END 65536

/* A row of the functions that we speak. */
struct function {
	enum pdu_function function;
	bool bits;
	bool writes;
	bool single; /* one cell, its value where others have the quantity */
	bool masks;  /* one cell, its AND mask where others have the quantity, then its OR mask */
	int max;     /* cells */
};

static const struct function functions[] = {
	{ .function = PDU_READ_COILS, .bits = true, .max = MODBUS_MAX_READ_BITS },
	{ .function = PDU_READ_DISCRETE, .bits = true, .max = MODBUS_MAX_READ_BITS },
	{ .function = PDU_READ_HOLDING, .max = MODBUS_MAX_READ_REGISTERS },
	{ .function = PDU_READ_INPUT, .max = MODBUS_MAX_READ_REGISTERS },
	{ .function = PDU_WRITE_COIL, .bits = true, .writes = true, .single = true, .max = 1 },
	{ .function = PDU_WRITE_REGISTER, .writes = true, .single = true, .max = 1 },
	{ .function = PDU_WRITE_COILS, .bits = true, .writes = true, .max = MODBUS_MAX_WRITE_BITS },
	{ .function = PDU_WRITE_REGISTERS, .writes = true, .max = MODBUS_MAX_WRITE_REGISTERS },
	{ .function = PDU_MASK_WRITE_REGISTER, .writes = true, .masks = true, .max = 1 },
};

#define FUNCTION_COUNT (sizeof(functions) / sizeof(functions[0]))

static const struct function *
function_find(enum pdu_function function)
{
	for (size_t i = 0; i < FUNCTION_COUNT; i++)
		if (functions[i].function == function)
			return &functions[i];
	return NULL;
}

static void
put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static unsigned
get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static int
data_bytes(const struct function *row, int count)
{
	return row->bits ? (count + 7) / 8 : count * 2;
}

static void
put_cells(const struct function *row, const uint16_t *cells, int count, uint8_t *at)
{
	memset(at, 0, (size_t)data_bytes(row, count));
	for (int i = 0; i < count; i++)
		if (!row->bits)
			put16(at + 2 * i, cells[i]);
		else if (cells[i])
			at[i / 8] |= (uint8_t)(1u << (i % 8));
}

static void
get_cells(const struct function *row, const uint8_t *at, int count, uint16_t *cells)
{
	for (int i = 0; i < count; i++)
		cells[i] = (uint16_t)(row->bits ? (unsigned)at[i / 8] >> (i % 8) & 1u : get16(at + 2 * i));
}

/* What follows the address: the quantity, or what some functions have in its place. */
static unsigned
second_field(const struct function *row, const struct pdu_request *request)
{
	if (row->single && row->bits)
		return request->cells[0] ? COIL_ON : 0;
	return row->single || row->masks ? request->cells[0] : (unsigned)request->count;
}

struct pdu_request
pdu_read(enum point_table table, int unit, int addr, int count)
{
	static const enum pdu_function of_table[] = {
		[TABLE_COIL] = PDU_READ_COILS,
		[TABLE_DISCRETE] = PDU_READ_DISCRETE,
		[TABLE_INPUT] = PDU_READ_INPUT,
		[TABLE_HOLDING] = PDU_READ_HOLDING,
	};

	return (
	    struct pdu_request){ .unit = unit, .function = of_table[table], .addr = addr, .count = count };
}

struct pdu_request
pdu_write(enum point_table table, int unit, int addr, int count, const uint16_t *cells)
{
	struct pdu_request request = { .unit = unit, .addr = addr, .count = count, .cells = cells };

	if (table == TABLE_COIL)
		request.function = count == 1 ? PDU_WRITE_COIL : PDU_WRITE_COILS;
	else if (table == TABLE_HOLDING)
		request.function = count == 1 ? PDU_WRITE_REGISTER : PDU_WRITE_REGISTERS;
	return request;
}

struct pdu_request
pdu_write_multiple(enum point_table table, int unit, int addr, int count, const uint16_t *cells)
{
	struct pdu_request request = pdu_write(table, unit, addr, count, cells);

	if (request.function == PDU_WRITE_COIL)
		request.function = PDU_WRITE_COILS;
	else if (request.function == PDU_WRITE_REGISTER)
		request.function = PDU_WRITE_REGISTERS;
	return request;
}

struct pdu_request
pdu_mask_write(int unit, int addr, const uint16_t masks[2])
{
	return (struct pdu_request){
		.unit = unit, .function = PDU_MASK_WRITE_REGISTER, .addr = addr, .count = 1, .cells = masks
	};
}

bool
pdu_is_gateways(int exception)
{
	return exception == PDU_GATEWAY_NO_PATH || exception == PDU_GATEWAY_NO_ANSWER;
}

bool
pdu_writes(const struct pdu_request *request)
{
	const struct function *row = function_find(request->function);

	return row && row->writes;
}

int
pdu_build(const struct pdu_request *request, uint8_t *pdu)
{
	const struct function *row = function_find(request->function);
	int bytes;

	if (!row || request->count < 1 || request->count > row->max || request->addr < 0 ||
	    request->addr + request->count > ADDRESS_END || (row->writes && !request->cells))
		return -EINVAL;
	pdu[0] = (uint8_t)request->function;
	put16(pdu + 1, (unsigned)request->addr);
	put16(pdu + 3, second_field(row, request));
	if (!row->writes || row->single)
		return 5;
	if (row->masks) {
		put16(pdu + 5, request->cells[1]);
		return 7;
	}
	bytes = data_bytes(row, request->count);
	pdu[5] = (uint8_t)bytes;
	put_cells(row, request->cells, request->count, pdu + 6);
	return 6 + bytes;
}

size_t
pdu_reply_length(const struct pdu_request *request)
{
	const struct function *row = function_find(request->function);

	if (!row || row->writes)
		return row && row->masks ? 7 : 5;
	return 2 + (size_t)data_bytes(row, request->count);
}

static bool
echo_matches(const struct function *row, const struct pdu_request *request, const uint8_t *pdu)
{
	return get16(pdu + 1) == (unsigned)request->addr && get16(pdu + 3) == second_field(row, request) &&
	       (!row->masks || get16(pdu + 5) == request->cells[1]);
}

int
pdu_match(const struct pdu_request *request, int unit, const uint8_t *pdu, size_t length, uint16_t *cells)
{
	const struct function *row = function_find(request->function);

	if (!row || unit != request->unit || length < 2)
		return -EBADMSG;
	if (pdu[0] == ((unsigned)request->function | PDU_EXCEPTION_BIT))
		return length == 2 && pdu[1] != 0 ? pdu[1] : -EBADMSG;
	if (pdu[0] != (unsigned)request->function || length != pdu_reply_length(request))
		return -EBADMSG;
	if (row->writes)
		return echo_matches(row, request, pdu) ? 0 : -EBADMSG;
	if (pdu[1] != data_bytes(row, request->count))
		return -EBADMSG;
	get_cells(row, pdu + 2, request->count, cells);
	return 0;
}
