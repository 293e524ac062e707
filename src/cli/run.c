/* fieldgate run: starts the gateway and serves signals until one of them ends it. */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/deadline.h"
#include "cli/desk.h"
#include "cli/gateway.h"
#include "cli/herald.h"
#include "cli/inspector.h"
#include "cli/options.h"
#include "cli/reload.h"
#include "cli/watchdog.h"

struct arguments {
	const char *path;
	const char *socket; /* NULL: where it belongs */
	int log_level;
};

/* The main thread: it sleeps in this loop while the others work. */
struct run {
	struct gateway gateway;
	sd_event *loop;
	struct inspector *inspector;
	struct desk *desk;
	struct watchdog *watchdog;
	struct herald *herald;
	const char *socket;
	sigset_t signals;
};

/* Returns -1 to go on, or the exit status. */
static int
read_arguments(int argc, char **argv, struct arguments *ret)
{
	const char *level = "info";
	const struct option_table table = {
		.command = "run",
		.about = "Read the field and publish it, until SIGTERM or SIGINT.",
		.rows = { CLI_CONFIG_ROW(&ret->path),
		    { .name = "log-level",
			.argument = "LEVEL",
			.about = "error, warning, notice, info (default) or debug",
			.ret_text = &level },
		    CLI_SOCKET_ROW(&ret->socket) },
	};
	int status = options_read(&table, argc, argv);

	if (status >= 0)
		return status;
	ret->log_level = log_level_find(level);
	if (ret->log_level >= 0)
		return -1;
	fprintf(stderr, "fieldgate run: '%s' is no log level\n", level);
	return CLI_USAGE;
}

/* Blocked before any thread starts, so that every thread inherits it and only the loop gets them. */
static void
block_signals(sigset_t *ret_signals)
{
	sigemptyset(ret_signals);
	sigaddset(ret_signals, SIGTERM);
	sigaddset(ret_signals, SIGINT);
	sigaddset(ret_signals, SIGHUP); /* also of a lost terminal, which must not end a gateway */
	pthread_sigmask(SIG_BLOCK, ret_signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of the write, as a full disk is */
}

static int
on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct run *run = userdata;

	(void)source;
	sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
	log_notice("stopping: %s", sigdescr_np((int)info->ssi_signo));
	return sd_event_exit(run->loop, 0);
}

static int
on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct run *run = userdata;

	(void)source, (void)info;
	reload_gateway(&run->gateway, run->inspector, run->herald, NULL);
	return 0;
}

static int
make_loop(struct run *run)
{
	int error = sd_event_new(&run->loop);

	if (error >= 0)
		error = sd_event_add_signal(run->loop, NULL, SIGTERM, on_stop, run);
	if (error >= 0)
		error = sd_event_add_signal(run->loop, NULL, SIGINT, on_stop, run);
	if (error >= 0)
		error = sd_event_add_signal(run->loop, NULL, SIGHUP, on_reload, run);
	return error < 0 ? error : 0;
}

/* What "systemctl status" shows. */
static void
notify_ready(const struct settings *settings)
{
	char figures[CLI_FIGURES_MAX];

	if (settings->example.file)
		sd_notifyf(0,
		    "READY=1\nSTATUS=Nothing to do: edit %s, delete its line %u (example = true), then "
		    "restart",
		    settings->example.file, settings->example.line);
	else
		sd_notifyf(0, "READY=1\nSTATUS=%s", cli_figures(settings, figures));
}

/* Whoever asks how it is. The gateway works without, too. */
static int
open_desk(struct run *run)
{
	int error;

	run->inspector = inspector_new(run->loop, &run->gateway);
	if (!run->inspector)
		return -errno;
	error = herald_start(run->loop, &run->gateway, run->inspector, &run->herald);
	if (error < 0)
		return error;
	desk_open(run->loop, run->socket, &run->gateway, run->inspector, run->herald, &run->desk);
	return watchdog_start(run->loop, run->inspector, &run->watchdog);
}

static void
close_desk(struct run *run)
{
	watchdog_stop(run->watchdog);
	desk_close(run->desk);
	herald_stop(run->herald);
}

/* Returns 0 after a signal, negative errno if the loop failed: then there is no way to end but this. */
static int
serve(struct run *run)
{
	char figures[CLI_FIGURES_MAX];
	int error;

	error = open_desk(run);
	if (error == 0) {
		log_notice("%s started: %s", PACKAGE_STRING, cli_figures(run->gateway.settings, figures));
		notify_ready(run->gateway.settings);
		error = sd_event_loop(run->loop);
	}
	if (error < 0)
		log_error("main: the event loop failed: %s", strerror(-error));
	close_desk(run);
	/* Whoever asks a second time means now; a hang-up still is no stop. */
	signal(SIGHUP, SIG_IGN);
	run->loop = sd_event_unref(run->loop);
	pthread_sigmask(SIG_UNBLOCK, &run->signals, NULL);
	return error;
}

static int
run_gateway(struct run *run)
{
	int error = make_loop(run), status;
	int64_t asked_mono_ms;

	if (error == 0)
		error = gateway_start(&run->gateway);
	if (error < 0) {
		log_error("cannot start: %s", strerror(-error));
		return CLI_WRONG;
	}
	/* for the service manager to start it again */
	status = serve(run) < 0 || gateway_failed(&run->gateway) ? CLI_WRONG : CLI_OK;
	asked_mono_ms = clock_mono_ms();
	deadline_start(asked_mono_ms + GATEWAY_STOP_MS, status);
	if (!gateway_stop(&run->gateway, asked_mono_ms))
		_exit(status);
	inspector_free(run->inspector);
	return gateway_failed(&run->gateway) ? CLI_WRONG : status;
}

int
run_main(int argc, char **argv)
{
	struct arguments arguments = { .path = CLI_DEFAULT_CONFIG };
	struct run run = { .loop = NULL };
	int status = read_arguments(argc, argv, &arguments);

	if (status >= 0)
		return status;
	log_init((enum log_level)arguments.log_level, isatty(STDERR_FILENO));
	if (gateway_load(&run.gateway, arguments.path) < 0)
		return CLI_CONFIG;
	block_signals(&run.signals);
	log_never_wait();
	run.socket = arguments.socket;
	status = run_gateway(&run);
	sd_event_unref(run.loop);
	gateway_free(&run.gateway);
	return status;
}
