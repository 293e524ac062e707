#include "sim/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int64_t
clock_mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int
loop_init(struct loop *loop)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

	*loop = (struct loop){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	loop->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (loop->epoll < 0 || loop->timerfd < 0 ||
	    epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->timerfd, &event) < 0)
		return -errno;
	return 0;
}

void
loop_done(struct loop *loop)
{
	close(loop->timerfd);
	close(loop->epoll);
	free(loop->heap);
}

int
watch_add(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0 ? -errno : 0;
}

void
watch_change(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void
watch_del(struct loop *loop, struct watch *watch)
{
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	/* Its event may already be in the round that is being served. */
	for (int i = 0; i < loop->event_count; i++)
		if (loop->events[i].data.ptr == watch)
			loop->events[i].data.ptr = NULL;
}

static void
heap_put(struct loop *loop, struct timer *timer, size_t slot)
{
	loop->heap[slot] = timer;
	timer->slot = slot;
}

/* Bring the timer at `slot` to its place, upwards or downwards. */
static void
heap_sift(struct loop *loop, size_t slot)
{
	struct timer *timer = loop->heap[slot];

	while (slot > 1 && loop->heap[slot / 2]->at_us > timer->at_us) {
		heap_put(loop, loop->heap[slot / 2], slot);
		slot /= 2;
	}
	for (;;) {
		size_t child = slot * 2;
		if (child < loop->timers && loop->heap[child + 1]->at_us < loop->heap[child]->at_us)
			child++;
		if (child > loop->timers || loop->heap[child]->at_us >= timer->at_us)
			break;
		heap_put(loop, loop->heap[child], slot);
		slot = child;
	}
	heap_put(loop, timer, slot);
}

void
timer_set(struct loop *loop, struct timer *timer, int64_t at_us)
{
	timer->at_us = at_us;
	if (!timer->slot) {
		if (loop->timers + 2 > loop->room) {
			size_t room = loop->room ? loop->room * 2 : 64;
			struct timer **heap = realloc(loop->heap, room * sizeof(struct timer *));
			if (!heap)
				abort(); /* a simulator without a clock would lie */
			loop->heap = heap;
			loop->room = room;
		}
		heap_put(loop, timer, ++loop->timers);
	}
	heap_sift(loop, timer->slot);
}

void
timer_stop(struct loop *loop, struct timer *timer)
{
	size_t slot = timer->slot;
	struct timer *last;

	if (!slot)
		return;
	timer->slot = 0;
	last = loop->heap[loop->timers--];
	if (last == timer)
		return;
	heap_put(loop, last, slot);
	heap_sift(loop, slot);
}

static void
loop_arm(struct loop *loop)
{
	int64_t at_us = loop->timers ? loop->heap[1]->at_us : 0;
	struct itimerspec when = { 0 };

	if (at_us == loop->armed_us)
		return;
	when.it_value.tv_sec = at_us / 1000000;
	when.it_value.tv_nsec = at_us % 1000000 * 1000;
	timerfd_settime(loop->timerfd, TFD_TIMER_ABSTIME, &when, NULL);
	loop->armed_us = at_us;
}

static void
loop_timers(struct loop *loop)
{
	int64_t now_us = clock_mono_us();
	/* Those that were due when we began: a timer that sets itself again cannot keep the descriptors
	 * waiting. */
	size_t budget = loop->timers;

	while (budget-- && loop->timers && loop->heap[1]->at_us <= now_us) {
		struct timer *timer = loop->heap[1];
		timer_stop(loop, timer);
		timer->handler(timer->ctx, now_us);
	}
}

static void
loop_events(struct loop *loop)
{
	for (int i = 0; i < loop->event_count; i++) {
		struct watch *watch = loop->events[i].data.ptr;
		if (watch)
			watch->handler(watch->ctx, loop->events[i].events);
	}
	loop->event_count = 0;
}

int
loop_run(struct loop *loop)
{
	while (!loop->stop) {
		uint64_t expirations;

		loop_arm(loop);
		loop->event_count = epoll_wait(loop->epoll, loop->events, 64, -1);
		if (loop->event_count < 0) {
			loop->event_count = 0;
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (loop->armed_us && loop->armed_us <= clock_mono_us()) {
			if (read(loop->timerfd, &expirations, sizeof(expirations)) > 0)
				loop->armed_us = 0;
			loop_timers(loop);
		}
		loop_events(loop);
	}
	return 0;
}
