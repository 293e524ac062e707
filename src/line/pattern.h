/* Regular expressions: PCRE2 with limits, so that none takes long or much memory whatever comes. Bytes are bytes: no UTF mode, so
 * that noise on a line is no error. A pattern may be used by one thread at a time. */
#ifndef LINE_PATTERN_H
#define LINE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_CHARACTERS 1024 /* of the longest pattern */
#define PATTERN_TEXT_MAX   160

struct pattern;

/* Returns 0; -ENOMEM; -EINVAL with what is wrong and where in `wrong`, of PATTERN_TEXT_MAX bytes (NULL if nobody wants it). */
int pattern_new(const char *text, struct pattern **ret, char *wrong);
void pattern_free(struct pattern *pattern);

/* Is it somewhere in the bytes? Returns 1; 0; -ELOOP if it needs more steps than are allowed, and so never says. */
int pattern_match(struct pattern *pattern, const uint8_t *bytes, size_t length);

/* The number of the group with a name; -1 if there is none. The group 0 is all that matched. */
int pattern_group(const struct pattern *pattern, const char *name);
int pattern_groups(const struct pattern *pattern); /* how many, without group 0 */

/* What a group took in the last match that returned 1. Returns false if it took no part in it. */
bool pattern_taken(const struct pattern *pattern, int group, size_t *ret_from, size_t *ret_to);

#endif
