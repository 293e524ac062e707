#include "bench/limiter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int
limiter_init(struct limiter *limiter, const char *text, int64_t now_mono_ms)
{
	struct limiter made = { .last_mono_ms = now_mono_ms };
	const char *at = text;

	if (strlen(text) >= sizeof(made.text))
		return -EINVAL;
	strcpy(made.text, text);
	while (*at) {
		unsigned capacity, seconds;
		int used = 0;

		if (made.count == LIMITER_BUCKETS || sscanf(at, "%u:%u%n", &capacity, &seconds, &used) != 2 ||
		    seconds == 0)
			return -EINVAL;
		made.buckets[made.count].capacity = capacity;
		made.buckets[made.count].tokens = capacity;
		made.buckets[made.count].per_ms = capacity / (seconds * 1000.0);
		made.count++;
		at += used;
		if (*at && *at++ != ',')
			return -EINVAL;
	}
	*limiter = made;
	return 0;
}

static void
limiter_refill(struct limiter *limiter, int64_t now_mono_ms)
{
	double elapsed_ms = (double)(now_mono_ms - limiter->last_mono_ms);

	for (size_t i = 0; i < limiter->count; i++) {
		limiter->buckets[i].tokens += elapsed_ms * limiter->buckets[i].per_ms;
		if (limiter->buckets[i].tokens > limiter->buckets[i].capacity)
			limiter->buckets[i].tokens = limiter->buckets[i].capacity;
	}
	limiter->last_mono_ms = now_mono_ms;
}

bool
limiter_take(struct limiter *limiter, double tokens, int64_t now_mono_ms)
{
	if (limiter->count == 0)
		return true;
	limiter_refill(limiter, now_mono_ms);
	for (size_t i = 0; i < limiter->count; i++)
		if (limiter->buckets[i].tokens < tokens)
			return false;
	for (size_t i = 0; i < limiter->count; i++)
		limiter->buckets[i].tokens -= tokens;
	return true;
}
