#include "cloud/outlive.h"

#include <assert.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local jmp_buf *way_out;

/* In place of the C library's, for all of the process. */
void
__assert_fail(const char *assertion, const char *file, unsigned line, const char *function) /* NOLINT: not our name */
{
	static const char name[] = "logging_mosq.c";
	size_t length = strlen(file);

	if (way_out && length >= sizeof(name) - 1 && strcmp(file + length - (sizeof(name) - 1), name) == 0)
		longjmp(*way_out, 1);
	fprintf(stderr, "%s:%u: %s: Assertion `%s' failed.\n", file, line, function, assertion);
	abort();
}

int
outlive(int (*call)(void *ctx), void *ctx, int otherwise)
{
	jmp_buf here;
	int result;

	if (setjmp(here) != 0) {
		way_out = NULL;
		return otherwise;
	}
	way_out = &here;
	result = call(ctx);
	way_out = NULL;
	return result;
}
