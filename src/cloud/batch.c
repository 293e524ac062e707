#include "cloud/batch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static size_t
put_row(char *out, const struct store_row *row)
{
	size_t used = (size_t)sprintf(out, "{\"ts\":%" PRId64 ",\"values\":{", row->ts_unix_ms);

	memcpy(out + used, row->members, row->length);
	memcpy(out + used + row->length, "}}", 2);
	return used + row->length + 2;
}

int
batch_build(struct store *store, size_t device, char *payload, size_t size, size_t limit, struct batch *ret)
{
	struct batch batch = { .length = 1 };
	struct store_row row;
	uint64_t after = 0;

	while (store_next(store, device, after, &row) == 0) {
		size_t need = batch.length + row.length + BATCH_ROW_OVERHEAD;

		if (need > (batch.rows == 0 ? size : limit < size ? limit : size))
			break;
		if (batch.rows > 0)
			payload[batch.length++] = ',';
		batch.length += put_row(payload + batch.length, &row);
		batch.rows++;
		batch.first_seq = batch.first_seq ? batch.first_seq : row.seq;
		batch.last_seq = after = row.seq;
	}
	if (batch.rows == 0) {
		if (store_next(store, device, 0, &row) < 0)
			return -ENOENT;
		*ret = (struct batch){ .first_seq = row.seq, .last_seq = row.seq };
		return -EMSGSIZE;
	}
	if (batch.rows == 1) {
		/* One row needs no array around it. */
		memmove(payload, payload + 1, --batch.length);
	} else {
		payload[0] = '[';
		payload[batch.length++] = ']';
	}
	*ret = batch;
	return 0;
}
