/* What the files of the store have in common (store.h). Nobody else includes this. Owned by the cloud's thread. */
#ifndef FLOW_STORE_STATE_H
#define FLOW_STORE_STATE_H

#include "flow/queue.h"
#include "flow/row_time.h"
#include "flow/store.h"

struct disk;

struct store {
	size_t device_count;
	size_t max_bytes;
	uint32_t block_bytes;
	struct block *spare;
	size_t spare_count;
	size_t loose; /* rows */
	uint64_t loose_bytes;
	uint64_t hole_bytes;
	size_t hungry_count;
	size_t *ready; /* devices that have rows to send again */
	size_t ready_count;
	struct boot boot;
	enum store_drop drop;
	enum store_replay replay;
	struct disk *disk; /* NULL = memory only */
	struct store_counts counts;
	struct queue *queues; /* one for each device */
};

/* With many devices in little memory each needs room for several blocks, or one row would cost a block. */
uint32_t store_block_bytes(size_t device_count, size_t max_bytes);

/* The device is one of those that store_ready() names. */
void store_note_ready(struct store *store, size_t device);
void store_all_ready(struct store *store);

#endif
