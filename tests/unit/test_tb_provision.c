/* The request for credentials and what comes back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cloud/tb_provision.h"

static enum tb_provision_status
answer(enum provision_type type, const char *text, struct credentials *ret)
{
	return tb_provision_answer(type, text, strlen(text), ret);
}

static void
requests_are_as_the_server_reads_them(void **state)
{
	const struct credentials offered = { .client_id = "c", .user = "u", .password = "p" };
	struct provision provision = { .key = "k\"", .secret = "s" };
	char text[512];
	int length;

	(void)state;
	length = tb_provision_request(&provision, "Boiler", &offered, NULL, text, sizeof(text));
	assert_string_equal(text, "{\"deviceName\":\"Boiler\",\"provisionDeviceKey\":\"k\\\"\",\"provisionDeviceSecret\":\"s\","
				  "\"credentialsType\":\"ACCESS_TOKEN\"}");
	assert_int_equal(length, strlen(text));
	provision.type = PROVISION_BASIC;
	tb_provision_request(&provision, "B", &offered, NULL, text, sizeof(text));
	assert_non_null(strstr(text, "\"credentialsType\":\"MQTT_BASIC\",\"clientId\":\"c\",\"username\":\"u\",\"password\":\"p\"}"));
	provision.type = PROVISION_CERTIFICATE;
	tb_provision_request(&provision, "B", &offered, "-----\nx", text, sizeof(text));
	assert_non_null(strstr(text, "\"credentialsType\":\"X509_CERTIFICATE\",\"hash\":\"-----\\u000ax\"}"));
	for (size_t size = 1; size <= strlen(text); size++)
		assert_int_equal(tb_provision_request(&provision, "B", &offered, "-----\nx", text, size), -EMSGSIZE);
}

static void
answers_give_credentials_or_say_why_not(void **state)
{
	static const char *const nonsense[] = { "", "{}", "[]", "null", "\"SUCCESS\"", "{\"status\":1}", "{\"status\":\"SUCCESS\"}",
		"{\"status\":\"SUCCESS\",\"credentialsType\":\"ACCESS_TOKEN\"}",
		"{\"status\":\"SUCCESS\",\"credentialsType\":\"ACCESS_TOKEN\",\"credentialsValue\":\"\"}",
		"{\"status\":\"SUCCESS\",\"credentialsType\":\"ACCESS_TOKEN\",\"credentialsValue\":7}",
		"{\"status\":\"SUCCESS\",\"credentialsType\":\"ACCESS_TOKEN\",\"credentialsValue\":\"a\\nb\"}",
		"{\"status\":\"SUCCESS\",\"credentialsType\":\"MQTT_BASIC\",\"credentialsValue\":{\"userName\":\"u\"}}" };
	struct credentials credentials;

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		assert_int_equal(answer(PROVISION_TOKEN, nonsense[i], &credentials), TB_PROVISION_NONSENSE);
	assert_int_equal(answer(PROVISION_TOKEN, "{\"errorMsg\":\"x\",\"status\":\"NOT_FOUND\"}", &credentials),
	    TB_PROVISION_NOT_FOUND);
	assert_int_equal(answer(PROVISION_TOKEN, "{\"status\":\"FAILURE\"}", &credentials), TB_PROVISION_FAILURE);
	assert_int_equal(answer(PROVISION_TOKEN,
			     "{\"credentialsValue\":\"T\",\"credentialsType\":\"ACCESS_TOKEN\",\"status\":\"SUCCESS\"}",
			     &credentials),
	    TB_PROVISION_SUCCESS);
	assert_int_equal(credentials.kind, CREDENTIALS_TOKEN);
	assert_string_equal(credentials.token, "T");
	tb_provision_done(&credentials);
	assert_int_equal(answer(PROVISION_BASIC,
			     "{\"credentialsValue\":{\"clientId\":\"c\",\"userName\":\"u\",\"password\":null},\"credentialsType\":"
			     "\"MQTT_BASIC\",\"status\":\"SUCCESS\"}",
			     &credentials),
	    TB_PROVISION_SUCCESS);
	assert_string_equal(credentials.client_id, "c");
	assert_string_equal(credentials.user, "u");
	assert_null(credentials.password);
	tb_provision_done(&credentials);
}

static void
what_is_kept_is_read_back(void **state)
{
	static const struct {
		enum provision_type type;
		struct credentials credentials;
	} kept[] = {
		{ PROVISION_TOKEN, { .kind = CREDENTIALS_TOKEN, .token = "t\"\\ \xc3\xa4" } },
		{ PROVISION_BASIC, { .kind = CREDENTIALS_BASIC, .client_id = "c", .user = "u", .password = "p" } },
		{ PROVISION_BASIC, { .kind = CREDENTIALS_BASIC, .user = "u" } },
		{ PROVISION_CERTIFICATE, { .kind = CREDENTIALS_CERTIFICATE } },
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		struct credentials credentials;

		assert_true(tb_provision_print(&kept[i].credentials, text, sizeof(text)) > 0);
		assert_int_equal(answer(kept[i].type, text, &credentials), TB_PROVISION_SUCCESS);
		assert_int_equal(credentials.kind, kept[i].credentials.kind);
		if (kept[i].credentials.token)
			assert_string_equal(credentials.token, kept[i].credentials.token);
		if (kept[i].credentials.user)
			assert_string_equal(credentials.user, kept[i].credentials.user);
		assert_int_equal(credentials.password == NULL, kept[i].credentials.password == NULL);
		tb_provision_done(&credentials);
		/* Half of it is nothing. */
		text[strlen(text) / 2] = '\0';
		assert_int_equal(answer(kept[i].type, text, &credentials), TB_PROVISION_NONSENSE);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_as_the_server_reads_them),
		cmocka_unit_test(answers_give_credentials_or_say_why_not),
		cmocka_unit_test(what_is_kept_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
