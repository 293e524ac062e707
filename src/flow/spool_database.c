/* The connection to SQLite: statements, and its errors as ours. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "flow/spool_state.h"

#define USED_BYTES                                                                                           \
	"SELECT (p.page_count - f.freelist_count) * s.page_size "                                            \
	"FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s"

static const char *const statement_texts[] = {
	[SPOOL_BEGIN] = "BEGIN IMMEDIATE",
	[SPOOL_COMMIT] = "COMMIT",
	[SPOOL_ROLLBACK] = "ROLLBACK",
	[SPOOL_INSERT] =
	    "INSERT OR REPLACE INTO rows (id, device, ts, n, sum, members) VALUES (?, ?, ?, ?, ?, ?)",
	[SPOOL_DELETE] = "DELETE FROM rows WHERE id > ? AND id <= ?",
	[SPOOL_OLDEST] = SPOOL_ROW_COLUMNS "WHERE id > ? AND id <= ? ORDER BY id",
	[SPOOL_NEWEST] = SPOOL_ROW_COLUMNS "WHERE id > ? AND id <= ? ORDER BY id DESC",
	[SPOOL_DEVICE] = "SELECT id FROM devices WHERE name = ? AND token = ?",
	[SPOOL_NEW_DEVICE] = "INSERT INTO devices (name, token) VALUES (?, ?)",
	[SPOOL_USED] = USED_BYTES,
};

/* synchronous=FULL: a commit is on the disk when it returns; with NORMAL a power cut would take back what was
 * committed since the last checkpoint. Exclusive: no shared-memory file. No secure_delete, which writes each
 * freed page once more. */
static const char settings_text[] = "PRAGMA locking_mode = EXCLUSIVE;"
				    "PRAGMA page_size = 4096;"
				    "PRAGMA secure_delete = OFF;"
				    "PRAGMA mmap_size = 0;"
				    "PRAGMA cell_size_check = ON;"
				    "PRAGMA trusted_schema = OFF;"
				    "PRAGMA temp_store = MEMORY;"
				    "PRAGMA cache_size = -1024;"
				    "PRAGMA synchronous = FULL;"
				    "PRAGMA wal_autocheckpoint = 1000;"
				    "PRAGMA journal_size_limit = 4194304;";

int
spool_failure(struct spool *spool, int code)
{
	int system = spool->db ? sqlite3_system_errno(spool->db) : 0;

	if (spool->db && sqlite3_extended_errcode(spool->db) == SQLITE_IOERR_SHORT_READ)
		code = SQLITE_CORRUPT;
	switch (code & 0xff) {
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return -EBUSY;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return system > 0 ? -system : -EIO;
	default:
		spool->unusable = true;
		return -EBADMSG;
	}
}

int
spool_run(struct spool *spool, enum spool_statement which)
{
	sqlite3_stmt *prepared = spool->statements[which];
	int code = sqlite3_step(prepared);
	int error = code == SQLITE_DONE ? 0 : code == SQLITE_ROW ? -EBADMSG : spool_failure(spool, code);

	sqlite3_reset(prepared);
	return error;
}

int
spool_run_text(struct spool *spool, const char *text)
{
	int code = sqlite3_exec(spool->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : spool_failure(spool, code);
}

int
spool_query_number(struct spool *spool, const char *text, int64_t *ret)
{
	sqlite3_stmt *prepared;
	int code = sqlite3_prepare_v2(spool->db, text, -1, &prepared, NULL);
	int error = 0;

	if (code == SQLITE_OK)
		code = sqlite3_step(prepared);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(prepared, 0);
	else
		error = spool_failure(spool, code);
	sqlite3_finalize(prepared);
	return error;
}

int
spool_used_bytes(struct spool *spool, uint64_t *ret)
{
	sqlite3_stmt *prepared = spool->statements[SPOOL_USED];
	int code = sqlite3_step(prepared);
	int error = 0;

	if (code == SQLITE_ROW)
		*ret = (uint64_t)sqlite3_column_int64(prepared, 0);
	else
		error = spool_failure(spool, code);
	sqlite3_reset(prepared);
	return error;
}

int
spool_connect(struct spool *spool, const char *path)
{
	int code = sqlite3_open_v2(path, &spool->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (code != SQLITE_OK)
		return spool_failure(spool, code);
	if (sqlite3_db_readonly(spool->db, "main") == 1)
		return -EROFS;
	return spool_run_text(spool, settings_text);
}

int
spool_prepare(struct spool *spool)
{
	char limit[64];

	for (size_t i = 0; i < SPOOL_STATEMENTS; i++) {
		int code = sqlite3_prepare_v3(spool->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
		    &spool->statements[i], NULL);

		if (code != SQLITE_OK)
			return spool_failure(spool, code);
	}
	snprintf(limit, sizeof(limit), "PRAGMA max_page_count = %" PRId64,
	    ((int64_t)spool->settings->store.max_mb << 20) / 4096);
	return spool_run_text(spool, limit);
}
