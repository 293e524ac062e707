/* What the files of the spool have in common (spool.h). Nobody else includes this. Owned by the disk's thread (spooler.h). */
#ifndef FLOW_SPOOL_STATE_H
#define FLOW_SPOOL_STATE_H

#include <sqlite3.h>
#include <sys/types.h>

#include "flow/spool.h"

#define SPOOL_FILE_NAME	     "fieldgate.db"
#define SPOOL_ASIDE_NAME_MAX 64		/* bytes, of the name of a file that was put aside */
#define SPOOL_NUMBERS_MAX    (1u << 20) /* ids of devices in the file */
#define SPOOL_ROW_COLUMNS    "SELECT id, device, ts, n, sum, members FROM rows "
#define SPOOL_HASH_START     UINT64_C(14695981039346656037)

enum spool_statement {
	SPOOL_BEGIN,
	SPOOL_COMMIT,
	SPOOL_ROLLBACK,
	SPOOL_INSERT,
	SPOOL_DELETE,
	SPOOL_OLDEST,
	SPOOL_NEWEST,
	SPOOL_DEVICE,
	SPOOL_NEW_DEVICE,
	SPOOL_USED,
	SPOOL_STATEMENTS
};

struct spool {
	const struct settings *settings;
	int folder; /* holds the lock; -1 = not taken yet */
	char *path; /* of the file */
	sqlite3 *db;
	sqlite3_stmt *statements[SPOOL_STATEMENTS];
	bool unusable; /* what was open is damaged: put it aside */
	uint64_t file;
	ino_t inode;
	uint32_t *numbers; /* by index of the device: its id in the file; 0 = not there yet */
	uint32_t *indexes; /* by id in the file: index + 1; 0 = unknown */
	size_t index_count;
	struct spool_counts counts;
};

/* A row of the file. */
struct spool_found {
	const char *members; /* SQLite's, until its statement goes on */
	bool known;	     /* row.device is set: the settings have it */
	struct spool_row row;
};

/* A list of ids of rows, begun empty; its owner frees `ids`. */
struct spool_ids {
	uint64_t *ids;
	size_t count;
	size_t size;
};

/* --- spool_database.c: the connection to SQLite. Each returns 0 or negative errno --- */

/* SQLite's error as ours. What only a damaged file explains makes the file unusable. */
int spool_failure(struct spool *spool, int code);

/* Run a statement that gives no rows; a text of such statements. */
int spool_run(struct spool *spool, enum spool_statement which);
int spool_run_text(struct spool *spool, const char *text);

/* The number that the first row of a query begins with. */
int spool_query_number(struct spool *spool, const char *text, int64_t *ret);

/* What the file has in use, in bytes. */
int spool_used_bytes(struct spool *spool, uint64_t *ret);

/* Connect to a file that is there, without a look at what is in it; later, with its tables there, make the statements ready.
 * After a failure spool_close() is to follow. */
int spool_connect(struct spool *spool);
int spool_prepare(struct spool *spool);

/* --- spool_file.c: the file in its folder. Each returns 0 or negative errno --- */

/* Take the folder for this process, if it has not been. -EBUSY: another one has it. */
int spool_file_take_folder(struct spool *spool);

/* Is there a file with something in it? Returns 1 or 0, or negative errno. */
int spool_file_is_there(struct spool *spool);

/* Delete a file that has no tables: a crash between making and filling it leaves such a one. None is open then. */
int spool_file_forget_empty(struct spool *spool);

/* Make one with no rows, under a number of its own, or open the one that is there. -EBADMSG: it is unusable, or was put aside. */
int spool_file_create(struct spool *spool);
int spool_file_open(struct spool *spool);

/* Remember which file is open, and see that its name still leads to it: -ESTALE if it was deleted or replaced under us. */
int spool_file_note_inode(struct spool *spool);
int spool_file_check_inode(const struct spool *spool);

/* Close it and keep it under another name, and no more than a few of such.
 * why   what is wrong with it, for the log
 * name  the other name, in the same folder */
int spool_file_put_aside(struct spool *spool, const char *why, char name[SPOOL_ASIDE_NAME_MAX]);

/* --- spool_rescue.c: a damaged file --- */

/* Put it aside and begin a new one with what can be read of it. None is open then. Returns 0 or negative errno. */
int spool_recover(struct spool *spool);

/* --- spool_device.c: devices in the file. Each returns 0 or negative errno --- */

/* Look up which devices of the settings the file has. */
int spool_find_devices(struct spool *spool);

/* Give the device an id in the file, if it has none. */
int spool_device_number(struct spool *spool, uint32_t index);

/* --- spool_row.c: rows. What can fail returns 0 or negative errno --- */

/* FNV-1a over more bytes, from SPOOL_HASH_START or from what it returned before. */
uint64_t spool_hash(uint64_t sum, const void *bytes, size_t length);

/* Add the row to what a range answers. */
void spool_count_row(struct spool_range *range, const struct spool_found *found);

int spool_ids_add(struct spool_ids *ids, uint64_t id);

/* The statement is about rows with after_id < id <= last_id. */
int spool_bind_ids(struct spool *spool, sqlite3_stmt *prepared, uint64_t after_id, uint64_t last_id);

/* The row that a statement stands on. Returns false if it is damaged; its id is set then as well. */
bool spool_read_row(struct spool *spool, sqlite3_stmt *prepared, struct spool_found *ret);

/* Write rows, NULL for none; delete others, which are sorted by this. Inside a transaction. */
int spool_insert_rows(struct spool *spool, const struct spool_rows *rows);
int spool_delete_rows(struct spool *spool, uint64_t *gone, size_t count);

#endif
