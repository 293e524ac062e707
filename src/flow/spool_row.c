/* Rows, in a buffer and in the file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flow/spool_state.h"

/* --- in a buffer --- */

size_t
spool_row_size(size_t length)
{
	return (offsetof(struct spool_row, members) + length + 7) & ~(size_t)7;
}

struct spool_row *
spool_rows_at(const struct spool_rows *rows, size_t offset)
{
	return offset < rows->used ? (struct spool_row *)(void *)(rows->data + offset) : NULL;
}

int
spool_rows_add(struct spool_rows *rows, const struct spool_row *head, const char *members)
{
	size_t size = spool_row_size(head->length);
	struct spool_row *row;

	if (rows->size - rows->used < size) {
		size_t larger = rows->size * 2 > rows->used + size ? rows->size * 2 : rows->used + size;
		char *data = realloc(rows->data, larger);

		if (!data)
			return -ENOMEM;
		rows->data = data;
		rows->size = larger;
	}
	row = (struct spool_row *)(void *)(rows->data + rows->used);
	memcpy(row, head, offsetof(struct spool_row, members));
	memcpy(row->members, members, head->length);
	rows->used += size;
	return 0;
}

/* --- what is noted of them --- */

void
spool_count_row(struct spool_range *range, const struct spool_found *found)
{
	range->bytes += spool_row_size(found->row.length);
	range->rows++;
	range->values += found->row.values;
}

int
spool_ids_add(struct spool_ids *ids, uint64_t id)
{
	if (ids->count == ids->size) {
		size_t size = ids->size ? ids->size * 2 : 256;
		uint64_t *larger = realloc(ids->ids, size * sizeof(ids->ids[0]));

		if (!larger)
			return -ENOMEM;
		ids->ids = larger;
		ids->size = size;
	}
	ids->ids[ids->count++] = id;
	return 0;
}

/* --- what proves them --- */

/* FNV-1a: each step is reversible, so that no change of one byte goes unseen. */
uint64_t
spool_hash(uint64_t sum, const void *bytes, size_t length)
{
	const unsigned char *byte = bytes;

	/* The analyser of clang 14 loses what an array of wider words was set to when it is read byte by byte. */
	for (size_t i = 0; i < length; i++)
		sum = (sum ^ byte[i]) * UINT64_C(1099511628211); // NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult)
	return sum;
}

static int64_t
row_sum(uint64_t id, uint64_t number, int64_t ts_unix_ms, uint64_t values, const void *members, size_t length)
{
	uint64_t head[] = { id, number, (uint64_t)ts_unix_ms, values };
	uint64_t sum = spool_hash(spool_hash(SPOOL_HASH_START, head, sizeof(head)), members, length);

	return (int64_t)((sum ^ sum >> 32) & UINT32_MAX);
}

/* --- in the file --- */

int
spool_bind_ids(struct spool *spool, sqlite3_stmt *prepared, uint64_t after_id, uint64_t last_id)
{
	int code = sqlite3_bind_int64(prepared, 1, (int64_t)(after_id < INT64_MAX ? after_id : INT64_MAX));

	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(prepared, 2, (int64_t)(last_id < INT64_MAX ? last_id : INT64_MAX));
	return code == SQLITE_OK ? 0 : spool_failure(spool, code);
}

bool
spool_read_row(struct spool *spool, sqlite3_stmt *prepared, struct spool_found *ret)
{
	int64_t number = sqlite3_column_int64(prepared, 1);
	int64_t values = sqlite3_column_int64(prepared, 3);
	const char *members = sqlite3_column_blob(prepared, 5);
	int length = sqlite3_column_bytes(prepared, 5);

	*ret = (struct spool_found){
		.row = { .id = (uint64_t)sqlite3_column_int64(prepared, 0),
		    .ts_unix_ms = sqlite3_column_int64(prepared, 2),
		    .values = (uint32_t)values,
		    .length = (uint32_t)length },
		.members = members,
	};
	if (length <= 0 || number <= 0 || values < 0 || values > UINT32_MAX ||
	    sqlite3_column_type(prepared, 5) != SQLITE_BLOB ||
	    row_sum(ret->row.id, (uint64_t)number, ret->row.ts_unix_ms, (uint64_t)values, members,
		(size_t)length) != sqlite3_column_int64(prepared, 4))
		return false;
	if ((uint64_t)number < spool->index_count && spool->indexes[number] != 0) {
		ret->known = true;
		ret->row.device = spool->indexes[number] - 1;
	}
	return true;
}

static int
insert_row(struct spool *spool, const struct spool_row *row)
{
	sqlite3_stmt *prepared = spool->statements[SPOOL_INSERT];
	int error = spool_device_number(spool, row->device);
	int64_t number, sum;

	if (error < 0)
		return error;
	number = spool->numbers[row->device];
	sum = row_sum(row->id, (uint64_t)number, row->ts_unix_ms, row->values, row->members, row->length);
	if (sqlite3_bind_int64(prepared, 1, (int64_t)row->id) || sqlite3_bind_int64(prepared, 2, number) ||
	    sqlite3_bind_int64(prepared, 3, row->ts_unix_ms) ||
	    sqlite3_bind_int64(prepared, 4, row->values) || sqlite3_bind_int64(prepared, 5, sum) ||
	    sqlite3_bind_blob(prepared, 6, row->members, (int)row->length, SQLITE_STATIC))
		return spool_failure(spool, sqlite3_errcode(spool->db));
	return spool_run(spool, SPOOL_INSERT);
}

int
spool_insert_rows(struct spool *spool, const struct spool_rows *rows)
{
	const struct spool_row *row;
	int error = 0;

	for (size_t at = 0; error == 0 && rows && (row = spool_rows_at(rows, at));
	     at += spool_row_size(row->length))
		error = insert_row(spool, row);
	return error;
}

static int
compare_ids(const void *a, const void *b)
{
	uint64_t first, second;

	memcpy(&first, a, sizeof(first));
	memcpy(&second, b, sizeof(second));
	return first < second ? -1 : first > second;
}

/* Neighbours go in one statement. */
int
spool_delete_rows(struct spool *spool, uint64_t *gone, size_t count)
{
	int error = 0;

	if (count > 1)
		qsort(gone, count, sizeof(gone[0]), compare_ids);
	for (size_t i = 0, next; i < count && error == 0; i = next) {
		next = i + 1;
		while (next < count && gone[next] <= gone[next - 1] + 1)
			next++;
		error = spool_bind_ids(spool, spool->statements[SPOOL_DELETE], gone[i] - 1, gone[next - 1]);
		if (error == 0)
			error = spool_run(spool, SPOOL_DELETE);
	}
	return error;
}
