/* Whatever cannot be made when the cloud's side is: it says so, and leaves nothing behind and nothing freed twice (which is for the
 * sanitizers to see). No server is needed. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "cloud/uplink.h"
#include "fake/memory.h"

#define TRIES_MAX 5000

/* ---- what fails; linked with --wrap ---- */

static bool threads_fail;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
	return threads_fail ? EAGAIN : __real_pthread_create(thread, attributes, run, arg);
}

/* ---- a gateway ---- */

static char folder[] = "/tmp/test_uplink_fails.XXXXXX";
static struct bus bus = { .name = "plc" };
static struct claim claim = { .secret = "s" };
static struct device devices[3];
static struct point points[2];
static struct settings settings;

static void
make_settings(enum server_api api)
{
	memset(points, 0, sizeof(points));
	for (size_t i = 0; i < 2; i++) {
		points[i] = (struct point){ .device = &devices[i], .bus = &bus, .index = i, .key = "key", .unit = 1,
			.table = TABLE_HOLDING, .count = 1, .type = TYPE_INT16, .bit = POINT_NO_BIT, .scale = 1,
			.period_ms = 1000, .kind = KIND_TELEMETRY, .report = REPORT_ALWAYS, .writable = true, .shared = true };
		devices[i] = (struct device){ .name = i ? "B" : "A", .index = i, .bus = &bus, .unit = 1, .facts = true,
			.points = &points[i], .point_count = 1,
			.credentials = { .kind = CREDENTIALS_TOKEN, .token = i ? "TB" : "TA" },
			.claim = i ? &claim : NULL, .offline_after_s = i ? 10 : 0 };
	}
	devices[2] = (struct device){ .name = "gateway", .index = 2, .credentials = { .kind = CREDENTIALS_TOKEN, .token = "TG" } };
	settings = (struct settings){
		.server = { .host = "127.0.0.1", .port = 1, .api = api, .keepalive_s = 60, .connect_timeout_ms = 500,
		    .reconnect_min_ms = 100, .reconnect_max_ms = 1000, .rpc_timeout_ms = 1000, .in_flight = 4,
		    .batch_bytes = 32768 },
		/* Without a disk: its thread is left alone when it is busy, and has tests of its own. */
		.store = { .memory_mb = 1, .max_mb = 16, .max_age_h = 1, .flush_after_ms = 1000 },
		.clock = { .wait_s = 0 },
		.runtime_dir = folder,
		.buses = &bus, .bus_count = 1, .devices = devices, .device_count = 3, .point_count = 2,
		.gateway = &devices[2], .gateway_period_s = 60,
	};
}

static int
push_nothing(void *ctx, const struct command *commands, size_t count)
{
	(void)ctx, (void)commands, (void)count;
	return -EBUSY;
}

/* Returns 0, or the error with which it could not be made or started. */
static int
make_and_free(void)
{
	struct uplink *uplink;
	int error;

	errno = 0;
	uplink = uplink_new(&settings, NULL);
	if (!uplink) {
		error = errno;
		assert_int_not_equal(error, 0);
		return error;
	}
	error = -uplink_start(uplink, (struct command_sink){ .push = push_nothing });
	uplink_stop(uplink, (struct uplink_end){ .cloud_mono_ms = 0, .disk_mono_ms = 0 });
	uplink_free(uplink);
	return error;
}

static void
each_allocation(enum server_api api)
{
	int tries = 0, failed = 0;

	make_settings(api);
	for (; tries < TRIES_MAX; tries++) {
		int error;

		memory_fail(tries);
		error = make_and_free();
		failed += error != 0;
		if (memory_asked() <= tries)
			break; /* it was never reached */
	}
	memory_fail(-1);
	assert_true(tries < TRIES_MAX);
	assert_true(failed > 50);
}

static void
each_allocation_fails_once(void **state)
{
	(void)state;
	each_allocation(API_DEVICE);
	each_allocation(API_GATEWAY);
}

/* Other settings. */
static void
each_allocation_of_a_change_fails_once(void **state)
{
	struct command_sink commands = { .push = push_nothing };
	struct difference *difference;
	struct uplink *uplink;
	int tries = 0, error = -ENOMEM;

	(void)state;
	make_settings(API_DEVICE);
	difference = difference_new(&settings, &settings);
	uplink = uplink_new(&settings, NULL);
	assert_non_null(difference);
	assert_non_null(uplink);
	for (; error < 0 && tries < TRIES_MAX; tries++) {
		memory_fail(tries);
		error = uplink_prepare(uplink, difference, commands);
		memory_fail(-1);
		assert_true(error == 0 || error == -ENOMEM);
	}
	assert_int_equal(error, 0);
	assert_true(tries > 30);
	uplink_free(uplink);
	difference_free(difference);
}

static int
descriptors(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void
each_descriptor_fails_once(void **state)
{
	struct rlimit was, now;
	int more, failed = 0, error = 1;

	(void)state;
	make_settings(API_DEVICE);
	getrlimit(RLIMIT_NOFILE, &was);
	for (more = 0; error != 0 && more < 200; more++) {
		now = was;
		now.rlim_cur = (rlim_t)(descriptors() + more);
		setrlimit(RLIMIT_NOFILE, &now);
		error = make_and_free();
		setrlimit(RLIMIT_NOFILE, &was);
		failed += error != 0;
	}
	assert_int_equal(error, 0);
	assert_true(failed > 10);
}

static void
no_thread_can_be_made(void **state)
{
	(void)state;
	make_settings(API_DEVICE);
	threads_fail = true;
	assert_int_not_equal(make_and_free(), 0);
	threads_fail = false;
	assert_int_equal(make_and_free(), 0);
}

static int
set_up(void **state)
{
	(void)state;
	log_init(getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, true);
	return mkdtemp(folder) ? 0 : -1;
}

static int
tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails_once),
		cmocka_unit_test(each_allocation_of_a_change_fails_once),
		cmocka_unit_test(each_descriptor_fails_once),
		cmocka_unit_test(no_thread_can_be_made),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
