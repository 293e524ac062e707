/* poll() that ends at a moment of the monotonic clock, to the microsecond. Any thread. */
#ifndef BASE_POLL_H
#define BASE_POLL_H

#include <poll.h>
#include <stdint.h>

/* Wait for one of `count` descriptors as poll(2) does, at most until `until_us` (base/clock.h; CLOCK_NEVER: no limit),
 * and at least for a look. A signal does not end it. Returns how many are ready, 0 when it is that late, or negative
 * errno. */
int poll_until(struct pollfd *watched, nfds_t count, int64_t until_us);

#endif
