/* What is learned outlives a restart, and damage does no harm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake/bench.h"
#include "field/memory.h"

static struct bench bench;
static struct schedule schedule;
static struct memory *memory;
static char directory[] = "/tmp/fieldgate-memory-XXXXXX";
static char path[128];

static void
begin(void)
{
	memory = memory_new(&bench.bus);
	assert_non_null(memory);
	assert_int_equal(schedule_init(&schedule, &bench.settings, &bench.bus, 1000), 0);
}

static void
end(void)
{
	memory_free(memory);
	schedule_done(&schedule);
}

/* Eight points, of which the sixth is refused; one unit takes no holes and another only short reads. */
static int
set_up(void **state)
{
	struct plan_unit lore = { .unit = 1, .no_holes = true };

	(void)state;
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	assert_non_null(mkdtemp(directory));
	setenv("STATE_DIRECTORY", directory, 1);
	bench_init(&bench, BUS_TCP);
	bench.bus.name = "a/b c";
	snprintf(path, sizeof(path), "%s/learned-a_b_c-575dc0f0", directory);
	for (int i = 0; i < 8; i++)
		bench_point(&bench, 1, TABLE_HOLDING, i, 1, 1000);
	bench_point(&bench, 2, TABLE_COIL, 0, 1, 1000);
	begin();
	schedule_remember_point(&schedule, &bench.points[5], 2, 1000);
	schedule_remember_unit(&schedule, &lore);
	lore = (struct plan_unit){ .unit = 2, .max_registers = 60, .max_bits = 100 };
	schedule_remember_unit(&schedule, &lore);
	assert_int_equal(memory_save(memory, &schedule), 0);
	end();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(path);
	assert_int_equal(rmdir(directory), 0); /* so nothing else was left */
	return 0;
}

static void
test_it_is_there_after_a_restart(void **state)
{
	struct stat status;

	(void)state;
	begin();
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(memory_load(memory, &schedule, 1000), 3);
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(schedule.items[i].retry_ms > 0, i == 5);
	assert_int_equal(schedule.items[5].exception, 2);
	assert_true(schedule_unit(&schedule, 1)->lore.no_holes);
	assert_false(schedule_unit(&schedule, 2)->lore.no_holes);
	assert_int_equal(schedule_unit(&schedule, 2)->lore.max_registers, 60);
	assert_int_equal(schedule_unit(&schedule, 2)->lore.max_bits, 100);
	end();
}

static void
test_another_configuration_is_not_touched(void **state)
{
	(void)state;
	bench.points[5].addr = 100; /* the point has moved */
	begin();
	assert_int_equal(memory_load(memory, &schedule, 1000), 2);
	assert_int_equal(schedule.items[5].retry_ms, 0);
	end();
	bench.bus.host = "192.168.0.77"; /* another line under the same name */
	begin();
	assert_int_equal(memory_load(memory, &schedule, 1000), -ESTALE);
	end();
	bench.bus.name = "other";
	begin();
	assert_int_equal(memory_load(memory, &schedule, 1000), -ENOENT);
	end();
}

static void
put_file(const char *text, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	fclose(file);
}

static void
test_damage_anywhere_has_it_passed_over(void **state)
{
	char text[4096];
	FILE *file = fopen(path, "r");
	size_t size = fread(text, 1, sizeof(text), file);

	(void)state;
	fclose(file);
	for (size_t i = 0; i < size; i++) {
		text[i] ^= 0x11;
		put_file(text, size);
		begin();
		assert_int_equal(memory_load(memory, &schedule, 1000), -EBADMSG);
		assert_false(schedule.outdated);
		end();
		text[i] ^= 0x11;
		put_file(text, i); /* cut */
		begin();
		assert_true(memory_load(memory, &schedule, 1000) == -EBADMSG || i == size - 1);
		end();
	}
}

static void
test_without_a_directory_nothing_is_kept(void **state)
{
	(void)state;
	unsetenv("STATE_DIRECTORY");
	begin();
	assert_int_equal(memory_load(memory, &schedule, 1000), -ENOENT);
	assert_int_equal(memory_save(memory, &schedule), -ENOENT);
	assert_int_equal(memory_result(memory), 0);
	end();
}

static void
test_a_disk_that_refuses_is_said(void **state)
{
	int result;

	(void)state;
	setenv("STATE_DIRECTORY", "/nowhere/at/all", 1);
	begin();
	assert_int_equal(memory_save(memory, &schedule), 0);
	while ((result = memory_result(memory)) == -EINPROGRESS)
		usleep(1000);
	assert_int_equal(result, -ENOENT);
	end();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_it_is_there_after_a_restart),
		TEST(test_another_configuration_is_not_touched),
		TEST(test_damage_anywhere_has_it_passed_over),
		TEST(test_without_a_directory_nothing_is_kept),
		TEST(test_a_disk_that_refuses_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
