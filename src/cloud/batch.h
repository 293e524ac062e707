/* Rows of the store -> one telemetry payload. Pure but for the store that it reads; the cloud's thread. */
#ifndef CLOUD_BATCH_H
#define CLOUD_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/store.h"

/* What a row costs in a payload besides its members: {"ts":-9223372036854775808,"values":{}} and a comma. */
#define BATCH_ROW_OVERHEAD 48

/* What a message is to hold. */
struct batch_plan {
	uint64_t first_seq, last_seq; /* only these rows; 0, 0 = any but those of the next line */
	uint64_t skip_first_seq, skip_last_seq; /* 0, 0 = none is left out */
	uint64_t part_seq;  /* of this row what is before `part_from`, in its members, has arrived; 0 = of none */
	size_t part_from;
	size_t bytes_max;   /* of the payload, > BATCH_ROW_OVERHEAD */
	size_t bytes_wanted; /* of a payload of several rows */
	size_t rows_max;    /* >= 1 */
	unsigned values_max; /* data points, >= 1 */
	bool whole;	    /* the first row must not be cut */
};

struct batch {
	uint64_t first_seq;
	uint64_t last_seq;
	size_t rows;
	unsigned values;
	size_t length; /* of the payload */
	/* One row that is not in it from its beginning to its end: */
	bool part;
	size_t part_to; /* what is before that in its members has arrived with it */
	bool part_ends; /* it is the last part */
};

/* Put rows of the device, oldest first, into `payload`, of plan->bytes_max bytes at least, as many as fit. The values of a row stay
 * together, unless the first is larger than what is allowed: then so many of its values go alone. Nothing is marked as sent.
 * Returns 0; -ENOENT when nothing is due; -EAGAIN when it comes later, from the disk; -EMSGSIZE when the first row does not fit,
 * or with `whole` false its first value: that is in `ret` then. */
int batch_build(struct store *store, size_t device, const struct batch_plan *plan, char *payload, struct batch *ret);

/* Where the member ends that begins at `from` in the inside of an object, `"a":1,"b":2`: at a comma or at `length`. */
size_t batch_member_end(const char *members, size_t length, size_t from);

#endif
