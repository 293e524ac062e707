/* fieldgate plan: what each bus is asked, how long that takes, and what is asked too much. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "field/plan.h"

#define UNITS		  256
#define TURNAROUND_MAX_MS 60000
#define TURNAROUND_RANGE  "1..60000"

struct arguments {
	const char *path;
	int turnaround_ms; /* of every unit; 0: as assumed */
};

static bool
read_turnaround(const char *text, int *ret_ms)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end == text || *end != '\0' || number < 1 || number > TURNAROUND_MAX_MS) {
		fprintf(stderr, "fieldgate plan: '%s' is no turnaround, allowed are 1..%d\n", text,
		    TURNAROUND_MAX_MS);
		return false;
	}
	*ret_ms = (int)number;
	return true;
}

/* Returns -1 to go on, or the exit status. */
static int
read_arguments(int argc, char **argv, struct arguments *ret)
{
	const char *turnaround = NULL;
	const struct option_table table = {
		.command = "plan",
		.about = "Print what each bus is asked, how long that takes and which points cannot meet their periods.",
		.rows = { CLI_CONFIG_ROW(&ret->path),
		    { .name = "turnaround-ms",
			.argument = "N",
			.about = "time from a request to its reply, " TURNAROUND_RANGE ", for all units;\n"
				 "it is assumed otherwise, and measured while fieldgate runs",
			.ret_text = &turnaround } },
		.epilogue = "The exit status is 0 if all points can meet their periods, 1 if not or if the configuration is "
			    "wrong,\n2 for a wrong command line.",
	};
	int status = options_read(&table, argc, argv);

	if (status < 0 && turnaround && !read_turnaround(turnaround, &ret->turnaround_ms))
		return CLI_USAGE;
	return status;
}

static int
make_plan(const struct settings *settings, const struct bus *bus, int turnaround_ms, struct plan *ret)
{
	struct plan_unit units[UNITS];
	struct plan_lore lore = { .units = units, .unit_count = turnaround_ms > 0 ? UNITS : 0 };

	for (int i = 0; i < UNITS; i++)
		units[i] = (struct plan_unit){ .unit = i, .turnaround_us = (int64_t)turnaround_ms * 1000 };
	return plan_remake(settings, bus, &lore, ret);
}

static double
request_ms(const struct plan_request *request)
{
	return (double)plan_request_us(request) / 1000;
}

static void
print_bus(const struct bus *bus)
{
	if (bus->type == BUS_RTU)
		printf("bus %s: %s, %d baud\n", bus->name, bus->port, bus->baud);
	else
		printf("bus %s: %s port %d\n", bus->name, bus->host, bus->tcp_port);
}

/* "Boiler: temperature, running; Pump: speed" */
static void
print_points(const struct plan_request *request)
{
	const struct device *device = NULL;

	for (size_t i = 0; i < request->item_count; i++) {
		const struct point *point = request->items[i].point;

		if (point->device == device)
			printf(", %s", point->key);
		else
			printf("%s%s: %s", device ? "; " : "", point->device->name, point->key);
		device = point->device;
	}
}

static void
print_request(const struct plan_request *request)
{
	char addresses[32];

	snprintf(addresses, sizeof(addresses), "%d..%d", request->addr, request->addr + request->count - 1);
	printf("  %4d  %-8s  %-12s  %5d  %5d  %9d  %8.1f  %6.2f  ", request->unit,
	    point_table_name(request->table), addresses, request->count, request->hole_count,
	    request->period_ms, request_ms(request), 100 * request_ms(request) / request->period_ms);
	print_points(request);
	putchar('\n');
}

/* Above a load of 1 the periods of all requests become longer by it. What comes along with a quicker request
 * may still be in time. Returns how many points are not. */
static size_t
print_late(const struct plan *plan)
{
	double load = plan_load(plan);
	size_t late = 0;

	if (load <= 1)
		return 0;
	printf("  overloaded: these points cannot meet their periods:\n");
	for (size_t i = 0; i < plan->request_count; i++) {
		const struct plan_request *request = &plan->requests[i];

		for (size_t k = 0; k < request->item_count; k++) {
			const struct point *point = request->items[k].point;

			if (request->period_ms * load <= point->period_ms)
				continue;
			printf("    %s: %s: every %.0f ms in place of %d ms\n", point->device->name,
			    point->key, request->period_ms * load, point->period_ms);
			late++;
		}
	}
	return late;
}

static const char *
plural(size_t count)
{
	return count == 1 ? "" : "s";
}

/* Returns how many points cannot meet their periods. */
static size_t
print_plan(const struct bus *bus, const struct plan *plan)
{
	print_bus(bus);
	if (plan->request_count == 0) {
		printf("  nothing is read\n");
		return 0;
	}
	printf("  unit  table     addresses     cells  holes  period ms   time ms  load %%  points\n");
	for (size_t i = 0; i < plan->request_count; i++)
		print_request(&plan->requests[i]);
	printf("  %zu request%s for %zu point%s, %.1f requests/s, %.1f %% of the bus's time\n",
	    plan->request_count, plural(plan->request_count), plan->item_count, plural(plan->item_count),
	    plan_rate(plan), 100 * plan_load(plan));
	return print_late(plan);
}

/* Returns 0 or -ENOMEM. */
static int
print_plans(const struct settings *settings, int turnaround_ms, size_t *ret_late)
{
	*ret_late = 0;
	for (size_t i = 0; i < settings->bus_count; i++) {
		struct plan plan;
		int error = make_plan(settings, &settings->buses[i], turnaround_ms, &plan);

		if (error < 0)
			return error;
		if (i > 0)
			putchar('\n');
		*ret_late += print_plan(&settings->buses[i], &plan);
		plan_done(&plan);
	}
	return 0;
}

int
plan_main(int argc, char **argv)
{
	struct arguments arguments = { .path = CLI_DEFAULT_CONFIG };
	struct settings *settings = NULL;
	size_t late = 0;
	int status = read_arguments(argc, argv, &arguments);
	int error;

	if (status >= 0)
		return status;
	error = cli_load(arguments.path, &settings);
	if (!error)
		error = print_plans(settings, arguments.turnaround_ms, &late);
	if (error < 0 && error != -EINVAL)
		fprintf(stderr, "%s: %s\n", arguments.path, strerror(-error));
	settings_free(settings);
	return error < 0 || late > 0 ? CLI_WRONG : CLI_OK;
}
