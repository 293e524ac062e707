/* tbbench: a ThingsBoard for tests, steered on standard input. See README.md beside this file. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bench/broker.h"
#include "bench/command.h"
#include "bench/report.h"
#include "common/control.h"

struct options {
	const char *host;
	uint16_t port;
	bool any_token, quiet;
};

/* Standard input as a source of the loop. */
struct input {
	struct source source;
	struct bench *bench;
	struct control control;
};

/* Signals as a source of the loop: any of them ends it. */
struct signals {
	struct source source;
	struct bench *bench;
};

static int
usage(FILE *to)
{
	fputs("usage: tbbench [--port N] [--host ADDRESS] [--any-token] [--quiet]\n"
	      "  --port N        listen on this port; 0, the default, takes a free one\n"
	      "  --host ADDRESS  listen on this IPv4 address, by default 127.0.0.1\n"
	      "  --any-token     accept every token as a device\n"
	      "  --quiet         no telemetry events\n",
	    to);
	return to == stdout ? 0 : 2;
}

/* Returns -1 to go on, else the exit status. */
static int
options_parse(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{ .name = "port", .has_arg = required_argument, .val = 'p' },
		{ .name = "host", .has_arg = required_argument, .val = 'h' },
		{ .name = "any-token", .has_arg = no_argument, .val = 'a' },
		{ .name = "quiet", .has_arg = no_argument, .val = 'q' },
		{ .name = "help", .has_arg = no_argument, .val = '?' + 256 },
		{ .name = NULL },
	};
	char *end;
	long port;
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		switch (option) {
		case 'p':
			port = strtol(optarg, &end, 10);
			if (*end || port < 0 || port > UINT16_MAX)
				return usage(stderr);
			options->port = (uint16_t)port;
			break;
		case 'h':
			options->host = optarg;
			break;
		case 'a':
			options->any_token = true;
			break;
		case 'q':
			options->quiet = true;
			break;
		case '?' + 256:
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	return optind == argc ? -1 : usage(stderr);
}

static void
input_ready(struct source *source, uint32_t events)
{
	struct input *input = (struct input *)(void *)source;

	(void)events;
	if (control_read(&input->control, command_handle, input->bench) <= 0)
		input->bench->done = true;
}

static void
signals_ready(struct source *source, uint32_t events)
{
	(void)events;
	((struct signals *)(void *)source)->bench->done = true;
}

static int
signals_open(struct signals *signals, struct bench *bench)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Whoever read our events may be gone before us. */
	signal(SIGPIPE, SIG_IGN);
	signals->bench = bench;
	signals->source =
	    (struct source){ .ready = signals_ready, .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) };
	return signals->source.fd < 0 ? -errno : broker_watch(bench, &signals->source);
}

static int
input_open(struct input *input, struct bench *bench)
{
	int error = control_init(&input->control, STDIN_FILENO);

	input->bench = bench;
	input->source = (struct source){ .ready = input_ready, .fd = STDIN_FILENO };
	if (error)
		return error;
	error = broker_watch(bench, &input->source);
	/* A file is always readable, so epoll does not take it: it is read here, and its end is ours. */
	if (error == -EPERM) {
		input_ready(&input->source, 0);
		error = 0;
	}
	return error;
}

/* A thousand sessions need as many descriptors. */
static void
descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void
ready_report(const struct bench *bench)
{
	struct json_object *event = report_new("ready", NULL);

	report_number(event, "port", bench->port);
	control_emit(event);
}

static int
bench_open(struct bench *bench, struct input *input, struct signals *signals, const struct options *options)
{
	int error;

	bench->knobs.any_token = options->any_token;
	bench->knobs.telemetry_events = !options->quiet;
	error = broker_listen(bench);
	if (!error)
		error = signals_open(signals, bench);
	if (error)
		return error;
	ready_report(bench);
	return input_open(input, bench);
}

int
main(int argc, char **argv)
{
	static struct options options = { .host = "127.0.0.1" };
	static struct bench bench;
	static struct input input;
	static struct signals signals = { .source = { .fd = -1 } };
	int status = options_parse(&options, argc, argv);
	int error;

	if (status >= 0)
		return status;
	descriptors_raise();
	error = broker_init(&bench, options.host, options.port);
	if (error) {
		fprintf(stderr, "tbbench: %s\n", strerror(-error));
		return 1;
	}
	error = bench_open(&bench, &input, &signals, &options);
	if (error)
		fprintf(stderr, "tbbench: %s:%u: %s\n", options.host, options.port, strerror(-error));
	else
		broker_run(&bench);
	broker_done(&bench);
	if (signals.source.fd >= 0)
		close(signals.source.fd);
	return error ? 1 : 0;
}
