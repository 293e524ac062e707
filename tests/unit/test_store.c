#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/store.h"

static void
append(struct store *store, size_t device, int number)
{
	char text[32];

	assert_int_equal(
	    store_append(store, device, number, STORE_UNIX, 1, text, (size_t)sprintf(text, "\"a\":%d", number)), 0);
}

/* The next row after `after`, which is number `number`. Returns its seq. */
static uint64_t
expect(struct store *store, size_t device, uint64_t after, int number)
{
	struct store_row row;
	char text[32];
	size_t length = (size_t)sprintf(text, "\"a\":%d", number);

	assert_int_equal(store_next(store, device, after, &row), 0);
	assert_int_equal(row.ts_unix_ms, number);
	assert_int_equal(row.length, length);
	assert_memory_equal(row.members, text, length);
	return row.seq;
}

static void
rows_leave_in_order_and_are_forgotten_when_confirmed(void **state)
{
	struct store *store = store_new(2, 1 << 20);
	struct store_row row;
	uint64_t seq = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		append(store, 1, i);
	for (int i = 0; i < 1000; i++)
		seq = expect(store, 1, seq, i);
	assert_int_equal(store_next(store, 1, seq, &row), -ENOENT);
	assert_int_equal(store_next(store, 0, 0, &row), -ENOENT);
	store_sent(store, 1, 1, 1000);
	assert_int_equal(store_next(store, 1, 0, &row), -ENOENT);
	store_confirm(store, 1, 501, 1000);
	assert_int_equal(store_depth(store, 1), 500);
	store_rewind(store, 1);
	expect(store, 1, 0, 0);
	expect(store, 1, 499, 499);
	assert_int_equal(store_next(store, 1, 500, &row), -ENOENT);
	store_confirm(store, 1, 1, 500);
	assert_int_equal(store_depth(store, 1), 0);
	assert_int_equal(store_counts(store).bytes, 0);
	append(store, 1, 7);
	assert_int_equal(expect(store, 1, 0, 7), 1001);
	store_free(store);
}

static void
the_device_that_holds_most_pays(void **state)
{
	struct store *store = store_new(2, 256 * 1024);
	struct store_counts counts;
	struct store_row row;

	(void)state;
	append(store, 0, 1);
	for (int i = 0; i < 100000; i++)
		append(store, 1, i);
	counts = store_counts(store);
	assert_true(counts.bytes <= 256 * 1024);
	assert_true(counts.dropped_rows > 50000);
	assert_int_equal(counts.dropped_rows, counts.dropped_values);
	assert_int_equal(counts.dropped_rows + counts.rows, 100001);
	assert_int_equal(store_depth(store, 0), 1);
	assert_int_equal(store_next(store, 1, 0, &row), 0);
	assert_int_equal(row.seq, counts.dropped_rows + 1);
	/* Confirming what was dropped meanwhile is harmless. */
	store_confirm(store, 1, 1, 10);
	assert_int_equal(store_counts(store).rows, counts.rows);
	store_free(store);
}

static void
large_rows_are_held_and_absurd_ones_refused(void **state)
{
	struct store *store = store_new(1, 1 << 20);
	char *large = calloc(1, 1 << 20);
	struct store_row row;

	(void)state;
	assert_int_equal(store_append(store, 0, 1, STORE_UNIX, 1, large, 65000), 0);
	assert_int_equal(store_append(store, 0, 1, STORE_UNIX, 1, large, 1 << 20), -EMSGSIZE);
	append(store, 0, 2);
	assert_int_equal(store_next(store, 0, 0, &row), 0);
	assert_int_equal(row.length, 65000);
	expect(store, 0, 1, 2);
	free(large);
	store_free(store);
	store_free(NULL);
}

/* ---- against a model that is obviously right ---- */

#define ROWS 4000
enum { GONE, DUE, SENT };

struct model {
	int state[ROWS + 1]; /* by seq */
	uint64_t last_seq;
};

static void
compare(struct store *store, const struct model *model, size_t device)
{
	uint64_t after = 0;
	size_t depth = 0;
	struct store_row row;

	for (uint64_t seq = 1; seq <= model->last_seq; seq++) {
		depth += model->state[seq] != GONE;
		if (model->state[seq] != DUE)
			continue;
		after = expect(store, device, after, (int)seq);
		assert_int_equal(after, seq);
	}
	assert_int_equal(store_next(store, device, after, &row), -ENOENT);
	assert_int_equal(store_depth(store, device), depth);
}

static void
random_steps(struct store *store, struct model *model, size_t device, unsigned *seed)
{
	uint64_t first = 1 + (uint64_t)rand_r(seed) % (model->last_seq + 1);
	uint64_t last = first + (uint64_t)rand_r(seed) % 200;
	int step = rand_r(seed) % 10;

	if (step < 4) {
		for (int i = rand_r(seed) % 120; i > 0 && model->last_seq < ROWS; i--) {
			append(store, device, (int)++model->last_seq);
			model->state[model->last_seq] = DUE;
		}
	} else if (step < 7) {
		store_sent(store, device, first, last);
	} else if (step < 9) {
		store_confirm(store, device, first, last);
	} else {
		store_rewind(store, device);
	}
	for (uint64_t seq = 1; seq <= model->last_seq; seq++) {
		bool within = seq >= first && seq <= last;

		if (step >= 4 && step < 7 && within && model->state[seq] == DUE)
			model->state[seq] = SENT;
		else if (step >= 7 && step < 9 && within)
			model->state[seq] = GONE;
		else if (step == 9 && model->state[seq] == SENT)
			model->state[seq] = DUE;
	}
}

static void
behaves_like_the_model(void **state)
{
	(void)state;
	for (unsigned run = 1; run <= 20; run++) {
		struct store *store = store_new(3, 64 << 20);
		struct model *models = calloc(3, sizeof(*models));
		unsigned seed = run;

		for (int i = 0; i < 150; i++) {
			size_t device = (size_t)rand_r(&seed) % 3;

			random_steps(store, &models[device], device, &seed);
			compare(store, &models[device], device);
		}
		for (size_t device = 0; device < 3; device++)
			store_confirm(store, device, 1, ROWS);
		assert_int_equal(store_counts(store).rows, 0);
		assert_int_equal(store_counts(store).bytes, 0);
		free(models);
		store_free(store);
	}
}

/* What was read before the clock was set waits, and so does what comes after it; then all goes in order. */
static void
rows_without_a_time_wait_for_it(void **state)
{
	struct store *store = store_new(2, 1 << 20);
	struct store_row row;

	(void)state;
	assert_int_equal(store_append(store, 0, 700, STORE_UNIX, 1, "a", 1), 0);
	assert_int_equal(store_append(store, 0, 5, STORE_BOOT, 1, "b", 1), 0);
	assert_int_equal(store_append(store, 0, 900, STORE_UNIX, 1, "c", 1), 0);
	assert_int_equal(store_append(store, 1, 6, STORE_BOOT, 1, "d", 1), 0);
	assert_int_equal(store_next(store, 0, 0, &row), 0);
	assert_int_equal(row.ts_unix_ms, 700);
	assert_int_equal(store_next(store, 0, row.seq, &row), -ENOENT);
	assert_int_equal(store_next(store, 1, 0, &row), -ENOENT);
	assert_int_equal(store_depth(store, 0), 3);
	store_date(store, 1000);
	store_date(store, 5000);
	assert_int_equal(store_next(store, 0, row.seq, &row), 0);
	assert_int_equal(row.ts_unix_ms, 1005);
	assert_int_equal(store_next(store, 0, row.seq, &row), 0);
	assert_int_equal(row.ts_unix_ms, 900);
	assert_int_equal(store_next(store, 1, 0, &row), 0);
	assert_int_equal(row.ts_unix_ms, 1006);
	store_free(store);
}

/* Settings of so many devices, called by a letter each. */
static void
name_devices(struct settings *settings, struct device *devices, const char *const *names)
{
	*settings = (struct settings){ .devices = devices, .store.memory_mb = 1 };
	for (; names[settings->device_count]; settings->device_count++)
		devices[settings->device_count] = (struct device){ .name = names[settings->device_count],
			.index = settings->device_count,
			.credentials = { .kind = CREDENTIALS_TOKEN, .token = names[settings->device_count] } };
}

static void
other_settings_keep_the_rows_of_devices_that_stay(void **state)
{
	static const char *const before[] = { "a", "b", "c", NULL };
	static const char *const after[] = { "c", "d", "a", NULL };
	struct store *store = store_new(3, 1 << 20);
	struct device devices[2][3];
	struct settings from, to;
	struct difference *difference;
	uint64_t seq = 0;

	(void)state;
	name_devices(&from, devices[0], before);
	name_devices(&to, devices[1], after);
	difference = difference_new(&from, &to);
	for (int i = 0; i < 500; i++)
		for (size_t device = 0; device < 3; device++)
			append(store, device, i);
	seq = expect(store, 2, 0, 0);
	store_sent(store, 2, 1, 10);
	store_hold(store, difference);
	assert_true(store_is_held(store));
	assert_int_equal(store_rebind(store, difference), 0);
	/* What was on its way still is, the rest comes in order, and what comes now after it. */
	append(store, 0, 500);
	append(store, 1, 7);
	assert_int_equal(store_depth(store, 0), 501);
	assert_int_equal(store_depth(store, 1), 1);
	assert_int_equal(store_depth(store, 2), 500);
	seq = expect(store, 0, 0, 10);
	for (int i = 11; i <= 500; i++)
		seq = expect(store, 0, seq, i);
	expect(store, 1, 0, 7);
	expect(store, 2, 0, 0);
	store_confirm(store, 0, 1, 10);
	assert_int_equal(store_depth(store, 0), 491);
	/* Nobody has what was b's. */
	assert_int_equal(store_counts(store).rows, 491 + 1 + 500);
	assert_int_equal(store_counts(store).dropped_rows, 500);
	for (size_t device = 0; device < 3; device++)
		store_confirm(store, device, 1, UINT64_MAX - 1);
	assert_int_equal(store_counts(store).rows, 0);
	assert_int_equal(store_counts(store).bytes, 0);
	assert_int_equal(store_counts(store).unsaved_rows, 0);
	difference_free(difference);
	store_free(store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_settings_keep_the_rows_of_devices_that_stay),
		cmocka_unit_test(rows_without_a_time_wait_for_it),
		cmocka_unit_test(rows_leave_in_order_and_are_forgotten_when_confirmed),
		cmocka_unit_test(the_device_that_holds_most_pays),
		cmocka_unit_test(large_rows_are_held_and_absurd_ones_refused),
		cmocka_unit_test(behaves_like_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
