#include "flow/hole.h"

#include "flow/disk.h"
#include "flow/store_state.h"

bool
block_is_evictable(const struct block *block)
{
	return block && block->loose == 0 && block->sent == 0;
}

/* The block that can be given up to the hole, or that begins one: what is needed last. Rows reach the disk in
 * order, so that the blocks without loose rows are the first ones. */
static struct block *
find_evictable(const struct queue *queue, struct block **ret_previous)
{
	const struct hole *hole = &queue->hole;
	struct block *previous = NULL, *last = NULL;

	if (hole->open) {
		struct block *after = hole->before ? hole->before->next : queue->head;

		*ret_previous = hole->before;
		if (block_is_evictable(after))
			return after;
		if (queue->hungry || !block_is_evictable(hole->before))
			return NULL;
	}
	for (struct block *block = queue->head; block && block->loose == 0; block = block->next) {
		if (block_is_evictable(block) && (!hole->open || block == hole->before)) {
			last = block;
			*ret_previous = previous;
		}
		if (hole->open && block == hole->before)
			break;
		previous = block;
	}
	return last;
}

static void
add_to_hole(struct store *store, struct queue *queue, struct block *block)
{
	struct hole *hole = &queue->hole;
	uint32_t offset = 0;

	for (uint32_t i = 0; i < block->rows; i++) {
		const struct row *row = row_at(block, offset);

		offset += row_bytes(row->length);
		if (row->state == ROW_DONE)
			continue;
		if (hole->rows == 0 || row->id <= hole->after_id)
			hole->after_id = row->id - 1;
		if (hole->rows == 0 || row->id > hole->last_id)
			hole->last_id = row->id;
		hole->rows++;
		hole->values += row->values;
		hole->bytes += spool_row_size(row->length);
		store->hole_bytes += spool_row_size(row->length);
		store->counts.rows++;
	}
	if (!hole->open || block->first_seq < hole->first_seq)
		hole->first_seq = block->first_seq;
	if (queue->live_seq <= block_last_seq(block))
		queue->live_seq = block_last_seq(block) + 1;
	hole->open = true;
}

static bool
evict_block(struct store *store, struct queue *queue)
{
	struct block *previous = NULL;
	struct block *block = find_evictable(queue, &previous);

	if (!block)
		return false;
	if (!queue->hole.open)
		queue->hole = (struct hole){ .before = previous };
	add_to_hole(store, queue, block);
	block_unlink(store, queue, previous, block);
	return true;
}

bool
hole_evict(struct store *store)
{
	struct queue *most = NULL;
	struct block *previous;

	if (!store->disk || !store->disk->known ||
	    (store->disk->busy &&
		(store->disk->job.task == SPOOLER_READ || store->disk->job.task == SPOOLER_DROP)))
		return false;
	for (size_t i = 0; i < store->device_count; i++) {
		struct queue *queue = &store->queues[i];

		if (queue->bytes > (most ? most->bytes : 0) && queue->rows > queue->loose &&
		    find_evictable(queue, &previous))
			most = queue;
	}
	return most && evict_block(store, most);
}

void
hole_fed(struct store *store, struct queue *queue)
{
	if (queue->hungry)
		store->hungry_count--;
	queue->hungry = false;
}

void
hole_close(struct store *store, struct queue *queue)
{
	struct hole *hole = &queue->hole;

	hole_fed(store, queue);
	/* rows that are not where they should be: damaged, or the file was replaced */
	store->counts.lost_rows += hole->rows;
	store->counts.rows -= hole->rows;
	store->hole_bytes -= hole->bytes;
	*hole = (struct hole){ .open = false };
}

void
hole_hungry(struct store *store, struct queue *queue)
{
	if (queue->hungry)
		return;
	queue->hungry = true;
	store->hungry_count++;
}

bool
hole_hides(const struct queue *queue, uint64_t last_seq)
{
	return queue->hole.open && (!queue->hole.before || block_last_seq(queue->hole.before) < last_seq);
}

void
hole_leave(struct store *store, struct hole *hole, uint64_t rows, uint64_t values, uint64_t bytes)
{
	rows = rows < hole->rows ? rows : hole->rows;
	bytes = bytes < hole->bytes ? bytes : hole->bytes;
	hole->rows -= rows;
	hole->values -= values < hole->values ? values : hole->values;
	hole->bytes -= bytes;
	store->hole_bytes -= bytes;
	store->counts.rows -= rows;
}
