/* Reading and dropping: walks over rows. */
#include <errno.h>
#include <stdlib.h>

#include "flow/spool_state.h"

#define SCAN_ROWS_MAX 200000 /* in one call, so that nobody waits for it for long */
#define DROP_ROWS_MAX 50000  /* in one transaction */
#define YOUNG_ROWS_MAX                                                                                       \
	1000 /* rows are old in about the order of their ids: after so many that are not, none is */

struct scan {
	struct spool_range *ranges;
	bool newest_first;
	int64_t before_unix_ms;
	size_t limit;		 /* bytes */
	struct spool_rows *rows; /* take them along ... */
	struct spool_ids *ids;	 /* ... or note their ids */
	/* how it goes */
	size_t bytes;
	size_t open; /* ranges that want more */
	size_t steps;
	size_t young;
	uint64_t unknown_rows;
	uint64_t at; /* the row that was looked at last */
	bool all;    /* there are no more */
};

/* A time below 0 is not known yet (flow/store.c): nothing but the end of its device makes such a row old. */
static bool
is_older(const struct spool_row *row, int64_t before_unix_ms)
{
	return row->ts_unix_ms < before_unix_ms && (row->ts_unix_ms >= 0 || before_unix_ms == INT64_MAX);
}

static bool
wants_row(struct scan *scan, const struct spool_found *found)
{
	const struct spool_range *range = &scan->ranges[found->row.device];

	if (found->row.id <= range->after_id || found->row.id > range->last_id ||
	    range->bytes >= range->wanted)
		return false;
	return scan->before_unix_ms == 0 || is_older(&found->row, scan->before_unix_ms);
}

static int
take_row(struct scan *scan, const struct spool_found *found)
{
	struct spool_range *range;
	int error = scan->rows ? spool_rows_add(scan->rows, &found->row, found->members)
			       : spool_ids_add(scan->ids, found->row.id);

	if (error < 0)
		return error;
	scan->bytes += spool_row_size(found->row.length);
	if (!found->known) {
		scan->unknown_rows++;
		return 0;
	}
	range = &scan->ranges[found->row.device];
	spool_count_row(range, found);
	if (scan->before_unix_ms == 0)
		range->reached_id = found->row.id;
	if (range->bytes >= range->wanted)
		scan->open--;
	return 0;
}

static int
look_at_row(struct spool *spool, struct scan *scan, sqlite3_stmt *prepared)
{
	struct spool_found found;
	bool whole = spool_read_row(spool, prepared, &found);

	scan->at = found.row.id;
	scan->steps++;
	if (!whole) {
		spool->counts.damaged_rows++;
		return 0;
	}
	if (scan->before_unix_ms != 0)
		scan->young = is_older(&found.row, scan->before_unix_ms) ? 0 : scan->young + 1;
	if (found.known ? wants_row(scan, &found)
			: scan->before_unix_ms != 0 && is_older(&found.row, scan->before_unix_ms))
		return take_row(scan, &found);
	return 0;
}

static bool
is_enough(const struct scan *scan)
{
	return scan->steps >= SCAN_ROWS_MAX || scan->bytes >= scan->limit || scan->young >= YOUNG_ROWS_MAX ||
	       (scan->open == 0 && scan->before_unix_ms == 0) ||
	       (scan->ids && scan->ids->count >= DROP_ROWS_MAX);
}

/* A range that did not get all that it wants has been dealt with as far as the scan went. */
static void
set_reached(struct scan *scan, struct spool_range *range)
{
	if (range->wanted == 0 || range->bytes >= range->wanted)
		return;
	if (scan->newest_first)
		range->reached_id = scan->all || scan->at <= range->after_id ? range->after_id + 1
				    : scan->at > range->last_id		     ? range->last_id + 1
									     : scan->at;
	else
		range->reached_id = scan->all || scan->at >= range->last_id ? range->last_id
				    : scan->at < range->after_id	    ? range->after_id
									    : scan->at;
}

static int
run_scan(struct spool *spool, struct scan *scan)
{
	sqlite3_stmt *prepared = spool->statements[scan->newest_first ? SPOOL_NEWEST : SPOOL_OLDEST];
	size_t count = spool->settings->device_count;
	uint64_t after = scan->before_unix_ms != 0 ? 0 : INT64_MAX, last = 0;
	int code = SQLITE_ROW;
	int error;

	for (size_t i = 0; i < count; i++) {
		struct spool_range *range = &scan->ranges[i];

		range->bytes = range->rows = range->values = range->reached_id = 0;
		if (range->wanted == 0)
			continue;
		scan->open++;
		after = range->after_id < after ? range->after_id : after;
		last = range->last_id > last ? range->last_id : last;
	}
	error = spool_bind_ids(spool, prepared, after, scan->before_unix_ms != 0 ? INT64_MAX : last);
	while (error == 0 && !is_enough(scan) && (code = sqlite3_step(prepared)) == SQLITE_ROW)
		error = look_at_row(spool, scan, prepared);
	if (error == 0 && code != SQLITE_ROW && code != SQLITE_DONE)
		error = spool_failure(spool, code);
	sqlite3_reset(prepared);
	scan->all = code == SQLITE_DONE;
	for (size_t i = 0; i < count && scan->before_unix_ms == 0; i++)
		set_reached(scan, &scan->ranges[i]);
	return error;
}

int
spool_read(struct spool *spool, struct spool_range *ranges, size_t limit, struct spool_rows *rows)
{
	struct scan scan = { .ranges = ranges, .limit = limit, .rows = rows };

	rows->used = 0;
	if (!spool->db)
		return -ENOENT;
	return run_scan(spool, &scan);
}

int
spool_drop(struct spool *spool, struct spool_range *ranges, bool newest_first, int64_t before_unix_ms,
    uint64_t *ret_unknown_rows, uint64_t *ret_used_bytes)
{
	struct spool_ids ids = { .ids = NULL };
	struct scan scan = {
		.ranges = ranges,
		.newest_first = newest_first,
		.before_unix_ms = before_unix_ms,
		.limit = SIZE_MAX,
		.ids = &ids,
	};
	int error = spool->db ? run_scan(spool, &scan) : -ENOENT;

	if (error == 0)
		error = spool_write(spool, NULL, ids.ids, ids.count, ret_used_bytes);
	*ret_unknown_rows = scan.unknown_rows;
	free(ids.ids);
	return error;
}
