#include "conf/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/mistakes.h"

static int
compare_names(const void *left, const void *right)
{
	const struct name *a = left, *b = right;
	int order = strcmp(a->text, b->text);

	return order ? order : a->at < b->at ? -1 : a->at > b->at;
}

int
names_init(struct names *names, size_t most)
{
	names->count = 0;
	names->entries = calloc(most ? most : 1, sizeof(*names->entries));
	return names->entries ? 0 : -ENOMEM;
}

void
names_done(struct names *names)
{
	free(names->entries);
	names->entries = NULL;
	names->count = 0;
}

void
names_add(struct names *names, const char *text, const struct config_setting_t *setting, size_t at)
{
	names->entries[names->count++] = (struct name){ .text = text, .setting = setting, .at = at };
}

void
names_sort(struct names *names)
{
	if (names->count > 0)
		qsort(names->entries, names->count, sizeof(names->entries[0]), compare_names);
}

void
names_close(struct names *names, struct mistakes *mistakes, const char *name, const char *what)
{
	const struct name *first = names->entries;
	char quoted[MISTAKES_QUOTE_SIZE], also[MISTAKES_ALSO_SIZE];

	names_sort(names);
	for (const struct name *entry = names->entries; entry < names->entries + names->count; entry++) {
		if (strcmp(entry->text, first->text) != 0)
			first = entry;
		if (entry == first)
			continue;
		mistakes_add(mistakes, entry->setting, name, "%s is %s of %s too, each must be unique",
		    mistakes_quote(entry->text, quoted), what,
		    mistakes_also(mistakes, entry->setting, first->setting, also));
	}
}

const struct name *
names_find(const struct names *names, const char *text)
{
	size_t from = 0, to = names->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (strcmp(names->entries[middle].text, text) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from < names->count && strcmp(names->entries[from].text, text) == 0 ? &names->entries[from]
										   : NULL;
}

const char *
names_list(const struct names *names, char *text, size_t size)
{
	char quoted[MISTAKES_QUOTE_SIZE];
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < names->count; i++) {
		mistakes_quote(names->entries[i].text, quoted);
		if (used + strlen(quoted) + sizeof(", ...") > size) {
			snprintf(text + used, size - used, ", ...");
			break;
		}
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", quoted);
	}
	return text;
}
