/* What the server does not take, kept for a person to see: lines of JSON in a file of the state folder, bounded by throwing the
 * older half away. It is rare, so each line opens the file and nothing is synced. The cloud's thread.
 */
#ifndef CLOUD_ASIDE_H
#define CLOUD_ASIDE_H

#include <stddef.h>
#include <stdint.h>

#define ASIDE_FILE "refused.jsonl" /* and .old */
#define ASIDE_MAX  (512 << 10)	   /* bytes of each of both */

/* One value that was set aside.
 * dir	    of the state; NULL: nothing is kept
 * members  `"key":value`, as the server was to get it
 * Returns 0 or negative errno. */
struct aside {
	const char *dir;
	const char *device;
	int64_t ts_unix_ms; /* 0 for an attribute, which has none */
	const char *members;
	size_t length;
	const char *why;
	int64_t now_unix_ms;
};
int aside_write(const struct aside *aside);

#endif
