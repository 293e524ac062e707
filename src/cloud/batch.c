#include "cloud/batch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static size_t
put_row(char *out, int64_t ts_unix_ms, const char *members, size_t length)
{
	size_t used = (size_t)sprintf(out, "{\"ts\":%" PRId64 ",\"values\":{", ts_unix_ms);

	memcpy(out + used, members, length);
	memcpy(out + used + length, "}}", 2);
	return used + length + 2;
}

size_t
batch_member_end(const char *members, size_t length, size_t from)
{
	bool in_text = false;
	int depth = 0;

	for (size_t at = from; at < length; at++) {
		char c = members[at];

		if (in_text) {
			if (c == '\\')
				at++;
			else if (c == '"')
				in_text = false;
		} else if (c == '"') {
			in_text = true;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']') {
			depth--;
		} else if (c == ',' && depth == 0) {
			return at;
		}
	}
	return length;
}

static int
first_row(struct store *store, size_t device, const struct batch_plan *plan, struct store_row *ret)
{
	int error;

	if (plan->last_seq > 0)
		return store_find(store, device, plan->first_seq, plan->last_seq, ret);
	error = store_next(store, device, 0, ret);
	if (error == 0 && ret->seq >= plan->skip_first_seq && ret->seq <= plan->skip_last_seq)
		error = store_next(store, device, plan->skip_last_seq, ret);
	return error;
}

static int
next_row(struct store *store, size_t device, const struct batch_plan *plan, uint64_t after_seq, struct store_row *ret)
{
	int error;

	if (plan->last_seq > 0)
		return after_seq < plan->last_seq ? store_find(store, device, after_seq + 1, plan->last_seq, ret) : -ENOENT;
	error = store_next(store, device, after_seq, ret);
	/* A message names its rows by the first and the last. */
	if (error == 0 && ret->seq >= plan->skip_first_seq && after_seq <= plan->skip_last_seq)
		return -ENOENT;
	return error;
}

/* As many values of the row as may go in one message, from `from` on. */
static int
build_part(const struct store_row *row, const struct batch_plan *plan, size_t from, char *payload, struct batch *ret)
{
	size_t room = plan->bytes_max - BATCH_ROW_OVERHEAD;
	size_t to = from;
	size_t end = from;

	*ret = (struct batch){ .first_seq = row->seq, .last_seq = row->seq, .rows = 1, .part = true };
	while (ret->values < plan->values_max && end < row->length) {
		end = batch_member_end(row->members, row->length, to > from ? to + 1 : from);
		if (end - from > room)
			break;
		to = end;
		ret->values++;
	}
	if (to == from) {
		ret->values = 1;
		ret->part_to = end < row->length ? end + 1 : end;
		ret->part_ends = end == row->length;
		return -EMSGSIZE;
	}
	ret->part_ends = to == row->length;
	ret->part_to = ret->part_ends ? to : to + 1;
	ret->length = put_row(payload, row->ts_unix_ms, row->members + from, to - from);
	return 0;
}

int
batch_build(struct store *store, size_t device, const struct batch_plan *plan, char *payload, struct batch *ret)
{
	struct batch batch = { .length = 1 };
	struct store_row row;
	int error = first_row(store, device, plan, &row);

	if (error < 0)
		return error;
	if (row.seq == plan->part_seq || row.values > plan->values_max ||
	    row.length + BATCH_ROW_OVERHEAD > plan->bytes_max) {
		*ret = (struct batch){ .first_seq = row.seq, .last_seq = row.seq, .values = row.values };
		if (plan->whole)
			return -EMSGSIZE;
		return build_part(&row, plan, row.seq == plan->part_seq ? plan->part_from : 0, payload, ret);
	}
	batch.first_seq = row.seq;
	do {
		size_t need = batch.length + row.length + BATCH_ROW_OVERHEAD;

		if ((batch.rows > 0 && need > plan->bytes_wanted) || need > plan->bytes_max + 1 ||
		    batch.rows == plan->rows_max || row.values > plan->values_max - batch.values ||
		    row.seq == plan->part_seq)
			break;
		if (batch.rows > 0)
			payload[batch.length++] = ',';
		batch.length += put_row(payload + batch.length, row.ts_unix_ms, row.members, row.length);
		batch.rows++;
		batch.values += row.values;
		batch.last_seq = row.seq;
	} while (next_row(store, device, plan, batch.last_seq, &row) == 0);
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
