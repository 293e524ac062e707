#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/resolver.h"
#include "fake/names.h"

#define WAIT_MS 10000 /* only a broken helper lets this pass */

static struct resolver_answer
wait_answer(struct fifo *answers)
{
	struct pollfd waiting = { .fd = fifo_fd(answers), .events = POLLIN };
	struct resolver_answer answer;

	assert_int_equal(poll(&waiting, 1, WAIT_MS), 1);
	assert_int_equal(fifo_pop(answers, &answer, 1), 1);
	return answer;
}

static void
test_numeric(void **state)
{
	struct resolver_answer answer = { .tag = 1 };
	const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)&answer.addresses[0].storage;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)&answer.addresses[0].storage;

	(void)state;
	assert_int_equal(resolver_numeric("192.0.2.7", 8883, &answer), 0);
	assert_int_equal(answer.addresses[0].length, sizeof(*four));
	assert_int_equal(four->sin_family, AF_INET);
	assert_int_equal(ntohs(four->sin_port), 8883);
	assert_int_equal(ntohl(four->sin_addr.s_addr), 0xc0000207);
	assert_int_equal(resolver_numeric("2001:db8::1", 502, &answer), 0);
	assert_int_equal(answer.addresses[0].length, sizeof(*six));
	assert_int_equal(six->sin6_family, AF_INET6);
	assert_int_equal(ntohs(six->sin6_port), 502);
	assert_int_equal(resolver_numeric("localhost", 1, &answer), -EINVAL);
	assert_int_equal(resolver_numeric("192.0.2.256", 1, &answer), -EINVAL);
	assert_int_equal(resolver_numeric("", 1, &answer), -EINVAL);
}

static void
test_every_question_is_answered_once(void **state)
{
	struct fifo *answers = fifo_new(sizeof(struct resolver_answer), 8);
	struct resolver *resolver = resolver_start();
	unsigned seen = 0;

	(void)state;
	assert_non_null(resolver);
	for (uint16_t i = 0; i < 8; i++)
		assert_int_equal(resolver_ask(resolver, "localhost", i, i, answers), 0);
	for (int i = 0; i < 8; i++) {
		struct resolver_answer answer = wait_answer(answers);
		const struct resolver_address *address = &answer.addresses[0];

		assert_int_equal(answer.error, 0);
		assert_int_equal(answer.count, 1);
		assert_int_equal(address->storage.ss_family, AF_INET);
		assert_int_equal(
		    ntohs(((const struct sockaddr_in *)(const void *)&address->storage)->sin_port), answer.tag);
		seen |= 1u << answer.tag;
	}
	assert_int_equal(seen, 0xff);
	resolver_stop(resolver);
	fifo_free(answers);
}

static void
test_all_addresses_of_a_name(void **state)
{
	struct fifo *answers = fifo_new(sizeof(struct resolver_answer), 1);
	struct resolver *resolver = resolver_start();
	struct resolver_answer answer, other = { .count = 0 };

	(void)state;
	assert_int_equal(resolver_ask(resolver, "three.test", 502, 0, answers), 0);
	answer = wait_answer(answers);
	assert_int_equal(answer.count, 3);
	assert_int_equal(answer.addresses[0].storage.ss_family, AF_INET6);
	assert_int_equal(answer.addresses[2].storage.ss_family, AF_INET);
	assert_int_equal(resolver_find(&answer, &answer.addresses[2]), 2);
	assert_int_equal(resolver_numeric("127.0.0.1", 502, &other), 0);
	assert_int_equal(resolver_find(&answer, &other.addresses[0]), 2);
	assert_int_equal(resolver_numeric("127.0.0.1", 503, &other), 0);
	assert_int_equal(resolver_find(&answer, &other.addresses[0]), 0);
	resolver_stop(resolver);
	fifo_free(answers);
}

static void
test_a_name_that_hangs_holds_up_no_other(void **state)
{
	struct fifo *stuck = fifo_new(sizeof(struct resolver_answer), 8);
	struct fifo *answers = fifo_new(sizeof(struct resolver_answer), 8);
	struct resolver *resolver = resolver_start();

	(void)state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(resolver_ask(resolver, "hang.test", 1, 1, stuck), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(resolver_ask(resolver, "localhost", 1, 2, answers), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(wait_answer(answers).tag, 2);
	/* After the stop what still hangs answers nobody. */
	resolver_stop(resolver);
	fifo_free(answers);
	fifo_free(stuck);
	names_release();
	while (names_hanging() > 0)
		sched_yield();
	names_hold();
}

static void
test_failure_is_an_answer(void **state)
{
	struct fifo *answers = fifo_new(sizeof(struct resolver_answer), 2);
	struct resolver *resolver = resolver_start();
	struct resolver_answer answer;
	char name[NI_MAXHOST + 1];

	(void)state;
	assert_int_equal(resolver_ask(resolver, "none.test", 1, 5, answers), 0);
	answer = wait_answer(answers);
	assert_int_equal(answer.tag, 5);
	assert_int_not_equal(answer.error, 0);
	memset(name, 'a', NI_MAXHOST);
	name[NI_MAXHOST] = '\0';
	assert_int_equal(resolver_ask(resolver, name, 1, 6, answers), -ENAMETOOLONG);
	resolver_stop(resolver);
	fifo_free(answers);
}

/* After the stop no queue is touched, however many questions waited; all is freed, which the leak sanitizer
 * sees. */
static void
test_stop_with_questions_waiting(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct fifo *answers = fifo_new(sizeof(struct resolver_answer), 4);
		struct resolver *resolver = resolver_start();
		int asked = 0;

		while (asked < 2000 && resolver_ask(resolver, "127.0.0.1", 1, 1, answers) == 0)
			asked++;
		resolver_stop(resolver);
		fifo_free(answers);
	}
	resolver_stop(NULL);
}

/* A queue that is forgotten may be freed at once, whatever is still asked for it; others get their answers. */
static void
test_forgotten_queue_is_not_touched(void **state)
{
	struct fifo *leaving = fifo_new(sizeof(struct resolver_answer), 64);
	struct fifo *answers = fifo_new(sizeof(struct resolver_answer), 64);
	struct resolver *resolver = resolver_start();

	(void)state;
	for (int i = 0; i < 30; i++) {
		assert_int_equal(resolver_ask(resolver, "hang.test", 1, 1, leaving), 0);
		assert_int_equal(resolver_ask(resolver, "hang.test", 1, 2, answers), 0);
	}
	while (names_hanging() == 0)
		sched_yield();
	resolver_forget(resolver, leaving);
	fifo_free(leaving);
	names_release();
	for (int i = 0; i < 30; i++)
		assert_int_equal(wait_answer(answers).tag, 2);
	resolver_stop(resolver);
	fifo_free(answers);
	names_hold();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numeric),
		cmocka_unit_test(test_every_question_is_answered_once),
		cmocka_unit_test(test_all_addresses_of_a_name),
		cmocka_unit_test(test_a_name_that_hangs_holds_up_no_other),
		cmocka_unit_test(test_failure_is_an_answer),
		cmocka_unit_test(test_stop_with_questions_waiting),
		cmocka_unit_test(test_forgotten_queue_is_not_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
