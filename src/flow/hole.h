/* Rows that are on disk only, in the middle of a queue (struct hole in queue.h): how they come to be that, and what is left of
 * them. For the store's own files (store.h). A hole changes here, and in disk_answer.c, which knows what the file gave or lost.
 * Owned by the cloud's thread.
 */
#ifndef FLOW_HOLE_H
#define FLOW_HOLE_H

#include "flow/queue.h"

#include <stdbool.h>
#include <stdint.h>

/* Are all its rows on disk, and none on the way to the server? NULL is not. */
bool block_is_evictable(const struct block *block);

/* Give memory up for rows that are safe on disk: a block of the device that holds most. Not while a job reads or drops there:
 * the ends of the holes are in its hands. Returns false if there is none to give. */
bool hole_evict(struct store *store);

/* The device's next rows are in its hole: read them back. hole_fed(): that was done. */
void hole_hungry(struct store *store, struct queue *queue);
void hole_fed(struct store *store, struct queue *queue);

/* Does the hole hide rows of these? */
bool hole_hides(const struct queue *queue, uint64_t last_seq);

/* So much has left the hole, to memory or for good. */
void hole_leave(struct store *store, struct hole *hole, uint64_t rows, uint64_t values, uint64_t bytes);

/* Nothing more can be had from it: what it still counts is lost. */
void hole_close(struct store *store, struct queue *queue);

#endif
