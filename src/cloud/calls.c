#include "cloud/calls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "cloud/rpc.h"
#include "model/codec.h"

enum call_stage { CALL_IDLE, CALL_READING, CALL_ASKING, CALL_WRITING };

/* One of the configuration. */
struct call {
	struct awaiter awaiter;
	struct calls *calls;
	const struct device *device;
	const struct server_call *wanted;
	struct heap_node due; /* mono ms: the period is over */
	struct call *next_on; /* of those that wait for a change of the same point */
	enum call_stage stage;
	bool again;	       /* it is to be made once the one that runs is over, or there is a session */
	bool cut;	       /* its session has ended */
	bool failed;	       /* and the log says so */
	struct value on_value; /* as a sample has it */
	struct value last;     /* of the point that it waits for */
	int64_t start_mono_ms;
	size_t left; /* outcomes that have not come */
	char error[RPC_TEXT_MAX];
	struct value values[RPC_STEPS_MAX]; /* of the parameters, then of the results */
};

struct calls_device {
	bool up;
	struct call *calls;
	size_t count;
};

struct calls {
	const struct settings *settings;
	struct commands *commands;
	struct rpc_client *rpc_client;
	struct shared *shared;
	struct heap due;
	struct calls_device *devices;
	struct call *list;
	size_t count;
	struct call **by_point; /* the first that waits for a change of it */
	struct calls_counts counts;
	char params[TB_MAX_PAYLOAD];
};

static awaiter_outcome call_outcome;

/* ---- making ---- */

/* A sample of the point that holds what the configuration names: a label for its number, and so on. */
static struct value
as_sampled(const struct point *point, const struct value *value)
{
	uint16_t cells[MODBUS_MAX_READ_BITS] = { 0 };
	struct point unguarded = codec_unguarded(point);
	struct value sampled = { .kind = VALUE_NONE };

	if (bus_is_line(point->bus))
		(void)value_copy(value, &sampled);
	else if (codec_encode(&unguarded, value, cells) == CODEC_OK)
		(void)codec_decode(point, cells, &sampled);
	return sampled;
}

static void
call_init(
    struct calls *calls, struct call *call, const struct device *device, const struct server_call *wanted)
{
	*call = (struct call){
		.awaiter.outcome = call_outcome,
		.calls = calls,
		.device = device,
		.wanted = wanted,
		.again = wanted->period_ms > 0,
	};
	if (!wanted->on)
		return;
	call->on_value = as_sampled(wanted->on, &wanted->on_value);
	call->next_on = calls->by_point[wanted->on->index];
	calls->by_point[wanted->on->index] = call;
}

struct calls *
calls_new(const struct settings *settings, struct commands *commands, struct rpc_client *rpc_client,
    struct shared *shared)
{
	struct calls *calls = calloc(1, sizeof(*calls));

	if (!calls)
		return NULL;
	calls->settings = settings;
	calls->commands = commands;
	calls->rpc_client = rpc_client;
	calls->shared = shared;
	for (size_t i = 0; i < settings->device_count; i++)
		calls->count += settings->devices[i].call_count;
	calls->devices = calloc(settings->device_count + 1, sizeof(calls->devices[0]));
	calls->list = calloc(calls->count + 1, sizeof(calls->list[0]));
	calls->by_point = calloc(settings->point_count + 1, sizeof(struct call *));
	if (heap_init(&calls->due, calls->count) < 0 || !calls->devices || !calls->list || !calls->by_point) {
		calls->count = 0;
		calls_free(calls);
		return NULL;
	}
	for (size_t i = 0, at = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];

		calls->devices[i] =
		    (struct calls_device){ .calls = &calls->list[at], .count = device->call_count };
		for (size_t j = 0; j < device->call_count; j++)
			call_init(calls, &calls->list[at++], device, &device->calls[j]);
	}
	return calls;
}

static void
drop_values(struct call *call)
{
	for (size_t i = 0; i < RPC_STEPS_MAX; i++)
		value_done(&call->values[i]);
}

void
calls_free(struct calls *calls)
{
	if (!calls)
		return;
	for (size_t i = 0; i < calls->count; i++) {
		drop_values(&calls->list[i]);
		value_done(&calls->list[i].on_value);
		value_done(&calls->list[i].last);
	}
	heap_done(&calls->due);
	free(calls->devices);
	free(calls->list);
	free(calls->by_point);
	free(calls);
}

struct calls_counts
calls_counts(const struct calls *calls)
{
	return calls->counts;
}

/* ---- the end ---- */

static void call_start(struct call *call);

/* The same for a reason that lasts is said once, and that it works again. */
static void
say(struct call *call)
{
	bool failed = call->error[0] != '\0';

	if (failed && !call->failed)
		log_warning("device %s: call %s: %s", call->device->name, call->wanted->method, call->error);
	else if (!failed && call->failed)
		log_notice("device %s: call %s: works again", call->device->name, call->wanted->method);
	call->failed = failed;
}

static bool
is_up(const struct call *call)
{
	return call->calls->devices[call->device->index].up;
}

/* Over, with what is in call->error. */
static void
call_end(struct call *call)
{
	call->stage = CALL_IDLE;
	drop_values(call);
	call->calls->counts.made++;
	call->calls->counts.failed += call->error[0] != '\0';
	say(call);
	if (call->again && is_up(call))
		call_start(call);
}

static void __attribute__((format(printf, 2, 3))) fail(struct call *call, const char *format, ...)
{
	va_list args;

	if (call->error[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(call->error, sizeof(call->error), format, args);
	va_end(args);
}

static void
fail_by_outcome(struct call *call, const struct outcome *outcome, enum command_kind kind)
{
	char text[RPC_TEXT_MAX / 2];

	outcome_text(outcome, kind, text, sizeof(text));
	fail(call, "%.64s: %s", outcome->point->key, text);
}

/* ---- results ---- */

static void
push(struct call *call, enum command_kind kind, const struct point *point, struct value *value, size_t index)
{
	struct command command = {
		.kind = kind,
		.point = point,
		.value = value ? *value : (struct value){ 0 },
		.expires_mono_ms = clock_mono_ms() + call->calls->settings->server.rpc_timeout_ms,
	};
	struct command_group group;

	group.count = 0;
	command_group_add(&group, &command, &call->awaiter, index);
	if (commands_push(call->calls->commands, &group) != 0) {
		fail(call, "%.64s: too many commands are waiting", point->key);
		return;
	}
	if (value)
		*value = (struct value){ 0 };
	call->left++;
}

/* The first `index` results are written: write the next, or be done. */
static void
write_next(struct call *call, size_t index)
{
	if (index < call->wanted->result_count && call->error[0] == '\0')
		push(call, COMMAND_WRITE, call->wanted->results[index].point, &call->values[index], index);
	if (call->left == 0)
		call_end(call);
}

/* The member that "a.b" names, or NULL. */
static const struct tb_json *
find_field(const struct tb_json *json, const char *path)
{
	while (json && *path != '\0') {
		char name[RPC_TEXT_MAX];
		size_t length = strcspn(path, ".");

		if (length >= sizeof(name))
			return NULL;
		memcpy(name, path, length);
		name[length] = '\0';
		json = tb_json_get(json, name);
		path += length + (path[length] == '.');
	}
	return json;
}

static void
take_result(struct call *call, const struct tb_json *answer, size_t index)
{
	const struct call_result *result = &call->wanted->results[index];
	struct value *value = &call->values[index];
	const struct tb_json *json;
	char why[RPC_TEXT_MAX];

	if (!result->field) {
		if (value_copy(&result->value, value) < 0)
			fail(call, "out of memory");
		return;
	}
	json = find_field(answer, result->field);
	if (!json)
		fail(call, "the server's answer has no field %.64s", result->field);
	else if (tb_json_scalar(json, value) < 0)
		fail(call,
		    "the field %.64s of the server's answer is neither a number nor a text nor true or false",
		    result->field);
	else if (rpc_check_value(result->point, value, why) < 0)
		fail(call, "%.64s: %s", result->point->key, why);
}

/* What the server's rule chain says when it has nothing to say: {"error":"timeout"}. */
static const char *
error_of(const struct tb_json *answer)
{
	const struct tb_json *error = tb_json_get(answer, "error");

	if (!error)
		return NULL;
	return tb_json_text(error) ? tb_json_text(error) : "an error";
}

static void
on_answer(void *ctx, size_t device, const struct tb_json *answer, const char *error)
{
	struct call *call = ctx;

	(void)device;
	drop_values(call);
	if (error && call->cut) {
		call->stage = CALL_IDLE; /* it is made with the next session */
		return;
	}
	if (error)
		fail(call, "%s", error);
	else if (error_of(answer))
		fail(call, "the server answered: %.128s", error_of(answer));
	for (size_t i = 0; i < call->wanted->result_count && call->error[0] == '\0'; i++)
		take_result(call, answer, i);
	call->stage = CALL_WRITING;
	write_next(call, 0);
}

/* ---- parameters ---- */

/* Print the object. Returns false if it is too long or a value is none. */
static bool
print_params(struct call *call)
{
	char *text = call->calls->params;
	size_t used = 1;

	text[0] = '{';
	for (size_t i = 0; i < call->wanted->param_count; i++) {
		int length = tb_json_member(call->wanted->params[i].name, &call->values[i], i == 0,
		    text + used, sizeof(call->calls->params) - used - 2);

		if (length < 0)
			return false;
		used += (size_t)length;
	}
	memcpy(text + used, "}", 2);
	return true;
}

static void
ask(struct call *call)
{
	const struct server_call *wanted = call->wanted;
	int error;

	call->stage = CALL_ASKING;
	call->cut = false;
	if (!is_up(call)) {
		call->again = true;
		call->stage = CALL_IDLE;
		drop_values(call);
		return;
	}
	if (call->error[0] == '\0' && !print_params(call))
		fail(call, "a parameter has no value");
	if (call->error[0] == '\0') {
		error = rpc_client_ask(call->calls->rpc_client, call->device->index, wanted->method,
		    call->calls->params, wanted->timeout_ms, on_answer, call);
		if (error == 0)
			return;
		fail(
		    call, error == -EBUSY ? "too many requests to the server are waiting" : "cannot be sent");
	}
	call_end(call);
}

/* Ask the units what the parameters are: what was polled may be older than the change that called. */
static void
call_start(struct call *call)
{
	const struct server_call *wanted = call->wanted;

	if (wanted->period_ms > 0)
		heap_set(&call->calls->due, &call->due, clock_mono_ms() + wanted->period_ms);
	call->start_mono_ms = clock_mono_ms();
	call->again = false;
	call->error[0] = '\0';
	call->stage = CALL_READING;
	for (size_t i = 0; i < wanted->param_count; i++) {
		if (wanted->params[i].point)
			push(call, COMMAND_READ, wanted->params[i].point, NULL, i);
		else if (value_copy(&wanted->params[i].value, &call->values[i]) < 0)
			fail(call, "out of memory");
	}
	if (call->left == 0)
		ask(call);
}

static void
call_outcome(struct awaiter *awaiter, size_t index, struct outcome *outcome)
{
	struct call *call = heap_entry(awaiter, struct call, awaiter);
	bool good = outcome_is_good(outcome);

	call->left--;
	if (call->stage == CALL_WRITING) {
		if (good)
			shared_overrule(call->calls->shared, outcome->point, call->start_mono_ms);
		else
			fail_by_outcome(call, outcome, COMMAND_WRITE);
		write_next(call, index + 1);
		return;
	}
	if (good) {
		call->values[index] = outcome->value;
		outcome->value = (struct value){ 0 };
	} else {
		fail_by_outcome(call, outcome, COMMAND_READ);
	}
	if (call->left == 0)
		ask(call);
}

/* ---- what calls ---- */

static void
trigger(struct call *call)
{
	if (call->stage == CALL_IDLE && is_up(call))
		call_start(call);
	else
		call->again = true;
}

/* Without a value to wait for, the first sample is no change. */
static bool
is_change(const struct call *call, const struct value *value)
{
	if (call->last.kind != VALUE_NONE && value_equal(&call->last, value))
		return false;
	return call->on_value.kind != VALUE_NONE ? value_equal(&call->on_value, value)
						 : call->last.kind != VALUE_NONE;
}

void
calls_sample(struct calls *calls, const struct sample *sample)
{
	if (sample->quality != QUALITY_GOOD)
		return;
	for (struct call *call = calls->by_point[sample->point->index]; call; call = call->next_on) {
		bool change = is_change(call, &sample->value);
		struct value copy;

		if (call->last.kind != VALUE_NONE && value_equal(&call->last, &sample->value))
			continue;
		if (value_copy(&sample->value, &copy) == 0) {
			value_done(&call->last);
			call->last = copy;
		}
		if (change)
			trigger(call);
	}
}

void
calls_up(struct calls *calls, size_t device)
{
	struct calls_device *list = &calls->devices[device];

	list->up = true;
	for (size_t i = 0; i < list->count; i++)
		if (list->calls[i].again && list->calls[i].stage == CALL_IDLE)
			call_start(&list->calls[i]);
}

void
calls_down(struct calls *calls, size_t device)
{
	struct calls_device *list = &calls->devices[device];

	list->up = false;
	for (size_t i = 0; i < list->count; i++)
		if (list->calls[i].stage == CALL_ASKING)
			list->calls[i].cut = list->calls[i].again = true;
}

/* ---- other settings ---- */

static void
ignore(struct awaiter *awaiter, size_t index, struct outcome *outcome)
{
	(void)awaiter, (void)index, (void)outcome;
}

/* Nothing of it goes on here. */
static void
leave(struct calls *calls, struct call *call)
{
	call->awaiter.outcome = ignore;
	commands_abandon(calls->commands, &call->awaiter);
	rpc_client_forget(call->calls->rpc_client, call->device->index, call);
}

static bool
is_same(const struct server_call *a, const struct server_call *b)
{
	return strcmp(a->method, b->method) == 0 && !a->on == !b->on &&
	       (!a->on || strcmp(a->on->key, b->on->key) == 0);
}

static void
adopt_call(struct call *call, struct call *from)
{
	call->again = from->again || from->stage != CALL_IDLE;
	call->failed = from->failed;
	if (call->wanted->on && difference_carry(call->wanted->on, &from->last) == 0) {
		call->last = from->last;
		from->last = (struct value){ 0 };
	}
	if (from->due.position != 0 && call->wanted->period_ms > 0)
		heap_set(&call->calls->due, &call->due, from->due.due);
}

void
calls_adopt(struct calls *calls, struct calls *from, const struct difference *difference)
{
	for (size_t i = 0; i < calls->count; i++) {
		struct call *call = &calls->list[i];
		const struct device *was = difference_device(difference, call->device);
		const struct calls_device *list;

		if (!was)
			continue;
		list = &from->devices[was->index];
		for (size_t j = 0; j < list->count; j++)
			if (is_same(call->wanted, list->calls[j].wanted)) {
				adopt_call(call, &list->calls[j]);
				break;
			}
	}
	for (size_t i = 0; i < calls->settings->device_count; i++) {
		const struct device *was = difference_device(difference, &calls->settings->devices[i]);

		calls->devices[i].up = was && from->devices[was->index].up;
	}
	for (size_t i = 0; i < from->count; i++)
		leave(calls, &from->list[i]);
	calls->counts = from->counts;
}

void
calls_adopted(struct calls *calls)
{
	for (size_t i = 0; i < calls->settings->device_count; i++)
		if (calls->devices[i].up)
			calls_up(calls, i);
}

/* ---- time ---- */

int64_t
calls_due_mono_ms(const struct calls *calls)
{
	const struct heap_node *first = heap_first(&calls->due);

	return first ? first->due : CLOCK_NEVER;
}

void
calls_tick(struct calls *calls)
{
	int64_t now = clock_mono_ms();
	struct heap_node *first;

	while ((first = heap_first(&calls->due)) && first->due <= now) {
		struct call *call = heap_entry(first, struct call, due);

		heap_remove(&calls->due, &call->due);
		trigger(call);
	}
}
