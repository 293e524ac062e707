#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/alloc.h"

static void *
alloc_check(void *memory)
{
	if (!memory) {
		fputs("tbbench: out of memory\n", stderr);
		abort();
	}
	return memory;
}

void *
alloc_zeroed(size_t count, size_t size)
{
	return alloc_check(calloc(count ? count : 1, size));
}

void *
alloc_resize(void *old, size_t count, size_t size)
{
	return alloc_check(reallocarray(old, count ? count : 1, size));
}

char *
alloc_string(const char *text)
{
	return text ? alloc_check(strdup(text)) : NULL;
}

char *
alloc_format(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	return alloc_check(length < 0 ? NULL : text);
}
