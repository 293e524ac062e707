/* The gateway API's payloads, as ThingsBoard's source (v4.3.1.3) has them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cloud/tb_gateway.h"

static char text[512];

static const char *
ended(int length)
{
	assert_in_range(length, 0, sizeof(text) - 1);
	text[length] = '\0';
	return text;
}

static void
test_what_goes_up(void **state)
{
	(void)state;
	assert_string_equal(
	    ended(tb_gateway_connect("Kessel \"1\"", text, sizeof(text))), "{\"device\":\"Kessel \\\"1\\\"\"}");
	assert_string_equal(ended(tb_gateway_telemetry("A", "{\"a\":1}", 7, text, sizeof(text))), "{\"A\":[{\"a\":1}]}");
	assert_string_equal(
	    ended(tb_gateway_telemetry("A", "[{\"a\":1},{}]", 12, text, sizeof(text))), "{\"A\":[{\"a\":1},{}]}");
	assert_string_equal(ended(tb_gateway_member("A", "{\"a\":1}", 7, text, sizeof(text))), "{\"A\":{\"a\":1}}");
	assert_string_equal(ended(tb_gateway_rpc_reply("A", 7, "{\"value\":1}", 11, text, sizeof(text))),
	    "{\"device\":\"A\",\"id\":7,\"data\":{\"value\":1}}");
}

static void
test_shared_attributes_are_asked_for_by_name(void **state)
{
	static const char one[] = "{\"sharedKeys\":\"a\"}", many[] = "{\"sharedKeys\":\"a,b \\\"c\\\",d\"}";

	(void)state;
	assert_string_equal(ended(tb_gateway_attribute_request("A", 1, one, strlen(one), text, sizeof(text))),
	    "{\"device\":\"A\",\"id\":1,\"client\":false,\"key\":\"a\"}");
	assert_string_equal(ended(tb_gateway_attribute_request("A", 2, many, strlen(many), text, sizeof(text))),
	    "{\"device\":\"A\",\"id\":2,\"client\":false,\"keys\":[\"a\",\"b \\\"c\\\"\",\"d\"]}");
	assert_int_equal(tb_gateway_attribute_request("A", 1, "{}", 2, text, sizeof(text)), -EINVAL);
}

/* Whatever room there is, nothing is written behind it, and it is either enough or refused. */
static void
test_no_room_is_no_message(void **state)
{
	static const char request[] = "{\"sharedKeys\":\"a,b\"}";
	int length = tb_gateway_attribute_request("A", 1, request, strlen(request), text, sizeof(text));

	(void)state;
	for (size_t size = 0; size < (size_t)length; size++) {
		memset(text, '#', sizeof(text));
		assert_int_equal(tb_gateway_attribute_request("A", 1, request, strlen(request), text, size), -EMSGSIZE);
		assert_int_equal(tb_gateway_telemetry("ABC", request, strlen(request), text, size % 20), -EMSGSIZE);
		assert_int_equal(text[size > 20 ? size : 20], '#');
	}
}

struct expected {
	const char *payload;
	const char *device; /* NULL: refused */
	int64_t id;
	const char *data; /* what its member "x" holds; NULL: no data */
	const char *one;
};

static void
test_what_comes_down(void **state)
{
	static const struct expected table[] = {
		{ "{\"device\":\"A\",\"data\":{\"id\":3,\"method\":\"x\",\"params\":null,\"x\":\"rpc\"}}", "A", 3, "rpc", NULL },
		{ "{\"device\":\"A\",\"data\":{\"x\":\"update\"}}", "A", -1, "update", NULL },
		/* an attribute that is called id */
		{ "{\"device\":\"A\",\"data\":{\"id\":3,\"x\":\"update\"}}", "A", -1, "update", NULL },
		{ "{\"id\":5,\"device\":\"A\",\"values\":{\"x\":\"many\"}}", "A", 5, "many", NULL },
		{ "{\"id\":5,\"device\":\"A\",\"value\":\"one\"}", "A", 5, NULL, "one" },
		{ "{\"id\":5,\"device\":\"A\"}", "A", 5, NULL, NULL },
		{ "{\"device\":\"A\",\"reason\":152}", "A", -1, NULL, NULL },
		{ "{\"device\":5,\"data\":{}}", NULL, 0, NULL, NULL },
		{ "{\"data\":{}}", NULL, 0, NULL, NULL },
		{ "[]", NULL, 0, NULL, NULL },
		{ "5", NULL, 0, NULL, NULL },
		{ "{\"id\":-5,\"device\":\"A\",\"values\":{}}", NULL, 0, NULL, NULL },
		{ "{\"id\":\"5\",\"device\":\"A\",\"values\":{}}", NULL, 0, NULL, NULL },
		{ "{\"device\":\"A\",\"data\":{\"id\":{},\"method\":\"x\"}}", NULL, 0, NULL, NULL },
		{ "{\"device\":\"A\",\"data\":{\"id\":99999999999999999999,\"method\":\"x\"}}", NULL, 0, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct tb_json *json = tb_json_parse(table[i].payload, strlen(table[i].payload));
		struct tb_gateway_message message;
		int error = tb_gateway_parse(json, &message);
		const char *data = error == 0 ? tb_json_text(tb_json_get(message.data, "x")) : NULL;

		assert_int_equal(error, table[i].device ? 0 : -EINVAL);
		if (table[i].device) {
			assert_string_equal(message.device, table[i].device);
			assert_int_equal(message.id, table[i].id);
			assert_int_equal(data != NULL, table[i].data != NULL);
			assert_string_equal(data ? data : "", table[i].data ? table[i].data : "");
			assert_string_equal(message.one ? tb_json_text(message.one) : "", table[i].one ? table[i].one : "");
		}
		tb_json_free(json);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_goes_up),
		cmocka_unit_test(test_shared_attributes_are_asked_for_by_name),
		cmocka_unit_test(test_no_room_is_no_message),
		cmocka_unit_test(test_what_comes_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
