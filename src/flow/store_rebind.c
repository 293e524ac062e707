/* Other settings while rows are held: store_hold() to store_rebind(). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "flow/disk.h"
#include "flow/store.h"
#include "flow/store_state.h"

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
		log_notice("store: %" PRIu64
			   " rows of devices that are not configured any more are kept on disk for %d h",
		    kept, store->disk->settings->max_age_h);
	if (lost > 0)
		log_warning(
		    "store: %" PRIu64 " rows of devices that are not configured any more are lost", lost);
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
	block_bytes = store_block_bytes(store->device_count, store->max_bytes);
	if (block_bytes == store->block_bytes)
		return;
	block_free_chain(store->spare);
	store->spare = NULL;
	store->spare_count = 0;
	store->block_bytes = block_bytes;
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
	store_all_ready(store);
	if (disk)
		disk_turn(store, settings, same);
	return 0;
}
