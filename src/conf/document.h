/* The text of a configuration with its includes put in place, ready for libconfig, and where each of its
 * lines came from.
 *
 * libconfig 1.5 reads hexadecimal integers beyond 32 bits as other numbers without a word, cuts integers
 * beyond 64 bits to the largest, looks for included files in one folder only, and refuses a comment on a last
 * line without newline. So the text passes through here first: integers get the suffix that keeps them whole,
 * an included file is looked for beside the one that includes it, and every line, file and comment ends. A
 * comma before a closing bracket is forgiven.
 *
 * A "flat" line counts from 1 in the text as put together: it orders lines of several files as they are read.
 */
#ifndef CONF_DOCUMENT_H
#define CONF_DOCUMENT_H

#include "conf/syntax.h"

#include <stdbool.h>
#include <stddef.h>

/* More is no configuration: libconfig needs 16 times the memory, compares each name of a group with all
 * before it, and calls itself for each level. */
#define DOCUMENT_MAX_BYTES    ((size_t)16 << 20) /* all files together */
#define DOCUMENT_MAX_LEVELS   32		 /* brackets within brackets; gateway.conf has 7 */
#define DOCUMENT_MAX_SETTINGS 1000		 /* in one group */
#define DOCUMENT_MAX_DEPTH    10		 /* includes within includes, as libconfig has it */

struct document_place {
	size_t file; /* in document->files */
	unsigned line;
};

struct document {
	char *text; /* terminated; NULL when empty */
	size_t length;
	size_t capacity;
	struct document_place *places; /* of flat line N at N - 1 */
	size_t place_count;
	size_t place_capacity;
	char **files; /* names as the user or the include gave them; one may stand here more than once */
	size_t file_count;
	char *comma;	/* in `text`: the last thing that is neither blank nor comment, if it is a comma */
	unsigned level; /* brackets that are open */
	unsigned settings[DOCUMENT_MAX_LEVELS]; /* in each of them so far */
};

struct mistakes;

void document_init(struct document *document);
void document_done(struct document *document);

/* Read `path` and what it includes. Returns 0; -EINVAL with what is wrong added to `mistakes`; -ENOMEM. */
int document_read(struct document *document, const char *path, struct mistakes *mistakes);

/* The same from memory, where @include is refused. */
int document_take(
    struct document *document, const char *name, const char *text, size_t length, struct mistakes *mistakes);

/* Where a flat line came from; beyond the end: the last line. */
size_t document_file_at(const struct document *document, size_t flat); /* in document->files */
const char *document_file(const struct document *document, size_t flat);
unsigned document_line(const struct document *document, size_t flat);

/* A flat line as libconfig reads it, or the last one above it that is more than blanks and a comment, within 50 lines. */
struct syntax_line document_text(const struct document *document, size_t flat);
struct syntax_line document_text_above(const struct document *document, size_t flat);

/* The setting that is given twice in one group, the second time on the flat line `flat`: its name, the
 * caller's to free, and where it stood first. NULL if there is none, or no memory. */
char *document_duplicate(const struct document *document, size_t flat, size_t *ret_first);

#endif
