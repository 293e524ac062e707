#include "base/random.h"

#include <sys/random.h>

#include "base/clock.h"

uint32_t
random_number(void)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		number = (uint32_t)clock_mono_us() * 2654435761u;
	return number;
}

int64_t
random_jitter(int64_t ms)
{
	return ms / 2 + (int64_t)(random_number() % (uint64_t)(ms + 1));
}
