/* What the files of the spool have in common (spool.h). Nobody else includes this. Owned by the disk's thread (spooler.h). */
#ifndef FLOW_SPOOL_STATE_H
#define FLOW_SPOOL_STATE_H

#include <sqlite3.h>
#include <sys/types.h>

#include "flow/spool.h"

#define SPOOL_FILE_NAME	     "fieldgate.db"
#define SPOOL_NEXT_NAME	     SPOOL_FILE_NAME ".next"
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
	char *next_path; /* of the one that is to replace it */
	sqlite3 *db;
	sqlite3_stmt *statements[SPOOL_STATEMENTS];
	bool unusable; /* what was open is damaged: put it aside */
	bool rescue_tried; /* in vain, by this process */
	uint64_t floor_id; /* lower ones are of rows that may still be rescued */
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

/* Connect to the file at `path`, which is there, without a look at what is in it; later, with its tables there, make the statements ready.
 * After a failure spool_close() is to follow. */
int spool_connect(struct spool *spool, const char *path);
int spool_prepare(struct spool *spool);

/* --- spool_file.c: the file in its folder. Each returns 0 or negative errno --- */

/* Take the folder for this process, if it has not been. -EBUSY: another one has it. */
int spool_file_take_folder(struct spool *spool);

/* Is there a file with something in it? Returns 1 or 0, or negative errno. */
int spool_file_is_there(struct spool *spool);

/* Delete a file that has no tables: a crash between making and filling it leaves such a one. None is open then. */
int spool_file_forget_empty(struct spool *spool);

/* Make one with no rows, under a number of its own, or open the one that is there and rescue into it what is pending. -EBADMSG: it is
 * unusable, or was put aside. */
int spool_file_create(struct spool *spool);
int spool_file_open(struct spool *spool);

/* Remember which file is open, and see that its name still leads to it: -ESTALE if it was deleted or replaced under us. */
int spool_file_note_inode(struct spool *spool);
int spool_file_check_inode(const struct spool *spool);

/* A name for a file that is put aside, in the same folder, which no other has; is this one? */
void spool_file_name_aside(struct spool *spool, char name[SPOOL_ASIDE_NAME_MAX]);
bool spool_file_is_aside(const char *name);

/* A file that is to replace a damaged one is made beside it, without a journal that outlives its transactions. It is complete when it
 * says what is pending; take_next() puts the damaged one aside under the last name that is, and this in its place, or forgets this if
 * it is not complete, and does nothing if there is none. None is open before and after that. */
int spool_file_create_next(struct spool *spool);
int spool_file_take_next(struct spool *spool);

/* --- spool_rescue.c: a damaged file. Each returns 0 or negative errno --- */

/* Put it aside and begin a new one with its devices, in which the rescue of its rows is pending. None is open then. */
int spool_recover(struct spool *spool);

/* Save into the file that is open what can be read of those that were put aside, if that is pending. Of each all or nothing: a rescue
 * that is interrupted is made up for by the next process. One that fails is told, and is no error unless the file is unusable. */
int spool_rescue(struct spool *spool);

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
