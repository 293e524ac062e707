/* A bounded queue between threads: the place where our threads meet, and the only mutex that we have. What else is shared are single
 * numbers, which are atomic.
 *
 * Items are plain structs of one size, copied in and out in order. The memory is taken once; pushing and popping allocate
 * nothing. A reader sleeps on fifo_fd() with poll() or epoll, together with whatever else it waits for; one that has several
 * queues can have all of them ring one bell instead.
 * Any thread may push and pop at any time.
 */
#ifndef BASE_FIFO_H
#define BASE_FIFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fifo;

/* Returns NULL with errno set when there is no memory or no descriptor left. */
struct fifo *fifo_new(size_t item_size, size_t capacity);

/* A bell of one reader: readable once a queue rang it, until it is stilled. Returns a descriptor, the caller's to close when
 * its queues are freed; -1 with errno set. */
int fifo_bell_open(void);

/* Call it before looking at the queues, so that what is pushed meanwhile rings again. */
void fifo_bell_still(int bell_fd);

/* A queue that rings the bell when something is pushed and nothing was waiting: who leaves items in it is not rung for more of them. It
 * has no descriptor of its own. Returns NULL with errno set. */
struct fifo *fifo_new_ringing(size_t item_size, size_t capacity, int bell_fd);

/* Frees the queue, not what its items may own: pop them first. NULL is fine. */
void fifo_free(struct fifo *fifo);

/* Append the first items of `items` that fit. Returns how many were taken; the others are still the caller's and are
 * counted as refused. */
size_t fifo_push(struct fifo *fifo, const void *items, size_t count);

/* Append all of the items, side by side. Returns false, with none taken and all counted as refused, if they do not fit. */
bool fifo_push_all(struct fifo *fifo, const void *items, size_t count);

/* Take up to `max` items, oldest first. Returns how many. */
size_t fifo_pop(struct fifo *fifo, void *ret_items, size_t max);

/* Of fifo_new(). Readable (POLLIN) while items are waiting, and now and then when they were just taken: who is woken and finds none waits on.
 * Only for waiting: do not read from it. */
int fifo_fd(const struct fifo *fifo);

/* Items that did not fit since the start. */
uint64_t fifo_refused(struct fifo *fifo);

#endif
