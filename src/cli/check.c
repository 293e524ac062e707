/* fieldgate check: says everything that is wrong with a configuration, and does nothing else. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/secrets.h"
#include "field/plan.h"

/* Returns -1 to go on, or the exit status. */
static int
read_arguments(int argc, char **argv, const char **ret_path)
{
	const struct option_table table = {
		.command = "check",
		.about = "Say everything that is wrong with a configuration, a line for each mistake.",
		.rows = { CLI_CONFIG_ROW(ret_path) },
		.epilogue = "The exit status is 0 if the configuration is right, 1 if it is not, 2 for a wrong command line.",
	};

	return options_read(&table, argc, argv);
}

/* Requests per second on all buses. Returns 0 or -ENOMEM. */
static int
sum_rates(const struct settings *settings, double *ret)
{
	double sum = 0;

	for (size_t i = 0; i < settings->bus_count; i++) {
		struct plan plan;
		int error = plan_build(settings, &settings->buses[i], &plan);

		if (error < 0)
			return error;
		sum += plan_rate(&plan);
		plan_done(&plan);
	}
	*ret = sum;
	return 0;
}

static int
print_summary(const struct settings *settings)
{
	char figures[CLI_FIGURES_MAX];
	double rate;
	int error = sum_rates(settings, &rate);

	if (error < 0)
		return error;
	printf("OK: %s, %.1f requests/s\n", cli_figures(settings, figures), rate);
	if (settings->example.file)
		printf("%s:%u: this is an example: delete this line for \"fieldgate run\" to read and send\n",
		    settings->example.file, settings->example.line);
	return 0;
}

/* It may be right: registers with such addresses exist. One a device is enough to think of. */
static void
note_addresses(const struct settings *settings)
{
	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];

		for (size_t k = 0; k < device->point_count; k++) {
			const struct point *point = &device->points[k];
			int meant = point->bus && !point->line ? point_addr_of_manual(point->table, point->addr) : -1;

			if (meant < 0)
				continue;
			printf("%s:%u: note: addr counts from 0 in each table: if %d is the number in a manual, write addr = %d\n",
			    point->source.file, point->source.line, point->addr, meant);
			break;
		}
	}
}

int
check_main(int argc, char **argv)
{
	const char *path = CLI_DEFAULT_CONFIG;
	struct settings *settings = NULL;
	int status = read_arguments(argc, argv, &path);
	int error;

	if (status >= 0)
		return status;
	error = cli_load(path, &settings);
	if (!error) {
		secrets_warn(settings);
		error = secrets_judge(settings);
		if (error == 0)
			error = print_summary(settings);
		if (error == 0)
			note_addresses(settings);
	}
	if (error < 0 && error != -EINVAL)
		fprintf(stderr, "%s: %s\n", path, strerror(-error));
	settings_free(settings);
	return error < 0 ? CLI_WRONG : CLI_OK;
}
