/* Deadlines of the bench: a heap of timers that live inside their owners.
 *
 * A timer that was never armed, or that has fired, is all zero apart from its function. An owner must stop
 * its timers before it is freed. Times are monotonic milliseconds. One thread.
 */
#ifndef BENCH_TIMER_H
#define BENCH_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
	int64_t due_mono_ms;
	size_t place; /* index in the heap + 1; 0 = not armed */
	void (*fire)(struct timer *timer);
};

struct timer_heap {
	struct timer **timers;
	size_t count, room;
};

/* The structure of which `member` is a part. */
#define timer_owner(timer, type, member) ((type *)(void *)((char *)(timer)-offsetof(type, member)))

int64_t clock_mono_us(void);
int64_t clock_mono_ms(void);
int64_t clock_unix_ms(void);

/* Arm or re-arm. */
void timer_start(struct timer_heap *heap, struct timer *timer, int64_t due_mono_ms);
void timer_stop(struct timer_heap *heap, struct timer *timer);

/* Fire what is due. Returns the milliseconds until the next one, -1 for none. */
int timer_run(struct timer_heap *heap);
void timer_heap_done(struct timer_heap *heap);

#endif
