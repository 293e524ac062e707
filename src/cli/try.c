/* fieldgate try: bytes that a serial instrument has said -> frames, and what the configuration makes of them. Nothing is asked or
 * sent. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "line/listener.h"

#define CHUNK_BYTES 4096
#define DIGITS_MAX  17 /* tell every double apart */

struct trial {
	uint64_t frames;
	bool all; /* also what is not in a frame */
	/* What is said of a device's points that are not in the frame, until it is known whether that matters. */
	char *misses;
	size_t misses_length;
	FILE *out;
	const struct device *device;
	bool found;
};

static int
read_arguments(int argc, char **argv, const char **ret_path, const char **ret_bus, bool *ret_all)
{
	const struct option_table table = {
		.command = "try",
		.operand = "BUS",
		.ret_operand = ret_bus,
		.about = "Read what a serial instrument has said from standard input, and print what the configuration makes of it:\n"
			 "frames, whether their checksum is right, whose they are, and the values of points.",
		.rows = { CLI_CONFIG_ROW(ret_path),
		    { .name = "all",
			.letter = 'a',
			.about = "also say which points are not in a frame",
			.ret_given = ret_all } },
		.epilogue = "The exit status is 0 if there was a value, 1 if there was none, 2 for a wrong command line.",
	};

	return options_read(&table, argc, argv);
}

static void
print_bytes(const uint8_t *bytes, size_t length)
{
	char text[8];

	for (size_t i = 0; i < length; i++)
		fputs(line_printable(bytes + i, 1, text, sizeof(text)), stdout);
}

/* With as few digits as tell it apart. */
static void
print_real(double real, int decimals)
{
	char text[64];

	if (decimals >= 0) {
		printf("%.*f", decimals, real);
		return;
	}
	for (int digits = 6; digits <= DIGITS_MAX; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, real);
		if (strtod(text, NULL) == real || (decimals == DECIMALS_SINGLE && strtof(text, NULL) == (float)real))
			break;
	}
	printf("%s", text);
}

/* Valid UTF-8 is shown as it is; what would move the cursor is not. */
static void
print_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 127)
			printf("\\x%02x", (unsigned char)*text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void
print_value(const struct value *value)
{
	switch (value->kind) {
	case VALUE_BOOL:
		printf("%s", value->boolean ? "true" : "false");
		break;
	case VALUE_INT:
		printf("%" PRId64, value->integer);
		break;
	case VALUE_UINT:
		printf("%" PRIu64, value->whole);
		break;
	case VALUE_REAL:
		print_real(value->real, value->decimals);
		break;
	case VALUE_LABEL:
	case VALUE_TEXT:
		print_text(value_text(value));
		break;
	case VALUE_LIST:
		for (size_t i = 0; i < value->list->count; i++) {
			printf("%s", i > 0 ? ", " : "[");
			print_value(&value->list->items[i]);
		}
		putchar(']');
		break;
	case VALUE_NONE:
		break;
	}
}

/* The points of a device that are not in the frame matter if none is. */
static void
end_device(struct trial *trial)
{
	fflush(trial->out);
	if (trial->device && (trial->all || !trial->found))
		fwrite(trial->misses, 1, trial->misses_length, stdout);
	rewind(trial->out);
	trial->device = NULL;
	trial->found = false;
}

static void
take_frame(void *ctx, const struct line_frame *frame, bool proven, const char *why)
{
	struct trial *trial = ctx;

	end_device(trial);
	printf("frame %" PRIu64 ": ", ++trial->frames);
	print_bytes(frame->bytes, frame->length);
	putchar('\n');
	if (!proven)
		printf("  %s: nothing is taken from it\n", why);
}

static void
take_claim(void *ctx, const struct device *device, bool claimed, const char *why)
{
	struct trial *trial = ctx;

	end_device(trial);
	if (claimed)
		trial->device = device;
	else
		printf("  not of %s: %s\n", device->name, why);
}

static void
take_value(void *ctx, const struct point *point, enum quality quality, struct value *value, const char *why)
{
	struct trial *trial = ctx;

	trial->found = true;
	printf("  %s %s = ", point->device->name, point->key);
	if (quality == QUALITY_GOOD)
		print_value(value);
	else
		printf("no value: %s", why);
	putchar('\n');
	value_done(value);
}

static void
take_miss(void *ctx, const struct point *point, const char *why)
{
	struct trial *trial = ctx;

	fprintf(trial->out, "  %s %s is not in it: %s\n", point->device->name, point->key, why);
}

static void
take_waste(void *ctx, const uint8_t *bytes, size_t kept, uint64_t length, const char *why)
{
	end_device(ctx);
	printf("%" PRIu64 " byte%s left out: %s: ", length, length == 1 ? "" : "s", why);
	print_bytes(bytes, kept);
	printf("%s\n", kept < length ? "..." : "");
}

static const struct bus *
find_bus(const struct settings *settings, const char *path, const char *name)
{
	for (size_t i = 0; i < settings->bus_count; i++) {
		if (strcmp(settings->buses[i].name, name) != 0)
			continue;
		if (bus_is_line(&settings->buses[i]))
			return &settings->buses[i];
		fprintf(stderr, "%s: bus %s is none of serial instruments\n", path, name);
		return NULL;
	}
	fprintf(stderr, "%s: there is no bus %s\n", path, name);
	return NULL;
}

static int
listen_to_input(struct listener *listener)
{
	uint8_t bytes[CHUNK_BYTES];
	ssize_t length;

	while ((length = read(STDIN_FILENO, bytes, sizeof(bytes))) != 0) {
		if (length < 0 && errno != EINTR)
			return -errno;
		if (length > 0)
			listener_feed(listener, bytes, (size_t)length, 0);
	}
	listener_end(listener);
	return 0;
}

static void
print_counters(const struct listener_counters *counters)
{
	printf("%" PRIu64 " bytes, %" PRIu64 " frame%s: %" PRIu64 " good, %" PRIu64 " with a bad checksum, %" PRIu64
	       " of no use; %" PRIu64 " byte%s in no frame\n",
	    counters->bytes, counters->frames, counters->frames == 1 ? "" : "s", counters->good, counters->bad_checksum,
	    counters->unmatched, counters->wasted_bytes, counters->wasted_bytes == 1 ? "" : "s");
	printf("%" PRIu64 " value%s, and %" PRIu64 " time%s no value\n", counters->values, counters->values == 1 ? "" : "s",
	    counters->no_values, counters->no_values == 1 ? "" : "s");
}

/* Returns 0; -ENODATA if there was no value; another negative errno. */
static int
run_trial(const struct settings *settings, const struct bus *bus, bool all)
{
	struct trial trial = { .all = all };
	struct listener_sink sink = { .frame = take_frame,
		.claim = take_claim,
		.value = take_value,
		.miss = take_miss,
		.waste = take_waste,
		.ctx = &trial };
	struct listener_counters counters = { .values = 0 };
	struct listener *listener = NULL;
	int error;

	trial.out = open_memstream(&trial.misses, &trial.misses_length);
	if (!trial.out)
		return -errno;
	error = listener_new(settings, bus, &sink, &listener);
	if (!error)
		error = listen_to_input(listener);
	end_device(&trial);
	if (!error) {
		listener_counters(listener, &counters);
		print_counters(&counters);
	}
	listener_free(listener);
	fclose(trial.out);
	free(trial.misses);
	return !error && counters.values == 0 ? -ENODATA : error;
}

int
try_main(int argc, char **argv)
{
	const char *path = CLI_DEFAULT_CONFIG, *name = NULL;
	struct settings *settings = NULL;
	const struct bus *bus;
	bool all = false;
	int status = read_arguments(argc, argv, &path, &name, &all);
	int error;

	if (status >= 0)
		return status;
	error = cli_load(path, &settings);
	bus = error ? NULL : find_bus(settings, path, name);
	if (bus) {
		if (bus->framing.type == FRAMING_SILENCE)
			fprintf(stderr, "bus %s: its frames end with a pause, which a file does not have: it is taken for one frame\n",
			    name);
		error = run_trial(settings, bus, all);
	}
	if (error < 0 && error != -EINVAL && error != -ENODATA)
		fprintf(stderr, "%s: %s\n", path, strerror(-error));
	settings_free(settings);
	return error < 0 || !bus ? CLI_WRONG : CLI_OK;
}
