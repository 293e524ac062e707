#include <config.h>

#include "conf/verify_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/mistakes.h"
#include "line/checksum.h"
#include "line/frame.h"
#include "line/pattern.h"
#include "line/template.h"
#include "model/codec.h"

#define BYTE_BITS	8
#define DEFAULT_GAP_MS	1000
#define DEFAULT_MAX	4096
#define TEXT_REGISTERS	125 /* a text that is written has 250 bytes at most */
#define USUAL_SEPARATOR ","
#define USUAL_ASSIGN	'='
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static const struct bytes usual_ends[] = { { (const uint8_t *)"\r", 1 }, { (const uint8_t *)"\n", 1 } };

/* Was it given, and rightly so? */
static bool
has(const char *group, const struct node *node, const char *name)
{
	return schema_is_in(schema_group(group), node->valid, name);
}

static bool
is_given(const char *group, const struct node *node, const char *name)
{
	return schema_is_in(schema_group(group), node->given, name);
}

static bool
is_wrong(const char *group, const struct node *node, const char *name)
{
	return schema_is_in(schema_group(group), node->given & ~node->valid, name);
}

/* Returns false, for the judge that has found it. */
static bool __attribute__((format(printf, 4, 5)))
fault(struct mistakes *mistakes, const struct node *node, const char *name, const char *format, ...)
{
	char text[2 * SCHEMA_TEXT_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mistakes_add(mistakes, node->setting, name, "%s", text);
	return false;
}

/* Buses. */

static void
verify_framing(struct bus_input *bus, struct mistakes *mistakes)
{
	struct framing *framing = &bus->framing.framing;
	const struct node *node = &bus->framing.node;
	int head = framing->length_at + framing->length_size;

	if (!node->setting) {
		*framing = (struct framing){ .type = FRAMING_DELIMITER, .gap_ms = DEFAULT_GAP_MS, .max_bytes = DEFAULT_MAX };
	}
	framing->length_little = bus->framing.length_order == BYTES_LITTLE;
	if (framing->type == FRAMING_FIXED && has("framing", node, "length")) {
		if (!has("framing", node, "max_bytes"))
			framing->max_bytes = framing->length;
		else if (framing->length > framing->max_bytes)
			fault(mistakes, node, "max_bytes", "%d is less than length, allowed are %d or more",
			    framing->max_bytes, framing->length);
		if (framing->start.length >= (size_t)framing->length)
			fault(mistakes, node, "start", "leaves no room for anything else, fewer than %d bytes are allowed",
			    framing->length);
		if (!is_given("framing", node, "start") && bus->checksum.checksum.type == CHECKSUM_NONE)
			fault(mistakes, node, "start",
			    "missing, without it or a checksum nobody can tell where a frame begins");
	}
	if (framing->type == FRAMING_LENGTH_FIELD && head > framing->max_bytes)
		fault(mistakes, node, "max_bytes", "%d has no room for the length, allowed are %d or more",
		    framing->max_bytes, head);
}

static void
verify_checksum(struct bus_input *bus, struct mistakes *mistakes)
{
	static const char *const places[] = { "order", "from", "to", "at", "form" };
	struct checksum *checksum = &bus->checksum.checksum;
	const struct node *node = &bus->checksum.node;
	const struct checksum_row *row = checksum_row(checksum->type);

	if (!has("checksum", node, "type"))
		return;
	for (size_t i = 0; checksum->type == CHECKSUM_NMEA && i < COUNT(places); i++)
		if (has("checksum", node, places[i]))
			fault(mistakes, node, places[i], "type nmea says itself where it is and how, leave it out");
	if (!has("checksum", node, "form"))
		checksum->form = row->form;
	if (checksum->form == CHECKSUM_SDI12 && row->bits != 16)
		fault(mistakes, node, "form", "\"sdi-12\" is for checksums of 16 bits, allowed are binary, hex");
	checksum->little = has("checksum", node, "order") ? bus->checksum.order == BYTES_LITTLE : row->little;
	if (has("checksum", node, "order") && checksum->form != CHECKSUM_BINARY)
		fault(mistakes, node, "order", "characters have their own order, order is allowed with form binary");
	if (checksum->type == CHECKSUM_NONE)
		*checksum = (struct checksum){ .type = CHECKSUM_NONE };
}

/* An address is where one of these says. */
static void
verify_address(struct bus_input *bus, struct mistakes *mistakes)
{
	static const char *const names[] = { "column", "pattern", "json", "at" };
	static const enum line_source sources[] = { SOURCE_COLUMN, SOURCE_PATTERN, SOURCE_JSON, SOURCE_TEXT_AT };
	struct field_input *input = &bus->address.field;
	const struct node *node = &bus->address.node;
	size_t count = 0;

	if (!node->setting)
		return;
	for (size_t i = 0; i < COUNT(names); i++)
		if (is_given("address", node, names[i])) {
			input->field.source = sources[i];
			count++;
		}
	if (count != 1)
		fault(mistakes, node, NULL, "%s, one of column, pattern, json, at is required",
		    count == 0 ? "says nowhere" : "says several places");
	input->field.format = FORMAT_STRING;
	input->field.text = input->pattern ? input->pattern : input->json;
}

static void
verify_script(const struct items *steps, bool addressed, struct mistakes *mistakes)
{
	static const char *const acts[] = { "baud", "send", "expect", "frame", "delay_ms" };
	const struct script_step_input *inputs = steps->items;

	for (size_t i = 0; i < steps->count; i++) {
		const struct node *node = &inputs[i].node;
		const char *wrong = template_judge(&inputs[i].step.send, false);
		bool any = false;

		for (size_t j = 0; j < COUNT(acts); j++)
			any = any || is_given("script step", node, acts[j]);
		if (!any)
			fault(mistakes, node, NULL, "does nothing, one of baud, send, expect, frame, delay_ms is required");
		if (wrong)
			fault(mistakes, node, "send", "%s", wrong);
		if (!addressed && inputs[i].step.send.length > 0 &&
		    memmem(inputs[i].step.send.data, inputs[i].step.send.length, "${address}", strlen("${address}")))
			fault(mistakes, node, "send", "has an ${address}, and there is no address here");
		if (inputs[i].step.frame && inputs[i].step.expect)
			fault(mistakes, node, "frame", "a step waits for one thing, expect or frame");
	}
}

void
verify_line_bus(struct bus_input *bus, struct mistakes *mistakes)
{
	if (!has("bus", &bus->node, "type") || !bus_is_line(&bus->bus))
		return;
	verify_checksum(bus, mistakes);
	verify_framing(bus, mistakes);
	verify_address(bus, mistakes);
	verify_script(&bus->on_open, false, mistakes);
	verify_script(&bus->on_close, false, mistakes);
	if (bus->framing.ends.count == 0)
		bus->framing.ends = (struct items){ .items = (void *)(uintptr_t)usual_ends, .count = COUNT(usual_ends) };
}

/* Devices. */

bool
verify_is_line(const struct point_input *point)
{
	if (point->bus_input)
		return has("bus", &point->bus_input->node, "type") && bus_is_line(&point->bus_input->bus);
	/* Which bus that is will not be known: what it looks like decides about what else is said of it. */
	return !is_given("point", &point->node, "table") && !is_given("point", &point->node, "addr");
}

static bool
has_line_points(const struct device_input *device)
{
	const struct point_input *points = device->points.items;

	for (size_t i = 0; i < device->points.count; i++)
		if (verify_is_line(&points[i]))
			return true;
	return false;
}

void
verify_line_device(struct device_input *device, struct mistakes *mistakes)
{
	static const char *const names[] = { "pattern", "address", "separator", "assign", "decimal_comma", "silence_s", "poll" };
	const struct node *node = &device->node;
	bool on_line = device->bus_input && has("bus", &device->bus_input->node, "type") &&
		       bus_is_line(&device->bus_input->bus);

	for (size_t i = 0; i < COUNT(names) && !has_line_points(device); i++)
		if (has("device", node, names[i]))
			fault(mistakes, node, names[i],
			    "none of its points is on a bus of serial instruments, %s is allowed for those", names[i]);
	if (on_line && has("device", node, "unit"))
		fault(mistakes, node, "unit", "a bus of serial instruments has no units, leave it out");
	if (device->bus_input && !on_line && has("device", node, "poll") && has_line_points(device))
		fault(mistakes, node, "poll", "the bus of the device has no serial instruments, another bus is required");
	if (on_line && device->bus_input->bus.type == BUS_FILE && has("device", node, "poll"))
		fault(mistakes, node, "poll", "a file cannot be asked, poll is allowed on serial and serial-tcp");
	if (on_line && device->device.address.length > 0 && !device->bus_input->address.node.setting &&
	    device->poll.count == 0)
		fault(mistakes, node, "address",
		    "does nothing: the bus does not say where in a frame an address is, and nothing is asked by it");
	verify_script(&device->poll, device->device.address.length > 0, mistakes);
}

/* Points. */

static void
refuse(const struct point_input *point, const char *const *names, size_t count, const char *why, struct mistakes *mistakes)
{
	for (size_t i = 0; i < count; i++)
		if (is_given("point", &point->node, names[i]))
			fault(mistakes, &point->node, names[i], "%s", why);
}

bool
verify_modbus_point(const struct point_input *point, struct mistakes *mistakes)
{
	static const char *const foreign[] = { "column", "sentence", "field", "pattern", "group", "json", "obis", "at",
		"length", "format", "no_value", "command" };
	static const char *const needed[] = { "table", "addr" };
	char wanted[SCHEMA_TEXT_SIZE];

	for (size_t i = 0; i < COUNT(needed); i++)
		if (!is_given("point", &point->node, needed[i]))
			fault(mistakes, &point->node, needed[i], "missing, %s is required",
			    schema_wanted(schema_find(schema_group("point"), needed[i], 0), wanted, sizeof(wanted)));
	refuse(point, foreign, COUNT(foreign), "is for serial instruments, and the bus is none of theirs, leave it out", mistakes);
	return has("point", &point->node, "table");
}

/* Which setting says where the point is. Returns false if none or several do, or one that is wrong. */
static bool
settle_source(struct point_input *point, struct mistakes *mistakes)
{
	static const struct {
		const char *name;
		enum line_source source;
	} places[] = { { "field", SOURCE_FIELD }, { "json", SOURCE_JSON }, { "obis", SOURCE_OBIS },
		{ "pattern", SOURCE_PATTERN }, { "group", SOURCE_GROUP }, { "column", SOURCE_COLUMN }, { "at", SOURCE_TEXT_AT } };
	const struct node *node = &point->node;
	size_t count = 0;

	for (size_t i = 0; i < COUNT(places); i++) {
		bool part = (places[i].source == SOURCE_GROUP && is_given("point", node, "pattern")) ||
			    (places[i].source == SOURCE_COLUMN && is_given("point", node, "obis"));

		if (is_wrong("point", node, places[i].name))
			return false;
		if (part || !has("point", node, places[i].name))
			continue;
		point->line.field.source = places[i].source;
		count++;
	}
	if (!point->readable) {
		point->line.field.source = SOURCE_NOWHERE;
		return count == 0 || fault(mistakes, node, "readable", "the point says where in a frame it is, and is never read: leave one of both out");
	}
	if (count == 0)
		return fault(mistakes, node, NULL,
		    "it is not said where in a frame it is, one of column, field, pattern, group, json, obis, at is required");
	if (count > 1)
		return fault(mistakes, node, NULL,
		    "it is said to be in several places, only one of column, field, pattern, group, json, obis, at is allowed");
	if (point->line.field.source == SOURCE_TEXT_AT && is_given("point", node, "type"))
		point->line.field.source = SOURCE_BYTES_AT;
	return true;
}

/* Is there a group of that name in the pattern? Patterns compile, the reader has tried. */
static bool
has_group(const char *text, const char *name)
{
	struct pattern *pattern;
	bool found;

	if (pattern_new(text, &pattern, NULL) != 0)
		return true;
	found = pattern_group(pattern, name) >= 0;
	pattern_free(pattern);
	return found;
}

static bool
verify_group(const struct point_input *point, const struct device_input *device, struct mistakes *mistakes)
{
	const struct node *node = &point->node;
	const char *text = point->line.field.source == SOURCE_GROUP ? device->device.pattern : point->line.pattern;
	const char *name = point->line.field.group;
	char quoted[MISTAKES_QUOTE_SIZE];

	if (!has("point", node, "group"))
		return true;
	if (point->line.field.source == SOURCE_GROUP && is_wrong("device", &device->node, "pattern"))
		return false;
	if (!text)
		return fault(mistakes, node, "group", "neither the point nor its device has a pattern, which is required with it");
	if (!has_group(text, name))
		return fault(mistakes, node, "group", "the pattern has no group %s, (?<%s>...) is one", mistakes_quote(name, quoted),
		    name);
	return true;
}

/* Settings that belong to some of the places only. */
static void
verify_parts(const struct point_input *point, struct mistakes *mistakes)
{
	static const char *const binary[] = { "order", "bit", "bits", "array", "type" };
	static const char *const textual[] = { "length", "format", "no_value" };
	enum line_source source = point->line.field.source;
	const struct node *node = &point->node;

	if (source == SOURCE_BYTES_AT)
		refuse(point, textual, COUNT(textual), "is for texts, and a point with at and type is bytes, leave it out", mistakes);
	else
		refuse(point, binary, COUNT(binary), "is for bytes, which a point with at has, leave it out", mistakes);
	if (has("point", node, "sentence") && source != SOURCE_COLUMN)
		fault(mistakes, node, "sentence", "a sentence has columns, column is required with it");
	if (is_given("point", node, "length") && source != SOURCE_TEXT_AT && source != SOURCE_BYTES_AT)
		fault(mistakes, node, "length", "is for a point with at, leave it out");
	if (source == SOURCE_TEXT_AT && !is_given("point", node, "length"))
		fault(mistakes, node, "length", "missing, at needs it, or a type of bytes");
	if (has("point", node, "format") && point->line.field.format == FORMAT_DEGREES && source != SOURCE_COLUMN)
		fault(mistakes, node, "format", "\"degrees\" have N, S, E or W in the next column, column is required with them");
}

/* The type whose registers would hold what is read from text, so that values for it can be judged. */
static enum point_type
type_of_format(const struct point_input *point)
{
	switch (point->line.field.format) {
	case FORMAT_STRING:
		return TYPE_STRING;
	case FORMAT_BOOL:
		return TYPE_BOOL;
	case FORMAT_HEX:
		return TYPE_UINT64;
	case FORMAT_DEGREES:
	case FORMATS:
		return TYPE_FLOAT64;
	case FORMAT_NUMBER:
		break;
	}
	return point->labels.count > 0 ? TYPE_INT64 : TYPE_FLOAT64;
}

static bool
settle_bytes(struct point_input *input, struct mistakes *mistakes)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	const struct codec_type *type = codec_type(point->type);
	bool bit = has("point", node, "bit");
	int width = type->bits == 1 ? BYTE_BITS : type->bits;

	if (is_wrong("point", node, "type") || is_wrong("point", node, "bit") || is_wrong("point", node, "bits") ||
	    is_wrong("point", node, "array"))
		return false;
	if (type->registers == 0)
		return fault(mistakes, node, "type", "\"%s\" is text: length and format say so, without a type", type->name);
	if (bit && type->bits == 0)
		return fault(mistakes, node, "bit", "type %s has no bits to pick, bit is allowed for bool and integers", type->name);
	if (has("point", node, "bits") && !bit)
		return fault(mistakes, node, "bit", "missing, bits needs the lowest of them");
	if (bit && point->bits == 0)
		point->bits = 1;
	if (bit && point->bit + point->bits > width)
		return fault(mistakes, node, "bit", "%d and %d bits reach beyond the %d of type %s, allowed are 0..%d", point->bit,
		    point->bits, width, type->name, width - point->bits);
	if (!bit) {
		point->bit = width == BYTE_BITS ? 0 : POINT_NO_BIT;
		point->bits = width == BYTE_BITS ? BYTE_BITS : 0;
	}
	if (has("point", node, "array") && (width == BYTE_BITS || bit))
		return fault(mistakes, node, "array", "the point is no number of whole registers, array is allowed for those");
	point->count = type->registers * (point->array > 0 ? point->array : 1);
	if (point->count > MODBUS_MAX_READ_REGISTERS)
		return fault(mistakes, node, "array", "%d of type %s are too many, allowed are 2..%d", point->array, type->name,
		    MODBUS_MAX_READ_REGISTERS / type->registers);
	input->line.field.length = width == BYTE_BITS ? 1 : 2 * point->count;
	return true;
}

static void
settle_text(struct point_input *input)
{
	struct point *point = &input->point;
	const struct codec_type *type;

	point->type = type_of_format(input);
	type = codec_type(point->type);
	point->count = type->registers > 0 ? type->registers : TEXT_REGISTERS;
	point->bit = POINT_NO_BIT;
	if (!has("point", &input->node, "decimals"))
		point->decimals = DECIMALS_TEXT;
}

static void
verify_command(const struct point_input *point, struct mistakes *mistakes)
{
	const struct node *node = &point->node;
	const struct command_input *command = &point->command;
	struct bytes expect;
	const char *wrong;

	if (point->point.writable && !is_given("point", node, "command"))
		fault(mistakes, node, "command", "missing, a serial instrument can be written with one only");
	if (!point->point.writable && is_given("point", node, "command") && !is_wrong("point", node, "writable"))
		fault(mistakes, node, "command", "the point is not writable, writable = true is required");
	if (point->bus_input && point->bus_input->bus.type == BUS_FILE && point->point.writable)
		fault(mistakes, node, "writable", "a file cannot be told anything, writable is allowed on serial and serial-tcp");
	if (!command->node.setting)
		return;
	wrong = template_judge(&command->command.send, true);
	if (wrong)
		fault(mistakes, &command->node, "send", "%s", wrong);
	if (!has("command", &command->node, "expect"))
		return;
	expect = (struct bytes){ .data = (const uint8_t *)command->command.expect, .length = strlen(command->command.expect) };
	wrong = template_judge(&expect, true);
	if (wrong)
		fault(mistakes, &command->node, "expect", "%s", wrong);
}

/* The period of a device is that of its poll; where there is none it is that of its points, if it is given. */
static bool
is_thinned(const struct device_input *device)
{
	return has("device", &device->node, "period_ms") && !has("device", &device->node, "poll");
}

bool
verify_line_point(struct point_input *input, const struct device_input *device, struct mistakes *mistakes)
{
	static const char *const foreign[] = { "table", "addr", "unit", "count", "chars", "byte", "write", "verify" };
	struct line_field *field = &input->line.field;
	bool known;

	refuse(input, foreign, COUNT(foreign), "is for Modbus, and the bus is one of serial instruments, leave it out", mistakes);
	input->point.table = TABLE_HOLDING;
	input->point.addr = 0;
	if (!has("point", &input->node, "period_ms"))
		field->period_ms = is_thinned(device) ? device->device.period_ms : 0;
	else
		field->period_ms = input->point.period_ms;
	verify_command(input, mistakes);
	if (!settle_source(input, mistakes) || !verify_group(input, device, mistakes))
		return false;
	verify_parts(input, mistakes);
	field->text = field->source == SOURCE_FIELD	? input->line.name
		      : field->source == SOURCE_PATTERN ? input->line.pattern
		      : field->source == SOURCE_JSON	? input->line.json
		      : field->source == SOURCE_OBIS	? input->line.obis
							: NULL;
	field->separator = device->separator ? device->separator : field->source == SOURCE_FIELD ? NULL : USUAL_SEPARATOR;
	field->assign = USUAL_ASSIGN;
	if (device->assign)
		field->assign = device->assign[0];
	field->decimal_comma = device->decimal_comma;
	known = !is_wrong("point", &input->node, "format");
	if (field->source == SOURCE_BYTES_AT)
		known = settle_bytes(input, mistakes);
	else
		settle_text(input);
	return known;
}
