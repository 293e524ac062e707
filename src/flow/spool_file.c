/* The file in its folder: whether it is there, how it is made, opened and put aside. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "flow/spool_state.h"

#define ASIDE_MARK     SPOOL_FILE_NAME ".bad-"
#define ASIDE_KEPT     2
#define FORMAT_VERSION 1 /* PRAGMA user_version */

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

/* --- the folder --- */

int
spool_file_take_folder(struct spool *spool)
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
spool_file_is_there(struct spool *spool)
{
	struct stat file;

	if (fstatat(spool->folder, SPOOL_FILE_NAME, &file, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	return file.st_size > 0;
}

int
spool_file_note_inode(struct spool *spool)
{
	struct stat file;

	if (fstatat(spool->folder, SPOOL_FILE_NAME, &file, 0) < 0)
		return -errno;
	spool->inode = file.st_ino;
	return 0;
}

int
spool_file_check_inode(const struct spool *spool)
{
	struct stat file;

	return fstatat(spool->folder, SPOOL_FILE_NAME, &file, 0) == 0 && file.st_ino == spool->inode ? 0 : -ESTALE;
}

/* --- putting aside --- */

/* What a database may have beside it, and is part of it. */
static const char *const companions[] = { "-wal", "-journal" };
#define COMPANIONS	   (sizeof(companions) / sizeof(companions[0]))
#define COMPANION_NAME_MAX (NAME_MAX + 16)

static void
delete_file(struct spool *spool, const char *name)
{
	for (size_t i = 0; i < COMPANIONS; i++) {
		char companion[COMPANION_NAME_MAX];

		snprintf(companion, sizeof(companion), "%s%s", name, companions[i]);
		unlinkat(spool->folder, companion, 0);
	}
	unlinkat(spool->folder, name, 0);
}

bool
spool_file_is_aside(const char *name)
{
	/* It may come from a damaged file, and goes into paths and statements. */
	static const char characters[] = "abcdefghijklmnopqrstuvwxyzTZ0123456789.-";
	const char *end = strrchr(name, '-');

	if (strncmp(name, ASIDE_MARK, strlen(ASIDE_MARK)) != 0 || strlen(name) >= SPOOL_ASIDE_NAME_MAX ||
	    name[strspn(name, characters)] != '\0')
		return false;
	for (size_t i = 0; i < COMPANIONS; i++)
		if (strcmp(end, companions[i]) == 0)
			return false;
	return true;
}

static int
is_aside(const struct dirent *entry)
{
	return spool_file_is_aside(entry->d_name);
}

static void
forget_old_asides(struct spool *spool)
{
	struct dirent **entries = NULL;
	int count = scandir(spool->settings->store.dir, &entries, is_aside, alphasort);

	for (int i = 0; i < count; i++) {
		if (i < count - ASIDE_KEPT)
			delete_file(spool, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

void
spool_file_name_aside(struct spool *spool, char name[SPOOL_ASIDE_NAME_MAX])
{
	time_t now = time(NULL);
	char stamp[32] = "0";
	struct stat other;
	struct tm at;

	if (gmtime_r(&now, &at))
		strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &at);
	snprintf(name, SPOOL_ASIDE_NAME_MAX, ASIDE_MARK "%s", stamp);
	for (int i = 2; fstatat(spool->folder, name, &other, 0) == 0; i++)
		snprintf(name, SPOOL_ASIDE_NAME_MAX, ASIDE_MARK "%s.%d", stamp, i);
}

/* The journal moves first, or it would be taken for the next one's. */
static int
move_aside(struct spool *spool, const char *name)
{
	for (size_t i = 0; i < COMPANIONS; i++) {
		char from[COMPANION_NAME_MAX], to[COMPANION_NAME_MAX];

		snprintf(from, sizeof(from), SPOOL_FILE_NAME "%s", companions[i]);
		snprintf(to, sizeof(to), "%s%s", name, companions[i]);
		if (renameat(spool->folder, from, spool->folder, to) < 0 && errno != ENOENT)
			return -errno;
	}
	unlinkat(spool->folder, SPOOL_FILE_NAME "-shm", 0);
	return renameat(spool->folder, SPOOL_FILE_NAME, spool->folder, name) < 0 && errno != ENOENT ? -errno : 0;
}

static void
tell_aside(struct spool *spool, const char *why, const char *name)
{
	spool->unusable = false;
	log_error("store: %s %s: it is kept as %s and a new one is begun", spool->path, why, name);
	forget_old_asides(spool);
}

static int
put_newer_aside(struct spool *spool)
{
	char name[SPOOL_ASIDE_NAME_MAX];
	int error;

	spool_close(spool);
	spool_file_name_aside(spool, name);
	error = move_aside(spool, name);
	if (error == 0)
		tell_aside(spool, "comes from a newer version of fieldgate", name);
	return error;
}

/* Under which name is the damaged file to be put aside? "" if the next one is not complete. */
static int
read_next(struct spool *spool, char name[SPOOL_ASIDE_NAME_MAX])
{
	sqlite3_stmt *prepared = NULL;
	int error = spool_connect(spool, spool->next_path);
	const char *found = NULL;

	name[0] = '\0';
	if (error == 0 && sqlite3_prepare_v2(spool->db, "SELECT name FROM pending ORDER BY rowid DESC", -1, &prepared, NULL) ==
			      SQLITE_OK &&
	    sqlite3_step(prepared) == SQLITE_ROW)
		found = (const char *)sqlite3_column_text(prepared, 0);
	if (found && spool_file_is_aside(found))
		snprintf(name, SPOOL_ASIDE_NAME_MAX, "%s", found);
	sqlite3_finalize(prepared);
	spool_close(spool);
	return error;
}

int
spool_file_take_next(struct spool *spool)
{
	bool unusable = spool->unusable;
	char name[SPOOL_ASIDE_NAME_MAX];
	struct stat file;
	int error;

	if (fstatat(spool->folder, SPOOL_NEXT_NAME, &file, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	error = read_next(spool, name);
	spool->unusable = unusable;
	if (error < 0 && error != -EBADMSG)
		return error;
	if (name[0] == '\0') {
		delete_file(spool, SPOOL_NEXT_NAME);
		return 0;
	}
	error = move_aside(spool, name);
	if (error < 0)
		return error;
	fsync(spool->folder);
	if (renameat(spool->folder, SPOOL_NEXT_NAME, spool->folder, SPOOL_FILE_NAME) < 0)
		return -errno;
	fsync(spool->folder);
	tell_aside(spool, "is damaged", name);
	return 0;
}

/* --- making and opening --- */

static int
make_file(struct spool *spool, const char *path, const char *journal_text)
{
	char text[sizeof(schema_text) + 64];
	uint64_t id = 0;
	int error;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	error = spool_connect(spool, path);
	if (error < 0)
		return error;
	while (id == 0)
		if (getrandom(&id, sizeof(id), 0) < 0)
			return -errno;
	id &= INT64_MAX;
	snprintf(text, sizeof(text), schema_text, (long long)id, FORMAT_VERSION);
	if ((error = spool_run_text(spool, journal_text)) < 0 || (error = spool_run_text(spool, text)) < 0)
		return error;
	spool->file = id;
	return 0;
}

int
spool_file_create(struct spool *spool)
{
	int error = make_file(spool, spool->path, "PRAGMA journal_mode = WAL");

	if (error < 0 || (error = spool_prepare(spool)) < 0)
		return error;
	memset(spool->numbers, 0, spool->settings->device_count * sizeof(spool->numbers[0]));
	fsync(spool->folder); /* the name of the file is part of what must last */
	return 0;
}

int
spool_file_create_next(struct spool *spool)
{
	uint64_t file = spool->file;
	int error;

	delete_file(spool, SPOOL_NEXT_NAME);
	error = make_file(spool, spool->next_path, "PRAGMA journal_mode = DELETE");
	spool->file = file;
	return error;
}

int
spool_file_open(struct spool *spool)
{
	int64_t version = 0, id = 0;
	int error = spool_connect(spool, spool->path);

	if (error < 0 || (error = spool_query_number(spool, "PRAGMA user_version", &version)) < 0)
		return error;
	if (version > FORMAT_VERSION) {
		error = put_newer_aside(spool);
		return error < 0 ? error : -EBADMSG;
	}
	if ((error = spool_rescue(spool)) < 0 || (error = spool_run_text(spool, "PRAGMA journal_mode = WAL")) < 0 ||
	    (error = spool_prepare(spool)) < 0 || (error = spool_query_number(spool, "SELECT id FROM file", &id)) < 0)
		return error;
	spool->file = (uint64_t)id;
	error = spool_file_note_inode(spool);
	return error < 0 ? error : spool_find_devices(spool);
}

int
spool_file_forget_empty(struct spool *spool)
{
	int64_t tables = 0;
	int error = spool_connect(spool, spool->path);

	if (error == 0)
		error = spool_query_number(spool, "SELECT count(*) FROM sqlite_master", &tables);
	spool_close(spool);
	if (error < 0 || tables > 0)
		return error;
	unlinkat(spool->folder, SPOOL_FILE_NAME "-wal", 0);
	unlinkat(spool->folder, SPOOL_FILE_NAME, 0);
	return 0;
}
