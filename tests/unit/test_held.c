/* What the server's limits hold back, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cloud/held.h"

#define FRESH_MS 4500

static void
add(struct held *held, enum tb_topic topic, int64_t id, int64_t now)
{
	assert_int_equal(held_add(held, topic, id, "text", 4, now), 0);
}

/* Take out what goes next; -1 if nothing does. */
static int64_t
next(struct held *held, int64_t now)
{
	struct held_message *message = held_next(held, FRESH_MS, now);
	int64_t id = message ? message->id : -1;

	if (!message)
		return -1;
	assert_memory_equal(message->payload, "text", 4);
	held_remove(held, message);
	return id;
}

static void
replies_go_before_requests_and_in_order(void **state)
{
	struct held held = { .first = NULL };

	(void)state;
	add(&held, TB_ATTRIBUTE_REQUEST, 1, 0);
	add(&held, TB_RPC_RESPONSE, 2, 1);
	add(&held, TB_RPC_RESPONSE, 3, 2);
	assert_int_equal(next(&held, 10), 2);
	add(&held, TB_RPC_RESPONSE, 4, 11);
	assert_int_equal(next(&held, 12), 3);
	assert_int_equal(next(&held, 12), 4);
	assert_int_equal(next(&held, 12), 1);
	assert_int_equal(next(&held, 12), -1);
	assert_null(held.last);
	assert_int_equal(held.bytes + held.dropped, 0);
}

/* A caller whose time is over waits behind those that are sure to wait, and is answered all the same. */
static void
what_is_late_lets_others_by(void **state)
{
	struct held held = { .first = NULL };

	(void)state;
	add(&held, TB_RPC_RESPONSE, 1, 0);
	add(&held, TB_RPC_RESPONSE, 2, 4000);
	add(&held, TB_RPC_REQUEST, 3, 4000);
	assert_int_equal(next(&held, 4501), 2);
	assert_int_equal(next(&held, 4501), 3);
	assert_int_equal(next(&held, 59999), 1);
	assert_int_equal(held.dropped, 0);
}

static void
what_is_too_old_is_dropped_and_replies_are_counted(void **state)
{
	struct held held = { .first = NULL };

	(void)state;
	add(&held, TB_RPC_REQUEST, 1, 0);
	add(&held, TB_RPC_RESPONSE, 2, 0);
	assert_int_equal(next(&held, HELD_REQUEST_MS), 2);
	assert_int_equal(held.dropped, 0);
	add(&held, TB_RPC_RESPONSE, 3, 0);
	assert_int_equal(next(&held, HELD_REPLY_MS), -1);
	assert_int_equal(held.dropped, 1);
	assert_int_equal(held.count, 0);
}

static void
the_oldest_go_when_there_is_no_room(void **state)
{
	static char large[HELD_BYTES_MAX];
	struct held held = { .first = NULL };

	(void)state;
	for (int i = 0; i < 2 * HELD_MAX; i++)
		add(&held, TB_RPC_RESPONSE, i, i);
	assert_int_equal(held.count, HELD_MAX);
	assert_int_equal(held.dropped, HELD_MAX);
	assert_int_equal(next(&held, 200), HELD_MAX);
	assert_int_equal(held_add(&held, TB_RPC_RESPONSE, 1000, large, sizeof(large), 200), 0);
	assert_int_equal(held.count, 1);
	add(&held, TB_RPC_RESPONSE, 1001, 201);
	assert_int_equal(next(&held, 201), 1001);
}

static void
the_end_of_the_connection_drops_all(void **state)
{
	struct held held = { .first = NULL };

	(void)state;
	add(&held, TB_RPC_RESPONSE, 1, 0);
	add(&held, TB_RPC_REQUEST, 2, 0);
	held_clear(&held);
	assert_null(held.first);
	assert_null(held.last);
	assert_int_equal(held.dropped, 1);
	assert_int_equal(held.count + held.bytes, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_go_before_requests_and_in_order),
		cmocka_unit_test(what_is_late_lets_others_by),
		cmocka_unit_test(what_is_too_old_is_dropped_and_replies_are_counted),
		cmocka_unit_test(the_oldest_go_when_there_is_no_room),
		cmocka_unit_test(the_end_of_the_connection_drops_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
