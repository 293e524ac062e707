/* The simulator's one thread: descriptors and deadlines.
 *
 * Watches and timers are members of the things they serve; the loop only points at them, so whoever frees a
 * thing first calls watch_del() and timer_stop(). Both may be called from any handler, also for a thing whose
 * event is still to be delivered in the same round: it is not delivered then. Times are microseconds of
 * CLOCK_MONOTONIC.
 */
#ifndef SIM_LOOP_H
#define SIM_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct watch {
	int fd;
	void (*handler)(void *ctx, uint32_t events);
	void *ctx;
};

struct timer {
	size_t slot; /* place in the heap, 0 = not running */
	int64_t at_us;
	void (*handler)(void *ctx, int64_t now_us);
	void *ctx;
};

struct loop {
	int epoll;
	int timerfd;
	int64_t armed_us; /* what the timerfd waits for, 0 = nothing */
	bool stop;
	struct timer **heap; /* earliest at [1]; [0] is not used */
	size_t timers;
	size_t room;
	struct epoll_event events[64];
	int event_count;
};

/* Now, for deadlines and for times in the log. */
int64_t clock_mono_us(void);
int64_t clock_unix_ms(void);

int loop_init(struct loop *loop);
void loop_done(struct loop *loop);

/* Serve until loop->stop. Returns 0 or negative errno. */
int loop_run(struct loop *loop);

int watch_add(struct loop *loop, struct watch *watch, uint32_t events);
void watch_change(struct loop *loop, struct watch *watch, uint32_t events);
void watch_del(struct loop *loop, struct watch *watch);

/* Start or move a timer. A time in the past fires in the next round, never inside this call. */
void timer_set(struct loop *loop, struct timer *timer, int64_t at_us);
void timer_stop(struct loop *loop, struct timer *timer);

#endif
