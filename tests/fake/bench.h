/* Settings for tests of the field: one bus, one device, points in a line of code each. */
#ifndef FAKE_BENCH_H
#define FAKE_BENCH_H

#include "model/settings.h"

#define BENCH_POINTS 512

struct bench {
	struct settings settings;
	struct bus bus;
	struct device device;
	struct point points[BENCH_POINTS];
	char keys[BENCH_POINTS][16];
};

/* A bus of `type` without points. A serial one has 19200 baud, even parity. */
void bench_init(struct bench *bench, enum bus_type type);

/* One more point of `count` cells. A register is uint16, two are uint32, others a string; a coil or discrete
 * input is a bool. Writable where its table is. */
struct point *bench_point(
    struct bench *bench, int unit, enum point_table table, int addr, int count, int period_ms);

#endif
