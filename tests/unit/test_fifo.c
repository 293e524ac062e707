#include <poll.h>
#include <pthread.h>
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

#define ROUNDS 20000

static void *
push_one(void *arg)
{
	struct fifo *const *fifos = arg;
	int item = 1;

	for (int round = 0; round < ROUNDS; round++) {
		struct fifo *fifo;

		while (!(fifo = __atomic_load_n(&fifos[round], __ATOMIC_ACQUIRE)))
			;
		fifo_push(fifo, &item, 1);
	}
	return NULL;
}

/* The reader may free a queue as soon as it has the item, and nothing is done to its descriptor after that. */
static void
test_freed_by_who_took_the_last(void **state)
{
	static struct fifo *fifos[ROUNDS];
	pthread_t writer;

	(void)state;
	assert_int_equal(pthread_create(&writer, NULL, push_one, fifos), 0);
	for (int round = 0; round < ROUNDS; round++) {
		struct fifo *fifo = fifo_new(sizeof(int), 1);
		int item, other_fd;
		uint64_t strange;

		assert_non_null(fifo);
		__atomic_store_n(&fifos[round], fifo, __ATOMIC_RELEASE);
		while (fifo_pop(fifo, &item, 1) == 0)
			;
		fifo_free(fifo);
		other_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_equal(read(other_fd, &strange, sizeof(strange)), -1);
		close(other_fd);
	}
	pthread_join(writer, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freed_by_who_took_the_last),
		cmocka_unit_test(test_order_and_bounds),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_without_room),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
