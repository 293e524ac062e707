/* The store with its disk: real thread, real SQLite, a clock of our own. */
#include <config.h>

#include <errno.h>
#include <ftw.h>
#include <poll.h>
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
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/store.h"
#include "model/health.h"

#define DEVICES 3

static int64_t now_ms;

static int64_t
fake_mono_us(void)
{
	return now_ms * 1000;
}

static int64_t
fake_unix_ms(void)
{
	return INT64_C(1700000000000) + now_ms;
}

static const struct clock_source fake_clock = { .mono_us = fake_mono_us, .unix_ms = fake_unix_ms };

/* ---- a disk that is slow, or fails ---- */

/* What SQLite syncs with; ours are taken before the C library's. The gate is open (0), closed (1), or an
 * error. */
static _Atomic int gate;
static _Atomic int at_gate;

static int
pass_gate(int fd)
{
	at_gate++;
	while (gate == 1)
		poll(NULL, 0, 1);
	at_gate--;
	if (gate == EIO) {
		errno = EIO;
		return -1;
	}
	(void)fd;
	return 0;
}

int fsync(int fd);
int fdatasync(int fd);

int
fsync(int fd)
{
	return pass_gate(fd);
}

int
fdatasync(int fd)
{
	return pass_gate(fd);
}

struct bench {
	char dir[64];
	struct device devices[DEVICES];
	struct settings settings;
	size_t memory;
	struct store *store;
};

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
	clock_replace(&fake_clock);
	now_ms = 1000000;
	strcpy(bench->dir, "/tmp/fieldgate-store-XXXXXX");
	assert_non_null(mkdtemp(bench->dir));
	for (size_t i = 0; i < DEVICES; i++)
		bench->devices[i] = (struct device){ .name = names[i], .credentials = { .kind = CREDENTIALS_TOKEN, .token = names[i] }, .index = i };
	bench->settings = (struct settings){
		.store = { .dir = bench->dir, .max_mb = 64, .max_age_h = 1, .flush_after_ms = 1000 },
		.devices = bench->devices,
		.device_count = DEVICES,
	};
	bench->memory = 1 << 20;
	*state = bench;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *bench = *state;

	store_free(bench->store);
	clock_replace(NULL);
	nftw(bench->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(bench);
	return 0;
}

/* Let the disk do whatever is due. */
static void
work(struct bench *bench)
{
	struct pollfd wait = { .fd = store_fd(bench->store), .events = POLLIN };
	size_t device;

	store_tick(bench->store);
	while (store_busy(bench->store)) {
		assert_int_equal(poll(&wait, 1, 30000), 1);
		store_tick(bench->store);
	}
	while (store_ready(bench->store, &device))
		;
}

static void
pass(struct bench *bench, int64_t ms)
{
	now_ms += ms;
	work(bench);
}

static void
start(struct bench *bench)
{
	bench->store = store_new(DEVICES, bench->memory);
	assert_non_null(bench->store);
	assert_int_equal(store_attach(bench->store, &bench->settings), 0);
	work(bench);
}

/* As kill -9: what is not on disk is gone. */
static void
crash(struct bench *bench)
{
	work(bench);
	store_free(bench->store);
	start(bench);
}

static void
restart(struct bench *bench)
{
	store_close(bench->store, 5000);
	assert_int_equal(store_counts(bench->store).unsaved_rows, 0);
	store_free(bench->store);
	start(bench);
}

static size_t
text_of(size_t device, int number, char *text)
{
	return (size_t)sprintf(
	    text, "\"n\":%d,\"of\":\"device %zu\",\"more\":\"%0*d\"", number, device, number % 40 + 1, 0);
}

static void
append(struct bench *bench, size_t device, int number)
{
	char text[160];
	size_t length = text_of(device, number, text);

	assert_int_equal(store_append(bench->store, device, fake_unix_ms(), STORE_UNIX, (unsigned)number, text, length), 0);
}

/* The number of the row, which is as it was. */
static int
number_of(size_t device, const struct store_row *row)
{
	char text[160];
	size_t length = text_of(device, (int)row->values, text);

	assert_int_equal(row->length, length);
	assert_memory_equal(row->members, text, length);
	return (int)row->values;
}

/* Take, send and acknowledge everything; returns how many rows came, the first of which must be `first`. */
static int
drain(struct bench *bench, size_t device, int first)
{
	int count = 0;

	for (int quiet = 0; quiet < 3;) {
		struct store_row row;

		if (store_next(bench->store, device, 0, &row) < 0) {
			work(bench);
			quiet++;
			continue;
		}
		quiet = 0;
		assert_int_equal(number_of(device, &row), first + count);
		count++;
		store_sent(bench->store, device, row.seq, row.seq);
		store_confirm(bench->store, device, row.seq, row.seq);
	}
	return count;
}

static bool
file_is_there(const struct bench *bench)
{
	char path[128];
	struct stat file;

	snprintf(path, sizeof(path), "%s/fieldgate.db", bench->dir);
	return stat(path, &file) == 0;
}

static void
nothing_is_written_while_all_is_acknowledged(void **state)
{
	struct bench *bench = *state;

	start(bench);
	for (int i = 0; i < 50; i++) {
		append(bench, 0, i);
		now_ms += 900;
		store_tick(bench->store);
		assert_int_equal(drain(bench, 0, i), 1);
	}
	assert_false(file_is_there(bench));
	append(bench, 0, 50);
	pass(bench, 999);
	assert_false(file_is_there(bench));
	pass(bench, 1);
	assert_true(file_is_there(bench));
	assert_int_equal(store_counts(bench->store).unsaved_rows, 0);
	drain(bench, 0, 50);
	pass(bench, 1000);
	assert_true(store_due_mono_ms(bench->store) == CLOCK_NEVER);
}

static void
what_was_not_acknowledged_is_there_after_a_crash(void **state)
{
	struct bench *bench = *state;

	start(bench);
	for (int i = 0; i < 100; i++)
		append(bench, (size_t)i % DEVICES, i / DEVICES);
	pass(bench, 1000);
	append(bench, 1, 1000); /* too young to be on disk */
	crash(bench);
	assert_int_equal(store_counts(bench->store).rows, 100);
	append(bench, 0, 34);
	assert_int_equal(drain(bench, 0, 0), 35);
	assert_int_equal(drain(bench, 1, 0), 33);
	pass(bench, 1000);
	crash(bench);
	assert_int_equal(store_counts(bench->store).rows, 33);
	assert_int_equal(drain(bench, 2, 0), 33);
	restart(bench);
	assert_int_equal(store_counts(bench->store).rows, 0);
}

/* The first look at the file takes its time; what is sampled meanwhile comes after what is there. */
static void
what_is_new_waits_for_the_first_look(void **state)
{
	struct bench *bench = *state;
	struct store_row row;

	start(bench);
	for (int i = 0; i < 10; i++)
		append(bench, 0, i);
	store_close(bench->store, 5000);
	store_free(bench->store);
	bench->store = store_new(DEVICES, bench->memory);
	assert_int_equal(store_attach(bench->store, &bench->settings), 0);
	append(bench, 0, 10);
	assert_int_equal(store_next(bench->store, 0, 0, &row), -ENOENT);
	work(bench);
	assert_int_equal(drain(bench, 0, 0), 11);
}

/* What was read before the clock was set waits on disk as well, however old it looks, and gets its time when the program has been
 * started anew; what comes after it waits. */
static void
rows_without_a_time_wait_on_disk(void **state)
{
	struct bench *bench = *state;
	struct store_row row;
	int64_t last = 0;

	start(bench);
	for (int i = 0; i < 200; i++)
		assert_int_equal(store_append(bench->store, 0, 5000 + i, STORE_BOOT, 1, "\"a\":1", 5), 0);
	pass(bench, 1000);
	crash(bench);
	assert_int_equal(store_counts(bench->store).rows, 200);
	for (int i = 0; i < 4; i++) {
		pass(bench, 3600000); /* max_age_h is 1 */
		assert_int_equal(store_next(bench->store, 0, 0, &row), -ENOENT);
		work(bench);
	}
	assert_int_equal(store_counts(bench->store).aged_rows, 0);
	store_date(bench->store, fake_unix_ms() - 6000);
	for (int i = 0; i < 200; i++) {
		while (store_next(bench->store, 0, 0, &row) == -ENOENT)
			work(bench);
		assert_int_equal(row.ts_unix_ms, fake_unix_ms() - 1000 + i);
		assert_true(row.ts_unix_ms > last);
		last = row.ts_unix_ms;
		store_sent(bench->store, 0, row.seq, row.seq);
		store_confirm(bench->store, 0, row.seq, row.seq);
	}
	assert_int_equal(store_counts(bench->store).rows, 0);
	assert_int_equal(store_counts(bench->store).undated_rows, 0);
}

static void
a_stop_writes_the_rest(void **state)
{
	struct bench *bench = *state;

	start(bench);
	for (int i = 0; i < 30; i++)
		append(bench, 2, i);
	restart(bench);
	assert_int_equal(drain(bench, 2, 0), 30);
}

/* Hours of backlog: the memory is bounded, the order kept, nothing lost. */
static void
more_than_memory_waits_on_disk(void **state)
{
	struct bench *bench = *state;
	enum { ROWS = 60000 };

	bench->memory = 256 * 1024;
	start(bench);
	for (int i = 0; i < ROWS; i++) {
		append(bench, 0, i);
		if (i % 10 == 0)
			append(bench, 1, i / 10);
		if (i % 500 == 499)
			pass(bench, 1000);
		assert_true(store_counts(bench->store).bytes <= bench->memory);
	}
	assert_int_equal(store_counts(bench->store).dropped_rows, 0);
	assert_int_equal(store_counts(bench->store).rows, ROWS + ROWS / 10);
	assert_int_equal(drain(bench, 1, 0), ROWS / 10);
	pass(bench, 1000);
	crash(bench);
	assert_int_equal(drain(bench, 0, 0), ROWS);
	assert_int_equal(store_counts(bench->store).rows, 0);
	assert_int_equal(store_counts(bench->store).lost_rows, 0);
	pass(bench, 1000);
	crash(bench);
	assert_int_equal(store_counts(bench->store).rows, 0);
}

static void
a_full_file_drops_the_oldest_of_who_holds_most(void **state)
{
	struct bench *bench = *state;
	struct store_counts counts;
	struct store_row row;

	bench->settings.store.max_mb = 1;
	bench->memory = 128 * 1024;
	start(bench);
	for (int i = 0; i < 20; i++)
		append(bench, 1, i);
	for (int i = 0; i < 30000; i++) {
		append(bench, 0, i);
		if (i % 200 == 199)
			pass(bench, 1000);
	}
	counts = store_counts(bench->store);
	assert_true(counts.dropped_rows > 10000);
	assert_int_equal(counts.rows + counts.dropped_rows, 30020);
	assert_int_equal(counts.lost_rows, 0);
	assert_int_equal(drain(bench, 1, 0), 20);
	crash(bench);
	store_next(bench->store, 0, 0, &row);
	work(bench);
	assert_int_equal(store_next(bench->store, 0, 0, &row), 0);
	drain(bench, 0, number_of(0, &row));
}

static void
with_drop_newest_the_oldest_stay(void **state)
{
	struct bench *bench = *state;

	bench->settings.store.max_mb = 1;
	bench->settings.store.drop = DROP_NEWEST;
	bench->memory = 128 * 1024;
	start(bench);
	for (int i = 0; i < 30000; i++) {
		append(bench, 0, i);
		if (i % 200 == 199)
			pass(bench, 1000);
	}
	assert_true(store_counts(bench->store).dropped_rows > 10000);
	for (int i = 0; i < 5000; i++) {
		struct store_row row;

		if (store_next(bench->store, 0, 0, &row) < 0) {
			work(bench);
			assert_int_equal(store_next(bench->store, 0, 0, &row), 0);
		}
		assert_int_equal(number_of(0, &row), i);
		store_confirm(bench->store, 0, row.seq, row.seq);
	}
}

static void
what_is_too_old_goes(void **state)
{
	struct bench *bench = *state;

	start(bench);
	for (int i = 0; i < 10; i++)
		append(bench, 0, i);
	pass(bench, 1000);
	crash(bench);
	pass(bench, 3600 * 1000 + 1);
	assert_int_equal(
	    store_counts(bench->store).aged_rows, 0); /* the clock may stand wrong for a moment */
	append(bench, 0, 10);
	pass(bench, 600 * 1000);
	assert_int_equal(store_counts(bench->store).aged_rows, 10);
	assert_int_equal(drain(bench, 0, 10), 1);
}

static void
written_before_it_is_sent(void **state)
{
	struct bench *bench = *state;
	struct store_row row;
	size_t device;

	bench->settings.store.flush_after_ms = 0;
	start(bench);
	append(bench, 0, 0);
	assert_int_equal(store_next(bench->store, 0, 0, &row), -ENOENT);
	store_tick(bench->store);
	while (poll(&(struct pollfd){ .fd = store_fd(bench->store), .events = POLLIN }, 1, 1000) == 0)
		;
	store_tick(bench->store);
	assert_true(store_ready(bench->store, &device));
	assert_int_equal(device, 0);
	assert_int_equal(store_next(bench->store, 0, 0, &row), 0);
	store_sent(bench->store, 0, row.seq, row.seq);
	crash(bench);
	assert_int_equal(drain(bench, 0, 0), 1);
}

static void
live_goes_first_if_wanted(void **state)
{
	struct bench *bench = *state;
	struct store_row row;

	bench->settings.store.replay = REPLAY_LIVE_FIRST;
	start(bench);
	for (int i = 0; i < 900; i++)
		append(bench, 0, i);
	store_rewind(bench->store, 0);
	/* What comes while there is no session is old, too. */
	for (int i = 900; i < 1000; i++)
		append(bench, 0, i);
	store_begin(bench->store, 0);
	append(bench, 0, 1000);
	append(bench, 0, 1001);
	assert_int_equal(store_next(bench->store, 0, 0, &row), 0);
	assert_int_equal(number_of(0, &row), 1000);
	assert_int_equal(store_next(bench->store, 0, row.seq, &row), 0);
	assert_int_equal(number_of(0, &row), 1001);
	assert_int_equal(store_next(bench->store, 0, row.seq, &row), -ENOENT);
	store_sent(bench->store, 0, row.seq - 1, row.seq);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(store_next(bench->store, 0, i ? row.seq : 0, &row), 0);
		assert_int_equal(number_of(0, &row), i);
	}
	/* An old batch does not run on into what is live. */
	append(bench, 0, 1002);
	assert_int_equal(store_next(bench->store, 0, row.seq, &row), -ENOENT);
	restart(bench);
	append(bench, 0, 2000);
	assert_int_equal(store_next(bench->store, 0, 0, &row), 0);
	assert_int_equal(number_of(0, &row), 2000);
	store_confirm(bench->store, 0, row.seq, row.seq);
	assert_int_equal(drain(bench, 0, 0), 1003);
}

static void
a_disk_that_fails_comes_back(void **state)
{
	struct bench *bench = *state;
	struct rlimit before, limit;

	signal(SIGXFSZ, SIG_IGN);
	start(bench);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 64 * 1024;
	setrlimit(RLIMIT_FSIZE, &limit);
	for (int i = 0; i < 2000; i++) {
		append(bench, 0, i);
		if (i % 50 == 0)
			pass(bench, 1000);
	}
	assert_true(store_counts(bench->store).unsaved_rows > 500);
	setrlimit(RLIMIT_FSIZE, &before);
	pass(bench, 60000);
	pass(bench, 1000);
	assert_int_equal(store_counts(bench->store).unsaved_rows, 0);
	crash(bench);
	assert_int_equal(drain(bench, 0, 0), 2000);
}

static void
nobody_waits_for_a_slow_disk(void **state)
{
	struct bench *bench = *state;
	struct health_store health;
	struct store_row row;
	uint64_t after = 0;

	start(bench);
	for (int i = 0; i < 100; i++)
		append(bench, 0, i);
	gate = 1;
	now_ms += 1000;
	store_tick(bench->store);
	while (at_gate == 0)
		poll(NULL, 0, 1);
	/* Nothing is due but to say that it does not answer. */
	assert_int_equal(store_due_mono_ms(bench->store), now_ms + HEALTH_DISK_SILENT_MS);
	/* Its thread stands in fsync. Rows come, go out, and are acknowledged, those too that are being
	 * written. */
	for (int i = 100; i < 200; i++) {
		append(bench, 0, i);
		now_ms += 100;
		store_tick(bench->store);
	}
	/* It is said that it does not answer, once. */
	assert_true(store_due_mono_ms(bench->store) > now_ms);
	store_health(bench->store, &health);
	assert_string_equal(health_disk_state_name(&health), "silent");
	for (int i = 0; i < 150; i++) {
		assert_int_equal(store_next(bench->store, 0, after, &row), 0);
		assert_int_equal(number_of(0, &row), i);
		after = row.seq;
	}
	store_confirm(bench->store, 0, 1, after);
	assert_int_equal(store_depth(bench->store, 0), 50);
	assert_true(store_busy(bench->store));
	gate = 0;
	work(bench);
	store_health(bench->store, &health);
	assert_string_equal(health_disk_state_name(&health), "well");
	pass(bench, 1000);
	crash(bench);
	assert_int_equal(drain(bench, 0, 150), 50);
}

static void
an_io_error_is_survived(void **state)
{
	struct bench *bench = *state;

	start(bench);
	for (int i = 0; i < 100; i++)
		append(bench, 0, i);
	pass(bench, 1000);
	gate = EIO;
	for (int i = 100; i < 200; i++) {
		append(bench, 0, i);
		pass(bench, 100);
	}
	assert_int_equal(store_counts(bench->store).unsaved_rows, 100);
	gate = 0;
	pass(bench, 60000);
	assert_int_equal(store_counts(bench->store).unsaved_rows, 0);
	crash(bench);
	assert_int_equal(store_counts(bench->store).rows, 200);
	assert_int_equal(drain(bench, 0, 0), 200);
}

static void
a_file_that_is_damaged_is_replaced(void **state)
{
	struct bench *bench = *state;
	char path[128];
	FILE *file;

	start(bench);
	for (int i = 0; i < 100; i++)
		append(bench, 0, i);
	restart(bench);
	store_close(bench->store, 1000);
	store_free(bench->store);
	snprintf(path, sizeof(path), "%s/fieldgate.db", bench->dir);
	file = fopen(path, "r+");
	for (int i = 0; i < 10000; i++)
		fputc(i, file);
	fclose(file);
	start(bench);
	append(bench, 0, 7);
	pass(bench, 1000);
	crash(bench);
	assert_int_equal(drain(bench, 0, 7), 1);
}

/* Bytes change under the running gateway: what comes is right and in order, and what does not come is
 * counted. */
static void
damage_in_the_middle_of_it_is_counted(void **state)
{
	struct bench *bench = *state;
	enum { ROWS_THEN = 60000 };
	int got = 0, last = -1;
	char path[128];
	FILE *file;
	struct store_counts counts;

	bench->memory = 128 * 1024;
	start(bench);
	for (int i = 0; i < ROWS_THEN; i++) {
		append(bench, 0, i);
		if (i % 200 == 199)
			pass(bench, 1000);
	}
	snprintf(path, sizeof(path), "%s/fieldgate.db", bench->dir);
	file = fopen(path, "r+");
	for (long at = 400 * 1024; at < 500 * 1024; at += 777) {
		fseek(file, at, SEEK_SET);
		fputc(0x5a, file);
	}
	fclose(file);
	for (int quiet = 0; quiet < 5;) {
		struct store_row row;

		if (store_next(bench->store, 0, 0, &row) < 0) {
			pass(bench, 1000);
			quiet++;
			continue;
		}
		quiet = 0;
		assert_true(number_of(0, &row) > last);
		last = number_of(0, &row);
		got++;
		store_confirm(bench->store, 0, row.seq, row.seq);
	}
	counts = store_counts(bench->store);
	print_message("%d of %d came, %d were counted as lost\n", got, ROWS_THEN, (int)counts.lost_rows);
	assert_int_equal(last, ROWS_THEN - 1);
	assert_int_equal(counts.rows, 0);
	assert_int_equal(got + (int)counts.lost_rows, ROWS_THEN);
	assert_true(got > ROWS_THEN / 2);
}

static void
a_file_that_is_deleted_is_written_again(void **state)
{
	struct bench *bench = *state;
	char path[128];

	start(bench);
	for (int i = 0; i < 100; i++)
		append(bench, 0, i);
	pass(bench, 1000);
	snprintf(path, sizeof(path), "%s/fieldgate.db", bench->dir);
	assert_int_equal(unlink(path), 0);
	append(bench, 0, 100);
	pass(bench, 1000);
	pass(bench, 1000);
	crash(bench);
	assert_int_equal(drain(bench, 0, 0), 101);
}

/* ---- against a model that is obviously right ---- */

enum { ROWS = 20000 };

struct model {
	int appended;  /* rows 0..appended-1 */
	int on_disk;   /* rows below this survive a crash */
	int confirmed; /* rows below this have been acknowledged */
	int forgotten; /* rows below this are not sent again, whatever happens */
	int sent;      /* rows below this are sent */
};

static void
send_some(struct bench *bench, size_t device, struct model *model, unsigned *seed)
{
	uint64_t first = 0, after = 0;
	struct store_row row;
	int begin = model->sent;

	for (int i = rand_r(seed) % 300; i >= 0 && store_next(bench->store, device, after, &row) == 0; i--) {
		assert_int_equal(number_of(device, &row), model->sent);
		first = first ? first : row.seq;
		after = row.seq;
		model->sent++;
	}
	if (!first)
		return;
	store_sent(bench->store, device, first, after);
	if (rand_r(seed) % 3 > 0) {
		store_confirm(bench->store, device, first, after);
		model->confirmed = begin == model->confirmed ? model->sent : model->confirmed;
	}
	if (model->confirmed != model->sent) {
		/* the session is lost; what was acknowledged stays so */
		store_rewind(bench->store, device);
		model->sent = model->confirmed;
	}
}

static void
begin_again(struct bench *bench, struct model *models)
{
	for (size_t i = 0; i < DEVICES; i++) {
		struct model *model = &models[i];
		struct store_row row;

		if (store_next(bench->store, i, 0, &row) < 0) {
			work(bench);
			if (store_next(bench->store, i, 0, &row) < 0) {
				/* all that is on disk was acknowledged */
				assert_true(model->on_disk <= model->confirmed);
				model->appended = model->confirmed;
			}
		}
		if (store_depth(bench->store, i) > 0) {
			int number = number_of(i, &row);

			assert_in_range(number, model->forgotten, model->confirmed);
			model->confirmed = number;
			model->appended = number + (int)store_depth(bench->store, i);
			assert_true(model->appended >= model->on_disk);
		}
		model->sent = model->confirmed;
	}
}

static void
one_step(struct bench *bench, struct model *models, unsigned *seed)
{
	size_t device = (size_t)rand_r(seed) % DEVICES;
	struct model *model = &models[device];
	int step = rand_r(seed) % 20;

	if (step < 9) {
		for (int i = rand_r(seed) % 200; i > 0 && model->appended < ROWS; i--)
			append(bench, device, model->appended++);
		work(bench); /* memory may be short: then it is written at once */
	} else if (step < 15) {
		send_some(bench, device, model, seed);
	} else if (step < 18) {
		pass(bench, 1000);
		for (size_t i = 0; i < DEVICES; i++) {
			models[i].on_disk = models[i].appended;
			models[i].forgotten = models[i].confirmed;
		}
	} else if (step < 19) {
		restart(bench);
		for (size_t i = 0; i < DEVICES; i++) {
			models[i].on_disk = models[i].appended;
			models[i].forgotten = models[i].confirmed;
		}
		begin_again(bench, models);
	} else {
		crash(bench);
		begin_again(bench, models);
	}
}

static void
behaves_like_the_model_through_restarts(void **state)
{
	struct bench *bench = *state;
	unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 1;
	struct model models[DEVICES] = { { 0 } };

	bench->memory = 96 * 1024;
	start(bench);
	for (int i = 0; i < 400; i++) {
		one_step(bench, models, &seed);
		for (size_t device = 0; device < DEVICES; device++)
			assert_int_equal(store_depth(bench->store, device),
			    models[device].appended - models[device].confirmed);
	}
	for (size_t i = 0; i < DEVICES; i++)
		assert_int_equal(
		    drain(bench, i, models[i].confirmed), models[i].appended - models[i].confirmed);
	assert_int_equal(store_counts(bench->store).rows, 0);
	assert_int_equal(store_counts(bench->store).bytes, 0);
	assert_int_equal(store_counts(bench->store).dropped_rows, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_written_while_all_is_acknowledged),
		TEST(what_was_not_acknowledged_is_there_after_a_crash),
		TEST(what_is_new_waits_for_the_first_look),
		TEST(rows_without_a_time_wait_on_disk),
		TEST(a_stop_writes_the_rest),
		TEST(more_than_memory_waits_on_disk),
		TEST(a_full_file_drops_the_oldest_of_who_holds_most),
		TEST(with_drop_newest_the_oldest_stay),
		TEST(what_is_too_old_goes),
		TEST(written_before_it_is_sent),
		TEST(live_goes_first_if_wanted),
		TEST(a_disk_that_fails_comes_back),
		TEST(nobody_waits_for_a_slow_disk),
		TEST(an_io_error_is_survived),
		TEST(a_file_that_is_damaged_is_replaced),
		TEST(damage_in_the_middle_of_it_is_counted),
		TEST(a_file_that_is_deleted_is_written_again),
		TEST(behaves_like_the_model_through_restarts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
