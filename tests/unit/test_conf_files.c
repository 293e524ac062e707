/* tests/conf/bad: each NAME.conf has exactly the mistakes in NAME.expected. tests/conf/good and conf: none.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"

/* Calls `check` for each NAME.conf of a folder, which is the working directory then. */
static void
walk(const char *path, void (*check)(const char *name))
{
	struct dirent **entries = NULL;
	int count, checked = 0;

	assert_int_equal(chdir(path), 0);
	count = scandir(".", &entries, NULL, alphasort);
	assert_true(count > 0);
	for (int i = 0; i < count; i++) {
		size_t length = strlen(entries[i]->d_name);

		if (length > 5 && strcmp(entries[i]->d_name + length - 5, ".conf") == 0) {
			check(entries[i]->d_name);
			checked++;
		}
		free(entries[i]);
	}
	free(entries);
	assert_true(checked > 0);
}

static void
check_good(const char *name)
{
	struct settings *settings = NULL;
	struct conf_report report;
	int error = conf_load(name, &settings, &report);

	if (report.count > 0)
		print_error("%s\n", report.lines[0]);
	assert_int_equal(error, 0);
	assert_int_equal(report.count, 0);
	assert_non_null(settings);
	conf_report_done(&report);
	settings_free(settings);
}

static void
check_bad(const char *name)
{
	struct settings *settings = NULL;
	char path[256], *line = NULL;
	struct conf_report report;
	size_t size = 0, count = 0;
	FILE *expected;

	snprintf(path, sizeof(path), "%.*s.expected", (int)strlen(name) - 5, name);
	assert_int_equal(conf_load(name, &settings, &report), -EINVAL);
	assert_null(settings);
	expected = fopen(path, "r");
	if (!expected)
		fail_msg("%s: %s", path, strerror(errno));
	while (getline(&line, &size, expected) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (count >= report.count)
			fail_msg("not found: %s", line);
		assert_string_equal(report.lines[count], line);
		count++;
	}
	if (count < report.count)
		fail_msg("not expected: %s", report.lines[count]);
	free(line);
	fclose(expected);
	conf_report_done(&report);
}

static void
test_bad(void **state)
{
	(void)state;
	walk(SRCDIR "/tests/conf/bad", check_bad);
}

static void
test_good(void **state)
{
	(void)state;
	walk(SRCDIR "/tests/conf/good", check_good);
}

static void
test_examples(void **state)
{
	(void)state;
	walk(SRCDIR "/conf", check_good);
	walk(SRCDIR "/conf/examples", check_good);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
