/* Before 2.37 the ppoll() of glibc's _FORTIFY_SOURCE takes a 32-bit struct timespec, whatever _TIME_BITS says: on a 32-bit
 * machine it reads a timeout of 0 out of ours. It is checked for nothing that could go wrong here. */
#undef _FORTIFY_SOURCE
#include <config.h>

#include "base/poll.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "base/clock.h"

int
poll_until(struct pollfd *watched, nfds_t count, int64_t until_us)
{
	for (;;) {
		int64_t now_us = until_us == CLOCK_NEVER ? 0 : clock_mono_us();
		int64_t left = until_us > now_us ? until_us - now_us : 0; /* what has passed may be any number */
		struct timespec timeout = { 0 };
		int ready;

		if (left > 0)
			timeout = (struct timespec){ .tv_sec = (time_t)(left / 1000000),
				.tv_nsec = (long)(left % 1000000) * 1000 };
		ready = ppoll(watched, count, until_us == CLOCK_NEVER ? NULL : &timeout, NULL);
		if (ready >= 0)
			return ready;
		if (errno != EINTR)
			return -errno;
	}
}
