#include "cli/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define HELP	    'h'
#define FIRST_VALUE 256 /* getopt_long() gives this plus the row, beyond all letters */
#define NAME_MAX_LENGTH 64

static const struct option_row help_row = { .name = "help", .letter = HELP, .about = "this text" };

static size_t
count_rows(const struct option_table *table)
{
	size_t count = 0;

	while (count < OPTIONS_MAX && table->rows[count].name)
		count++;
	return count;
}

/* "-c, --config FILE" */
static int
spell(const struct option_row *row, char *text)
{
	char letter[8] = "    ";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	return snprintf(text, NAME_MAX_LENGTH, "%s--%s%s%s", letter, row->name, row->argument ? " " : "",
	    row->argument ? row->argument : "");
}

static void
print_row(const struct option_row *row, int width)
{
	char name[NAME_MAX_LENGTH];
	const char *line = row->about;

	spell(row, name);
	printf("  %-*s  ", width, name);
	for (;;) {
		const char *end = strchr(line, '\n');

		if (!end) {
			puts(line);
			return;
		}
		printf("%.*s\n  %*s  ", (int)(end - line), line, width, "");
		line = end + 1;
	}
}

static void
print_help(const struct option_table *table)
{
	size_t count = count_rows(table);
	char name[NAME_MAX_LENGTH];
	int width = spell(&help_row, name);

	printf("Usage: fieldgate %s", table->command);
	for (size_t i = 0; i < count; i++) {
		const struct option_row *row = &table->rows[i];
		int length = spell(row, name);

		width = length > width ? length : width;
		if (row->letter)
			printf(" [-%c", row->letter);
		else
			printf(" [--%s", row->name);
		printf("%s%s]", row->argument ? " " : "", row->argument ? row->argument : "");
	}
	printf("%s%s\n\n%s\n\n", table->operand ? " " : "", table->operand ? table->operand : "", table->about);
	for (size_t i = 0; i < count; i++)
		print_row(&table->rows[i], width);
	print_row(&help_row, width);
	if (table->epilogue)
		printf("\n%s\n", table->epilogue);
}

/* For getopt_long(): `letters` takes ":c:h" and the like. */
static void
translate(const struct option_table *table, size_t count, struct option *options, char *letters)
{
	for (size_t i = 0; i < count; i++) {
		const struct option_row *row = &table->rows[i];

		options[i] = (struct option){ .name = row->name,
			.has_arg = row->argument ? required_argument : no_argument,
			.val = FIRST_VALUE + (int)i };
		if (row->letter)
			*letters++ = row->letter;
		if (row->letter && row->argument)
			*letters++ = ':';
	}
	options[count] = (struct option){ .name = help_row.name, .has_arg = no_argument, .val = HELP };
	options[count + 1] = (struct option){ .name = NULL };
	*letters++ = HELP;
	*letters = '\0';
}

static const struct option_row *
find_row(const struct option_table *table, size_t count, int value)
{
	if (value >= FIRST_VALUE)
		return &table->rows[value - FIRST_VALUE];
	for (size_t i = 0; i < count; i++)
		if (table->rows[i].letter == value)
			return &table->rows[i];
	return NULL;
}

static bool
takes_config(const struct option_table *table)
{
	return table->rows[0].name && strcmp(table->rows[0].name, "config") == 0;
}

static int
read_operands(const struct option_table *table, int argc, char **argv)
{
	if (table->operand && optind < argc) {
		*table->ret_operand = argv[optind++];
	} else if (table->operand && table->operand[0] != '[') {
		fprintf(stderr, "fieldgate %s: %s is missing\n", table->command, table->operand);
		return CLI_USAGE;
	}
	if (optind < argc) {
		fprintf(stderr, "fieldgate %s: '%s' is not expected here%s\n", table->command, argv[optind],
		    takes_config(table) ? ", a configuration is named with -c" : "");
		return CLI_USAGE;
	}
	return -1;
}

int
options_read(const struct option_table *table, int argc, char **argv)
{
	size_t count = count_rows(table);
	struct option options[OPTIONS_MAX + 2];
	char letters[2 * OPTIONS_MAX + 2];
	static char command[NAME_MAX_LENGTH]; /* argv keeps it */
	int value;

	/* getopt_long() begins its messages with it. */
	snprintf(command, sizeof(command), "fieldgate %s", table->command);
	argv[0] = command;
	translate(table, count, options, letters);
	while ((value = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		const struct option_row *row;

		if (value == HELP) {
			print_help(table);
			return CLI_OK;
		}
		row = find_row(table, count, value);
		if (!row)
			return CLI_USAGE;
		if (row->argument)
			*row->ret_text = optarg;
		else
			*row->ret_given = true;
	}
	return read_operands(table, argc, argv);
}
