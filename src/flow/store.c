#include "flow/store.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Rows live in blocks, and memory is taken and given back by the block: no allocation a row, no fragments. */
#define BLOCK_BYTES_MAX 4096
#define BLOCK_BYTES_MIN 512
#define SPARE_BLOCKS	64 /* kept for the next rows; what an outage took beyond that goes back to the system \
			    */
#define ROW_VALUES_MAX ((1u << 29) - 1)

enum row_state { ROW_DUE, ROW_SENT, ROW_DONE };

struct row {
	int64_t ts_ms;
	uint32_t length;
	uint32_t values : 29;
	uint32_t since_boot : 1;
	uint32_t state : 2;
	char members[];
};

struct block {
	struct block *next;
	uint64_t first_seq; /* the rows of a block are numbered without a gap */
	uint32_t rows;
	uint32_t due; /* rows in ROW_DUE, in ROW_SENT; the rest is done */
	uint32_t sent;
	uint32_t used; /* bytes of data */
	uint32_t size;
	char data[] __attribute__((aligned(8)));
};

struct queue {
	struct block *head, *tail;
	uint64_t next_seq;
	size_t rows;
	size_t bytes;
	/* Where store_next() goes on when it is asked for the row after the last one it gave. */
	struct block *look;
	uint32_t look_offset;
	uint64_t look_seq; /* of the row at look_offset */
};

struct store {
	size_t device_count;
	size_t max_bytes;
	uint32_t block_bytes;
	struct block *spare;
	size_t spare_count;
	struct store_counts counts;
	struct queue queues[];
};

struct store *
store_new(size_t device_count, size_t max_bytes)
{
	struct store *store = calloc(1, sizeof(*store) + device_count * sizeof(store->queues[0]));
	size_t share = max_bytes / (4 * (device_count ? device_count : 1));

	if (!store)
		return NULL;
	store->device_count = device_count;
	store->max_bytes = max_bytes;
	/* With many devices in little memory each needs room for several blocks, or one row would cost a
	 * block. */
	store->block_bytes = share > BLOCK_BYTES_MAX   ? BLOCK_BYTES_MAX
			     : share < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN
						       : (uint32_t)share;
	for (size_t i = 0; i < device_count; i++)
		store->queues[i].next_seq = 1;
	return store;
}

static void
free_chain(struct block *block)
{
	while (block) {
		struct block *next = block->next;

		free(block);
		block = next;
	}
}

void
store_free(struct store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < store->device_count; i++)
		free_chain(store->queues[i].head);
	free_chain(store->spare);
	free(store);
}

static struct row *
row_at(struct block *block, uint32_t offset)
{
	return (struct row *)(void *)(block->data + offset);
}

static uint32_t
row_bytes(size_t length)
{
	return (uint32_t)((sizeof(struct row) + length + 7) & ~(size_t)7);
}

static uint64_t
block_last_seq(const struct block *block)
{
	return block->first_seq + block->rows - 1;
}

static struct block *
block_take(struct store *store, uint32_t size)
{
	struct block *block;

	if (size == store->block_bytes && store->spare) {
		block = store->spare;
		store->spare = block->next;
		store->spare_count--;
	} else {
		block = malloc(size);
		if (!block)
			return NULL;
	}
	memset(block, 0, sizeof(*block));
	block->size = size;
	return block;
}

static void
block_give(struct store *store, struct block *block)
{
	if (block->size != store->block_bytes || store->spare_count == SPARE_BLOCKS) {
		free(block);
		return;
	}
	block->next = store->spare;
	store->spare = block;
	store->spare_count++;
}

/* Take a block out of its queue, with whatever rows are still in it. */
static void
unlink_block(struct store *store, struct queue *queue, struct block *previous, struct block *block)
{
	if (previous)
		previous->next = block->next;
	else
		queue->head = block->next;
	if (queue->tail == block)
		queue->tail = previous;
	if (queue->look == block)
		queue->look = NULL;
	queue->rows -= block->due + block->sent;
	queue->bytes -= block->size;
	store->counts.rows -= block->due + block->sent;
	store->counts.bytes -= block->size;
	block_give(store, block);
}

static void
drop_oldest_block(struct store *store, struct queue *queue)
{
	struct block *block = queue->head;
	uint32_t offset = 0;

	for (uint32_t i = 0; i < block->rows; i++) {
		const struct row *row = row_at(block, offset);

		if (row->state != ROW_DONE) {
			store->counts.dropped_rows++;
			store->counts.dropped_values += row->values;
		}
		offset += row_bytes(row->length);
	}
	unlink_block(store, queue, NULL, block);
}

/* A block at a time is dropped, so that looking for the device that holds most is rare. */
static void
make_room(struct store *store, uint32_t size)
{
	while (store->counts.bytes > 0 && store->counts.bytes + size > store->max_bytes) {
		struct queue *most = &store->queues[0];

		for (size_t i = 1; i < store->device_count; i++)
			if (store->queues[i].bytes > most->bytes)
				most = &store->queues[i];
		drop_oldest_block(store, most);
	}
}

static int
add_block(struct store *store, struct queue *queue, uint32_t row_size)
{
	uint32_t size = (uint32_t)sizeof(struct block) + row_size;
	struct block *block;

	if (size < store->block_bytes)
		size = store->block_bytes;
	make_room(store, size);
	block = block_take(store, size);
	if (!block)
		return -ENOMEM;
	block->first_seq = queue->next_seq;
	if (queue->tail)
		queue->tail->next = block;
	else
		queue->head = block;
	queue->tail = block;
	queue->bytes += size;
	store->counts.bytes += size;
	return 0;
}

int
store_append(struct store *store, size_t device, int64_t ts_ms, enum store_epoch epoch, unsigned values,
    const char *members, size_t length)
{
	struct queue *queue = &store->queues[device];
	struct block *block = queue->tail;
	uint32_t size;
	struct row *row;

	/* One row must not cost a quarter of what everybody has to share, nor an absurd amount of memory. */
	if (length > UINT32_MAX / 4 || sizeof(struct block) + row_bytes(length) > store->max_bytes / 4 ||
	    values > ROW_VALUES_MAX)
		return -EMSGSIZE;
	size = row_bytes(length);
	if (!block || block->size - sizeof(*block) - block->used < size) {
		int error = add_block(store, queue, size);

		if (error < 0)
			return error;
		block = queue->tail;
	}
	row = row_at(block, block->used);
	row->ts_ms = ts_ms;
	row->since_boot = epoch == STORE_BOOT;
	row->length = (uint32_t)length;
	row->values = values & ROW_VALUES_MAX;
	row->state = ROW_DUE;
	memcpy(row->members, members, length);
	block->used += size;
	block->rows++;
	block->due++;
	queue->next_seq++;
	queue->rows++;
	store->counts.rows++;
	return 0;
}

void
store_date(struct store *store, int64_t boot_unix_ms)
{
	for (size_t i = 0; i < store->device_count; i++)
		for (struct block *block = store->queues[i].head; block; block = block->next)
			for (uint32_t offset = 0; offset < block->used;) {
				struct row *row = row_at(block, offset);

				row->ts_ms += row->since_boot ? boot_unix_ms : 0;
				row->since_boot = 0;
				offset += row_bytes(row->length);
			}
}

/* Find the first due row after `after_seq` from the given place on. */
static struct block *
find_due(struct block *block, uint32_t offset, uint64_t seq, uint64_t after_seq, uint32_t *ret_offset,
    uint64_t *ret_seq)
{
	while (block) {
		if (block->due > 0 && block_last_seq(block) > after_seq) {
			for (; offset < block->used; seq++) {
				const struct row *row = row_at(block, offset);

				if (row->since_boot)
					return NULL;
				if (seq > after_seq && row->state == ROW_DUE) {
					*ret_offset = offset;
					*ret_seq = seq;
					return block;
				}
				offset += row_bytes(row->length);
			}
		}
		block = block->next;
		offset = 0;
		seq = block ? block->first_seq : 0;
	}
	return NULL;
}

int
store_next(struct store *store, size_t device, uint64_t after_seq, struct store_row *ret)
{
	struct queue *queue = &store->queues[device];
	struct block *block;
	const struct row *row;
	uint32_t offset;
	uint64_t seq;

	if (queue->look && queue->look_seq == after_seq + 1)
		block = find_due(queue->look, queue->look_offset, queue->look_seq, after_seq, &offset, &seq);
	else if (queue->head)
		block = find_due(queue->head, 0, queue->head->first_seq, after_seq, &offset, &seq);
	else
		block = NULL;
	if (!block)
		return -ENOENT;
	row = row_at(block, offset);
	*ret = (struct store_row){
		.seq = seq,
		.ts_unix_ms = row->ts_ms,
		.values = row->values,
		.members = row->members,
		.length = row->length,
	};
	queue->look = block;
	queue->look_offset = offset + row_bytes(row->length);
	queue->look_seq = seq + 1;
	return 0;
}

/* Put the rows first_seq..last_seq of one block into another state; what is done stays done. */
static void
mark_rows(struct store *store, struct queue *queue, struct block *block, uint64_t first_seq,
    uint64_t last_seq, enum row_state to)
{
	uint64_t seq = block->first_seq;

	for (uint32_t offset = 0; offset < block->used && seq <= last_seq; seq++) {
		struct row *row = row_at(block, offset);

		offset += row_bytes(row->length);
		if (seq < first_seq || row->state == ROW_DONE || row->state == (uint32_t)to)
			continue;
		*(row->state == ROW_DUE ? &block->due : &block->sent) -= 1;
		row->state = to & 3u;
		if (to == ROW_DONE) {
			queue->rows--;
			store->counts.rows--;
		} else {
			*(to == ROW_DUE ? &block->due : &block->sent) += 1;
		}
	}
}

static void
mark(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq, enum row_state to)
{
	struct queue *queue = &store->queues[device];
	struct block *previous = NULL;
	struct block *next;

	for (struct block *block = queue->head; block && block->first_seq <= last_seq; block = next) {
		next = block->next;
		if (block_last_seq(block) >= first_seq && (to != ROW_DUE || block->sent > 0))
			mark_rows(store, queue, block, first_seq, last_seq, to);
		if (block->due == 0 && block->sent == 0)
			unlink_block(store, queue, previous, block);
		else
			previous = block;
	}
}

void
store_sent(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq)
{
	mark(store, device, first_seq, last_seq, ROW_SENT);
}

void
store_confirm(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq)
{
	mark(store, device, first_seq, last_seq, ROW_DONE);
}

void
store_rewind(struct store *store, size_t device)
{
	mark(store, device, 0, UINT64_MAX, ROW_DUE);
}

size_t
store_depth(const struct store *store, size_t device)
{
	return store->queues[device].rows;
}

struct store_counts
store_counts(const struct store *store)
{
	return store->counts;
}
