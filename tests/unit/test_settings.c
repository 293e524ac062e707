#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/settings.h"

/* The linker puts this in the place of calloc(). */
static bool no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *
__wrap_calloc(size_t count, size_t size)
{
	return no_memory ? NULL : __real_calloc(count, size);
}

static void
test_arena(void **state)
{
	static const size_t sizes[] = { 1, 0, 7, 16, 1000, 16384, 3, 16385, 5, 100000, 9, 16383 };
	struct settings *settings = settings_new();
	unsigned char *pieces[20][sizeof(sizes) / sizeof(sizes[0])];

	(void)state;
	assert_non_null(settings);
	assert_int_equal(settings->point_count, 0);
	for (size_t round = 0; round < 20; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			unsigned char *piece = settings_alloc(settings, sizes[i]);

			assert_non_null(piece);
			assert_int_equal((uintptr_t)piece % alignof(max_align_t), 0);
			for (size_t k = 0; k < sizes[i]; k++)
				assert_true(piece[k] == 0);
			memset(piece, (int)(round + i) & 0xff, sizes[i]);
			pieces[round][i] = piece;
		}
	/* No two of them overlap: each still holds what was put into it. */
	for (size_t round = 0; round < 20; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			for (size_t k = 0; k < sizes[i]; k++)
				assert_true(pieces[round][i][k] == ((round + i) & 0xff));
	assert_null(settings_alloc(settings, SIZE_MAX));
	assert_null(settings_alloc(settings, SIZE_MAX - 10));
	settings_free(settings);
	settings_free(NULL);
}

static void
test_strdup(void **state)
{
	struct settings *settings = settings_new();
	char text[] = "Boiler";
	char *copy = settings_strdup(settings, text);

	(void)state;
	text[0] = 'X';
	assert_string_equal(copy, "Boiler");
	assert_string_equal(settings_strdup(settings, ""), "");
	settings_free(settings);
}

static void
test_tables(void **state)
{
	(void)state;
	assert_string_equal(point_table_name(TABLE_COIL), "coil");
	assert_string_equal(point_table_name(TABLE_DISCRETE), "discrete");
	assert_string_equal(point_table_name(TABLE_INPUT), "input");
	assert_string_equal(point_table_name(TABLE_HOLDING), "holding");
	assert_true(point_table_has_bits(TABLE_COIL) && point_table_has_bits(TABLE_DISCRETE));
	assert_false(point_table_has_bits(TABLE_INPUT) || point_table_has_bits(TABLE_HOLDING));
	assert_true(point_table_writable(TABLE_COIL) && point_table_writable(TABLE_HOLDING));
	assert_false(point_table_writable(TABLE_DISCRETE) || point_table_writable(TABLE_INPUT));
}

static void
test_no_memory(void **state)
{
	struct settings *settings;

	(void)state;
	no_memory = true;
	settings = settings_new();
	no_memory = false;
	assert_null(settings);
	settings = settings_new();
	no_memory = true;
	assert_null(settings_alloc(settings, 1));
	assert_null(settings_strdup(settings, "Boiler"));
	no_memory = false;
	assert_string_equal(settings_strdup(settings, "Boiler"), "Boiler");
	no_memory = true;
	assert_null(settings_alloc(settings, 100000));
	assert_non_null(settings_alloc(settings, 100));
	no_memory = false;
	settings_free(settings);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_strdup),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
