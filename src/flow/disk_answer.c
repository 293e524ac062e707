/* What the disk did, or could not do, and what that means for the rows. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/disk.h"
#include "flow/hole.h"
#include "flow/store_state.h"

#define RETRY_MAX_MS 60000

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
			store_note_ready(store, i);
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
		store_all_ready(store);
	disk->open = disk->turning = false;
	disk_release(store);
}

/* What is there from before this start, or from before its device left the settings, comes first in its
 * queue. */
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
		store_all_ready(store);
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
			store_note_ready(store, i);
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
		store_all_ready(store);
	disk->turning = false;
	if (disk->job.next_id > disk->next_id)
		disk->next_id = disk->job.next_id;
	if (store->loose > 0)
		disk->flush_mono_ms = 0;
	disk_release(store);
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
	row = row_put(store, queue, block, row_time_date(&store->boot, from->ts_unix_ms), from->values,
	    from->members, from->length);
	row->id = from->id;
	row->place = PLACE_DISK;
	hole->first_seq++;
	hole->after_id = from->id;
	hole_leave(store, hole, 1, from->values, spool_row_size(from->length));
	if (row_time_is_undated(row->ts_unix_ms) && !row_time_is_of(&store->boot, row->ts_unix_ms)) {
		if (store->counts.undated_rows++ == 0)
			log_warning("store: rows are dropped that were read before the clock was set and the "
				    "machine was booted again: nobody knows their time");
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
		store_note_ready(store, i);
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
			store_note_ready(store, i);
	}
}

void
disk_answered(struct store *store, const struct spooler_job *job)
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
