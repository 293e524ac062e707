/* The whole room against simulated units on a paced line, through a serial server and over TCP: whatever goes
 * wrong there, no value is ever that of another register, and everything comes back by itself. Needs the
 * simulator: modsim, or MODSIM. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "fake/bench.h"
#include "fake/sinks.h"
#include "field/field.h"

#define UNITS	     2
#define POINTS	     8
#define PERIOD_MS    50
#define LINE_BYTES   4096
#define SAMPLES_KEPT 20000
#define PATIENCE_MS  40000
#define TEST_S	     250 /* no test waits for ever, whatever is broken */

static struct bench bench;
static struct sinks sinks;
static struct resolver *resolver;
static struct field *field;
static pid_t simulator;
static FILE *to_simulator;
static FILE *from_simulator;
static char line_path[64];

static const char *
simulator_path(void)
{
	const char *path = getenv("MODSIM");

	return path ? path : "./tests/sim/modsim";
}

static void
run_simulator(int in, int out)
{
	const char *path = simulator_path();

	dup2(in, 0);
	dup2(out, 1);
	execl(path, path, "--tcp", "0", "--rtu", line_path, "--baud", "115200", "--rtu-tcp", "0", "--unit",
	    "2", NULL);
	_exit(127);
}

static void
start_simulator(void)
{
	int in[2];
	int out[2];

	snprintf(line_path, sizeof(line_path), "./line-%d", (int)getpid());
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	simulator = fork();
	if (simulator == 0)
		run_simulator(in[0], out[1]);
	close(in[0]);
	close(out[1]);
	to_simulator = fdopen(in[1], "w");
	from_simulator = fdopen(out[0], "r");
}

/* Read lines up to the one with `wanted` in it. */
static void
await_line(const char *wanted, char *text)
{
	do
		assert_non_null(fgets(text, LINE_BYTES, from_simulator));
	while (!strstr(text, wanted));
}

static void __attribute__((format(printf, 2, 0)))
converse(char *ret_text, const char *format, va_list args)
{
	vfprintf(to_simulator, format, args);
	fputc('\n', to_simulator);
	fflush(to_simulator);
	await_line("\"ok\":", ret_text);
	assert_non_null(strstr(ret_text, "\"ok\":true"));
}

static void __attribute__((format(printf, 1, 2))) tell(const char *format, ...)
{
	char text[LINE_BYTES];
	va_list args;

	va_start(args, format);
	converse(text, format, args);
	va_end(args);
}

static int
number_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	return atoi(at + strlen(name));
}

/* A number of the answer. */
static int __attribute__((format(printf, 2, 3)))
ask(const char *name, const char *format, ...)
{
	char text[LINE_BYTES];
	va_list args;

	va_start(args, format);
	converse(text, format, args);
	va_end(args);
	return number_after(text, name);
}

/* What a register of a unit holds says which one it is. */
static int
content_of(int unit, int addr)
{
	return unit * 1000 + addr;
}

static int
number_of_bus(enum bus_type type)
{
	return type == BUS_TCP ? 0 : type == BUS_RTU ? 1 : 2;
}

static void
fill_units(int bus)
{
	for (int unit = 1; unit <= UNITS; unit++)
		for (int i = 0; i < POINTS; i++)
			tell("{\"cmd\":\"set\",\"bus\":%d,\"unit\":%d,\"addr\":%d,\"values\":[%d]}", bus,
			    unit, 3 * i, content_of(unit, 3 * i));
}

static void
start_field(void)
{
	sinks_init(&sinks, SAMPLES_KEPT, 200);
	resolver = resolver_start();
	assert_non_null(resolver);
	field = field_new(&bench.settings, resolver, sinks_samples(&sinks), sinks_outcomes(&sinks));
	assert_non_null(field);
	assert_int_equal(field_start(field), 0);
}

/* A bus without points. */
static void
start_bus(enum bus_type type, int timeout_ms)
{
	char ready[LINE_BYTES];

	start_simulator();
	await_line("\"ready\"", ready);
	bench_init(&bench, type);
	bench.device.max_hole_registers = 0;
	bench.bus.port = line_path;
	bench.bus.baud = 115200;
	bench.bus.parity = PARITY_NONE;
	bench.bus.timeout_ms = timeout_ms;
	bench.bus.host = "three.test"; /* of which the last address is right */
	bench.bus.tcp_port = number_after(ready, type == BUS_TCP ? "\"tcp\":[" : "\"rtu_tcp\":[");
}

/* Eight requests of the same shape for each of two units, every 50 ms. */
static void
begin(enum bus_type type, int timeout_ms)
{
	start_bus(type, timeout_ms);
	for (int unit = 1; unit <= UNITS; unit++)
		for (int i = 0; i < POINTS; i++)
			bench_point(&bench, unit, TABLE_HOLDING, 3 * i, 1, PERIOD_MS);
	fill_units(number_of_bus(type));
	start_field();
}

/* Everything that begin() started, as far as it came. */
static void
clean_up(void)
{
	if (field)
		field_stop(field, CLOCK_NEVER);
	field_free(field);
	field = NULL;
	resolver_stop(resolver);
	resolver = NULL;
	if (sinks.samples)
		sinks_done(&sinks);
	sinks = (struct sinks){ .samples = NULL };
	if (simulator <= 0)
		return;
	fclose(to_simulator);
	waitpid(simulator, NULL, 0);
	fclose(from_simulator);
	simulator = 0;
}

static void
end(void)
{
	int64_t began = clock_mono_ms();

	field_stop(field, CLOCK_NEVER);
	assert_true(clock_mono_ms() - began < 5000); /* and it hangs in nothing */
	clean_up();
}

static int
set_up(void **state)
{
	(void)state;
	alarm(TEST_S);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	clean_up();
	alarm(0);
	return 0;
}

/* Take samples for `ms`; each must be what its register holds. Returns how many came of unit `unit`. */
static int
check_samples(int ms, int unit)
{
	int64_t until = clock_mono_ms() + ms;
	struct pollfd waiting = { .fd = fifo_fd(sinks.samples), .events = POLLIN };
	int count = 0;

	while (clock_mono_ms() < until) {
		struct sample sample;

		if (fifo_pop(sinks.samples, &sample, 1) == 0) {
			poll(&waiting, 1, clock_poll_ms(until));
			continue;
		}
		assert_int_equal(sample.value.integer, content_of(sample.point->unit, sample.point->addr));
		count += sample.point->unit == unit;
	}
	return count;
}

/* Wait until unit 1 gives values. */
static void
await_samples(void)
{
	int64_t until = clock_mono_ms() + PATIENCE_MS;

	check_samples(20, 1); /* those that are there */
	while (check_samples(50, 1) == 0)
		assert_true(clock_mono_ms() < until);
}

/* After `command` the bus says that its points are offline, and nothing of them comes any more. */
static void
expect_offline_after(const char *command)
{
	struct sample sample;

	while (fifo_pop(sinks.qualities, &sample, 1) == 1)
		;
	tell("%s", command);
	do
		assert_true(sinks_quality(&sinks, &sample));
	while (sample.quality != QUALITY_OFFLINE);
	sinks_clear(&sinks);
	assert_int_equal(check_samples(300, 1), 0);
}

static const enum bus_type all_types[] = { BUS_RTU, BUS_TCP, BUS_RTU_OVER_TCP };

static void
test_late_replies_are_never_those_of_another_request(void **state)
{
	static const int late_ms[] = { 42, 65, 85, 100, 130, 300 };

	(void)state;
	for (size_t t = 0; t < 3; t++) {
		begin(all_types[t], 40);
		await_samples();
		for (size_t i = 0; i < sizeof(late_ms) / sizeof(late_ms[0]); i++) {
			tell("{\"cmd\":\"fault\",\"bus\":%d,\"unit\":1,\"kind\":\"late\",\"ms\":%d,\"count\":"
			     "%d}",
			    number_of_bus(all_types[t]), late_ms[i], i % 2 == 0 ? 1 : 2);
			check_samples(60, 2);
			await_samples();
		}
		end();
	}
}

static void
test_broken_replies_cost_one_unit_and_never_lie(void **state)
{
	static const char *const kinds[] = { "wrong_unit", "wrong_function", "wrong_count", "cut",
		"garbage_before", "garbage_after", "glued", "dead" };
	(void)state;
	for (size_t t = 0; t < 3; t++) {
		begin(all_types[t], 40);
		await_samples();
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			tell("{\"cmd\":\"fault\",\"bus\":%d,\"unit\":1,\"kind\":\"%s\",\"count\":3}",
			    number_of_bus(all_types[t]), kinds[i]);
			check_samples(250, 2);
		}
		tell("{\"cmd\":\"fault\",\"bus\":%d,\"kind\":\"none\"}", number_of_bus(all_types[t]));
		await_samples();
		end();
	}
}

static int
requests_of_unit_1(enum bus_type type)
{
	return ask("\"requests\":", "{\"cmd\":\"stats\",\"bus\":%d,\"unit\":1}", number_of_bus(type));
}

/* What is counted is counted by the bus's own time: how long a busy machine takes over it makes no difference. */
static void
test_a_dead_unit_costs_the_bus_a_tenth_of_its_time(void **state)
{
	enum { TIMEOUT_MS = 300, READINGS = 300 };

	(void)state;
	for (size_t t = 0; t < 3; t++) {
		struct sample sample;
		int64_t began;
		int asked, readings = 0, took_ms;

		begin(all_types[t], TIMEOUT_MS);
		await_samples();
		tell("{\"cmd\":\"fault\",\"bus\":%d,\"unit\":1,\"kind\":\"dead\"}", number_of_bus(all_types[t]));
		do
			assert_true(sinks_quality(&sinks, &sample));
		while (sample.quality != QUALITY_OFFLINE || sample.point->unit != 1);
		sinks_clear(&sinks);
		asked = requests_of_unit_1(all_types[t]);
		began = clock_mono_ms();
		for (; readings < READINGS; readings++) {
			assert_true(sinks_sample(&sinks, &sample));
			assert_int_equal(sample.point->unit, 2);
		}
		asked = requests_of_unit_1(all_types[t]) - asked;
		took_ms = (int)(clock_mono_ms() - began);
		/* one that may have begun before, and 16 readings that the last one may have held up */
		assert_in_range(asked, 0, 1 + took_ms / 10 / TIMEOUT_MS + 1);
		assert_in_range(readings, 0, POINTS * (took_ms + TIMEOUT_MS) / PERIOD_MS + 2 * POINTS);
		end();
	}
}

static void
test_an_unplugged_adapter_comes_back(void **state)
{
	(void)state;
	begin(BUS_RTU, 100);
	await_samples();
	expect_offline_after("{\"cmd\":\"unplug\",\"bus\":1}");
	tell("{\"cmd\":\"plug\",\"bus\":1}");
	await_samples();
	end();
}

static void
test_a_babbling_line_comes_back(void **state)
{
	(void)state;
	begin(BUS_RTU, 40);
	await_samples();
	tell("{\"cmd\":\"fault\",\"bus\":1,\"kind\":\"babble\",\"ms\":1000}");
	check_samples(1000, 1);
	await_samples();
	end();
}

static void
test_a_server_that_lost_power_comes_back(void **state)
{
	(void)state;
	begin(BUS_TCP, 100);
	await_samples();
	expect_offline_after("{\"cmd\":\"listen\",\"bus\":0,\"on\":false}");
	tell("{\"cmd\":\"listen\",\"bus\":0,\"on\":true}");
	await_samples();
	/* Connections that end in the middle and beside requests cost next to nothing. */
	tell("{\"cmd\":\"fault\",\"bus\":0,\"unit\":1,\"kind\":\"close\",\"count\":2}");
	await_samples();
	tell("{\"cmd\":\"fault\",\"bus\":0,\"unit\":1,\"kind\":\"reset\",\"count\":2}");
	await_samples();
	end();
}

/* A request of four points, one of which the unit refuses. */
static void
test_one_bad_register_costs_one_point(void **state)
{
	enum { READINGS = 20, APART = 5 };
	int counts[4] = { 0 };
	struct sample sample;

	(void)state;
	start_bus(BUS_TCP, 1000);
	for (int i = 0; i < 4; i++)
		bench_point(&bench, 1, TABLE_HOLDING, i, 1, PERIOD_MS);
	tell("{\"cmd\":\"illegal\",\"addr\":2}");
	start_field();
	while (counts[0] < READINGS) {
		assert_true(sinks_sample(&sinks, &sample));
		counts[sample.point->addr]++;
	}
	assert_in_range(counts[1], READINGS - APART, READINGS + APART);
	assert_int_equal(counts[2], 0);
	assert_in_range(counts[3], READINGS - APART, READINGS + APART);
	end();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_late_replies_are_never_those_of_another_request),
		TEST(test_broken_replies_cost_one_unit_and_never_lie),
		TEST(test_a_dead_unit_costs_the_bus_a_tenth_of_its_time),
		TEST(test_an_unplugged_adapter_comes_back),
		TEST(test_a_babbling_line_comes_back),
		TEST(test_a_server_that_lost_power_comes_back),
		TEST(test_one_bad_register_costs_one_point),
	};

	if (access(simulator_path(), X_OK) != 0) {
		fprintf(stderr, "%s is not there\n", simulator_path());
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	log_init(getenv("FIELD_TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
