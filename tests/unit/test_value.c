#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/value.h"

/* The linker puts this in the place of strdup(). */
static bool no_memory;

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *
__wrap_strdup(const char *text)
{
	return no_memory ? NULL : __real_strdup(text);
}

static char letters[] = "heat";

/* No two of these are equal, except as `same` says. The text is not on the heap: it is not freed here. */
static const struct {
	struct value value;
	int same;
} values[] = {
	{ { .kind = VALUE_NONE }, 0 },
	{ { .kind = VALUE_BOOL, .boolean = true }, 1 },
	{ { .kind = VALUE_BOOL, .boolean = false }, 2 },
	{ { .kind = VALUE_INT, .integer = 1 }, 3 },
	{ { .kind = VALUE_REAL, .real = 1 }, 3 },
	{ { .kind = VALUE_REAL, .decimals = DECIMALS_SINGLE, .real = 1 }, 3 },
	{ { .kind = VALUE_INT, .integer = 0 }, 4 },
	{ { .kind = VALUE_REAL, .real = -0.0 }, 4 },
	{ { .kind = VALUE_REAL, .real = 0.5 }, 5 },
	{ { .kind = VALUE_INT, .integer = INT64_MAX }, 6 },
	{ { .kind = VALUE_UINT, .whole = (uint64_t)INT64_MAX + 1 }, 7 },
	{ { .kind = VALUE_REAL, .real = 0x1p63 }, 7 },
	{ { .kind = VALUE_UINT, .whole = UINT64_MAX }, 8 },
	{ { .kind = VALUE_REAL, .real = 0x1p64 }, 9 },
	{ { .kind = VALUE_INT, .integer = INT64_MIN }, 10 },
	{ { .kind = VALUE_REAL, .real = -0x1p63 }, 10 },
	{ { .kind = VALUE_INT, .integer = 9007199254740993 }, 11 },
	{ { .kind = VALUE_REAL, .real = 9007199254740992 }, 12 },
	{ { .kind = VALUE_LABEL, .label = "heat" }, 13 },
	{ { .kind = VALUE_TEXT, .text = letters }, 13 },
	{ { .kind = VALUE_LABEL, .label = "1" }, 14 },
	{ { .kind = VALUE_LABEL, .label = "" }, 15 },
};

#define VALUE_COUNT (sizeof(values) / sizeof(values[0]))

static void
test_equal(void **state)
{
	(void)state;
	for (size_t i = 0; i < VALUE_COUNT; i++)
		for (size_t k = 0; k < VALUE_COUNT; k++)
			assert_int_equal(value_equal(&values[i].value, &values[k].value),
			    values[i].same == values[k].same);
}

static void
test_number(void **state)
{
	double number = 7;

	(void)state;
	for (size_t i = 0; i < VALUE_COUNT; i++) {
		enum value_kind kind = values[i].value.kind;

		assert_int_equal(value_number(&values[i].value, &number),
		    kind != VALUE_NONE && kind != VALUE_LABEL && kind != VALUE_TEXT);
	}
	assert_true(value_number(&values[1].value, &number) && number == 1);
	assert_true(value_number(&values[12].value, &number) && number == 0x1p64);
	assert_true(value_number(&values[14].value, &number) && number == -0x1p63);
}

static void
test_copy_and_done(void **state)
{
	struct value text = { .kind = VALUE_TEXT, .text = letters };
	struct value copy = { .kind = VALUE_NONE };

	(void)state;
	assert_int_equal(value_copy(&text, &copy), 0);
	assert_ptr_not_equal(copy.text, letters);
	assert_string_equal(value_text(&copy), "heat");
	value_done(&copy);
	assert_int_equal(copy.kind, VALUE_NONE);
	value_done(&copy);
	for (size_t i = 0; i < VALUE_COUNT; i++) {
		assert_int_equal(value_copy(&values[i].value, &copy), 0);
		assert_int_equal(copy.kind, values[i].value.kind);
		assert_true(value_equal(&copy, &values[i].value));
		assert_int_equal(
		    value_text(&copy) != NULL, copy.kind == VALUE_LABEL || copy.kind == VALUE_TEXT);
		value_done(&copy);
	}
}

/* Lists of the same are the same, and a copy shares nothing. */
static void
test_lists(void **state)
{
	struct value list = { .kind = VALUE_LIST, .list = value_list_new(2) };
	struct value other = { .kind = VALUE_LIST, .list = value_list_new(1) };
	struct value copy = { .kind = VALUE_NONE };
	double number;

	(void)state;
	list.list->items[0] = (struct value){ .kind = VALUE_INT, .integer = 42 };
	list.list->items[1] = (struct value){ .kind = VALUE_TEXT, .text = strdup("heat") };
	other.list->items[0] = list.list->items[0];
	assert_false(value_equal(&list, &other));
	assert_false(value_equal(&list, &list.list->items[0]));
	assert_false(value_equal(&list.list->items[0], &list));
	assert_false(value_number(&list, &number));
	assert_null(value_text(&list));
	assert_int_equal(value_copy(&list, &copy), 0);
	assert_true(value_equal(&list, &copy));
	copy.list->items[0] = (struct value){ .kind = VALUE_REAL, .real = 42 };
	assert_true(value_equal(&list, &copy));
	copy.list->items[0].real = 42.5;
	assert_false(value_equal(&list, &copy));
	value_done(&list);
	assert_string_equal(value_text(&copy.list->items[1]), "heat");
	/* The second allocation of the copy, that of the text, fails. */
	no_memory = true;
	assert_int_equal(value_copy(&copy, &list), -ENOMEM);
	no_memory = false;
	assert_int_equal(list.kind, VALUE_NONE);
	value_done(&copy);
	value_done(&other);
}

static void
test_no_memory(void **state)
{
	const struct value text = { .kind = VALUE_TEXT, .text = letters };
	struct value copy = { .kind = VALUE_NONE };
	int result;

	(void)state;
	no_memory = true;
	result = value_copy(&text, &copy);
	no_memory = false;
	assert_int_equal(result, -ENOMEM);
	assert_int_equal(copy.kind, VALUE_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_copy_and_done),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
