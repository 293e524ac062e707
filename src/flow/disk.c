#include "flow/disk.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/store_state.h"
#include "model/health.h"

#define FORGET_AFTER_MS 1000  /* acknowledged rows leave the disk together */
#define HOLD_MS		60000 /* what is new waits so long for the look at what is on disk */
#define STOP_MS		1000
#define WRITE_BYTES_MAX (2u << 20) /* in one transaction */

/* A thread that is stuck in the disk keeps what it works on. */
void
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
disk_expect(struct store *store, struct row *row)
{
	struct disk *disk = store->disk;

	if (!disk)
		return; /* the clock is asked only if there is a disk to write to */
	row->id = (uint64_t)clock_mono_ms();
	if (disk->flush_mono_ms == CLOCK_NEVER)
		disk->flush_mono_ms = (int64_t)row->id + disk->settings->flush_after_ms;
	if (store->loose_bytes > store->max_bytes / 4)
		disk->flush_mono_ms = 0; /* memory is short: do not wait */
}

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

bool
disk_has_room(const struct disk *disk)
{
	return disk->used_bytes <= disk->high_bytes;
}

void
disk_release(struct store *store)
{
	if (store->disk->hold_mono_ms == CLOCK_NEVER)
		return;
	store->disk->hold_mono_ms = CLOCK_NEVER;
	store_all_ready(store);
}

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
	disk_go_on(store);
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

/* When to say that it does not answer; CLOCK_NEVER = it was said. */
static int64_t
silent_mono_ms(const struct disk *disk)
{
	return disk->silence_told ? CLOCK_NEVER : disk->asked_mono_ms + HEALTH_DISK_SILENT_MS;
}

static void
tell_silence(struct disk *disk)
{
	int64_t silent_s = (clock_mono_ms() - disk->asked_mono_ms) / 1000;

	if (disk->busy && silent_mono_ms(disk) <= clock_mono_ms()) {
		log_error("store: %s: the disk has not answered for %lld s: samples are kept in memory only",
		    disk->settings->dir, (long long)silent_s);
		disk->silence_told = true;
	} else if (!disk->busy && disk->silence_told) {
		if (disk->fault_mono_ms == CLOCK_NEVER) /* else more was said already */
			log_notice("store: %s: the disk answers again, after %lld s", disk->settings->dir,
			    (long long)silent_s);
		disk->silence_told = false;
	}
}

int64_t
store_due_mono_ms(const struct store *store)
{
	const struct disk *disk = store->disk;
	int64_t due = CLOCK_NEVER;

	if (!disk)
		return CLOCK_NEVER;
	due = disk->hold_mono_ms;
	if (disk->busy && silent_mono_ms(disk) < due)
		due = silent_mono_ms(disk);
	if (disk->busy || disk->held)
		return due;
	if (!disk->open)
		return disk->retry_mono_ms < due ? disk->retry_mono_ms : due;
	if (disk_has_room(disk) && disk->flush_mono_ms < due)
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
		disk_answered(store, job);
	tell_silence(store->disk);
	if (store->disk->hold_mono_ms <= clock_mono_ms())
		disk_release(store);
	disk_go_on(store);
}

void
disk_turn(struct store *store, const struct settings *settings, bool same)
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
