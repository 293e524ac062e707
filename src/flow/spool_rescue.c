/* What can be saved from a damaged file.
 *
 * A file that takes the place of a damaged one says, in its table `pending`, under which names such were put aside and not yet saved, and
 * from which id on the rows begin that are written meanwhile: those behind all that may come of the rescue. The rows of one file are
 * saved in one transaction, which takes its name from that table as well; so it happens as a whole or not at all, however it ends. The
 * transaction has a rollback journal: in the log it would need the room twice.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "flow/spool_state.h"

struct rescue {
	struct spool *spool; /* the new file */
	sqlite3 *old;
	sqlite3_stmt *same;			      /* is there this device under this id? */
	unsigned char devices[SPOOL_NUMBERS_MAX / 8]; /* a bit for each that was found */
	uint64_t rows;
};

/* --- from one to the other --- */

static int
put(struct rescue *rescue, sqlite3_stmt *from, sqlite3_stmt *to, int columns)
{
	int code;

	for (int i = 0; i < columns; i++)
		sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
	code = sqlite3_step(to);
	sqlite3_reset(to);
	return code == SQLITE_DONE ? 0 : spool_failure(rescue->spool, code);
}

/* The new one may have another under that id already. */
static int
save_device(struct rescue *rescue, sqlite3_stmt *from, sqlite3_stmt *to)
{
	int64_t number = sqlite3_column_int64(from, 0);
	int error, code;

	if (number <= 0 || number >= SPOOL_NUMBERS_MAX)
		return 0;
	error = put(rescue, from, to, 3);
	if (error < 0)
		return error;
	for (int i = 0; i < 3; i++)
		sqlite3_bind_value(rescue->same, i + 1, sqlite3_column_value(from, i));
	code = sqlite3_step(rescue->same);
	sqlite3_reset(rescue->same);
	if (code == SQLITE_ROW)
		rescue->devices[number / 8] |= (unsigned char)(1u << (number % 8));
	return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : spool_failure(rescue->spool, code);
}

static int
save_pending(struct rescue *rescue, sqlite3_stmt *from, sqlite3_stmt *to)
{
	const char *name = (const char *)sqlite3_column_text(from, 0);

	return name && spool_file_is_aside(name) ? put(rescue, from, to, 2) : 0;
}

/* What a row says is proven by its checksum, whatever the rest of the file is like; a row whose device is not
 * known is of no use. */
static int
save_row(struct rescue *rescue, sqlite3_stmt *from, sqlite3_stmt *to)
{
	int64_t number = sqlite3_column_int64(from, 1);
	struct spool_found found;
	int error;

	if (!spool_read_row(rescue->spool, from, &found) || number >= SPOOL_NUMBERS_MAX ||
	    !(rescue->devices[number / 8] & 1u << (number % 8)))
		return 0;
	error = put(rescue, from, to, 6);
	if (error == 0)
		rescue->rows += (uint64_t)sqlite3_changes(rescue->spool->db);
	return error;
}

/* Read the old file as far as it can be read. Only the new one's errors are errors. */
static int
save_all(struct rescue *rescue, const char *query, const char *insert,
    int (*save)(struct rescue *rescue, sqlite3_stmt *from, sqlite3_stmt *to))
{
	sqlite3_stmt *from = NULL, *to = NULL;
	int code = sqlite3_prepare_v2(rescue->spool->db, insert, -1, &to, NULL);
	int error = code == SQLITE_OK ? 0 : spool_failure(rescue->spool, code);

	if (error == 0 && sqlite3_prepare_v2(rescue->old, query, -1, &from, NULL) == SQLITE_OK)
		while (error == 0 && sqlite3_step(from) == SQLITE_ROW)
			error = save(rescue, from, to);
	sqlite3_finalize(from);
	sqlite3_finalize(to);
	return error;
}

static int
save_devices(struct rescue *rescue)
{
	int code = sqlite3_prepare_v2(rescue->spool->db, "SELECT 1 FROM devices WHERE id IS ? AND name IS ? AND token IS ?", -1,
	    &rescue->same, NULL);

	if (code != SQLITE_OK)
		return spool_failure(rescue->spool, code);
	return save_all(rescue, "SELECT id, name, token FROM devices",
	    "INSERT OR IGNORE INTO devices (id, name, token) VALUES (?, ?, ?)", save_device);
}

/* From the front until it breaks, then from the end: between the two lies what is lost. */
static int
save_rows(struct rescue *rescue)
{
	static const char insert[] =
	    "INSERT OR IGNORE INTO rows (id, device, ts, n, sum, members) VALUES (?, ?, ?, ?, ?, ?)";
	int error = save_all(rescue, SPOOL_ROW_COLUMNS "ORDER BY id", insert, save_row);

	return error < 0 ? error : save_all(rescue, SPOOL_ROW_COLUMNS "ORDER BY id DESC", insert, save_row);
}

/* The old one is left as it is, its log too. */
static int
begin(struct spool *spool, const char *name, struct rescue **ret)
{
	struct rescue *rescue = calloc(1, sizeof(*rescue));
	char *path = NULL;

	if (!rescue || asprintf(&path, "%s/%s", spool->settings->store.dir, name) < 0) {
		free(rescue);
		return -ENOMEM;
	}
	rescue->spool = spool;
	if (sqlite3_open_v2(path, &rescue->old, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		sqlite3_db_config(rescue->old, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		sqlite3_exec(rescue->old, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON", NULL, NULL,
		    NULL);
	}
	free(path);
	*ret = rescue;
	return 0;
}

static void
end(struct rescue *rescue)
{
	sqlite3_finalize(rescue->same);
	sqlite3_close(rescue->old);
	free(rescue);
}

/* What was begun is not to be. */
static void
roll_back(struct spool *spool)
{
	if (spool->db && !sqlite3_get_autocommit(spool->db))
		sqlite3_exec(spool->db, "ROLLBACK", NULL, NULL, NULL);
}

/* --- beginning anew --- */

/* Greater than the ids of all rows that can be read. */
static uint64_t
next_id(struct rescue *rescue)
{
	static const char *const queries[] = { SPOOL_ROW_COLUMNS "ORDER BY id DESC", SPOOL_ROW_COLUMNS "ORDER BY id" };
	uint64_t next = 1;

	for (int i = 0; i < 2 && next == 1; i++) {
		sqlite3_stmt *from = NULL;
		struct spool_found found;

		if (sqlite3_prepare_v2(rescue->old, queries[i], -1, &from, NULL) == SQLITE_OK)
			while (!(i == 0 && next > 1) && sqlite3_step(from) == SQLITE_ROW)
				if (spool_read_row(rescue->spool, from, &found) && found.row.id >= next && found.row.id < INT64_MAX)
					next = found.row.id + 1;
		sqlite3_finalize(from);
	}
	return next;
}

/* The devices keep their ids, so that those which the new file gets meanwhile are others. */
static int
fill_next(struct rescue *rescue, const char *name)
{
	static const char insert[] = "INSERT INTO pending (name, next) VALUES (?, ?)";
	struct spool *spool = rescue->spool;
	char text[SPOOL_ASIDE_NAME_MAX + 96];
	int error = spool_run_text(
	    spool, "BEGIN IMMEDIATE; CREATE TABLE pending (name TEXT NOT NULL, next INTEGER NOT NULL)");

	if (error == 0)
		error = save_devices(rescue);
	if (error == 0)
		error = save_all(rescue, "SELECT name, next FROM pending ORDER BY rowid", insert, save_pending);
	if (error < 0)
		return error;
	snprintf(text, sizeof(text), "INSERT INTO pending (name, next) VALUES ('%s', %" PRIu64 "); COMMIT", name, next_id(rescue));
	return spool_run_text(spool, text);
}

int
spool_recover(struct spool *spool)
{
	char name[SPOOL_ASIDE_NAME_MAX];
	struct rescue *rescue;
	int error;

	spool_close(spool);
	error = begin(spool, SPOOL_FILE_NAME, &rescue);
	if (error < 0)
		return error;
	spool_file_name_aside(spool, name);
	error = spool_file_create_next(spool);
	if (error == 0)
		error = fill_next(rescue, name);
	roll_back(spool);
	end(rescue);
	spool_close(spool);
	if (error == 0)
		error = spool_file_take_next(spool);
	spool->rescue_tried = false;
	return error;
}

/* --- the rescue --- */

/* If anything was saved the new file goes under the number of the old one, since it goes on where that ended. */
static int
save_file(struct spool *spool, const char *name)
{
	char text[SPOOL_ASIDE_NAME_MAX + 64];
	struct rescue *rescue;
	int error = begin(spool, name, &rescue);

	if (error < 0)
		return error;
	error = spool_run_text(spool, "BEGIN IMMEDIATE");
	if (error == 0)
		error = save_devices(rescue);
	if (error == 0)
		error = save_rows(rescue);
	if (error == 0 && rescue->rows > 0 && spool->file != 0) {
		snprintf(text, sizeof(text), "UPDATE file SET id = %" PRIu64, spool->file);
		error = spool_run_text(spool, text);
	}
	snprintf(text, sizeof(text), "DELETE FROM pending WHERE name = '%s'; COMMIT", name);
	if (error == 0)
		error = spool_run_text(spool, text);
	if (error == 0 && rescue->rows > 0)
		log_notice("store: %" PRIu64 " rows were saved from %s", rescue->rows, name);
	roll_back(spool);
	end(rescue);
	return error;
}

/* The first one that is pending. Returns 1; 0: none is; or negative errno. */
static int
find_pending(struct spool *spool, char name[SPOOL_ASIDE_NAME_MAX])
{
	sqlite3_stmt *prepared;
	int code = sqlite3_prepare_v2(spool->db, "SELECT name FROM pending ORDER BY rowid", -1, &prepared, NULL);
	const char *found = NULL;

	if (code == SQLITE_OK)
		code = sqlite3_step(prepared);
	if (code == SQLITE_ROW)
		found = (const char *)sqlite3_column_text(prepared, 0);
	if (found && spool_file_is_aside(found))
		snprintf(name, SPOOL_ASIDE_NAME_MAX, "%s", found);
	else if (code == SQLITE_ROW)
		code = SQLITE_CORRUPT;
	sqlite3_finalize(prepared);
	return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : spool_failure(spool, code);
}

static int
save_files(struct spool *spool)
{
	char name[SPOOL_ASIDE_NAME_MAX];
	/* Whatever the settings say: the store makes room when it sees what is there. */
	int error = spool_run_text(spool, "PRAGMA journal_mode = DELETE; PRAGMA max_page_count = 1073741823");
	int found;

	while (error == 0 && (found = find_pending(spool, name)) != 0)
		error = found < 0 ? found : save_file(spool, name);
	return error < 0 ? error : spool_run_text(spool, "DROP TABLE pending");
}

int
spool_rescue(struct spool *spool)
{
	int64_t next = 0;
	int error = spool_query_number(spool, "SELECT count(*) FROM sqlite_master WHERE name = 'pending'", &next);

	spool->floor_id = 0;
	if (error < 0 || next == 0)
		return error;
	if (!spool->rescue_tried) {
		error = save_files(spool);
		spool->rescue_tried = error < 0;
		if (error == 0 || error == -EBADMSG)
			return error;
		log_error("store: %s: %s: what can be read of the damaged one is taken over at the next start", spool->path,
		    strerror(-error));
	}
	error = spool_query_number(spool, "SELECT max(next) FROM pending", &next);
	spool->floor_id = error == 0 && next > 0 ? (uint64_t)next : 0;
	return error;
}
