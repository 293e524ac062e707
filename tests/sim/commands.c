#include "sim/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/rtu.h"
#include "sim/tcp.h"

#define BABBLE_PERIOD_US 2000
#define BABBLE_BAUD	 9600 /* of a line without pace, and of a socket */
#define MS_MAX		 86400000.0

/* One command on its way: what it says, where it applies, and what came of it. */
struct call {
	struct sim *sim;
	struct json_object *command;
	struct place *place;
	struct bus *bus;
	struct unit *unit; /* NULL if the bus has no such unit */
	unsigned address;
	struct json_object *result;
	char error[128];
};

/* A number of the command, which must lie in min..max; a second error does not replace the first. */
static double
call_real(struct call *call, const char *name, double absent, double min, double max)
{
	double value = control_number(call->command, name, absent);

	if (value >= min && value <= max)
		return value;
	if (!call->error[0])
		snprintf(call->error, sizeof(call->error), "%s: out of range %.15g..%.15g", name, min, max);
	return min;
}

static long
call_int(struct call *call, const char *name, double absent, double min, double max)
{
	return (long)call_real(call, name, absent, min, max);
}

static int64_t
call_us(struct call *call, const char *name, double absent_ms)
{
	return (int64_t)(call_real(call, name, absent_ms, 0.0, MS_MAX) * 1000.0);
}

static void
call_fail(struct call *call, const char *error)
{
	if (!call->error[0])
		snprintf(call->error, sizeof(call->error), "%s", error);
}

static void
call_errno(struct call *call, int error)
{
	if (error)
		call_fail(call, strerror(-error));
}

static void
call_result(struct call *call, const char *name, struct json_object *value)
{
	if (!call->result)
		call->result = json_object_new_object();
	json_object_object_add(call->result, name, value);
}

static enum table
call_table(struct call *call)
{
	int table = table_parse(control_string(call->command, "table", "holding"));

	if (table < 0)
		call_fail(call, "table: not coil, discrete, input or holding");
	return table < 0 ? TABLE_HOLDING : (enum table)table;
}

/* "addr" and "count" (or the number of values) inside the unit. */
static unsigned
call_range(struct call *call, long count, unsigned *ret_count)
{
	long addr = call_int(call, "addr", 0, 0, 65535);

	*ret_count = (unsigned)count;
	if (!unit_has(call->unit, (unsigned)addr, (unsigned)count)) {
		call_fail(call, "addr: beyond the unit's cells");
		*ret_count = 0;
	}
	return (unsigned)addr;
}

int
sim_unit(struct bus *bus, unsigned address, unsigned size)
{
	struct unit *unit = unit_new((uint8_t)address, size);

	if (!unit)
		return -ENOMEM;
	unit_free(bus->units[address]);
	bus->units[address] = unit;
	return 0;
}

static void
do_unit(struct call *call)
{
	long size = call_int(call, "size", UNIT_CELLS_DEFAULT, 1, UNIT_CELLS_MAX);

	if (!call->error[0])
		call_errno(call, sim_unit(call->bus, call->address, (unsigned)size));
}

static void
do_unit_remove(struct call *call)
{
	unit_free(call->unit);
	call->bus->units[call->address] = NULL;
}

static void
do_gateway_exceptions(struct call *call)
{
	call->bus->gateway_us = call_us(call, "ms", 0);
	call->bus->gateway_exceptions = control_bool(call->command, "on", true);
}

static void
do_set(struct call *call)
{
	enum table table = call_table(call);
	int64_t now_us = clock_mono_us();
	struct json_object *values;
	unsigned count;
	unsigned addr;

	if (!json_object_object_get_ex(call->command, "values", &values) ||
	    !json_object_is_type(values, json_type_array)) {
		call_fail(call, "values: not an array");
		return;
	}
	addr = call_range(call, (long)json_object_array_length(values), &count);
	for (unsigned i = 0; i < count; i++) {
		double value = json_object_get_double(json_object_array_get_idx(values, i));
		if (!(value >= -32768.0 && value <= 65535.0))
			call_fail(call, "values: out of range -32768..65535");
	}
	for (unsigned i = 0; i < count && !call->error[0]; i++) {
		double value = json_object_get_double(json_object_array_get_idx(values, i));
		unit_write(call->unit, table, addr + i, (uint16_t)(int32_t)value, now_us);
	}
}

static void
do_get(struct call *call)
{
	enum table table = call_table(call);
	int64_t now_us = clock_mono_us();
	struct json_object *values = json_object_new_array();
	unsigned count;
	unsigned addr = call_range(call, call_int(call, "count", 1, 1, UNIT_CELLS_MAX), &count);

	for (unsigned i = 0; i < count; i++)
		json_object_array_add(
		    values, json_object_new_int(unit_peek(call->unit, table, addr + i, now_us)));
	call_result(call, "values", values);
}

static double
motion_high(enum motion_kind kind)
{
	switch (kind) {
	case MOTION_COUNTER32:
		return 4294967295.0;
	case MOTION_TOGGLE:
		return 1.0;
	case MOTION_RAMP:
	case MOTION_SINE:
	case MOTION_FLOAT_SINE:
		return 100.0;
	default:
		return 65535.0;
	}
}

static void
do_move(struct call *call)
{
	int kind = motion_parse(control_string(call->command, "kind", NULL));
	int64_t now_us = clock_mono_us();
	struct motion motion = { .start_us = now_us };
	bool counts = kind == MOTION_COUNTER || kind == MOTION_COUNTER32;
	double limit = kind == MOTION_FLOAT_SINE ? 1e30 : kind == MOTION_COUNTER32 ? 4294967295.0 : 65535.0;

	if (kind < 0) {
		call_fail(call, "kind: unknown");
		return;
	}
	motion.kind = (enum motion_kind)kind;
	motion.table = call_table(call);
	motion.addr = (uint16_t)call_int(call, "addr", 0, 0, 65535);
	motion.period_us = (int64_t)(call_real(call, "period_ms", 1000.0, 0.001, MS_MAX) * 1000.0);
	motion.low = call_real(call, "low", 0.0, -limit, limit);
	motion.high = call_real(call, "high", motion_high(motion.kind), -limit, limit);
	motion.step = call_real(call, "step", counts ? 1.0 : 0.0, -limit, limit);
	if (!call->error[0] && unit_move(call->unit, &motion, now_us) < 0)
		call_fail(
		    call, "the cells are not there, high is below low, or bits are asked to hold a number");
}

static void
mark_cells(struct call *call, bool writes_only)
{
	enum table table = call_table(call);
	uint8_t exception = (uint8_t)call_int(call, "exception", EXCEPTION_ADDRESS, 0, 255);
	unsigned count;
	unsigned addr = call_range(call, call_int(call, "count", 1, 1, UNIT_CELLS_MAX), &count);

	for (unsigned i = addr; i < addr + count && !call->error[0]; i++) {
		struct cell *cell = &call->unit->cells[table][i];
		*(writes_only ? &cell->readonly : &cell->illegal) = exception;
	}
}

static void
do_illegal(struct call *call)
{
	mark_cells(call, false);
}

static void
do_readonly(struct call *call)
{
	mark_cells(call, true);
}

static void
do_limits(struct call *call)
{
	struct unit *unit = call->unit;

	unit->max_registers = (unsigned)call_int(call, "max_registers", unit->max_registers, 0, 65535);
	unit->max_bits = (unsigned)call_int(call, "max_bits", unit->max_bits, 0, 65535);
	unit->limit_exception = (uint8_t)call_int(call, "exception", EXCEPTION_VALUE, 1, 255);
}

static void
babble_tick(void *ctx, int64_t now_us)
{
	struct place *place = ctx;
	struct bus *bus = place->bus;
	unsigned baud = bus->rtu && rtu_baud(bus->rtu) ? rtu_baud(bus->rtu) : BABBLE_BAUD;
	int64_t bytes = (now_us - place->babble_from_us) * baud / 10000000;

	if (now_us >= place->babble_until_us) {
		place->babble_until_us = 0;
		fault_clear(&bus->faults, -1);
		return;
	}
	place->babble_from_us += bytes * 10000000 / baud;
	if (bytes && bus->rtu)
		rtu_babble(bus->rtu, (size_t)bytes);
	else if (bytes)
		tcp_babble(bus->tcp, (size_t)bytes);
	timer_set(&place->sim->loop, &place->babble, now_us + BABBLE_PERIOD_US);
}

static void
babble_start(struct call *call)
{
	struct place *place = call->place;
	double ms = call_real(call, "ms", -1.0, -1.0, MS_MAX);

	place->babble_until_us = ms < 0.0 ? INT64_MAX : clock_mono_us() + (int64_t)(ms * 1000.0);
	place->babble_from_us = clock_mono_us();
	timer_set(&place->sim->loop, &place->babble, place->babble_from_us);
}

static void
babble_stop(struct place *place)
{
	place->babble_until_us = 0;
	timer_stop(&place->sim->loop, &place->babble);
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static void
fault_hex(struct call *call, struct fault *fault)
{
	const char *hex = control_string(call->command, "hex", "");

	for (; *hex; hex += 2) {
		int high = hex_digit(hex[0]);
		int low = high < 0 ? -1 : hex_digit(hex[1]);
		if (low < 0 || fault->data_length == sizeof(fault->data)) {
			call_fail(call, "hex: not pairs of hexadecimal digits, or too many");
			return;
		}
		fault->data[fault->data_length++] = (uint8_t)(high << 4 | low);
	}
}

static double
fault_pause_ms(enum fault_kind kind)
{
	switch (kind) {
	case FAULT_LATE:
		return 1000.0;
	case FAULT_SLOW_BYTES:
	case FAULT_SPLIT:
		return 20.0;
	default:
		return 0.0;
	}
}

static void
fault_read(struct call *call, enum fault_kind kind, struct fault *fault)
{
	fault->kind = kind;
	fault->unit = kind == FAULT_BABBLE ? -1 : (int)call_int(call, "unit", -1, -1, 255);
	fault->left = call_int(call, "count", -1, -1, 1e9);
	fault->bytes = call_int(call, "bytes", -1, -1, FAULT_DATA_MAX);
	fault->value = call_int(call, "value", -1, -1, 65535);
	if (kind == FAULT_EXCEPTION)
		fault->value = call_int(call, "code", 4, 0, 255);
	if (kind != FAULT_BABBLE)
		fault->pause_us = call_us(call, "ms", fault_pause_ms(kind));
	if (kind == FAULT_BABBLE)
		fault->left = -1; /* it lasts for a time, not for a number of requests */
	fault->execute = control_bool(call->command, "execute", fault_executes(kind));
	fault->whole = control_bool(call->command, "whole", false);
	fault->wrong_value = !strcmp(control_string(call->command, "field", "addr"), "value");
	if (!fault->left)
		call_fail(call, "count: 0 requests cannot go wrong");
	fault_hex(call, fault);
}

static void
fault_none(struct call *call)
{
	bool all = !json_object_object_get_ex(call->command, "unit", NULL);

	fault_clear(&call->bus->faults, all ? -2 : (int)call->address);
	if (all)
		babble_stop(call->place);
}

static void
do_fault(struct call *call)
{
	int kind = fault_parse(control_string(call->command, "kind", NULL));
	struct fault *fault;

	if (kind < 0) {
		call_fail(call, "kind: unknown");
		return;
	}
	if (kind == FAULT_NONE) {
		fault_none(call);
		return;
	}
	if (!bus_can_fail(call->bus, (enum fault_kind)kind)) {
		call_fail(call, "kind: cannot happen on this bus");
		return;
	}
	fault = calloc(1, sizeof(*fault));
	if (!fault) {
		call_errno(call, -ENOMEM);
		return;
	}
	fault_read(call, (enum fault_kind)kind, fault);
	if (call->error[0]) {
		free(fault);
		return;
	}
	if (fault->unit < 0 && call->place->babble_until_us)
		babble_stop(call->place);
	if (!control_bool(call->command, "queue", false))
		fault_clear(&call->bus->faults, fault->unit);
	fault_append(&call->bus->faults, fault);
	if (kind == FAULT_BABBLE)
		babble_start(call);
}

static void
do_connections(struct call *call)
{
	tcp_limit(call->bus->tcp, (int)call_int(call, "max", -1, -1, 65535),
	    control_bool(call->command, "refuse", false));
}

static void
do_listen(struct call *call)
{
	call_errno(call, tcp_power(call->bus->tcp, control_bool(call->command, "on", true)));
}

static void
do_unplug(struct call *call)
{
	rtu_unplug(call->bus->rtu);
}

static void
do_plug(struct call *call)
{
	call_errno(call, rtu_plug(call->bus->rtu));
	if (!call->error[0])
		call_result(call, "device", json_object_new_string(rtu_device(call->bus->rtu)));
}

static void
do_line(struct call *call)
{
	rtu_strict(call->bus->rtu, control_bool(call->command, "collisions", true),
	    control_bool(call->command, "check_speed", false));
}

static void
do_turnaround(struct call *call)
{
	int64_t turnaround_us = call_us(call, "ms", (double)call->bus->turnaround_us / 1000.0);
	int64_t jitter_us = call_us(call, "jitter_ms", 0);

	if (call->error[0])
		return;
	call->bus->turnaround_us = turnaround_us;
	call->bus->jitter_us = jitter_us;
}

static void
stats_add(struct stats *sum, const struct stats *stats)
{
	if (!stats)
		return;
	sum->requests += stats->requests;
	sum->reads += stats->reads;
	sum->writes += stats->writes;
	sum->exceptions += stats->exceptions;
	for (int i = 0; i < 256; i++)
		sum->by_function[i] += stats->by_function[i];
}

static void
stats_result(struct call *call, const struct stats *stats)
{
	struct json_object *by_function = json_object_new_object();
	char name[4];

	call_result(call, "requests", json_object_new_uint64(stats->requests));
	call_result(call, "reads", json_object_new_uint64(stats->reads));
	call_result(call, "writes", json_object_new_uint64(stats->writes));
	call_result(call, "exceptions", json_object_new_uint64(stats->exceptions));
	for (unsigned i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "%u", i & 255);
		if (stats->by_function[i])
			json_object_object_add(
			    by_function, name, json_object_new_uint64(stats->by_function[i]));
	}
	call_result(call, "by_function", by_function);
}

static void
line_result(struct call *call, const struct bus *sum, unsigned connections)
{
	call_result(call, "bad_frames", json_object_new_uint64(sum->bad_frames));
	call_result(call, "silence_violations", json_object_new_uint64(sum->silence_violations));
	call_result(call, "collisions", json_object_new_uint64(sum->collisions));
	call_result(call, "connections", json_object_new_int64(connections));
	call_result(call, "connections_total", json_object_new_uint64(sum->connections_total));
	call_result(call, "busy_us", json_object_new_int64(sum->busy_us));
}

static void
bus_forget(struct bus *bus)
{
	bus->stats = (struct stats){ 0 };
	for (int i = 0; i < UNIT_ADDRESSES; i++)
		if (bus->by_unit[i])
			*bus->by_unit[i] = (struct stats){ 0 };
	bus->bad_frames = bus->silence_violations = bus->collisions = bus->connections_total = 0;
	bus->busy_us = 0;
}

/* Of one bus or of all, of one unit or of all. What belongs to the line has no unit and is told without one
 * only. */
static void
do_stats(struct call *call)
{
	bool one_bus = json_object_object_get_ex(call->command, "bus", NULL);
	bool one_unit = json_object_object_get_ex(call->command, "unit", NULL);
	struct bus sum = { 0 };
	unsigned connections = 0;

	for (unsigned i = 0; i < call->sim->count; i++) {
		struct bus *bus = call->sim->places[i].bus;
		if (one_bus && bus != call->bus)
			continue;
		stats_add(&sum.stats, one_unit ? bus->by_unit[call->address] : &bus->stats);
		sum.bad_frames += bus->bad_frames;
		sum.silence_violations += bus->silence_violations;
		sum.collisions += bus->collisions;
		sum.connections_total += bus->connections_total;
		sum.busy_us += bus->busy_us;
		connections += bus->tcp ? tcp_connections(bus->tcp) : 0;
		if (control_bool(call->command, "clear", false))
			bus_forget(bus);
	}
	stats_result(call, &sum.stats);
	if (!one_unit)
		line_result(call, &sum, connections);
}

static void
do_log(struct call *call)
{
	struct journal *journal = &call->sim->journal;

	journal->emit = control_bool(call->command, "on", true);
	journal->shown = control_bool(call->command, "shown", journal->shown);
}

static void
do_requests(struct call *call)
{
	long last = call_int(call, "last", 100, 0, JOURNAL_ENTRIES);

	call_result(call, "requests", journal_last(&call->sim->journal, (uint64_t)last));
}

enum call_needs { CALL_ANY, CALL_UNIT, CALL_RTU, CALL_TCP };

static const struct call_row {
	const char *name;
	enum call_needs needs;
	void (*handler)(struct call *call);
} call_rows[] = {
	{ .name = "connections", .needs = CALL_TCP, .handler = do_connections },
	{ .name = "fault", .needs = CALL_ANY, .handler = do_fault },
	{ .name = "gateway_exceptions", .needs = CALL_TCP, .handler = do_gateway_exceptions },
	{ .name = "get", .needs = CALL_UNIT, .handler = do_get },
	{ .name = "illegal", .needs = CALL_UNIT, .handler = do_illegal },
	{ .name = "limits", .needs = CALL_UNIT, .handler = do_limits },
	{ .name = "line", .needs = CALL_RTU, .handler = do_line },
	{ .name = "listen", .needs = CALL_TCP, .handler = do_listen },
	{ .name = "log", .needs = CALL_ANY, .handler = do_log },
	{ .name = "move", .needs = CALL_UNIT, .handler = do_move },
	{ .name = "plug", .needs = CALL_RTU, .handler = do_plug },
	{ .name = "readonly", .needs = CALL_UNIT, .handler = do_readonly },
	{ .name = "requests", .needs = CALL_ANY, .handler = do_requests },
	{ .name = "set", .needs = CALL_UNIT, .handler = do_set },
	{ .name = "stats", .needs = CALL_ANY, .handler = do_stats },
	{ .name = "turnaround", .needs = CALL_ANY, .handler = do_turnaround },
	{ .name = "unit", .needs = CALL_ANY, .handler = do_unit },
	{ .name = "unit_remove", .needs = CALL_UNIT, .handler = do_unit_remove },
	{ .name = "unplug", .needs = CALL_RTU, .handler = do_unplug },
};

static const struct call_row *
call_find(const char *name)
{
	for (size_t i = 0; i < sizeof(call_rows) / sizeof(call_rows[0]); i++)
		if (!strcmp(name, call_rows[i].name))
			return &call_rows[i];
	return NULL;
}

/* Find what the command is about; an error if it is not there. */
static void
call_resolve(struct call *call, enum call_needs needs)
{
	long bus = call_int(call, "bus", 0, 0, call->sim->count - 1.0);

	call->place = &call->sim->places[bus];
	call->bus = call->place->bus;
	call->address =
	    (unsigned)call_int(call, "unit", 1, needs == CALL_ANY ? -1 : 0, UNIT_ADDRESSES - 1) & 255;
	call->unit = call->bus->units[call->address];
	if (needs == CALL_UNIT && !call->unit)
		call_fail(call, "unit: not on this bus");
	if (needs == CALL_RTU && !call->bus->rtu)
		call_fail(call, "bus: not a serial line");
	if (needs == CALL_TCP && !call->bus->tcp)
		call_fail(call, "bus: not a TCP port");
}

void
sim_command(void *ctx, struct json_object *command)
{
	struct call call = { .sim = ctx, .command = command };
	const struct call_row *row = call_find(control_string(command, "cmd", ""));

	if (!row) {
		control_answer(command, NULL, "cmd: unknown");
		return;
	}
	call_resolve(&call, row->needs);
	if (!call.error[0])
		row->handler(&call);
	control_answer(command, call.result, call.error[0] ? call.error : NULL);
}

int
sim_add(struct sim *sim, struct bus *bus)
{
	struct place *place = &sim->places[sim->count];

	if (sim->count == BUSES_MAX)
		return -ENFILE;
	*place = (struct place){ .sim = sim, .bus = bus };
	place->babble = (struct timer){ .handler = babble_tick, .ctx = place };
	sim->count++;
	return 0;
}
