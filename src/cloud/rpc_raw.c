#include "cloud/rpc_raw.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/rpc.h"
#include "model/codec.h"

#define READ_METHOD  "modbus_read"
#define WRITE_METHOD "modbus_write"

#define NOT_GIVEN (-1)
#define WORD_MAX  64 /* of the text of parameters */

/* The members of params, or the parts of the text. */
struct request {
	const struct device *device;
	char *error;
	bool wrong;
	bool write;
	int table; /* NOT_GIVEN, or as the settings have them */
	int64_t addr;
	int64_t count;
	int64_t unit;
	int type;
	int order;
	enum point_write_function function;
	struct value value;
};

static void __attribute__((format(printf, 2, 3))) fault(struct request *request, const char *format, ...)
{
	va_list args;

	if (request->wrong)
		return;
	request->wrong = true;
	va_start(args, format);
	vsnprintf(request->error, RPC_TEXT_MAX, format, args);
	va_end(args);
}

static struct request
request_of(const struct device *device, bool write, char *error)
{
	return (struct request){
		.device = device,
		.error = error,
		.write = write,
		.table = NOT_GIVEN,
		.addr = NOT_GIVEN,
		.count = NOT_GIVEN,
		.unit = NOT_GIVEN,
		.type = NOT_GIVEN,
		.order = ORDER_ABCD,
	};
}

/* ---- what is asked for ---- */

/* Does a point of the device live there? */
static bool
is_own(const struct device *device, const struct bus *bus, int64_t unit)
{
	for (size_t i = 0; i < device->point_count; i++)
		if (device->points[i].bus == bus && device->points[i].unit == unit)
			return true;
	return false;
}

/* The bus and the unit: the device's, or those of its first point; another unit that a point of it has. */
static void
place(struct request *request, struct point *point)
{
	const struct device *device = request->device;
	const struct point *first = &device->points[0];

	point->bus = device->bus ? device->bus : first->bus;
	if (bus_is_line(point->bus)) {
		fault(request, "bus %s: Modbus is not spoken there", point->bus->name);
		return;
	}
	if (request->unit != NOT_GIVEN && !is_own(device, point->bus, request->unit)) {
		fault(request, "unit %lld: no point of the device is there", (long long)request->unit);
		return;
	}
	point->unit = request->unit != NOT_GIVEN		 ? (int)request->unit
		      : is_own(device, point->bus, device->unit) ? device->unit
								 : first->unit;
	if (!is_own(device, point->bus, point->unit))
		fault(request, "no point of the device is on bus %s", point->bus->name);
}

/* Registers of one value, 0 if that is open. */
static int
registers_of(const struct request *request)
{
	return point_table_has_bits((enum point_table)request->table)
		   ? 1
		   : codec_type((enum point_type)request->type)->registers;
}

/* As many cells as asked for, by default those of one value: several values are a list. */
static void
extend(struct request *request, struct point *point)
{
	int registers = registers_of(request);
	const char *what = point_table_has_bits(point->table) ? "coils or inputs" : "registers";
	int64_t count = request->count;

	if (count == NOT_GIVEN) {
		count = registers;
		if (registers == 0)
			fault(
			    request, "count is missing, which type %s needs", codec_type(point->type)->name);
	} else if (count < 1 || count > RPC_RAW_CELLS_MAX) {
		fault(request, "count %lld is out of range, allowed are 1..%d", (long long)count,
		    RPC_RAW_CELLS_MAX);
	} else if (registers > 0 && count % registers != 0) {
		fault(request, "count %lld is no multiple of %d, the %s of type %s", (long long)count,
		    registers, what, codec_type(point->type)->name);
	}
	if (request->wrong)
		return;
	point->count = (int)count;
	point->array = registers > 0 && count > registers ? (int)count / registers : 0;
	if (point->addr + point->count > 65536)
		fault(request, "%d %s from %d on end beyond 65535", point->count, what, point->addr);
	if (request->write && point->count > MODBUS_MAX_WRITE_REGISTERS &&
	    !point_table_has_bits(point->table))
		fault(request, "count %d is out of range, allowed are 1..%d in a write", point->count,
		    MODBUS_MAX_WRITE_REGISTERS);
}

static void
check_needs(struct request *request)
{
	if (request->table == NOT_GIVEN)
		fault(request, "table is missing, one of coil, discrete, input, holding");
	else if (request->addr == NOT_GIVEN)
		fault(request, "addr is missing");
	else if (request->addr < 0 || request->addr > 65535)
		fault(request, "addr %lld is out of range, allowed are 0..65535", (long long)request->addr);
	else if (request->write && !point_table_writable((enum point_table)request->table))
		fault(request, "table %s cannot be written",
		    point_table_name((enum point_table)request->table));
	else if (request->write && request->value.kind == VALUE_NONE)
		fault(request, "the value is missing");
	else if (request->type == NOT_GIVEN)
		request->type =
		    point_table_has_bits((enum point_table)request->table) ? TYPE_BOOL : TYPE_UINT16;
	else if (point_table_has_bits((enum point_table)request->table) && request->type != TYPE_BOOL)
		fault(request, "table %s has no other type than bool",
		    point_table_name((enum point_table)request->table));
}

/* Make the point. */
static int
conclude(struct request *request, struct rpc_raw *ret)
{
	struct point *point = &ret->point;

	if (!request->wrong)
		check_needs(request);
	*ret = (struct rpc_raw){ .write = request->write };
	if (!request->wrong) {
		*point = (struct point){
			.device = request->device,
			.index = POINT_AD_HOC,
			.key = request->write ? WRITE_METHOD : READ_METHOD,
			.table = (enum point_table)request->table,
			.addr = (int)request->addr,
			.type = (enum point_type)request->type,
			.order = (enum point_order)request->order,
			.bit = POINT_NO_BIT,
			.scale = 1,
			.decimals = codec_default_decimals((enum point_type)request->type, 1, 0),
			.writable = request->write,
			.write = request->function,
		};
		place(request, point);
		extend(request, point);
	}
	if (request->wrong) {
		value_done(&request->value);
		return -EINVAL;
	}
	ret->value = request->value;
	return 0;
}

/* ---- modbus_read and modbus_write ---- */

static void
take_whole(struct request *request, const char *name, const struct tb_json *json, int64_t *ret)
{
	struct value value;

	if (tb_json_scalar(json, &value) < 0) {
		fault(request, "%s must be a whole number", name);
		return;
	}
	if (value.kind == VALUE_INT && value.integer >= 0)
		*ret = value.integer;
	else
		fault(request, "%s must be a whole number", name);
	value_done(&value);
}

static void
take_table(struct request *request, const char *text)
{
	for (int i = 0; i <= TABLE_HOLDING && request->table == NOT_GIVEN; i++)
		if (strcmp(point_table_name((enum point_table)i), text) == 0)
			request->table = i;
	if (request->table == NOT_GIVEN)
		fault(request, "table must be one of coil, discrete, input, holding");
}

static void
take_type(struct request *request, const char *text)
{
	const struct codec_type *type = codec_type_find(text);

	if (type)
		request->type = (int)type->type;
	else
		fault(request, "type must be one of those of gateway.conf(5)");
}

static void
take_order(struct request *request, const char *text)
{
	for (int i = 0; i < ORDERS; i++)
		if (strcmp(point_order_name((enum point_order)i), text) == 0) {
			request->order = i;
			return;
		}
	fault(request, "order must be one of ABCD, CDAB, BADC, DCBA, CDABGHEF, EFGHABCD");
}

static void
take_member(void *ctx, const char *key, const struct tb_json *member)
{
	struct request *request = ctx;
	const char *text = tb_json_text(member);

	if (strcmp(key, "addr") == 0)
		take_whole(request, key, member, &request->addr);
	else if (strcmp(key, "count") == 0)
		take_whole(request, key, member, &request->count);
	else if (strcmp(key, "unit") == 0)
		take_whole(request, key, member, &request->unit);
	else if (strcmp(key, "table") == 0)
		take_table(request, text ? text : "");
	else if (strcmp(key, "type") == 0)
		take_type(request, text ? text : "");
	else if (strcmp(key, "order") == 0)
		take_order(request, text ? text : "");
	else if (strcmp(key, "value") != 0 || !request->write)
		fault(request,
		    "'%.*s' is no parameter of it (known: table, addr, count, type, order, unit%s)", WORD_MAX,
		    key, request->write ? ", value" : "");
	else if (request->value.kind == VALUE_NONE && tb_json_scalar(member, &request->value) < 0)
		fault(request,
		    "the value is neither a number nor a text nor true or false, nor a list of such");
}

static int
parse_members(
    const struct device *device, bool write, const struct tb_json *params, struct rpc_raw *ret, char *error)
{
	struct request request = request_of(device, write, error);

	if (tb_json_members(params, take_member, &request) < 0)
		fault(&request, "params must be an object with the members table and addr");
	return conclude(&request, ret);
}

/* ---- the text of parameters: type=16int;functionCode=6;objectsCount=1;address=10;value=5; ---- */

/* What a type without a size is depends on objectsCount. */
static const struct {
	const char *name;
	int type;
	int type_of_2; /* with two registers; 0 = the same */
	int type_of_4;
} types[] = {
	{ .name = "bit", .type = TYPE_BOOL },
	{ .name = "bits", .type = TYPE_BOOL },
	{ .name = "8int", .type = TYPE_INT8 },
	{ .name = "8uint", .type = TYPE_UINT8 },
	{ .name = "16int", .type = TYPE_INT16 },
	{ .name = "16uint", .type = TYPE_UINT16 },
	{ .name = "16float", .type = TYPE_FLOAT16 },
	{ .name = "32int", .type = TYPE_INT32 },
	{ .name = "32uint", .type = TYPE_UINT32 },
	{ .name = "32float", .type = TYPE_FLOAT32 },
	{ .name = "64int", .type = TYPE_INT64 },
	{ .name = "64uint", .type = TYPE_UINT64 },
	{ .name = "64float", .type = TYPE_FLOAT64 },
	{ .name = "string", .type = TYPE_STRING },
	{ .name = "bytes", .type = TYPE_BYTES },
	{ .name = "int", .type = TYPE_INT16, .type_of_2 = TYPE_INT32, .type_of_4 = TYPE_INT64 },
	{ .name = "integer", .type = TYPE_INT16, .type_of_2 = TYPE_INT32, .type_of_4 = TYPE_INT64 },
	{ .name = "long", .type = TYPE_INT16, .type_of_2 = TYPE_INT32, .type_of_4 = TYPE_INT64 },
	{ .name = "uint", .type = TYPE_UINT16, .type_of_2 = TYPE_UINT32, .type_of_4 = TYPE_UINT64 },
	{ .name = "float", .type = TYPE_FLOAT16, .type_of_2 = TYPE_FLOAT32, .type_of_4 = TYPE_FLOAT64 },
	{ .name = "double", .type = TYPE_FLOAT16, .type_of_2 = TYPE_FLOAT32, .type_of_4 = TYPE_FLOAT64 },
};

static const struct {
	int code;
	bool write;
	enum point_table table;
	enum point_write_function function;
} functions[] = {
	{ .code = 1, .table = TABLE_COIL },
	{ .code = 2, .table = TABLE_DISCRETE },
	{ .code = 3, .table = TABLE_HOLDING },
	{ .code = 4, .table = TABLE_INPUT },
	{ .code = 5, .write = true, .table = TABLE_COIL, .function = WRITE_SINGLE },
	{ .code = 6, .write = true, .table = TABLE_HOLDING, .function = WRITE_SINGLE },
	{ .code = 15, .write = true, .table = TABLE_COIL, .function = WRITE_MULTIPLE },
	{ .code = 16, .write = true, .table = TABLE_HOLDING, .function = WRITE_MULTIPLE },
};

/* The texts of the parts; those that are not there are empty. */
struct parts {
	char type[WORD_MAX];
	char function[WORD_MAX];
	char count[WORD_MAX];
	char addr[WORD_MAX];
	char order[WORD_MAX];
	const char *value; /* up to its end */
	size_t value_length;
};

static int64_t
number_of(struct request *request, const char *name, const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (text[0] >= '0' && text[0] <= '9' && *end == '\0')
		return number;
	fault(request, "%s must be a whole number", name);
	return NOT_GIVEN;
}

/* The value comes last, behind "value=" or a blank, and may hold anything; a semicolon may end it. */
static size_t
cut_value(const char *text, struct parts *parts)
{
	const char *mark = strstr(text, "value=");
	const char *blank = strchr(text, ' ');
	size_t end = strlen(text);

	if (mark && (mark == text || mark[-1] == ';' || mark[-1] == ' ')) {
		parts->value = mark + strlen("value=");
		end = (size_t)(mark - text);
	} else if (blank) {
		parts->value = blank + 1;
		end = (size_t)(blank - text);
	} else {
		return end;
	}
	parts->value_length = strlen(parts->value);
	if (parts->value_length > 0 && parts->value[parts->value_length - 1] == ';')
		parts->value_length--;
	return end;
}

static void
cut_parts(struct request *request, const char *text, struct parts *parts)
{
	const struct {
		const char *name;
		char *word;
	} known[] = {
		{ .name = "type=", .word = parts->type },
		{ .name = "functionCode=", .word = parts->function },
		{ .name = "objectsCount=", .word = parts->count },
		{ .name = "address=", .word = parts->addr },
		{ .name = "order=", .word = parts->order },
	};
	const char *end = text + cut_value(text, parts);

	for (size_t length; text < end && !request->wrong; text += length + 1) {
		size_t i = 0;

		length = strcspn(text, "; ");
		while (i < sizeof(known) / sizeof(known[0]) &&
		       strncmp(text, known[i].name, strlen(known[i].name)) != 0)
			i++;
		if (length == 0)
			continue;
		if (i == sizeof(known) / sizeof(known[0]) || length >= WORD_MAX)
			fault(request,
			    "'%.*s' is no parameter of it (known: type, functionCode, objectsCount, "
			    "address, order, value)",
			    (int)(length < WORD_MAX ? length : WORD_MAX), text);
		else
			snprintf(known[i].word, WORD_MAX, "%.*s", (int)(length - strlen(known[i].name)),
			    text + strlen(known[i].name));
	}
}

static void
take_function(struct request *request, int64_t code)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (functions[i].code == code && functions[i].write == request->write) {
			request->table = (int)functions[i].table;
			request->function = functions[i].function;
			return;
		}
	fault(request, "functionCode must be one of %s", request->write ? "5, 6, 15, 16" : "1, 2, 3, 4");
}

static void
take_sized_type(struct request *request, const char *name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].name, name) != 0)
			continue;
		request->type = types[i].type;
		if (types[i].type_of_2 && request->count == 2)
			request->type = types[i].type_of_2;
		if (types[i].type_of_4 && request->count == 4)
			request->type = types[i].type_of_4;
		return;
	}
	fault(request,
	    "type must be one of bits, string, bytes, 8int, 8uint, 16int, 16uint, 16float and so on");
}

/* A number, true or false if it reads as one, else a text. */
static void
take_text_value(struct request *request, const char *text, size_t length)
{
	struct tb_json *json = tb_json_parse(text, length);
	int result = json ? tb_json_scalar(json, &request->value) : -EINVAL;
	char *copy;

	tb_json_free(json);
	if (result == 0)
		return;
	copy = strndup(text, length);
	if (copy)
		request->value = (struct value){ .kind = VALUE_TEXT, .text = copy };
	else
		fault(request, "out of memory");
}

static int
parse_text(const struct device *device, bool write, const char *text, struct rpc_raw *ret, char *error)
{
	struct request request = request_of(device, write, error);
	struct parts parts = { .value = NULL };

	cut_parts(&request, text, &parts);
	if (!request.wrong)
		take_function(&request, number_of(&request, "functionCode", parts.function));
	if (!request.wrong)
		request.addr = number_of(&request, "address", parts.addr);
	if (!request.wrong && parts.count[0] != '\0')
		request.count = number_of(&request, "objectsCount", parts.count);
	/* A coil is a coil, whatever the text calls it. */
	if (!request.wrong && parts.type[0] != '\0' && !point_table_has_bits((enum point_table)request.table))
		take_sized_type(&request, parts.type);
	if (!request.wrong && parts.order[0] != '\0')
		take_order(&request, parts.order);
	if (!request.wrong && write && parts.value)
		take_text_value(&request, parts.value, parts.value_length);
	return conclude(&request, ret); /* NOLINT(clang-analyzer-unix.Malloc): the value is the caller's then */
}

/* ---- */

static bool
is_text_form(const char *method, const struct tb_json *params)
{
	const char *text = tb_json_text(params);

	return text && strstr(text, "functionCode=") &&
	       (strcmp(method, "get") == 0 || strcmp(method, "set") == 0);
}

bool
rpc_raw_is(const char *method, const struct tb_json *params)
{
	return strcmp(method, READ_METHOD) == 0 || strcmp(method, WRITE_METHOD) == 0 ||
	       is_text_form(method, params);
}

int
rpc_raw_parse(const struct device *device, const char *method, const struct tb_json *params,
    struct rpc_raw *ret, char *error)
{
	if (!device->raw_rpc) {
		snprintf(error, RPC_TEXT_MAX, "the device takes no requests by address: raw_rpc is not set");
		return -EINVAL;
	}
	if (is_text_form(method, params))
		return parse_text(device, strcmp(method, "set") == 0, tb_json_text(params), ret, error);
	return parse_members(device, strcmp(method, WRITE_METHOD) == 0, params, ret, error);
}
