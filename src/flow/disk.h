/* The store's way to the file, for its own files only (store.h): what it asks of the spooler (spooler.h), one job at a time,
 * and what it does with the answers. Owned by the cloud's thread.
 */
#ifndef FLOW_DISK_H
#define FLOW_DISK_H

#include "flow/queue.h"
#include "flow/spooler.h"

struct store;

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
	int64_t retry_mono_ms;
	int retry_ms;
};

/* A row that is on disk, or on the way there, is forgotten there too. */
void disk_forget(struct store *store, const struct row *row);

#endif
