/* The table of MQTT's reason codes, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cloud/reason.h"

/* What a server may send: CONNACK of MQTT 3.1.1 (table 3.1), CONNACK and DISCONNECT of MQTT 5 (3.2.2.2, 3.14.2.1). */
static const int codes[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
	0x8A, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E,
	0x9F, 0xA0, 0xA1, 0xA2 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
every_code_has_a_row_and_says_what_to_do(void **state)
{
	(void)state;
	assert_int_equal(reason_count, COUNT(codes));
	for (size_t i = 0; i < COUNT(codes); i++) {
		const struct reason *reason = reason_find(codes[i]);

		assert_ptr_equal(reason, &reasons[i]);
		assert_int_equal(reason->code, codes[i]);
		assert_true(strlen(reason->text) > 3);
		assert_string_equal(reason_text(codes[i]), reason->text);
		if (reason->reaction == REACT_OTHER_VERSION)
			continue; /* we can do it ourselves */
		assert_true(reason->about_credentials != (reason->advice != NULL));
		for (int kind = CREDENTIALS_NONE; kind <= CREDENTIALS_CERTIFICATE; kind++) {
			const char *advice = reason_advice(reason, (enum credentials_kind)kind);

			assert_non_null(advice);
			assert_null(strchr(advice, '\n'));
		}
	}
}

static void
credentials_are_named_by_their_kind(void **state)
{
	const struct reason *reason = reason_find(0x87);

	(void)state;
	assert_non_null(strstr(reason_advice(reason, CREDENTIALS_TOKEN), "token"));
	assert_non_null(strstr(reason_advice(reason, CREDENTIALS_BASIC), "password"));
	assert_non_null(strstr(reason_advice(reason, CREDENTIALS_CERTIFICATE), "cert_file"));
	/* A rate limit is none of them. */
	assert_null(strstr(reason_advice(reason_find(0x9F), CREDENTIALS_TOKEN), "token"));
}

/* As ThingsBoard uses them. */
static void
each_is_reacted_to_in_its_way(void **state)
{
	static const struct {
		int code;
		enum reaction reaction;
	} wanted[] = {
		{ 0x01, REACT_OTHER_VERSION },
		{ 0x84, REACT_OTHER_VERSION },
		{ 0x02, REACT_SELDOM }, /* unknown client id, or wrong token */
		{ 0x85, REACT_SELDOM },
		{ 0x04, REACT_SELDOM },
		{ 0x05, REACT_SELDOM },
		{ 0x86, REACT_SELDOM },
		{ 0x87, REACT_SELDOM },
		{ 0x8A, REACT_SELDOM },
		{ 0x9C, REACT_SELDOM },
		{ 0x9D, REACT_SELDOM },
		{ 0x03, REACT_LET_UP }, /* rate limit, or the back end is down: 3.1.1 cannot tell them apart */
		{ 0x9F, REACT_LET_UP },
		{ 0x83, REACT_LET_UP }, /* rate limit on a PUBLISH */
		{ 0x96, REACT_LET_UP },
		{ 0x97, REACT_LET_UP },
		{ 0x8E, REACT_STAND_BACK },
		{ 0x88, REACT_BACK_OFF },
		{ 0x81, REACT_BACK_OFF },
		{ 0x8B, REACT_BACK_OFF },
		{ 0x98, REACT_BACK_OFF }, /* the next CONNACK says whether the credentials are still good */
		{ 0xA0, REACT_BACK_OFF },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(wanted); i++)
		assert_int_equal(reason_find(wanted[i].code)->reaction, wanted[i].reaction);
}

static void
an_unknown_code_is_any_failure(void **state)
{
	(void)state;
	assert_int_equal(reason_find(0xEE)->reaction, REACT_BACK_OFF);
	assert_string_equal(reason_text(0xEE), "unknown reason");
	assert_non_null(reason_advice(reason_find(0xEE), CREDENTIALS_TOKEN));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_row_and_says_what_to_do),
		cmocka_unit_test(credentials_are_named_by_their_kind),
		cmocka_unit_test(each_is_reacted_to_in_its_way),
		cmocka_unit_test(an_unknown_code_is_any_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
