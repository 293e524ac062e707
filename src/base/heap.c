#include "base/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

int
heap_init(struct heap *heap, size_t capacity)
{
	heap->used = 0;
	heap->capacity = capacity;
	heap->order = 0;
	heap->nodes = calloc(capacity ? capacity : 1, sizeof(struct heap_node *));
	return heap->nodes ? 0 : -ENOMEM;
}

void
heap_done(struct heap *heap)
{
	free(heap->nodes);
	heap->nodes = NULL;
	heap->used = 0;
	heap->capacity = 0;
}

struct heap_node *
heap_first(const struct heap *heap)
{
	return heap->used > 0 ? heap->nodes[0] : NULL;
}

static void
place(struct heap *heap, size_t index, struct heap_node *node)
{
	heap->nodes[index] = node;
	node->position = index + 1;
}

static bool
is_before(const struct heap_node *a, const struct heap_node *b)
{
	return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void
sift_up(struct heap *heap, size_t index)
{
	struct heap_node *node = heap->nodes[index];

	while (index > 0 && is_before(node, heap->nodes[(index - 1) / 2])) {
		place(heap, index, heap->nodes[(index - 1) / 2]);
		index = (index - 1) / 2;
	}
	place(heap, index, node);
}

static void
sift_down(struct heap *heap, size_t index)
{
	struct heap_node *node = heap->nodes[index];

	for (;;) {
		size_t child = 2 * index + 1;

		if (child >= heap->used)
			break;
		if (child + 1 < heap->used && is_before(heap->nodes[child + 1], heap->nodes[child]))
			child++;
		if (!is_before(heap->nodes[child], node))
			break;
		place(heap, index, heap->nodes[child]);
		index = child;
	}
	place(heap, index, node);
}

void
heap_set(struct heap *heap, struct heap_node *node, int64_t due)
{
	if (node->position == 0 || node->due != due)
		node->order = heap->order++;
	node->due = due;
	if (node->position == 0) {
		assert(heap->used < heap->capacity);
		place(heap, heap->used++, node);
	}
	sift_up(heap, node->position - 1);
	sift_down(heap, node->position - 1);
}

void
heap_remove(struct heap *heap, struct heap_node *node)
{
	size_t index = node->position - 1;
	struct heap_node *last;

	if (node->position == 0)
		return;
	node->position = 0;
	last = heap->nodes[--heap->used];
	if (last == node)
		return;
	place(heap, index, last);
	sift_up(heap, last->position - 1);
	sift_down(heap, last->position - 1);
}
