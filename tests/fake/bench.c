#include "fake/bench.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void
bench_init(struct bench *bench, enum bus_type type)
{
	memset(bench, 0, sizeof(*bench));
	bench->bus = (struct bus){
		.name = "bench",
		.type = type,
		.baud = 19200,
		.parity = PARITY_EVEN,
		.data_bits = 8,
		.stop_bits = 1,
		.echo = ECHO_AUTO,
		.host = "127.0.0.1",
		.connect_timeout_ms = 1000,
		.timeout_ms = 100,
	};
	bench->device = (struct device){
		.name = "bench", .bus = &bench->bus, .max_hole_registers = HOLES_BY_COST, .points = bench->points
	};
	bench->settings = (struct settings){
		.buses = &bench->bus,
		.bus_count = 1,
		.devices = &bench->device,
		.device_count = 1,
	};
}

struct point *
bench_point(struct bench *bench, int unit, enum point_table table, int addr, int count, int period_ms)
{
	size_t index = bench->device.point_count++;
	struct point *point = &bench->points[index];

	assert(index < BENCH_POINTS);
	snprintf(bench->keys[index], sizeof(bench->keys[index]), "p%zu", index);
	*point = (struct point){
		.device = &bench->device,
		.bus = &bench->bus,
		.index = index,
		.key = bench->keys[index],
		.unit = unit,
		.table = table,
		.addr = addr,
		.count = count,
		.type = point_table_has_bits(table) ? TYPE_BOOL
			: count == 1		    ? TYPE_UINT16
			: count == 2		    ? TYPE_UINT32
						    : TYPE_STRING,
		.bit = POINT_NO_BIT,
		.scale = 1,
		.period_ms = period_ms,
		.writable = point_table_writable(table),
	};
	bench->settings.point_count = bench->device.point_count;
	return point;
}
