/* The command line of one command: a row for each option, from which it is read and its help is printed, so that all commands
 * understand the same spellings and say the same when they do not. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_MAX 12

struct option_row {
	const char *name;     /* "config", for --config */
	char letter;	      /* 'c', for -c; 0: there is none */
	const char *argument; /* "FILE", for the help; NULL: it takes none */
	const char *about;    /* for the help; lines end in \n but for the last */
	const char **ret_text; /* where the argument goes; with `argument` */
	bool *ret_given;       /* else */
};

struct option_table {
	const char *command; /* "check" */
	const char *operand; /* "DEVICE", for the help: one word that must be given, "[DEVICE]": that may be; NULL: none */
	const char **ret_operand;
	const char *about; /* what the command does, for the help; lines as above */
	const char *epilogue; /* NULL: none */
	struct option_row rows[OPTIONS_MAX]; /* up to one without a name; --help need not be listed */
};

/* Read the arguments, argv[0] being the command. What is wrong is said on standard error.
 * Returns -1 to go on, or the exit status. */
int options_read(const struct option_table *table, int argc, char **argv);

#endif
