#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/resolver.h"

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
	assert_int_equal(answer.count, 1);
	assert_int_equal(resolver_numeric("localhost", 1, &answer), -EINVAL);
	assert_int_equal(resolver_numeric("192.0.2.256", 1, &answer), -EINVAL);
	assert_int_equal(resolver_numeric("", 1, &answer), -EINVAL);
}

/* Addresses stand for names here: no test depends on a name server. */
static void
test_answers_in_order(void **state)
{
	struct fifo *answers = fifo_new(sizeof(struct resolver_answer), 8);
	struct resolver *resolver = resolver_start();
	struct resolver_answer answer;

	(void)state;
	assert_non_null(resolver);
	for (uint16_t i = 0; i < 8; i++)
		assert_int_equal(resolver_ask(resolver, "127.0.0.1", i, 100u + i, answers), 0);
	for (uint16_t i = 0; i < 8; i++) {
		answer = wait_answer(answers);
		assert_int_equal(answer.tag, 100 + i);
		assert_int_equal(answer.error, 0);
		assert_int_equal(answer.count, 1);
		assert_int_equal(answer.addresses[0].storage.ss_family, AF_INET);
		assert_int_equal(ntohs(((struct sockaddr_in *)(void *)&answer.addresses[0].storage)->sin_port), i);
	}
	resolver_stop(resolver);
	fifo_free(answers);
}

static void
test_failure_is_an_answer(void **state)
{
	struct fifo *answers = fifo_new(sizeof(struct resolver_answer), 2);
	struct resolver *resolver = resolver_start();
	struct resolver_answer answer;
	char name[NI_MAXHOST + 1];

	(void)state;
	/* No name server is asked for a label of more than 63 letters. */
	memset(name, 'a', 64);
	name[64] = '\0';
	assert_int_equal(resolver_ask(resolver, name, 1, 5, answers), 0);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numeric),
		cmocka_unit_test(test_answers_in_order),
		cmocka_unit_test(test_failure_is_an_answer),
		cmocka_unit_test(test_stop_with_questions_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
