#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/mistakes.h"
#include "conf/verify.h"
#include "model/codec.h"

#define TABLE_CELLS 65536 /* Modbus Application Protocol V1.1b3, 4.3 */
#define WORD_BITS   16

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
	GROUP_BUS,
	GROUP_DEVICE,
	GROUP_POINT,
	GROUP_RPC,
	GROUP_LABEL
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
 * name   of the setting in its group; NULL: the group is itself the setting
 * shown  print the text? Not if it is a secret */
static void
index_close(struct index *index, struct mistakes *mistakes, const char *name, const char *what, bool shown)
{
	const struct entry *first = index->entries;
	char quoted[MISTAKES_QUOTE_SIZE] = "", also[MISTAKES_ALSO_SIZE];

	qsort(index->entries, index->count, sizeof(index->entries[0]), compare_entries);
	for (const struct entry *entry = index->entries; entry < index->entries + index->count; entry++) {
		if (strcmp(entry->text, first->text) != 0)
			first = entry;
		if (entry == first)
			continue;
		if (shown)
			mistakes_quote(entry->text, quoted);
		mistakes_add(mistakes, entry->setting, name, "%s%sis %s of %s too, each must be unique",
		    quoted, shown ? " " : "", what,
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

/* What a bus occupies, so that two cannot: the device behind the path, or host and port. Allocated; NULL
 * without memory. */
static char *
bus_line(const struct bus *bus)
{
	char *line = NULL;

	if (bus->type == BUS_RTU) {
		line = realpath(bus->port, NULL);
		return line ? line : strdup(bus->port);
	}
	if (asprintf(&line, "%s %d", bus->host, bus->tcp_port) < 0)
		return NULL;
	for (char *c = line; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return line;
}

static bool
knows_line(const struct bus_input *bus)
{
	return has(GROUP_BUS, &bus->node, "type") && !is_wrong(GROUP_BUS, &bus->node, "port") &&
	       (bus->bus.type == BUS_RTU ? bus->bus.port != NULL : bus->bus.host != NULL);
}

static void
report_shared_line(struct verify *verify, const struct bus_input *bus, const struct bus_input *first)
{
	char quoted[MISTAKES_QUOTE_SIZE], also[MISTAKES_ALSO_SIZE];

	mistakes_also(verify->mistakes, bus->node.setting, first->node.setting, also);
	if (bus->bus.type == BUS_RTU)
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

static int
verify_buses(struct verify *verify)
{
	struct bus_input *buses = verify->root->buses.items;
	int error = index_init(&verify->buses, verify->root->buses.count);

	if (error)
		return error;
	for (size_t i = 0; i < verify->root->buses.count; i++)
		if (buses[i].bus.name)
			index_add(&verify->buses, buses[i].bus.name, buses[i].node.setting, i);
	index_close(&verify->buses, verify->mistakes, "name", "the name", true);
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

	if (!bus || !has(GROUP_BUS, &bus->node, "type") || unit_fits(bus, unit))
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

/* Settle type and bit. Returns false if the type is not known. */
static bool
verify_type(struct verify *verify, struct point_input *input)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	bool bits = point_table_has_bits(point->table);
	bool bit = has(GROUP_POINT, node, "bit");
	char types[SCHEMA_TEXT_SIZE];

	if (!bit)
		point->bit = POINT_NO_BIT;
	if (bits && bit)
		fault(verify, node, "bit",
		    "the table %s holds single bits, bit is allowed in input and holding",
		    point_table_name(point->table));
	if (bits && has(GROUP_POINT, node, "order"))
		fault(verify, node, "order",
		    "the table %s has no bytes to order, order is allowed in input and holding",
		    point_table_name(point->table));
	if (!has(GROUP_POINT, node, "type")) {
		if (is_wrong(GROUP_POINT, node, "type"))
			return false;
		if (!bits && !bit && !is_wrong(GROUP_POINT, node, "bit"))
			return fault(verify, node, "type", "missing, %s is required",
			    schema_wanted(
				schema_find(schema_groups[GROUP_POINT], "type", 0), types, sizeof(types)));
		point->type = TYPE_BOOL;
		return true;
	}
	if (bits && codec_type(point->type)->bits == 0)
		return fault(verify, node, "type", "\"%s\" does not fit the table %s, allowed are %s",
		    codec_type(point->type)->name, point_table_name(point->table),
		    types_for_bits(types, sizeof(types)));
	if (!bits && bit && point->type != TYPE_BOOL)
		return fault(verify, node, "type", "\"%s\" is more than a bit, with bit only bool is allowed",
		    codec_type(point->type)->name);
	return true;
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
	int most = bits ? type->bits : type->registers;

	if (is_wrong(GROUP_POINT, node, "count"))
		return false;
	if (!bits && most == 0) /* as many as it says */
		return given ||
		       fault(verify, node, "count", "missing, a whole number 1..%d is required for a %s",
			   MODBUS_MAX_READ_REGISTERS, type->name);
	if (!given) {
		point->count = most;
		return true;
	}
	if (bits ? point->count > most : point->count != most)
		return fault(verify, node, "count", "%d does not fit type %s, allowed %s %s%d", point->count,
		    type->name, bits && most > 1 ? "are" : "is", bits && most > 1 ? "1.." : "", most);
	return true;
}

static void
verify_extent(struct verify *verify, const struct point_input *input)
{
	const struct point *point = &input->point;
	const char *cells = point_table_has_bits(point->table) ? "bits" : "registers";

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
	static const char *const names[] = { "scale", "offset", "decimals", "min", "max", "deadband" };
	const struct codec_type *type = codec_type(input->point.type);

	for (size_t i = 0; !type->scalable && i < sizeof(names) / sizeof(names[0]); i++)
		if (has(GROUP_POINT, &input->node, names[i]))
			fault(verify, &input->node, names[i], "a %s is no number, %s is allowed for numbers",
			    type->name, names[i]);
}

/* The types that have labels, and what their raw values are as far as int64_t holds them. */
static bool
label_range(const struct point *point, int64_t *ret_min, int64_t *ret_max)
{
	int width = point_table_has_bits(point->table) ? point->count : point->count * WORD_BITS;
	bool is_signed = false;

	switch (point->type) {
	case TYPE_BOOL:
		width = 1;
		break;
	case TYPE_INT16:
	case TYPE_INT32:
	case TYPE_INT64:
		is_signed = true;
		break;
	case TYPE_UINT16:
	case TYPE_UINT32:
	case TYPE_UINT64:
		break;
	default:
		return false;
	}
	*ret_max = width >= 64 ? INT64_MAX : (INT64_C(1) << (is_signed ? width - 1 : width)) - 1;
	*ret_min = is_signed ? -*ret_max - 1 : 0;
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
	index_close(&index, verify->mistakes, "label", "the label", true);
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

static void
verify_writing(struct verify *verify, const struct point_input *input)
{
	const struct node *node = &input->node;
	const struct point *point = &input->point;

	if (point->writable && has(GROUP_POINT, node, "table") && !point_table_writable(point->table))
		fault(verify, node, "writable", "the table %s cannot be written, allowed are coil, holding",
		    point_table_name(point->table));
	if (has(GROUP_POINT, node, "min") && has(GROUP_POINT, node, "max") && point->min > point->max)
		fault(verify, node, "max", "%.15g is less than min, allowed are %.15g or more", point->max,
		    point->min);
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

static void
verify_report(struct verify *verify, struct point_input *input)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;

	if (!has(GROUP_POINT, node, "report"))
		point->report =
		    point->deadband > 0 || point->kind == KIND_ATTRIBUTE ? REPORT_CHANGE : REPORT_ALWAYS;
	else if (point->report == REPORT_ALWAYS && point->deadband > 0)
		fault(verify, node, "report",
		    "\"always\" leaves no use for the deadband, with one only change is allowed");
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
	bool table = has(GROUP_POINT, node, "table");
	bool typed = table && verify_type(verify, input);
	bool counted = typed && verify_count(verify, input);

	if (!config_setting_is_group(node->setting))
		return 0;
	verify_place(verify, input, device, device_fits);
	if (counted)
		verify_extent(verify, input);
	if (typed)
		verify_scaling(verify, input);
	verify_writing(verify, input);
	verify_report(verify, input);
	point->has_min = has(GROUP_POINT, node, "min");
	point->has_max = has(GROUP_POINT, node, "max");
	if (!has(GROUP_POINT, node, "period_ms"))
		point->period_ms = device->device.period_ms;
	if (typed && !has(GROUP_POINT, node, "decimals"))
		point->decimals = codec_default_decimals(point->type, point->scale, point->offset);
	return verify_labels(verify, input, counted);
}

/* RPC. */

static void
verify_rpc(
    struct verify *verify, struct rpc_input *rpc, const struct device_input *device, const struct index *keys)
{
	const struct point_input *points = device->points.items;
	const struct entry *entry;
	char quoted[MISTAKES_QUOTE_SIZE], names[SCHEMA_TEXT_SIZE];

	if (!has(GROUP_RPC, &rpc->node, "point"))
		return;
	entry = index_find(keys, rpc->point);
	if (!entry) {
		fault(verify, &rpc->node, "point", "the device has no point %s, allowed are %s",
		    mistakes_quote(rpc->point, quoted),
		    keys->count ? index_names(keys, names, sizeof(names)) : "the keys of its points");
		return;
	}
	rpc->point_at = entry->at;
	if (!has(GROUP_RPC, &rpc->node, "action"))
		rpc->action = points[entry->at].point.writable ? RPC_SET : RPC_GET;
	else if (rpc->action == RPC_SET && !points[entry->at].point.writable &&
		 !is_wrong(GROUP_POINT, &points[entry->at].node, "writable"))
		fault(verify, &rpc->node, "action", "the point %s is not writable, only get is allowed",
		    mistakes_quote(rpc->point, quoted));
}

static int
verify_rpcs(struct verify *verify, const struct device_input *device, const struct index *keys)
{
	struct rpc_input *rpc = device->rpc.items;
	struct index methods;
	int error = index_init(&methods, device->rpc.count);

	if (error)
		return error;
	for (size_t i = 0; i < device->rpc.count; i++) {
		if (has(GROUP_RPC, &rpc[i].node, "method"))
			index_add(&methods, rpc[i].method, rpc[i].node.setting, i);
		verify_rpc(verify, &rpc[i], device, keys);
	}
	index_close(&methods, verify->mistakes, "method", "the method", true);
	index_done(&methods);
	return 0;
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
		error = verify_point(verify, &points[i], device, fits);
		if (has(GROUP_POINT, &points[i].node, "key"))
			index_add(&keys, points[i].point.key, points[i].node.setting, i);
	}
	index_close(&keys, verify->mistakes, "key", "the key", true);
	if (!error)
		error = verify_rpcs(verify, device, &keys);
	index_done(&keys);
	return error;
}

static int
verify_devices(struct verify *verify)
{
	struct device_input *devices = verify->root->devices.items;
	size_t count = verify->root->devices.count;
	struct index names = { NULL, 0 }, tokens = { NULL, 0 };
	int error = index_init(&names, count);

	if (!error)
		error = index_init(&tokens, count);
	for (size_t i = 0; !error && i < count; i++) {
		if (has(GROUP_DEVICE, &devices[i].node, "name"))
			index_add(&names, devices[i].device.name, devices[i].node.setting, i);
		if (has(GROUP_DEVICE, &devices[i].node, "token"))
			index_add(&tokens, devices[i].device.token, devices[i].node.setting, i);
		if (config_setting_is_group(devices[i].node.setting))
			error = verify_device(verify, &devices[i]);
	}
	if (!error) {
		index_close(&names, verify->mistakes, "name", "the name", true);
		/* The server would keep closing the session of the one when the other connects. */
		index_close(&tokens, verify->mistakes, "token", "the token", false);
	}
	index_done(&tokens);
	index_done(&names);
	return error;
}

static void
verify_server(struct verify *verify)
{
	const struct server_input *server = &verify->root->server;

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
