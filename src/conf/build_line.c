#include "conf/build_line.h"

#include <errno.h>
#include <string.h>

static int
copy_text(struct settings *settings, const char **text)
{
	if (*text)
		*text = settings_strdup(settings, *text);
	else
		return 0;
	return *text ? 0 : -ENOMEM;
}

static int
copy_bytes(struct settings *settings, struct bytes *bytes)
{
	uint8_t *copy;

	if (bytes->length == 0)
		return 0;
	copy = settings_alloc(settings, bytes->length);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes->data, bytes->length);
	bytes->data = copy;
	return 0;
}

static int
build_ends(struct settings *settings, const struct items *items, struct framing *framing)
{
	struct bytes *ends = settings_alloc(settings, items->count * sizeof(*ends));
	int error = ends ? 0 : -ENOMEM;

	if (error)
		return error;
	memcpy(ends, items->items, items->count * sizeof(*ends));
	for (size_t i = 0; !error && i < items->count; i++)
		error = copy_bytes(settings, &ends[i]);
	framing->ends = ends;
	framing->end_count = items->count;
	return error;
}

static int
build_framing(struct settings *settings, const struct framing_input *input, struct framing *framing)
{
	int error;

	*framing = input->framing;
	error = build_ends(settings, &input->ends, framing);
	if (!error)
		error = copy_bytes(settings, &framing->start);
	if (!error)
		error = copy_text(settings, &framing->start_pattern);
	if (!error)
		error = copy_text(settings, &framing->end_pattern);
	return error;
}

static int
build_script(struct settings *settings, const struct items *items, struct line_script *script)
{
	const struct script_step_input *inputs = items->items;
	struct line_step *steps = settings_alloc(settings, items->count * sizeof(*steps));
	int error = steps ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < items->count; i++) {
		steps[i] = inputs[i].step;
		error = copy_bytes(settings, &steps[i].send);
		if (!error)
			error = copy_text(settings, &steps[i].expect);
	}
	script->steps = steps;
	script->count = items->count;
	return error;
}

/* The texts that say "no value". */
static int
build_no_values(struct settings *settings, const struct items *items, struct line_field *field)
{
	const char **texts;
	int error = 0;

	if (items->count == 0)
		return 0;
	texts = settings_alloc(settings, items->count * sizeof(*texts));
	if (!texts)
		return -ENOMEM;
	memcpy(texts, items->items, items->count * sizeof(*texts));
	for (size_t i = 0; !error && i < items->count; i++)
		error = copy_text(settings, &texts[i]);
	field->no_values = texts;
	field->no_value_count = items->count;
	return error;
}

static int
build_field(struct settings *settings, const struct field_input *input, const struct line_field **ret)
{
	struct line_field *field = settings_alloc(settings, sizeof(*field));
	int error;

	if (!field)
		return -ENOMEM;
	*field = input->field;
	error = copy_text(settings, &field->sentence);
	if (!error)
		error = copy_text(settings, &field->text);
	if (!error)
		error = copy_text(settings, &field->group);
	if (!error)
		error = copy_text(settings, &field->separator);
	if (!error)
		error = build_no_values(settings, &input->no_values, field);
	*ret = field;
	return error;
}

static int
build_command(struct settings *settings, const struct command_input *input, const struct line_command **ret)
{
	struct line_command *command;
	int error;

	if (!input->node.setting)
		return 0;
	command = settings_alloc(settings, sizeof(*command));
	if (!command)
		return -ENOMEM;
	*command = input->command;
	error = copy_bytes(settings, &command->send);
	if (!error)
		error = copy_text(settings, &command->expect);
	if (!error)
		error = copy_text(settings, &command->refuse);
	*ret = command;
	return error;
}

int
build_line_bus(struct settings *settings, const struct bus_input *input, struct bus *bus)
{
	int error = copy_text(settings, &bus->path);

	if (error || !bus_is_line(bus))
		return error;
	bus->checksum = input->checksum.checksum;
	error = build_framing(settings, &input->framing, &bus->framing);
	if (!error && input->address.node.setting)
		error = build_field(settings, &input->address.field, &bus->address);
	if (!error)
		error = build_script(settings, &input->on_open, &bus->on_open);
	if (!error)
		error = build_script(settings, &input->on_close, &bus->on_close);
	return error;
}

int
build_line_device(struct settings *settings, const struct device_input *input, struct device *device)
{
	int error = copy_text(settings, &device->pattern);

	if (!error)
		error = copy_bytes(settings, &device->address);
	if (!error)
		error = build_script(settings, &input->poll, &device->poll);
	return error;
}

int
build_line_point(struct settings *settings, const struct point_input *input, struct point *point)
{
	int error = build_field(settings, &input->line, &point->line);

	return error ? error : build_command(settings, &input->command, &point->command);
}
