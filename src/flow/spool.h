/* The file of rows that the server has not acknowledged: SQLite in WAL mode, synced at each commit, so that what was written
 * survives kill -9 and a power cut. Rows are appended in the order of their ids and read in that order; a row carries a
 * checksum, and what does not match it is not given out.
 *
 * The file is made at the first write. Devices are known in it by name and a hash of the token, not by their place in the
 * configuration. A file that cannot be read, or comes from a newer version, is put aside under another name and begun anew.
 *
 * Every call may block for as long as the disk does. One thread (spooler.h).
 */
#ifndef FLOW_SPOOL_H
#define FLOW_SPOOL_H

#include "model/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool;

/* A row in a buffer of rows: this head, then `length` bytes, then padding. spool_row_size() from one to the next. */
struct spool_row {
	uint64_t id; /* place in the order of all rows, > 0 */
	int64_t ts_unix_ms;
	uint32_t device; /* index in the settings */
	uint32_t values;
	uint32_t length;
	char members[];
};

struct spool_rows {
	char *data; /* aligned as malloc() does */
	size_t used;
	size_t size;
};

/* What there is of one device, or what is wanted of it: rows with after_id < id <= last_id. */
struct spool_range {
	uint64_t after_id;
	uint64_t last_id;
	uint64_t wanted; /* bytes of rows, about; 0 = none */
	/* the answer */
	uint64_t bytes;
	uint64_t rows;
	uint64_t values;
	uint64_t reached_id; /* everything up to here is dealt with; if newest_first, everything from here on */
};

struct spool_inventory {
	uint64_t file;	  /* tells a file from the one that it replaced; 0 = there is none yet */
	uint64_t next_id; /* greater than every id in the file */
	uint64_t unknown_rows; /* of devices that the settings do not have */
	uint64_t used_bytes;
};

/* What happened to the file since the last look. */
struct spool_counts {
	uint64_t damaged_rows; /* whose checksum did not match: deleted */
};

/* Room for one row in struct spool_rows. */
size_t spool_row_size(size_t length);

/* The row at `offset`, or NULL at the end. */
struct spool_row *spool_rows_at(const struct spool_rows *rows, size_t offset);

/* Append a row. Returns 0 or -ENOMEM. */
int spool_rows_add(struct spool_rows *rows, const struct spool_row *head, const char *members);

/* Take the folder for this process; the file is not touched. Returns 0 or negative errno: -EBUSY if another process has it.
 * A folder that cannot be had now is tried again by spool_open(), and is no error here. The settings must outlive it. */
int spool_new(const struct settings *settings, struct spool **ret);
void spool_free(struct spool *spool);

/* The settings are others, with the same folder. `same`: they have the same devices in the same order, and the same store;
 * if not, spool_open() is to follow. Returns 0; -ENOMEM, and nothing has changed. */
int spool_rebind(struct spool *spool, const struct settings *settings, bool same);

/* Open what is there, anew if it is open, and read it through. ranges: one for each device, to be filled. Returns 0; -ENOMEM, -ENOSPC, -EROFS, -EIO,
 * -EBUSY... Whatever is damaged beyond use has been put aside then. */
int spool_open(struct spool *spool, struct spool_range *ranges, struct spool_inventory *ret);
void spool_close(struct spool *spool);

/* Write rows, over those of the same ids, and forget others, in one transaction that is on the disk when this returns. `gone` is sorted by this.
 * Returns 0 or negative errno; then it has happened or not as a whole, and the file must be opened again. */
int spool_write(struct spool *spool, const struct spool_rows *rows, uint64_t *gone, size_t gone_count, uint64_t *ret_used_bytes);

/* Read up to range->wanted of each device, the oldest first, and at most `limit` bytes altogether. */
int spool_read(struct spool *spool, struct spool_range *ranges, size_t limit, struct spool_rows *rows);

/* Drop about range->wanted of each device, from the oldest or from the newest on. If before_unix_ms is not 0, drop whatever in
 * the ranges has an earlier time, and such rows of unknown devices; reached_id is not set then. May stop early, having done some. */
int spool_drop(struct spool *spool, struct spool_range *ranges, bool newest_first, int64_t before_unix_ms,
    uint64_t *ret_unknown_rows, uint64_t *ret_used_bytes);

/* The file that is open, as in struct spool_inventory; 0 = none. */
uint64_t spool_file(const struct spool *spool);

struct spool_counts spool_counts(const struct spool *spool);

#endif
