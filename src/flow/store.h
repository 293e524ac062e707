/* What was sampled and is not yet acknowledged, per device and in order. The only queue of telemetry that there is.
 *
 * A row is all that one device reported with one timestamp, already in the form that goes on the wire, so that a row means
 * the same after a restart with another configuration. A row is `sent` while a batch with it waits for its PUBACK, and
 * forgotten when that arrives; when the session is lost, what was sent and not acknowledged is due again, in order.
 *
 * A gateway without a battery for its clock starts in the past. What it samples before the clock is set has a time since
 * the boot (CLOCK_BOOTTIME) instead of since 1970; such a row waits, in memory or on disk, until store_date() says when the
 * boot was. If the machine is booted before that, nobody will ever know: the row is dropped and counted.
 *
 * Memory is bounded: beyond the bound rows that are on disk leave memory, and are read back when their turn comes. Without a
 * disk the oldest rows of the device that holds most are dropped and counted, so that one chatty device cannot evict the
 * others; the newest with drop = "newest".
 *
 * The disk (store_attach) gets what is not acknowledged for flush_after_ms, in one transaction, from a thread of its own: no
 * call here waits for it, but for store_close(). When it fails, memory goes on alone and the disk is tried again.
 * Owned by the cloud's thread.
 */
#ifndef FLOW_STORE_H
#define FLOW_STORE_H

#include "model/difference.h"
#include "model/health.h"
#include "model/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

struct store_row {
	uint64_t seq;    /* rising per device, without a gap while rows are appended in one run; > 0, never reused */
	int64_t ts_unix_ms; /* of every row that store_next() gives */
	unsigned values; /* data points in the row, as ThingsBoard counts them */
	const char *members; /* `"a":1,"b":true`: the inside of "values", not terminated; until the next call for the device */
	size_t length;
};

struct store_counts {
	uint64_t rows;           /* held now, in memory or on disk */
	uint64_t unsaved_rows;   /* of these, not on disk */
	uint64_t bytes;          /* memory that they take */
	uint64_t dropped_rows;   /* since the start, for want of room */
	uint64_t dropped_values;
	uint64_t aged_rows;    /* dropped because of max_age_h, or of devices that are not configured */
	uint64_t lost_rows;    /* that were on disk only and cannot be read */
	uint64_t undated_rows; /* dropped because they are of an earlier boot, before the clock was set */
	uint64_t damaged_rows; /* found on disk with a wrong checksum */
};

/* A store for `device_count` devices that takes at most `max_bytes`. Returns NULL when there is no memory. */
struct store *store_new(size_t device_count, size_t max_bytes);
void store_free(struct store *store);

/* Keep rows in settings->store.dir too, and take up what is there. Before anything is appended; the settings have the devices
 * that the store was made for, and outlive it. Returns 0; -EBUSY if another process uses the folder; -ENOMEM or another errno
 * if there cannot be a thread. Whatever is wrong with the disk is no error here. */
int store_attach(struct store *store, const struct settings *settings);

/* Readable when the disk has done something: call store_tick() then, when store_due_mono_ms() has come, and whenever rows were
 * appended, sent or confirmed. -1 without a disk. */
int store_fd(const struct store *store);
int64_t store_due_mono_ms(const struct store *store);
void store_tick(struct store *store);

/* Is the disk at work? */
bool store_busy(const struct store *store);

/* Other settings are to come. From here on the disk ends what it does, takes what it lacks of devices that are not the same in
 * them, and begins nothing else, until store_rebind() or store_release(). */
void store_hold(struct store *store, const struct difference *difference);
bool store_is_held(const struct store *store); /* has it come to that? */
void store_release(struct store *store);

/* The settings are those that it was held for, or any if it has no disk; its folder stays the same. Devices that are the same
 * keep their rows. Rows of others stay on disk, and are found there should their device come back; what is in memory only is
 * dropped and counted. Returns 0; -ENOMEM, and nothing has changed. */
int store_rebind(struct store *store, const struct difference *difference);

/* A device for which store_next() may give a row that it did not give before, each once. Returns false when there is none. */
bool store_ready(struct store *store, size_t *ret_device);

/* Write what is not on disk and wait for it, at most so long. Rows that then are unsaved are lost with the store. */
void store_close(struct store *store, int timeout_ms);

/* What a time counts from. */
enum store_epoch {
	STORE_UNIX,
	STORE_BOOT, /* this boot of the machine */
};

/* Append a row to the device's queue. Returns 0, also when it is the one that is dropped; -EMSGSIZE for a row that cannot be
 * held; -ENOMEM. */
int store_append(struct store *store, size_t device, int64_t ts_ms, enum store_epoch epoch, unsigned values,
    const char *members, size_t length);

/* The boot was at `boot_unix_ms`: every row that has a time since this boot gets its time since 1970. */
void store_date(struct store *store, int64_t boot_unix_ms);

/* The oldest row of the device with seq > `after_seq` that is not sent, for building a batch row by row without marking it.
 * One whose time is not known yet, and what comes after it, has to wait. Returns 0 or -ENOENT. */
int store_next(struct store *store, size_t device, uint64_t after_seq, struct store_row *ret);

/* The oldest row of the device in first_seq..last_seq that is not sent. Returns 0; -EAGAIN when such rows may be on disk only, which
 * have their turn later; -ENOENT when there is none. */
int store_find(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq, struct store_row *ret);

/* The rows first_seq..last_seq are in a batch now. */
void store_sent(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq);

/* They were acknowledged: forget them. Batches may be acknowledged in any order. */
void store_confirm(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq);

/* They were not taken: they are due again. */
void store_unsend(struct store *store, size_t device, uint64_t first_seq, uint64_t last_seq);

/* The session is lost: every sent row is due again. */
void store_rewind(struct store *store, size_t device);

/* A session is up: what comes from now on is live. */
void store_begin(struct store *store, size_t device);

/* Rows held for one device, sent or not. */
size_t store_depth(const struct store *store, size_t device);

/* The time of the oldest of them; 0 if there is none, or its time is not known. */
int64_t store_oldest(const struct store *store, size_t device);

struct store_counts store_counts(const struct store *store);

/* The counts and how it is with the disk. */
void store_health(const struct store *store, struct health_store *ret);

#endif
