#include "base/clock.h"

#include <limits.h>
#include <stddef.h>
#include <time.h>

static int64_t
system_mono_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t
system_unix_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t
system_boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const struct clock_source system_source = {
	.mono_us = system_mono_us, .unix_ms = system_unix_ms, .boot_ms = system_boot_ms
};
static const struct clock_source *source = &system_source;

int64_t
clock_mono_us(void)
{
	return source->mono_us();
}

int64_t
clock_mono_ms(void)
{
	return source->mono_us() / 1000;
}

int64_t
clock_unix_ms(void)
{
	return source->unix_ms();
}

int64_t
clock_boot_ms(void)
{
	return source->boot_ms ? source->boot_ms() : clock_mono_ms();
}

void
clock_replace(const struct clock_source *replacement)
{
	source = replacement ? replacement : &system_source;
}

int
clock_poll_ms(int64_t due_mono_ms)
{
	int64_t left;

	if (due_mono_ms == CLOCK_NEVER)
		return -1;
	left = due_mono_ms - clock_mono_ms();
	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}
