/* The clocks. The monotonic clock times everything that we do: deadlines, periods, pauses; it never steps. The wall clock
 * says when a value was read and serves for nothing else. The time since the boot is the monotonic one with what the machine
 * slept; it serves to find the time of what was read before the wall clock was set (base/wall.h). Names carry which one:
 * _mono_us, _mono_ms, _unix_ms, _boot_ms.
 * Any thread. A test may put its own source in place before it starts threads.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_NEVER INT64_MAX

struct clock_source {
	int64_t (*mono_us)(void);
	int64_t (*unix_ms)(void);
	int64_t (*boot_ms)(void); /* NULL: like mono_us, for a machine that never sleeps */
};

int64_t clock_mono_us(void);
int64_t clock_mono_ms(void);
int64_t clock_unix_ms(void);
int64_t clock_boot_ms(void);

/* Use `source` from now on; NULL puts the system's clocks back. The source must outlive its use. */
void clock_replace(const struct clock_source *source);

/* How long poll() or epoll_wait() may sleep until `due_mono_ms`: -1 for CLOCK_NEVER, 0 when it has passed. */
int clock_poll_ms(int64_t due_mono_ms);

#endif
