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
int
spool_file_put_aside(struct spool *spool, const char *why, char name[SPOOL_ASIDE_NAME_MAX])
{
	time_t now = time(NULL);
	char stamp[32] = "0", wal[SPOOL_ASIDE_NAME_MAX + 8];
	struct stat other;
	struct tm at;

	spool_close(spool);
	if (gmtime_r(&now, &at))
		strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &at);
	snprintf(name, SPOOL_ASIDE_NAME_MAX, ASIDE_MARK "%s", stamp);
	for (int i = 2; fstatat(spool->folder, name, &other, 0) == 0; i++)
		snprintf(name, SPOOL_ASIDE_NAME_MAX, ASIDE_MARK "%s.%d", stamp, i);
	snprintf(wal, sizeof(wal), "%s-wal", name);
	if (renameat(spool->folder, SPOOL_FILE_NAME "-wal", spool->folder, wal) < 0 && errno != ENOENT)
		return -errno;
	unlinkat(spool->folder, SPOOL_FILE_NAME "-shm", 0);
	if (renameat(spool->folder, SPOOL_FILE_NAME, spool->folder, name) < 0 && errno != ENOENT)
		return -errno;
	spool->unusable = false;
	log_error("store: %s %s: it is kept as %s and a new one is begun", spool->path, why, name);
	forget_old_asides(spool);
	return 0;
}

/* --- making and opening --- */

int
spool_file_create(struct spool *spool)
{
	char text[sizeof(schema_text) + 64];
	uint64_t id = 0;
	int error;
	int fd = open(spool->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	error = spool_connect(spool);
	if (error < 0)
		return error;
	while (id == 0)
		if (getrandom(&id, sizeof(id), 0) < 0)
			return -errno;
	id &= INT64_MAX;
	snprintf(text, sizeof(text), schema_text, (long long)id, FORMAT_VERSION);
	if ((error = spool_run_text(spool, "PRAGMA journal_mode = WAL")) < 0 ||
	    (error = spool_run_text(spool, text)) < 0 || (error = spool_prepare(spool)) < 0)
		return error;
	spool->file = id;
	memset(spool->numbers, 0, spool->settings->device_count * sizeof(spool->numbers[0]));
	fsync(spool->folder); /* the name of the file is part of what must last */
	return 0;
}

int
spool_file_open(struct spool *spool)
{
	int64_t version = 0, id = 0;
	char name[SPOOL_ASIDE_NAME_MAX];
	int error = spool_connect(spool);

	if (error < 0 || (error = spool_query_number(spool, "PRAGMA user_version", &version)) < 0)
		return error;
	if (version > FORMAT_VERSION) {
		error = spool_file_put_aside(spool, "comes from a newer version of fieldgate", name);
		return error < 0 ? error : -EBADMSG;
	}
	if ((error = spool_run_text(spool, "PRAGMA journal_mode = WAL")) < 0 ||
	    (error = spool_prepare(spool)) < 0 ||
	    (error = spool_query_number(spool, "SELECT id FROM file", &id)) < 0)
		return error;
	spool->file = (uint64_t)id;
	error = spool_file_note_inode(spool);
	return error < 0 ? error : spool_find_devices(spool);
}

int
spool_file_forget_empty(struct spool *spool)
{
	int64_t tables = 0;
	int error = spool_connect(spool);

	if (error == 0)
		error = spool_query_number(spool, "SELECT count(*) FROM sqlite_master", &tables);
	spool_close(spool);
	if (error < 0 || tables > 0)
		return error;
	unlinkat(spool->folder, SPOOL_FILE_NAME "-wal", 0);
	unlinkat(spool->folder, SPOOL_FILE_NAME, 0);
	return 0;
}
