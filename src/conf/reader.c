#include "conf/reader.h"

#include <errno.h>
#include <libconfig.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/mistakes.h"

#define NUMBER_SIZE 32

struct reader {
	struct settings *scratch;
	struct mistakes *mistakes;
};

/* One setting and where it belongs. */
struct place {
	const struct setting_row *row;
	const config_setting_t *group;
	const char *name; /* as messages say it; NULL: `group` is itself the setting */
	void *input;
};

static int read_group(
    struct reader *reader, const struct setting_group *group, const config_setting_t *setting, void *input);

static void
store_int(const struct place *place, int64_t number)
{
	char *into = (char *)place->input + place->row->offset;
	int narrow = (int)number;

	if (place->row->size == sizeof(number))
		memcpy(into, &number, sizeof(number));
	else
		memcpy(into, &narrow, sizeof(narrow));
}

static void
store_bytes(const struct place *place, const void *value)
{
	memcpy((char *)place->input + place->row->offset, value, place->row->size);
}

/* The default, as its row spells it: no need to judge it. */
static void
store_preset(const struct place *place)
{
	const struct setting_row *row = place->row;
	double number;
	bool yes;

	if (!row->preset)
		return;
	switch (row->kind) {
	case SETTING_BOOL:
		yes = strcmp(row->preset, "true") == 0;
		store_bytes(place, &yes);
		break;
	case SETTING_INT:
		store_int(place, strtoll(row->preset, NULL, 10));
		break;
	case SETTING_NUMBER:
		number = strtod(row->preset, NULL);
		store_bytes(place, &number);
		break;
	case SETTING_NAME:
		store_int(place, schema_name_find(row, row->preset));
		break;
	case SETTING_TEXT:
		store_bytes(place, &row->preset);
		break;
	case SETTING_SET:
	case SETTING_GROUP:
	case SETTING_LIST:
	case SETTING_INTS:
	case SETTING_VALUE:
	case SETTING_BYTES:
	case SETTING_BYTE_LIST:
	case SETTING_TEXTS:
	case SETTING_LABELS:
		break;
	}
}

/* A value as a message shows it. */
static const char *
show_value(const config_setting_t *setting, char shown[MISTAKES_QUOTE_SIZE])
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(shown, MISTAKES_QUOTE_SIZE, "%lld", config_setting_get_int64(setting));
		break;
	case CONFIG_TYPE_FLOAT:
		snprintf(shown, MISTAKES_QUOTE_SIZE, "%.15g", config_setting_get_float(setting));
		if (strspn(shown, "-0123456789") == strlen(shown))
			strcat(shown, ".0");
		break;
	case CONFIG_TYPE_BOOL:
		strcpy(shown, config_setting_get_bool(setting) ? "true" : "false");
		break;
	case CONFIG_TYPE_STRING:
		mistakes_quote(config_setting_get_string(setting), shown);
		break;
	default:
		shown[0] = '\0';
		break;
	}
	return shown;
}

/* "5 is a number, a text of 1..253 characters is required" */
static void
add_wrong_kind(struct reader *reader, const struct place *place, const config_setting_t *setting)
{
	static const char *const kinds[] = {
		[CONFIG_TYPE_NONE] = "is nothing",
		[CONFIG_TYPE_GROUP] = "is a group { ... }",
		[CONFIG_TYPE_INT] = "is a number",
		[CONFIG_TYPE_INT64] = "is a number",
		[CONFIG_TYPE_FLOAT] = "is a number",
		[CONFIG_TYPE_STRING] = "is a text",
		[CONFIG_TYPE_BOOL] = "is a truth value",
		[CONFIG_TYPE_ARRAY] = "is an array [ ... ]",
		[CONFIG_TYPE_LIST] = "is a list ( ... )",
	};
	const char *kind = kinds[config_setting_type(setting)];
	char shown[MISTAKES_QUOTE_SIZE], wanted[SCHEMA_TEXT_SIZE];

	schema_wanted(place->row, wanted, sizeof(wanted));
	if (place->row->secret)
		shown[0] = '\0';
	else
		show_value(setting, shown);
	mistakes_add(reader->mistakes, place->group, place->name, "%s%s%s, %s is required", shown,
	    shown[0] ? " " : "", kind, wanted);
}

/* A whole number, or a floating-point one that is meant to be. Returns false if it is neither, and that is
 * reported. */
static bool
get_integer(struct reader *reader, const struct place *place, const config_setting_t *setting, int64_t *ret)
{
	char shown[MISTAKES_QUOTE_SIZE], allowed[SCHEMA_TEXT_SIZE];
	double real;

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
		*ret = config_setting_get_int(setting);
		return true;
	case CONFIG_TYPE_INT64:
		*ret = config_setting_get_int64(setting);
		return true;
	case CONFIG_TYPE_FLOAT:
		real = config_setting_get_float(setting);
		show_value(setting, shown);
		if (isfinite(real) && fabs(real) >= 9.2e18)
			snprintf(shown, sizeof(shown), "%.15g is out of range", real);
		else
			strcat(shown, isfinite(real) && real == trunc(real)
					  ? " is written with a decimal point"
					  : " is not a whole number");
		mistakes_add(reader->mistakes, place->group, place->name, "%s, allowed are %s", shown,
		    schema_allowed(place->row, allowed, sizeof(allowed)));
		return false;
	default:
		add_wrong_kind(reader, place, setting);
		return false;
	}
}

static bool
is_choice(const int *choices, int64_t number)
{
	for (; *choices; choices++)
		if (*choices == number)
			return true;
	return false;
}

static bool
passes(struct reader *reader, const struct place *place, const config_setting_t *setting,
    union setting_value value)
{
	const char *wrong = place->row->check ? place->row->check(value) : NULL;
	char shown[MISTAKES_QUOTE_SIZE];

	if (!wrong)
		return true;
	if (place->row->secret)
		mistakes_add(
		    reader->mistakes, place->group, place->name, "the %s %s", place->row->name, wrong);
	else
		mistakes_add(
		    reader->mistakes, place->group, place->name, "%s %s", show_value(setting, shown), wrong);
	return false;
}

static bool
read_int(struct reader *reader, const struct place *place, const config_setting_t *setting)
{
	const struct setting_row *row = place->row;
	char allowed[SCHEMA_TEXT_SIZE];
	int64_t number;

	if (!get_integer(reader, place, setting, &number))
		return false;
	if (row->choices ? !is_choice(row->choices, number) : number < row->min || number > row->max) {
		mistakes_add(reader->mistakes, place->group, place->name, "%lld is %s, allowed %s %s%s",
		    (long long)number, row->choices ? "not possible" : "out of range",
		    row->choices && !row->choices[1] ? "is" : "are",
		    schema_allowed(row, allowed, sizeof(allowed)), number > row->max && row->beyond ? row->beyond : "");
		return false;
	}
	if (!passes(reader, place, setting, (union setting_value){ .integer = number }))
		return false;
	store_int(place, number);
	return true;
}

static bool
read_number(struct reader *reader, const struct place *place, const config_setting_t *setting)
{
	const struct setting_row *row = place->row;
	char shown[MISTAKES_QUOTE_SIZE], allowed[SCHEMA_TEXT_SIZE];
	double number;

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
		number = config_setting_get_int(setting);
		break;
	case CONFIG_TYPE_INT64:
		number = (double)config_setting_get_int64(setting);
		break;
	case CONFIG_TYPE_FLOAT:
		number = config_setting_get_float(setting);
		break;
	default:
		add_wrong_kind(reader, place, setting);
		return false;
	}
	if (!isfinite(number)) {
		mistakes_add(reader->mistakes, place->group, place->name,
		    "is too large for a number, a finite number is required");
		return false;
	}
	if (row->min < row->max && (number < (double)row->min || number > (double)row->max)) {
		mistakes_add(reader->mistakes, place->group, place->name,
		    "%s is out of range, allowed are %s", show_value(setting, shown),
		    schema_allowed(row, allowed, sizeof(allowed)));
		return false;
	}
	if (!passes(reader, place, setting, (union setting_value){ .number = number }))
		return false;
	store_bytes(place, &number);
	return true;
}

static bool
judge_text(
    struct reader *reader, const struct place *place, const config_setting_t *setting, const char *text)
{
	const struct setting_row *row = place->row;
	char allowed[SCHEMA_TEXT_SIZE];
	int64_t length = schema_characters(text);

	schema_allowed(row, allowed, sizeof(allowed));
	if (length == 0 && row->min > 0) {
		mistakes_add(
		    reader->mistakes, place->group, place->name, "is empty, allowed are %s", allowed);
		return false;
	}
	if (length < row->min || length > row->max) {
		mistakes_add(reader->mistakes, place->group, place->name,
		    "has %lld characters, allowed are %s", (long long)length, allowed);
		return false;
	}
	return passes(reader, place, setting, (union setting_value){ .text = text });
}

static bool
read_text(struct reader *reader, const struct place *place, const config_setting_t *setting)
{
	const char *text;

	if (config_setting_type(setting) != CONFIG_TYPE_STRING) {
		add_wrong_kind(reader, place, setting);
		return false;
	}
	text = config_setting_get_string(setting);
	if (!judge_text(reader, place, setting, text))
		return false;
	store_bytes(place, &text);
	return true;
}

static bool
read_bool(struct reader *reader, const struct place *place, const config_setting_t *setting)
{
	bool yes;

	if (config_setting_type(setting) != CONFIG_TYPE_BOOL) {
		add_wrong_kind(reader, place, setting);
		return false;
	}
	yes = config_setting_get_bool(setting) != 0;
	store_bytes(place, &yes);
	return true;
}

static bool
read_name(struct reader *reader, const struct place *place, const config_setting_t *setting)
{
	char shown[MISTAKES_QUOTE_SIZE], allowed[SCHEMA_TEXT_SIZE];
	const char *text;
	int number;

	if (config_setting_type(setting) != CONFIG_TYPE_STRING) {
		add_wrong_kind(reader, place, setting);
		return false;
	}
	text = config_setting_get_string(setting);
	number = schema_name_find(place->row, text);
	if (number < 0) {
		mistakes_add(reader->mistakes, place->group, place->name, "%s is unknown, allowed are %s",
		    mistakes_quote(text, shown), schema_allowed(place->row, allowed, sizeof(allowed)));
		return false;
	}
	store_int(place, number);
	return true;
}

/* 0x8000 or ( 0x80000000, 0x7FFFFFFF ), or [ ], where libconfig wants all to be of one width. */
static int
read_ints(struct reader *reader, const struct place *place, const config_setting_t *setting, bool *ret_valid)
{
	bool several = config_setting_type(setting) == CONFIG_TYPE_ARRAY ||
		       config_setting_type(setting) == CONFIG_TYPE_LIST;
	struct items items = { .count = several ? (size_t)config_setting_length(setting) : 1 };
	int64_t *numbers = settings_alloc(reader->scratch, items.count * sizeof(*numbers));

	if (!numbers)
		return -ENOMEM;
	*ret_valid = items.count > 0;
	if (!*ret_valid)
		mistakes_add(reader->mistakes, place->group, place->name, "is empty, a number is required");
	for (unsigned i = 0; *ret_valid && i < items.count; i++)
		*ret_valid = get_integer(
		    reader, place, several ? config_setting_get_elem(setting, i) : setting, &numbers[i]);
	items.items = numbers;
	if (*ret_valid)
		store_bytes(place, &items);
	return 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "02 00 FF", with or without the blanks. `ret` has room for half as many bytes. Returns false if it is none. */
static bool
decode_hex(const char *text, uint8_t *ret, size_t *ret_length)
{
	size_t length = 0;

	while (*text) {
		if (*text == ' ') {
			text++;
			continue;
		}
		if (hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
			return false;
		ret[length++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
		text += 2;
	}
	*ret_length = length;
	return true;
}

/* Bytes: those of the text itself, in which libconfig has already put its escapes, or "hex:" and their digits. */
static int
get_bytes(struct reader *reader, const struct place *place, const config_setting_t *setting, struct bytes *ret,
    bool *ret_valid)
{
	static const char prefix[] = "hex:";
	char shown[MISTAKES_QUOTE_SIZE], allowed[SCHEMA_TEXT_SIZE];
	const struct setting_row *row = place->row;
	struct bytes bytes;
	uint8_t *copy;

	*ret_valid = false;
	if (config_setting_type(setting) != CONFIG_TYPE_STRING) {
		add_wrong_kind(reader, place, setting);
		return 0;
	}
	bytes.data = (const uint8_t *)config_setting_get_string(setting);
	bytes.length = strlen((const char *)bytes.data);
	if (strncmp((const char *)bytes.data, prefix, sizeof(prefix) - 1) == 0) {
		copy = settings_alloc(reader->scratch, bytes.length);
		if (!copy)
			return -ENOMEM;
		if (!decode_hex((const char *)bytes.data + sizeof(prefix) - 1, copy, &bytes.length)) {
			mistakes_add(reader->mistakes, place->group, place->name,
			    "%s has an odd digit, hex: and two hexadecimal digits for each byte are required",
			    show_value(setting, shown));
			return 0;
		}
		bytes.data = copy;
	}
	*ret_valid = (int64_t)bytes.length >= row->min && (int64_t)bytes.length <= row->max;
	if (*ret_valid)
		*ret = bytes;
	else
		mistakes_add(reader->mistakes, place->group, place->name, "has %zu bytes, allowed are %s", bytes.length,
		    schema_allowed(row, allowed, sizeof(allowed)));
	return 0;
}

static int
read_bytes(struct reader *reader, const struct place *place, const config_setting_t *setting, bool *ret_valid)
{
	struct bytes bytes;
	int error = get_bytes(reader, place, setting, &bytes, ret_valid);

	if (!error && *ret_valid)
		store_bytes(place, &bytes);
	return error;
}

/* One text, or a list or an array of them. */
static int
read_several(struct reader *reader, const struct place *place, const config_setting_t *setting, bool *ret_valid)
{
	bool several = config_setting_type(setting) == CONFIG_TYPE_ARRAY ||
		       config_setting_type(setting) == CONFIG_TYPE_LIST;
	struct items items = { .count = several ? (size_t)config_setting_length(setting) : 1 };
	bool texts = place->row->kind == SETTING_TEXTS;
	struct bytes *bytes = settings_alloc(reader->scratch, items.count * sizeof(*bytes));
	const char **letters = settings_alloc(reader->scratch, items.count * sizeof(*letters));
	int error = 0;

	if (!bytes || !letters)
		return -ENOMEM;
	*ret_valid = items.count > 0;
	if (!*ret_valid)
		mistakes_add(reader->mistakes, place->group, place->name, "is empty, at least one text is required");
	for (unsigned i = 0; !error && *ret_valid && i < items.count; i++) {
		const config_setting_t *element = several ? config_setting_get_elem(setting, i) : setting;

		if (!texts) {
			error = get_bytes(reader, place, element, &bytes[i], ret_valid);
		} else if (config_setting_type(element) != CONFIG_TYPE_STRING) {
			add_wrong_kind(reader, place, element);
			*ret_valid = false;
		} else {
			letters[i] = config_setting_get_string(element);
			*ret_valid = judge_text(reader, place, element, letters[i]);
		}
	}
	items.items = texts ? (void *)letters : (void *)bytes;
	if (!error && *ret_valid)
		store_bytes(place, &items);
	return error;
}

/* A value of a point, whatever that is. A text is kept like a label: it is not the value's own. */
static bool
read_any(struct reader *reader, const struct place *place, const config_setting_t *setting)
{
	struct value value = { .kind = VALUE_NONE };

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_BOOL:
		value = (struct value){ .kind = VALUE_BOOL, .boolean = config_setting_get_bool(setting) };
		break;
	case CONFIG_TYPE_INT:
		value = (struct value){ .kind = VALUE_INT, .integer = config_setting_get_int(setting) };
		break;
	case CONFIG_TYPE_INT64:
		value = (struct value){ .kind = VALUE_INT, .integer = config_setting_get_int64(setting) };
		break;
	case CONFIG_TYPE_FLOAT:
		value = (struct value){
			.kind = VALUE_REAL,
			.decimals = DECIMALS_DOUBLE,
			.real = config_setting_get_float(setting),
		};
		break;
	case CONFIG_TYPE_STRING:
		value = (struct value){ .kind = VALUE_LABEL, .label = config_setting_get_string(setting) };
		break;
	default:
		add_wrong_kind(reader, place, setting);
		return false;
	}
	if (value.kind == VALUE_REAL && !isfinite(value.real)) {
		mistakes_add(reader->mistakes, place->group, place->name,
		    "is too large for a number, a finite number is required");
		return false;
	}
	store_bytes(place, &value);
	return true;
}

/* A list ( "a", "b" ) or an array [ "a", "b" ] of names. */
static bool
read_set(struct reader *reader, const struct place *place,
    const config_setting_t *setting)
{
	int type = config_setting_type(setting), count = config_setting_length(setting);
	const struct setting_row *row = place->row;
	unsigned set = 0;

	if (type != CONFIG_TYPE_LIST && type != CONFIG_TYPE_ARRAY) {
		add_wrong_kind(reader, place, setting);
		return false;
	}
	for (int i = 0; i < count; i++) {
		int number;
		struct place element = { .row = row, .group = place->group, .name = place->name, .input = &number };
		struct setting_row one = *row;

		one.kind = SETTING_NAME;
		one.offset = 0;
		one.size = sizeof(number);
		element.row = &one;
		if (!read_name(reader, &element, config_setting_get_elem(setting, (unsigned)i)))
			return false;
		set |= 1U << number;
	}
	if (count == 0)
		mistakes_add(reader->mistakes, place->group, place->name, "is empty, at least one name is required");
	store_bytes(place, &set);
	return count > 0;
}

/* A list of groups. A group that is none of the right kind is reported and stays empty, so that indexes stay
 * true. */
static int
read_list(struct reader *reader, const struct place *place, const config_setting_t *setting, bool *ret_valid)
{
	const struct setting_group *group = place->row->group;
	struct items items = { .count = (size_t)config_setting_length(setting) };

	*ret_valid = (int64_t)items.count >= place->row->min;
	if (!*ret_valid)
		mistakes_add(reader->mistakes, place->group, place->name,
		    "is empty, at least one %s is required", group->name);
	if (items.count == 0)
		return 0;
	items.items = settings_alloc(reader->scratch, items.count * group->size);
	if (!items.items)
		return -ENOMEM;
	for (unsigned i = 0; i < items.count; i++) {
		const config_setting_t *element = config_setting_get_elem(setting, i);
		void *input = (char *)items.items + i * group->size;
		int error = 0;

		if (config_setting_type(element) != CONFIG_TYPE_GROUP) {
			((struct node *)input)->setting = element;
			mistakes_add(reader->mistakes, element, NULL, "is no %s, a group { ... } is required",
			    group->name);
		} else
			error = read_group(reader, group, element, input);
		if (error)
			return error;
	}
	store_bytes(place, &items);
	return 0;
}

/* { off = 0; heat = 1; } */
static int
read_label_group(
    struct reader *reader, const struct place *place, const config_setting_t *setting, bool *ret_valid)
{
	const struct setting_group *group = place->row->group;
	const struct setting_row *label_row = schema_find(group, "label", 0),
				 *value_row = schema_find(group, "value", 0);
	struct items items = { .count = (size_t)config_setting_length(setting) };
	struct label_input *label;

	*ret_valid = items.count > 0;
	if (!*ret_valid) {
		mistakes_add(
		    reader->mistakes, place->group, place->name, "is empty, at least one label is required");
		return 0;
	}
	items.items = label = settings_alloc(reader->scratch, items.count * sizeof(*label));
	if (!label)
		return -ENOMEM;
	for (unsigned i = 0; i < items.count; i++, label++) {
		const config_setting_t *element = config_setting_get_elem(setting, i);
		struct place value = { .row = value_row,
			.group = setting,
			.name = config_setting_name(element),
			.input = label };
		struct place name = {
			.row = label_row, .group = setting, .name = config_setting_name(element)
		};

		label->node.setting = element;
		label->label.label = config_setting_name(element);
		if (judge_text(reader, &name, element, label->label.label))
			label->node.valid |= schema_bit(group, label_row);
		if (read_int(reader, &value, element))
			label->node.valid |= schema_bit(group, value_row);
	}
	store_bytes(place, &items);
	return 0;
}

/* Returns 0 or -ENOMEM. */
static int
read_value(struct reader *reader, const struct place *place,
    const config_setting_t *setting, bool *ret_valid)
{
	const struct setting_row *row = place->row;
	int type = config_setting_type(setting);

	switch (row->kind) {
	case SETTING_BOOL:
		*ret_valid = read_bool(reader, place, setting);
		return 0;
	case SETTING_INT:
		*ret_valid = read_int(reader, place, setting);
		return 0;
	case SETTING_NUMBER:
		*ret_valid = read_number(reader, place, setting);
		return 0;
	case SETTING_TEXT:
		*ret_valid = read_text(reader, place, setting);
		return 0;
	case SETTING_NAME:
		*ret_valid = read_name(reader, place, setting);
		return 0;
	case SETTING_SET:
		*ret_valid = read_set(reader, place, setting);
		return 0;
	case SETTING_GROUP:
		*ret_valid = type == CONFIG_TYPE_GROUP;
		if (*ret_valid)
			return read_group(reader, row->group, setting, (char *)place->input + row->offset);
		break;
	case SETTING_LIST:
		/* libconfig reads an empty () as a list, an empty [] as an array. */
		*ret_valid = type == CONFIG_TYPE_LIST;
		if (*ret_valid)
			return read_list(reader, place, setting, ret_valid);
		break;
	case SETTING_INTS:
		return read_ints(reader, place, setting, ret_valid);
	case SETTING_VALUE:
		*ret_valid = read_any(reader, place, setting);
		return 0;
	case SETTING_BYTES:
		return read_bytes(reader, place, setting, ret_valid);
	case SETTING_BYTE_LIST:
	case SETTING_TEXTS:
		return read_several(reader, place, setting, ret_valid);
	case SETTING_LABELS:
		*ret_valid = true;
		if (type == CONFIG_TYPE_GROUP)
			return read_label_group(reader, place, setting, ret_valid);
		if (type == CONFIG_TYPE_LIST)
			return read_list(reader, place, setting, ret_valid);
		*ret_valid = false;
		break;
	}
	add_wrong_kind(reader, place, setting);
	return 0;
}

static void
add_unknown(struct reader *reader, const struct setting_group *group, unsigned variant,
    const config_setting_t *setting, const char *name, const char *nearest)
{
	char all[SCHEMA_TEXT_SIZE];
	size_t used = 0;

	if (nearest) {
		mistakes_add(reader->mistakes, setting, name, "unknown setting '%.64s', did you mean '%s'?",
		    name, nearest);
		return;
	}
	for (size_t i = 0; i < group->row_count && used < sizeof(all); i++)
		if (schema_belongs(&group->rows[i], variant))
			used += (size_t)snprintf(
			    all + used, sizeof(all) - used, "%s%s", used ? ", " : "", group->rows[i].name);
	mistakes_add(reader->mistakes, setting, name, "unknown setting '%.64s', allowed are %s", name, all);
}

/* The names of all variants that a row belongs to. */
static void
add_foreign(struct reader *reader, const struct setting_group *group, const struct setting_row *selects,
    unsigned variant, const config_setting_t *setting, const char *name)
{
	char owners[SCHEMA_TEXT_SIZE] = "";
	size_t used = 0;
	int own = __builtin_ctz(variant);

	for (int i = 0; selects->names(i); i++) {
		const struct setting_row *row = schema_find(group, name, 1U << i);

		if (schema_belongs(row, 1U << i))
			used += (size_t)snprintf(owners + used, sizeof(owners) - used, "%s%s",
			    used ? ", " : "", selects->names(i));
	}
	mistakes_add(reader->mistakes, setting, name, "does not belong to a %s of %s %s, only to %s",
	    group->name, selects->name, selects->names(own), owners);
}

static const struct setting_row *
selecting_row(const struct setting_group *group)
{
	for (size_t i = 0; i < group->row_count; i++)
		if (group->rows[i].selects)
			return &group->rows[i];
	return NULL;
}

/* The variant that the group says it is, a bit; 0 if it does not say or there are none. */
static unsigned
variant_of(const struct setting_group *group, const config_setting_t *setting)
{
	const struct setting_row *selects = selecting_row(group);
	const config_setting_t *member = selects ? config_setting_get_member(setting, selects->name) : NULL;
	int number = -1;

	if (member && config_setting_type(member) == CONFIG_TYPE_STRING)
		number = schema_name_find(selects, config_setting_get_string(member));
	return number >= 0 ? 1U << number : 0;
}

static int
read_member(struct reader *reader, const struct setting_group *group, unsigned variant,
    const config_setting_t *setting, const config_setting_t *member, void *input)
{
	const char *name = config_setting_name(member);
	const struct setting_row *row = schema_find(group, name, variant);
	struct place place = { .row = row, .group = setting, .name = name, .input = input };
	struct node *node = input;
	bool valid = false;
	int error;

	if (!row) {
		const char *nearest = schema_nearest(group, name, variant);

		add_unknown(reader, group, variant, setting, name, nearest);
		/* It is there, just misspelt: not also to be reported as missing. */
		if (nearest)
			node->given |= schema_bit(group, schema_find(group, nearest, variant));
		return 0;
	}
	if (!schema_belongs(row, variant)) {
		if (variant)
			add_foreign(reader, group, selecting_row(group), variant, setting, name);
		return 0;
	}
	node->given |= schema_bit(group, row);
	error = read_value(reader, &place, member, &valid);
	if (valid)
		node->valid |= schema_bit(group, row);
	return error;
}

/* Defaults, then what is there, then what is not. */
static int
read_group(
    struct reader *reader, const struct setting_group *group, const config_setting_t *setting, void *input)
{
	unsigned variant = variant_of(group, setting);
	struct node *node = input;
	char wanted[SCHEMA_TEXT_SIZE];

	node->setting = setting;
	for (size_t i = 0; i < group->row_count; i++)
		if (schema_belongs(&group->rows[i], variant))
			store_preset(&(struct place){ .row = &group->rows[i], .input = input });
	for (int i = 0; i < config_setting_length(setting); i++) {
		int error = read_member(
		    reader, group, variant, setting, config_setting_get_elem(setting, (unsigned)i), input);

		if (error)
			return error;
	}
	for (size_t i = 0; i < group->row_count; i++) {
		const struct setting_row *row = &group->rows[i];

		if (row->required && schema_belongs(row, variant) && !(node->given & schema_bit(group, row)))
			mistakes_add(reader->mistakes, setting, row->name, "missing, %s is required",
			    schema_wanted(row, wanted, sizeof(wanted)));
	}
	return 0;
}

/* The defaults of a group that the file does not have. */
static void
fill_absent(const struct setting_group *group, void *input)
{
	for (size_t i = 0; i < group->row_count; i++)
		store_preset(&(struct place){ .row = &group->rows[i], .input = input });
}

int
reader_read(
    const config_setting_t *root, struct settings *scratch, struct mistakes *mistakes, struct root_input *ret)
{
	struct reader reader = { .scratch = scratch, .mistakes = mistakes };

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < schema_root.row_count; i++)
		if (schema_root.rows[i].kind == SETTING_GROUP)
			fill_absent(schema_root.rows[i].group, (char *)ret + schema_root.rows[i].offset);
	return read_group(&reader, &schema_root, root, ret);
}
