#include "cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* What systemd gave to the service that this configuration belongs to: it is there while that runs, and only root can look. */
static void
borrow_credentials(const char *path)
{
	static const char folder[] = CLI_CONFIG_FOLDER "/";
	char whole[PATH_MAX], credentials[PATH_MAX + 64];
	char *name = whole + strlen(folder), *end;

	if (getenv("CREDENTIALS_DIRECTORY") || !realpath(path, whole) || strncmp(whole, folder, strlen(folder)) != 0)
		return;
	end = strrchr(name, '.');
	if (strchr(name, '/') || !end || strcmp(end, ".conf") != 0)
		return;
	*end = '\0';
	snprintf(credentials, sizeof(credentials), "/run/credentials/fieldgate%s%s.service", strcmp(name, "gateway") == 0 ? "" : "@",
	    strcmp(name, "gateway") == 0 ? "" : name);
	if (access(credentials, R_OK | X_OK) == 0)
		setenv("CREDENTIALS_DIRECTORY", credentials, 0);
}

int
cli_load(const char *path, struct settings **ret)
{
	struct conf_report report;
	int error;

	borrow_credentials(path);
	error = conf_load(path, ret, &report);

	for (size_t i = 0; i < report.count; i++)
		fprintf(stderr, "%s\n", report.lines[i]);
	conf_report_done(&report);
	return error;
}
