#include "model/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/whole.h"

struct value_list *
value_list_new(size_t count)
{
	struct value_list *list = calloc(1, sizeof(*list) + count * sizeof(list->items[0]));

	if (list)
		list->count = count;
	return list;
}

static void
list_done(struct value_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		value_done(&list->items[i]);
	free(list);
}

void
value_free(struct value *value)
{
	if (value->kind == VALUE_TEXT)
		free(value->text);
	if (value->kind == VALUE_LIST)
		list_done(value->list);
}

/* Exactly equal: a 64-bit number and a real that it would be rounded to are not. */
static bool
real_equals(double real, const struct value *whole)
{
	if (whole->kind == VALUE_INT)
		return real == (double)whole->integer && real < INT64_END && (int64_t)real == whole->integer;
	if (whole->kind == VALUE_UINT)
		return real == (double)whole->whole && real < UINT64_END && (uint64_t)real == whole->whole;
	return false;
}

static bool
list_equal(const struct value_list *a, const struct value_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!value_equal(&a->items[i], &b->items[i]))
			return false;
	return true;
}

bool
value_equal(const struct value *a, const struct value *b)
{
	const char *text = value_text(a);

	if (text)
		return value_text(b) && strcmp(text, value_text(b)) == 0;
	if (a->kind != b->kind) {
		if (a->kind == VALUE_REAL)
			return real_equals(a->real, b);
		return b->kind == VALUE_REAL && real_equals(b->real, a);
	}
	switch (a->kind) {
	case VALUE_BOOL:
		return a->boolean == b->boolean;
	case VALUE_INT:
		return a->integer == b->integer;
	case VALUE_UINT:
		return a->whole == b->whole;
	case VALUE_REAL:
		return a->real == b->real;
	case VALUE_LIST:
		return list_equal(a->list, b->list);
	case VALUE_NONE:
	case VALUE_LABEL:
	case VALUE_TEXT:
		break;
	}
	return true;
}

bool
value_number(const struct value *value, double *ret)
{
	switch (value->kind) {
	case VALUE_BOOL:
		*ret = value->boolean ? 1 : 0;
		return true;
	case VALUE_INT:
		*ret = (double)value->integer;
		return true;
	case VALUE_UINT:
		*ret = (double)value->whole;
		return true;
	case VALUE_REAL:
		*ret = value->real;
		return true;
	case VALUE_NONE:
	case VALUE_LABEL:
	case VALUE_TEXT:
	case VALUE_LIST:
		break;
	}
	return false;
}

const char *
value_text(const struct value *value)
{
	if (value->kind == VALUE_LABEL)
		return value->label;
	return value->kind == VALUE_TEXT ? value->text : NULL;
}

static int
list_copy(const struct value_list *list, struct value *ret)
{
	struct value_list *items = value_list_new(list->count);
	int error = items ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < list->count; i++)
		error = value_copy(&list->items[i], &items->items[i]);
	if (error && items)
		list_done(items);
	if (!error)
		*ret = (struct value){ .kind = VALUE_LIST, .list = items };
	return error;
}

int
value_copy(const struct value *value, struct value *ret)
{
	struct value copy = *value;

	if (value->kind == VALUE_LIST)
		return list_copy(value->list, ret);
	if (value->kind == VALUE_TEXT) {
		copy.text = strdup(value->text);
		if (!copy.text)
			return -ENOMEM;
	}
	*ret = copy;
	return 0;
}
