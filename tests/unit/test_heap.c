#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/heap.h"

#define THINGS 200

struct thing {
	int number;
	struct heap_node node;
};

/* A sequence that looks random and is the same each time. */
static uint32_t
draw(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static int64_t
least_due(const struct thing *things)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < THINGS; i++)
		if (things[i].node.position != 0 && things[i].node.due < least)
			least = things[i].node.due;
	return least;
}

static void
test_order(void **state)
{
	struct thing things[THINGS] = { 0 };
	struct heap heap;
	uint32_t seed = 1;
	int64_t last = INT64_MIN;
	size_t count = 0;
	int number = 0;

	(void)state;
	assert_int_equal(heap_init(&heap, THINGS), 0);
	assert_null(heap_first(&heap));
	for (int i = 0; i < THINGS; i++) {
		things[i].number = i;
		heap_set(&heap, &things[i].node, draw(&seed) % 50);
	}
	for (struct heap_node *first; (first = heap_first(&heap)); count++) {
		struct thing *thing = heap_entry(first, struct thing, node);

		assert_ptr_equal(thing, &things[thing->number]);
		assert_true(first->due >= last);
		/* They were set in the order of their numbers. */
		assert_true(first->due > last || thing->number > number);
		last = first->due;
		number = thing->number;
		heap_remove(&heap, first);
		assert_int_equal(first->position, 0);
	}
	assert_int_equal(count, THINGS);
	heap_done(&heap);
}

static void
test_any_sequence(void **state)
{
	struct thing things[THINGS] = { 0 };
	struct heap heap;
	uint32_t seed = 7;

	(void)state;
	assert_int_equal(heap_init(&heap, THINGS), 0);
	for (int step = 0; step < 20000; step++) {
		struct heap_node *node = &things[draw(&seed) % THINGS].node;

		if (draw(&seed) % 3 == 0)
			heap_remove(&heap, node);
		else
			heap_set(&heap, node, (int64_t)draw(&seed) % 1000 - 500);
		if (heap_first(&heap))
			assert_true(heap_first(&heap)->due == least_due(things));
		for (size_t i = 0; step % 100 == 0 && i < heap.used; i++)
			assert_int_equal(heap.nodes[i]->position, i + 1);
	}
	heap_done(&heap);
}

static void
test_corners(void **state)
{
	struct heap_node one = { 0 }, other = { 0 };
	struct heap heap;

	(void)state;
	assert_int_equal(heap_init(&heap, 0), 0);
	assert_null(heap_first(&heap));
	heap_remove(&heap, &one);
	heap_done(&heap);

	assert_int_equal(heap_init(&heap, 2), 0);
	heap_set(&heap, &one, INT64_MAX);
	heap_set(&heap, &other, INT64_MIN);
	assert_ptr_equal(heap_first(&heap), &other);
	heap_set(&heap, &other, INT64_MAX);
	heap_set(&heap, &one, 5);
	assert_ptr_equal(heap_first(&heap), &one);
	heap_remove(&heap, &one);
	heap_remove(&heap, &one);
	assert_ptr_equal(heap_first(&heap), &other);
	heap_remove(&heap, &other);
	assert_null(heap_first(&heap));
	heap_done(&heap);
	heap_done(&heap);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_any_sequence),
		cmocka_unit_test(test_corners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
