#include "bench/series.h"

#include <stdlib.h>

#include "bench/alloc.h"
#include "bench/bench.h"
#include "bench/device.h"
#include "bench/report.h"
#include "bench/thingsboard.h"
#include "bench/timer.h"
#include "common/control.h"

static struct calls {
	struct device *device;
	char *method;
	struct json_object *params, *times;
	int count, made;
	int32_t id;
	int64_t gap_ms, timeout_ms, asked_mono_us;
	bool waiting; /* for a reply */
	struct timer timer;
} series;

static void
series_end(void)
{
	struct json_object *event = report_new("rpc_series", series.device->token);

	json_object_object_add(event, "us", series.times);
	control_emit(event);
	json_object_put(series.params);
	free(series.method);
	series.device = NULL;
}

static void
series_go_on(struct timer *timer)
{
	struct timer_heap *timers = &series.device->bench->timers;

	(void)timer;
	if (series.waiting || series.made == series.count) {
		series_end();
		return;
	}
	json_object_object_add(series.params, "value", json_object_new_int(series.made++));
	series.waiting = true;
	timer_start(timers, &series.timer, clock_mono_ms() + series.timeout_ms);
	series.asked_mono_us = clock_mono_us();
	series.id = downlink_rpc(series.device, series.method, series.params, false, series.timeout_ms);
}

bool
series_start(
    struct device *device, const char *method, struct json_object *params, int count, int64_t gap_ms, int64_t timeout_ms)
{
	if (series.device)
		return false;
	series = (struct calls){ .device = device,
		.count = count,
		.gap_ms = gap_ms,
		.timeout_ms = timeout_ms,
		.times = json_object_new_array(),
		.timer = { .fire = series_go_on } };
	series.params = json_tokener_parse(params ? json_text(params) : "{}");
	series.method = alloc_string(method);
	timer_start(&device->bench->timers, &series.timer, clock_mono_ms() + gap_ms);
	return true;
}

bool
series_reply(const struct device *device, int32_t id)
{
	if (series.device != device || !series.waiting || series.id != id)
		return false;
	series.waiting = false;
	json_object_array_add(series.times, json_object_new_int64(clock_mono_us() - series.asked_mono_us));
	timer_start(&device->bench->timers, &series.timer, clock_mono_ms() + series.gap_ms);
	return true;
}
