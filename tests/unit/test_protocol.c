/* Requests on the control socket: words in, words out, and nothing else is taken for them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/protocol.h"

static struct control_request request;

static int
parse(const char *line)
{
	return control_request_parse(line, strlen(line), &request);
}

static void
test_words_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(parse("status"), 0);
	assert_int_equal(request.count, 1);
	assert_string_equal(request.words[0], "status");
	assert_int_equal(parse("log-level debug"), 0);
	assert_int_equal(request.count, 2);
	assert_string_equal(request.words[1], "debug");
	assert_int_equal(parse("claim \"Kessel \\\"1\\\" \\\\ s\xc3\xbc" "d\""), 0);
	assert_string_equal(request.words[1], "Kessel \"1\" \\ s\xc3\xbc" "d");
	assert_int_equal(parse("claim \"\""), 0);
	assert_string_equal(request.words[1], "");
	assert_int_equal(parse("a b c d"), 0);
}

static void
test_anything_else_is_refused(void **state)
{
	static const char *const lines[] = { "", " ", " status", "status ", "a  b", "a\tb", "\"open", "\"a\"b", "a\"b\"",
		"\"a\\", "a\x01", "\"a\nb\"", "a\x7f" };
	char nul[] = "a\0b";

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(parse(lines[i]), -EINVAL);
	assert_int_equal(control_request_parse(nul, 3, &request), -EINVAL);
	assert_int_equal(parse("a b c d e"), -EMSGSIZE);
}

static void
test_a_long_line_is_refused_and_the_longest_is_not(void **state)
{
	char line[CONTROL_REQUEST_MAX];

	(void)state;
	memset(line, 'a', sizeof(line));
	assert_int_equal(control_request_parse(line, sizeof(line) - 1, &request), 0);
	assert_int_equal(strlen(request.words[0]), sizeof(line) - 1);
	assert_int_equal(control_request_parse(line, sizeof(line), &request), -EMSGSIZE);
}

static void
test_what_is_written_is_read_again(void **state)
{
	static const char *const words[] = { "claim", "a \"b\" \\", "", "\xe2\x82\xac" };
	char line[CONTROL_REQUEST_MAX];
	int length = control_request_write(words, 4, line, sizeof(line));

	(void)state;
	assert_true(length > 0);
	assert_int_equal(control_request_parse(line, (size_t)length, &request), 0);
	assert_int_equal(request.count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(request.words[i], words[i]);
	assert_int_equal(control_request_write(words, 4, line, 12), -EMSGSIZE);
}

static void
test_where_the_socket_is(void **state)
{
	char path[256], name[200];

	(void)state;
	unsetenv("RUNTIME_DIRECTORY");
	assert_int_equal(control_path(NULL, path, sizeof(path)), 0);
	assert_string_equal(path, "/run/fieldgate/control.sock");
	setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1);
	assert_int_equal(control_path(NULL, path, sizeof(path)), 0);
	assert_string_equal(path, "/run/a/control.sock");
	assert_int_equal(control_path("/x", path, sizeof(path)), 0);
	assert_string_equal(path, "/x");
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(control_path(name, path, sizeof(path)), -ENAMETOOLONG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_are_told_apart),
		cmocka_unit_test(test_anything_else_is_refused),
		cmocka_unit_test(test_a_long_line_is_refused_and_the_longest_is_not),
		cmocka_unit_test(test_what_is_written_is_read_again),
		cmocka_unit_test(test_where_the_socket_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
