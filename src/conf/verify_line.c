#include <config.h>

#include "conf/verify_line.h"

#include <stdio.h>
#include <string.h>

#include "conf/mistakes.h"
#include "conf/node.h"
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
	if (framing->type == FRAMING_FIXED && node_has(&schema_framing, node, "length")) {
		if (!node_has(&schema_framing, node, "max_bytes"))
			framing->max_bytes = framing->length;
		else if (framing->length > framing->max_bytes)
			node_fault(mistakes, node, "max_bytes", "%d is less than length, allowed are %d or more",
			    framing->max_bytes, framing->length);
		if (framing->start.length >= (size_t)framing->length)
			node_fault(mistakes, node, "start", "leaves no room for anything else, fewer than %d bytes are allowed",
			    framing->length);
		if (!node_is_given(&schema_framing, node, "start") && bus->checksum.checksum.type == CHECKSUM_NONE)
			node_fault(mistakes, node, "start",
			    "missing, without it or a checksum nobody can tell where a frame begins");
	}
	if (framing->type == FRAMING_LENGTH_FIELD && head > framing->max_bytes)
		node_fault(mistakes, node, "max_bytes", "%d has no room for the length, allowed are %d or more",
		    framing->max_bytes, head);
}

static void
verify_checksum(struct bus_input *bus, struct mistakes *mistakes)
{
	static const char *const places[] = { "order", "from", "to", "at", "form" };
	struct checksum *checksum = &bus->checksum.checksum;
	const struct node *node = &bus->checksum.node;
	const struct checksum_row *row = checksum_row(checksum->type);

	if (!node_has(&schema_checksum, node, "type"))
		return;
	for (size_t i = 0; checksum->type == CHECKSUM_NMEA && i < COUNT(places); i++)
		if (node_has(&schema_checksum, node, places[i]))
			node_fault(mistakes, node, places[i], "type nmea says itself where it is and how, leave it out");
	if (!node_has(&schema_checksum, node, "form"))
		checksum->form = row->form;
	if (checksum->form == CHECKSUM_SDI12 && row->bits != 16)
		node_fault(mistakes, node, "form", "\"sdi-12\" is for checksums of 16 bits, allowed are binary, hex");
	checksum->little = node_has(&schema_checksum, node, "order") ? bus->checksum.order == BYTES_LITTLE : row->little;
	if (node_has(&schema_checksum, node, "order") && checksum->form != CHECKSUM_BINARY)
		node_fault(mistakes, node, "order", "characters have their own order, order is allowed with form binary");
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
		if (node_is_given(&schema_address, node, names[i])) {
			input->field.source = sources[i];
			count++;
		}
	if (count != 1)
		node_fault(mistakes, node, NULL, "%s, one of column, pattern, json, at is required",
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
			any = any || node_is_given(&schema_script_step, node, acts[j]);
		if (!any)
			node_fault(mistakes, node, NULL, "does nothing, one of baud, send, expect, frame, delay_ms is required");
		if (wrong)
			node_fault(mistakes, node, "send", "%s", wrong);
		if (!addressed && inputs[i].step.send.length > 0 &&
		    memmem(inputs[i].step.send.data, inputs[i].step.send.length, "${address}", strlen("${address}")))
			node_fault(mistakes, node, "send", "has an ${address}, and there is no address here");
		if (inputs[i].step.frame && inputs[i].step.expect)
			node_fault(mistakes, node, "frame", "a step waits for one thing, expect or frame");
	}
}

void
verify_line_bus(struct bus_input *bus, struct mistakes *mistakes)
{
	if (!node_has(&schema_bus, &bus->node, "type") || !bus_is_line(&bus->bus))
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
		return node_has(&schema_bus, &point->bus_input->node, "type") && bus_is_line(&point->bus_input->bus);
	/* Which bus that is will not be known: what it looks like decides about what else is said of it. */
	return !node_is_given(&schema_point, &point->node, "table") && !node_is_given(&schema_point, &point->node, "addr");
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
	bool on_line = device->bus_input && node_has(&schema_bus, &device->bus_input->node, "type") &&
		       bus_is_line(&device->bus_input->bus);

	for (size_t i = 0; i < COUNT(names) && !has_line_points(device); i++)
		if (node_has(&schema_device, node, names[i]))
			node_fault(mistakes, node, names[i],
			    "none of its points is on a bus of serial instruments, %s is allowed for those", names[i]);
	if (on_line && node_has(&schema_device, node, "unit"))
		node_fault(mistakes, node, "unit", "a bus of serial instruments has no units, leave it out");
	if (device->bus_input && !on_line && node_has(&schema_device, node, "poll") && has_line_points(device))
		node_fault(mistakes, node, "poll", "the bus of the device has no serial instruments, another bus is required");
	if (on_line && device->bus_input->bus.type == BUS_FILE && node_has(&schema_device, node, "poll"))
		node_fault(mistakes, node, "poll", "a file cannot be asked, poll is allowed on serial and serial-tcp");
	if (on_line && device->device.address.length > 0 && !device->bus_input->address.node.setting &&
	    device->poll.count == 0)
		node_fault(mistakes, node, "address",
		    "does nothing: the bus does not say where in a frame an address is, and nothing is asked by it");
	verify_script(&device->poll, device->device.address.length > 0, mistakes);
}

/* Points. */

static void
refuse(const struct point_input *point, const char *const *names, size_t count, const char *why, struct mistakes *mistakes)
{
	for (size_t i = 0; i < count; i++)
		if (node_is_given(&schema_point, &point->node, names[i]))
			node_fault(mistakes, &point->node, names[i], "%s", why);
}

bool
verify_modbus_point(const struct point_input *point, struct mistakes *mistakes)
{
	static const char *const foreign[] = { "column", "sentence", "field", "pattern", "group", "json", "obis", "at",
		"length", "format", "no_value", "command" };
	static const char *const needed[] = { "table", "addr" };
	char wanted[SCHEMA_TEXT_SIZE];

	for (size_t i = 0; i < COUNT(needed); i++)
		if (!node_is_given(&schema_point, &point->node, needed[i]))
			node_fault(mistakes, &point->node, needed[i], "missing, %s is required",
			    schema_wanted(schema_find(&schema_point, needed[i], 0), wanted, sizeof(wanted)));
	refuse(point, foreign, COUNT(foreign), "is for serial instruments, and the bus is none of theirs, leave it out", mistakes);
	return node_has(&schema_point, &point->node, "table");
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
		bool part = (places[i].source == SOURCE_GROUP && node_is_given(&schema_point, node, "pattern")) ||
			    (places[i].source == SOURCE_COLUMN && node_is_given(&schema_point, node, "obis"));

		if (node_is_wrong(&schema_point, node, places[i].name))
			return false;
		if (part || !node_has(&schema_point, node, places[i].name))
			continue;
		point->line.field.source = places[i].source;
		count++;
	}
	if (!point->readable) {
		point->line.field.source = SOURCE_NOWHERE;
		return count == 0 || node_fault(mistakes, node, "readable", "the point says where in a frame it is, and is never read: leave one of both out");
	}
	if (count == 0)
		return node_fault(mistakes, node, NULL,
		    "it is not said where in a frame it is, one of column, field, pattern, group, json, obis, at is required");
	if (count > 1)
		return node_fault(mistakes, node, NULL,
		    "it is said to be in several places, only one of column, field, pattern, group, json, obis, at is allowed");
	if (point->line.field.source == SOURCE_TEXT_AT && node_is_given(&schema_point, node, "type"))
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

	if (!node_has(&schema_point, node, "group"))
		return true;
	if (point->line.field.source == SOURCE_GROUP && node_is_wrong(&schema_device, &device->node, "pattern"))
		return false;
	if (!text)
		return node_fault(mistakes, node, "group", "neither the point nor its device has a pattern, which is required with it");
	if (!has_group(text, name))
		return node_fault(mistakes, node, "group", "the pattern has no group %s, (?<%s>...) is one", mistakes_quote(name, quoted),
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
	if (node_has(&schema_point, node, "sentence") && source != SOURCE_COLUMN)
		node_fault(mistakes, node, "sentence", "a sentence has columns, column is required with it");
	if (node_is_given(&schema_point, node, "length") && source != SOURCE_TEXT_AT && source != SOURCE_BYTES_AT)
		node_fault(mistakes, node, "length", "is for a point with at, leave it out");
	if (source == SOURCE_TEXT_AT && !node_is_given(&schema_point, node, "length"))
		node_fault(mistakes, node, "length", "missing, at needs it, or a type of bytes");
	if (node_has(&schema_point, node, "format") && point->line.field.format == FORMAT_DEGREES && source != SOURCE_COLUMN)
		node_fault(mistakes, node, "format", "\"degrees\" have N, S, E or W in the next column, column is required with them");
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
	bool bit = node_has(&schema_point, node, "bit");
	int width = type->bits == 1 ? BYTE_BITS : type->bits;

	if (node_is_wrong(&schema_point, node, "type") || node_is_wrong(&schema_point, node, "bit") || node_is_wrong(&schema_point, node, "bits") ||
	    node_is_wrong(&schema_point, node, "array"))
		return false;
	if (type->registers == 0)
		return node_fault(mistakes, node, "type", "\"%s\" is text: length and format say so, without a type", type->name);
	if (bit && type->bits == 0)
		return node_fault(mistakes, node, "bit", "type %s has no bits to pick, bit is allowed for bool and integers", type->name);
	if (node_has(&schema_point, node, "bits") && !bit)
		return node_fault(mistakes, node, "bit", "missing, bits needs the lowest of them");
	if (bit && point->bits == 0)
		point->bits = 1;
	if (bit && point->bit + point->bits > width)
		return node_fault(mistakes, node, "bit", "%d and %d bits reach beyond the %d of type %s, allowed are 0..%d", point->bit,
		    point->bits, width, type->name, width - point->bits);
	if (!bit) {
		point->bit = width == BYTE_BITS ? 0 : POINT_NO_BIT;
		point->bits = width == BYTE_BITS ? BYTE_BITS : 0;
	}
	if (node_has(&schema_point, node, "array") && (width == BYTE_BITS || bit))
		return node_fault(mistakes, node, "array", "the point is no number of whole registers, array is allowed for those");
	point->count = type->registers * (point->array > 0 ? point->array : 1);
	if (point->count > MODBUS_MAX_READ_REGISTERS)
		return node_fault(mistakes, node, "array", "%d of type %s are too many, allowed are 2..%d", point->array, type->name,
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
	if (!node_has(&schema_point, &input->node, "decimals"))
		point->decimals = DECIMALS_TEXT;
}

static void
verify_command(const struct point_input *point, struct mistakes *mistakes)
{
	const struct node *node = &point->node;
	const struct command_input *command = &point->command;
	struct bytes expect;
	const char *wrong;

	if (point->point.writable && !node_is_given(&schema_point, node, "command"))
		node_fault(mistakes, node, "command", "missing, a serial instrument can be written with one only");
	if (!point->point.writable && node_is_given(&schema_point, node, "command") && !node_is_wrong(&schema_point, node, "writable"))
		node_fault(mistakes, node, "command", "the point is not writable, writable = true is required");
	if (point->bus_input && point->bus_input->bus.type == BUS_FILE && point->point.writable)
		node_fault(mistakes, node, "writable", "a file cannot be told anything, writable is allowed on serial and serial-tcp");
	if (!command->node.setting)
		return;
	wrong = template_judge(&command->command.send, true);
	if (wrong)
		node_fault(mistakes, &command->node, "send", "%s", wrong);
	if (!node_has(&schema_command, &command->node, "expect"))
		return;
	expect = (struct bytes){ .data = (const uint8_t *)command->command.expect, .length = strlen(command->command.expect) };
	wrong = template_judge(&expect, true);
	if (wrong)
		node_fault(mistakes, &command->node, "expect", "%s", wrong);
}

/* The period of a device is that of its poll; where there is none it is that of its points, if it is given. */
static bool
is_thinned(const struct device_input *device)
{
	return node_has(&schema_device, &device->node, "period_ms") && !node_has(&schema_device, &device->node, "poll");
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
	if (!node_has(&schema_point, &input->node, "period_ms"))
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
	known = !node_is_wrong(&schema_point, &input->node, "format");
	if (field->source == SOURCE_BYTES_AT)
		known = settle_bytes(input, mistakes);
	else
		settle_text(input);
	return known;
}
