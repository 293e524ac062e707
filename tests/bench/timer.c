#include "bench/timer.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "bench/alloc.h"

static int64_t
clock_ms(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
clock_mono_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
clock_mono_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

int64_t
clock_unix_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

static void
heap_put(struct timer_heap *heap, size_t place, struct timer *timer)
{
	heap->timers[place - 1] = timer;
	timer->place = place;
}

static struct timer *
heap_at(const struct timer_heap *heap, size_t place)
{
	return heap->timers[place - 1];
}

static void
heap_rise(struct timer_heap *heap, struct timer *timer)
{
	size_t place = timer->place;

	while (place > 1 && heap_at(heap, place / 2)->due_mono_ms > timer->due_mono_ms) {
		heap_put(heap, place, heap_at(heap, place / 2));
		place /= 2;
	}
	heap_put(heap, place, timer);
}

static void
heap_sink(struct timer_heap *heap, struct timer *timer)
{
	size_t place = timer->place;

	while (2 * place <= heap->count) {
		size_t child = 2 * place;

		if (child < heap->count &&
		    heap_at(heap, child + 1)->due_mono_ms < heap_at(heap, child)->due_mono_ms)
			child++;
		if (heap_at(heap, child)->due_mono_ms >= timer->due_mono_ms)
			break;
		heap_put(heap, place, heap_at(heap, child));
		place = child;
	}
	heap_put(heap, place, timer);
}

void
timer_start(struct timer_heap *heap, struct timer *timer, int64_t due_mono_ms)
{
	if (!timer->place) {
		if (heap->count == heap->room) {
			heap->room = heap->room ? 2 * heap->room : 64;
			heap->timers = alloc_resize(heap->timers, heap->room, sizeof(struct timer *));
		}
		timer->due_mono_ms = due_mono_ms;
		heap_put(heap, ++heap->count, timer);
		heap_rise(heap, timer);
		return;
	}
	timer->due_mono_ms = due_mono_ms;
	heap_rise(heap, timer);
	heap_sink(heap, timer);
}

void
timer_stop(struct timer_heap *heap, struct timer *timer)
{
	size_t place = timer->place;
	struct timer *last;

	if (!place)
		return;
	timer->place = 0;
	last = heap_at(heap, heap->count--);
	if (last == timer)
		return;
	heap_put(heap, place, last);
	heap_rise(heap, last);
	heap_sink(heap, last);
}

int
timer_run(struct timer_heap *heap)
{
	int64_t now = clock_mono_ms();
	int64_t wait;

	while (heap->count > 0 && heap_at(heap, 1)->due_mono_ms <= now) {
		struct timer *timer = heap_at(heap, 1);

		timer_stop(heap, timer);
		timer->fire(timer);
	}
	if (heap->count == 0)
		return -1;
	/* What a firing armed for "now" is taken in the next round, after the sockets. */
	wait = heap_at(heap, 1)->due_mono_ms - now;
	return wait > INT_MAX ? INT_MAX : (int)wait;
}

void
timer_heap_done(struct timer_heap *heap)
{
	free(heap->timers);
	*heap = (struct timer_heap){ 0 };
}
