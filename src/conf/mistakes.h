/* Everything that is wrong with a configuration, one line each: "file:line: path: what is wrong, what is
 * allowed". The one place that knows how a mistake is printed. Values of secret settings are never passed
 * here.
 */
#ifndef CONF_MISTAKES_H
#define CONF_MISTAKES_H

#include <stdbool.h>
#include <stddef.h>

#define MISTAKES_MAX_SHOWN 1000 /* the others are only counted */

struct config_setting_t;
struct document;

struct mistake {
	size_t flat;	 /* line of the document, 0 = the file as a whole */
	size_t sequence; /* order of discovery, within one line */
	char *text;
};

struct mistakes {
	const struct document *document;
	struct mistake *list;
	size_t count;
	size_t capacity;
	size_t uncounted; /* more than were kept */
	bool no_memory;
};

void mistakes_init(struct mistakes *mistakes, const struct document *document);
void mistakes_done(struct mistakes *mistakes);

/* Something is wrong with `name` of the group `setting`: the line is that of the member, or of the group if
 * it is not there. Without `name`, with `setting` itself. */
void mistakes_add(struct mistakes *mistakes, const struct config_setting_t *setting, const char *name,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Something is wrong with a line, whatever setting it holds. */
void mistakes_add_line(struct mistakes *mistakes, size_t flat, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Something is wrong with a file. */
void mistakes_add_file(struct mistakes *mistakes, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool mistakes_any(const struct mistakes *mistakes);

/* Hand over the lines in the order of the document, with "and N more" if there are too many. Returns 0 or
 * -ENOMEM. */
int mistakes_take(struct mistakes *mistakes, char ***ret_lines, size_t *ret_count);

/* A text as a message shows it: in quotes, cut when long, without control characters. Returns `shown`. */
#define MISTAKES_QUOTE_SIZE 72
const char *mistakes_quote(const char *text, char shown[MISTAKES_QUOTE_SIZE]);

/* ", also line 12", or with the file's name when it is another one than that of `here`. */
#define MISTAKES_ALSO_SIZE 4200
const char *mistakes_also(const struct mistakes *mistakes, const struct config_setting_t *here,
    const struct config_setting_t *there, char also[MISTAKES_ALSO_SIZE]);

#endif
