/* What is known about the gateway (model/health.h) as one line of JSON: the one form in which it leaves the daemon. Whatever
 * else is wanted, a table or a page of metrics, is made of this by whoever reads it. No secret is in it.
 *
 * Names carry their unit. Times since something happened are seconds with decimals, moments are unix milliseconds; what never
 * happened is null. fieldgate(8) describes it.
 */
#ifndef CONTROL_REPORT_H
#define CONTROL_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "model/health.h"

enum report_detail {
	REPORT_SUMMARY, /* without buses and devices */
	REPORT_BRIEF,	/* without single points */
	REPORT_FULL,
};

/* With "ok":true and its line end. The caller frees it. Returns NULL when there is no memory. */
char *report_status(const struct health *health, enum report_detail detail, size_t *ret_length);

/* Nothing but how it went: `error` in words, NULL if well; and lines that were told, or NULL. Likewise. */
char *report_outcome(const char *error, const char *told, size_t *ret_length);

/* {"value":text}, or {"error":text} if it did not go well, as ThingsBoard's RPC is answered. Likewise, without a line end. */
char *report_reply(bool well, const char *text, size_t *ret_length);

/* "3 buses, 12 of 14 devices answering, 14 of 14 sessions connected, 85 values/s, backlog 0": for people. Written to `text`, cut if need be. */
void report_line(const struct health *health, char *text, size_t size);

#endif
