#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/mistakes.h"
#include "conf/names.h"
#include "conf/node.h"
#include "conf/verify_line.h"
#include "conf/verify_point.h"
#include "model/codec.h"

#define TABLE_CELLS 65536 /* Modbus Application Protocol V1.1b3, 4.3 */
#define WORD_BITS   16
#define BYTE_BITS   8

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
verify_cells(struct mistakes *mistakes, const struct node *node, enum point_table table)
{
	static const char *const names[] = { "bit", "bits", "byte" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (node_has(&schema_point, node, names[i]))
			node_fault(mistakes, node, names[i],
			    "the table %s holds single bits, %s is allowed in input and holding",
			    point_table_name(table), names[i]);
	if (node_has(&schema_point, node, "order"))
		node_fault(mistakes, node, "order",
		    "the table %s has no bytes to order, order is allowed in input and holding",
		    point_table_name(table));
}

/* Which bits of its registers the point is. Returns false if that is not known. */
static bool
verify_field(struct mistakes *mistakes, struct point_input *input)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	const struct codec_type *type = codec_type(point->type);
	bool bit = node_has(&schema_point, node, "bit"), bits = node_has(&schema_point, node, "bits");
	int most = type->registers * WORD_BITS;

	if (node_is_wrong(&schema_point, node, "bit") || node_is_wrong(&schema_point, node, "bits"))
		return false;
	if (node_has(&schema_point, node, "byte") && (type->bits != BYTE_BITS || bit))
		return node_fault(mistakes, node, "byte",
		    "%s, byte is allowed for int8 and uint8 without bit",
		    bit ? "bit says which bits it is" : "the type is no byte");
	if (bits && !bit)
		return node_fault(mistakes, node, "bit", "missing, bits needs the lowest of them");
	if (!bit) {
		point->bit = type->bits != BYTE_BITS	? POINT_NO_BIT
			     : input->byte == BYTE_HIGH ? BYTE_BITS
							: 0;
		point->bits = type->bits != BYTE_BITS ? 0 : BYTE_BITS;
		return true;
	}
	if (type->bits == 0)
		return node_fault(mistakes, node, "bit",
		    "type %s has no bits to pick, bit is allowed for bool and integers", type->name);
	if (!bits && point->type != TYPE_BOOL)
		return node_fault(mistakes, node, "type",
		    "\"%s\" is more than a bit, without bits only bool is allowed", type->name);
	if (!bits)
		point->bits = 1;
	if (point->bits > type->bits)
		return node_fault(mistakes, node, "bits", "%d do not fit type %s, allowed %s%d", point->bits,
		    type->name, type->bits > 1 ? "are 1.." : "is ", type->bits);
	if (point->bit + point->bits > most)
		return node_fault(mistakes, node, "bit",
		    "%d and %d bits reach beyond the %d of type %s, allowed are 0..%d", point->bit,
		    point->bits, most, type->name, most - point->bits);
	return true;
}

/* Numbers of whole registers can be several. */
static bool
verify_array(struct mistakes *mistakes, const struct point_input *input)
{
	const struct node *node = &input->node;
	const struct codec_type *type = codec_type(input->point.type);

	if (node_is_wrong(&schema_point, node, "array"))
		return false;
	if (!node_has(&schema_point, node, "array"))
		return true;
	if (point_table_has_bits(input->point.table) || !type->scalable || input->point.bit != POINT_NO_BIT)
		return node_fault(mistakes, node, "array",
		    "the point is no number of whole registers, array is allowed for those");
	if (input->point.deadband > 0)
		node_fault(
		    mistakes, node, "deadband", "an array has none, deadband is allowed for single numbers");
	return true;
}

/* Settle the type. Returns false if it is not known. */
static bool
verify_type(struct mistakes *mistakes, struct point_input *input)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	bool bits = point_table_has_bits(point->table);
	bool bit = node_has(&schema_point, node, "bit");
	char types[SCHEMA_TEXT_SIZE];

	if (bits)
		verify_cells(mistakes, node, point->table);
	if (!node_has(&schema_point, node, "type")) {
		if (node_is_wrong(&schema_point, node, "type"))
			return false;
		if (!bits && !bit && !node_is_wrong(&schema_point, node, "bit"))
			return node_fault(mistakes, node, "type", "missing, %s is required",
			    schema_wanted(schema_find(&schema_point, "type", 0), types, sizeof(types)));
		point->type = !bits && node_has(&schema_point, node, "bits") ? TYPE_UINT16 : TYPE_BOOL;
	}
	if (bits && codec_type(point->type)->bits == 0)
		return node_fault(mistakes, node, "type", "\"%s\" does not fit the table %s, allowed are %s",
		    codec_type(point->type)->name, point_table_name(point->table),
		    types_for_bits(types, sizeof(types)));
	if (bits) {
		point->bit = POINT_NO_BIT;
		point->bits = 0;
	}
	return (bits || verify_field(mistakes, input)) && verify_array(mistakes, input);
}

/* Settle how many cells there are. Returns false if that is not known. */
static bool
verify_count(struct mistakes *mistakes, struct point_input *input)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	const struct codec_type *type = codec_type(point->type);
	bool given = node_has(&schema_point, node, "count");
	bool bits = point_table_has_bits(point->table);
	int most = bits ? type->bits : type->registers * (point->array > 0 ? point->array : 1);

	if (node_is_wrong(&schema_point, node, "count"))
		return false;
	if (!bits && most == 0) /* as many as it says */
		return given || node_fault(mistakes, node, "count",
				    "missing, a whole number 1..%d is required for a %s",
				    MODBUS_MAX_READ_REGISTERS, type->name);
	if (most > MODBUS_MAX_READ_REGISTERS && !bits)
		return node_fault(mistakes, node, "array",
		    "%d of type %s are %d registers, allowed are 2..%d", point->array, type->name, most,
		    MODBUS_MAX_READ_REGISTERS / type->registers);
	if (!given) {
		point->count = most;
		return true;
	}
	if (bits ? point->count > most : point->count != most)
		return node_fault(mistakes, node, "count", "%d does not fit type %s, allowed %s %s%d",
		    point->count, type->name, bits && most > 1 ? "are" : "is", bits && most > 1 ? "1.." : "",
		    most);
	return true;
}

/* Orders that are for numbers of four registers only, or for any number. */
static void
verify_order(struct mistakes *mistakes, const struct point_input *input)
{
	const struct codec_type *type = codec_type(input->point.type);
	enum point_order order = input->point.order;

	if (!node_has(&schema_point, &input->node, "order"))
		return;
	if (type->registers == 0 && order != ORDER_ABCD && order != ORDER_BADC)
		node_fault(mistakes, &input->node, "order",
		    "the words of a %s stay in order, allowed are ABCD, BADC", type->name);
	else if (order > ORDER_DCBA && type->registers != 4)
		node_fault(mistakes, &input->node, "order",
		    "type %s has not 64 bits, allowed are ABCD, CDAB, BADC, DCBA", type->name);
}

static void
verify_extent(struct mistakes *mistakes, const struct point_input *input, const struct device *device)
{
	const struct point *point = &input->point;
	bool bits = point_table_has_bits(point->table);
	const char *cells = bits ? "bits" : "registers";
	int most = bits ? device->max_bits : device->max_registers;

	if (most > 0 && point->count > most)
		node_fault(mistakes, &input->node, NULL,
		    "its %d %s are more than one read may have, %s of the device is %d", point->count, cells,
		    bits ? "max_bits" : "max_registers", most);

	if (node_has(&schema_point, &input->node, "addr") && point->addr + point->count > TABLE_CELLS)
		node_fault(mistakes, &input->node, "addr",
		    "%d and %d %s reach beyond the last address 65535, allowed are 0..%d", point->addr,
		    point->count, cells, TABLE_CELLS - point->count);
	if (point->writable && point_table_writable(point->table) && !point_table_has_bits(point->table) &&
	    point->count > MODBUS_MAX_WRITE_REGISTERS)
		node_fault(mistakes, &input->node, "count",
		    "%d registers cannot be written at once, allowed are 1..%d", point->count,
		    MODBUS_MAX_WRITE_REGISTERS);
}

/* Settings that make sense for numbers only. */
static void
verify_scaling(struct mistakes *mistakes, const struct point_input *input)
{
	static const char *const names[] = { "scale", "offset", "decimals", "min", "max", "deadband",
		"deadband_percent", "valid_min", "valid_max" };
	const struct codec_type *type = codec_type(input->point.type);

	for (size_t i = 0; !type->scalable && i < sizeof(names) / sizeof(names[0]); i++)
		if (node_has(&schema_point, &input->node, names[i]))
			node_fault(mistakes, &input->node, names[i],
			    "a %s is no number, %s is allowed for numbers", type->name, names[i]);
}

static void
verify_chars(struct mistakes *mistakes, const struct point_input *input)
{
	const struct codec_type *type = codec_type(input->point.type);

	if (node_has(&schema_point, &input->node, "chars") && input->point.type != TYPE_STRING)
		node_fault(mistakes, &input->node, "chars",
		    "type %s has no characters, chars is allowed for strings", type->name);
}

/* What may be no value. A raw value is as good as the number that a signed type makes of it. */
static void
verify_validity(struct mistakes *mistakes, const struct point_input *input)
{
	const struct node *node = &input->node;
	const struct point *point = &input->point;
	const int64_t *numbers = input->invalid.items;
	int width = codec_raw_width(point);
	int64_t most = width >= 64 ? INT64_MAX : (INT64_C(1) << width) - 1;
	int64_t least = width >= 64 ? INT64_MIN : -(INT64_C(1) << (width > 0 ? width - 1 : 0));

	if (node_has(&schema_point, node, "invalid") && (width == 0 || point->type == TYPE_BOOL))
		node_fault(mistakes, node, "invalid", "type %s is no number, invalid is allowed for numbers",
		    codec_type(point->type)->name);
	else
		for (size_t i = 0; i < input->invalid.count; i++)
			if (numbers[i] < least || numbers[i] > most)
				node_fault(mistakes, node, "invalid",
				    "%" PRId64 " does not fit %d bits, allowed are %" PRId64 "..%" PRId64,
				    numbers[i], width, least, most);
	if (node_has(&schema_point, node, "valid_min") && node_has(&schema_point, node, "valid_max") &&
	    point->valid_min > point->valid_max)
		node_fault(mistakes, node, "valid_max",
		    "%.15g is less than valid_min, allowed are %.15g or more", point->valid_max,
		    point->valid_min);
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
report_label_number(
    struct mistakes *mistakes, const struct label_input *label, const struct label_input *first)
{
	char also[MISTAKES_ALSO_SIZE];

	mistakes_add(mistakes, label->node.setting, label_member(label, "value"),
	    "%" PRId64 " is the number of %s too, each must be unique", label->label.number,
	    mistakes_also(mistakes, label->node.setting, first->node.setting, also));
}

static int
verify_label_numbers(struct mistakes *mistakes, const struct point_input *input)
{
	struct label_input *labels = input->labels.items,
			   **sorted = calloc(input->labels.count, sizeof(struct label_input *));
	size_t count = 0, first = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < input->labels.count; i++)
		if (node_has(&schema_label, &labels[i].node, "value"))
			sorted[count++] = &labels[i];
	if (count > 0)
		qsort(sorted, count, sizeof(struct label_input *), compare_labels);
	for (size_t i = 1; i < count; i++) {
		if (sorted[i]->label.number == sorted[first]->label.number)
			report_label_number(mistakes, sorted[i], sorted[first]);
		else
			first = i;
	}
	free(sorted);
	return 0;
}

static int
verify_label_texts(struct mistakes *mistakes, const struct point_input *input)
{
	const struct label_input *labels = input->labels.items;
	struct names index;
	int error = names_init(&index, input->labels.count);

	if (error)
		return error;
	/* libconfig refuses a name that is twice in a group, so only a list can have doubles. */
	for (size_t i = 0; i < input->labels.count; i++)
		if (node_has(&schema_label, &labels[i].node, "label") && label_member(&labels[i], "label"))
			names_add(&index, labels[i].label.label, labels[i].node.setting, i);
	names_close(&index, mistakes, "label", "the label");
	names_done(&index);
	return 0;
}

/* type_known  the type and count of the point are right, so that the range of its numbers is known */
static int
verify_labels(struct mistakes *mistakes, const struct point_input *input, bool type_known)
{
	const struct label_input *labels = input->labels.items;
	int64_t min = 0, max = 0;
	int error;

	if (input->labels.count == 0)
		return 0;
	if (type_known && !label_range(&input->point, &min, &max)) {
		node_fault(mistakes, &input->node, "enum",
		    "a %s cannot have labels, allowed are bool and the integer types",
		    codec_type(input->point.type)->name);
		return 0;
	}
	for (size_t i = 0; type_known && i < input->labels.count; i++)
		if (node_has(&schema_label, &labels[i].node, "value") &&
		    (labels[i].label.number < min || labels[i].label.number > max))
			mistakes_add(mistakes, labels[i].node.setting, label_member(&labels[i], "value"),
			    "%" PRId64 " is out of the range of %s, allowed are %" PRId64 "..%" PRId64,
			    labels[i].label.number, codec_type(input->point.type)->name, min, max);
	error = verify_label_numbers(mistakes, input);
	return error ? error : verify_label_texts(mistakes, input);
}

/* counted  the type and count of the point are right */
static void
verify_writing(struct mistakes *mistakes, const struct point_input *input, bool counted)
{
	static const char *const of_writes[] = { "write", "verify" };
	const struct node *node = &input->node;
	const struct point *point = &input->point;

	if (point->writable && node_has(&schema_point, node, "table") && !point_table_writable(point->table))
		node_fault(mistakes, node, "writable",
		    "the table %s cannot be written, allowed are coil, holding",
		    point_table_name(point->table));
	if (node_has(&schema_point, node, "min") && node_has(&schema_point, node, "max") &&
	    point->min > point->max)
		node_fault(mistakes, node, "max", "%.15g is less than min, allowed are %.15g or more",
		    point->max, point->min);
	if (!point->writable && !node_is_wrong(&schema_point, node, "writable"))
		for (size_t i = 0; i < sizeof(of_writes) / sizeof(of_writes[0]); i++)
			if (node_has(&schema_point, node, of_writes[i]))
				node_fault(mistakes, node, of_writes[i],
				    "the point is not writable, writable = true is required");
	if (counted && point->write == WRITE_SINGLE && point->count > 1)
		node_fault(mistakes, node, "write",
		    "\"single\" writes one register or coil and the point has %d, "
		    "allowed are auto, multiple",
		    point->count);
	if (!point->shared)
		return;
	if (!point->writable && !node_is_wrong(&schema_point, node, "writable"))
		node_fault(
		    mistakes, node, "shared", "the point is not writable, writable = true is required");
	/* ThingsBoard says {"deleted":[...]} when attributes are deleted, and lists keys with commas between.
	 */
	if (point->key && strcmp(point->key, "deleted") == 0)
		node_fault(mistakes, node, "key",
		    "a shared attribute cannot be called \"deleted\", another key is required");
	if (point->key && strchr(point->key, ','))
		node_fault(mistakes, node, "key",
		    "a shared attribute cannot have a comma in its key, another key is required");
}

/* What is never read has nothing to report, and leaves the rest of its register to chance. */
static void
verify_unreadable(
    struct mistakes *mistakes, struct point_input *input, const struct device *device, bool counted)
{
	static const char *const of_reads[] = { "kind", "report", "deadband", "deadband_percent",
		"min_interval_ms", "max_interval_ms", "aggregate", "window_ms", "quality", "period_ms",
		"invalid", "valid_min", "valid_max", "decimals", "verify" };
	const struct node *node = &input->node;
	struct point *point = &input->point;

	if (!point->writable && !node_is_wrong(&schema_point, node, "writable"))
		node_fault(mistakes, node, "readable",
		    "the point is not writable either, writable = true is required");
	for (size_t i = 0; i < sizeof(of_reads) / sizeof(of_reads[0]); i++)
		if (node_has(&schema_point, node, of_reads[i]))
			node_fault(mistakes, node, of_reads[i],
			    "the point is never read, readable = true is required");
	if (counted && codec_needs_current(point) && !(device->mask_write && point->count == 1))
		node_fault(mistakes, node, "readable",
		    "the other bits of its register cannot be kept without reading them, %s is required",
		    point->count == 1 ? "mask_write = true of the device" : "readable = true");
	point->period_ms = 0;
	point->quality = false;
}

/* What is aggregated goes up once a window, and only that. */
static void
verify_aggregate(struct mistakes *mistakes, const struct point_input *input, bool typed)
{
	static const char *const useless[] = { "report", "deadband", "deadband_percent", "min_interval_ms",
		"max_interval_ms" };
	const struct node *node = &input->node;
	const struct point *point = &input->point;

	if (node_has(&schema_point, node, "window_ms") && !node_has(&schema_point, node, "aggregate") &&
	    !node_is_wrong(&schema_point, node, "aggregate"))
		node_fault(mistakes, node, "window_ms",
		    "has nothing to do without aggregate, which is required with it");
	if (!node_has(&schema_point, node, "aggregate"))
		return;
	if (!node_has(&schema_point, node, "window_ms") && !node_is_wrong(&schema_point, node, "window_ms"))
		node_fault(mistakes, node, "window_ms", "missing, it is required with aggregate");
	else if (point->window_ms < point->period_ms &&
		 (node_has(&schema_point, node, "period_ms") || !verify_is_line(input)))
		node_fault(mistakes, node, "window_ms", "%d is less than the period, allowed are %d or more",
		    point->window_ms, point->period_ms);
	if (typed && (point->type == TYPE_STRING || input->labels.count > 0))
		node_fault(mistakes, node, "aggregate",
		    "a text cannot be aggregated, numbers and bool without enum can");
	if (point->kind == KIND_ATTRIBUTE)
		node_fault(
		    mistakes, node, "aggregate", "an attribute has no times, only telemetry is allowed");
	for (size_t i = 0; i < sizeof(useless) / sizeof(useless[0]); i++)
		if (node_has(&schema_point, node, useless[i]))
			node_fault(mistakes, node, useless[i],
			    "has nothing to do with aggregate, which sends once a window");
}

static void
verify_report(struct mistakes *mistakes, struct point_input *input, bool typed)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	bool banded = point->deadband > 0 || point->deadband_percent > 0;

	verify_aggregate(mistakes, input, typed);
	if (!node_has(&schema_point, node, "report"))
		point->report = banded || point->kind == KIND_ATTRIBUTE ? REPORT_CHANGE : REPORT_ALWAYS;
	else if (point->report == REPORT_ALWAYS && banded)
		node_fault(mistakes, node, "report",
		    "\"always\" leaves no use for the deadband, with one only change is allowed");
	if (point->max_interval_ms > 0 && point->max_interval_ms < point->min_interval_ms)
		node_fault(mistakes, node, "max_interval_ms",
		    "%d is less than min_interval_ms, allowed are 0 and %d or more", point->max_interval_ms,
		    point->min_interval_ms);
}

int
verify_point(struct point_input *input, const struct device_input *device, struct mistakes *mistakes)
{
	const struct node *node = &input->node;
	struct point *point = &input->point;
	bool line, typed, counted;

	line = verify_is_line(input);
	typed = line ? verify_line_point(input, device, mistakes)
		     : verify_modbus_point(input, mistakes) && verify_type(mistakes, input);
	counted = typed && (line || verify_count(mistakes, input));
	if (counted && !line)
		verify_extent(mistakes, input, &device->device);
	if (counted)
		verify_validity(mistakes, input);
	if (typed) {
		verify_order(mistakes, input);
		verify_scaling(mistakes, input);
		verify_chars(mistakes, input);
	}
	verify_writing(mistakes, input, counted);
	point->has_min = node_has(&schema_point, node, "min");
	point->has_max = node_has(&schema_point, node, "max");
	point->has_valid_min = node_has(&schema_point, node, "valid_min");
	point->has_valid_max = node_has(&schema_point, node, "valid_max");
	if (!node_has(&schema_point, node, "period_ms"))
		point->period_ms = device->device.period_ms;
	if (!node_has(&schema_point, node, "quality"))
		point->quality = device->device.quality;
	if (!input->readable)
		verify_unreadable(mistakes, input, &device->device, counted);
	verify_report(mistakes, input, typed);
	if (typed && !node_has(&schema_point, node, "decimals") && point->decimals != DECIMALS_TEXT)
		point->decimals = codec_default_decimals(point->type, point->scale, point->offset);
	return verify_labels(mistakes, input, counted);
}

/* A key that the gateway makes of a point's: KEY_quality, KEY_min...
 * name  the setting that asks for it */
static void
verify_made_key(struct mistakes *mistakes, const struct point_input *input, const struct names *keys,
    const char *name, const char *suffix)
{
	const struct setting_row *row = schema_find(&schema_point, "key", 0);
	char key[1024], quoted[MISTAKES_QUOTE_SIZE]; /* 255 characters are 765 bytes at most */

	snprintf(key, sizeof(key), "%s_%s", input->point.key, suffix);
	if (names_find(keys, key))
		node_fault(mistakes, &input->node, name,
		    "makes the key %s, which another point has, each must be unique",
		    mistakes_quote(key, quoted));
	else if (schema_characters(key) > row->max)
		node_fault(mistakes, &input->node, name,
		    "makes a key of %lld characters, allowed are %lld..%lld",
		    (long long)schema_characters(key), (long long)row->min, (long long)row->max);
}

void
verify_made_keys(const struct device_input *device, const struct names *keys, struct mistakes *mistakes)
{
	const struct point_input *points = device->points.items;

	for (size_t i = 0; i < device->points.count; i++) {
		if (!node_has(&schema_point, &points[i].node, "key"))
			continue;
		if (points[i].point.quality)
			verify_made_key(mistakes, &points[i], keys, "quality", "quality");
		if (points[i].point.shared)
			verify_made_key(mistakes, &points[i], keys, "shared", "error");
		for (int j = 0; j < AGGREGATES; j++)
			if (points[i].point.aggregate & 1U << j)
				verify_made_key(mistakes, &points[i], keys, "aggregate",
				    point_aggregate_name((enum point_aggregate)j));
	}
}
