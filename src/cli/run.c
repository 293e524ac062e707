/* fieldgate run: wires field and cloud together, starts them in order, waits for a signal, stops them in
 * reverse. */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "base/resolver.h"
#include "cli/cli.h"
#include "cloud/uplink.h"
#include "conf/conf.h"
#include "field/field.h"

/* systemd and people expect a stop within 2 s: a transaction on a bus may take one part of it, this is the
 * cloud's. */
#define FLUSH_GRACE_MS 1000

struct gateway {
	struct settings *settings;
	/* One each: a look-up of the server's name that hangs must not hold up a bus that is connected anew. */
	struct resolver *resolver;
	struct uplink *uplink;
	struct field *field;
};

static void
print_help(void)
{
	printf("Usage: fieldgate run [-c FILE] [--log-level LEVEL]\n\n"
	       "Read the field and publish it, until SIGTERM or SIGINT.\n\n"
	       "  -c, --config FILE      the configuration (default %s)\n"
	       "      --log-level LEVEL  error, warning, notice, info (default) or debug\n"
	       "  -h, --help             this text\n",
	    CLI_DEFAULT_CONFIG);
}

/* Returns -1 to go on, or the exit status. */
static int
parse_arguments(int argc, char **argv, const char **ret_path, int *ret_level)
{
	static const struct option options[] = {
		{ .name = "config", .has_arg = required_argument, .val = 'c' },
		{ .name = "log-level", .has_arg = required_argument, .val = 'l' },
		{ .name = "help", .has_arg = no_argument, .val = 'h' },
		{ .name = NULL },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			*ret_path = optarg;
			break;
		case 'l':
			*ret_level = log_level_find(optarg);
			if (*ret_level >= 0)
				break;
			fprintf(stderr, "fieldgate run: '%s' is no log level\n", optarg);
			return CLI_USAGE;
		case 'h':
			print_help();
			return CLI_OK;
		default:
			return CLI_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "fieldgate run: '%s' is not expected here\n", argv[optind]);
		return CLI_USAGE;
	}
	return -1;
}

static struct settings *
load_settings(const char *path)
{
	struct settings *settings = NULL;
	struct conf_report report;
	int error = conf_load(path, &settings, &report);

	for (size_t i = 0; i < report.count; i++)
		log_error("%s", report.lines[i]);
	if (error == -ENOMEM)
		log_error("%s: out of memory", path);
	else if (error < 0)
		log_error("%s: not started: %zu mistake%s", path, report.count, report.count == 1 ? "" : "s");
	conf_report_done(&report);
	return settings;
}

#define STATE_FOLDER "/var/lib/fieldgate"

/* systemd names the folder that it made (StateDirectory=), the first of several. Returns 0 or -ENOMEM. */
static int
choose_folder(struct settings *settings)
{
	const char *list = getenv("STATE_DIRECTORY");
	size_t length = list ? strcspn(list, ":") : 0;
	char *dir;

	if (settings->store.dir)
		return 0;
	if (length == 0) {
		settings->store.dir = STATE_FOLDER;
		return 0;
	}
	dir = settings_alloc(settings, length + 1);
	if (!dir)
		return -ENOMEM;
	memcpy(dir, list, length);
	settings->store.dir = dir;
	return 0;
}

/* A session takes a descriptor or three, a bus two; the default soft limit is 1024. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Field descriptors come first: libmodbus needs theirs to be low. */
static int
gateway_start(struct gateway *gateway)
{
	int error;

	gateway->resolver = resolver_start();
	if (!gateway->resolver)
		return -errno;
	gateway->uplink = uplink_new(gateway->settings, gateway->resolver);
	if (!gateway->uplink)
		return -errno;
	gateway->field = field_new(gateway->settings, gateway->resolver, uplink_samples(gateway->uplink),
	    uplink_outcomes(gateway->uplink));
	if (!gateway->field)
		return -errno;
	error = field_start(gateway->field);
	if (error < 0)
		return error;
	error = uplink_start(gateway->uplink, field_commands(gateway->field));
	if (error < 0)
		field_stop(gateway->field);
	return error;
}

static void
gateway_stop(struct gateway *gateway)
{
	field_stop(gateway->field);
	uplink_stop(gateway->uplink, FLUSH_GRACE_MS);
}

static void
gateway_free(struct gateway *gateway)
{
	resolver_stop(gateway->resolver);
	field_free(gateway->field);
	uplink_free(gateway->uplink);
	settings_free(gateway->settings);
}

/* Blocked before any thread starts, so that every thread inherits it and only sigwait() below gets them. */
static void
block_signals(sigset_t *ret_stopping)
{
	sigemptyset(ret_stopping);
	sigaddset(ret_stopping, SIGTERM);
	sigaddset(ret_stopping, SIGINT);
	pthread_sigmask(SIG_BLOCK, ret_stopping, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of the write, as a full disk is */
	signal(SIGHUP, SIG_IGN);  /* a lost terminal or a mistaken "reload" must not end a gateway */
}

static void
serve_until_signal(const sigset_t *stopping)
{
	int number = 0;

	while (sigwait(stopping, &number) != 0)
		;
	sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
	log_notice("stopping: %s", sigdescr_np(number));
	/* Whoever asks a second time means now. */
	pthread_sigmask(SIG_UNBLOCK, stopping, NULL);
}

int
run_main(int argc, char **argv)
{
	struct gateway gateway = { .settings = NULL };
	const char *path = CLI_DEFAULT_CONFIG;
	int level = LOG_LEVEL_INFO;
	int status = parse_arguments(argc, argv, &path, &level);
	char figures[CLI_FIGURES_MAX];
	sigset_t stopping;
	bool failed;
	int error;

	if (status >= 0)
		return status;
	log_init((enum log_level)level, isatty(STDERR_FILENO));
	gateway.settings = load_settings(path);
	if (!gateway.settings)
		return CLI_WRONG;
	block_signals(&stopping);
	log_never_wait();
	raise_descriptor_limit();
	error = choose_folder(gateway.settings);
	if (error == 0)
		error = gateway_start(&gateway);
	if (error < 0) {
		log_error("cannot start: %s", strerror(-error));
		gateway_free(&gateway);
		return CLI_WRONG;
	}
	cli_figures(gateway.settings, figures);
	log_notice("%s started: %s", PACKAGE_STRING, figures);
	sd_notifyf(0, "READY=1\nSTATUS=%s", figures);
	serve_until_signal(&stopping);
	gateway_stop(&gateway);
	failed = uplink_failed(gateway.uplink);
	gateway_free(&gateway);
	return failed ? CLI_WRONG : CLI_OK; /* for the service manager to start it again */
}
