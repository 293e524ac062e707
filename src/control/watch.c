#include "control/watch.h"

#include <string.h>
#include <time.h>

#include "control/look.h"
#include "control/table.h"

#define TIME_MAX 40

/* "2026-11-25T19:21:15.123Z" */
static const char *
time_text(uint64_t unix_ms, char *text)
{
	time_t s = (time_t)(unix_ms / 1000);
	struct tm tm = { 0 };
	size_t used;

	gmtime_r(&s, &tm);
	used = strftime(text, TIME_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + used, TIME_MAX - used, ".%03dZ", (int)(unix_ms % 1000));
	return text;
}

static bool
is_new(const struct json_object *before, const struct json_object *point)
{
	return !before || look_count(before, "at") != look_count(point, "at") ||
	       strcmp(look_text(before, "quality"), look_text(point, "quality")) != 0;
}

static void
print_point(const char *device, const struct json_object *point, uint64_t now_unix_ms, FILE *out)
{
	char time[TIME_MAX], value[TABLE_VALUE_MAX];
	bool good = strcmp(look_text(point, "quality"), "good") == 0;

	/* What is no value has no time of its own. */
	time_text(good ? look_count(point, "at") : now_unix_ms, time);
	if (good)
		fprintf(out, "%s\t%s\t%s\t%s\n", time, device, look_text(point, "key"), table_value(point, value));
	else
		fprintf(out, "%s\t%s\t%s\t-\t%s\n", time, device, look_text(point, "key"), look_text(point, "quality"));
}

void
watch_print_news(const struct json_object *before, const struct json_object *status, const char *device, FILE *out)
{
	for (size_t i = 0; i < look_length(status, "devices"); i++) {
		const struct json_object *now = look_element(status, "devices", i);
		const struct json_object *then = look_element(before, "devices", i);
		const char *name = look_text(now, "name");

		if (device && strcmp(device, name) != 0)
			continue;
		if (strcmp(look_text(then, "name"), name) != 0)
			then = NULL; /* another configuration */
		for (size_t k = 0; k < look_length(now, "points"); k++) {
			const struct json_object *point = look_element(now, "points", k);

			if (is_new(look_element(then, "points", k), point))
				print_point(name, point, look_count(status, "at"), out);
		}
	}
}

bool
watch_knows(const struct json_object *status, const char *device)
{
	for (size_t i = 0; device && i < look_length(status, "devices"); i++)
		if (strcmp(look_text(look_element(status, "devices", i), "name"), device) == 0)
			return true;
	return !device;
}

void
watch_print_all(const struct json_object *status, const char *device, FILE *out)
{
	table_print_head(status, out);
	table_print_buses(status, out);
	table_print_points(status, device, out);
}
