/* modsim: Modbus units for tests, on TCP ports and on serial lines that are pseudo-terminals. See README.md.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "sim/commands.h"
#include "sim/rtu.h"
#include "sim/tcp.h"

#define STDOUT_PIPE_BYTES (1 << 20)

enum {
	OPTION_TCP = 256,
	OPTION_RTU,
	OPTION_RTU_TCP,
	OPTION_BAUD,
	OPTION_PARITY,
	OPTION_STOP,
	OPTION_UNIT,
	OPTION_LOG
};

/* One --tcp, --rtu or --rtu-tcp. */
struct plan_bus {
	enum bus_kind kind;
	unsigned port;
	const char *link;
	unsigned baud;
	bool parity;
	unsigned stop;
};

struct plan {
	struct plan_bus buses[BUSES_MAX];
	unsigned count;
	unsigned units[UNIT_ADDRESSES];
	unsigned unit_count;
	bool log;
	bool shown;
};

static const char usage[] =
    "usage: modsim [--tcp PORT]... [--rtu-tcp PORT]...\n"
    "              [--rtu LINK [--baud N] [--parity none|even|odd] [--stop 1|2]]...\n"
    "              [--unit N]... [--log requests|shown]...\n"
    "Commands come in on standard input, events and answers go out on standard output, JSON, one a line.\n";

static _Noreturn void
die_usage(void)
{
	fputs(usage, stderr);
	exit(2);
}

static unsigned
parse_unsigned(const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value > max)
		die_usage();
	return (unsigned)value;
}

static void
plan_add(struct plan *plan, enum bus_kind kind, const char *argument)
{
	struct plan_bus *bus = &plan->buses[plan->count];

	if (plan->count == BUSES_MAX)
		die_usage();
	*bus = (struct plan_bus){ .kind = kind, .link = argument, .baud = 9600, .stop = 1 };
	if (kind != BUS_RTU)
		bus->port = parse_unsigned(argument, 65535);
	plan->count++;
}

/* The line that --baud, --parity and --stop belong to: the --rtu before them. */
static struct plan_bus *
plan_line(struct plan *plan)
{
	if (!plan->count || plan->buses[plan->count - 1].kind != BUS_RTU)
		die_usage();
	return &plan->buses[plan->count - 1];
}

static void
plan_option(struct plan *plan, int option, const char *argument)
{
	switch (option) {
	case OPTION_TCP:
		plan_add(plan, BUS_TCP, argument);
		break;
	case OPTION_RTU:
		plan_add(plan, BUS_RTU, argument);
		break;
	case OPTION_RTU_TCP:
		plan_add(plan, BUS_RTU_TCP, argument);
		break;
	case OPTION_BAUD:
		plan_line(plan)->baud = parse_unsigned(argument, 4000000);
		break;
	case OPTION_PARITY:
		if (strcmp(argument, "none") != 0 && strcmp(argument, "even") != 0 &&
		    strcmp(argument, "odd") != 0)
			die_usage();
		plan_line(plan)->parity = strcmp(argument, "none") != 0;
		break;
	case OPTION_STOP:
		plan_line(plan)->stop = parse_unsigned(argument, 2);
		break;
	case OPTION_UNIT:
		if (plan->unit_count == UNIT_ADDRESSES)
			die_usage();
		plan->units[plan->unit_count++] = parse_unsigned(argument, UNIT_ADDRESSES - 1);
		break;
	case OPTION_LOG:
		if (strcmp(argument, "requests") == 0)
			plan->log = true;
		else if (strcmp(argument, "shown") == 0)
			plan->shown = true;
		else
			die_usage();
		break;
	default:
		die_usage();
	}
}

static void
plan_parse(struct plan *plan, int argc, char **argv)
{
	static const struct option options[] = {
		{ "tcp", required_argument, NULL, OPTION_TCP },
		{ "rtu", required_argument, NULL, OPTION_RTU },
		{ "rtu-tcp", required_argument, NULL, OPTION_RTU_TCP },
		{ "baud", required_argument, NULL, OPTION_BAUD },
		{ "parity", required_argument, NULL, OPTION_PARITY },
		{ "stop", required_argument, NULL, OPTION_STOP },
		{ "unit", required_argument, NULL, OPTION_UNIT },
		{ "log", required_argument, NULL, OPTION_LOG },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		plan_option(plan, option, optarg);
	if (optind != argc || !plan->count)
		die_usage();
}

static int
bus_open(struct sim *sim, struct bus *bus, const struct plan_bus *planned)
{
	struct rtu_line line = {
		.link = planned->link,
		.baud = planned->baud,
		.bits = 9u + (planned->parity ? 1u : 0u) + (planned->stop == 2 ? 2u : 1u),
	};

	if (planned->kind == BUS_RTU)
		return rtu_open(&sim->loop, bus, &line, &bus->rtu);
	return tcp_open(&sim->loop, bus, planned->port, &bus->tcp);
}

static int
sim_build(struct sim *sim, const struct plan *plan)
{
	int error = 0;

	for (unsigned i = 0; i < plan->count && !error; i++) {
		struct bus *bus = bus_new(i, plan->buses[i].kind, &sim->journal);
		if (!bus)
			return -ENOMEM;
		sim_add(sim, bus);
		error = sim_unit(bus, 1, UNIT_CELLS_DEFAULT);
		for (unsigned u = 0; u < plan->unit_count && !error; u++)
			error = sim_unit(bus, plan->units[u], UNIT_CELLS_DEFAULT);
		if (!error)
			error = bus_open(sim, bus, &plan->buses[i]);
		if (error)
			fprintf(stderr, "modsim: bus %u: %s\n", i, strerror(-error));
	}
	sim->journal.emit = plan->log;
	sim->journal.shown = plan->shown;
	return error;
}

static void
sim_ready(const struct sim *sim)
{
	static const char *const kinds[] = {
		[BUS_TCP] = "tcp", [BUS_RTU] = "rtu", [BUS_RTU_TCP] = "rtu_tcp"
	};
	struct json_object *event = json_object_new_object();
	struct json_object *lists[3];

	json_object_object_add(event, "event", json_object_new_string("ready"));
	for (int kind = 0; kind < 3; kind++) {
		lists[kind] = json_object_new_array();
		json_object_object_add(event, kinds[kind], lists[kind]);
	}
	for (unsigned i = 0; i < sim->count; i++) {
		const struct bus *bus = sim->places[i].bus;
		struct json_object *item;
		if (bus->rtu) {
			item = json_object_new_object();
			json_object_object_add(item, "link", json_object_new_string(rtu_link_name(bus->rtu)));
			json_object_object_add(item, "device", json_object_new_string(rtu_device(bus->rtu)));
		} else {
			item = json_object_new_int((int)tcp_port(bus->tcp));
		}
		json_object_array_add(lists[bus->kind], item);
	}
	control_emit(event);
}

static void
sim_input(void *ctx, uint32_t events)
{
	struct sim *sim = ctx;

	(void)events;
	if (control_read(&sim->control, sim_command, sim) <= 0)
		sim->loop.stop = true;
}

static void
sim_signal(void *ctx, uint32_t events)
{
	struct sim *sim = ctx;

	(void)events;
	sim->loop.stop = true;
}

static int
signals_open(void)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int
sim_run(struct sim *sim)
{
	struct watch input = { .fd = STDIN_FILENO, .handler = sim_input, .ctx = sim };
	struct watch signals = { .fd = signals_open(), .handler = sim_signal, .ctx = sim };
	int error = control_init(&sim->control, STDIN_FILENO);

	if (!error)
		error = watch_add(&sim->loop, &signals, EPOLLIN);
	if (error)
		return error;
	error = watch_add(&sim->loop, &input, EPOLLIN);
	sim_ready(sim);
	/* A file cannot be waited for: its commands are there already, and then it ends. */
	if (error == -EPERM)
		return control_read(&sim->control, sim_command, sim) < 0 ? -EIO : 0;
	return error ? error : loop_run(&sim->loop);
}

static void
sim_done(struct sim *sim)
{
	for (unsigned i = 0; i < sim->count; i++) {
		struct place *place = &sim->places[i];
		timer_stop(&sim->loop, &place->babble);
		rtu_close(place->bus->rtu);
		tcp_close(place->bus->tcp);
		bus_free(place->bus);
	}
	journal_done(&sim->journal);
	loop_done(&sim->loop);
}

/* Hundreds of connections need descriptors, and a script that reads its events late must not stop the wire.
 */
static void
limits_raise(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	fcntl(STDOUT_FILENO, F_SETPIPE_SZ, STDOUT_PIPE_BYTES);
}

int
main(int argc, char **argv)
{
	static struct plan plan;
	static struct sim sim;
	int error;

	plan_parse(&plan, argc, argv);
	limits_raise();
	error = loop_init(&sim.loop);
	if (!error)
		error = journal_init(&sim.journal);
	if (!error)
		error = sim_build(&sim, &plan);
	if (!error)
		error = sim_run(&sim);
	sim_done(&sim);
	if (error)
		fprintf(stderr, "modsim: %s\n", strerror(-error));
	return error ? 1 : 0;
}
