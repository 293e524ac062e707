#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "flow/spool_state.h"

int
spool_new(const struct settings *settings, struct spool **ret)
{
	struct spool *spool = calloc(1, sizeof(*spool));
	int error;

	if (!spool)
		return -ENOMEM;
	spool->settings = settings;
	spool->folder = -1;
	spool->numbers = calloc(settings->device_count + 1, sizeof(spool->numbers[0]));
	if (asprintf(&spool->path, "%s/" SPOOL_FILE_NAME, settings->store.dir) < 0)
		spool->path = NULL;
	if (asprintf(&spool->next_path, "%s/" SPOOL_NEXT_NAME, settings->store.dir) < 0)
		spool->next_path = NULL;
	if (!spool->numbers || !spool->path || !spool->next_path) {
		spool_free(spool);
		return -ENOMEM;
	}
	error = spool_file_take_folder(spool);
	if (error == -EBUSY) {
		spool_free(spool);
		return error;
	}
	*ret = spool;
	return 0;
}

int
spool_rebind(struct spool *spool, const struct settings *settings, bool same)
{
	uint32_t *numbers = same ? spool->numbers : calloc(settings->device_count + 1, sizeof(numbers[0]));

	if (!numbers)
		return -ENOMEM;
	if (!same)
		free(spool->numbers);
	spool->numbers = numbers;
	spool->settings = settings;
	return 0;
}

void
spool_close(struct spool *spool)
{
	for (size_t i = 0; i < SPOOL_STATEMENTS; i++) {
		sqlite3_finalize(spool->statements[i]);
		spool->statements[i] = NULL;
	}
	sqlite3_close(spool->db);
	spool->db = NULL;
	free(spool->indexes);
	spool->indexes = NULL;
	spool->index_count = 0;
}

void
spool_free(struct spool *spool)
{
	if (!spool)
		return;
	spool_close(spool);
	if (spool->folder >= 0)
		close(spool->folder);
	free(spool->path);
	free(spool->next_path);
	free(spool->numbers);
	free(spool);
}

struct spool_counts
spool_counts(const struct spool *spool)
{
	return spool->counts;
}

uint64_t
spool_file(const struct spool *spool)
{
	return spool->db ? spool->file : 0;
}

/* --- opening --- */

/* Read everything: what is where, and whether it is readable. */
static int
take_inventory(struct spool *spool, struct spool_range *ranges, struct spool_inventory *inventory)
{
	sqlite3_stmt *prepared = spool->statements[SPOOL_OLDEST];
	struct spool_ids damaged = { .ids = NULL };
	int error = spool_bind_ids(spool, prepared, 0, INT64_MAX);
	int code = SQLITE_DONE;

	inventory->next_id = 1;
	while (error == 0 && (code = sqlite3_step(prepared)) == SQLITE_ROW) {
		struct spool_range *range;
		struct spool_found found;
		bool whole = spool_read_row(spool, prepared, &found);

		if (found.row.id < inventory->next_id)
			error = spool_failure(
			    spool, SQLITE_CORRUPT); /* SQLite finds by halving, which needs the order */
		else if (!whole)
			error = spool_ids_add(&damaged, found.row.id);
		else if (!found.known)
			inventory->unknown_rows++;
		inventory->next_id = found.row.id + 1;
		if (error < 0 || !found.known)
			continue;
		range = &ranges[found.row.device];
		if (range->rows == 0)
			range->after_id = found.row.id - 1;
		range->last_id = found.row.id;
		spool_count_row(range, &found);
	}
	if (inventory->next_id < spool->floor_id)
		inventory->next_id = spool->floor_id;
	if (error == 0 && code != SQLITE_DONE)
		error = spool_failure(spool, code);
	sqlite3_reset(prepared);
	if (error == 0 && damaged.count > 0) {
		spool->counts.damaged_rows += damaged.count;
		log_error("store: %s: %zu rows are damaged and are dropped", spool->path, damaged.count);
		error = spool_write(spool, NULL, damaged.ids, damaged.count, &inventory->used_bytes);
	}
	free(damaged.ids);
	return error == 0 ? spool_used_bytes(spool, &inventory->used_bytes) : error;
}

static int
try_open(struct spool *spool, struct spool_range *ranges, struct spool_inventory *inventory)
{
	int there = spool_file_is_there(spool);
	int error;

	memset(ranges, 0, spool->settings->device_count * sizeof(ranges[0]));
	*inventory = (struct spool_inventory){ .next_id = 1 };
	if (there > 0) {
		error = spool_file_forget_empty(spool);
		if (error < 0)
			return error;
		there = spool_file_is_there(spool);
	}
	if (there <= 0)
		return there;
	error = spool_file_open(spool);
	if (error == 0)
		error = take_inventory(spool, ranges, inventory);
	inventory->file = spool->file;
	return error;
}

int
spool_open(struct spool *spool, struct spool_range *ranges, struct spool_inventory *ret)
{
	int error = spool_file_take_folder(spool);

	spool_close(spool);
	if (error == 0)
		error = spool_file_take_next(spool);
	for (int i = 0; error == 0 && i < 3; i++) {
		if (spool->unusable && (error = spool_recover(spool)) < 0)
			return error;
		error = try_open(spool, ranges, ret);
		if (error == 0)
			return 0;
		spool_close(spool);
		if (error == -EBADMSG)
			error = 0;
	}
	return error == 0 ? -EIO : error;
}

/* --- writing --- */

int
spool_write(struct spool *spool, const struct spool_rows *rows, uint64_t *gone, size_t gone_count,
    uint64_t *ret_used_bytes)
{
	bool anything = gone_count > 0 || (rows && rows->used > 0);
	int error;

	if (!spool->db && (!rows || rows->used == 0))
		return 0; /* there is no file yet, and so nothing in it to forget */
	if (!spool->db && ((error = spool_file_create(spool)) < 0 || (error = spool_file_note_inode(spool)) < 0))
		return error;
	if (anything) {
		error = spool_run(spool, SPOOL_BEGIN);
		if (error == 0)
			error = spool_insert_rows(spool, rows);
		if (error == 0)
			error = spool_delete_rows(spool, gone, gone_count);
		if (error == 0)
			error = spool_run(spool, SPOOL_COMMIT);
		if (error < 0) {
			bool unusable = spool->unusable;

			spool_run(spool, SPOOL_ROLLBACK);
			spool->unusable = unusable;
			return error;
		}
	}
	error = spool_file_check_inode(spool);
	return error < 0 ? error : spool_used_bytes(spool, ret_used_bytes);
}
