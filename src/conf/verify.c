#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/mistakes.h"
#include "conf/schema_calls.h"
#include "conf/verify.h"
#include "conf/verify_line.h"
#include "model/codec.h"

#define TABLE_CELLS 65536 /* Modbus Application Protocol V1.1b3, 4.3 */
#define WORD_BITS   16
#define BYTE_BITS   8
#define TLS_PORT    8883 /* IANA: secure-mqtt */

/* Texts that must be unique, and are looked up. */
struct entry {
	const char *text;
	const config_setting_t *setting; /* whose text it is */
	size_t at;			 /* where that is in its list */
};

struct index {
	struct entry *entries; /* by text, then by place in the file */
	size_t count;
};

/* The groups that verify_all() is about. */
struct verify {
	struct root_input *root;
	struct mistakes *mistakes;
	struct index buses;
};

/* The groups of the schema, for the names of their rows. */
enum group_at {
	GROUP_ROOT,
	GROUP_SERVER,
	GROUP_STORE,
	GROUP_CLOCK,
	GROUP_BUS,
	GROUP_DEVICE,
	GROUP_POINT,
	GROUP_RPC,
	GROUP_STEP,
	GROUP_LABEL,
	GROUP_WRITE,
	GROUP_CLOUD_LOSS
};

static bool
is_in(const struct setting_group *group, uint64_t bits, const char *name)
{
	for (size_t i = 0; i < group->row_count; i++)
		if ((bits >> i & 1) && strcmp(group->rows[i].name, name) == 0)
			return true;
	return false;
}

/* Was it given, and rightly so? */
static bool
has(enum group_at group, const struct node *node, const char *name)
{
	return is_in(schema_groups[group], node->valid, name);
}

/* Was it given, and is wrong? Then what depends on it is not judged. */
static bool
is_wrong(enum group_at group, const struct node *node, const char *name)
{
	return is_in(schema_groups[group], node->given & ~node->valid, name);
}

static int
compare_entries(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = strcmp(a->text, b->text);

	return order ? order : a->at < b->at ? -1 : a->at > b->at;
}

static int
index_init(struct index *index, size_t most)
{
	index->count = 0;
	index->entries = calloc(most ? most : 1, sizeof(*index->entries));
	return index->entries ? 0 : -ENOMEM;
}

static void
index_done(struct index *index)
{
	free(index->entries);
	index->entries = NULL;
	index->count = 0;
}

static void
index_add(struct index *index, const char *text, const config_setting_t *setting, size_t at)
{
	index->entries[index->count++] = (struct entry){ .text = text, .setting = setting, .at = at };
}

/* Sort, and report each text that was there before.
 * name  of the setting in its group; NULL: the group is itself the setting */
static void
index_close(struct index *index, struct mistakes *mistakes, const char *name, const char *what)
{
	const struct entry *first = index->entries;
	char quoted[MISTAKES_QUOTE_SIZE], also[MISTAKES_ALSO_SIZE];

	qsort(index->entries, index->count, sizeof(index->entries[0]), compare_entries);
	for (const struct entry *entry = index->entries; entry < index->entries + index->count; entry++) {
		if (strcmp(entry->text, first->text) != 0)
			first = entry;
		if (entry == first)
			continue;
		mistakes_add(mistakes, entry->setting, name, "%s is %s of %s too, each must be unique",
		    mistakes_quote(entry->text, quoted), what,
		    mistakes_also(mistakes, entry->setting, first->setting, also));
	}
}

static const struct entry *
index_find(const struct index *index, const char *text)
{
	size_t from = 0, to = index->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (strcmp(index->entries[middle].text, text) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from < index->count && strcmp(index->entries[from].text, text) == 0 ? &index->entries[from]
										   : NULL;
}

/* "(plc, meters, ...)" for a message about a name that is none. */
static const char *
index_names(const struct index *index, char *text, size_t size)
{
	char quoted[MISTAKES_QUOTE_SIZE];
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < index->count; i++) {
		mistakes_quote(index->entries[i].text, quoted);
		if (used + strlen(quoted) + sizeof(", ...") > size) {
			snprintf(text + used, size - used, ", ...");
			break;
		}
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", quoted);
	}
	return text;
}

/* Buses. */

static char *
lower(char *text)
{
	for (char *c = text; c && *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return text;
}

static bool
has_port(const struct bus *bus)
{
	return bus->type == BUS_RTU || bus->type == BUS_SERIAL;
}

/* What a bus occupies, so that two cannot: the device behind the path, or host and port. Allocated; NULL
 * without memory. */
static char *
bus_line(const struct bus *bus)
{
	char *line = NULL;

	if (has_port(bus) && bus->port[0] == '/') {
		line = realpath(bus->port, NULL);
		return line ? line : strdup(bus->port);
	}
	if (has_port(bus))
		return lower(strdup(bus->port));
	return asprintf(&line, "%s %d", bus->host, bus->tcp_port) < 0 ? NULL : lower(line);
}

static bool
knows_line(const struct bus_input *bus)
{
	return has(GROUP_BUS, &bus->node, "type") && bus->bus.type != BUS_FILE &&
	       !is_wrong(GROUP_BUS, &bus->node, "port") &&
	       (has_port(&bus->bus) ? bus->bus.port != NULL : bus->bus.host != NULL);
}

static void
report_shared_line(struct verify *verify, const struct bus_input *bus, const struct bus_input *first)
{
	char quoted[MISTAKES_QUOTE_SIZE], also[MISTAKES_ALSO_SIZE];

	mistakes_also(verify->mistakes, bus->node.setting, first->node.setting, also);
	if (has_port(&bus->bus))
		mistakes_add(verify->mistakes, bus->node.setting, "port",
		    "two buses use the port %s (also %s), each must have its own",
		    mistakes_quote(bus->bus.port, quoted), also);
	else
		mistakes_add(verify->mistakes, bus->node.setting, "host",
		    "two buses use %s port %d (also %s), each must have its own",
		    mistakes_quote(bus->bus.host, quoted), bus->bus.tcp_port, also);
}

static int
verify_lines(struct verify *verify)
{
	struct bus_input *buses = verify->root->buses.items;
	size_t count = verify->root->buses.count;
	struct index lines;
	int error = index_init(&lines, count);

	for (size_t i = 0; !error && i < count; i++)
		if (knows_line(&buses[i])) {
			char *line = bus_line(&buses[i].bus);

			if (line)
				index_add(&lines, line, buses[i].node.setting, i);
			else
				error = -ENOMEM;
		}
	if (!error)
		qsort(lines.entries, lines.count, sizeof(lines.entries[0]), compare_entries);
	for (size_t i = 1, first = 0; !error && i < lines.count; i++) {
		if (strcmp(lines.entries[i].text, lines.entries[first].text) == 0)
			report_shared_line(
			    verify, &buses[lines.entries[i].at], &buses[lines.entries[first].at]);
		else
			first = i;
	}
	for (size_t i = 0; i < lines.count; i++)
		free((void *)(uintptr_t)lines.entries[i].text);
	index_done(&lines);
	return error;
}

static void
verify_rs485(struct verify *verify, const struct bus_input *input)
{
	static const char *const delays[] = { "rts_before_us", "rts_after_us" };

	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++)
		if (input->bus.rs485 == RS485_OFF && has(GROUP_BUS, &input->node, delays[i]) &&
		    !is_wrong(GROUP_BUS, &input->node, "rs485"))
			mistakes_add(verify->mistakes, input->node.setting, delays[i],
			    "nothing is switched with rs485 off, %s is allowed with kernel, rts and "
			    "rts-inverted",
			    delays[i]);
}

static int
verify_buses(struct verify *verify)
{
	struct bus_input *buses = verify->root->buses.items;
	int error = index_init(&verify->buses, verify->root->buses.count);

	if (error)
		return error;
	for (size_t i = 0; i < verify->root->buses.count; i++) {
		if (buses[i].bus.name)
			index_add(&verify->buses, buses[i].bus.name, buses[i].node.setting, i);
		verify_rs485(verify, &buses[i]);
		verify_line_bus(&buses[i], verify->mistakes);
	}
	index_close(&verify->buses, verify->mistakes, "name", "the name");
	return verify_lines(verify);
}

/* The bus called `name`; reports it if there is none. */
static const struct bus_input *
find_bus(struct verify *verify, const struct node *node, const char *name)
{
	const struct bus_input *buses = verify->root->buses.items;
	const struct entry *entry = index_find(&verify->buses, name);
	char quoted[MISTAKES_QUOTE_SIZE], names[SCHEMA_TEXT_SIZE];

	if (entry)
		return &buses[entry->at];
	mistakes_add(verify->mistakes, node->setting, "bus", "there is no bus %s, allowed are %s",
	    mistakes_quote(name, quoted),
	    verify->buses.count ? index_names(&verify->buses, names, sizeof(names)) : "the names of buses");
	return NULL;
}

/* Modbus over serial line V1.02, 2.2: 1..247 are units, 0 speaks to all and none answers. On TCP 0 and 255
 * mean the addressed host itself (Modbus Messaging on TCP/IP V1.0b, 4.4.1.2). */
static bool
unit_fits(const struct bus_input *bus, int unit)
{
	return (unit >= 1 && unit <= 247) || (bus->bus.type == BUS_TCP && (unit == 0 || unit == 255));
}

static bool
verify_unit(struct verify *verify, const struct node *node, const struct bus_input *bus, int unit)
{
	char quoted[MISTAKES_QUOTE_SIZE];

	if (!bus || !has(GROUP_BUS, &bus->node, "type") || bus_is_line(&bus->bus) || unit_fits(bus, unit))
		return true;
	mistakes_add(verify->mistakes, node->setting, "unit", "%d is no unit of bus %s, allowed are %s", unit,
	    mistakes_quote(bus->bus.name ? bus->bus.name : "", quoted),
	    bus->bus.type == BUS_TCP ? "0..247 and 255" : "1..247");
	return false;
}

/* Points. */

/* Returns false, for the judge that has found it. */
static bool __attribute__((format(printf, 4, 5)))
fault(struct verify *verify, const struct node *node, const char *name, const char *format, ...)
{
	char text[2 * SCHEMA_TEXT_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mistakes_add(verify->mistakes, node->setting, name, "%s", text);
	return false;
}

static const char *
types_for_bits(char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < TYPE_COUNT; i++)
		if (codec_type((enum point_type)i)->bits > 0 && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
			    codec_type((enum point_type)i)->name);
	return text;
}

/* What only registers have. */
static void
verify_cells(struct verify *verify, const struct node *node, enum point_table table)
{
	static const char *const names[] = { "bit", "bits", "byte" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (has(GROUP_POINT, node, names[i]))
			fault(verify, node, names[i],
			    "the table %s holds single bits, %s is allowed in input and holding",
			    point_table_name(table), names[i]);
	if (has(GROUP_POINT, node, "order"))
		fault(verify, node, "order",
		    "the table %s has no bytes to order, order is allowed in input and holding",
		    point_table_name(table));
}

/* Which bits of its registers the point is. Returns false if that is not known. */
static bool
verify_field(struct verify *verify, struct point_input *input)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	const struct codec_type *type = codec_type(point->type);
	bool bit = has(GROUP_POINT, node, "bit"), bits = has(GROUP_POINT, node, "bits");
	int most = type->registers * WORD_BITS;

	if (is_wrong(GROUP_POINT, node, "bit") || is_wrong(GROUP_POINT, node, "bits"))
		return false;
	if (has(GROUP_POINT, node, "byte") && (type->bits != BYTE_BITS || bit))
		return fault(verify, node, "byte", "%s, byte is allowed for int8 and uint8 without bit",
		    bit ? "bit says which bits it is" : "the type is no byte");
	if (bits && !bit)
		return fault(verify, node, "bit", "missing, bits needs the lowest of them");
	if (!bit) {
		point->bit = type->bits != BYTE_BITS	? POINT_NO_BIT
			     : input->byte == BYTE_HIGH ? BYTE_BITS
							: 0;
		point->bits = type->bits != BYTE_BITS ? 0 : BYTE_BITS;
		return true;
	}
	if (type->bits == 0)
		return fault(verify, node, "bit",
		    "type %s has no bits to pick, bit is allowed for bool and integers", type->name);
	if (!bits && point->type != TYPE_BOOL)
		return fault(verify, node, "type",
		    "\"%s\" is more than a bit, without bits only bool is allowed", type->name);
	if (!bits)
		point->bits = 1;
	if (point->bits > type->bits)
		return fault(verify, node, "bits", "%d do not fit type %s, allowed %s%d", point->bits,
		    type->name, type->bits > 1 ? "are 1.." : "is ", type->bits);
	if (point->bit + point->bits > most)
		return fault(verify, node, "bit",
		    "%d and %d bits reach beyond the %d of type %s, allowed are 0..%d", point->bit,
		    point->bits, most, type->name, most - point->bits);
	return true;
}

/* Numbers of whole registers can be several. */
static bool
verify_array(struct verify *verify, const struct point_input *input)
{
	const struct node *node = &input->node;
	const struct codec_type *type = codec_type(input->point.type);

	if (is_wrong(GROUP_POINT, node, "array"))
		return false;
	if (!has(GROUP_POINT, node, "array"))
		return true;
	if (point_table_has_bits(input->point.table) || !type->scalable || input->point.bit != POINT_NO_BIT)
		return fault(verify, node, "array",
		    "the point is no number of whole registers, array is allowed for those");
	if (input->point.deadband > 0)
		fault(verify, node, "deadband", "an array has none, deadband is allowed for single numbers");
	return true;
}

/* Settle the type. Returns false if it is not known. */
static bool
verify_type(struct verify *verify, struct point_input *input)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	bool bits = point_table_has_bits(point->table);
	bool bit = has(GROUP_POINT, node, "bit");
	char types[SCHEMA_TEXT_SIZE];

	if (bits)
		verify_cells(verify, node, point->table);
	if (!has(GROUP_POINT, node, "type")) {
		if (is_wrong(GROUP_POINT, node, "type"))
			return false;
		if (!bits && !bit && !is_wrong(GROUP_POINT, node, "bit"))
			return fault(verify, node, "type", "missing, %s is required",
			    schema_wanted(
				schema_find(schema_groups[GROUP_POINT], "type", 0), types, sizeof(types)));
		point->type = !bits && has(GROUP_POINT, node, "bits") ? TYPE_UINT16 : TYPE_BOOL;
	}
	if (bits && codec_type(point->type)->bits == 0)
		return fault(verify, node, "type", "\"%s\" does not fit the table %s, allowed are %s",
		    codec_type(point->type)->name, point_table_name(point->table),
		    types_for_bits(types, sizeof(types)));
	if (bits) {
		point->bit = POINT_NO_BIT;
		point->bits = 0;
	}
	return (bits || verify_field(verify, input)) && verify_array(verify, input);
}

/* Settle how many cells there are. Returns false if that is not known. */
static bool
verify_count(struct verify *verify, struct point_input *input)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	const struct codec_type *type = codec_type(point->type);
	bool given = has(GROUP_POINT, node, "count");
	bool bits = point_table_has_bits(point->table);
	int most = bits ? type->bits : type->registers * (point->array > 0 ? point->array : 1);

	if (is_wrong(GROUP_POINT, node, "count"))
		return false;
	if (!bits && most == 0) /* as many as it says */
		return given ||
		       fault(verify, node, "count", "missing, a whole number 1..%d is required for a %s",
			   MODBUS_MAX_READ_REGISTERS, type->name);
	if (most > MODBUS_MAX_READ_REGISTERS && !bits)
		return fault(verify, node, "array", "%d of type %s are %d registers, allowed are 2..%d",
		    point->array, type->name, most, MODBUS_MAX_READ_REGISTERS / type->registers);
	if (!given) {
		point->count = most;
		return true;
	}
	if (bits ? point->count > most : point->count != most)
		return fault(verify, node, "count", "%d does not fit type %s, allowed %s %s%d", point->count,
		    type->name, bits && most > 1 ? "are" : "is", bits && most > 1 ? "1.." : "", most);
	return true;
}

/* Orders that are for numbers of four registers only, or for any number. */
static void
verify_order(struct verify *verify, const struct point_input *input)
{
	const struct codec_type *type = codec_type(input->point.type);
	enum point_order order = input->point.order;

	if (!has(GROUP_POINT, &input->node, "order"))
		return;
	if (type->registers == 0 && order != ORDER_ABCD && order != ORDER_BADC)
		fault(verify, &input->node, "order",
		    "the words of a %s stay in order, allowed are ABCD, BADC", type->name);
	else if (order > ORDER_DCBA && type->registers != 4)
		fault(verify, &input->node, "order",
		    "type %s has not 64 bits, allowed are ABCD, CDAB, BADC, DCBA", type->name);
}

static void
verify_extent(struct verify *verify, const struct point_input *input, const struct device *device)
{
	const struct point *point = &input->point;
	bool bits = point_table_has_bits(point->table);
	const char *cells = bits ? "bits" : "registers";
	int most = bits ? device->max_bits : device->max_registers;

	if (most > 0 && point->count > most)
		fault(verify, &input->node, NULL,
		    "its %d %s are more than one read may have, %s of the device is %d", point->count, cells,
		    bits ? "max_bits" : "max_registers", most);

	if (has(GROUP_POINT, &input->node, "addr") && point->addr + point->count > TABLE_CELLS)
		fault(verify, &input->node, "addr",
		    "%d and %d %s reach beyond the last address 65535, allowed are 0..%d", point->addr,
		    point->count, cells, TABLE_CELLS - point->count);
	if (point->writable && point_table_writable(point->table) && !point_table_has_bits(point->table) &&
	    point->count > MODBUS_MAX_WRITE_REGISTERS)
		fault(verify, &input->node, "count",
		    "%d registers cannot be written at once, allowed are 1..%d", point->count,
		    MODBUS_MAX_WRITE_REGISTERS);
}

/* Settings that make sense for numbers only. */
static void
verify_scaling(struct verify *verify, const struct point_input *input)
{
	static const char *const names[] = { "scale", "offset", "decimals", "min", "max", "deadband",
		"deadband_percent", "valid_min", "valid_max" };
	const struct codec_type *type = codec_type(input->point.type);

	for (size_t i = 0; !type->scalable && i < sizeof(names) / sizeof(names[0]); i++)
		if (has(GROUP_POINT, &input->node, names[i]))
			fault(verify, &input->node, names[i], "a %s is no number, %s is allowed for numbers",
			    type->name, names[i]);
}

static void
verify_chars(struct verify *verify, const struct point_input *input)
{
	const struct codec_type *type = codec_type(input->point.type);

	if (has(GROUP_POINT, &input->node, "chars") && input->point.type != TYPE_STRING)
		fault(verify, &input->node, "chars",
		    "type %s has no characters, chars is allowed for strings", type->name);
}

/* What may be no value. A raw value is as good as the number that a signed type makes of it. */
static void
verify_validity(struct verify *verify, const struct point_input *input)
{
	const struct node *node = &input->node;
	const struct point *point = &input->point;
	const int64_t *numbers = input->invalid.items;
	int width = codec_raw_width(point);
	int64_t most = width >= 64 ? INT64_MAX : (INT64_C(1) << width) - 1;
	int64_t least = width >= 64 ? INT64_MIN : -(INT64_C(1) << (width > 0 ? width - 1 : 0));

	if (has(GROUP_POINT, node, "invalid") && (width == 0 || point->type == TYPE_BOOL))
		fault(verify, node, "invalid", "type %s is no number, invalid is allowed for numbers",
		    codec_type(point->type)->name);
	else
		for (size_t i = 0; i < input->invalid.count; i++)
			if (numbers[i] < least || numbers[i] > most)
				fault(verify, node, "invalid",
				    "%" PRId64 " does not fit %d bits, allowed are %" PRId64 "..%" PRId64,
				    numbers[i], width, least, most);
	if (has(GROUP_POINT, node, "valid_min") && has(GROUP_POINT, node, "valid_max") &&
	    point->valid_min > point->valid_max)
		fault(verify, node, "valid_max", "%.15g is less than valid_min, allowed are %.15g or more",
		    point->valid_max, point->valid_min);
}

/* The types that have labels, and what their raw values are as far as int64_t holds them. */
static bool
label_range(const struct point *point, int64_t *ret_min, int64_t *ret_max)
{
	const struct codec_type *type = codec_type(point->type);
	int width = point->type == TYPE_BOOL ? 1 : codec_raw_width(point);

	if (type->bits == 0)
		return false;
	*ret_max = width >= 64 ? INT64_MAX : (INT64_C(1) << (type->is_signed ? width - 1 : width)) - 1;
	*ret_min = type->is_signed ? -*ret_max - 1 : 0;
	return true;
}

static int
compare_labels(const void *left, const void *right)
{
	const struct label_input *const *a = left, *const *b = right;

	if ((*a)->label.number != (*b)->label.number)
		return (*a)->label.number < (*b)->label.number ? -1 : 1;
	return *a < *b ? -1 : *a > *b;
}

/* A label of the group form is itself the setting, one of the list form has a setting "value". */
static const char *
label_member(const struct label_input *label, const char *name)
{
	return config_setting_is_group(label->node.setting) ? name : NULL;
}

static void
report_label_number(struct verify *verify, const struct label_input *label, const struct label_input *first)
{
	char also[MISTAKES_ALSO_SIZE];

	mistakes_add(verify->mistakes, label->node.setting, label_member(label, "value"),
	    "%" PRId64 " is the number of %s too, each must be unique", label->label.number,
	    mistakes_also(verify->mistakes, label->node.setting, first->node.setting, also));
}

static int
verify_label_numbers(struct verify *verify, const struct point_input *input)
{
	struct label_input *labels = input->labels.items,
			   **sorted = calloc(input->labels.count, sizeof(struct label_input *));
	size_t count = 0, first = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < input->labels.count; i++)
		if (has(GROUP_LABEL, &labels[i].node, "value"))
			sorted[count++] = &labels[i];
	if (count > 0)
		qsort(sorted, count, sizeof(struct label_input *), compare_labels);
	for (size_t i = 1; i < count; i++) {
		if (sorted[i]->label.number == sorted[first]->label.number)
			report_label_number(verify, sorted[i], sorted[first]);
		else
			first = i;
	}
	free(sorted);
	return 0;
}

static int
verify_label_texts(struct verify *verify, const struct point_input *input)
{
	const struct label_input *labels = input->labels.items;
	struct index index;
	int error = index_init(&index, input->labels.count);

	if (error)
		return error;
	/* libconfig refuses a name that is twice in a group, so only a list can have doubles. */
	for (size_t i = 0; i < input->labels.count; i++)
		if (has(GROUP_LABEL, &labels[i].node, "label") && label_member(&labels[i], "label"))
			index_add(&index, labels[i].label.label, labels[i].node.setting, i);
	index_close(&index, verify->mistakes, "label", "the label");
	index_done(&index);
	return 0;
}

/* type_known  the type and count of the point are right, so that the range of its numbers is known */
static int
verify_labels(struct verify *verify, const struct point_input *input, bool type_known)
{
	const struct label_input *labels = input->labels.items;
	int64_t min = 0, max = 0;
	int error;

	if (input->labels.count == 0)
		return 0;
	if (type_known && !label_range(&input->point, &min, &max)) {
		fault(verify, &input->node, "enum",
		    "a %s cannot have labels, allowed are bool and the integer types",
		    codec_type(input->point.type)->name);
		return 0;
	}
	for (size_t i = 0; type_known && i < input->labels.count; i++)
		if (has(GROUP_LABEL, &labels[i].node, "value") &&
		    (labels[i].label.number < min || labels[i].label.number > max))
			mistakes_add(verify->mistakes, labels[i].node.setting,
			    label_member(&labels[i], "value"),
			    "%" PRId64 " is out of the range of %s, allowed are %" PRId64 "..%" PRId64,
			    labels[i].label.number, codec_type(input->point.type)->name, min, max);
	error = verify_label_numbers(verify, input);
	return error ? error : verify_label_texts(verify, input);
}

/* counted  the type and count of the point are right */
static void
verify_writing(struct verify *verify, const struct point_input *input, bool counted)
{
	static const char *const of_writes[] = { "write", "verify" };
	const struct node *node = &input->node;
	const struct point *point = &input->point;

	if (point->writable && has(GROUP_POINT, node, "table") && !point_table_writable(point->table))
		fault(verify, node, "writable", "the table %s cannot be written, allowed are coil, holding",
		    point_table_name(point->table));
	if (has(GROUP_POINT, node, "min") && has(GROUP_POINT, node, "max") && point->min > point->max)
		fault(verify, node, "max", "%.15g is less than min, allowed are %.15g or more", point->max,
		    point->min);
	if (!point->writable && !is_wrong(GROUP_POINT, node, "writable"))
		for (size_t i = 0; i < sizeof(of_writes) / sizeof(of_writes[0]); i++)
			if (has(GROUP_POINT, node, of_writes[i]))
				fault(verify, node, of_writes[i],
				    "the point is not writable, writable = true is required");
	if (counted && point->write == WRITE_SINGLE && point->count > 1)
		fault(verify, node, "write",
		    "\"single\" writes one register or coil and the point has %d, "
		    "allowed are auto, multiple",
		    point->count);
	if (!point->shared)
		return;
	if (!point->writable && !is_wrong(GROUP_POINT, node, "writable"))
		fault(verify, node, "shared", "the point is not writable, writable = true is required");
	/* ThingsBoard says {"deleted":[...]} when attributes are deleted, and lists keys with commas between.
	 */
	if (point->key && strcmp(point->key, "deleted") == 0)
		fault(verify, node, "key",
		    "a shared attribute cannot be called \"deleted\", another key is required");
	if (point->key && strchr(point->key, ','))
		fault(verify, node, "key",
		    "a shared attribute cannot have a comma in its key, another key is required");
}

/* What is never read has nothing to report, and leaves the rest of its register to chance. */
static void
verify_unreadable(struct verify *verify, struct point_input *input, const struct device *device, bool counted)
{
	static const char *const of_reads[] = { "kind", "report", "deadband", "deadband_percent",
		"min_interval_ms", "max_interval_ms", "aggregate", "window_ms", "quality", "period_ms",
		"invalid", "valid_min", "valid_max", "decimals", "verify" };
	const struct node *node = &input->node;
	struct point *point = &input->point;

	if (!point->writable && !is_wrong(GROUP_POINT, node, "writable"))
		fault(verify, node, "readable",
		    "the point is not writable either, writable = true is required");
	for (size_t i = 0; i < sizeof(of_reads) / sizeof(of_reads[0]); i++)
		if (has(GROUP_POINT, node, of_reads[i]))
			fault(verify, node, of_reads[i],
			    "the point is never read, readable = true is required");
	if (counted && codec_needs_current(point) && !(device->mask_write && point->count == 1))
		fault(verify, node, "readable",
		    "the other bits of its register cannot be kept without reading them, %s is required",
		    point->count == 1 ? "mask_write = true of the device" : "readable = true");
	point->period_ms = 0;
	point->quality = false;
}

/* What is aggregated goes up once a window, and only that. */
static void
verify_aggregate(struct verify *verify, const struct point_input *input, bool typed)
{
	static const char *const useless[] = { "report", "deadband", "deadband_percent", "min_interval_ms",
		"max_interval_ms" };
	const struct node *node = &input->node;
	const struct point *point = &input->point;

	if (has(GROUP_POINT, node, "window_ms") && !has(GROUP_POINT, node, "aggregate") &&
	    !is_wrong(GROUP_POINT, node, "aggregate"))
		fault(verify, node, "window_ms",
		    "has nothing to do without aggregate, which is required with it");
	if (!has(GROUP_POINT, node, "aggregate"))
		return;
	if (!has(GROUP_POINT, node, "window_ms") && !is_wrong(GROUP_POINT, node, "window_ms"))
		fault(verify, node, "window_ms", "missing, it is required with aggregate");
	else if (point->window_ms < point->period_ms && (has(GROUP_POINT, node, "period_ms") || !verify_is_line(input)))
		fault(verify, node, "window_ms", "%d is less than the period, allowed are %d or more",
		    point->window_ms, point->period_ms);
	if (typed && (point->type == TYPE_STRING || input->labels.count > 0))
		fault(verify, node, "aggregate",
		    "a text cannot be aggregated, numbers and bool without enum can");
	if (point->kind == KIND_ATTRIBUTE)
		fault(verify, node, "aggregate", "an attribute has no times, only telemetry is allowed");
	for (size_t i = 0; i < sizeof(useless) / sizeof(useless[0]); i++)
		if (has(GROUP_POINT, node, useless[i]))
			fault(verify, node, useless[i],
			    "has nothing to do with aggregate, which sends once a window");
}

static void
verify_report(struct verify *verify, struct point_input *input, bool typed)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	bool banded = point->deadband > 0 || point->deadband_percent > 0;

	verify_aggregate(verify, input, typed);
	if (!has(GROUP_POINT, node, "report"))
		point->report = banded || point->kind == KIND_ATTRIBUTE ? REPORT_CHANGE : REPORT_ALWAYS;
	else if (point->report == REPORT_ALWAYS && banded)
		fault(verify, node, "report",
		    "\"always\" leaves no use for the deadband, with one only change is allowed");
	if (point->max_interval_ms > 0 && point->max_interval_ms < point->min_interval_ms)
		fault(verify, node, "max_interval_ms",
		    "%d is less than min_interval_ms, allowed are 0 and %d or more", point->max_interval_ms,
		    point->min_interval_ms);
}

static void
verify_place(
    struct verify *verify, struct point_input *input, const struct device_input *device, bool device_fits)
{
	const struct node *node = &input->node;
	bool unit = has(GROUP_POINT, node, "unit");

	input->bus_input = has(GROUP_POINT, node, "bus")	? find_bus(verify, node, input->bus)
			   : is_wrong(GROUP_POINT, node, "bus") ? NULL
								: device->bus_input;
	if (!unit)
		input->point.unit = device->device.unit;
	if (is_wrong(GROUP_POINT, node, "unit") || (!unit && is_wrong(GROUP_DEVICE, &device->node, "unit")))
		return;
	/* A unit that is wrong on the device's own bus was reported there, once. */
	if (unit || input->bus_input != device->bus_input || device_fits)
		verify_unit(verify, node, input->bus_input, input->point.unit);
}

static int
verify_point(
    struct verify *verify, struct point_input *input, const struct device_input *device, bool device_fits)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	bool line, typed, counted;

	if (!config_setting_is_group(node->setting))
		return 0;
	verify_place(verify, input, device, device_fits);
	line = verify_is_line(input);
	typed = line ? verify_line_point(input, device, verify->mistakes)
		     : verify_modbus_point(input, verify->mistakes) && verify_type(verify, input);
	counted = typed && (line || verify_count(verify, input));
	if (counted && !line)
		verify_extent(verify, input, &device->device);
	if (counted)
		verify_validity(verify, input);
	if (typed) {
		verify_order(verify, input);
		verify_scaling(verify, input);
		verify_chars(verify, input);
	}
	verify_writing(verify, input, counted);
	point->has_min = has(GROUP_POINT, node, "min");
	point->has_max = has(GROUP_POINT, node, "max");
	point->has_valid_min = has(GROUP_POINT, node, "valid_min");
	point->has_valid_max = has(GROUP_POINT, node, "valid_max");
	if (!has(GROUP_POINT, node, "period_ms"))
		point->period_ms = device->device.period_ms;
	if (!has(GROUP_POINT, node, "quality"))
		point->quality = device->device.quality;
	if (!input->readable)
		verify_unreadable(verify, input, &device->device, counted);
	verify_report(verify, input, typed);
	if (typed && !has(GROUP_POINT, node, "decimals") && point->decimals != DECIMALS_TEXT)
		point->decimals = codec_default_decimals(point->type, point->scale, point->offset);
	return verify_labels(verify, input, counted);
}

/* Writes that nobody asks for. */

/* Can the value be written to the point, whose labels are not yet in it? Returns 0; -EINVAL with what is
 * wrong, to follow the value in a sentence; -ENOMEM. */
static int
judge_value(const struct point_input *input, const struct value *value, char *text, size_t size)
{
	struct enum_label *labels = calloc(input->labels.count + 1, sizeof(*labels));
	const struct label_input *inputs = input->labels.items;
	uint16_t cells[MODBUS_MAX_READ_BITS] = { 0 };
	struct point point = input->point;
	enum codec_fault wrong;

	if (!labels)
		return -ENOMEM;
	for (size_t i = 0; i < input->labels.count; i++)
		labels[i] = inputs[i].label;
	point.labels = labels;
	point.label_count = input->labels.count;
	wrong = codec_encode(&point, value, cells);
	codec_fault_text(&point, wrong, text, size);
	free(labels);
	return wrong != CODEC_OK ? -EINVAL : 0;
}

/* Where the point with that key is, which `name` of the node names. Returns NULL after a word about it. */
static const struct entry *
find_point(struct verify *verify, const struct node *node, const char *key, const struct index *keys)
{
	const struct entry *entry = index_find(keys, key);
	char quoted[MISTAKES_QUOTE_SIZE], text[SCHEMA_TEXT_SIZE];

	if (!entry)
		fault(verify, node, "point", "the device has no point %s, allowed are %s",
		    mistakes_quote(key, quoted),
		    keys->count ? index_names(keys, text, sizeof(text)) : "the keys of its points");
	return entry;
}

/* The point that is to be written. Returns NULL unless there is one that can be. */
static const struct point_input *
find_writable(struct verify *verify, const struct node *node, const char *key,
    const struct device_input *device, const struct index *keys, size_t *ret_at)
{
	const struct entry *entry = find_point(verify, node, key, keys);
	const struct point_input *point;
	char quoted[MISTAKES_QUOTE_SIZE];

	if (!entry)
		return NULL;
	*ret_at = entry->at;
	point = (const struct point_input *)device->points.items + entry->at;
	if (point->point.writable)
		return point;
	if (!is_wrong(GROUP_POINT, &point->node, "writable"))
		fault(verify, node, "point", "the point %s is not writable, a writable one is required",
		    mistakes_quote(key, quoted));
	return NULL;
}

/* The value that the node has for a point. Returns 0 or -ENOMEM. */
static int
verify_value(struct verify *verify, const struct node *node, const struct point_input *point,
    const struct value *value)
{
	char quoted[MISTAKES_QUOTE_SIZE], text[SCHEMA_TEXT_SIZE];
	int error = point->right ? judge_value(point, value, text, sizeof(text)) : 0;

	if (error == -EINVAL)
		fault(verify, node, "value", "the value for point %s %s",
		    mistakes_quote(point->point.key, quoted), text);
	return error == -EINVAL ? 0 : error;
}

static int
verify_write(struct verify *verify, struct write_input *write, const struct device_input *device,
    const struct index *keys)
{
	const struct point_input *point;

	if (!has(GROUP_WRITE, &write->node, "point"))
		return 0;
	point = find_writable(verify, &write->node, write->point, device, keys, &write->point_at);
	if (!point || !has(GROUP_WRITE, &write->node, "value"))
		return 0;
	return verify_value(verify, &write->node, point, &write->value);
}

static int
verify_writes(struct verify *verify, const struct items *writes, const struct device_input *device,
    const struct index *keys)
{
	struct write_input *inputs = writes->items;
	int error = 0;

	for (size_t i = 0; !error && i < writes->count; i++)
		error = verify_write(verify, &inputs[i], device, keys);
	return error;
}

/* RPC. */

/* What the method does with its one point. Returns false if it cannot. */
static bool
verify_action(struct verify *verify, struct rpc_input *rpc, const struct point_input *point)
{
	bool given = has(GROUP_RPC, &rpc->node, "action");
	char quoted[MISTAKES_QUOTE_SIZE];

	if (!given)
		rpc->action = point->point.writable || rpc->value.kind != VALUE_NONE ? RPC_SET : RPC_GET;
	if (rpc->action == RPC_GET && rpc->value.kind != VALUE_NONE)
		return fault(verify, &rpc->node, "value", "is of no use to action get, only set writes");
	if (rpc->action == RPC_GET && !point->readable)
		return fault(verify, &rpc->node, "action", "the point %s is never read, only set is allowed",
		    mistakes_quote(rpc->point, quoted));
	if (rpc->action == RPC_SET && !point->point.writable &&
	    !is_wrong(GROUP_POINT, &point->node, "writable"))
		return fault(verify, &rpc->node, given ? "action" : "value",
		    given ? "the point %s is not writable, only get is allowed"
			  : "the point %s is not writable, a writable one is required",
		    mistakes_quote(rpc->point, quoted));
	return true;
}

static int
verify_step(struct verify *verify, struct step_input *step, const struct device_input *device,
    const struct index *keys)
{
	const struct point_input *point;

	if (has(GROUP_STEP, &step->node, "param") && has(GROUP_STEP, &step->node, "value"))
		fault(verify, &step->node, "param", "stands beside a value, only one of them is allowed");
	if (!has(GROUP_STEP, &step->node, "point"))
		return 0;
	point = find_writable(verify, &step->node, step->point, device, keys, &step->point_at);
	if (!point || !has(GROUP_STEP, &step->node, "value"))
		return 0;
	return verify_value(verify, &step->node, point, &step->value);
}

static int
verify_steps(
    struct verify *verify, struct rpc_input *rpc, const struct device_input *device, const struct index *keys)
{
	static const char *const others[] = { "point", "value", "action" };
	struct step_input *steps = rpc->steps.items;
	int error = 0;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (has(GROUP_RPC, &rpc->node, others[i]))
			fault(
			    verify, &rpc->node, others[i], "stands beside set, only one of them is allowed");
	if (rpc->steps.count > RPC_STEPS_MAX)
		fault(verify, &rpc->node, "set", "has %zu points, at most %d are allowed", rpc->steps.count,
		    RPC_STEPS_MAX);
	for (size_t i = 0; !error && i < rpc->steps.count; i++)
		error = verify_step(verify, &steps[i], device, keys);
	return error;
}

static int
verify_rpc(
    struct verify *verify, struct rpc_input *rpc, const struct device_input *device, const struct index *keys)
{
	const struct point_input *points = device->points.items;
	const struct entry *entry;

	if (has(GROUP_RPC, &rpc->node, "set"))
		return verify_steps(verify, rpc, device, keys);
	if (!has(GROUP_RPC, &rpc->node, "point")) {
		if (!is_wrong(GROUP_RPC, &rpc->node, "point") && !is_wrong(GROUP_RPC, &rpc->node, "set"))
			fault(verify, &rpc->node, "point", "missing, the key of a point is required, or set");
		return 0;
	}
	entry = find_point(verify, &rpc->node, rpc->point, keys);
	if (!entry)
		return 0;
	rpc->point_at = entry->at;
	if (!verify_action(verify, rpc, &points[entry->at]) || !has(GROUP_RPC, &rpc->node, "value"))
		return 0;
	return verify_value(verify, &rpc->node, &points[entry->at], &rpc->value);
}

static int
verify_rpcs(struct verify *verify, const struct device_input *device, const struct index *keys)
{
	struct rpc_input *rpc = device->rpc.items;
	struct index methods;
	int error = index_init(&methods, device->rpc.count);

	if (error)
		return error;
	for (size_t i = 0; !error && i < device->rpc.count; i++) {
		if (has(GROUP_RPC, &rpc[i].node, "method"))
			index_add(&methods, rpc[i].method, rpc[i].node.setting, i);
		error = verify_rpc(verify, &rpc[i], device, keys);
	}
	index_close(&methods, verify->mistakes, "method", "the method");
	index_done(&methods);
	return error;
}

/* Calls. */

/* The same as has(). */
static bool
is_given(const struct setting_group *group, const struct node *node, const char *name)
{
	return is_in(group, node->valid, name);
}

/* The point that is to be read. Returns NULL unless there is one that can be. */
static const struct point_input *
find_readable(struct verify *verify, const struct node *node, const char *name, const char *key,
    const struct device_input *device, const struct index *keys, size_t *ret_at)
{
	const struct entry *entry = index_find(keys, key);
	const struct point_input *point;
	char quoted[MISTAKES_QUOTE_SIZE], text[SCHEMA_TEXT_SIZE];

	if (!entry) {
		fault(verify, node, name, "the device has no point %s, allowed are %s",
		    mistakes_quote(key, quoted),
		    keys->count ? index_names(keys, text, sizeof(text)) : "the keys of its points");
		return NULL;
	}
	*ret_at = entry->at;
	point = (const struct point_input *)device->points.items + entry->at;
	if (point->readable)
		return point;
	fault(verify, node, name, "the point %s is never read, one that is read is required",
	    mistakes_quote(key, quoted));
	return NULL;
}

static void
verify_call_param(struct verify *verify, struct call_param_input *param, const struct device_input *device,
    const struct index *keys)
{
	bool point = is_given(&schema_call_param, &param->node, "point");
	bool value = is_given(&schema_call_param, &param->node, "value");

	if (point && value)
		fault(verify, &param->node, "value", "stands beside a point, only one of them is allowed");
	else if (value && !is_given(&schema_call_param, &param->node, "name"))
		fault(verify, &param->node, "name", "missing, a text is required for a value");
	else if (!point && !value && param->node.given == param->node.valid)
		fault(verify, &param->node, "point", "missing, the key of a point or a value is required");
	if (point)
		find_readable(verify, &param->node, "point", param->point, device, keys, &param->point_at);
}

static int
verify_call_result(struct verify *verify, struct call_result_input *result, const struct device_input *device,
    const struct index *keys)
{
	const struct point_input *point;

	if (is_given(&schema_call_result, &result->node, "field") && is_given(&schema_call_result, &result->node, "value"))
		fault(verify, &result->node, "field", "stands beside a value, only one of them is allowed");
	if (!is_given(&schema_call_result, &result->node, "point"))
		return 0;
	point = find_writable(verify, &result->node, result->point, device, keys, &result->point_at);
	if (!point || !is_given(&schema_call_result, &result->node, "value"))
		return 0;
	return verify_value(verify, &result->node, point, &result->value);
}

/* What the point is to become, which need not be writable for that. */
static int
verify_call_on(struct verify *verify, struct call_input *call, const struct device_input *device,
    const struct index *keys)
{
	const struct point_input *point =
	    find_readable(verify, &call->node, "on", call->on, device, keys, &call->on_at);
	struct point_input unguarded;

	if (!point || !is_given(&schema_call, &call->node, "value") || verify_is_line(point))
		return 0;
	unguarded = *point;
	unguarded.point = codec_unguarded(&point->point);
	return verify_value(verify, &call->node, &unguarded, &call->value);
}

static int
verify_call(struct verify *verify, struct call_input *call, const struct device_input *device,
    const struct index *keys)
{
	static const char *const lists[] = { "params", "result" };
	const struct items *items[] = { &call->params, &call->results };
	struct call_param_input *params = call->params.items;
	struct call_result_input *results = call->results.items;
	bool on = is_given(&schema_call, &call->node, "on");
	int error = on ? verify_call_on(verify, call, device, keys) : 0;

	if (!on && is_given(&schema_call, &call->node, "value"))
		fault(verify, &call->node, "value",
		    "is of no use without on, the key of a point is required there");
	if (!on && call->period_ms == 0 && call->node.given == call->node.valid)
		fault(verify, &call->node, "on", "missing, the key of a point or a period_ms is required");
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if (items[i]->count > RPC_STEPS_MAX)
			fault(verify, &call->node, lists[i], "has %zu entries, at most %d are allowed",
			    items[i]->count, RPC_STEPS_MAX);
	for (size_t i = 0; i < call->params.count; i++)
		verify_call_param(verify, &params[i], device, keys);
	for (size_t i = 0; !error && i < call->results.count; i++)
		error = verify_call_result(verify, &results[i], device, keys);
	return error;
}

static int
verify_calls(struct verify *verify, const struct device_input *device, const struct index *keys)
{
	struct call_input *calls = device->calls.items;
	int error = 0;

	if (device->calls.count > 0 && verify->root->server.server.api == API_GATEWAY)
		fault(verify, &device->node, "calls",
		    "the server takes none by the gateway API, server.api \"device\" is required");
	for (size_t i = 0; !error && i < device->calls.count; i++)
		error = verify_call(verify, &calls[i], device, keys);
	return error;
}

/* Devices. */

/* The bus of a device may be missing only if no point needs it. */
static void
verify_device_bus(struct verify *verify, struct device_input *device)
{
	const struct point_input *points = device->points.items;

	if (has(GROUP_DEVICE, &device->node, "bus"))
		device->bus_input = find_bus(verify, &device->node, device->bus);
	else if (!is_wrong(GROUP_DEVICE, &device->node, "bus"))
		for (size_t i = 0; i < device->points.count; i++)
			if (!points[i].bus && !is_wrong(GROUP_POINT, &points[i].node, "bus")) {
				fault(verify, &device->node, "bus",
				    "missing, the name of a bus is required unless every point has one, and "
				    "points[%zu] has none",
				    i);
				break;
			}
}

/* Was everything of the point there that must be, and of the right kind? */
static bool
was_read_well(const struct point_input *point)
{
	const struct label_input *labels = point->labels.items;

	for (size_t i = 0; i < point->labels.count; i++)
		if (!has(GROUP_LABEL, &labels[i].node, "label") ||
		    !has(GROUP_LABEL, &labels[i].node, "value"))
			return false;
	return point->node.given == point->node.valid &&
	       (has(GROUP_POINT, &point->node, "table") || verify_is_line(point));
}

/* A key that the gateway makes of a point's: KEY_quality, KEY_min...
 * name  the setting that asks for it */
static void
verify_made_key(struct verify *verify, const struct point_input *input, const struct index *keys,
    const char *name, const char *suffix)
{
	const struct setting_row *row = schema_find(schema_groups[GROUP_POINT], "key", 0);
	char key[1024], quoted[MISTAKES_QUOTE_SIZE]; /* 255 characters are 765 bytes at most */

	snprintf(key, sizeof(key), "%s_%s", input->point.key, suffix);
	if (index_find(keys, key))
		fault(verify, &input->node, name,
		    "makes the key %s, which another point has, each must be unique",
		    mistakes_quote(key, quoted));
	else if (schema_characters(key) > row->max)
		fault(verify, &input->node, name, "makes a key of %lld characters, allowed are %lld..%lld",
		    (long long)schema_characters(key), (long long)row->min, (long long)row->max);
}

static void
verify_made_keys(struct verify *verify, const struct device_input *device, const struct index *keys)
{
	const struct point_input *points = device->points.items;

	for (size_t i = 0; i < device->points.count; i++) {
		if (!has(GROUP_POINT, &points[i].node, "key"))
			continue;
		if (points[i].point.quality)
			verify_made_key(verify, &points[i], keys, "quality", "quality");
		if (points[i].point.shared)
			verify_made_key(verify, &points[i], keys, "shared", "error");
		for (int j = 0; j < AGGREGATES; j++)
			if (points[i].point.aggregate & 1U << j)
				verify_made_key(verify, &points[i], keys, "aggregate",
				    point_aggregate_name((enum point_aggregate)j));
	}
}

static int
verify_device(struct verify *verify, struct device_input *device)
{
	struct point_input *points = device->points.items;
	bool fits = true;
	struct index keys;
	int error = index_init(&keys, device->points.count);

	if (error)
		return error;
	verify_device_bus(verify, device);
	if (has(GROUP_DEVICE, &device->node, "unit"))
		fits = verify_unit(verify, &device->node, device->bus_input, device->device.unit);
	for (size_t i = 0; !error && i < device->points.count; i++) {
		size_t before = verify->mistakes->count + verify->mistakes->uncounted;

		error = verify_point(verify, &points[i], device, fits);
		points[i].right = before == verify->mistakes->count + verify->mistakes->uncounted &&
				  was_read_well(&points[i]);
		if (has(GROUP_POINT, &points[i].node, "key"))
			index_add(&keys, points[i].point.key, points[i].node.setting, i);
	}
	index_close(&keys, verify->mistakes, "key", "the key");
	verify_made_keys(verify, device, &keys);
	verify_line_device(device, verify->mistakes);
	if (!error)
		error = verify_rpcs(verify, device, &keys);
	if (!error)
		error = verify_calls(verify, device, &keys);
	if (!error)
		error = verify_writes(verify, &device->on_connect, device, &keys);
	if (!error)
		error = verify_writes(verify, &device->on_cloud_loss.writes, device, &keys);
	index_done(&keys);
	return error;
}

static int
verify_devices(struct verify *verify)
{
	struct device_input *devices = verify->root->devices.items;
	const struct device_input *gateway = &verify->root->gateway.device;
	size_t count = verify->root->devices.count;
	struct index names = { NULL, 0 };
	int error = index_init(&names, count + 1);

	for (size_t i = 0; !error && i < count; i++) {
		if (has(GROUP_DEVICE, &devices[i].node, "name"))
			index_add(&names, devices[i].device.name, devices[i].node.setting, i);
		if (config_setting_is_group(devices[i].node.setting))
			error = verify_device(verify, &devices[i]);
	}
	if (!error && gateway->node.setting)
		index_add(&names, gateway->device.name ? gateway->device.name : GATEWAY_NAME, gateway->node.setting, count);
	if (!error)
		index_close(&names, verify->mistakes, "name", "the name");
	index_done(&names);
	return error;
}

static void
verify_server(struct verify *verify)
{
	struct server_input *server = &verify->root->server;

	if (server->tls.node.setting && !has(GROUP_SERVER, &server->node, "port"))
		server->server.port = TLS_PORT;
	if (server->server.api == API_GATEWAY && !verify->root->gateway.device.node.setting)
		fault(verify, &server->node, "api",
		    "\"gateway\" is the session of the gateway itself, gateway = { token = \"...\"; } is required");
	if (!server->node.setting || is_wrong(GROUP_SERVER, &server->node, "reconnect_min_ms") ||
	    is_wrong(GROUP_SERVER, &server->node, "reconnect_max_ms"))
		return;
	if (server->server.reconnect_max_ms < server->server.reconnect_min_ms)
		fault(verify, &server->node,
		    has(GROUP_SERVER, &server->node, "reconnect_max_ms") ? "reconnect_max_ms"
									 : "reconnect_min_ms",
		    "reconnect_max_ms is %d and reconnect_min_ms %d, the first must not be less",
		    server->server.reconnect_max_ms, server->server.reconnect_min_ms);
}

int
verify_all(struct root_input *root, struct mistakes *mistakes)
{
	struct verify verify = { .root = root, .mistakes = mistakes };
	int error;

	verify_server(&verify);
	error = verify_buses(&verify);
	if (!error)
		error = verify_devices(&verify);
	index_done(&verify.buses);
	return error;
}
