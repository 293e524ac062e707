/* fieldgate: one program, several commands. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *about;
} commands[] = {
	{ .name = "run", .main = run_main, .about = "read the field and publish it, until told to stop" },
	{ .name = "check", .main = check_main, .about = "say everything that is wrong with a configuration" },
	{ .name = "plan", .main = plan_main, .about = "print what each bus is asked, and how long that takes" },
	{ .name = "try", .main = try_main, .about = "print what is made of what a serial instrument has said" },
	{ .name = "status", .main = status_main, .about = "how a running gateway, its buses, units and devices are" },
	{ .name = "watch", .main = watch_main, .about = "the values that a running gateway reads, live" },
	{ .name = "reload", .main = reload_main, .about = "have a running gateway take over a changed configuration" },
	{ .name = "claim", .main = claim_main, .about = "have a running gateway say again that a device can be claimed" },
	{ .name = "log-level", .main = log_level_main, .about = "make a running gateway log more, or less" },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void
print_usage(FILE *out)
{
	fprintf(out, "Usage: fieldgate COMMAND [OPTION...]\n\nThe gateway between Modbus hardware and ThingsBoard.\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-10s%s\n", commands[i].name, commands[i].about);
	fprintf(out, "\n'fieldgate COMMAND --help' tells more; so do fieldgate(8) and gateway.conf(5).\n");
}

int
main(int argc, char **argv)
{
	if (argc >= 2) {
		for (size_t i = 0; i < COMMAND_COUNT; i++)
			if (strcmp(argv[1], commands[i].name) == 0)
				return commands[i].main(argc - 1, argv + 1);
		if (strcmp(argv[1], "--version") == 0) {
			puts(PACKAGE_STRING);
			return 0;
		}
		if (strcmp(argv[1], "--help") == 0) {
			print_usage(stdout);
			return 0;
		}
		fprintf(stderr, "fieldgate: there is no command '%s'\n\n", argv[1]);
	}
	print_usage(stderr);
	return 2;
}
