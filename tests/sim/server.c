#include "sim/server.h"

#include <string.h>

enum shape { SHAPE_READ, SHAPE_WRITE_ONE, SHAPE_WRITE_MANY, SHAPE_MASK, SHAPE_READ_WRITE };

/* Quantities: V1.1b3, 6.1 to 6.17. */
static const struct function_row {
	uint8_t function;
	enum shape shape;
	enum table table;
	unsigned max; /* cells in one request */
} function_rows[] = {
	{ .function = 1, .shape = SHAPE_READ, .table = TABLE_COIL, .max = 2000 },
	{ .function = 2, .shape = SHAPE_READ, .table = TABLE_DISCRETE, .max = 2000 },
	{ .function = 3, .shape = SHAPE_READ, .table = TABLE_HOLDING, .max = 125 },
	{ .function = 4, .shape = SHAPE_READ, .table = TABLE_INPUT, .max = 125 },
	{ .function = 5, .shape = SHAPE_WRITE_ONE, .table = TABLE_COIL, .max = 1 },
	{ .function = 6, .shape = SHAPE_WRITE_ONE, .table = TABLE_HOLDING, .max = 1 },
	{ .function = 15, .shape = SHAPE_WRITE_MANY, .table = TABLE_COIL, .max = 1968 },
	{ .function = 16, .shape = SHAPE_WRITE_MANY, .table = TABLE_HOLDING, .max = 123 },
	{ .function = 22, .shape = SHAPE_MASK, .table = TABLE_HOLDING, .max = 1 },
	{ .function = 23, .shape = SHAPE_READ_WRITE, .table = TABLE_HOLDING, .max = 121 },
};

#define READ_WRITE_READ_MAX 125 /* function 23 may read more than it writes */

static const struct function_row *
function_find(uint8_t function)
{
	for (size_t i = 0; i < sizeof(function_rows) / sizeof(function_rows[0]); i++)
		if (function_rows[i].function == function)
			return &function_rows[i];
	return NULL;
}

static uint16_t
get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void
put16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

/* Bytes that `count` cells of a table take in a PDU. */
static unsigned
data_length(enum table table, unsigned count)
{
	return table_is_bits(table) ? (count + 7) / 8 : count * 2;
}

int
request_length(const uint8_t *pdu, size_t length)
{
	const struct function_row *row = length ? function_find(pdu[0]) : NULL;
	size_t fixed;

	if (!length)
		return 0;
	if (!row)
		return -1;
	switch (row->shape) {
	case SHAPE_READ:
	case SHAPE_WRITE_ONE:
		return 5;
	case SHAPE_MASK:
		return 7;
	case SHAPE_WRITE_MANY:
	case SHAPE_READ_WRITE:
		break;
	}
	fixed = row->shape == SHAPE_WRITE_MANY ? 6 : 10;
	return length < fixed ? 0 : (int)fixed + pdu[fixed - 1];
}

static bool
quantity_is_bad(unsigned count, unsigned max)
{
	return count < 1 || count > max;
}

static void
parse_write_many(const struct function_row *row, const uint8_t *pdu, struct request *request)
{
	request->addr = get16(pdu + 1);
	request->count = get16(pdu + 3);
	request->data = pdu + 6;
	if (quantity_is_bad(request->count, row->max) || pdu[5] != data_length(row->table, request->count))
		request->exception = EXCEPTION_VALUE;
}

static void
parse_read_write(const struct function_row *row, const uint8_t *pdu, struct request *request)
{
	request->read_addr = get16(pdu + 1);
	request->read_count = get16(pdu + 3);
	request->addr = get16(pdu + 5);
	request->count = get16(pdu + 7);
	request->data = pdu + 10;
	if (quantity_is_bad(request->read_count, READ_WRITE_READ_MAX) ||
	    quantity_is_bad(request->count, row->max) || pdu[9] != data_length(row->table, request->count))
		request->exception = EXCEPTION_VALUE;
}

static void
parse_simple(const struct function_row *row, const uint8_t *pdu, struct request *request)
{
	uint16_t operand = get16(pdu + 3);

	request->addr = get16(pdu + 1);
	request->count = 1;
	request->data = pdu + 3;
	if (row->shape == SHAPE_READ) {
		request->count = operand;
		request->data = NULL;
		request->read_addr = request->addr;
		request->read_count = operand;
		if (quantity_is_bad(operand, row->max))
			request->exception = EXCEPTION_VALUE;
	}
	if (row->function == 5 && operand != 0x0000 && operand != 0xff00)
		request->exception = EXCEPTION_VALUE;
}

void
request_parse(const uint8_t *pdu, size_t length, struct request *ret_request)
{
	const struct function_row *row = function_find(pdu[0]);

	*ret_request = (struct request){ .function = pdu[0] };
	if (!row) {
		ret_request->exception = EXCEPTION_FUNCTION;
		return;
	}
	ret_request->table = row->table;
	ret_request->reads = row->shape == SHAPE_READ || row->shape == SHAPE_READ_WRITE;
	ret_request->writes = row->shape != SHAPE_READ;
	if (request_length(pdu, length) != (int)length) {
		/* V1.1b3, 7: exception 3 also stands for an implied length that is incorrect. */
		ret_request->exception = EXCEPTION_VALUE;
		return;
	}
	ret_request->addressed = true;
	if (row->shape == SHAPE_WRITE_MANY)
		parse_write_many(row, pdu, ret_request);
	else if (row->shape == SHAPE_READ_WRITE)
		parse_read_write(row, pdu, ret_request);
	else
		parse_simple(row, pdu, ret_request);
	/* A count that contradicts its byte count is not to be believed: there are not that many values. */
	if (ret_request->exception)
		ret_request->data = NULL;
}

unsigned
request_value_count(const struct request *request)
{
	if (!request->writes || !request->data)
		return 0;
	return request->function == 22 ? 2 : request->count;
}

uint16_t
request_value(const struct request *request, unsigned i)
{
	if (request->function == 5)
		return request->data[0] != 0;
	if (table_is_bits(request->table))
		return request->data[i / 8] >> (i % 8) & 1;
	return get16(request->data + 2 * i);
}

size_t
request_data_length(const struct request *request)
{
	unsigned values = request_value_count(request);

	return request->function == 5 ? 2 * values : data_length(request->table, values);
}

size_t
server_exception(uint8_t function, uint8_t exception, uint8_t *reply)
{
	reply[0] = function | 0x80;
	reply[1] = exception;
	return 2;
}

static uint8_t
check_cells(const struct unit *unit, enum table table, unsigned addr, unsigned count, bool write)
{
	unsigned limit = table_is_bits(table) ? unit->max_bits : unit->max_registers;

	if (limit && count > limit)
		return unit->limit_exception;
	if (!unit_has(unit, addr, count))
		return EXCEPTION_ADDRESS;
	for (unsigned i = addr; i < addr + count; i++) {
		const struct cell *cell = &unit->cells[table][i];
		if (cell->illegal)
			return cell->illegal;
		if (write && cell->readonly)
			return cell->readonly;
	}
	return EXCEPTION_NONE;
}

static uint8_t
check_request(const struct unit *unit, const struct request *request)
{
	uint8_t exception = request->exception;

	if (!exception && request->reads)
		exception = check_cells(unit, request->table, request->read_addr, request->read_count, false);
	if (!exception && request->writes)
		exception = check_cells(unit, request->table, request->addr, request->count, true);
	return exception;
}

static void
execute_write(struct unit *unit, const struct request *request, int64_t now_us)
{
	if (request->function == 22) {
		uint16_t now = unit_peek(unit, request->table, request->addr, now_us);
		uint16_t and_mask = request_value(request, 0);
		uint16_t or_mask = request_value(request, 1);
		uint16_t value = (uint16_t)((now & and_mask) | (or_mask & ~and_mask));
		unit_write(unit, request->table, request->addr, value, now_us);
		return;
	}
	for (unsigned i = 0; i < request->count; i++)
		unit_write(unit, request->table, request->addr + i, request_value(request, i), now_us);
}

static size_t
execute_read(struct unit *unit, const struct request *request, int64_t now_us, uint8_t *reply)
{
	unsigned length = data_length(request->table, request->read_count);

	reply[1] = (uint8_t)length;
	memset(reply + 2, 0, length);
	for (unsigned i = 0; i < request->read_count; i++) {
		uint16_t value = unit_read(unit, request->table, request->read_addr + i, now_us);
		if (!table_is_bits(request->table))
			put16(reply + 2 + 2 * i, value);
		else if (value)
			reply[2 + i / 8] = (uint8_t)(reply[2 + i / 8] | 1 << (i % 8));
	}
	return 2 + length;
}

size_t
server_serve(struct unit *unit, struct request *request, int64_t now_us, uint8_t *reply)
{
	request->exception = check_request(unit, request);
	if (request->exception)
		return server_exception(request->function, request->exception, reply);
	reply[0] = request->function;
	if (request->writes)
		execute_write(unit, request, now_us); /* function 23 writes before it reads: V1.1b3, 6.17 */
	if (request->reads)
		return execute_read(unit, request, now_us, reply);
	put16(reply + 1, request->addr);
	if (request->function == 15 || request->function == 16) {
		put16(reply + 3, request->count);
		return 5;
	}
	memcpy(reply + 3, request->data, request->function == 22 ? 4 : 2);
	return request->function == 22 ? 7 : 5;
}
