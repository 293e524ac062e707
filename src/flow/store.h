/* What was sampled and is not yet acknowledged, per device and in order. The only queue of telemetry that there is.
 *
 * A row is all that one device reported with one timestamp, already in the form that goes on the wire, so that a row means
 * the same after a restart with another configuration. A row is `sent` while a batch with it waits for its PUBACK, and
 * forgotten when that arrives; when the session is lost, what was sent and not acknowledged is due again, in order.
 *
 * A gateway without a battery for its clock starts in the past. What it samples before the clock is set has a time since
 * the boot (CLOCK_BOOTTIME) instead of since 1970; such a row waits until store_date() says when the boot was.
 *
 * Memory is bounded: beyond the bound the oldest rows of the device that holds most are dropped and counted, so that one
 * chatty device cannot evict the others. Owned by the cloud's thread.
 */
#ifndef FLOW_STORE_H
#define FLOW_STORE_H

#include <stddef.h>
#include <stdint.h>

struct store;

struct store_row {
	uint64_t seq;    /* 1, 2, 3... per device, never reused */
	int64_t ts_unix_ms; /* of every row that store_next() gives */
	unsigned values; /* data points in the row, as ThingsBoard counts them */
	const char *members; /* `"a":1,"b":true`: the inside of "values", not terminated; until the next call for the device */
	size_t length;
};

struct store_counts {
	uint64_t rows;           /* held now */
	uint64_t bytes;          /* memory that they take */
	uint64_t dropped_rows;   /* since the start, for want of memory */
	uint64_t dropped_values;
};

/* A store for `device_count` devices that takes at most `max_bytes`. Returns NULL when there is no memory. */
struct store *store_new(size_t device_count, size_t max_bytes);
void store_free(struct store *store);

/* What a time counts from. */
enum store_epoch {
	STORE_UNIX,
	STORE_BOOT, /* this boot of the machine */
};

/* Append a row to the device's queue. Returns 0; -EMSGSIZE for a row that cannot be held; -ENOMEM. */
int store_append(struct store *store, size_t device, int64_t ts_ms, enum store_epoch epoch, unsigned values,
    const char *members, size_t length);

/* The boot was at `boot_unix_ms`: every row that has a time since this boot gets its time since 1970, once and for good. */
void store_date(struct store *store, int64_t boot_unix_ms);

/* The oldest row of the device with seq > `after_seq` that is not sent, for building a batch row by row without marking it.
 * One whose time is not known yet, and what comes after it, has to wait. Returns 0 or -ENOENT. */
int store_next(struct store *store, size_t device, uint64_t after_seq, struct store_row *ret);

/* The rows first_seq..last_seq are in a batch now. */
void store_sent(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq);

/* They were acknowledged: forget them. Batches may be acknowledged in any order. */
void store_confirm(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq);

/* The session is lost: every sent row is due again. */
void store_rewind(struct store *store, size_t device);

/* Rows held for one device, sent or not. */
size_t store_depth(const struct store *store, size_t device);

struct store_counts store_counts(const struct store *store);

#endif
