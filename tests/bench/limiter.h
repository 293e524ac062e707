/* Rate limits as ThingsBoard's tenant profile writes them: "100:1,1000:60" = 100 a second and 1000 a minute.
 *
 * Every pair is a bucket that starts full and is refilled evenly; a take must fit all of them. Pure, time is
 * passed in.
 */
#ifndef BENCH_LIMITER_H
#define BENCH_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMITER_BUCKETS 4

struct limiter {
	size_t count; /* 0 = unlimited */
	struct {
		double capacity, tokens, per_ms;
	} buckets[LIMITER_BUCKETS];
	int64_t last_mono_ms;
	char text[96]; /* as it was given: what getSessionLimits answers */
};

/* Empty text = unlimited. Returns 0 or -EINVAL. */
int limiter_init(struct limiter *limiter, const char *text, int64_t now_mono_ms);

/* Take `tokens` from every bucket, or from none and say false. */
bool limiter_take(struct limiter *limiter, double tokens, int64_t now_mono_ms);

#endif
