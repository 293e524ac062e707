#include "field/field.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "field/worker.h"

struct field {
	struct worker **workers; /* by bus->index */
	size_t count;
};

struct field *
field_new(const struct settings *settings, struct resolver *resolver, struct sample_sink samples,
    struct outcome_sink outcomes)
{
	struct field *field = calloc(1, sizeof(*field));

	if (!field)
		return NULL;
	field->workers = calloc(settings->bus_count + 1, sizeof(struct worker *));
	for (size_t i = 0; field->workers && i < settings->bus_count; i++) {
		field->workers[i] = worker_new(settings, &settings->buses[i], resolver, samples, outcomes);
		if (!field->workers[i])
			break;
		field->count++;
	}
	if (field->count < settings->bus_count || !field->workers) {
		int error = errno;

		field_free(field);
		errno = error;
		return NULL;
	}
	return field;
}

void
field_free(struct field *field)
{
	if (!field)
		return;
	for (size_t i = 0; i < field->count; i++)
		worker_free(field->workers[i]);
	free(field->workers);
	free(field);
}

static int
push_commands(void *ctx, const struct command *commands, size_t count)
{
	struct field *field = ctx;

	return worker_command(field->workers[commands[0].point->bus->index], commands, count);
}

struct command_sink
field_commands(struct field *field)
{
	return (struct command_sink){ .push = push_commands, .ctx = field };
}

struct health_bus *
field_report(const struct field *field, size_t bus, bool full)
{
	return worker_report(field->workers[bus], full);
}

int
field_ask(struct field *field, size_t bus, const struct health_question *question)
{
	return worker_ask(field->workers[bus], question);
}

int
field_busy_max_ms(const struct field *field, size_t bus)
{
	return worker_busy_max_ms(field->workers[bus]);
}

int
field_start(struct field *field)
{
	for (size_t i = 0; i < field->count; i++) {
		int error = worker_start(field->workers[i]);

		if (error != 0) {
			field_pause(field);
			return error;
		}
	}
	return 0;
}

bool
field_stop(struct field *field, int64_t until_mono_us)
{
	bool ended = true;

	for (size_t i = 0; i < field->count; i++)
		worker_tell_close(field->workers[i]);
	for (size_t i = 0; i < field->count; i++) {
		if (worker_await(field->workers[i], until_mono_us))
			worker_close(field->workers[i]);
		else
			ended = false;
	}
	return ended;
}

void
field_pause(struct field *field)
{
	int64_t until_us = clock_mono_us() + (int64_t)FIELD_PAUSE_MS * 1000;

	for (size_t i = 0; i < field->count; i++)
		worker_tell_pause(field->workers[i]);
	for (size_t i = 0; i < field->count; i++)
		if (!worker_await(field->workers[i], until_us))
			worker_tell_stop(field->workers[i]);
	for (size_t i = 0; i < field->count; i++)
		worker_await(field->workers[i], CLOCK_NEVER);
}

void
field_adopt(struct field *field, struct field *from, const struct difference *difference)
{
	const struct settings *settings = difference_to(difference);

	for (size_t i = 0; i < field->count; i++) {
		const struct bus *was = difference_bus(difference, &settings->buses[i]);

		if (was)
			worker_adopt(field->workers[i], from->workers[was->index], difference);
	}
	for (size_t i = 0; i < from->count; i++)
		worker_close(from->workers[i]);
}
