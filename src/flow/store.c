#include "flow/store.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/wall.h"
#include "flow/disk.h"
#include "flow/hole.h"
#include "flow/store_state.h"

#define BLOCK_BYTES_MAX 4096
#define BLOCK_BYTES_MIN 512

uint32_t
store_block_bytes(size_t device_count, size_t max_bytes)
{
	size_t share = max_bytes / (4 * (device_count ? device_count : 1));

	return share > BLOCK_BYTES_MAX	 ? BLOCK_BYTES_MAX
	       : share < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN
					 : (uint32_t)share;
}

struct store *
store_new(size_t device_count, size_t max_bytes)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->device_count = device_count;
	store->max_bytes = max_bytes;
	store->block_bytes = store_block_bytes(device_count, max_bytes);
	store->boot.tag = wall_boot_tag();
	store->queues = calloc(device_count + 1, sizeof(store->queues[0]));
	store->ready = calloc(device_count + 1, sizeof(store->ready[0]));
	if (!store->queues || !store->ready) {
		free(store->queues);
		free(store->ready);
		free(store);
		return NULL;
	}
	for (size_t i = 0; i < device_count; i++)
		store->queues[i].next_seq = store->queues[i].live_seq = 1;
	return store;
}

void
store_free(struct store *store)
{
	if (!store)
		return;
	disk_free(store->disk);
	free(store->ready);
	for (size_t i = 0; i < store->device_count; i++)
		block_free_chain(store->queues[i].head);
	block_free_chain(store->spare);
	free(store->queues);
	free(store);
}

/* ---- bounds of memory ---- */

static struct queue *
holds_most(struct store *store)
{
	struct queue *most = &store->queues[0];

	for (size_t i = 1; i < store->device_count; i++)
		if (store->queues[i].bytes > most->bytes)
			most = &store->queues[i];
	return most;
}

/* What waits for its PUBACK may be there already: it is dropped only when there is nothing else. */
static void
drop_from(struct store *store, struct queue *queue)
{
	struct block *previous = NULL, *victim_previous = NULL, *victim = queue->head;

	for (struct block *block = queue->head; block; block = block->next) {
		if (block->sent == 0) {
			if (victim->sent > 0 || store->drop == DROP_NEWEST) {
				victim = block;
				victim_previous = previous;
			}
			if (store->drop == DROP_OLDEST)
				break;
		}
		previous = block;
	}
	block_drop(store, queue, victim_previous, victim);
}

/* A block at a time is dropped, so that looking for the device that holds most is rare. Returns false if what
 * wants the room is what should go. */
static bool
make_room(struct store *store, const struct queue *wants, uint32_t size)
{
	while (store->counts.bytes > 0 && store->counts.bytes + size > store->max_bytes) {
		struct queue *most;

		if (hole_evict(store))
			continue;
		most = holds_most(store);
		if (store->drop == DROP_NEWEST && most == wants)
			return false;
		drop_from(store, most);
	}
	return true;
}

/* Where the next row of the queue goes. */
static int
room_for_row(struct store *store, struct queue *queue, uint32_t size)
{
	struct block *block = queue->tail;
	uint32_t whole = (uint32_t)sizeof(*block) + size;

	if (block && block->size - sizeof(*block) - block->used >= size &&
	    !(queue->hole.open && queue->hole.before == block))
		return 0;
	if (!make_room(store, queue, whole > store->block_bytes ? whole : store->block_bytes))
		return -ENOBUFS;
	block = block_insert(store, queue, queue->tail, size);
	if (!block)
		return -ENOMEM;
	block->first_seq = queue->next_seq;
	return 0;
}

static void
note_loose(struct store *store, struct queue *queue, struct row *row)
{
	row->place = PLACE_MEMORY;
	row->id = 0;
	row_count_loose(store, queue, queue->tail, row);
	if (!queue->loose_from)
		queue->loose_from = queue->tail;
	disk_expect(store, row);
}

int
store_append(struct store *store, size_t device, int64_t ts_ms, enum store_epoch epoch, unsigned values,
    const char *members, size_t length)
{
	struct queue *queue = &store->queues[device];
	struct row *row;
	int error;

	/* One row must not cost a quarter of what everybody has to share, nor an absurd amount of memory. */
	if (length > UINT32_MAX / 4 || sizeof(struct block) + row_bytes(length) > store->max_bytes / 4 ||
	    values > ROW_VALUES_MAX)
		return -EMSGSIZE;
	error = room_for_row(store, queue, row_bytes(length));
	if (error == -ENOBUFS) {
		store->counts.dropped_rows++;
		store->counts.dropped_values += values;
		return 0;
	}
	if (error < 0)
		return error;
	if (epoch == STORE_BOOT)
		ts_ms = row_time_undated(&store->boot, ts_ms);
	row = row_put(store, queue, queue->tail, ts_ms, values, members, length);
	note_loose(store, queue, row);
	queue->next_seq++;
	return 0;
}

/* With flush_after_ms = 0 a row is written before it is sent, while there is a disk that takes it. */
static bool
may_be_sent(const struct store *store, const struct row *row)
{
	const struct disk *disk = store->disk;

	return row->state == ROW_DUE &&
	       (row->place == PLACE_DISK || !disk || (!disk->open && !disk->turning) ||
		   disk->settings->flush_after_ms > 0 || disk->used_bytes > disk->high_bytes);
}

/* Where a search begins or goes on: a row of a block, and its number. */
struct place {
	struct block *block;
	uint32_t offset;
	uint64_t seq;
};

/* Find the first row that may be sent with after_seq < seq < end_seq, from the given place on and not beyond
 * the hole. */
static bool
find_due(struct store *store, struct queue *queue, struct place *place, uint64_t after_seq, uint64_t end_seq)
{
	struct block *block = place->block;

	while (block && block->first_seq < end_seq) {
		if (block->due > 0 && block_last_seq(block) > after_seq) {
			for (; place->offset < block->used && place->seq < end_seq; place->seq++) {
				const struct row *row = row_at(block, place->offset);

				if (place->seq > after_seq && row->state == ROW_DUE &&
				    row_time_is_undated(row->ts_unix_ms))
					return false;
				if (place->seq > after_seq && may_be_sent(store, row)) {
					place->block = block;
					return true;
				}
				place->offset += row_bytes(row->length);
			}
		}
		if (queue->hole.open && queue->hole.before == block)
			return false;
		block = block->next;
		place->offset = 0;
		place->seq = block ? block->first_seq : 0;
	}
	return false;
}

static bool
find_from_head(
    struct store *store, struct queue *queue, struct place *place, uint64_t after_seq, uint64_t end_seq)
{
	if (queue->hole.open && !queue->hole.before)
		return false;
	*place = (struct place){ .block = queue->head, .seq = queue->head ? queue->head->first_seq : 0 };
	return find_due(store, queue, place, after_seq, end_seq);
}

static bool
find_live(struct store *store, struct queue *queue, struct place *place, uint64_t after_seq)
{
	struct block *block = queue->head;

	if (after_seq < queue->live_seq)
		after_seq = queue->live_seq - 1;
	while (block && block_last_seq(block) <= after_seq)
		block = block->next;
	*place = (struct place){ .block = block, .seq = block ? block->first_seq : 0 };
	return find_due(store, queue, place, after_seq, UINT64_MAX);
}

/* A batch is all live or all old, since it names its rows by the first and the last. */
static bool
find_next(struct store *store, struct queue *queue, struct place *place, uint64_t after_seq)
{
	bool live_first = store->replay == REPLAY_LIVE_FIRST;
	uint64_t end_seq = live_first ? queue->live_seq : UINT64_MAX;

	if (queue->look && queue->look_seq == after_seq + 1) {
		*place = (struct place){ queue->look, queue->look_offset, queue->look_seq };
		return find_due(store, queue, place, after_seq,
		    live_first && after_seq < queue->live_seq ? queue->live_seq : UINT64_MAX);
	}
	if (live_first && (after_seq == 0 || after_seq >= queue->live_seq)) {
		if (find_live(store, queue, place, after_seq))
			return true;
		if (after_seq > 0)
			return false;
	}
	return find_from_head(store, queue, place, after_seq, end_seq);
}

static struct store_row
show_row(const struct place *place)
{
	const struct row *row = row_at(place->block, place->offset);

	return (struct store_row){
		.seq = place->seq,
		.ts_unix_ms = row->ts_unix_ms,
		.values = row->values,
		.members = row->members,
		.length = row->length,
	};
}

int
store_next(struct store *store, size_t device, uint64_t after_seq, struct store_row *ret)
{
	struct queue *queue = &store->queues[device];
	struct place place;

	if (store->disk && store->disk->hold_mono_ms != CLOCK_NEVER && store->replay == REPLAY_IN_ORDER)
		return -ENOENT;
	if (!find_next(store, queue, &place, after_seq)) {
		if (queue->hole.open)
			hole_hungry(store, queue);
		return -ENOENT;
	}
	*ret = show_row(&place);
	queue->look = place.block;
	queue->look_offset = place.offset + row_bytes(ret->length);
	queue->look_seq = place.seq + 1;
	if (queue->hole.open && queue->hole.before == place.block)
		hole_hungry(store, queue);
	return 0;
}

int
store_find(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq, struct store_row *ret)
{
	struct queue *queue = &store->queues[device];
	struct place place;

	if (find_from_head(store, queue, &place, first_seq - 1, last_seq + 1)) {
		*ret = show_row(&place);
		return 0;
	}
	if (!hole_hides(queue, last_seq))
		return -ENOENT;
	hole_hungry(store, queue);
	return -EAGAIN;
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
		if (to == ROW_DONE)
			row_is_done(store, queue, block, row);
		else
			row_set_state(block, row, to);
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
			block_unlink(store, queue, previous, block);
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
store_unsend(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq)
{
	mark(store, device, first_seq, last_seq, ROW_DUE);
}

void
store_rewind(struct store *store, size_t device)
{
	mark(store, device, 0, UINT64_MAX, ROW_DUE);
}

void
store_begin(struct store *store, size_t device)
{
	store->queues[device].live_seq = store->queues[device].next_seq;
}

size_t
store_depth(const struct store *store, size_t device)
{
	return store->queues[device].rows + store->queues[device].hole.rows;
}

static int64_t
first_time(const struct block *block)
{
	for (uint32_t offset = 0; offset < block->used;) {
		const struct row *row = (const struct row *)(const void *)(block->data + offset);

		if (row->state != ROW_DONE)
			return row->ts_unix_ms;
		offset += row_bytes(row->length);
	}
	return 0;
}

int64_t
store_oldest(const struct store *store, size_t device)
{
	const struct queue *queue = &store->queues[device];
	const struct block *block = queue->head;
	int64_t ts_ms;

	if (queue->hole.open && !queue->hole.before)
		return 0; /* the disk knows */
	while (block && block->due == 0 && block->sent == 0)
		block = block->next;
	ts_ms = block ? first_time(block) : 0;
	if (!row_time_is_undated(ts_ms))
		return ts_ms;
	return store->boot.dated && row_time_is_of(&store->boot, ts_ms) ? row_time_date(&store->boot, ts_ms)
									: 0;
}

struct store_counts
store_counts(const struct store *store)
{
	struct store_counts counts = store->counts;

	counts.unsaved_rows = store->loose;
	return counts;
}

void
store_health(const struct store *store, struct health_store *ret)
{
	const struct disk *disk = store->disk;

	*ret = (struct health_store){
		.rows = store->counts.rows,
		.unsaved_rows = store->loose,
		.memory_bytes = store->counts.bytes,
		.dropped_rows = store->counts.dropped_rows,
		.aged_rows = store->counts.aged_rows,
		.lost_rows = store->counts.lost_rows,
		.undated_rows = store->counts.undated_rows,
		.damaged_rows = store->counts.damaged_rows,
		.on_disk = disk != NULL,
	};
	if (!disk)
		return;
	ret->disk_bytes = disk->used_bytes;
	ret->disk_error = disk->fault_mono_ms != CLOCK_NEVER ? disk->fault : 0;
	ret->disk_busy_ms = disk->busy ? clock_mono_ms() - disk->asked_mono_ms : 0;
}

void
store_note_ready(struct store *store, size_t device)
{
	struct queue *queue = &store->queues[device];

	if (queue->ready)
		return;
	queue->ready = true;
	store->ready[store->ready_count++] = device;
}

void
store_all_ready(struct store *store)
{
	for (size_t i = 0; i < store->device_count; i++)
		store_note_ready(store, i);
}

void
store_date(struct store *store, int64_t boot_unix_ms)
{
	store->boot.dated = true;
	store->boot.unix_ms = boot_unix_ms;
	for (size_t i = 0; i < store->device_count; i++) {
		for (struct block *block = store->queues[i].head; block; block = block->next)
			for (uint32_t at = 0; at < block->used;) {
				struct row *row = row_at(block, at);

				row->ts_unix_ms = row_time_date(&store->boot, row->ts_unix_ms);
				at += row_bytes(row->length);
			}
		store_note_ready(store, i);
	}
}

bool
store_ready(struct store *store, size_t *ret_device)
{
	if (store->ready_count == 0)
		return false;
	*ret_device = store->ready[--store->ready_count];
	store->queues[*ret_device].ready = false;
	return true;
}
