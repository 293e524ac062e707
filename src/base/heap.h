/* Deadlines in order: a binary min-heap over nodes that live inside their owner's structs. Insert, move and remove cost
 * O(log n), the earliest is always at hand, nothing is allocated after heap_init(). One thread.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	int64_t due;     /* in the heap's own unit of time, e.g. mono us */
	size_t position; /* 1-based; 0 = in no heap. Zero-initialise a node before its first use. */
	uint64_t order;	 /* among those that are due at the same time */
};

struct heap {
	struct heap_node **nodes;
	size_t used;
	size_t capacity;
	uint64_t order; /* of the next that is set */
};

/* Room for `capacity` nodes. Returns 0 or -ENOMEM. */
int heap_init(struct heap *heap, size_t capacity);

/* Frees the room, not the nodes. */
void heap_done(struct heap *heap);

/* The node with the earliest due time, or NULL. Of equal times the one whose time was set longer ago: what
 * is due together keeps its order from one time to the next. */
struct heap_node *heap_first(const struct heap *heap);

/* Put the node in, or move it, to be due at `due`. The heap must have room for it. */
void heap_set(struct heap *heap, struct heap_node *node, int64_t due);

/* Take the node out; fine if it is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* The struct around a node. */
#define heap_entry(node, type, member) ((type *)(void *)((char *)(node) - offsetof(type, member)))

#endif
