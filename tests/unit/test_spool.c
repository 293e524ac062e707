/* The file of rows against the real SQLite and a real disk. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/log.h"
#include "flow/spool.h"

#define DEVICES 3

struct bench {
	char dir[64];
	char path[96];
	struct device devices[DEVICES];
	struct settings settings;
	struct spool *spool;
	struct spool_range ranges[DEVICES];
	struct spool_inventory inventory;
	struct spool_rows rows;
	uint64_t used;
};

int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);

/* So many renames, and the process is killed; 0: none. */
static int renames_left;

int
__wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	int result = __real_renameat(from_fd, from, to_fd, to);

	if (renames_left > 0 && --renames_left == 0)
		raise(SIGKILL);
	return result;
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

static int
setup(void **state)
{
	static const char *const names[DEVICES] = { "Boiler", "Pump", "Scale" };
	struct bench *bench = calloc(1, sizeof(*bench));

	log_init(getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : (enum log_level)0, true);
	strcpy(bench->dir, "/tmp/fieldgate-spool-XXXXXX");
	assert_non_null(mkdtemp(bench->dir));
	snprintf(bench->path, sizeof(bench->path), "%s/fieldgate.db", bench->dir);
	for (size_t i = 0; i < DEVICES; i++)
		bench->devices[i] = (struct device){ .name = names[i], .credentials = { .kind = CREDENTIALS_TOKEN, .token = names[i] }, .index = i };
	bench->settings = (struct settings){
		.store = { .dir = bench->dir, .max_mb = 8, .max_age_h = 1 },
		.devices = bench->devices,
		.device_count = DEVICES,
	};
	*state = bench;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *bench = *state;

	spool_free(bench->spool);
	free(bench->rows.data);
	nftw(bench->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(bench);
	return 0;
}

static int
reopen(struct bench *bench)
{
	spool_free(bench->spool);
	bench->spool = NULL;
	assert_int_equal(spool_new(&bench->settings, &bench->spool), 0);
	return spool_open(bench->spool, bench->ranges, &bench->inventory);
}

static size_t
members_of(uint64_t id, uint32_t device, char *text)
{
	return (size_t)sprintf(text, "\"a\":%d,\"b\":\"%u\",\"c\":true", (int)id, device);
}

static void
put(struct spool_rows *rows, uint64_t id, uint32_t device)
{
	char text[64];
	struct spool_row row = { .id = id,
		.ts_unix_ms = (int64_t)id * 1000,
		.device = device,
		.values = 3,
		.length = (uint32_t)members_of(id, device, text) };

	assert_int_equal(spool_rows_add(rows, &row, text), 0);
}

static void
expect_row(const struct spool_row *row)
{
	char text[64];
	size_t length = members_of(row->id, row->device, text);

	assert_int_equal(row->ts_unix_ms, (int64_t)row->id * 1000);
	assert_int_equal(row->values, 3);
	assert_int_equal(row->length, length);
	assert_memory_equal(row->members, text, length);
}

/* Rows first..last, to the devices in turn. */
static int
write_rows(struct bench *bench, uint64_t first, uint64_t last)
{
	bench->rows.used = 0;
	for (uint64_t id = first; id <= last; id++)
		put(&bench->rows, id, (uint32_t)(id % DEVICES));
	return spool_write(bench->spool, &bench->rows, NULL, 0, &bench->used);
}

static uint64_t
rows_there(const struct bench *bench)
{
	return bench->ranges[0].rows + bench->ranges[1].rows + bench->ranges[2].rows;
}

static void
want(struct bench *bench, uint64_t bytes)
{
	for (size_t i = 0; i < DEVICES; i++)
		bench->ranges[i].wanted = bench->ranges[i].rows > 0 ? bytes : 0;
}

/* How many rows can be read, each of them right and in order. */
static uint64_t
read_all(struct bench *bench)
{
	const struct spool_row *row;
	uint64_t count = 0, last = 0;

	if (bench->inventory.file == 0)
		return 0;
	want(bench, UINT64_MAX);
	assert_int_equal(spool_read(bench->spool, bench->ranges, SIZE_MAX, &bench->rows), 0);
	for (size_t at = 0; (row = spool_rows_at(&bench->rows, at)); at += spool_row_size(row->length)) {
		expect_row(row);
		assert_true(row->id > last);
		last = row->id;
		count++;
	}
	return count;
}

static void
nothing_is_made_before_the_first_write(void **state)
{
	struct bench *bench = *state;
	uint64_t gone[] = { 1, 2 };
	struct stat file;

	assert_int_equal(reopen(bench), 0);
	assert_int_equal(bench->inventory.file, 0);
	assert_int_equal(spool_write(bench->spool, NULL, gone, 2, &bench->used), 0);
	assert_int_equal(stat(bench->path, &file), -1);
	assert_int_equal(write_rows(bench, 1, 1), 0);
	assert_int_equal(stat(bench->path, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
}

static void
what_was_written_is_there_again(void **state)
{
	struct bench *bench = *state;
	uint64_t gone[] = { 9, 3, 1, 2, 30 };
	uint64_t file;

	assert_int_equal(reopen(bench), 0);
	assert_int_equal(write_rows(bench, 1, 30), 0);
	assert_int_equal(spool_write(bench->spool, NULL, gone, 5, &bench->used), 0);
	file = spool_file(bench->spool);
	assert_int_equal(reopen(bench), 0);
	assert_true(bench->inventory.file == file);
	assert_int_equal(bench->inventory.next_id, 30);
	assert_int_equal(rows_there(bench), 25);
	assert_int_equal(bench->ranges[1].after_id, 3);
	assert_int_equal(bench->ranges[1].last_id, 28);
	assert_int_equal(read_all(bench), 25);
}

static void
rows_are_read_in_pieces(void **state)
{
	struct bench *bench = *state;
	size_t one = spool_row_size(26);

	assert_int_equal(reopen(bench), 0);
	assert_int_equal(write_rows(bench, 1, 3000), 0);
	assert_int_equal(reopen(bench), 0);
	want(bench, one * 10);
	bench->ranges[2].wanted = 0;
	assert_int_equal(spool_read(bench->spool, bench->ranges, SIZE_MAX, &bench->rows), 0);
	assert_in_range(bench->ranges[0].rows, 9, 12);
	assert_int_equal(bench->ranges[2].rows, 0);
	assert_true(bench->ranges[0].reached_id >= bench->ranges[0].rows * 3);
	for (int i = 0; bench->ranges[1].after_id < bench->ranges[1].last_id; i++) {
		bench->ranges[1].after_id = bench->ranges[1].reached_id;
		bench->ranges[0].wanted = 0;
		assert_int_equal(spool_read(bench->spool, bench->ranges, SIZE_MAX, &bench->rows), 0);
		assert_true(i < 200);
	}
}

static void
rows_are_dropped_from_either_end_and_by_age(void **state)
{
	struct bench *bench = *state;
	uint64_t unknown;

	assert_int_equal(reopen(bench), 0);
	assert_int_equal(write_rows(bench, 1, 300), 0);
	assert_int_equal(reopen(bench), 0);
	want(bench, 0);
	bench->ranges[1].wanted = 1;
	assert_int_equal(spool_drop(bench->spool, bench->ranges, false, 0, &unknown, &bench->used), 0);
	assert_int_equal(bench->ranges[1].rows, 1);
	assert_int_equal(bench->ranges[1].reached_id, 1);
	assert_int_equal(spool_drop(bench->spool, bench->ranges, true, 0, &unknown, &bench->used), 0);
	assert_int_equal(bench->ranges[1].reached_id, 298);
	bench->ranges[2].wanted = UINT64_MAX;
	assert_int_equal(
	    spool_drop(bench->spool, bench->ranges, false, 151 * 1000, &unknown, &bench->used), 0);
	assert_int_equal(bench->ranges[2].rows, 50);
	assert_int_equal(bench->ranges[2].reached_id, 0);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(bench->ranges[0].rows, 100);
	assert_int_equal(bench->ranges[1].rows, 98 - 1); /* its share was one */
	assert_int_equal(bench->ranges[2].rows, 50);
}

static void
devices_are_known_by_name_and_token(void **state)
{
	struct bench *bench = *state;
	uint64_t unknown;

	assert_int_equal(reopen(bench), 0);
	assert_int_equal(write_rows(bench, 1, 30), 0);
	/* Boiler and Scale change places, Pump gets another token. */
	bench->devices[0].name = bench->devices[0].credentials.token = "Scale";
	bench->devices[2].name = bench->devices[2].credentials.token = "Boiler";
	bench->devices[1].credentials.token = "another";
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(bench->inventory.unknown_rows, 10);
	assert_int_equal(bench->ranges[0].after_id, 1);
	assert_int_equal(bench->ranges[2].after_id, 2);
	assert_int_equal(bench->ranges[1].rows, 0);
	want(bench, 0);
	assert_int_equal(
	    spool_drop(bench->spool, bench->ranges, false, INT64_MAX, &unknown, &bench->used), 0);
	assert_int_equal(unknown, 10);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(bench->inventory.unknown_rows, 0);
	assert_int_equal(rows_there(bench), 20);
}

static void
one_process_has_the_folder(void **state)
{
	struct bench *bench = *state;
	struct spool *other;
	int status;

	assert_int_equal(reopen(bench), 0);
	if (fork() == 0)
		_exit(spool_new(&bench->settings, &other) == -EBUSY ? 0 : 1);
	wait(&status);
	assert_int_equal(status, 0);
}

/* A child writes and forgets until it is killed; what it said it had done must be there. */
static void
a_kill_loses_nothing_that_was_written(void **state)
{
	struct bench *bench = *state;

	for (int run = 0; run < 10; run++) {
		uint64_t told = 0, next;
		int status, to[2];
		pid_t child;

		assert_int_equal(reopen(bench), 0);
		next = bench->inventory.next_id;
		spool_free(bench->spool);
		bench->spool = NULL;
		assert_int_equal(pipe(to), 0);
		child = fork();
		if (child == 0) {
			if (spool_new(&bench->settings, &bench->spool) < 0 ||
			    spool_open(bench->spool, bench->ranges, &bench->inventory) < 0)
				_exit(1);
			for (uint64_t id = next;; id += 50) {
				uint64_t last = id + 49;

				if (write_rows(bench, id, last) < 0 || write(to[1], &last, sizeof(last)) < 0)
					_exit(1);
			}
		}
		close(to[1]);
		for (int i = 0; i <= run * 3; i++)
			assert_int_equal(read(to[0], &told, sizeof(told)), sizeof(told));
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		while (read(to[0], &told, sizeof(told)) == sizeof(told))
			;
		close(to[0]);
		assert_int_equal(reopen(bench), 0);
		assert_true(bench->inventory.next_id > told);
		assert_int_equal(rows_there(bench), bench->inventory.next_id - 1);
		assert_int_equal(read_all(bench), bench->inventory.next_id - 1);
	}
}

static void
copy_file(const char *from, const char *to, long length)
{
	FILE *in = fopen(from, "r"), *out = fopen(to, "w");
	char byte;

	assert_non_null(in);
	assert_non_null(out);
	for (long i = 0; (length < 0 || i < length) && fread(&byte, 1, 1, in) == 1; i++)
		fwrite(&byte, 1, 1, out);
	fclose(in);
	fclose(out);
}

/* The files as a power cut may leave them: copied while the database is open. */
static void
files_taken_away_in_the_middle_are_whole(void **state)
{
	struct bench *bench = *state;
	char copy[64] = "/tmp/fieldgate-spool-XXXXXX";
	char from[128], to[128];

	assert_int_equal(reopen(bench), 0);
	for (uint64_t id = 1; id < 2000; id += 100)
		assert_int_equal(write_rows(bench, id, id + 99), 0);
	assert_non_null(mkdtemp(copy));
	snprintf(to, sizeof(to), "%s/fieldgate.db", copy);
	copy_file(bench->path, to, -1);
	snprintf(from, sizeof(from), "%s-wal", bench->path);
	snprintf(to, sizeof(to), "%s/fieldgate.db-wal", copy);
	copy_file(from, to, -1);
	spool_free(bench->spool);
	bench->spool = NULL;
	bench->settings.store.dir = copy;
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(read_all(bench), 2000);
	spool_free(bench->spool);
	bench->spool = NULL;
	bench->settings.store.dir = bench->dir;
	nftw(copy, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- damage ---- */

static long
make_original(struct bench *bench, char *original, size_t size)
{
	struct stat file;

	assert_int_equal(reopen(bench), 0);
	for (uint64_t id = 1; id < 1000; id += 100)
		assert_int_equal(write_rows(bench, id, id + 99), 0);
	spool_free(bench->spool);
	bench->spool = NULL;
	snprintf(original, size, "%s/original", bench->dir);
	copy_file(bench->path, original, -1);
	assert_int_equal(stat(original, &file), 0);
	return (long)file.st_size;
}

/* Whatever has happened to the file, it opens or is put aside, what it gives is right, and it takes what is
 * new. */
static uint64_t
check_survival(struct bench *bench)
{
	uint64_t rows, next;

	assert_int_equal(reopen(bench), 0);
	rows = rows_there(bench);
	assert_int_equal(read_all(bench), rows);
	next = bench->inventory.next_id;
	if (write_rows(bench, next, next + 9) == -EBADMSG) {
		/* It showed only now. What was saved stays. */
		assert_int_equal(spool_open(bench->spool, bench->ranges, &bench->inventory), 0);
		assert_int_equal(read_all(bench), rows);
		assert_int_equal(write_rows(bench, next, next + 9), 0);
	}
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(read_all(bench), rows + 10);
	return rows;
}

static void
no_flipped_byte_does_harm(void **state)
{
	struct bench *bench = *state;
	char original[128];
	long size = make_original(bench, original, sizeof(original));
	uint64_t rows = 0, runs = 0;

	for (long at = 0; at < size; at += at < 200 ? 7 : 997) {
		int fd;
		unsigned char byte;

		spool_free(bench->spool);
		bench->spool = NULL;
		copy_file(original, bench->path, -1);
		fd = open(bench->path, O_RDWR);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x55;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		rows += check_survival(bench);
		runs++;
	}
	print_message("%d flips, %d of %d rows survived\n", (int)runs, (int)rows, (int)runs * 1000);
	assert_true(rows > runs * 500);
}

static void
no_truncation_does_harm(void **state)
{
	struct bench *bench = *state;
	char original[128];
	long size = make_original(bench, original, sizeof(original));

	for (long i = 0; i < 20; i++) {
		spool_free(bench->spool);
		bench->spool = NULL;
		copy_file(original, bench->path, size * i / 20);
		check_survival(bench);
	}
}

static unsigned
count_asides(const struct bench *bench, const char *what)
{
	char command[160];
	unsigned count = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "ls %s | grep -c -- '%s'", bench->dir, what);
	pipe = popen(command, "r");
	assert_int_equal(fscanf(pipe, "%u", &count), 1);
	pclose(pipe);
	return count;
}

static void
what_is_put_aside_is_kept_twice(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 5; i++) {
		FILE *file = fopen(bench->path, "w");

		fprintf(file, "This is no database, but it is long enough to be taken for one. %04000d", i);
		fclose(file);
		assert_int_equal(reopen(bench), 0);
		assert_int_equal(write_rows(bench, 1, 5), 0);
		spool_free(bench->spool);
		bench->spool = NULL;
	}
	assert_int_equal(count_asides(bench, "bad-"), 2);
}

static void
a_file_of_a_newer_version_is_put_aside(void **state)
{
	struct bench *bench = *state;
	unsigned char version[4] = { 0, 0, 0, 99 };
	char original[128];
	int fd;

	make_original(bench, original, sizeof(original));
	fd = open(bench->path, O_RDWR);
	assert_int_equal(pwrite(fd, version, 4, 60), 4); /* user_version, SQLite file format 1.3 */
	close(fd);
	assert_int_equal(check_survival(bench), 0);
	assert_int_equal(count_asides(bench, "bad-"), 1);
}

/* ---- a rescue that is interrupted ---- */

#define ROOM_STEP 9000 /* bytes: pages are torn, too */

/* As a power cut may leave it: a damaged page in the middle, and rows that are in the journal only. */
static void
put_damaged(const struct bench *bench)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && rm -f fieldgate.db* && cp damaged fieldgate.db && cp damaged-wal fieldgate.db-wal",
	    bench->dir);
	assert_int_equal(system(command), 0);
}

/* Returns how many rows can be saved of it. */
static uint64_t
make_damaged(struct bench *bench)
{
	char damaged[128], from[128], to[144];
	long length = make_original(bench, damaged, sizeof(damaged));
	uint64_t rows;
	int fd;

	assert_int_equal(reopen(bench), 0);
	assert_int_equal(write_rows(bench, 1001, 1100), 0);
	snprintf(damaged, sizeof(damaged), "%s/damaged", bench->dir);
	copy_file(bench->path, damaged, -1);
	snprintf(from, sizeof(from), "%s-wal", bench->path);
	snprintf(to, sizeof(to), "%s-wal", damaged);
	copy_file(from, to, -1);
	fd = open(damaged, O_RDWR);
	assert_int_equal(pwrite(fd, "\xff", 1, length / 4096 / 2 * 4096), 1); /* what kind of page it is */
	close(fd);
	spool_free(bench->spool);
	bench->spool = NULL;
	put_damaged(bench);
	assert_int_equal(reopen(bench), 0);
	rows = rows_there(bench);
	assert_in_range(rows, 900, 1099);
	assert_int_equal(bench->inventory.next_id, 1101);
	spool_free(bench->spool);
	bench->spool = NULL;
	put_damaged(bench);
	return rows;
}

/* A process that opens it, and may not make files larger than that, or dies after so many renames. Returns whether it came to its end
 * with all of them. */
static bool
open_elsewhere(struct bench *bench, rlim_t room, bool dies, int renames, uint64_t rows)
{
	const struct rlimit limit = { .rlim_cur = room, .rlim_max = RLIM_INFINITY };
	const struct rlimit no_core = { .rlim_cur = 0, .rlim_max = 0 };
	pid_t child = fork();
	int status;

	if (child == 0) {
		renames_left = renames;
		setrlimit(RLIMIT_CORE, &no_core);
		setrlimit(RLIMIT_FSIZE, &limit);
		signal(SIGXFSZ, dies ? SIG_DFL : SIG_IGN);
		if (spool_new(&bench->settings, &bench->spool) < 0)
			_exit(2);
		_exit(spool_open(bench->spool, bench->ranges, &bench->inventory) == 0 && rows_there(bench) == rows ? 0 : 1);
	}
	waitpid(child, &status, 0);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) > 1);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* All of them are there, once, also after new ones. */
static void
expect_saved(struct bench *bench, uint64_t rows)
{
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(rows_there(bench), rows);
	assert_int_equal(read_all(bench), rows);
	assert_int_equal(bench->inventory.next_id, 1101);
	assert_int_equal(write_rows(bench, 1101, 1110), 0);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(read_all(bench), rows + 10);
	assert_int_equal(count_asides(bench, "bad-[^.]*Z$"), 1);
	spool_free(bench->spool);
	bench->spool = NULL;
	put_damaged(bench);
}

static void
a_rescue_that_is_killed_is_made_up_for(void **state)
{
	struct bench *bench = *state;
	uint64_t rows = make_damaged(bench);
	bool whole = false;

	for (rlim_t room = 0; !whole; room += ROOM_STEP) {
		whole = open_elsewhere(bench, room, true, 0, rows);
		assert_true(room < 1 << 20);
		expect_saved(bench, rows);
	}
	whole = false;
	for (int renames = 1; !whole; renames++) {
		whole = open_elsewhere(bench, RLIM_INFINITY, true, renames, rows);
		assert_true(renames < 10);
		expect_saved(bench, rows);
	}
}

static void
a_rescue_that_finds_no_room_is_made_up_for(void **state)
{
	struct bench *bench = *state;
	uint64_t rows = make_damaged(bench);
	bool whole = false;

	for (rlim_t room = 0; !whole; room += ROOM_STEP) {
		whole = open_elsewhere(bench, room, false, 0, rows);
		assert_true(room < 1 << 20);
		if (!whole)
			(void)open_elsewhere(bench, room * 2, true, 0, rows);
		expect_saved(bench, rows);
	}
}

/* What is new meanwhile comes behind what is saved later, and nothing comes twice. */
static void
without_room_for_a_rescue_it_goes_on(void **state)
{
	struct bench *bench = *state;
	uint64_t rows = make_damaged(bench), next, *gone = calloc(2000, sizeof(gone[0]));
	struct rlimit before, limit;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 48 * 1024;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int start = 0; start < 3; start++) {
		assert_int_equal(reopen(bench), 0);
		next = bench->inventory.next_id;
		assert_int_equal(next, 1101 + start * 10);
		assert_int_equal(write_rows(bench, next, next + 9), 0);
	}
	setrlimit(RLIMIT_FSIZE, &before);
	/* Whoever uses it has looked at what there is. */
	assert_int_equal(spool_open(bench->spool, bench->ranges, &bench->inventory), 0);
	assert_int_equal(read_all(bench), 30);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(bench->inventory.next_id, 1131);
	assert_int_equal(read_all(bench), rows + 30);
	for (uint64_t i = 0; i < 1130; i++)
		gone[i] = i + 1;
	assert_int_equal(spool_write(bench->spool, NULL, gone, 1130, &bench->used), 0);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(rows_there(bench), 0);
	free(gone);
}

/* The devices of the file that was begun meanwhile are others than those of the one that is saved. */
static void
what_is_saved_late_is_still_of_its_device(void **state)
{
	struct bench *bench = *state;
	uint64_t rows = make_damaged(bench);
	struct rlimit before, limit;
	struct device device = bench->devices[0];

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 48 * 1024;
	bench->devices[0].name = bench->devices[0].credentials.token = "New";
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(reopen(bench), 0);
	bench->rows.used = 0;
	put(&bench->rows, 1101, 0);
	assert_int_equal(spool_write(bench->spool, &bench->rows, NULL, 0, &bench->used), 0);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(bench->ranges[0].rows, 1);
	bench->devices[0] = device;
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(bench->inventory.unknown_rows, 1);
	assert_int_equal(read_all(bench), rows);
}

/* A second file is damaged before the first could be saved. */
static void
two_files_are_saved_late(void **state)
{
	struct bench *bench = *state;
	uint64_t rows = make_damaged(bench);
	struct rlimit before, limit;
	struct stat file;
	int fd;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 48 * 1024;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(write_rows(bench, 1101, 1300), 0);
	spool_free(bench->spool);
	bench->spool = NULL;
	assert_int_equal(stat(bench->path, &file), 0);
	fd = open(bench->path, O_RDWR);
	assert_int_equal(pwrite(fd, "\xff", 1, file.st_size - 2 * 4096), 1);
	close(fd);
	assert_int_equal(reopen(bench), 0);
	assert_true(bench->inventory.next_id >= 1101);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(count_asides(bench, "bad-[^w]*$"), 2);
	assert_in_range(read_all(bench), rows + 1, rows + 200);
}

/* ---- no room ---- */

static void
a_full_disk_is_an_error_and_then_goes_on(void **state)
{
	struct bench *bench = *state;
	struct rlimit before, limit;
	uint64_t last = 0;
	int error = 0;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(write_rows(bench, 1, 100), 0);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 100 * 1024;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (last = 100; error == 0 && last < 100000; last += 100)
		error = write_rows(bench, last + 1, last + 100);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_true(error < 0 && error != -EBADMSG);
	last -= 100;
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(read_all(bench), last);
	assert_int_equal(write_rows(bench, last + 1, last + 100), 0);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(read_all(bench), last + 100);
}

/* What is deleted makes room for what is new: the file does not grow without end. */
static void
pages_are_used_again(void **state)
{
	struct bench *bench = *state;
	struct stat file;
	uint64_t *gone = calloc(2000, sizeof(gone[0]));

	assert_int_equal(reopen(bench), 0);
	for (uint64_t id = 1; id < 200000; id += 2000) {
		assert_int_equal(write_rows(bench, id, id + 1999), 0);
		for (uint64_t i = 0; i < 2000; i++)
			gone[i] = id + i;
		if (id > 2000)
			assert_int_equal(spool_write(bench->spool, NULL, gone, 2000, &bench->used), 0);
	}
	assert_int_equal(stat(bench->path, &file), 0);
	assert_true(file.st_size < 1 << 20);
	free(gone);
}

static void
a_file_that_is_taken_away_is_noticed(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(reopen(bench), 0);
	assert_int_equal(write_rows(bench, 1, 10), 0);
	assert_int_equal(unlink(bench->path), 0);
	assert_int_equal(write_rows(bench, 11, 20), -ESTALE);
	spool_close(bench->spool);
	assert_int_equal(spool_open(bench->spool, bench->ranges, &bench->inventory), 0);
	assert_int_equal(bench->inventory.file, 0);
	assert_int_equal(write_rows(bench, 11, 20), 0);
	assert_int_equal(reopen(bench), 0);
	assert_int_equal(read_all(bench), 10);
}

static void
a_folder_that_comes_late_is_taken(void **state)
{
	struct bench *bench = *state;
	char dir[128];

	snprintf(dir, sizeof(dir), "%s/a/b", bench->dir);
	bench->settings.store.dir = dir;
	assert_int_equal(reopen(bench), -ENOENT);
	dir[strlen(dir) - 2] = 0;
	assert_int_equal(mkdir(dir, 0700), 0);
	dir[strlen(dir)] = '/';
	assert_int_equal(spool_open(bench->spool, bench->ranges, &bench->inventory), 0);
	assert_int_equal(write_rows(bench, 1, 1), 0);
	spool_free(bench->spool);
	bench->spool = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The note is part of a file that may be damaged. */
static void
a_note_that_names_no_file_of_ours_does_nothing(void **state)
{
	static const char *const names[] = { "/etc/passwd", "fieldgate.db.bad-''; DELETE FROM rows; --", "fieldgate.db" };
	struct bench *bench = *state;
	char text[256];
	sqlite3 *db;

	assert_int_equal(reopen(bench), 0);
	assert_int_equal(write_rows(bench, 1, 10), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		spool_close(bench->spool);
		snprintf(text, sizeof(text),
		    "CREATE TABLE pending (name TEXT NOT NULL, next INTEGER NOT NULL); INSERT INTO pending VALUES ('%s', 5)", names[i]);
		assert_int_equal(sqlite3_open(bench->path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
		assert_int_equal(reopen(bench), 0);
		assert_int_equal(rows_there(bench), 10);
		assert_int_equal(read_all(bench), 10);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_made_before_the_first_write),
		TEST(what_was_written_is_there_again),
		TEST(rows_are_read_in_pieces),
		TEST(rows_are_dropped_from_either_end_and_by_age),
		TEST(devices_are_known_by_name_and_token),
		TEST(one_process_has_the_folder),
		TEST(a_kill_loses_nothing_that_was_written),
		TEST(files_taken_away_in_the_middle_are_whole),
		TEST(no_flipped_byte_does_harm),
		TEST(no_truncation_does_harm),
		TEST(what_is_put_aside_is_kept_twice),
		TEST(a_file_of_a_newer_version_is_put_aside),
		TEST(a_rescue_that_is_killed_is_made_up_for),
		TEST(a_rescue_that_finds_no_room_is_made_up_for),
		TEST(without_room_for_a_rescue_it_goes_on),
		TEST(what_is_saved_late_is_still_of_its_device),
		TEST(two_files_are_saved_late),
		TEST(a_note_that_names_no_file_of_ours_does_nothing),
		TEST(a_full_disk_is_an_error_and_then_goes_on),
		TEST(pages_are_used_again),
		TEST(a_file_that_is_taken_away_is_noticed),
		TEST(a_folder_that_comes_late_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
