/* The store's way to the file, for its own files only (store.h): what it asks of the spooler (spooler.h), one job at a time,
 * and what it does with the answers. The job belongs to the spooler's thread while `busy`.
 *
 * A struct disk changes in disk*.c, and in store_rebind.c while it is held and not busy; the others look. Owned by the cloud's
 * thread.
 */
#ifndef FLOW_DISK_H
#define FLOW_DISK_H

#include "flow/queue.h"
#include "flow/spooler.h"

struct store;

#define RETRY_MIN_MS 1000
#define AGE_LOOK_MS  600000

struct disk {
	const struct store_settings *settings;
	struct spooler *spooler;
	struct spooler_job job;
	bool busy;
	bool open;
	bool known;   /* it has been open: what was there from before is in the queues */
	bool closing; /* write what is left, and nothing else */
	bool held;    /* begin nothing: other settings are to come */
	bool turning; /* it is opened anew for other settings, and counts as open */
	uint64_t file;
	uint64_t next_id;
	uint64_t used_bytes;
	uint64_t high_bytes; /* beyond this there is no room for another write */
	uint64_t unknown_rows;
	size_t write_bytes; /* in one transaction */
	size_t turn;	    /* the device to begin with */

	uint64_t *gone; /* rows to forget with the next write */
	size_t gone_count;
	size_t gone_size;
	int64_t gone_mono_ms;  /* when; CLOCK_NEVER = there are none */
	int64_t flush_mono_ms; /* when to look for rows that wait too long; CLOCK_NEVER = none is loose */
	int64_t hold_mono_ms;  /* until when new rows wait for the first look; CLOCK_NEVER = they do not */
	int64_t age_mono_ms;
	int64_t seen_unix_ms; /* the wall clock at the last look at ages */

	int64_t fault_mono_ms; /* since when; CLOCK_NEVER = it is well */
	int fault;	       /* errno of the last one */
	int64_t asked_mono_ms; /* when it was given its job */
	bool silence_told;     /* that this one takes too long */
	int64_t retry_mono_ms;
	int retry_ms;
};

/* disk.c; a disk of NULL is no disk. */
void disk_free(struct disk *disk);
bool disk_has_room(const struct disk *disk);

/* A row is new: it is to be written in flush_after_ms. */
void disk_expect(struct store *store, struct row *row);

/* A row that is on disk, or on the way there, is forgotten there too. Without memory for that it would be sent once more
 * after a restart. */
void disk_forget(struct store *store, const struct row *row);

/* The end of waiting for what the file holds. */
void disk_release(struct store *store);

/* Go on with other settings. The file numbers devices by their names: unless they are in the same places, it is opened anew. */
void disk_turn(struct store *store, const struct settings *settings, bool same);

/* disk_ask.c: hand over the next job, if there is one and none is out. */
void disk_go_on(struct store *store);

/* disk_answer.c: a job came back. */
void disk_answered(struct store *store, const struct spooler_job *job);

#endif
