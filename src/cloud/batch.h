/* Rows of the store -> one telemetry payload. Pure but for the store that it reads; the cloud's thread. */
#ifndef CLOUD_BATCH_H
#define CLOUD_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "flow/store.h"

/* What a row costs in a payload besides its members: {"ts":-9223372036854775808,"values":{}} and a comma. */
#define BATCH_ROW_OVERHEAD 48

struct batch {
	uint64_t first_seq;
	uint64_t last_seq;
	size_t rows;
	size_t length; /* of the payload */
};

/* Put the device's rows that are due, oldest first, into `payload`: as many as fit into `limit` bytes, but at
 * least one if it fits into `size`. Nothing is marked as sent. Returns 0; -ENOENT when nothing is due;
 * -EMSGSIZE when the oldest row does not fit, which is then the one in `ret`. */
int batch_build(
    struct store *store, size_t device, char *payload, size_t size, size_t limit, struct batch *ret);

#endif
