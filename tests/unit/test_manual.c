/* gateway.conf(5) names every setting of the schema, with its kind, range and default as the schema has them,
 * and no other. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/schema.h"
#include "model/codec.h"

static char *page;

static int
read_page(void **state)
{
	FILE *file = fopen(SRCDIR "/man/gateway.conf.5", "r");
	size_t size;

	(void)state;
	if (!file)
		return -1;
	page = calloc(1, 256 * 1024);
	size = page ? fread(page, 1, 256 * 1024 - 1, file) : 0;
	fclose(file);
	return size > 0 ? 0 : -1;
}

static int
free_page(void **state)
{
	(void)state;
	free(page);
	return 0;
}

/* The text between the line that begins with `from` and the next that begins with `to` or `or_to`. To be
 * freed. */
static char *
part(const char *text, const char *from, const char *to, const char *or_to)
{
	const char *begin = strstr(text, from), *end, *other;

	if (!begin)
		return NULL;
	begin += strlen(from) - (from[strlen(from) - 1] == '\n');
	end = strstr(begin, to);
	other = strstr(begin, or_to);
	if (!end || (other && other < end))
		end = other;
	return end ? strndup(begin, (size_t)(end - begin) + 1) : strdup(begin);
}

/* Is one of the items called `name` of the section described so? */
static bool
is_described(const char *section, const char *name, const char *description)
{
	char heading[128];
	const char *at = section;

	snprintf(heading, sizeof(heading), "\n.It Ic %s", name);
	while ((at = strstr(at, heading))) {
		char *item = part(at, heading, "\n.It Ic ", "\n.El\n");
		bool found = item && strchr(" \n", item[0]) && strstr(item, description);

		free(item);
		if (found)
			return true;
		at += strlen(heading);
	}
	return false;
}

static void
test_settings(void **state)
{
	char text[SCHEMA_TEXT_SIZE], line[SCHEMA_TEXT_SIZE + 2], heading[64];

	(void)state;
	for (size_t g = 0; g < schema_group_count; g++) {
		const struct setting_group *group = schema_groups[g];
		char *section;

		snprintf(heading, sizeof(heading), "\n.Ss %s\n", group->name);
		section = part(page, heading, "\n.Ss ", "\n.Sh ");
		if (!section)
			fail_msg("no section for %s", group->name);
		for (size_t i = 0; i < group->row_count; i++) {
			snprintf(
			    line, sizeof(line), "\n%s\n", schema_manual(&group->rows[i], text, sizeof(text)));
			if (!is_described(section, group->rows[i].name, line))
				fail_msg(
				    "%s: %s is not described as: %s", group->name, group->rows[i].name, text);
		}
		free(section);
	}
}

/* The other way round: what the page describes exists. */
static void
test_nothing_else(void **state)
{
	char heading[64], name[64];

	(void)state;
	for (size_t g = 0; g < schema_group_count; g++) {
		char *section;

		snprintf(heading, sizeof(heading), "\n.Ss %s\n", schema_groups[g]->name);
		section = part(page, heading, "\n.Ss ", "\n.Sh ");
		assert_non_null(section);
		for (const char *at = section; (at = strstr(at, "\n.It Ic ")); at++) {
			bool built_in;

			assert_int_equal(sscanf(at, "\n.It Ic %63s", name), 1);
			built_in = strcmp(schema_groups[g]->name, "rpc") == 0 &&
				   (strcmp(name, "get") == 0 || strcmp(name, "set") == 0);
			if (!built_in && !schema_find(schema_groups[g], name, 0))
				fail_msg("%s: there is no %s", schema_groups[g]->name, name);
		}
		free(section);
	}
}

static void
test_types(void **state)
{
	char item[256];

	(void)state;
	for (int i = 0; i < TYPE_COUNT; i++) {
		const struct codec_type *type = codec_type((enum point_type)i);

		snprintf(item, sizeof(item), "\n.It Cm %s\n%c%s.\n", type->name,
		    toupper((unsigned char)type->about[0]), type->about + 1);
		if (!strstr(page, item))
			fail_msg("the type %s is not described as: %s", type->name, type->about);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_nothing_else),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, read_page, free_page);
}
