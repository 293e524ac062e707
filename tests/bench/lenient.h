/* JSON as ThingsBoard reads it: Gson's lenient parser, which takes much more than JSON.
 *
 * Unquoted and single-quoted names and strings, comments, `;` for `,` and `=` for `:`; words that are neither
 * a number nor a keyword become strings; of equal names the last wins. The result is a json-c tree in which
 * every number is a json_type_double carrying its literal text (lenient_literal()). Pure, any thread.
 * Difference: nesting deeper than LENIENT_DEPTH is refused here, Gson 2.10 has no bound.
 */
#ifndef BENCH_LENIENT_H
#define BENCH_LENIENT_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#define LENIENT_DEPTH 500

/* Read the whole text as one value. Text must be clean UTF-8 (utf8_clean()). *ret may be NULL: that is a
 * null, or an empty text. The caller owns *ret. Returns 0 or -EBADMSG. */
int lenient_parse(const char *text, struct json_object **ret);

/* The digits of a number as they were written, NULL for anything else. Lives as long as `value`. */
const char *lenient_literal(struct json_object *value);

/* A terminated copy in which everything that is not UTF-8, and NUL, is U+FFFD. The caller frees it. */
char *utf8_clean(const uint8_t *data, size_t length);

#endif
