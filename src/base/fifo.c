#include "base/fifo.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct fifo {
	pthread_mutex_t lock;
	size_t item_size;
	size_t capacity;
	size_t head; /* index of the oldest item */
	size_t used;
	uint64_t refused;
	uint64_t rings; /* writes to event_fd that nobody has read, of which some may be about to be made */
	int event_fd;	/* rung by the push that finds the queue empty, read by the pop that leaves it empty; or -1, and */
	int bell_fd;	/* this is, and read by whoever has it; -1 */
	unsigned char *items;
};

/* Returns NULL with errno set. */
static struct fifo *
make(size_t item_size, size_t capacity, int event_fd, int bell_fd)
{
	struct fifo *fifo = calloc(1, sizeof(*fifo));
	unsigned char *items = calloc(capacity, item_size);

	if (!fifo || !items) {
		free(fifo);
		free(items);
		errno = ENOMEM;
		return NULL;
	}
	fifo->item_size = item_size;
	fifo->capacity = capacity;
	fifo->event_fd = event_fd;
	fifo->bell_fd = bell_fd;
	fifo->items = items;
	pthread_mutex_init(&fifo->lock, NULL);
	return fifo;
}

int
fifo_bell_open(void)
{
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

void
fifo_bell_still(int bell_fd)
{
	eventfd_t counter;

	(void)eventfd_read(bell_fd, &counter);
}

struct fifo *
fifo_new(size_t item_size, size_t capacity)
{
	int event_fd = fifo_bell_open();
	struct fifo *fifo = event_fd >= 0 ? make(item_size, capacity, event_fd, -1) : NULL;

	if (!fifo && event_fd >= 0) {
		close(event_fd);
		errno = ENOMEM;
	}
	return fifo;
}

struct fifo *
fifo_new_ringing(size_t item_size, size_t capacity, int bell_fd)
{
	return make(item_size, capacity, -1, bell_fd);
}

/* A ring that is only about to be made wakes the reader for nothing, and is read then. */
static void
read_rings(struct fifo *fifo)
{
	eventfd_t counter;

	if (eventfd_read(fifo->event_fd, &counter) == 0)
		fifo->rings -= counter;
}

/* Whoever pushed last may be about to ring: its ring must not find another file under that descriptor. */
static void
await_rings(struct fifo *fifo)
{
	struct pollfd ring = { .fd = fifo->event_fd, .events = POLLIN };

	pthread_mutex_lock(&fifo->lock);
	for (; fifo->rings > 0; read_rings(fifo))
		poll(&ring, 1, -1);
	pthread_mutex_unlock(&fifo->lock);
}

void
fifo_free(struct fifo *fifo)
{
	if (!fifo)
		return;
	await_rings(fifo);
	pthread_mutex_destroy(&fifo->lock);
	if (fifo->event_fd >= 0)
		close(fifo->event_fd);
	free(fifo->items);
	free(fifo);
}

/* The ring wraps at most once in a run of items: copy it in two parts. */
static void
copy_in(struct fifo *fifo, size_t at, const unsigned char *items, size_t count)
{
	size_t first = count < fifo->capacity - at ? count : fifo->capacity - at;

	memcpy(fifo->items + at * fifo->item_size, items, first * fifo->item_size);
	memcpy(fifo->items, items + first * fifo->item_size, (count - first) * fifo->item_size);
}

static void
copy_out(const struct fifo *fifo, unsigned char *items, size_t count)
{
	size_t first = count < fifo->capacity - fifo->head ? count : fifo->capacity - fifo->head;

	memcpy(items, fifo->items + fifo->head * fifo->item_size, first * fifo->item_size);
	memcpy(items + first * fifo->item_size, fifo->items, (count - first) * fifo->item_size);
}

/* Append `count` items, or if not so many fit the first ones that do, or none. The reader is woken when the lock is free:
 * on another processor it would run into it. It may have taken the items by then, and finds that there are none. A bell is
 * rung with the lock held: nobody counts its rings, and it may be closed once the queue is freed. */
static size_t
push(struct fifo *fifo, const void *items, size_t count, bool whole)
{
	int event_fd = fifo->event_fd;
	bool first = false;
	size_t taken;

	pthread_mutex_lock(&fifo->lock);
	taken = count < fifo->capacity - fifo->used ? count : fifo->capacity - fifo->used;
	if (whole && taken < count)
		taken = 0;
	if (taken > 0) {
		copy_in(fifo, (fifo->head + fifo->used) % fifo->capacity, items, taken);
		first = fifo->used == 0;
		if (first && fifo->bell_fd >= 0)
			eventfd_write(fifo->bell_fd, 1);
		else
			fifo->rings += first;
		fifo->used += taken;
	}
	fifo->refused += count - taken;
	pthread_mutex_unlock(&fifo->lock);
	if (first && event_fd >= 0)
		eventfd_write(event_fd, 1);
	return taken;
}

size_t
fifo_push(struct fifo *fifo, const void *items, size_t count)
{
	return push(fifo, items, count, false);
}

bool
fifo_push_all(struct fifo *fifo, const void *items, size_t count)
{
	return push(fifo, items, count, true) == count;
}

size_t
fifo_pop(struct fifo *fifo, void *ret_items, size_t max)
{
	size_t taken;

	pthread_mutex_lock(&fifo->lock);
	taken = max < fifo->used ? max : fifo->used;
	if (taken > 0) {
		copy_out(fifo, ret_items, taken);
		fifo->used -= taken;
		/* What is empty begins anew, in memory that is in the caches. */
		fifo->head = fifo->used > 0 ? (fifo->head + taken) % fifo->capacity : 0;
	}
	if (fifo->used == 0 && fifo->rings > 0)
		read_rings(fifo);
	pthread_mutex_unlock(&fifo->lock);
	return taken;
}

int
fifo_fd(const struct fifo *fifo)
{
	return fifo->event_fd;
}

uint64_t
fifo_refused(struct fifo *fifo)
{
	uint64_t refused;

	pthread_mutex_lock(&fifo->lock);
	refused = fifo->refused;
	pthread_mutex_unlock(&fifo->lock);
	return refused;
}
