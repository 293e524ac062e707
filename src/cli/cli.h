/* The commands of the program. A new command is a row in main.c and a file here. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "model/settings.h"

#define CLI_CONFIG_FOLDER  SYSCONFDIR "/fieldgate"
#define CLI_DEFAULT_CONFIG CLI_CONFIG_FOLDER "/gateway.conf"

/* The option that all commands which read a configuration have. */
#define CLI_CONFIG_ROW(where)                                                                                   \
	{ .name = "config", .letter = 'c', .argument = "FILE", .ret_text = (where),                              \
		.about = "the configuration (default " CLI_DEFAULT_CONFIG ")" }

/* Exit statuses of every command. */
enum cli_status {
	CLI_OK = 0,
	CLI_WRONG = 1, /* what was asked about is wrong, such as a bad configuration */
	CLI_USAGE = 2, /* the command line is wrong */
	/* of commands that ask a running gateway */
	CLI_NO_DAEMON = 3,     /* there is none */
	CLI_NO_PERMISSION = 4, /* it is not for this user */
	CLI_OTHER_VERSION = 5, /* it is not understood */
	CLI_CONFIG = 78, /* run: the configuration is wrong, so that a restart does not help; EX_CONFIG of sysexits.h */
};

#define CLI_FIGURES_MAX 96

/* "2 buses, 1 device, 40 points", written to `text` of CLI_FIGURES_MAX bytes. Returns `text`. */
const char *cli_figures(const struct settings *settings, char *text);

/* Read a configuration; every mistake in it goes to standard error. Returns 0 with the settings; -EINVAL after
 * mistakes; another negative errno that nothing was said about. */
int cli_load(const char *path, struct settings **ret);

/* The option that all commands have which ask a running gateway. */
#define CLI_SOCKET_ROW(where)                                                                                   \
	{ .name = "socket", .letter = 's', .argument = "PATH", .ret_text = (where),                              \
		.about = "the control socket (default $RUNTIME_DIRECTORY/control.sock,\n"                        \
			 "else /run/fieldgate/control.sock)" }

int check_main(int argc, char **argv);
int plan_main(int argc, char **argv);
int run_main(int argc, char **argv);
int try_main(int argc, char **argv);
int status_main(int argc, char **argv);
int watch_main(int argc, char **argv);
int reload_main(int argc, char **argv);
int log_level_main(int argc, char **argv);
int claim_main(int argc, char **argv);

#endif
