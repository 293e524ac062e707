#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "cloud/journal.h"

static int64_t now_ms = 5000;

static int64_t
fake_mono_us(void)
{
	return now_ms * 1000;
}

static int64_t
fake_unix_ms(void)
{
	return 1700000000000;
}

static const struct clock_source fake_clock = { .mono_us = fake_mono_us, .unix_ms = fake_unix_ms };

static char folder[] = "/tmp/journal.XXXXXX";
static char path[64];
static char held[16384]; /* "device/id/hash@ms reply\n"... */

static void
tell(void *ctx, const struct journal_entry *entry)
{
	size_t used = strlen(held);

	(void)ctx;
	snprintf(held + used, sizeof(held) - used, "%d/%d/%d@%d %.*s\n", (int)entry->request.device,
	    (int)entry->request.id, (int)entry->request.hash, (int)entry->mono_ms,
	    entry->reply ? (int)entry->length : 1, entry->reply ? entry->reply : "?");
}

/* What the next process finds. */
static void
look(void)
{
	struct journal *journal = journal_open(folder);

	assert_non_null(journal);
	held[0] = '\0';
	journal_each(journal, tell, NULL);
	journal_close(journal);
}

static void
expect_held(const char *expected)
{
	look();
	assert_string_equal(held, expected);
}

static int64_t
take(struct journal *journal, int id)
{
	struct journal_request request = { .device = 1, .id = id, .hash = 9 };

	return journal_take(journal, &request);
}

static int
set_up(void **state)
{
	*state = journal_open(folder);
	return *state ? 0 : -1;
}

static int
tear_down(void **state)
{
	journal_close(*state);
	unlink(path);
	return 0;
}

static void
what_was_taken_and_answered_is_there_for_the_next(void **state)
{
	int64_t first = take(*state, 1);
	int64_t second = take(*state, 2);
	int64_t third = take(*state, 3);

	now_ms = 6000;
	journal_answer(*state, first, "{\"value\":1}", 11);
	journal_drop(*state, third);
	expect_held("1/1/9@6000 {\"value\":1}\n1/2/9@5000 ?\n");
	now_ms = 7000;
	journal_answer(*state, second, "{\"value\":2}", 11);
	expect_held("1/1/9@6000 {\"value\":1}\n1/2/9@7000 {\"value\":2}\n");
	now_ms = 5000;
}

static void
the_next_goes_on_behind_what_is_there(void **state)
{
	struct journal *next;

	take(*state, 1);
	next = journal_open(folder);
	journal_answer(next, take(next, 2), "x", 1);
	journal_close(next);
	expect_held("1/1/9@5000 ?\n1/2/9@5000 x\n");
}

static void
the_oldest_go(void **state)
{
	int64_t first = take(*state, 0);

	for (int i = 1; i <= 256; i++)
		assert_true(take(*state, i) >= 0);
	/* Its place is another's by now. */
	journal_answer(*state, first, "late", 4);
	look();
	assert_null(strstr(held, "1/0/9"));
	assert_non_null(strstr(held, "1/1/9"));
	assert_non_null(strstr(held, "1/256/9@5000 ?"));
	assert_null(strstr(held, "late"));
}

static void
a_long_answer_is_not_known(void **state)
{
	char reply[512];

	memset(reply, 'x', sizeof(reply));
	journal_answer(*state, take(*state, 1), reply, sizeof(reply));
	journal_answer(*state, take(*state, 2), reply, 3);
	expect_held("1/1/9@5000 ?\n1/2/9@5000 xxx\n");
}

static void
damage_costs_what_is_damaged(void **state)
{
	int fd = open(path, O_RDWR);

	take(*state, 1);
	take(*state, 2);
	take(*state, 3);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "!", 1, 512 + 40), 1);
	expect_held("1/1/9@5000 ?\n1/3/9@5000 ?\n");
	assert_int_equal(ftruncate(fd, 512 + 100), 0);
	expect_held("1/1/9@5000 ?\n");
	assert_int_equal(ftruncate(fd, 0), 0);
	expect_held("");
	for (int i = 0; i < 4000; i++)
		assert_int_equal(write(fd, "garbage", 7), 7);
	expect_held("");
	close(fd);
}

static void
what_belongs_to_another_boot_is_ignored(void **state)
{
	char record[512];
	int fd = open(path, O_RDWR);

	take(*state, 1);
	assert_int_equal(pread(fd, record, sizeof(record), 0), sizeof(record));
	record[12] ^= 1; /* the boot */
	assert_int_equal(pwrite(fd, record, sizeof(record), 0), sizeof(record));
	expect_held("");
	close(fd);
}

static void
only_the_owner_reads_it(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_null(journal_open("/nowhere"));
	assert_int_equal(errno, ENOENT);
}

static void
without_a_journal_nothing_is_written_down(void **state)
{
	(void)state;
	assert_int_equal(take(NULL, 1), -1);
	journal_answer(NULL, -1, "x", 1);
	journal_drop(NULL, -1);
	journal_close(NULL);
}

/* Who keeps only so many for a device keeps the newest, wherever in the file they are. */
static void
oldest_first(void **state)
{
	struct journal *journal = journal_open(folder);
	int last = 0, id;

	(void)state;
	assert_non_null(journal);
	for (id = 1000; id < 1300; id++)
		assert_true(take(journal, id) >= 0);
	journal_close(journal);
	look();
	for (char *line = strtok(held, "\n"); line; line = strtok(NULL, "\n")) {
		assert_int_equal(sscanf(line, "1/%d/", &id), 1);
		assert_true(id > last);
		last = id;
	}
	assert_int_equal(last, 1299);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(oldest_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    what_was_taken_and_answered_is_there_for_the_next, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_next_goes_on_behind_what_is_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_oldest_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_long_answer_is_not_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damage_costs_what_is_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_belongs_to_another_boot_is_ignored, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_the_owner_reads_it, set_up, tear_down),
		cmocka_unit_test(without_a_journal_nothing_is_written_down),
	};
	int failed;

	log_init(LOG_LEVEL_ERROR, true);
	clock_replace(&fake_clock);
	if (!mkdtemp(folder))
		return 99;
	snprintf(path, sizeof(path), "%s/commands", folder);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
