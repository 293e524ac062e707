#include "conf/node.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/mistakes.h"

/* Is the bit of a row called `name` set? There is one such row, or one for each variant. */
static bool
is_in(const struct setting_group *group, uint64_t bits, const char *name)
{
	bool is_row = false;

	for (size_t i = 0; i < group->row_count; i++) {
		if (strcmp(group->rows[i].name, name) != 0)
			continue;
		if (bits >> i & 1)
			return true;
		is_row = true;
	}
	assert(is_row);
	return false;
}

bool
node_has(const struct setting_group *group, const struct node *node, const char *name)
{
	return is_in(group, node->valid, name);
}

bool
node_is_given(const struct setting_group *group, const struct node *node, const char *name)
{
	return is_in(group, node->given, name);
}

bool
node_is_wrong(const struct setting_group *group, const struct node *node, const char *name)
{
	return is_in(group, node->given & ~node->valid, name);
}

bool
node_fault(struct mistakes *mistakes, const struct node *node, const char *name, const char *format, ...)
{
	char text[2 * SCHEMA_TEXT_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mistakes_add(mistakes, node->setting, name, "%s", text);
	return false;
}
