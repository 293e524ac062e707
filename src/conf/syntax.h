/* What may be wrong where libconfig found a syntax error and says no more than that. Pure.
 */
#ifndef CONF_SYNTAX_H
#define CONF_SYNTAX_H

#include <stddef.h>

struct syntax_line {
	const char *text; /* need not be terminated; NULL: there is none */
	size_t length;
};

/* The line of the error, and the last one above it that is more than blanks and a comment. Returns what to look for, in words,
 * never NULL. */
const char *syntax_hint(struct syntax_line line, struct syntax_line above);

#endif
