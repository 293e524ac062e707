/* The hot path of one reply, again and again: decode, filter, JSON. To be counted by callgrind, which tests/perf/guard does:
 * instructions do not depend on what else the machine does.
 *
 * 125 registers are 25 points each of uint16 with a scale and a deadband, of uint16 as it is, and of float32, and a bit of every
 * register of the first; all of it changes with each reply.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/tb_json.h"
#include "flow/filter.h"
#include "model/codec.h"

#define BLOCK	  25
#define POINTS	  (4 * BLOCK)
#define REGISTERS 125
#define REPLIES	  1000

static struct point points[POINTS];
static char keys[POINTS][8];
static char names[POINTS][16];
static size_t name_lengths[POINTS];
static char row[65536];

static void
make_point(size_t index, enum point_type type, int addr)
{
	struct point *point = &points[index];

	snprintf(keys[index], sizeof(keys[index]), "k%03zu", index);
	name_lengths[index] = (size_t)tb_json_name(keys[index], names[index], sizeof(names[index]));
	*point = (struct point){
		.index = index,
		.key = keys[index],
		.table = TABLE_HOLDING,
		.addr = addr,
		.count = type == TYPE_FLOAT32 ? 2 : 1,
		.type = type,
		.bit = POINT_NO_BIT,
		.scale = 1,
		.decimals = type == TYPE_FLOAT32 ? 2 : 0,
		.report = REPORT_CHANGE,
		.period_ms = 1000,
	};
}

static void
make_points(void)
{
	for (int i = 0; i < BLOCK; i++) {
		make_point((size_t)i, TYPE_UINT16, i);
		points[i].scale = 0.1;
		points[i].decimals = 1;
		points[i].deadband = 0.2;
		make_point((size_t)(BLOCK + i), TYPE_UINT16, BLOCK + i);
		make_point((size_t)(2 * BLOCK + i), TYPE_FLOAT32, 2 * BLOCK + 2 * i);
		make_point((size_t)(3 * BLOCK + i), TYPE_BOOL, i);
		points[3 * BLOCK + i].bit = 2;
	}
}

static void
fill(uint16_t *cells, unsigned reply)
{
	float number = (float)reply * 1.25f;
	uint32_t bits;

	for (unsigned i = 0; i < 2 * BLOCK; i++)
		cells[i] = (uint16_t)(1000 + 4 * reply + i);
	memcpy(&bits, &number, sizeof(bits));
	for (unsigned i = 2 * BLOCK; i + 1 < REGISTERS; i += 2) {
		cells[i] = (uint16_t)(bits >> 16);
		cells[i + 1] = (uint16_t)bits;
	}
}

/* What callgrind counts. Returns the values that went up. */
__attribute__((noinline)) static unsigned
hot_path(struct filter *filter, const uint16_t *cells, int64_t now_ms)
{
	size_t length = 0;
	unsigned reported = 0;

	for (size_t i = 0; i < POINTS; i++) {
		struct sample sample = { .point = &points[i], .taken_mono_ms = now_ms, .taken_unix_ms = now_ms };
		int used;

		if (codec_decode(&points[i], cells + points[i].addr, &sample.value) != 0 || !filter_pass(filter, &sample))
			continue;
		used = tb_json_named(names[i], name_lengths[i], &sample.value, reported == 0, row + length, sizeof(row) - length);
		if (used < 0)
			abort();
		length += (size_t)used;
		reported++;
	}
	return reported;
}

int
main(void)
{
	struct filter *filter = filter_new(POINTS);
	uint16_t cells[REGISTERS] = { 0 };
	unsigned long long reported = 0;

	if (!filter)
		return 1;
	make_points();
	for (unsigned reply = 0; reply < REPLIES; reply++) {
		fill(cells, reply);
		reported += hot_path(filter, cells, 1000 * (int64_t)reply);
	}
	filter_free(filter);
	printf("%llu values of %d\n", reported, POINTS * REPLIES);
	return reported > POINTS * REPLIES / 2 ? 0 : 1;
}
