#include "flow/store.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wall.h"
#include "flow/disk.h"
#include "flow/hole.h"
#include "flow/queue.h"
#include "flow/row_time.h"
#include "flow/spooler.h"
#include "flow/store_state.h"

#define BLOCK_BYTES_MAX 4096
#define BLOCK_BYTES_MIN 512

#define FIRST_SEQ	 (UINT64_C(1) << 40) /* of this run: what is on disk from before comes before it */
#define FORGET_AFTER_MS	 1000		     /* acknowledged rows leave the disk together */
#define HOLD_MS		 60000		     /* what is new waits so long for the look at what is on disk */
#define RETRY_MIN_MS	 1000
#define RETRY_MAX_MS	 60000
#define AGE_LOOK_MS	 600000
#define STOP_MS		 1000
#define WRITE_BYTES_MAX	 (2u << 20) /* in one transaction */
#define READ_BYTES_MAX	 (1u << 20)
#define READ_DEVICE_MAX	 (128u << 10)
#define READ_DEVICE_MIN	 (4u << 10)

/* With many devices in little memory each needs room for several blocks, or one row would cost a block. */
static uint32_t
choose_block_bytes(size_t device_count, size_t max_bytes)
{
	size_t share = max_bytes / (4 * (device_count ? device_count : 1));

	return share > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX : share < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : (uint32_t)share;
}

struct store *
store_new(size_t device_count, size_t max_bytes)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->device_count = device_count;
	store->max_bytes = max_bytes;
	store->block_bytes = choose_block_bytes(device_count, max_bytes);
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

/* A thread that is stuck in the disk keeps what it works on. */
static void
disk_free(struct disk *disk)
{
	if (!disk)
		return;
	if (disk->spooler) {
		if (disk->busy || !spooler_stop(disk->spooler, STOP_MS))
			return;
	}
	free(disk->job.rows.data);
	free(disk->job.gone);
	free(disk->job.ranges);
	free(disk->gone);
	free(disk);
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

/* A row that is on disk, or on the way there, is forgotten there too. Without memory for that it would be
 * sent once more after a restart. */
void
disk_forget(struct store *store, const struct row *row)
{
	struct disk *disk = store->disk;

	if (row->place == PLACE_MEMORY)
		return;
	if (disk->gone_count == disk->gone_size) {
		size_t size = disk->gone_size ? disk->gone_size * 2 : 1024;
		uint64_t *gone = realloc(disk->gone, size * sizeof(gone[0]));

		if (!gone)
			return;
		disk->gone = gone;
		disk->gone_size = size;
	}
	disk->gone[disk->gone_count++] = row->id;
	if (disk->gone_mono_ms == CLOCK_NEVER)
		disk->gone_mono_ms = clock_mono_ms() + FORGET_AFTER_MS;
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
	struct block *previous = NULL, *victim_previous = NULL, *victim = NULL;

	for (struct block *block = queue->head; block; block = block->next) {
		if (block->sent == 0 || !victim) {
			bool better = !victim || victim->sent > 0 || store->drop == DROP_NEWEST;

			if (better) {
				victim = block;
				victim_previous = previous;
			}
			if (store->drop == DROP_OLDEST && block->sent == 0)
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

/* The clock is asked only if there is a disk to write to. */
static void
note_loose(struct store *store, struct queue *queue, struct row *row)
{
	struct disk *disk = store->disk;

	row->place = PLACE_MEMORY;
	row->id = 0;
	row_count_loose(store, queue, queue->tail, row);
	if (!queue->loose_from)
		queue->loose_from = queue->tail;
	if (!disk)
		return;
	row->id = (uint64_t)clock_mono_ms();
	if (disk->flush_mono_ms == CLOCK_NEVER)
		disk->flush_mono_ms = (int64_t)row->id + disk->settings->flush_after_ms;
	if (store->loose_bytes > store->max_bytes / 4)
		disk->flush_mono_ms = 0; /* memory is short: do not wait */
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
	       (row->place == PLACE_DISK || !disk || (!disk->open && !disk->turning) || disk->settings->flush_after_ms > 0 ||
		   disk->used_bytes > disk->high_bytes);
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

				if (place->seq > after_seq && row->state == ROW_DUE && row_time_is_undated(row->ts_unix_ms))
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
	return store->boot.dated && row_time_is_of(&store->boot, ts_ms) ? row_time_date(&store->boot, ts_ms) : 0;
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

/* ---- the disk: what it is asked to do ---- */

static void
note_ready(struct store *store, size_t device)
{
	struct queue *queue = &store->queues[device];

	if (queue->ready)
		return;
	queue->ready = true;
	store->ready[store->ready_count++] = device;
}

static void
all_ready(struct store *store)
{
	for (size_t i = 0; i < store->device_count; i++)
		note_ready(store, i);
}

static void
ask(struct store *store, enum spooler_task task)
{
	store->disk->job.task = task;
	store->disk->busy = true;
	store->disk->asked_mono_ms = clock_mono_ms();
	spooler_ask(store->disk->spooler, &store->disk->job);
}

static bool
is_to_write(const struct row *row)
{
	return row->state != ROW_DONE && (row->place == PLACE_MEMORY || row->place == PLACE_UNCERTAIN);
}

static int64_t
came_mono_ms(const struct row *row)
{
	return row->place == PLACE_MEMORY ? (int64_t)row->id : 0;
}

static struct row *
first_loose(struct queue *queue)
{
	while (queue->loose_from && queue->loose_from->loose == 0)
		queue->loose_from = queue->loose_from->next;
	for (uint32_t at = 0; queue->loose_from && at < queue->loose_from->used;) {
		struct row *row = row_at(queue->loose_from, at);

		if (is_to_write(row))
			return row;
		at += row_bytes(row->length);
	}
	return NULL;
}

/* Put the loose rows of one device into the job. Returns false when the job is full. */
static bool
gather_device(struct store *store, size_t device)
{
	struct queue *queue = &store->queues[device];
	struct disk *disk = store->disk;

	for (struct block *block = queue->loose_from; block; block = block->next) {
		for (uint32_t at = 0; block->loose > 0 && at < block->used;) {
			struct row *row = row_at(block, at);
			struct spool_row head = { .id = row->place == PLACE_MEMORY ? disk->next_id : row->id,
				.ts_unix_ms = row->ts_unix_ms,
				.device = (uint32_t)device,
				.values = row->values,
				.length = row->length };

			at += row_bytes(row->length);
			if (!is_to_write(row))
				continue;
			if (disk->job.rows.used >= disk->write_bytes ||
			    spool_rows_add(&disk->job.rows, &head, row->members) < 0)
				return false;
			disk->next_id += row->place == PLACE_MEMORY;
			row->id = head.id;
			row->place = PLACE_WRITING;
			queue->writing = true;
		}
	}
	return true;
}

/* A device with a row that has waited too long writes all that it has: the next ones would follow one by one.
 */
static void
gather(struct store *store, int64_t now)
{
	struct disk *disk = store->disk;
	int64_t wait = disk->settings->flush_after_ms;
	bool everything = disk->closing || store->loose_bytes > store->max_bytes / 4;
	int64_t next = CLOCK_NEVER;

	disk->job.rows.used = 0;
	for (size_t i = 0; i < store->device_count; i++) {
		size_t device = (disk->turn + i) % store->device_count;
		const struct row *row =
		    store->queues[device].loose > 0 ? first_loose(&store->queues[device]) : NULL;

		if (!row)
			continue;
		if (!everything && came_mono_ms(row) + wait > now) {
			next = came_mono_ms(row) + wait < next ? came_mono_ms(row) + wait : next;
		} else if (!gather_device(store, device)) {
			disk->turn = device; /* the rest follows at once */
			next = 0;
			break;
		}
	}
	if (next == 0 && disk->job.rows.used == 0)
		next = now + RETRY_MIN_MS; /* no memory for the job */
	disk->flush_mono_ms = next;
}

static bool
has_room(const struct disk *disk)
{
	return disk->used_bytes <= disk->high_bytes;
}

static bool
write_due(const struct store *store, int64_t now)
{
	const struct disk *disk = store->disk;

	if (disk->closing)
		return disk->gone_count > 0 || (store->loose > 0 && has_room(disk));
	return (disk->flush_mono_ms <= now && has_room(disk)) || disk->gone_mono_ms <= now;
}

static bool
ask_write(struct store *store, int64_t now)
{
	struct disk *disk = store->disk;
	uint64_t *spare = disk->job.gone;
	size_t spare_size = disk->job.gone_size;

	if (!write_due(store, now))
		return false;
	disk->job.rows.used = 0;
	if (has_room(disk) && (disk->closing || disk->flush_mono_ms <= now))
		gather(store, now);
	disk->job.gone = disk->gone;
	disk->job.gone_count = disk->gone_count;
	disk->job.gone_size = disk->gone_size;
	disk->gone = spare;
	disk->gone_size = spare_size;
	disk->gone_count = 0;
	disk->gone_mono_ms = CLOCK_NEVER;
	if (disk->job.rows.used == 0 && disk->job.gone_count == 0)
		return false;
	ask(store, SPOOLER_WRITE);
	return true;
}

static void
want_nothing(struct store *store)
{
	for (size_t i = 0; i < store->device_count; i++) {
		struct spool_range *range = &store->disk->job.ranges[i];
		const struct hole *hole = &store->queues[i].hole;

		*range = (struct spool_range){ .after_id = hole->after_id, .last_id = hole->last_id };
	}
	store->disk->job.newest_first = store->drop == DROP_NEWEST;
	store->disk->job.before_unix_ms = 0;
}

/* Read back for the devices whose sessions wait for it, all alike. */
static bool
ask_read(struct store *store)
{
	struct disk *disk = store->disk;
	size_t limit = store->max_bytes / 8 < READ_BYTES_MAX ? store->max_bytes / 8 : READ_BYTES_MAX;
	size_t share;

	if (store->hungry_count == 0 || disk->closing)
		return false;
	while (store->counts.bytes + 2 * limit > store->max_bytes && hole_evict(store))
		;
	if (store->counts.bytes + 2 * limit > store->max_bytes)
		return false;
	share = limit / store->hungry_count;
	share = share < READ_DEVICE_MIN ? READ_DEVICE_MIN : share > READ_DEVICE_MAX ? READ_DEVICE_MAX : share;
	want_nothing(store);
	for (size_t i = 0; i < store->device_count; i++)
		if (store->queues[i].hungry && store->queues[i].hole.open)
			disk->job.ranges[i].wanted = share;
	disk->job.limit = limit;
	ask(store, SPOOLER_READ);
	return true;
}

/* How much each may keep, so that the devices that hold most give up `need` bytes together. */
static uint64_t
fair_level(const struct store *store, uint64_t need)
{
	uint64_t low = 0, high = 0;

	for (size_t i = 0; i < store->device_count; i++)
		high = store->queues[i].hole.bytes > high ? store->queues[i].hole.bytes : high;
	while (low < high) {
		uint64_t level = low + (high - low + 1) / 2;
		uint64_t freed = 0;

		for (size_t i = 0; i < store->device_count; i++)
			if (store->queues[i].hole.bytes > level)
				freed += store->queues[i].hole.bytes - level;
		if (freed >= need)
			low = level;
		else
			high = level - 1;
	}
	return low;
}

/* Nothing is on disk only: give up blocks that are in memory as well. */
static void
drop_both(struct store *store, uint64_t need)
{
	uint64_t freed = 0;

	while (freed < need) {
		struct queue *most = NULL;

		for (size_t i = 0; i < store->device_count; i++) {
			struct queue *queue = &store->queues[i];

			if (block_is_evictable(queue->head) && queue->rows > (most ? most->rows : 0))
				most = queue;
		}
		if (!most)
			return;
		freed += block_drop(store, most, NULL, most->head);
	}
}

/* What is oldest is in memory as well, before the hole. Returns about how many bytes that frees on disk. */
static uint64_t
drop_before_hole(struct store *store, struct queue *queue, uint64_t need)
{
	uint64_t freed = 0;

	while (freed < need && queue->hole.before && block_is_evictable(queue->head))
		freed += block_drop(store, queue, NULL, queue->head);
	return freed;
}

static bool
set_quotas(struct store *store, uint64_t need)
{
	uint64_t level = fair_level(store, need);
	bool any = false;

	for (size_t i = 0; i < store->device_count; i++) {
		struct queue *queue = &store->queues[i];
		uint64_t quota = queue->hole.bytes > level ? queue->hole.bytes - level : 0;
		uint64_t freed = store->drop == DROP_OLDEST ? drop_before_hole(store, queue, quota) : 0;

		if (quota <= freed)
			continue;
		store->disk->job.ranges[i].wanted = quota - freed;
		any = true;
	}
	return any;
}

/* The file is about as large as it may be. What belongs to nobody goes first. */
static bool
ask_room(struct store *store)
{
	struct disk *disk = store->disk;
	uint64_t need = disk->high_bytes / 16;

	if (has_room(disk) || (disk->closing && store->loose == 0))
		return false;
	if (disk->unknown_rows == 0 && store->hole_bytes == 0) {
		if (disk->gone_count == 0)
			drop_both(store, need);
		if (disk->gone_count > 0)
			disk->gone_mono_ms = 0;
		return false;
	}
	want_nothing(store);
	if (disk->unknown_rows > 0) {
		disk->job.before_unix_ms = INT64_MAX;
	} else if (!set_quotas(store, need)) {
		disk->gone_mono_ms = 0;
		return false;
	}
	ask(store, SPOOLER_DROP);
	return true;
}

static int64_t
max_age_ms(const struct disk *disk)
{
	return (int64_t)disk->settings->max_age_h * 3600 * 1000;
}

static void
drop_aged_in_memory(struct store *store, struct queue *queue, int64_t before_unix_ms)
{
	struct block *previous = NULL, *next;

	for (struct block *block = queue->head; block; block = next) {
		uint32_t at = 0;

		next = block->next;
		while (at < block->used) {
			struct row *row = row_at(block, at);

			at += row_bytes(row->length);
			if (row->state != ROW_DUE || row_time_is_undated(row->ts_unix_ms) || row->ts_unix_ms >= before_unix_ms)
				continue;
			store->counts.aged_rows++;
			row_is_done(store, queue, block, row);
		}
		if (block->due == 0 && block->sent == 0)
			block_unlink(store, queue, previous, block);
		else
			previous = block;
	}
}

/* A clock that stands wrong for a moment must not cost a week of data: a row is too old when two looks in
 * succession say so. */
static bool
ask_age(struct store *store, int64_t now)
{
	struct disk *disk = store->disk;
	int64_t clock = clock_unix_ms();
	int64_t before = (clock < disk->seen_unix_ms ? clock : disk->seen_unix_ms) - max_age_ms(disk);

	if (now < disk->age_mono_ms || disk->closing)
		return false;
	disk->age_mono_ms = now + AGE_LOOK_MS;
	disk->seen_unix_ms = clock;
	for (size_t i = 0; i < store->device_count; i++)
		drop_aged_in_memory(store, &store->queues[i], before);
	if (before <= 0 || (store->hole_bytes == 0 && disk->unknown_rows == 0))
		return false;
	want_nothing(store);
	for (size_t i = 0; i < store->device_count; i++)
		if (store->queues[i].hole.open)
			disk->job.ranges[i].wanted = UINT64_MAX;
	disk->job.newest_first = false;
	disk->job.before_unix_ms = before;
	ask(store, SPOOLER_DROP);
	return true;
}

/* Devices leave the settings: what they have is to be there when they come back. */
static void
ask_leaving(struct store *store)
{
	struct disk *disk = store->disk;
	bool room = disk->open && has_room(disk);

	disk->job.rows.used = 0;
	disk->job.gone_count = 0;
	for (size_t i = 0; room && i < store->device_count; i++)
		if (store->queues[i].leaves && store->queues[i].loose > 0)
			room = gather_device(store, i);
	if (disk->job.rows.used > 0)
		ask(store, SPOOLER_WRITE);
}

static bool
ask_open(struct store *store, int64_t now)
{
	if (store->disk->open)
		return false;
	if (now >= store->disk->retry_mono_ms)
		ask(store, SPOOLER_OPEN);
	return true;
}

/* The next job, if there is one. */
static void
go_on(struct store *store)
{
	int64_t now = clock_mono_ms();

	if (store->disk->busy)
		return;
	if (store->disk->held) {
		ask_leaving(store);
		return;
	}
	if (ask_open(store, now) || ask_room(store) || ask_write(store, now) ||
	    ask_read(store))
		return;
	ask_age(store, now);
}

/* ---- the disk: what it answers ---- */

/* After a write: the rows of the job are on disk, or not, or nobody knows: an fsync that fails leaves what it
 * did not sync. */
static void
settle_rows(struct store *store, struct queue *queue, bool written)
{
	for (struct block *block = queue->loose_from; block; block = block->next) {
		for (uint32_t at = 0; block->loose > 0 && at < block->used;) {
			struct row *row = row_at(block, at);

			at += row_bytes(row->length);
			if (row->state == ROW_DONE || row->place != PLACE_WRITING)
				continue;
			row->place = written ? PLACE_DISK : PLACE_UNCERTAIN;
			if (written)
				row_count_safe(store, queue, block, row);
		}
	}
	queue->writing = false;
}

static void
settle(struct store *store, bool written)
{
	for (size_t i = 0; i < store->device_count; i++) {
		if (!store->queues[i].writing)
			continue;
		settle_rows(store, &store->queues[i], written);
		if (store->disk->settings->flush_after_ms == 0)
			note_ready(store, i);
	}
}

/* What could not be forgotten is forgotten later. */
static void
take_back_gone(struct disk *disk)
{
	size_t count = disk->gone_count + disk->job.gone_count;
	uint64_t *both;

	if (disk->job.gone_count == 0)
		return;
	both = realloc(disk->gone, count * sizeof(both[0]));
	if (both) {
		memcpy(both + disk->gone_count, disk->job.gone, disk->job.gone_count * sizeof(both[0]));
		disk->gone = both;
		disk->gone_count = disk->gone_size = count;
		disk->gone_mono_ms = 0;
	}
	disk->job.gone_count = 0;
}

/* The end of waiting for what the file holds. */
static void
release(struct store *store)
{
	if (store->disk->hold_mono_ms == CLOCK_NEVER)
		return;
	store->disk->hold_mono_ms = CLOCK_NEVER;
	all_ready(store);
}

static void
disk_fails(struct store *store, int error)
{
	struct disk *disk = store->disk;
	int64_t now = clock_mono_ms();

	disk->fault = -error;
	if (disk->job.task == SPOOLER_WRITE) {
		settle(store, false);
		take_back_gone(disk);
	}
	if (disk->fault_mono_ms == CLOCK_NEVER) {
		disk->fault_mono_ms = now;
		if (error != -EBADMSG)
			log_error("store: %s: %s: samples are kept in memory only", disk->settings->dir,
			    error == -EBUSY ? "in use by another program" : strerror(-error));
	}
	/* A damaged file is put aside at once. */
	disk->retry_mono_ms =
	    error == -EBADMSG && disk->retry_ms == RETRY_MIN_MS ? now : now + disk->retry_ms;
	disk->retry_ms = disk->retry_ms * 2 < RETRY_MAX_MS ? disk->retry_ms * 2 : RETRY_MAX_MS;
	if ((disk->open || disk->turning) && disk->settings->flush_after_ms == 0)
		all_ready(store);
	disk->open = disk->turning = false;
	release(store);
}

/* What is there from before this start, or from before its device left the settings, comes first in its queue. */
static void
adopt(struct store *store)
{
	struct disk *disk = store->disk;
	uint64_t rows = 0;

	for (size_t i = 0; i < store->device_count; i++) {
		const struct spool_range *range = &disk->job.ranges[i];
		bool wanted = !disk->known || store->queues[i].fresh;

		store->queues[i].fresh = false;
		if (range->rows == 0 || !wanted)
			continue;
		store->queues[i].hole = (struct hole){
			.open = true,
			.first_seq = FIRST_SEQ - range->rows,
			.after_id = range->after_id,
			.last_id = range->last_id,
			.rows = range->rows,
			.values = range->values,
			.bytes = range->bytes,
		};
		store->hole_bytes += range->bytes;
		store->counts.rows += range->rows;
		rows += range->rows;
	}
	disk->unknown_rows = disk->job.unknown_rows;
	if (rows > 0)
		log_notice("store: %" PRIu64 " rows from before wait on disk", rows);
	if (rows > 0 && disk->known)
		all_ready(store);
	if (disk->unknown_rows > 0 && !disk->known)
		log_warning("store: %" PRIu64
			    " rows on disk are of devices that are not configured: they are kept for %d h",
		    disk->unknown_rows, disk->settings->max_age_h);
}

/* Another file than before: what was only in the old one is lost, what is in memory too is written again. */
static void
start_over(struct store *store)
{
	uint64_t lost = store->counts.lost_rows;

	for (size_t i = 0; i < store->device_count; i++) {
		struct queue *queue = &store->queues[i];

		if (queue->hole.open) {
			hole_close(store, queue);
			note_ready(store, i);
		}
		queue->loose_from = queue->head;
		for (struct block *block = queue->head; block; block = block->next)
			for (uint32_t at = 0; at < block->used;) {
				struct row *row = row_at(block, at);
				bool was_safe = row->place == PLACE_DISK;

				at += row_bytes(row->length);
				if (row->place == PLACE_MEMORY)
					continue;
				row->place = PLACE_MEMORY;
				row->id = 0;
				if (row->state == ROW_DONE || !was_safe)
					continue;
				row_count_loose(store, queue, block, row);
			}
	}
	store->disk->gone_count = 0;
	store->disk->gone_mono_ms = CLOCK_NEVER;
	store->disk->unknown_rows = 0;
	if (store->counts.lost_rows > lost)
		log_error("store: %" PRIu64 " rows were in that file alone", store->counts.lost_rows - lost);
}

static void
opened(struct store *store)
{
	struct disk *disk = store->disk;

	if (disk->known && disk->job.file != disk->file)
		start_over(store);
	adopt(store);
	disk->known = true;
	disk->open = true;
	if (disk->turning && disk->settings->flush_after_ms == 0)
		all_ready(store);
	disk->turning = false;
	if (disk->job.next_id > disk->next_id)
		disk->next_id = disk->job.next_id;
	if (store->loose > 0)
		disk->flush_mono_ms = 0;
	release(store);
}

static void
written(struct store *store)
{
	struct disk *disk = store->disk;

	settle(store, true);
	disk->job.gone_count = 0;
	disk->retry_ms = RETRY_MIN_MS;
	if (disk->fault_mono_ms == CLOCK_NEVER)
		return;
	log_notice("store: %s takes samples again, after %" PRId64 " s", disk->settings->dir,
	    (clock_mono_ms() - disk->fault_mono_ms) / 1000);
	disk->fault_mono_ms = CLOCK_NEVER;
}

static int
take_row_back(struct store *store, const struct spool_row *from)
{
	struct queue *queue = &store->queues[from->device];
	struct hole *hole = &queue->hole;
	struct block *block = hole->before;
	uint32_t size = row_bytes(from->length);
	struct row *row;

	if (!block || block_last_seq(block) + 1 != hole->first_seq ||
	    block->size - sizeof(*block) - block->used < size) {
		block = block_insert(store, queue, hole->before, size);
		if (!block)
			return -ENOMEM;
		block->first_seq = hole->first_seq;
		hole->before = block;
	}
	row = row_put(store, queue, block, row_time_date(&store->boot, from->ts_unix_ms), from->values, from->members, from->length);
	row->id = from->id;
	row->place = PLACE_DISK;
	hole->first_seq++;
	hole->after_id = from->id;
	hole_leave(store, hole, 1, from->values, spool_row_size(from->length));
	if (row_time_is_undated(row->ts_unix_ms) && !row_time_is_of(&store->boot, row->ts_unix_ms)) {
		if (store->counts.undated_rows++ == 0)
			log_warning("store: rows are dropped that were read before the clock was set and the machine was "
				    "booted again: nobody knows their time");
		row_is_done(store, queue, block, row);
	}
	return 0;
}

static void
read_back(struct store *store)
{
	struct disk *disk = store->disk;
	const struct spool_row *row;
	bool whole = true;

	for (size_t at = 0; whole && (row = spool_rows_at(&disk->job.rows, at));
	     at += spool_row_size(row->length))
		whole = take_row_back(store, row) == 0;
	for (size_t i = 0; i < store->device_count; i++) {
		const struct spool_range *range = &disk->job.ranges[i];
		struct queue *queue = &store->queues[i];

		if (range->wanted == 0)
			continue;
		hole_fed(store, queue);
		note_ready(store, i);
		if (!whole)
			continue; /* for want of memory; what did not fit is still in the hole */
		if (range->reached_id > queue->hole.after_id)
			queue->hole.after_id = range->reached_id;
		if (queue->hole.after_id >= queue->hole.last_id)
			hole_close(store, queue);
	}
}

static void
dropped_for_room(struct store *store, struct queue *queue, const struct spool_range *range)
{
	struct hole *hole = &queue->hole;

	store->counts.dropped_rows += range->rows;
	store->counts.dropped_values += range->values;
	hole_leave(store, hole, range->rows, range->values, range->bytes);
	if (store->disk->job.newest_first)
		hole->last_id = range->reached_id > 0 ? range->reached_id - 1 : 0;
	else
		hole->after_id = range->reached_id;
	if (hole->after_id >= hole->last_id)
		hole_close(store, queue);
}

static void
dropped(struct store *store)
{
	struct disk *disk = store->disk;
	bool aged = disk->job.before_unix_ms != 0;

	store->counts.aged_rows += disk->job.unknown_rows;
	disk->unknown_rows -=
	    disk->job.unknown_rows < disk->unknown_rows ? disk->job.unknown_rows : disk->unknown_rows;
	if (disk->job.before_unix_ms == INT64_MAX && disk->job.unknown_rows == 0)
		disk->unknown_rows = 0; /* there are none, whatever was counted */
	for (size_t i = 0; i < store->device_count; i++) {
		const struct spool_range *range = &disk->job.ranges[i];
		struct queue *queue = &store->queues[i];

		if (range->wanted == 0 || !queue->hole.open)
			continue;
		if (!aged) {
			dropped_for_room(store, queue, range);
		} else {
			store->counts.aged_rows += range->rows;
			hole_leave(store, &queue->hole, range->rows, range->values, range->bytes);
			if (queue->hole.rows == 0)
				hole_close(store, queue);
		}
		if (!queue->hole.open)
			note_ready(store, i);
	}
}

static void
answered(struct store *store, const struct spooler_job *job)
{
	static void (*const handlers[])(struct store * store) = {
		[SPOOLER_OPEN] = opened,
		[SPOOLER_WRITE] = written,
		[SPOOLER_READ] = read_back,
		[SPOOLER_DROP] = dropped,
	};
	struct disk *disk = store->disk;

	disk->busy = false;
	store->counts.damaged_rows = job->damaged_rows;
	if (job->error < 0) {
		disk_fails(store, job->error);
		return;
	}
	handlers[job->task](store);
	disk->file = job->file;
	if (job->task != SPOOLER_READ)
		disk->used_bytes = job->used_bytes;
}

/* ---- the disk, for the owner ---- */

static void
take_settings(struct store *store, struct disk *disk, const struct settings *settings)
{
	uint64_t max_bytes = (uint64_t)settings->store.max_mb << 20;

	disk->settings = &settings->store;
	disk->write_bytes = max_bytes / 16 < WRITE_BYTES_MAX ? (size_t)(max_bytes / 16) : WRITE_BYTES_MAX;
	disk->high_bytes = max_bytes - 2 * disk->write_bytes;
	store->drop = settings->store.drop;
	store->replay = settings->store.replay;
}

int
store_attach(struct store *store, const struct settings *settings)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	int64_t now = clock_mono_ms();
	int error;

	if (!disk)
		return -ENOMEM;
	disk->job.ranges = calloc(store->device_count + 1, sizeof(disk->job.ranges[0]));
	error = disk->job.ranges ? spooler_start(settings, &disk->spooler) : -ENOMEM;
	if (error < 0) {
		disk_free(disk);
		return error;
	}
	take_settings(store, disk, settings);
	disk->next_id = 1;
	disk->gone_mono_ms = disk->flush_mono_ms = disk->fault_mono_ms = CLOCK_NEVER;
	disk->hold_mono_ms = now + HOLD_MS;
	disk->age_mono_ms = now + AGE_LOOK_MS;
	disk->seen_unix_ms = clock_unix_ms();
	disk->retry_ms = RETRY_MIN_MS;
	for (size_t i = 0; i < store->device_count; i++)
		store->queues[i].next_seq = store->queues[i].live_seq = FIRST_SEQ;
	store->disk = disk;
	go_on(store);
	return 0;
}

bool
store_busy(const struct store *store)
{
	return store->disk && store->disk->busy;
}

int
store_fd(const struct store *store)
{
	return store->disk ? spooler_fd(store->disk->spooler) : -1;
}

int64_t
store_due_mono_ms(const struct store *store)
{
	const struct disk *disk = store->disk;
	int64_t due = CLOCK_NEVER;

	if (!disk)
		return CLOCK_NEVER;
	due = disk->hold_mono_ms;
	if (disk->busy || disk->held)
		return due;
	if (!disk->open)
		return disk->retry_mono_ms < due ? disk->retry_mono_ms : due;
	if (has_room(disk) && disk->flush_mono_ms < due)
		due = disk->flush_mono_ms;
	if (disk->gone_mono_ms < due)
		due = disk->gone_mono_ms;
	if (store->counts.rows + disk->unknown_rows > 0 && disk->age_mono_ms < due)
		due = disk->age_mono_ms;
	return due;
}

void
store_tick(struct store *store)
{
	const struct spooler_job *job;

	if (!store->disk)
		return;
	if (store->disk->busy && (job = spooler_answer(store->disk->spooler)))
		answered(store, job);
	if (store->disk->hold_mono_ms <= clock_mono_ms())
		release(store);
	go_on(store);
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
		note_ready(store, i);
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

/* ---- other settings ---- */

void
store_hold(struct store *store, const struct difference *difference)
{
	const struct settings *settings = difference_from(difference);

	if (!store->disk)
		return;
	for (size_t i = 0; i < store->device_count; i++)
		store->queues[i].leaves = !difference_device_now(difference, &settings->devices[i]);
	store->disk->held = true;
	store_tick(store);
}

bool
store_is_held(const struct store *store)
{
	return !store->disk || (store->disk->held && !store->disk->busy);
}

void
store_release(struct store *store)
{
	if (!store->disk)
		return;
	for (size_t i = 0; i < store->device_count; i++)
		store->queues[i].leaves = false;
	store->disk->held = false;
	store_tick(store);
}

/* Returns how many rows of theirs are on disk. */
static uint64_t
drop_leaving(struct store *store, const struct difference *difference)
{
	const struct settings *settings = difference_from(difference);
	uint64_t kept = 0;
	uint64_t lost = 0;

	for (size_t i = 0; i < store->device_count; i++) {
		struct queue *queue = &store->queues[i];

		if (difference_device_now(difference, &settings->devices[i]))
			continue;
		lost += queue->loose;
		kept += queue->rows - queue->loose + queue->hole.rows;
		queue_drop(store, queue);
	}
	if (kept > 0 && store->disk)
		log_notice("store: %" PRIu64 " rows of devices that are not configured any more are kept on disk for %d h",
		    kept, store->disk->settings->max_age_h);
	if (lost > 0)
		log_warning("store: %" PRIu64 " rows of devices that are not configured any more are lost", lost);
	return kept;
}

static void
move_queues(struct store *store, struct queue *queues, const struct difference *difference)
{
	const struct settings *settings = difference_to(difference);

	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *was = difference_device(difference, &settings->devices[i]);

		if (was) {
			queues[i] = store->queues[was->index];
			queues[i].ready = false;
			continue;
		}
		queues[i].fresh = store->disk != NULL;
		queues[i].next_seq = queues[i].live_seq = store->disk ? FIRST_SEQ : 1;
	}
	free(store->queues);
	store->queues = queues;
	store->device_count = settings->device_count;
	store->ready_count = 0;
}

static void
resize(struct store *store, const struct settings *settings)
{
	uint32_t block_bytes;

	store->max_bytes = (size_t)settings->store.memory_mb << 20;
	block_bytes = choose_block_bytes(store->device_count, store->max_bytes);
	if (block_bytes == store->block_bytes)
		return;
	block_free_chain(store->spare);
	store->spare = NULL;
	store->spare_count = 0;
	store->block_bytes = block_bytes;
}

/* The file numbers devices by their names: unless they are in the same places, it is opened anew. */
static void
turn_disk(struct store *store, const struct settings *settings, bool same)
{
	struct disk *disk = store->disk;

	take_settings(store, disk, settings);
	disk->held = false;
	disk->turn = 0;
	if (same || !disk->open)
		return;
	disk->open = false;
	disk->turning = true;
	disk->retry_mono_ms = 0;
}

static bool
has_same_places(const struct difference *difference)
{
	const struct settings *from = difference_from(difference);
	const struct settings *to = difference_to(difference);

	if (from->device_count != to->device_count || difference_store(difference))
		return false;
	for (size_t i = 0; i < to->device_count; i++)
		if (difference_device(difference, &to->devices[i]) != &from->devices[i])
			return false;
	return true;
}

int
store_rebind(struct store *store, const struct difference *difference)
{
	const struct settings *settings = difference_to(difference);
	struct disk *disk = store->disk;
	bool same = has_same_places(difference);
	struct queue *queues = calloc(settings->device_count + 1, sizeof(queues[0]));
	size_t *ready = calloc(settings->device_count + 1, sizeof(ready[0]));
	struct spool_range *ranges = calloc(settings->device_count + 1, sizeof(ranges[0]));

	if (!queues || !ready || !ranges || (disk && spooler_rebind(disk->spooler, settings, same) < 0)) {
		free(queues);
		free(ready);
		free(ranges);
		return -ENOMEM;
	}
	free(store->ready);
	store->ready = ready;
	if (disk) {
		free(disk->job.ranges);
		disk->job.ranges = ranges;
		disk->unknown_rows += drop_leaving(store, difference);
	} else {
		free(ranges);
		drop_leaving(store, difference);
	}
	move_queues(store, queues, difference);
	resize(store, settings);
	all_ready(store);
	if (disk)
		turn_disk(store, settings, same);
	return 0;
}

void
store_close(struct store *store, int timeout_ms)
{
	struct disk *disk = store->disk;
	int64_t end_mono_ms = clock_mono_ms() + timeout_ms;

	if (!disk)
		return;
	disk->closing = true;
	disk->retry_mono_ms = 0; /* one more try */
	do {
		struct pollfd wait = { .fd = spooler_fd(disk->spooler), .events = POLLIN };

		store_tick(store);
		if (disk->busy)
			poll(&wait, 1, clock_poll_ms(end_mono_ms));
	} while (disk->busy && clock_mono_ms() < end_mono_ms);
}
