#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "flow/spool.h"

#define FILE_NAME      "fieldgate.db"
#define ASIDE_MARK     FILE_NAME ".bad-"
#define ASIDE_KEPT     2
#define ASIDE_NAME_MAX 64
#define FORMAT_VERSION 1 /* PRAGMA user_version */
#define NUMBERS_MAX    (1u << 20)
#define SCAN_ROWS_MAX  200000 /* in one call, so that nobody waits for it for long */
#define DROP_ROWS_MAX  50000  /* in one transaction */
#define YOUNG_ROWS_MAX                                                                                       \
	1000 /* rows are old in about the order of their ids: after so many that are not, none is */

#define USED_BYTES                                                                                           \
	"SELECT (p.page_count - f.freelist_count) * s.page_size "                                            \
	"FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s"
#define ROW_COLUMNS "SELECT id, device, ts, n, sum, members FROM rows "

enum statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_INSERT,
	STATEMENT_DELETE,
	STATEMENT_OLDEST,
	STATEMENT_NEWEST,
	STATEMENT_DEVICE,
	STATEMENT_NEW_DEVICE,
	STATEMENT_USED,
	STATEMENT_COUNT
};

static const char *const statement_texts[] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_INSERT] =
	    "INSERT OR REPLACE INTO rows (id, device, ts, n, sum, members) VALUES (?, ?, ?, ?, ?, ?)",
	[STATEMENT_DELETE] = "DELETE FROM rows WHERE id > ? AND id <= ?",
	[STATEMENT_OLDEST] = ROW_COLUMNS "WHERE id > ? AND id <= ? ORDER BY id",
	[STATEMENT_NEWEST] = ROW_COLUMNS "WHERE id > ? AND id <= ? ORDER BY id DESC",
	[STATEMENT_DEVICE] = "SELECT id FROM devices WHERE name = ? AND token = ?",
	[STATEMENT_NEW_DEVICE] = "INSERT INTO devices (name, token) VALUES (?, ?)",
	[STATEMENT_USED] = USED_BYTES,
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

static const char schema_text[] = "BEGIN IMMEDIATE;"
				  "CREATE TABLE file (id INTEGER NOT NULL);"
				  "CREATE TABLE devices (id INTEGER PRIMARY KEY, name TEXT NOT NULL, token "
				  "INTEGER NOT NULL, UNIQUE (name, token));"
				  "CREATE TABLE rows (id INTEGER PRIMARY KEY, device INTEGER NOT NULL, ts "
				  "INTEGER NOT NULL, n INTEGER NOT NULL,"
				  " sum INTEGER NOT NULL, members BLOB NOT NULL);"
				  "INSERT INTO file (id) VALUES (%lld);"
				  "PRAGMA user_version = %d;"
				  "COMMIT;";

struct spool {
	const struct settings *settings;
	int folder; /* holds the lock; -1 = not taken yet */
	char *path; /* of the file */
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	bool unusable; /* what was open is damaged: put it aside */
	uint64_t file;
	ino_t inode;
	uint32_t *numbers; /* by index of the device: its id in the file; 0 = not there yet */
	uint32_t *indexes; /* by id in the file: index + 1; 0 = unknown */
	size_t index_count;
	struct spool_counts counts;
};

/* ---- rows in a buffer ---- */

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

/* FNV-1a: each step is reversible, so that no change of one byte goes unseen. */
static uint64_t
hash(uint64_t sum, const void *bytes, size_t length)
{
	const unsigned char *byte = bytes;

	/* The analyser of clang 14 loses what an array of wider words was set to when it is read byte by byte. */
	for (size_t i = 0; i < length; i++)
		sum = (sum ^ byte[i]) * UINT64_C(1099511628211); // NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult)
	return sum;
}

#define HASH_START UINT64_C(14695981039346656037)

static int64_t
row_sum(uint64_t id, uint64_t number, int64_t ts_unix_ms, uint64_t values, const void *members, size_t length)
{
	uint64_t head[] = { id, number, (uint64_t)ts_unix_ms, values };
	uint64_t sum = hash(hash(HASH_START, head, sizeof(head)), members, length);

	return (int64_t)((sum ^ sum >> 32) & UINT32_MAX);
}

static uint64_t
hash_text(uint64_t start, const char *text)
{
	return text ? hash(start, text, strlen(text)) : start;
}

/* With other credentials it is another device. */
static int64_t
credentials_hash(const struct credentials *credentials)
{
	uint64_t sum = HASH_START;

	switch (credentials->kind) {
	case CREDENTIALS_TOKEN:
		sum = hash_text(sum, credentials->token);
		break;
	case CREDENTIALS_BASIC:
		sum = hash_text(hash_text(hash_text(sum, "basic "), credentials->client_id), " ");
		sum = hash_text(sum, credentials->user);
		break;
	case CREDENTIALS_CERTIFICATE:
		sum = hash_text(hash_text(sum, "certificate "), credentials->cert_file);
		break;
	case CREDENTIALS_NONE:
		break;
	}
	return (int64_t)sum;
}

/* ---- errors ---- */

/* SQLite's error as ours. What only a damaged file explains makes the file unusable. */
static int
failure(struct spool *spool, int code)
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

static sqlite3_stmt *
statement(struct spool *spool, enum statement which)
{
	return spool->statements[which];
}

/* Run a statement that gives no rows. */
static int
run(struct spool *spool, enum statement which)
{
	sqlite3_stmt *prepared = statement(spool, which);
	int code = sqlite3_step(prepared);
	int error = code == SQLITE_DONE ? 0 : code == SQLITE_ROW ? -EBADMSG : failure(spool, code);

	sqlite3_reset(prepared);
	return error;
}

static int
query_number(struct spool *spool, const char *text, int64_t *ret)
{
	sqlite3_stmt *prepared;
	int code = sqlite3_prepare_v2(spool->db, text, -1, &prepared, NULL);
	int error = 0;

	if (code == SQLITE_OK)
		code = sqlite3_step(prepared);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(prepared, 0);
	else
		error = failure(spool, code);
	sqlite3_finalize(prepared);
	return error;
}

/* ---- the folder ---- */

static int
take_folder(struct spool *spool)
{
	const char *dir = spool->settings->store.dir;
	int fd;

	if (spool->folder >= 0)
		return 0;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && mkdir(dir, 0700) == 0)
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int error = errno == EWOULDBLOCK ? EBUSY : errno;

		close(fd);
		return -error;
	}
	spool->folder = fd;
	return 0;
}

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
	if (!spool->numbers || asprintf(&spool->path, "%s/" FILE_NAME, settings->store.dir) < 0) {
		spool->path = NULL;
		spool_free(spool);
		return -ENOMEM;
	}
	error = take_folder(spool);
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
	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
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
	free(spool->numbers);
	free(spool);
}

struct spool_counts
spool_counts(const struct spool *spool)
{
	return spool->counts;
}

/* ---- putting aside ---- */

static int
is_aside(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return strncmp(entry->d_name, ASIDE_MARK, strlen(ASIDE_MARK)) == 0 &&
	       (length < 4 || strcmp(entry->d_name + length - 4, "-wal") != 0);
}

static void
forget_old_asides(struct spool *spool)
{
	struct dirent **entries = NULL;
	int count = scandir(spool->settings->store.dir, &entries, is_aside, alphasort);

	for (int i = 0; i < count; i++) {
		if (i < count - ASIDE_KEPT) {
			char wal[NAME_MAX + 8];

			snprintf(wal, sizeof(wal), "%s-wal", entries[i]->d_name);
			unlinkat(spool->folder, wal, 0);
			unlinkat(spool->folder, entries[i]->d_name, 0);
		}
		free(entries[i]);
	}
	free(entries);
}

/* The journal is part of a database: it moves with it, and first, or it would be taken for the next one's. */
static int
put_aside(struct spool *spool, const char *why, char name[ASIDE_NAME_MAX])
{
	time_t now = time(NULL);
	char stamp[32] = "0", wal[ASIDE_NAME_MAX + 8];
	struct stat other;
	struct tm at;

	spool_close(spool);
	if (gmtime_r(&now, &at))
		strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &at);
	snprintf(name, ASIDE_NAME_MAX, ASIDE_MARK "%s", stamp);
	for (int i = 2; fstatat(spool->folder, name, &other, 0) == 0; i++)
		snprintf(name, ASIDE_NAME_MAX, ASIDE_MARK "%s.%d", stamp, i);
	snprintf(wal, sizeof(wal), "%s-wal", name);
	if (renameat(spool->folder, FILE_NAME "-wal", spool->folder, wal) < 0 && errno != ENOENT)
		return -errno;
	unlinkat(spool->folder, FILE_NAME "-shm", 0);
	if (renameat(spool->folder, FILE_NAME, spool->folder, name) < 0 && errno != ENOENT)
		return -errno;
	spool->unusable = false;
	log_error("store: %s %s: it is kept as %s and a new one is begun", spool->path, why, name);
	forget_old_asides(spool);
	return 0;
}

/* ---- opening ---- */

static int
run_text(struct spool *spool, const char *text)
{
	int code = sqlite3_exec(spool->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : failure(spool, code);
}

/* A connection, without a look at what is in the file. */
static int
connect_file(struct spool *spool)
{
	int code = sqlite3_open_v2(spool->path, &spool->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (code != SQLITE_OK)
		return failure(spool, code);
	if (sqlite3_db_readonly(spool->db, "main") == 1)
		return -EROFS;
	return run_text(spool, settings_text);
}

static int
prepare_statements(struct spool *spool)
{
	char limit[64];

	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		int code = sqlite3_prepare_v3(spool->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
		    &spool->statements[i], NULL);

		if (code != SQLITE_OK)
			return failure(spool, code);
	}
	snprintf(limit, sizeof(limit), "PRAGMA max_page_count = %" PRId64,
	    ((int64_t)spool->settings->store.max_mb << 20) / 4096);
	return run_text(spool, limit);
}

static int
note_device(struct spool *spool, size_t index, int64_t number)
{
	size_t count = (size_t)number + 1;

	if (number <= 0 || number >= NUMBERS_MAX)
		return -EBADMSG;
	if (count > spool->index_count) {
		uint32_t *indexes = realloc(spool->indexes, count * sizeof(indexes[0]));

		if (!indexes)
			return -ENOMEM;
		memset(indexes + spool->index_count, 0, (count - spool->index_count) * sizeof(indexes[0]));
		spool->indexes = indexes;
		spool->index_count = count;
	}
	spool->indexes[number] = (uint32_t)index + 1;
	spool->numbers[index] = (uint32_t)number;
	return 0;
}

static int
bind_device(struct spool *spool, sqlite3_stmt *prepared, size_t index)
{
	const struct device *device = &spool->settings->devices[index];
	int code = sqlite3_bind_text(prepared, 1, device->name, -1, SQLITE_STATIC);

	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(prepared, 2, credentials_hash(&device->credentials));
	return code == SQLITE_OK ? 0 : failure(spool, code);
}

static int
find_device(struct spool *spool, size_t index)
{
	sqlite3_stmt *prepared = statement(spool, STATEMENT_DEVICE);
	int error = bind_device(spool, prepared, index);
	int code = error < 0 ? SQLITE_DONE : sqlite3_step(prepared);

	if (code == SQLITE_ROW) {
		error = note_device(spool, index, sqlite3_column_int64(prepared, 0));
		spool->unusable = spool->unusable || error == -EBADMSG;
	} else if (code != SQLITE_DONE) {
		error = failure(spool, code);
	}
	sqlite3_reset(prepared);
	return error;
}

static int
find_devices(struct spool *spool)
{
	int error = 0;

	memset(spool->numbers, 0, spool->settings->device_count * sizeof(spool->numbers[0]));
	for (size_t i = 0; i < spool->settings->device_count && error == 0; i++)
		error = find_device(spool, i);
	return error;
}

static int
create_file(struct spool *spool)
{
	char text[sizeof(schema_text) + 64];
	uint64_t id = 0;
	int error;
	int fd = open(spool->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	error = connect_file(spool);
	if (error < 0)
		return error;
	while (id == 0)
		if (getrandom(&id, sizeof(id), 0) < 0)
			return -errno;
	id &= INT64_MAX;
	snprintf(text, sizeof(text), schema_text, (long long)id, FORMAT_VERSION);
	if ((error = run_text(spool, "PRAGMA journal_mode = WAL")) < 0 ||
	    (error = run_text(spool, text)) < 0 || (error = prepare_statements(spool)) < 0)
		return error;
	spool->file = id;
	memset(spool->numbers, 0, spool->settings->device_count * sizeof(spool->numbers[0]));
	fsync(spool->folder); /* the name of the file is part of what must last */
	return 0;
}

static int
note_inode(struct spool *spool)
{
	struct stat file;

	if (fstatat(spool->folder, FILE_NAME, &file, 0) < 0)
		return -errno;
	spool->inode = file.st_ino;
	return 0;
}

static int
open_file(struct spool *spool)
{
	int64_t version = 0, id = 0;
	char name[ASIDE_NAME_MAX];
	int error = connect_file(spool);

	if (error < 0 || (error = query_number(spool, "PRAGMA user_version", &version)) < 0)
		return error;
	if (version > FORMAT_VERSION) {
		error = put_aside(spool, "comes from a newer version of fieldgate", name);
		return error < 0 ? error : -EBADMSG;
	}
	if ((error = run_text(spool, "PRAGMA journal_mode = WAL")) < 0 ||
	    (error = prepare_statements(spool)) < 0 ||
	    (error = query_number(spool, "SELECT id FROM file", &id)) < 0)
		return error;
	spool->file = (uint64_t)id;
	error = note_inode(spool);
	return error < 0 ? error : find_devices(spool);
}

/* ---- rows ---- */

struct found {
	const char *members;
	bool known;
	struct spool_row row;
};

/* The row that a statement stands on. Returns false if it is damaged. */
static bool
read_row(struct spool *spool, sqlite3_stmt *prepared, struct found *ret)
{
	int64_t number = sqlite3_column_int64(prepared, 1);
	int64_t values = sqlite3_column_int64(prepared, 3);
	const char *members = sqlite3_column_blob(prepared, 5);
	int length = sqlite3_column_bytes(prepared, 5);

	*ret = (struct found){
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

struct ids {
	uint64_t *ids;
	size_t count;
	size_t size;
};

static int
add_id(struct ids *ids, uint64_t id)
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

static int
start_scan(struct spool *spool, sqlite3_stmt *prepared, uint64_t after_id, uint64_t last_id)
{
	int code = sqlite3_bind_int64(prepared, 1, (int64_t)(after_id < INT64_MAX ? after_id : INT64_MAX));

	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(prepared, 2, (int64_t)(last_id < INT64_MAX ? last_id : INT64_MAX));
	return code == SQLITE_OK ? 0 : failure(spool, code);
}

static void
count_row(struct spool_range *range, const struct found *found)
{
	range->bytes += spool_row_size(found->row.length);
	range->rows++;
	range->values += found->row.values;
}

/* Read everything: what is where, and whether it is readable. */
static int
take_inventory(struct spool *spool, struct spool_range *ranges, struct spool_inventory *inventory)
{
	sqlite3_stmt *prepared = statement(spool, STATEMENT_OLDEST);
	struct ids damaged = { .ids = NULL };
	int error = start_scan(spool, prepared, 0, INT64_MAX);
	int code = SQLITE_DONE;

	inventory->next_id = 1;
	while (error == 0 && (code = sqlite3_step(prepared)) == SQLITE_ROW) {
		struct spool_range *range;
		struct found found;
		bool whole = read_row(spool, prepared, &found);

		if (found.row.id < inventory->next_id)
			error = failure(
			    spool, SQLITE_CORRUPT); /* SQLite finds by halving, which needs the order */
		else if (!whole)
			error = add_id(&damaged, found.row.id);
		else if (!found.known)
			inventory->unknown_rows++;
		inventory->next_id = found.row.id + 1;
		if (error < 0 || !found.known)
			continue;
		range = &ranges[found.row.device];
		if (range->rows == 0)
			range->after_id = found.row.id - 1;
		range->last_id = found.row.id;
		count_row(range, &found);
	}
	if (error == 0 && code != SQLITE_DONE)
		error = failure(spool, code);
	sqlite3_reset(prepared);
	if (error == 0 && damaged.count > 0) {
		spool->counts.damaged_rows += damaged.count;
		log_error("store: %s: %zu rows are damaged and are dropped", spool->path, damaged.count);
		error = spool_write(spool, NULL, damaged.ids, damaged.count, &inventory->used_bytes);
	}
	free(damaged.ids);
	return error == 0
		   ? query_number(spool, statement_texts[STATEMENT_USED], (int64_t *)&inventory->used_bytes)
		   : error;
}

/* A crash between making the file and filling it leaves a database without tables: there is nothing in it. */
static int
is_there(struct spool *spool)
{
	struct stat file;

	if (fstatat(spool->folder, FILE_NAME, &file, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	return file.st_size > 0;
}

static int
forget_empty(struct spool *spool)
{
	int64_t tables = 0;
	int error = connect_file(spool);

	if (error == 0)
		error = query_number(spool, "SELECT count(*) FROM sqlite_master", &tables);
	spool_close(spool);
	if (error < 0 || tables > 0)
		return error;
	unlinkat(spool->folder, FILE_NAME "-wal", 0);
	unlinkat(spool->folder, FILE_NAME, 0);
	return 0;
}

static int
try_open(struct spool *spool, struct spool_range *ranges, struct spool_inventory *inventory)
{
	int there = is_there(spool);
	int error;

	memset(ranges, 0, spool->settings->device_count * sizeof(ranges[0]));
	*inventory = (struct spool_inventory){ .next_id = 1 };
	if (there > 0) {
		error = forget_empty(spool);
		if (error < 0)
			return error;
		there = is_there(spool);
	}
	if (there <= 0)
		return there;
	error = open_file(spool);
	if (error == 0)
		error = take_inventory(spool, ranges, inventory);
	inventory->file = spool->file;
	return error;
}

/* ---- writing ---- */

static int
device_number(struct spool *spool, uint32_t index)
{
	sqlite3_stmt *prepared = statement(spool, STATEMENT_NEW_DEVICE);
	int error;

	if (spool->numbers[index] != 0)
		return 0;
	error = bind_device(spool, prepared, index);
	if (error == 0)
		error = run(spool, STATEMENT_NEW_DEVICE);
	return error < 0 ? error : note_device(spool, index, sqlite3_last_insert_rowid(spool->db));
}

static int
insert_row(struct spool *spool, const struct spool_row *row)
{
	sqlite3_stmt *prepared = statement(spool, STATEMENT_INSERT);
	int error = device_number(spool, row->device);
	int64_t number, sum;

	if (error < 0)
		return error;
	number = spool->numbers[row->device];
	sum = row_sum(row->id, (uint64_t)number, row->ts_unix_ms, row->values, row->members, row->length);
	if (sqlite3_bind_int64(prepared, 1, (int64_t)row->id) || sqlite3_bind_int64(prepared, 2, number) ||
	    sqlite3_bind_int64(prepared, 3, row->ts_unix_ms) ||
	    sqlite3_bind_int64(prepared, 4, row->values) || sqlite3_bind_int64(prepared, 5, sum) ||
	    sqlite3_bind_blob(prepared, 6, row->members, (int)row->length, SQLITE_STATIC))
		return failure(spool, sqlite3_errcode(spool->db));
	return run(spool, STATEMENT_INSERT);
}

static int
insert_rows(struct spool *spool, const struct spool_rows *rows)
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
static int
delete_rows(struct spool *spool, uint64_t *gone, size_t count)
{
	int error = 0;

	if (count > 1)
		qsort(gone, count, sizeof(gone[0]), compare_ids);
	for (size_t i = 0, next; i < count && error == 0; i = next) {
		next = i + 1;
		while (next < count && gone[next] <= gone[next - 1] + 1)
			next++;
		error = start_scan(spool, statement(spool, STATEMENT_DELETE), gone[i] - 1, gone[next - 1]);
		if (error == 0)
			error = run(spool, STATEMENT_DELETE);
	}
	return error;
}

static int
used_bytes(struct spool *spool, uint64_t *ret)
{
	sqlite3_stmt *prepared = statement(spool, STATEMENT_USED);
	int code = sqlite3_step(prepared);
	int error = 0;

	if (code == SQLITE_ROW)
		*ret = (uint64_t)sqlite3_column_int64(prepared, 0);
	else
		error = failure(spool, code);
	sqlite3_reset(prepared);
	return error;
}

/* What is written to a file that was deleted or replaced under us would be gone with the process. */
static int
check_inode(const struct spool *spool)
{
	struct stat file;

	return fstatat(spool->folder, FILE_NAME, &file, 0) == 0 && file.st_ino == spool->inode ? 0 : -ESTALE;
}

int
spool_write(struct spool *spool, const struct spool_rows *rows, uint64_t *gone, size_t gone_count,
    uint64_t *ret_used_bytes)
{
	bool anything = gone_count > 0 || (rows && rows->used > 0);
	int error;

	if (!spool->db && (!rows || rows->used == 0))
		return 0; /* there is no file yet, and so nothing in it to forget */
	if (!spool->db && ((error = create_file(spool)) < 0 || (error = note_inode(spool)) < 0))
		return error;
	if (anything) {
		error = run(spool, STATEMENT_BEGIN);
		if (error == 0)
			error = insert_rows(spool, rows);
		if (error == 0)
			error = delete_rows(spool, gone, gone_count);
		if (error == 0)
			error = run(spool, STATEMENT_COMMIT);
		if (error < 0) {
			bool unusable = spool->unusable;

			run(spool, STATEMENT_ROLLBACK);
			spool->unusable = unusable;
			return error;
		}
	}
	error = check_inode(spool);
	return error < 0 ? error : used_bytes(spool, ret_used_bytes);
}

uint64_t
spool_file(const struct spool *spool)
{
	return spool->db ? spool->file : 0;
}

/* ---- what can be saved from a damaged file ---- */

#define SAVE_ROWS_AT_ONCE 10000

struct rescue {
	struct spool *spool; /* the new file */
	sqlite3 *old;
	unsigned char devices[NUMBERS_MAX / 8]; /* a bit for each that was found */
	uint64_t rows;
};

static int
commit_and_go_on(struct rescue *rescue)
{
	int error = run(rescue->spool, STATEMENT_COMMIT);

	return error < 0 ? error : run(rescue->spool, STATEMENT_BEGIN);
}

static int
save_device(struct rescue *rescue, sqlite3_stmt *from, sqlite3_stmt *to)
{
	int64_t number = sqlite3_column_int64(from, 0);
	int code;

	if (number <= 0 || number >= NUMBERS_MAX)
		return 0;
	for (int i = 0; i < 3; i++)
		sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
	code = sqlite3_step(to);
	sqlite3_reset(to);
	if (code != SQLITE_DONE)
		return failure(rescue->spool, code);
	rescue->devices[number / 8] |= (unsigned char)(1u << (number % 8));
	return 0;
}

/* What a row says is proven by its checksum, whatever the rest of the file is like; a row whose device is not
 * known is of no use. */
static int
save_row(struct rescue *rescue, sqlite3_stmt *from, sqlite3_stmt *to)
{
	int64_t number = sqlite3_column_int64(from, 1);
	struct found found;
	int code;

	if (!read_row(rescue->spool, from, &found) || number >= NUMBERS_MAX ||
	    !(rescue->devices[number / 8] & 1u << (number % 8)))
		return 0;
	for (int i = 0; i < 6; i++)
		sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
	code = sqlite3_step(to);
	sqlite3_reset(to);
	if (code != SQLITE_DONE)
		return failure(rescue->spool, code);
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
	int error = code == SQLITE_OK ? 0 : failure(rescue->spool, code);

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
	int error = run(rescue->spool, STATEMENT_BEGIN);

	if (error == 0)
		error = save_all(rescue, "SELECT id, name, token FROM devices",
		    "INSERT OR IGNORE INTO devices (id, name, token) VALUES (?, ?, ?)", save_device);
	if (error == 0)
		error = save_all(rescue, ROW_COLUMNS "ORDER BY id", insert, save_row);
	if (error == 0)
		error = save_all(rescue, ROW_COLUMNS "ORDER BY id DESC", insert, save_row);
	return error == 0 ? run(rescue->spool, STATEMENT_COMMIT) : error;
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
	error = create_file(spool);
	if (error == 0 && sqlite3_open_v2(path, &rescue->old, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			      NULL) == SQLITE_OK) {
		sqlite3_exec(rescue->old, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON",
		    NULL, NULL, NULL);
		error = save_contents(rescue);
	}
	if (error == 0 && rescue->rows > 0 && file != 0) {
		snprintf(text, sizeof(text), "UPDATE file SET id = %" PRIu64, file);
		error = run_text(spool, text);
	}
	if (error == 0 && rescue->rows > 0)
		log_notice("store: %" PRIu64 " rows were saved from %s", rescue->rows, name);
	sqlite3_close(rescue->old);
	free(rescue);
	free(path);
	spool_close(spool);
	return error;
}

static int
recover(struct spool *spool)
{
	char name[ASIDE_NAME_MAX];
	int error = put_aside(spool, "is damaged", name);

	return error < 0 ? error : rescue_from(spool, name);
}

int
spool_open(struct spool *spool, struct spool_range *ranges, struct spool_inventory *ret)
{
	int error = take_folder(spool);

	spool_close(spool);
	for (int i = 0; error == 0 && i < 3; i++) {
		if (spool->unusable && (error = recover(spool)) < 0)
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

/* ---- reading and dropping ---- */

struct scan {
	struct spool_range *ranges;
	bool newest_first;
	int64_t before_unix_ms;
	size_t limit;		 /* bytes */
	struct spool_rows *rows; /* take them along ... */
	struct ids *ids;	 /* ... or note their ids */
	/* how it goes */
	size_t bytes;
	size_t open; /* ranges that want more */
	size_t steps;
	size_t young;
	uint64_t unknown_rows;
	uint64_t at; /* the row that was looked at last */
	bool all;    /* there are no more */
};

/* A time below 0 is not known yet (flow/store.c): nothing but the end of its device makes such a row old. */
static bool
is_older(const struct spool_row *row, int64_t before_unix_ms)
{
	return row->ts_unix_ms < before_unix_ms && (row->ts_unix_ms >= 0 || before_unix_ms == INT64_MAX);
}

static bool
wants_row(struct scan *scan, const struct found *found)
{
	const struct spool_range *range = &scan->ranges[found->row.device];

	if (found->row.id <= range->after_id || found->row.id > range->last_id ||
	    range->bytes >= range->wanted)
		return false;
	return scan->before_unix_ms == 0 || is_older(&found->row, scan->before_unix_ms);
}

static int
take_row(struct scan *scan, const struct found *found)
{
	struct spool_range *range;
	int error = scan->rows ? spool_rows_add(scan->rows, &found->row, found->members)
			       : add_id(scan->ids, found->row.id);

	if (error < 0)
		return error;
	scan->bytes += spool_row_size(found->row.length);
	if (!found->known) {
		scan->unknown_rows++;
		return 0;
	}
	range = &scan->ranges[found->row.device];
	count_row(range, found);
	if (scan->before_unix_ms == 0)
		range->reached_id = found->row.id;
	if (range->bytes >= range->wanted)
		scan->open--;
	return 0;
}

static int
look_at_row(struct spool *spool, struct scan *scan, sqlite3_stmt *prepared)
{
	struct found found;
	bool whole = read_row(spool, prepared, &found);

	scan->at = found.row.id;
	scan->steps++;
	if (!whole) {
		spool->counts.damaged_rows++;
		return 0;
	}
	if (scan->before_unix_ms != 0)
		scan->young = is_older(&found.row, scan->before_unix_ms) ? 0 : scan->young + 1;
	if (found.known ? wants_row(scan, &found)
			: scan->before_unix_ms != 0 && is_older(&found.row, scan->before_unix_ms))
		return take_row(scan, &found);
	return 0;
}

static bool
is_enough(const struct scan *scan)
{
	return scan->steps >= SCAN_ROWS_MAX || scan->bytes >= scan->limit || scan->young >= YOUNG_ROWS_MAX ||
	       (scan->open == 0 && scan->before_unix_ms == 0) ||
	       (scan->ids && scan->ids->count >= DROP_ROWS_MAX);
}

/* A range that did not get all that it wants has been dealt with as far as the scan went. */
static void
set_reached(struct scan *scan, struct spool_range *range)
{
	if (range->wanted == 0 || range->bytes >= range->wanted)
		return;
	if (scan->newest_first)
		range->reached_id = scan->all || scan->at <= range->after_id ? range->after_id + 1
				    : scan->at > range->last_id		     ? range->last_id + 1
									     : scan->at;
	else
		range->reached_id = scan->all || scan->at >= range->last_id ? range->last_id
				    : scan->at < range->after_id	    ? range->after_id
									    : scan->at;
}

static int
run_scan(struct spool *spool, struct scan *scan)
{
	sqlite3_stmt *prepared = statement(spool, scan->newest_first ? STATEMENT_NEWEST : STATEMENT_OLDEST);
	size_t count = spool->settings->device_count;
	uint64_t after = scan->before_unix_ms != 0 ? 0 : INT64_MAX, last = 0;
	int code = SQLITE_ROW;
	int error;

	for (size_t i = 0; i < count; i++) {
		struct spool_range *range = &scan->ranges[i];

		range->bytes = range->rows = range->values = range->reached_id = 0;
		if (range->wanted == 0)
			continue;
		scan->open++;
		after = range->after_id < after ? range->after_id : after;
		last = range->last_id > last ? range->last_id : last;
	}
	error = start_scan(spool, prepared, after, scan->before_unix_ms != 0 ? INT64_MAX : last);
	while (error == 0 && !is_enough(scan) && (code = sqlite3_step(prepared)) == SQLITE_ROW)
		error = look_at_row(spool, scan, prepared);
	if (error == 0 && code != SQLITE_ROW && code != SQLITE_DONE)
		error = failure(spool, code);
	sqlite3_reset(prepared);
	scan->all = code == SQLITE_DONE;
	for (size_t i = 0; i < count && scan->before_unix_ms == 0; i++)
		set_reached(scan, &scan->ranges[i]);
	return error;
}

int
spool_read(struct spool *spool, struct spool_range *ranges, size_t limit, struct spool_rows *rows)
{
	struct scan scan = { .ranges = ranges, .limit = limit, .rows = rows };

	rows->used = 0;
	if (!spool->db)
		return -ENOENT;
	return run_scan(spool, &scan);
}

int
spool_drop(struct spool *spool, struct spool_range *ranges, bool newest_first, int64_t before_unix_ms,
    uint64_t *ret_unknown_rows, uint64_t *ret_used_bytes)
{
	struct ids ids = { .ids = NULL };
	struct scan scan = {
		.ranges = ranges,
		.newest_first = newest_first,
		.before_unix_ms = before_unix_ms,
		.limit = SIZE_MAX,
		.ids = &ids,
	};
	int error = spool->db ? run_scan(spool, &scan) : -ENOENT;

	if (error == 0)
		error = spool_write(spool, NULL, ids.ids, ids.count, ret_used_bytes);
	*ret_unknown_rows = scan.unknown_rows;
	free(ids.ids);
	return error;
}
