/* fieldgate status, watch, reload, log-level: what a running gateway is asked over its control socket. */
#include <config.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "control/client.h"
#include "control/prometheus.h"
#include "control/table.h"
#include "control/watch.h"

#define STATUSES                                                                                                \
	"The exit status is 0 if the gateway answered, 1 if it refused or gave no answer, 2 for a wrong command\n" \
	"line, 3 if no fieldgate is running, 4 if it is not for this user, 5 if it is of a version that is not\n"    \
	"understood."

static int
exit_status(enum client_result result)
{
	switch (result) {
	case CLIENT_OK:
		return CLI_OK;
	case CLIENT_NO_DAEMON:
		return CLI_NO_DAEMON;
	case CLIENT_NO_PERMISSION:
		return CLI_NO_PERMISSION;
	case CLIENT_OTHER_VERSION:
		return CLI_OTHER_VERSION;
	case CLIENT_REFUSED:
	case CLIENT_BROKEN:
		break;
	}
	return CLI_WRONG;
}

static int
complain(const char *command, enum client_result result)
{
	fprintf(stderr, "fieldgate %s: %s\n", command, client_error());
	return exit_status(result);
}

/* An upgraded program beside a daemon that was not started again understands it, but it is good to know. */
static void
compare_version(const char *command, const struct client *client)
{
	if (strcmp(client_version(client), PACKAGE_VERSION) != 0)
		fprintf(stderr, "fieldgate %s: note: the fieldgate that runs is %s, this is %s\n", command,
		    client_version(client), PACKAGE_VERSION);
}

/* ---- status ---- */

struct status_arguments {
	const char *path;
	bool json;
	bool prometheus;
	bool values;
};

static int
read_status_arguments(int argc, char **argv, struct status_arguments *ret)
{
	const struct option_table table = {
		.command = "status",
		.about = "Print how a running gateway is: buses, units, devices, what waits to be sent.",
		.rows = { CLI_SOCKET_ROW(&ret->path),
		    { .name = "values", .about = "every point with its last value", .ret_given = &ret->values },
		    { .name = "json", .about = "all of it, for programs", .ret_given = &ret->json },
		    { .name = "prometheus",
			.about = "metrics, for the textfile collector of node_exporter",
			.ret_given = &ret->prometheus } },
		.epilogue = STATUSES,
	};
	int status = options_read(&table, argc, argv);

	if (status < 0 && ret->json + ret->prometheus + ret->values > 1) {
		fprintf(stderr, "fieldgate status: --values, --json and --prometheus exclude each other\n");
		return CLI_USAGE;
	}
	return status;
}

static void
print_status(
    const struct status_arguments *arguments, const struct client *client, const struct json_object *answer)
{
	size_t length;
	const char *text = client_text(client, &length);

	if (arguments->json)
		fwrite(text, 1, length, stdout);
	else if (arguments->prometheus)
		prometheus_print(answer, stdout);
	else
		table_print(answer, arguments->values, stdout);
}

/* A metrics file that is cut would be taken for a whole one. */
static int
flush_output(const char *command)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CLI_OK;
	fprintf(stderr, "fieldgate %s: cannot write the output\n", command);
	return CLI_WRONG;
}

int
status_main(int argc, char **argv)
{
	static const char *const words[] = { "status" };
	struct status_arguments arguments = { .path = NULL };
	struct client *client = NULL;
	struct json_object *answer = NULL;
	enum client_result result;
	int status = read_status_arguments(argc, argv, &arguments);

	if (status >= 0)
		return status;
	result = client_open(arguments.path, &client);
	if (result == CLIENT_OK)
		result = client_ask(client, words, 1, &answer);
	if (result == CLIENT_OK) {
		compare_version("status", client);
		print_status(&arguments, client, answer);
		status = flush_output("status");
	} else {
		status = complain("status", result);
	}
	client_answer_free(answer);
	client_close(client);
	return status;
}

/* ---- watch ---- */

#define WATCH_PERIOD_MS 1000

static volatile sig_atomic_t watch_ends;

struct watch_arguments {
	const char *path;
	const char *device;
};

static int
read_watch_arguments(int argc, char **argv, struct watch_arguments *ret)
{
	const struct option_table table = {
		.command = "watch",
		.operand = "[DEVICE]",
		.ret_operand = &ret->device,
		.about = "Show the values that a running gateway reads, each second, of all devices or of one. On a terminal as a\n"
			 "table, elsewhere a line for each new value: time, device, point, value.",
		.rows = { CLI_SOCKET_ROW(&ret->path) },
		.epilogue = STATUSES,
	};

	return options_read(&table, argc, argv);
}

static void
end_watch(int number)
{
	(void)number;
	watch_ends = 1;
}

/* As much of the text as the terminal has lines for, each cut at its edge. */
static void
draw(const char *text)
{
	struct winsize size = { .ws_row = 24 };
	int left;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	left = size.ws_row > 1 ? size.ws_row - 1 : 23;
	fputs("\033[H\033[?7l", stdout);
	for (; *text && left > 0; left--) {
		size_t length = strcspn(text, "\n");

		printf("%.*s\033[K\n", (int)length, text);
		text += length + (text[length] == '\n');
	}
	fputs(*text ? "(more than fits here; 'fieldgate watch DEVICE' shows one device)\033[K\033[J\033[?7h" : "\033[J\033[?7h",
	    stdout);
	fflush(stdout);
}

static void
show_table(const struct json_object *answer, const char *device)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return;
	watch_print_all(answer, device, out);
	if (fclose(out) == 0)
		draw(text);
	free(text);
}

static void
pause_watch(void)
{
	struct timespec pause = { .tv_sec = WATCH_PERIOD_MS / 1000, .tv_nsec = WATCH_PERIOD_MS % 1000 * 1000000L };

	nanosleep(&pause, NULL);
}

/* Until somebody ends it, or the gateway does. ret_found  false: there is no such device */
static enum client_result
watch(struct client *client, const char *device, bool terminal, bool *ret_found)
{
	static const char *const words[] = { "status" };
	struct json_object *before = NULL, *answer = NULL;
	enum client_result result;

	while ((result = client_ask(client, words, 1, &answer)) == CLIENT_OK && !watch_ends) {
		*ret_found = watch_knows(answer, device);
		if (!*ret_found)
			break;
		if (terminal)
			show_table(answer, device);
		else
			watch_print_news(before, answer, device, stdout);
		if (!terminal && fflush(stdout) != 0)
			break;
		client_answer_free(before);
		before = answer;
		answer = NULL;
		pause_watch();
	}
	client_answer_free(before);
	client_answer_free(answer);
	return watch_ends ? CLIENT_OK : result;
}

int
watch_main(int argc, char **argv)
{
	struct watch_arguments arguments = { .path = NULL };
	struct sigaction end = { .sa_handler = end_watch };
	bool terminal = isatty(STDOUT_FILENO), found = true;
	struct client *client = NULL;
	enum client_result result;
	int status = read_watch_arguments(argc, argv, &arguments);

	if (status >= 0)
		return status;
	result = client_open(arguments.path, &client);
	if (result != CLIENT_OK)
		return complain("watch", result);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	if (terminal)
		fputs("\033[?1049h\033[?25l", stdout);
	result = watch(client, arguments.device, terminal, &found);
	if (terminal) {
		fputs("\033[?25h\033[?1049l", stdout);
		fflush(stdout);
	}
	client_close(client);
	if (result != CLIENT_OK)
		return complain("watch", result);
	if (!found)
		fprintf(stderr, "fieldgate watch: there is no device '%s'\n", arguments.device);
	return found ? CLI_OK : CLI_WRONG;
}

/* ---- what only is told ---- */

/* Ask with these words, and say nothing if it was done. */
static int
tell(const char *command, const char *path, const char *const *words, size_t count)
{
	struct client *client = NULL;
	struct json_object *answer = NULL;
	enum client_result result = client_open(path, &client);

	if (result == CLIENT_OK)
		result = client_ask(client, words, count, &answer);
	client_answer_free(answer);
	client_close(client);
	return result == CLIENT_OK ? CLI_OK : complain(command, result);
}

/* What was taken over, or what was wrong, goes where it is looked for. */
static void
print_told(const char *told, bool well)
{
	if (told)
		fputs(told, well ? stdout : stderr);
}

int
reload_main(int argc, char **argv)
{
	static const char *const words[] = { "reload" };
	const char *path = NULL;
	const struct option_table table = {
		.command = "reload",
		.about = "Have a running gateway read its configuration again and take over what is different. With mistakes in it\n"
			 "everything goes on as it was.",
		.rows = { CLI_SOCKET_ROW(&path) },
		.epilogue = STATUSES,
	};
	struct client *client = NULL;
	struct json_object *answer = NULL;
	enum client_result result;
	int status = options_read(&table, argc, argv);

	if (status >= 0)
		return status;
	result = client_open(path, &client);
	if (result == CLIENT_OK)
		result = client_ask(client, words, 1, &answer);
	print_told(client_told(answer), result == CLIENT_OK);
	status = result == CLIENT_OK ? flush_output("reload") : complain("reload", result);
	client_answer_free(answer);
	client_close(client);
	return status;
}

int
log_level_main(int argc, char **argv)
{
	const char *path = NULL;
	const char *words[] = { "log-level", NULL };
	const struct option_table table = {
		.command = "log-level",
		.operand = "LEVEL",
		.ret_operand = &words[1],
		.about = "Make a running gateway log everything up to LEVEL: error, warning, notice, info or debug, until it is\n"
			 "started again.",
		.rows = { CLI_SOCKET_ROW(&path) },
		.epilogue = STATUSES,
	};
	int status = options_read(&table, argc, argv);

	return status >= 0 ? status : tell("log-level", path, words, 2);
}

int
claim_main(int argc, char **argv)
{
	const char *path = NULL;
	const char *words[] = { "claim", NULL };
	const struct option_table table = {
		.command = "claim",
		.operand = "DEVICE",
		.ret_operand = &words[1],
		.about = "Have a running gateway tell ThingsBoard again that DEVICE can be claimed with the secret of its claim. The log\n"
			 "says when ThingsBoard has it.",
		.rows = { CLI_SOCKET_ROW(&path) },
		.epilogue = STATUSES,
	};
	int status = options_read(&table, argc, argv);

	return status >= 0 ? status : tell("claim", path, words, 2);
}
