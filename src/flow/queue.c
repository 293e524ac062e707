#include "flow/queue.h"

#include <stdlib.h>
#include <string.h>

#include "flow/disk.h"
#include "flow/store_state.h"

#define SPARE_BLOCKS 64 /* kept for the next rows; what an outage took beyond goes back to the system */

void
block_free_chain(struct block *block)
{
	while (block) {
		struct block *next = block->next;

		free(block);
		block = next;
	}
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

void
block_unlink(struct store *store, struct queue *queue, struct block *previous, struct block *block)
{
	if (previous)
		previous->next = block->next;
	else
		queue->head = block->next;
	if (queue->tail == block)
		queue->tail = previous;
	if (queue->look == block)
		queue->look = NULL;
	if (queue->loose_from == block)
		queue->loose_from = block->next;
	if (queue->hole.before == block)
		queue->hole.before = previous;
	queue->rows -= block->due + block->sent;
	queue->loose -= block->loose;
	queue->bytes -= block->size;
	store->counts.rows -= block->due + block->sent;
	store->counts.bytes -= block->size;
	store->loose -= block->loose;
	block_give(store, block);
}

void
row_count_loose(struct store *store, struct queue *queue, struct block *block, const struct row *row)
{
	block->loose++;
	queue->loose++;
	store->loose++;
	store->loose_bytes += row_bytes(row->length);
}

void
row_count_safe(struct store *store, struct queue *queue, struct block *block, const struct row *row)
{
	block->loose--;
	queue->loose--;
	store->loose--;
	store->loose_bytes -= row_bytes(row->length);
}

void
row_set_state(struct block *block, struct row *row, enum row_state to)
{
	*(row->state == ROW_DUE ? &block->due : &block->sent) -= 1;
	row->state = to & 3u;
	*(to == ROW_DUE ? &block->due : &block->sent) += 1;
}

void
row_is_done(struct store *store, struct queue *queue, struct block *block, struct row *row)
{
	if (row->place != PLACE_DISK)
		row_count_safe(store, queue, block, row);
	disk_forget(store, row);
	*(row->state == ROW_DUE ? &block->due : &block->sent) -= 1;
	row->state = ROW_DONE;
	queue->rows--;
	store->counts.rows--;
}

uint64_t
block_drop(struct store *store, struct queue *queue, struct block *previous, struct block *block)
{
	uint64_t on_disk = 0;
	uint32_t offset = 0;

	for (uint32_t i = 0; i < block->rows; i++) {
		struct row *row = row_at(block, offset);

		offset += row_bytes(row->length);
		if (row->state == ROW_DONE)
			continue;
		store->counts.dropped_rows++;
		store->counts.dropped_values += row->values;
		on_disk += row->place == PLACE_DISK ? spool_row_size(row->length) : 0;
		row_is_done(store, queue, block, row);
	}
	block_unlink(store, queue, previous, block);
	return on_disk;
}

struct block *
block_insert(struct store *store, struct queue *queue, struct block *previous, uint32_t row_size)
{
	uint32_t size = (uint32_t)sizeof(struct block) + row_size;
	struct block *block;

	if (size < store->block_bytes)
		size = store->block_bytes;
	block = block_take(store, size);
	if (!block)
		return NULL;
	block->next = previous ? previous->next : queue->head;
	*(previous ? &previous->next : &queue->head) = block;
	if (queue->tail == previous)
		queue->tail = block;
	queue->bytes += size;
	store->counts.bytes += size;
	return block;
}

struct row *
row_put(struct store *store, struct queue *queue, struct block *block, int64_t ts_unix_ms, unsigned values,
    const char *members, size_t length)
{
	struct row *row = row_at(block, block->used);

	row->ts_unix_ms = ts_unix_ms;
	row->length = (uint32_t)length;
	row->values = values & ROW_VALUES_MAX;
	row->state = ROW_DUE;
	memcpy(row->members, members, length);
	block->used += row_bytes(length);
	block->rows++;
	block->due++;
	queue->rows++;
	store->counts.rows++;
	return row;
}

void
queue_drop(struct store *store, struct queue *queue)
{
	for (struct block *block = queue->head; block; block = block->next)
		for (uint32_t at = 0; at < block->used;) {
			const struct row *row = row_at(block, at);

			at += row_bytes(row->length);
			if (row->state == ROW_DONE || row->place == PLACE_DISK)
				continue;
			store->loose_bytes -= row_bytes(row->length);
			store->counts.dropped_rows++;
			store->counts.dropped_values += row->values;
		}
	store->loose -= queue->loose;
	store->counts.rows -= queue->rows + queue->hole.rows;
	store->counts.bytes -= queue->bytes;
	store->hole_bytes -= queue->hole.bytes;
	store->hungry_count -= queue->hungry;
	block_free_chain(queue->head);
	*queue = (struct queue){ .head = NULL };
}
