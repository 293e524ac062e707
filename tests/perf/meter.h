/* How long something took and what it cost, for the floor programs: turns at a pace, wall and CPU time, one line of JSON. */
#ifndef PERF_METER_H
#define PERF_METER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

struct meter {
	double start_s;
	double cpu_s;
	double per_second; /* turns; 0 = as fast as it goes */
	uint64_t turns;
};

static inline double
meter_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline double
meter_cpu(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static inline void
meter_start(struct meter *meter, double per_second)
{
	*meter = (struct meter){ .start_s = meter_clock(), .cpu_s = meter_cpu(), .per_second = per_second };
}

/* Seconds since the start. */
static inline double
meter_elapsed(const struct meter *meter)
{
	return meter_clock() - meter->start_s;
}

/* When the next turn is due, in seconds since the start. */
static inline double
meter_due(const struct meter *meter)
{
	return meter->per_second > 0 ? (double)meter->turns / meter->per_second : 0;
}

/* Sleep until the next turn. Returns the seconds since the start. */
static inline double
meter_turn(const struct meter *meter)
{
	double wait = meter_due(meter) - meter_elapsed(meter);
	struct timespec pause = { .tv_sec = (time_t)wait, .tv_nsec = (long)((wait - (double)(time_t)wait) * 1e9) };

	if (wait > 0)
		nanosleep(&pause, NULL);
	return meter_elapsed(meter);
}

static inline void
meter_count(struct meter *meter)
{
	meter->turns++;
}

/* One figure more, by its name. */
static inline void
meter_print(const struct meter *meter, const char *name, double value)
{
	printf("{\"turns\":%llu,\"seconds\":%.6f,\"cpu_s\":%.6f,\"%s\":%.1f}\n", (unsigned long long)meter->turns,
	    meter_elapsed(meter), meter_cpu() - meter->cpu_s, name, value);
}

#endif
