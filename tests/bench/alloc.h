/* Memory for a test tool: every call returns memory or ends the program.
 *
 * A bench that runs out of memory can only spoil a test, so there is nothing to hand back to the caller. Any
 * thread.
 */
#ifndef BENCH_ALLOC_H
#define BENCH_ALLOC_H

#include <stddef.h>

void *alloc_zeroed(size_t count, size_t size);
void *alloc_resize(void *old, size_t count, size_t size);
char *alloc_string(const char *text);
char *alloc_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
