#include "cli/cli.h"

#include <stdio.h>

static const char *
plural(size_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}

const char *
cli_figures(const struct settings *settings, char *text)
{
	snprintf(text, CLI_FIGURES_MAX, "%zu %s, %zu %s, %zu %s", settings->bus_count,
	    plural(settings->bus_count, "bus", "buses"), settings->device_count,
	    plural(settings->device_count, "device", "devices"), settings->point_count,
	    plural(settings->point_count, "point", "points"));
	return text;
}
