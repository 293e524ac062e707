#include "cli/cli.h"

#include <stdio.h>

#include "conf/conf.h"

static const char *
plural(size_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}

const char *
cli_figures(const struct settings *settings, char *text)
{
	size_t devices = settings->device_count - (settings->gateway != NULL);
	size_t points = settings->point_count - (settings->gateway ? settings->gateway->point_count : 0);

	snprintf(text, CLI_FIGURES_MAX, "%zu %s, %zu %s, %zu %s", settings->bus_count,
	    plural(settings->bus_count, "bus", "buses"), devices, plural(devices, "device", "devices"), points,
	    plural(points, "point", "points"));
	return text;
}

int
cli_load(const char *path, struct settings **ret)
{
	struct conf_report report;
	int error = conf_load(path, ret, &report);

	for (size_t i = 0; i < report.count; i++)
		fprintf(stderr, "%s\n", report.lines[i]);
	conf_report_done(&report);
	return error;
}
