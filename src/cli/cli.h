/* The commands of the program. A new command is a row in main.c and a file here. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#define CLI_DEFAULT_CONFIG SYSCONFDIR "/fieldgate/gateway.conf"

/* Exit statuses of every command. */
enum cli_status {
	CLI_OK = 0,
	CLI_WRONG = 1, /* what was asked about is wrong, such as a bad configuration */
	CLI_USAGE = 2, /* the command line is wrong */
};

int check_main(int argc, char **argv);
int run_main(int argc, char **argv);

#endif
