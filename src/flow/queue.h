/* The rows of one device, in the order in which they came: the parts of the store (store.h), for its own files only.
 *
 * Rows live in blocks, and memory is taken and given back by the block: no allocation a row, no fragments. Where a queue is
 * open in the middle, with rows that are on disk only, is its hole (hole.c).
 *
 * The chains, the states of rows and all that counts rows in memory (in block, queue and store) change in queue.c alone; the
 * rest walks over them and calls what is here. Of a row, the disk's files set id and place, and store.c the time once it is
 * known. Of a queue, what follows `bytes` says whose it is. Owned by the cloud's thread.
 */
#ifndef FLOW_QUEUE_H
#define FLOW_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

#define ROW_VALUES_MAX ((1u << 26) - 1)
#define FIRST_SEQ      (UINT64_C(1) << 40) /* of this run: what is on disk from before comes before it */

enum row_state { ROW_DUE, ROW_SENT, ROW_DONE };
enum row_place {
	PLACE_MEMORY,
	PLACE_WRITING,
	PLACE_DISK,
	PLACE_UNCERTAIN, /* writing it failed: it may be there, and is written again under the same id */
};

struct row {
	int64_t ts_unix_ms; /* or since a boot, on disk too: row_time.h */
	uint64_t id; /* in the file; while it is in memory only, when it came, mono ms */
	uint32_t length;
	uint32_t values : 26;
	uint32_t state : 2;
	uint32_t place : 2;
	char members[];
};

struct block {
	struct block *next;
	uint64_t first_seq; /* the rows of a block are numbered without a gap */
	uint32_t rows;
	uint32_t due; /* rows in ROW_DUE, in ROW_SENT; the rest is done */
	uint32_t sent;
	uint32_t loose; /* neither done nor on disk */
	uint32_t used;	/* bytes of data */
	uint32_t size;
	char data[] __attribute__((aligned(8)));
};

/* Rows in the middle of a queue that are on disk only. Before it come rows that were read back or never left
 * memory, after it rows that are newer. */
struct hole {
	bool open;
	struct block *before; /* the block that it follows; NULL = it comes first */
	uint64_t first_seq;   /* for the next row that is read back */
	uint64_t after_id;    /* after_id < id <= last_id */
	uint64_t last_id;
	uint64_t rows;
	uint64_t values;
	uint64_t bytes;
};

struct queue {
	struct block *head, *tail;
	struct block *loose_from; /* no block before this one has loose rows */
	uint64_t next_seq;
	uint64_t live_seq; /* rows from here on are live: sampled since the session came up */
	size_t rows;	   /* in memory */
	size_t loose;
	size_t bytes;
	struct hole hole; /* hole.h says who changes it */
	bool hungry;	  /* store_next() came to the hole: hole.c */
	bool ready;	  /* in the list of those: store.c */
	bool writing;	  /* rows of it are in the job: the disk's files */
	bool leaves;	  /* its device is not in the settings to come: store_rebind.c */
	bool fresh;	  /* what the file holds of its device has not been looked for: store_rebind.c, disk_answer.c */
	/* Where store_next() goes on when it is asked for the row after the last one it gave: store.c, until queue.c takes
	 * the block away. */
	struct block *look;
	uint32_t look_offset;
	uint64_t look_seq; /* of the row at look_offset */
};

static inline struct row *
row_at(struct block *block, uint32_t offset)
{
	return (struct row *)(void *)(block->data + offset);
}

static inline uint32_t
row_bytes(size_t length)
{
	return (uint32_t)((sizeof(struct row) + length + 7) & ~(size_t)7);
}

static inline uint64_t
block_last_seq(const struct block *block)
{
	return block->first_seq + block->rows - 1;
}

/* Free blocks from this one on. */
void block_free_chain(struct block *block);

/* A new block after `previous`, NULL = at the head, with room for a row of `row_size` = row_bytes(). Its first_seq is for the
 * caller to set. Returns NULL when there is no memory. */
struct block *block_insert(struct store *store, struct queue *queue, struct block *previous, uint32_t row_size);

/* Take a block out of its queue, with whatever rows are still in it. */
void block_unlink(struct store *store, struct queue *queue, struct block *previous, struct block *block);

/* The same, and count its rows as dropped. Returns about how many bytes that frees on disk. */
uint64_t block_drop(struct store *store, struct queue *queue, struct block *previous, struct block *block);

/* Append a row, in ROW_DUE, to a block that has room for it. Its id and place are for the caller to set: row_count_loose(). */
struct row *row_put(struct store *store, struct queue *queue, struct block *block, int64_t ts_unix_ms,
    unsigned values, const char *members, size_t length);

/* Count a row as one that is not on disk, and as one that is. */
void row_count_loose(struct store *store, struct queue *queue, struct block *block, const struct row *row);
void row_count_safe(struct store *store, struct queue *queue, struct block *block, const struct row *row);

/* Put a row that is not done into ROW_DUE or ROW_SENT. */
void row_set_state(struct block *block, struct row *row, enum row_state to);

/* A row is not needed any more, here or on disk. Its block stays. */
void row_is_done(struct store *store, struct queue *queue, struct block *block, struct row *row);

/* The device is gone: drop and count what is in memory only. What is on disk stays there. */
void queue_drop(struct store *store, struct queue *queue);

#endif
