#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fifo.h"

#define ITEMS	200000 /* between the two threads */
#define WAIT_MS 10000  /* only a broken queue lets this pass */
#define LATE_MS 50

static bool
readable(struct fifo *fifo)
{
	struct pollfd waiting = { .fd = fifo_fd(fifo), .events = POLLIN };

	return poll(&waiting, 1, 0) == 1;
}

static void
test_order_and_bounds(void **state)
{
	struct fifo *fifo = fifo_new(sizeof(int), 3);
	const int items[] = { 1, 2, 3, 4, 5 };
	int taken[5] = { 0 };

	(void)state;
	assert_non_null(fifo);
	assert_false(readable(fifo));
	assert_int_equal(fifo_pop(fifo, taken, 5), 0);
	assert_int_equal(fifo_push(fifo, items, 5), 3);
	assert_int_equal(fifo_refused(fifo), 2);
	assert_true(readable(fifo));
	assert_int_equal(fifo_push(fifo, items, 1), 0);
	assert_int_equal(fifo_refused(fifo), 3);
	assert_int_equal(fifo_pop(fifo, taken, 2), 2);
	assert_int_equal(taken[0], 1);
	assert_int_equal(taken[1], 2);
	assert_true(readable(fifo));
	/* Around the end of the ring, both ways. */
	assert_int_equal(fifo_push(fifo, items + 3, 2), 2);
	assert_int_equal(fifo_pop(fifo, taken, 5), 3);
	assert_int_equal(taken[0], 3);
	assert_int_equal(taken[1], 4);
	assert_int_equal(taken[2], 5);
	assert_false(readable(fifo));
	assert_int_equal(fifo_push(fifo, items, 0), 0);
	assert_false(readable(fifo));
	fifo_free(fifo);
	fifo_free(NULL);
}

static void
test_every_length(void **state)
{
	struct fifo *fifo = fifo_new(sizeof(unsigned), 7);
	unsigned pushed = 0, popped = 0, items[9];

	(void)state;
	for (unsigned step = 0; step < 5000; step++) {
		size_t count = step * 7 % 9, taken;

		for (size_t i = 0; i < count; i++)
			items[i] = pushed + (unsigned)i;
		pushed += (unsigned)fifo_push(fifo, items, count);
		taken = fifo_pop(fifo, items, step * 5 % 8);
		for (size_t i = 0; i < taken; i++)
			assert_int_equal(items[i], popped++);
		assert_int_equal(readable(fifo), pushed != popped);
	}
	fifo_free(fifo);
}

static void
test_without_room(void **state)
{
	struct fifo *fifo = fifo_new(sizeof(int), 0);
	int item = 1;

	(void)state;
	assert_non_null(fifo);
	assert_int_equal(fifo_push(fifo, &item, 1), 0);
	assert_int_equal(fifo_pop(fifo, &item, 1), 0);
	fifo_free(fifo);
}

static void *
push_numbers(void *arg)
{
	struct fifo *fifo = arg;

	for (uint32_t next = 0; next < ITEMS;) {
		uint32_t items[5];
		size_t count = 0;

		while (count < 5 && next + count < ITEMS) {
			items[count] = next + (uint32_t)count;
			count++;
		}
		next += (uint32_t)fifo_push(fifo, items, count);
	}
	return NULL;
}

/* Each item arrives once and in order, and the reader is never left asleep. */
static void
test_two_threads(void **state)
{
	struct fifo *fifo = fifo_new(sizeof(uint32_t), 64);
	struct pollfd waiting = { .fd = fifo_fd(fifo), .events = POLLIN };
	pthread_t writer;
	uint32_t expected = 0, items[7];

	(void)state;
	assert_int_equal(pthread_create(&writer, NULL, push_numbers, fifo), 0);
	while (expected < ITEMS) {
		size_t taken = fifo_pop(fifo, items, 7);

		if (taken == 0)
			assert_int_equal(poll(&waiting, 1, WAIT_MS), 1);
		for (size_t i = 0; i < taken; i++)
			if (items[i] != expected++)
				fail();
	}
	pthread_join(writer, NULL);
	assert_false(readable(fifo));
	fifo_free(fifo);
}

/* Linked with --wrap: a ring that comes as late as a test wants it. */
static bool ring_is_late;
static bool freed;

int __real_eventfd_write(int fd, eventfd_t value);
int __wrap_eventfd_write(int fd, eventfd_t value);

int
__wrap_eventfd_write(int fd, eventfd_t value)
{
	/* Who waits for it, as is right, makes us wait in vain. */
	for (int i = 0; ring_is_late && i < LATE_MS && !__atomic_load_n(&freed, __ATOMIC_ACQUIRE); i++)
		poll(NULL, 0, 1);
	return __real_eventfd_write(fd, value);
}

static void *
push_one(void *arg)
{
	int item = 1;

	fifo_push(arg, &item, 1);
	return NULL;
}

/* The reader may free a queue as soon as it has the item, and nothing is done to its descriptor after that. */
static void
test_freed_by_who_took_the_last(void **state)
{
	struct fifo *fifo = fifo_new(sizeof(int), 1);
	int fd = fifo_fd(fifo), item, other_fd;
	pthread_t writer;
	uint64_t strange;

	(void)state;
	ring_is_late = true;
	assert_int_equal(pthread_create(&writer, NULL, push_one, fifo), 0);
	while (fifo_pop(fifo, &item, 1) == 0)
		sched_yield();
	fifo_free(fifo);
	other_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(other_fd, fd);
	__atomic_store_n(&freed, true, __ATOMIC_RELEASE);
	pthread_join(writer, NULL);
	assert_int_equal(read(other_fd, &strange, sizeof(strange)), -1);
	close(other_fd);
	ring_is_late = false;
}

static bool
rings(int bell_fd)
{
	struct pollfd waiting = { .fd = bell_fd, .events = POLLIN };

	return poll(&waiting, 1, 0) == 1;
}

/* Two queues on one bell: it rings for what comes into an empty one, and not again for what comes behind that. */
static void
test_a_bell_of_two_queues(void **state)
{
	int bell_fd = fifo_bell_open();
	struct fifo *one = fifo_new_ringing(sizeof(int), 3, bell_fd);
	struct fifo *other = fifo_new_ringing(sizeof(int), 1, bell_fd);
	const int items[] = { 1, 2, 3, 4 };
	int item;

	(void)state;
	assert_true(bell_fd >= 0 && one && other);
	assert_int_equal(fifo_fd(one), -1);
	assert_false(rings(bell_fd));
	fifo_push(one, items, 2);
	fifo_push(other, items, 1);
	assert_true(rings(bell_fd));
	fifo_bell_still(bell_fd);
	assert_false(rings(bell_fd));
	fifo_push(one, items, 1); /* behind what is known to wait */
	fifo_push(other, items, 1); /* no room */
	assert_false(fifo_push_all(one, items, 4));
	assert_false(rings(bell_fd));
	assert_int_equal(fifo_pop(other, &item, 1), 1);
	fifo_push(other, items, 1);
	assert_true(rings(bell_fd));
	assert_int_equal(fifo_pop(other, &item, 1), 1);
	assert_true(rings(bell_fd)); /* for nothing: only who has the bell stills it */
	fifo_bell_still(bell_fd);
	fifo_bell_still(bell_fd); /* does not wait */
	fifo_free(one);
	fifo_free(other);
	close(bell_fd);
}

struct ringer {
	struct fifo *fifo;
	int last;
};

static void *
push_in_a_row(void *arg)
{
	struct ringer *ringer = arg;

	for (int i = 1; i <= ringer->last; i++)
		while (fifo_push(ringer->fifo, &i, 1) == 0)
			sched_yield();
	return NULL;
}

/* A reader that stills the bell before it looks never sleeps on what has come: what is lost would let the wait pass. */
static void
test_no_ring_is_lost(void **state)
{
	int bell_fd = fifo_bell_open();
	struct ringer ringers[2];
	pthread_t threads[2];
	int seen[2] = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		ringers[i] = (struct ringer){ .fifo = fifo_new_ringing(sizeof(int), 2, bell_fd), .last = ITEMS / 10 };
		assert_non_null(ringers[i].fifo);
		assert_int_equal(pthread_create(&threads[i], NULL, push_in_a_row, &ringers[i]), 0);
	}
	while (seen[0] < ITEMS / 10 || seen[1] < ITEMS / 10) {
		struct pollfd waiting = { .fd = bell_fd, .events = POLLIN };
		int item;

		assert_int_equal(poll(&waiting, 1, WAIT_MS), 1);
		fifo_bell_still(bell_fd);
		for (int i = 0; i < 2; i++)
			while (fifo_pop(ringers[i].fifo, &item, 1) == 1)
				assert_int_equal(item, ++seen[i]);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		fifo_free(ringers[i].fifo);
	}
	close(bell_fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freed_by_who_took_the_last),
		cmocka_unit_test(test_a_bell_of_two_queues),
		cmocka_unit_test(test_no_ring_is_lost),
		cmocka_unit_test(test_order_and_bounds),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_without_room),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
