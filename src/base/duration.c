#include "base/duration.h"

#include <stdio.h>

const char *
duration_text(int64_t us, char *text, size_t size)
{
	long long s = us / 1000000;

	if (s < 1)
		snprintf(text, size, "%lld ms", (long long)us / 1000);
	else if (s < 60)
		snprintf(text, size, "%lld s", s);
	else if (s < 3600)
		snprintf(text, size, "%lld min %lld s", s / 60, s % 60);
	else
		snprintf(text, size, "%lld h %lld min", s / 3600, s / 60 % 60);
	return text;
}
