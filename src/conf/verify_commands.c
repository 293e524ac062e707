#include "conf/verify_commands.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/mistakes.h"
#include "conf/names.h"
#include "conf/node.h"
#include "conf/verify_line.h"
#include "model/codec.h"

/* Writes that nobody asks for. */

/* Can the value be written to the point, whose labels are not yet in it? Returns 0; -EINVAL with what is
 * wrong, to follow the value in a sentence; -ENOMEM. */
static int
judge_value(const struct point_input *input, const struct value *value, char *text, size_t size)
{
	struct enum_label *labels = calloc(input->labels.count + 1, sizeof(*labels));
	const struct label_input *inputs = input->labels.items;
	uint16_t cells[MODBUS_MAX_READ_BITS] = { 0 };
	struct point point = input->point;
	enum codec_fault wrong;

	if (!labels)
		return -ENOMEM;
	for (size_t i = 0; i < input->labels.count; i++)
		labels[i] = inputs[i].label;
	point.labels = labels;
	point.label_count = input->labels.count;
	wrong = codec_encode(&point, value, cells);
	codec_fault_text(&point, wrong, text, size);
	free(labels);
	return wrong != CODEC_OK ? -EINVAL : 0;
}

/* Where the point with that key is, which `name` of the node names. Returns NULL after a word about it. */
static const struct name *
find_point(struct mistakes *mistakes, const struct node *node, const char *key, const struct names *keys)
{
	const struct name *entry = names_find(keys, key);
	char quoted[MISTAKES_QUOTE_SIZE], text[SCHEMA_TEXT_SIZE];

	if (!entry)
		node_fault(mistakes, node, "point", "the device has no point %s, allowed are %s",
		    mistakes_quote(key, quoted),
		    keys->count ? names_list(keys, text, sizeof(text)) : "the keys of its points");
	return entry;
}

/* The point that is to be written. Returns NULL unless there is one that can be. */
static const struct point_input *
find_writable(struct mistakes *mistakes, const struct node *node, const char *key,
    const struct device_input *device, const struct names *keys, size_t *ret_at)
{
	const struct name *entry = find_point(mistakes, node, key, keys);
	const struct point_input *point;
	char quoted[MISTAKES_QUOTE_SIZE];

	if (!entry)
		return NULL;
	*ret_at = entry->at;
	point = (const struct point_input *)device->points.items + entry->at;
	if (point->point.writable)
		return point;
	if (!node_is_wrong(&schema_point, &point->node, "writable"))
		node_fault(mistakes, node, "point",
		    "the point %s is not writable, a writable one is required", mistakes_quote(key, quoted));
	return NULL;
}

/* The value that the node has for a point. Returns 0 or -ENOMEM. */
static int
verify_value(struct mistakes *mistakes, const struct node *node, const struct point_input *point,
    const struct value *value)
{
	char quoted[MISTAKES_QUOTE_SIZE], text[SCHEMA_TEXT_SIZE];
	int error = point->right ? judge_value(point, value, text, sizeof(text)) : 0;

	if (error == -EINVAL)
		node_fault(mistakes, node, "value", "the value for point %s %s",
		    mistakes_quote(point->point.key, quoted), text);
	return error == -EINVAL ? 0 : error;
}

static int
verify_write(struct mistakes *mistakes, struct write_input *write, const struct device_input *device,
    const struct names *keys)
{
	const struct point_input *point;

	if (!node_has(&schema_write, &write->node, "point"))
		return 0;
	point = find_writable(mistakes, &write->node, write->point, device, keys, &write->point_at);
	if (!point || !node_has(&schema_write, &write->node, "value"))
		return 0;
	return verify_value(mistakes, &write->node, point, &write->value);
}

static int
verify_writes(struct mistakes *mistakes, const struct items *writes, const struct device_input *device,
    const struct names *keys)
{
	struct write_input *inputs = writes->items;
	int error = 0;

	for (size_t i = 0; !error && i < writes->count; i++)
		error = verify_write(mistakes, &inputs[i], device, keys);
	return error;
}

/* RPC. */

/* What the method does with its one point. Returns false if it cannot. */
static bool
verify_action(struct mistakes *mistakes, struct rpc_input *rpc, const struct point_input *point)
{
	bool given = node_has(&schema_rpc, &rpc->node, "action");
	char quoted[MISTAKES_QUOTE_SIZE];

	if (!given)
		rpc->action = point->point.writable || rpc->value.kind != VALUE_NONE ? RPC_SET : RPC_GET;
	if (rpc->action == RPC_GET && rpc->value.kind != VALUE_NONE)
		return node_fault(
		    mistakes, &rpc->node, "value", "is of no use to action get, only set writes");
	if (rpc->action == RPC_GET && !point->readable)
		return node_fault(mistakes, &rpc->node, "action",
		    "the point %s is never read, only set is allowed", mistakes_quote(rpc->point, quoted));
	if (rpc->action == RPC_SET && !point->point.writable &&
	    !node_is_wrong(&schema_point, &point->node, "writable"))
		return node_fault(mistakes, &rpc->node, given ? "action" : "value",
		    given ? "the point %s is not writable, only get is allowed"
			  : "the point %s is not writable, a writable one is required",
		    mistakes_quote(rpc->point, quoted));
	return true;
}

static int
verify_step(struct mistakes *mistakes, struct step_input *step, const struct device_input *device,
    const struct names *keys)
{
	const struct point_input *point;

	if (node_has(&schema_rpc_step, &step->node, "param") &&
	    node_has(&schema_rpc_step, &step->node, "value"))
		node_fault(
		    mistakes, &step->node, "param", "stands beside a value, only one of them is allowed");
	if (!node_has(&schema_rpc_step, &step->node, "point"))
		return 0;
	point = find_writable(mistakes, &step->node, step->point, device, keys, &step->point_at);
	if (!point || !node_has(&schema_rpc_step, &step->node, "value"))
		return 0;
	return verify_value(mistakes, &step->node, point, &step->value);
}

static int
verify_steps(struct mistakes *mistakes, struct rpc_input *rpc, const struct device_input *device,
    const struct names *keys)
{
	static const char *const others[] = { "point", "value", "action" };
	struct step_input *steps = rpc->steps.items;
	int error = 0;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (node_has(&schema_rpc, &rpc->node, others[i]))
			node_fault(mistakes, &rpc->node, others[i],
			    "stands beside set, only one of them is allowed");
	if (rpc->steps.count > RPC_STEPS_MAX)
		node_fault(mistakes, &rpc->node, "set", "has %zu points, at most %d are allowed",
		    rpc->steps.count, RPC_STEPS_MAX);
	for (size_t i = 0; !error && i < rpc->steps.count; i++)
		error = verify_step(mistakes, &steps[i], device, keys);
	return error;
}

static int
verify_rpc(struct mistakes *mistakes, struct rpc_input *rpc, const struct device_input *device,
    const struct names *keys)
{
	const struct point_input *points = device->points.items;
	const struct name *entry;

	if (node_has(&schema_rpc, &rpc->node, "set"))
		return verify_steps(mistakes, rpc, device, keys);
	if (!node_has(&schema_rpc, &rpc->node, "point")) {
		if (!node_is_wrong(&schema_rpc, &rpc->node, "point") &&
		    !node_is_wrong(&schema_rpc, &rpc->node, "set"))
			node_fault(
			    mistakes, &rpc->node, "point", "missing, the key of a point is required, or set");
		return 0;
	}
	entry = find_point(mistakes, &rpc->node, rpc->point, keys);
	if (!entry)
		return 0;
	rpc->point_at = entry->at;
	if (!verify_action(mistakes, rpc, &points[entry->at]) || !node_has(&schema_rpc, &rpc->node, "value"))
		return 0;
	return verify_value(mistakes, &rpc->node, &points[entry->at], &rpc->value);
}

static int
verify_rpcs(struct mistakes *mistakes, const struct device_input *device, const struct names *keys)
{
	struct rpc_input *rpc = device->rpc.items;
	struct names methods;
	int error = names_init(&methods, device->rpc.count);

	if (error)
		return error;
	for (size_t i = 0; !error && i < device->rpc.count; i++) {
		if (node_has(&schema_rpc, &rpc[i].node, "method"))
			names_add(&methods, rpc[i].method, rpc[i].node.setting, i);
		error = verify_rpc(mistakes, &rpc[i], device, keys);
	}
	names_close(&methods, mistakes, "method", "the method");
	names_done(&methods);
	return error;
}

/* Calls. */

/* The point that is to be read. Returns NULL unless there is one that can be. */
static const struct point_input *
find_readable(struct mistakes *mistakes, const struct node *node, const char *name, const char *key,
    const struct device_input *device, const struct names *keys, size_t *ret_at)
{
	const struct name *entry = names_find(keys, key);
	const struct point_input *point;
	char quoted[MISTAKES_QUOTE_SIZE], text[SCHEMA_TEXT_SIZE];

	if (!entry) {
		node_fault(mistakes, node, name, "the device has no point %s, allowed are %s",
		    mistakes_quote(key, quoted),
		    keys->count ? names_list(keys, text, sizeof(text)) : "the keys of its points");
		return NULL;
	}
	*ret_at = entry->at;
	point = (const struct point_input *)device->points.items + entry->at;
	if (point->readable)
		return point;
	node_fault(mistakes, node, name, "the point %s is never read, one that is read is required",
	    mistakes_quote(key, quoted));
	return NULL;
}

static void
verify_call_param(struct mistakes *mistakes, struct call_param_input *param,
    const struct device_input *device, const struct names *keys)
{
	bool point = node_has(&schema_call_param, &param->node, "point");
	bool value = node_has(&schema_call_param, &param->node, "value");

	if (point && value)
		node_fault(
		    mistakes, &param->node, "value", "stands beside a point, only one of them is allowed");
	else if (value && !node_has(&schema_call_param, &param->node, "name"))
		node_fault(mistakes, &param->node, "name", "missing, a text is required for a value");
	else if (!point && !value && param->node.given == param->node.valid)
		node_fault(
		    mistakes, &param->node, "point", "missing, the key of a point or a value is required");
	if (point)
		find_readable(mistakes, &param->node, "point", param->point, device, keys, &param->point_at);
}

static int
verify_call_result(struct mistakes *mistakes, struct call_result_input *result,
    const struct device_input *device, const struct names *keys)
{
	const struct point_input *point;

	if (node_has(&schema_call_result, &result->node, "field") &&
	    node_has(&schema_call_result, &result->node, "value"))
		node_fault(
		    mistakes, &result->node, "field", "stands beside a value, only one of them is allowed");
	if (!node_has(&schema_call_result, &result->node, "point"))
		return 0;
	point = find_writable(mistakes, &result->node, result->point, device, keys, &result->point_at);
	if (!point || !node_has(&schema_call_result, &result->node, "value"))
		return 0;
	return verify_value(mistakes, &result->node, point, &result->value);
}

/* What the point is to become, which need not be writable for that. */
static int
verify_call_on(struct mistakes *mistakes, struct call_input *call, const struct device_input *device,
    const struct names *keys)
{
	const struct point_input *point =
	    find_readable(mistakes, &call->node, "on", call->on, device, keys, &call->on_at);
	struct point_input unguarded;

	if (!point || !node_has(&schema_call, &call->node, "value") || verify_is_line(point))
		return 0;
	unguarded = *point;
	unguarded.point = codec_unguarded(&point->point);
	return verify_value(mistakes, &call->node, &unguarded, &call->value);
}

static int
verify_call(struct mistakes *mistakes, struct call_input *call, const struct device_input *device,
    const struct names *keys)
{
	static const char *const lists[] = { "params", "result" };
	const struct items *items[] = { &call->params, &call->results };
	struct call_param_input *params = call->params.items;
	struct call_result_input *results = call->results.items;
	bool on = node_has(&schema_call, &call->node, "on");
	int error = on ? verify_call_on(mistakes, call, device, keys) : 0;

	if (!on && node_has(&schema_call, &call->node, "value"))
		node_fault(mistakes, &call->node, "value",
		    "is of no use without on, the key of a point is required there");
	if (!on && call->period_ms == 0 && call->node.given == call->node.valid)
		node_fault(
		    mistakes, &call->node, "on", "missing, the key of a point or a period_ms is required");
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if (items[i]->count > RPC_STEPS_MAX)
			node_fault(mistakes, &call->node, lists[i], "has %zu entries, at most %d are allowed",
			    items[i]->count, RPC_STEPS_MAX);
	for (size_t i = 0; i < call->params.count; i++)
		verify_call_param(mistakes, &params[i], device, keys);
	for (size_t i = 0; !error && i < call->results.count; i++)
		error = verify_call_result(mistakes, &results[i], device, keys);
	return error;
}

static int
verify_calls(struct mistakes *mistakes, const struct device_input *device, const struct names *keys)
{
	struct call_input *calls = device->calls.items;
	int error = 0;

	for (size_t i = 0; !error && i < device->calls.count; i++)
		error = verify_call(mistakes, &calls[i], device, keys);
	return error;
}

int
verify_commands(const struct device_input *device, const struct names *keys, struct mistakes *mistakes)
{
	int error = verify_rpcs(mistakes, device, keys);

	if (!error)
		error = verify_calls(mistakes, device, keys);
	if (!error)
		error = verify_writes(mistakes, &device->on_connect, device, keys);
	if (!error)
		error = verify_writes(mistakes, &device->on_cloud_loss.writes, device, keys);
	return error;
}
