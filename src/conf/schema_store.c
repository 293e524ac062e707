#include "conf/schema_rows.h"

static const char *
check_folder(union setting_value value)
{
	return value.text[0] == '/' ? schema_check_printable(value)
				    : "is no absolute path, a path such as /var/lib/fieldgate is required";
}

static const char *
drop_name(int number)
{
	static const char *const names[] = { [DROP_OLDEST] = "oldest", [DROP_NEWEST] = "newest" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
replay_name(int number)
{
	static const char *const names[] = { [REPLAY_IN_ORDER] = "in_order",
		[REPLAY_LIVE_FIRST] = "live_first" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const struct setting_row store_rows[] = {
	{ .name = "memory_mb",
	    .about = "memory for samples that the server has not acknowledged",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 4096,
	    .preset = "16",
	    .unit = "MB",
	    INTO(struct store_input, store.memory_mb) },
	{ .name = "dir",
	    .about = "where samples are kept that the server does not acknowledge",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .preset_about = "what systemd says, else /var/lib/fieldgate",
	    .check = check_folder,
	    INTO(struct store_input, store.dir) },
	{ .name = "max_mb",
	    .about = "room for them",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 65536,
	    .preset = "256",
	    .unit = "MB",
	    INTO(struct store_input, store.max_mb) },
	{ .name = "max_age_h",
	    .about = "samples older than this are dropped",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 87600,
	    .preset = "168",
	    .unit = "h",
	    INTO(struct store_input, store.max_age_h) },
	{ .name = "flush_after_ms",
	    .about = "what is not acknowledged for so long is written to disk; 0: written before it is sent",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 3600000,
	    .preset = "1000",
	    .unit = "ms",
	    INTO(struct store_input, store.flush_after_ms) },
	{ .name = "drop",
	    .about = "which samples are dropped when there is no room",
	    .kind = SETTING_NAME,
	    .names = drop_name,
	    .preset = "oldest",
	    INTO(struct store_input, store.drop) },
	{ .name = "replay",
	    .about = "what goes first after an outage",
	    .kind = SETTING_NAME,
	    .names = replay_name,
	    .preset = "in_order",
	    INTO(struct store_input, store.replay) },
};

const struct setting_group schema_store = { .name = "store",
	.rows = store_rows,
	.row_count = COUNT(store_rows),
	.size = sizeof(struct store_input) };
