/* An index of texts that must be unique among themselves and are looked up: names of buses and devices, keys of points.
 * The texts and settings stay their owner's and must outlive it. One thread.
 */
#ifndef CONF_NAMES_H
#define CONF_NAMES_H

#include <stddef.h>

struct config_setting_t;
struct mistakes;

struct name {
	const char *text;
	const struct config_setting_t *setting; /* whose text it is */
	size_t at;				/* where that is in its list */
};

struct names {
	struct name *entries; /* by text, then by place in the file, once sorted */
	size_t count;
};

/* Room for that many. Returns 0 or -ENOMEM, after which there is nothing in it. */
int names_init(struct names *names, size_t most);

void names_done(struct names *names);

void names_add(struct names *names, const char *text, const struct config_setting_t *setting, size_t at);

/* To be called before anything is looked up. */
void names_sort(struct names *names);

/* Sort, and report each text that was there before.
 * name  of the setting in its group; NULL: the group is itself the setting
 * what  the text is: "the name" */
void names_close(struct names *names, struct mistakes *mistakes, const char *name, const char *what);

/* The first of that text, or NULL. */
const struct name *names_find(const struct names *names, const char *text);

/* "plc", "meters", ... for a message about a name that is none. Writes at most `size` bytes; returns `text`. */
const char *names_list(const struct names *names, char *text, size_t size);

#endif
