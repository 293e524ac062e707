/* What can be saved from a damaged file. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "flow/spool_state.h"

#define SAVE_ROWS_AT_ONCE 10000

struct rescue {
	struct spool *spool; /* the new file */
	sqlite3 *old;
	unsigned char devices[SPOOL_NUMBERS_MAX / 8]; /* a bit for each that was found */
	uint64_t rows;
};

static int
commit_and_go_on(struct rescue *rescue)
{
	int error = spool_run(rescue->spool, SPOOL_COMMIT);

	return error < 0 ? error : spool_run(rescue->spool, SPOOL_BEGIN);
}

static int
save_device(struct rescue *rescue, sqlite3_stmt *from, sqlite3_stmt *to)
{
	int64_t number = sqlite3_column_int64(from, 0);
	int code;

	if (number <= 0 || number >= SPOOL_NUMBERS_MAX)
		return 0;
	for (int i = 0; i < 3; i++)
		sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
	code = sqlite3_step(to);
	sqlite3_reset(to);
	if (code != SQLITE_DONE)
		return spool_failure(rescue->spool, code);
	rescue->devices[number / 8] |= (unsigned char)(1u << (number % 8));
	return 0;
}

/* What a row says is proven by its checksum, whatever the rest of the file is like; a row whose device is not
 * known is of no use. */
static int
save_row(struct rescue *rescue, sqlite3_stmt *from, sqlite3_stmt *to)
{
	int64_t number = sqlite3_column_int64(from, 1);
	struct spool_found found;
	int code;

	if (!spool_read_row(rescue->spool, from, &found) || number >= SPOOL_NUMBERS_MAX ||
	    !(rescue->devices[number / 8] & 1u << (number % 8)))
		return 0;
	for (int i = 0; i < 6; i++)
		sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
	code = sqlite3_step(to);
	sqlite3_reset(to);
	if (code != SQLITE_DONE)
		return spool_failure(rescue->spool, code);
	rescue->rows += (uint64_t)sqlite3_changes(rescue->spool->db);
	if (rescue->rows % SAVE_ROWS_AT_ONCE == SAVE_ROWS_AT_ONCE - 1)
		return commit_and_go_on(rescue);
	return 0;
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

/* From the front until it breaks, then from the end: between the two lies what is lost. */
static int
save_contents(struct rescue *rescue)
{
	static const char insert[] =
	    "INSERT OR IGNORE INTO rows (id, device, ts, n, sum, members) VALUES (?, ?, ?, ?, ?, ?)";
	int error = spool_run(rescue->spool, SPOOL_BEGIN);

	if (error == 0)
		error = save_all(rescue, "SELECT id, name, token FROM devices",
		    "INSERT OR IGNORE INTO devices (id, name, token) VALUES (?, ?, ?)", save_device);
	if (error == 0)
		error = save_all(rescue, SPOOL_ROW_COLUMNS "ORDER BY id", insert, save_row);
	if (error == 0)
		error = save_all(rescue, SPOOL_ROW_COLUMNS "ORDER BY id DESC", insert, save_row);
	return error == 0 ? spool_run(rescue->spool, SPOOL_COMMIT) : error;
}

/* If anything was saved the new file goes under the number of the old one, since it goes on where that ended.
 */
static int
rescue_from(struct spool *spool, const char *name)
{
	struct rescue *rescue = calloc(1, sizeof(*rescue));
	uint64_t file = spool->file;
	char *path = NULL;
	char text[64];
	int error;

	if (!rescue || asprintf(&path, "%s/%s", spool->settings->store.dir, name) < 0) {
		free(rescue);
		return -ENOMEM;
	}
	rescue->spool = spool;
	error = spool_file_create(spool);
	if (error == 0 && sqlite3_open_v2(path, &rescue->old, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			      NULL) == SQLITE_OK) {
		sqlite3_exec(rescue->old, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON",
		    NULL, NULL, NULL);
		error = save_contents(rescue);
	}
	if (error == 0 && rescue->rows > 0 && file != 0) {
		snprintf(text, sizeof(text), "UPDATE file SET id = %" PRIu64, file);
		error = spool_run_text(spool, text);
	}
	if (error == 0 && rescue->rows > 0)
		log_notice("store: %" PRIu64 " rows were saved from %s", rescue->rows, name);
	sqlite3_close(rescue->old);
	free(rescue);
	free(path);
	spool_close(spool);
	return error;
}

int
spool_recover(struct spool *spool)
{
	char name[SPOOL_ASIDE_NAME_MAX];
	int error = spool_file_put_aside(spool, "is damaged", name);

	return error < 0 ? error : rescue_from(spool, name);
}
