/* What the disk is asked to do, and when. */
#include "base/clock.h"
#include "flow/disk.h"
#include "flow/hole.h"
#include "flow/store_state.h"

#define READ_BYTES_MAX	(1u << 20)
#define READ_DEVICE_MAX (128u << 10)
#define READ_DEVICE_MIN (4u << 10)

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

/* The oldest row of a device that is not on disk, or NULL. */
static const struct row *
oldest_loose(const struct store *store, size_t device)
{
	return store->queues[device].loose > 0 ? first_loose(&store->queues[device]) : NULL;
}

static bool
has_overdue(const struct store *store, int64_t now)
{
	for (size_t i = 0; i < store->device_count; i++) {
		const struct row *row = oldest_loose(store, i);

		if (row && came_mono_ms(row) + store->disk->settings->flush_after_ms <= now)
			return true;
	}
	return false;
}

/* A device with a row that has waited too long writes all that it has: the next ones would follow one by one. With it goes what has
 * waited half as long: a commit costs more than what is in it, and devices are polled in phases of their own. */
static void
gather(struct store *store, int64_t now)
{
	struct disk *disk = store->disk;
	int64_t wait = disk->settings->flush_after_ms;
	int64_t enough = has_overdue(store, now) ? wait / 2 : wait;
	bool everything = disk->closing || store->loose_bytes > store->max_bytes / 4;
	int64_t next = CLOCK_NEVER;

	disk->job.rows.used = 0;
	for (size_t i = 0; i < store->device_count; i++) {
		size_t device = (disk->turn + i) % store->device_count;
		const struct row *row = oldest_loose(store, device);

		if (!row)
			continue;
		if (!everything && came_mono_ms(row) + enough > now) {
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
write_due(const struct store *store, int64_t now)
{
	const struct disk *disk = store->disk;

	if (disk->closing)
		return disk->gone_count > 0 || (store->loose > 0 && disk_has_room(disk));
	return (disk->flush_mono_ms <= now && disk_has_room(disk)) || disk->gone_mono_ms <= now;
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
	if (disk_has_room(disk) && (disk->closing || disk->flush_mono_ms <= now))
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

	if (disk_has_room(disk) || (disk->closing && store->loose == 0))
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
			if (row->state != ROW_DUE || row_time_is_undated(row->ts_unix_ms) ||
			    row->ts_unix_ms >= before_unix_ms)
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
	bool room = disk->open && disk_has_room(disk);

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

void
disk_go_on(struct store *store)
{
	int64_t now = clock_mono_ms();

	if (store->disk->busy)
		return;
	if (store->disk->held) {
		ask_leaving(store);
		return;
	}
	if (ask_open(store, now) || ask_room(store) || ask_write(store, now) || ask_read(store))
		return;
	ask_age(store, now);
}
