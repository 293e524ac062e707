#include "cloud/limits.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cloud/tb_json.h"

#define MINUTE_MS 60000

static const char *const names[LIMITS_KINDS] = {
	[LIMITS_MESSAGES] = "messages",
	[LIMITS_TELEMETRY_MESSAGES] = "telemetryMessages",
	[LIMITS_DATA_POINTS] = "telemetryDataPoints",
};

/* A bucket of one token must stay one. */
static struct bucket
make_bucket(double capacity, double seconds)
{
	double ours = floor(capacity * LIMITS_SHARE);

	return (struct bucket){
		.capacity = ours < 1 ? 1 : ours,
		.tokens = ours < 1 ? 1 : ours,
		.per_ms = capacity * LIMITS_SHARE / (seconds * 1000),
	};
}

/* What cannot be understood counts as no limit. Returns whether it is another one than before. */
static bool
rate_set(struct rate *rate, const char *text)
{
	struct rate made = { .count = 0 };

	if (strcmp(rate->text, text) == 0 || strlen(text) >= sizeof(made.text))
		return false;
	strcpy(made.text, text);
	while (made.count < LIMITS_BUCKETS) {
		unsigned capacity, seconds;
		int used = 0;

		if (sscanf(text, "%9u:%9u%n", &capacity, &seconds, &used) != 2 || capacity == 0 || seconds == 0)
			break;
		made.buckets[made.count++] = make_bucket(capacity, seconds);
		text += used;
		if (*text++ != ',')
			break;
	}
	*rate = made;
	return true;
}

static void
refill(struct limits *limits, int64_t now_mono_ms)
{
	double elapsed_ms = (double)(now_mono_ms - limits->filled_mono_ms);

	limits->filled_mono_ms = now_mono_ms;
	for (size_t kind = 0; kind < LIMITS_KINDS; kind++)
		for (size_t i = 0; i < limits->rates[kind].count; i++) {
			struct bucket *bucket = &limits->rates[kind].buckets[i];

			bucket->tokens += elapsed_ms * bucket->per_ms;
			if (bucket->tokens > bucket->capacity)
				bucket->tokens = bucket->capacity;
		}
}

static int
positive(const struct tb_json *answer, const char *key)
{
	struct value value;

	if (tb_json_scalar(tb_json_get(answer, key), &value) < 0)
		return 0;
	if (value.kind == VALUE_INT && value.integer > 0 && value.integer < INT_MAX)
		return (int)value.integer;
	value_done(&value);
	return 0;
}

static void
rate_spend(struct rate *rate, double tokens)
{
	for (size_t i = 0; i < rate->count; i++)
		rate->buckets[i].tokens -= tokens;
}

/* The server's bucket never holds less than nothing. */
static void
rate_lose(struct rate *rate, double tokens)
{
	for (size_t i = 0; i < rate->count; i++)
		rate->buckets[i].tokens = fmax(rate->buckets[i].tokens - tokens, fmin(rate->buckets[i].tokens, 0));
}

void
limits_begin(struct limits *limits)
{
	limits->messages = 0;
}

int
limits_hear(
    struct limits *limits, enum limits_whose whose, const void *payload, size_t length, int64_t now_mono_ms)
{
	struct tb_json *answer = tb_json_parse(payload, length);
	const struct tb_json *own = answer ? tb_json_get(answer, "rateLimits") : NULL;
	const struct tb_json *devices = answer ? tb_json_get(answer, "gatewayRateLimits") : NULL;
	const struct tb_json *rates = whose == LIMITS_OF_ITS_DEVICES && devices ? devices : own;
	int in_flight = answer ? positive(answer, "maxInflightMessages") : 0;
	int packet = answer ? positive(answer, "maxPayloadSize") : 0;

	if (!rates && in_flight == 0 && packet == 0) {
		tb_json_free(answer);
		return -EINVAL;
	}
	refill(limits, now_mono_ms);
	for (size_t kind = 0; kind < LIMITS_KINDS; kind++) {
		const struct tb_json *rate = rates ? tb_json_get(rates, names[kind]) : NULL;
		const char *text = rate ? tb_json_text(rate) : NULL;

		if (rate_set(&limits->rates[kind], text ? text : "") && kind == LIMITS_MESSAGES)
			rate_lose(&limits->rates[kind], limits->messages);
	}
	limits->in_flight_max = in_flight * LIMITS_SHARE < 1 && in_flight > 0 ? 1 : (int)(in_flight * LIMITS_SHARE);
	limits->packet_max = (size_t)packet;
	tb_json_free(answer);
	return 0;
}

unsigned
limits_points_max(const struct limits *limits)
{
	const struct rate *rate = &limits->rates[LIMITS_DATA_POINTS];
	double least = LIMITS_NONE;

	for (size_t i = 0; i < rate->count; i++)
		if (rate->buckets[i].capacity < least)
			least = rate->buckets[i].capacity;
	return (unsigned)least;
}

static double
least_tokens(const struct rate *rate)
{
	double least = LIMITS_NONE;

	for (size_t i = 0; i < rate->count; i++)
		if (rate->buckets[i].tokens < least)
			least = rate->buckets[i].tokens;
	return least;
}

unsigned
limits_room(struct limits *limits, int64_t now_mono_ms)
{
	double points;

	refill(limits, now_mono_ms);
	points = least_tokens(&limits->rates[LIMITS_DATA_POINTS]);
	if (points < 1 || least_tokens(&limits->rates[LIMITS_TELEMETRY_MESSAGES]) < 1)
		return 0;
	return (unsigned)points;
}

/* Milliseconds until all buckets have so many tokens. */
static double
rate_wait_ms(const struct rate *rate, double tokens)
{
	double longest = 0;

	for (size_t i = 0; i < rate->count; i++) {
		const struct bucket *bucket = &rate->buckets[i];
		double wait_ms = (tokens - bucket->tokens) / bucket->per_ms;

		if (wait_ms > longest)
			longest = wait_ms;
	}
	return longest;
}

int64_t
limits_due_mono_ms(struct limits *limits, unsigned points, int64_t now_mono_ms)
{
	double wait_ms;

	refill(limits, now_mono_ms);
	if (points == 0) {
		wait_ms = rate_wait_ms(&limits->rates[LIMITS_MESSAGES], 1);
	} else {
		unsigned max = limits_points_max(limits);
		double messages_ms = rate_wait_ms(&limits->rates[LIMITS_TELEMETRY_MESSAGES], 1);

		wait_ms = rate_wait_ms(&limits->rates[LIMITS_DATA_POINTS], points < max ? points : max);
		wait_ms = wait_ms > messages_ms ? wait_ms : messages_ms;
	}
	return now_mono_ms + (int64_t)ceil(wait_ms);
}

void
limits_spend(struct limits *limits, unsigned points, int64_t now_mono_ms)
{
	refill(limits, now_mono_ms);
	if (points == 0) {
		limits->messages++;
		rate_spend(&limits->rates[LIMITS_MESSAGES], 1);
		return;
	}
	rate_spend(&limits->rates[LIMITS_TELEMETRY_MESSAGES], 1);
	rate_spend(&limits->rates[LIMITS_DATA_POINTS], points);
}

void
limits_lose(struct limits *limits, int64_t now_mono_ms)
{
	refill(limits, now_mono_ms);
	limits->messages++;
	if (least_tokens(&limits->rates[LIMITS_MESSAGES]) >= 1)
		rate_lose(&limits->rates[LIMITS_MESSAGES], 1);
}

void
limits_drain(struct limits *limits, bool all, int64_t now_mono_ms)
{
	refill(limits, now_mono_ms);
	for (size_t kind = 0; kind < LIMITS_KINDS; kind++)
		for (size_t i = 0; i < limits->rates[kind].count; i++) {
			struct bucket *bucket = &limits->rates[kind].buckets[i];

			if ((all || bucket->capacity <= bucket->per_ms * MINUTE_MS) && bucket->tokens > 0)
				bucket->tokens = 0;
		}
}
