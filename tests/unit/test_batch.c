/* Rows become messages: whole, as many as fit, or in parts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cloud/batch.h"

static struct store *store;
static char payload[4096];

static int
begin(void **state)
{
	(void)state;
	store = store_new(1, 1 << 20);
	return store ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	store_free(store);
	return 0;
}

static void
append(int64_t ts, unsigned values, const char *members)
{
	assert_int_equal(store_append(store, 0, ts, STORE_UNIX, values, members, strlen(members)), 0);
}

static struct batch_plan
any(void)
{
	return (struct batch_plan){
		.bytes_max = sizeof(payload), .bytes_wanted = sizeof(payload), .rows_max = SIZE_MAX, .values_max = UINT32_MAX
	};
}

static void
check(const struct batch_plan *plan, const char *expected, struct batch *ret)
{
	assert_int_equal(batch_build(store, 0, plan, payload, ret), 0);
	assert_int_equal(ret->length, strlen(expected));
	assert_memory_equal(payload, expected, ret->length);
}

static void
values_of_one_reading_stay_together(void **state)
{
	struct batch_plan plan = any();
	struct batch batch;

	(void)state;
	append(1, 2, "\"a\":1,\"b\":2");
	append(2, 2, "\"a\":3,\"b\":4");
	check(&plan, "[{\"ts\":1,\"values\":{\"a\":1,\"b\":2}},{\"ts\":2,\"values\":{\"a\":3,\"b\":4}}]", &batch);
	assert_int_equal(batch.values, 4);
	/* Three may go: that is one row. */
	plan.values_max = 3;
	check(&plan, "{\"ts\":1,\"values\":{\"a\":1,\"b\":2}}", &batch);
	assert_false(batch.part);
	plan = any();
	plan.rows_max = 1;
	check(&plan, "{\"ts\":1,\"values\":{\"a\":1,\"b\":2}}", &batch);
}

static void
a_row_that_is_too_large_goes_in_parts(void **state)
{
	struct batch_plan plan = any();
	struct batch batch;

	(void)state;
	append(1, 3, "\"a\":\"x,}\\\"\",\"b\":[1,2],\"c\":{\"d\":1,\"e\":2}");
	plan.values_max = 1;
	plan.whole = true;
	assert_int_equal(batch_build(store, 0, &plan, payload, &batch), -EMSGSIZE);
	plan.whole = false;
	check(&plan, "{\"ts\":1,\"values\":{\"a\":\"x,}\\\"\"}}", &batch);
	assert_true(batch.part && !batch.part_ends);
	plan.part_seq = batch.first_seq;
	plan.part_from = batch.part_to;
	check(&plan, "{\"ts\":1,\"values\":{\"b\":[1,2]}}", &batch);
	plan.part_from = batch.part_to;
	check(&plan, "{\"ts\":1,\"values\":{\"c\":{\"d\":1,\"e\":2}}}", &batch);
	assert_true(batch.part && batch.part_ends);
	/* The rest of it together, if it may. */
	plan.values_max = 10;
	plan.part_from = 12;
	check(&plan, "{\"ts\":1,\"values\":{\"b\":[1,2],\"c\":{\"d\":1,\"e\":2}}}", &batch);
	assert_int_equal(batch.values, 2);
}

static void
a_value_that_is_too_large_is_told(void **state)
{
	struct batch_plan plan = any();
	struct batch batch;

	(void)state;
	append(1, 2, "\"a\":\"0123456789012345678901234567890123456789\",\"b\":2");
	plan.bytes_max = plan.bytes_wanted = BATCH_ROW_OVERHEAD + 20;
	assert_int_equal(batch_build(store, 0, &plan, payload, &batch), -EMSGSIZE);
	assert_true(batch.part && !batch.part_ends);
	assert_int_equal(batch.values, 1);
	plan.part_seq = batch.first_seq;
	plan.part_from = batch.part_to;
	check(&plan, "{\"ts\":1,\"values\":{\"b\":2}}", &batch);
}

static void
what_is_in_doubt_is_left_out_or_alone(void **state)
{
	struct batch_plan plan = any();
	struct batch batch;

	(void)state;
	for (int64_t ts = 1; ts <= 4; ts++)
		append(ts, 1, "\"a\":1");
	plan.skip_first_seq = 1;
	plan.skip_last_seq = 2;
	check(&plan, "[{\"ts\":3,\"values\":{\"a\":1}},{\"ts\":4,\"values\":{\"a\":1}}]", &batch);
	assert_int_equal(batch.first_seq, 3);
	/* What is before them does not go in one message with what is behind them. */
	plan.skip_first_seq = plan.skip_last_seq = 2;
	check(&plan, "{\"ts\":1,\"values\":{\"a\":1}}", &batch);
	plan = any();
	plan.first_seq = 2;
	plan.last_seq = 3;
	check(&plan, "[{\"ts\":2,\"values\":{\"a\":1}},{\"ts\":3,\"values\":{\"a\":1}}]", &batch);
	store_confirm(store, 0, 2, 3);
	assert_int_equal(batch_build(store, 0, &plan, payload, &batch), -ENOENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values_of_one_reading_stay_together, begin, end),
		cmocka_unit_test_setup_teardown(a_row_that_is_too_large_goes_in_parts, begin, end),
		cmocka_unit_test_setup_teardown(a_value_that_is_too_large_is_told, begin, end),
		cmocka_unit_test_setup_teardown(what_is_in_doubt_is_left_out_or_alone, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
