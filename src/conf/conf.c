#include "conf/conf.h"

#include <errno.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build_line.h"
#include "conf/credentials.h"
#include "conf/document.h"
#include "conf/mistakes.h"
#include "conf/reader.h"
#include "conf/syntax.h"
#include "conf/text.h"
#include "conf/verify.h"
#include "model/gauges.h"
#include "conf/verify_line.h"

/* Inputs that are right -> settings. */
struct build {
	const struct document *document;
	struct settings *settings;
	const char **files; /* of the document, copied; NULL until needed */
};

static int
copy_text(struct build *build, const char **text)
{
	if (!*text)
		return 0;
	*text = settings_strdup(build->settings, *text);
	return *text ? 0 : -ENOMEM;
}

static int
build_source(struct build *build, const config_setting_t *setting, struct source *ret)
{
	size_t flat = config_setting_source_line(setting);
	const char **file = &build->files[document_file_at(build->document, flat)];

	if (!*file)
		*file = settings_strdup(build->settings, document_file(build->document, flat));
	*ret = (struct source){ .file = *file, .line = document_line(build->document, flat) };
	return *file ? 0 : -ENOMEM;
}

static int
build_buses(struct build *build, const struct root_input *root)
{
	const struct bus_input *inputs = root->buses.items;
	struct bus *bus = settings_alloc(build->settings, root->buses.count * sizeof(*bus));
	int error = bus ? 0 : -ENOMEM;

	build->settings->buses = bus;
	build->settings->bus_count = root->buses.count;
	for (size_t i = 0; !error && i < root->buses.count; i++, bus++) {
		*bus = inputs[i].bus;
		bus->index = i;
		error = build_source(build, inputs[i].node.setting, &bus->source);
		if (!error)
			error = copy_text(build, &bus->name);
		if (!error)
			error = copy_text(build, &bus->port);
		if (!error)
			error = copy_text(build, &bus->host);
		if (!error)
			error = build_line_bus(build->settings, &inputs[i], bus);
	}
	return error;
}

/* The bus that an input stands for. */
static const struct bus *
built_bus(const struct build *build, const struct root_input *root, const struct bus_input *input)
{
	const struct bus_input *inputs = root->buses.items;

	return input ? &build->settings->buses[input - inputs] : NULL;
}

static int
build_labels(struct build *build, const struct items *inputs, struct point *point)
{
	const struct label_input *labels = inputs->items;
	struct enum_label *copies;
	int error = 0;

	if (inputs->count == 0)
		return 0;
	copies = settings_alloc(build->settings, inputs->count * sizeof(*copies));
	if (!copies)
		return -ENOMEM;
	for (size_t i = 0; !error && i < inputs->count; i++) {
		copies[i] = labels[i].label;
		error = copy_text(build, &copies[i].label);
	}
	point->labels = copies;
	point->label_count = inputs->count;
	return error;
}

static int
build_invalid(struct build *build, const struct items *inputs, struct point *point)
{
	int64_t *copies;

	if (inputs->count == 0)
		return 0;
	copies = settings_alloc(build->settings, inputs->count * sizeof(*copies));
	if (!copies)
		return -ENOMEM;
	memcpy(copies, inputs->items, inputs->count * sizeof(*copies));
	point->invalid = copies;
	point->invalid_count = inputs->count;
	return 0;
}

static int
build_points(struct build *build, const struct root_input *root, const struct device_input *input,
    struct device *device)
{
	const struct point_input *inputs = input->points.items;
	struct point *point = settings_alloc(build->settings, input->points.count * sizeof(*point));
	int error = point ? 0 : -ENOMEM;

	device->points = point;
	device->point_count = input->points.count;
	for (size_t i = 0; !error && i < input->points.count; i++, point++) {
		*point = inputs[i].point;
		point->device = device;
		point->bus = built_bus(build, root, inputs[i].bus_input);
		point->index = build->settings->point_count++;
		error = build_source(build, inputs[i].node.setting, &point->source);
		if (!error)
			error = copy_text(build, &point->key);
		if (!error)
			error = build_labels(build, &inputs[i].labels, point);
		if (!error)
			error = build_invalid(build, &inputs[i].invalid, point);
		if (!error && verify_is_line(&inputs[i]))
			error = build_line_point(build->settings, &inputs[i], point);
	}
	return error;
}

/* The letters of a text are copied. */
static int
build_value(struct build *build, const struct value *value, struct value *ret)
{
	*ret = *value;
	return value->kind == VALUE_LABEL ? copy_text(build, &ret->label) : 0;
}

/* One step for the point of the method, or those of its list. */
static int
build_steps(struct build *build, const struct rpc_input *input, const struct device *device,
    struct rpc_method *method)
{
	const struct step_input *inputs = input->steps.items;
	int error = 0;

	if (input->steps.count == 0) {
		method->steps->point = &device->points[input->point_at];
		return build_value(build, &input->value, &method->steps->value);
	}
	for (size_t i = 0; !error && i < input->steps.count; i++) {
		struct rpc_step *step = &method->steps[i];

		step->point = &device->points[inputs[i].point_at];
		step->param = inputs[i].param ? inputs[i].param : inputs[i].point;
		error = copy_text(build, &step->param);
		if (!error)
			error = build_value(build, &inputs[i].value, &step->value);
	}
	return error;
}

static int
build_rpc(struct build *build, const struct device_input *input, struct device *device)
{
	const struct rpc_input *inputs = input->rpc.items;
	struct rpc_method *rpc = settings_alloc(build->settings, input->rpc.count * sizeof(*rpc));
	int error = rpc ? 0 : -ENOMEM;

	device->rpc = rpc;
	device->rpc_count = input->rpc.count;
	for (size_t i = 0; !error && i < input->rpc.count; i++, rpc++) {
		*rpc = (struct rpc_method){
			.method = inputs[i].method,
			.action = inputs[i].action,
			.listed = inputs[i].steps.count > 0,
			.step_count = inputs[i].steps.count > 0 ? inputs[i].steps.count : 1,
		};
		rpc->steps = settings_alloc(build->settings, rpc->step_count * sizeof(*rpc->steps));
		error = rpc->steps ? copy_text(build, &rpc->method) : -ENOMEM;
		if (!error)
			error = build_steps(build, &inputs[i], device, rpc);
	}
	return error;
}

static int
build_call_params(struct build *build, const struct call_input *input, const struct device *device,
    struct server_call *call)
{
	const struct call_param_input *inputs = input->params.items;
	int error = 0;

	for (size_t i = 0; !error && i < input->params.count; i++) {
		struct call_param *param = &call->params[i];

		param->name = inputs[i].name ? inputs[i].name : inputs[i].point;
		param->point = inputs[i].point ? &device->points[inputs[i].point_at] : NULL;
		error = copy_text(build, &param->name);
		if (!error)
			error = build_value(build, &inputs[i].value, &param->value);
	}
	return error;
}

static int
build_call_results(struct build *build, const struct call_input *input, const struct device *device,
    struct server_call *call)
{
	const struct call_result_input *inputs = input->results.items;
	int error = 0;

	for (size_t i = 0; !error && i < input->results.count; i++) {
		struct call_result *result = &call->results[i];

		result->point = &device->points[inputs[i].point_at];
		error = build_value(build, &inputs[i].value, &result->value);
		if (error || result->value.kind != VALUE_NONE)
			continue;
		result->field = inputs[i].field ? inputs[i].field : inputs[i].point;
		if (strcmp(result->field, ".") == 0)
			result->field = "";
		error = copy_text(build, &result->field);
	}
	return error;
}

static int
build_calls(struct build *build, const struct device_input *input, struct device *device)
{
	const struct call_input *inputs = input->calls.items;
	struct server_call *call = settings_alloc(build->settings, input->calls.count * sizeof(*call));
	int error = call ? 0 : -ENOMEM;

	device->calls = call;
	device->call_count = input->calls.count;
	for (size_t i = 0; !error && i < input->calls.count; i++, call++) {
		*call = (struct server_call){
			.method = inputs[i].method,
			.on = inputs[i].on ? &device->points[inputs[i].on_at] : NULL,
			.period_ms = inputs[i].period_ms,
			.timeout_ms = inputs[i].timeout_ms,
			.param_count = inputs[i].params.count,
			.result_count = inputs[i].results.count,
		};
		call->params = settings_alloc(build->settings, call->param_count * sizeof(*call->params));
		call->results = settings_alloc(build->settings, call->result_count * sizeof(*call->results));
		error = call->params && call->results ? copy_text(build, &call->method) : -ENOMEM;
		if (!error)
			error = build_value(build, &inputs[i].value, &call->on_value);
		if (!error)
			error = build_call_params(build, &inputs[i], device, call);
		if (!error)
			error = build_call_results(build, &inputs[i], device, call);
	}
	return error;
}

static int
build_writes(struct build *build, const struct items *items, const struct device *device,
    struct point_write **ret, size_t *ret_count)
{
	const struct write_input *inputs = items->items;
	struct point_write *writes = settings_alloc(build->settings, items->count * sizeof(*writes));
	int error = writes ? 0 : -ENOMEM;

	*ret = writes;
	*ret_count = items->count;
	for (size_t i = 0; !error && i < items->count; i++) {
		writes[i].point = &device->points[inputs[i].point_at];
		error = build_value(build, &inputs[i].value, &writes[i].value);
	}
	return error;
}

static int
build_texts(struct build *build, const char **const texts[], size_t count)
{
	int error = 0;

	for (size_t i = 0; !error && i < count; i++)
		error = copy_text(build, texts[i]);
	return error;
}

static int
build_credentials(struct build *build, struct credentials *credentials)
{
	const char **const texts[] = { &credentials->token, &credentials->client_id, &credentials->user,
		&credentials->password, &credentials->cert_file, &credentials->key_file,
		&credentials->secret_file };

	return build_texts(build, texts, sizeof(texts) / sizeof(texts[0]));
}

/* Devices share a group as they do in the file; a copy each is simpler, and small. */
static int
build_provision(struct build *build, const struct device_input *input, struct device *device)
{
	struct provision *provision = settings_alloc(build->settings, sizeof(*provision));

	if (!provision)
		return -ENOMEM;
	*provision = input->provision_input->provision;
	device->provision = provision;
	return build_texts(build,
	    (const char **const[]){ &provision->key, &provision->secret, &provision->secret_file }, 3);
}

static int
build_claim(struct build *build, const struct device_input *input, struct device *device)
{
	struct claim *claim = settings_alloc(build->settings, sizeof(*claim));

	if (!claim)
		return -ENOMEM;
	*claim = input->claim.claim;
	device->claim = claim;
	return build_texts(build, (const char **const[]){ &claim->secret, &claim->secret_file }, 2);
}

static int
build_server(struct build *build, const struct root_input *root)
{
	struct server_settings *server = &build->settings->server;
	const char **const texts[] = { &server->host, &server->tls.ca_file, &server->tls.cert_file,
		&server->tls.key_file };

	*server = root->server.server;
	server->tls = root->server.tls.tls;
	return build_texts(build, texts, sizeof(texts) / sizeof(texts[0]));
}

static int
build_devices(struct build *build, const struct root_input *root)
{
	const struct device_input *inputs = root->devices.items;
	/* with a place for the gateway */
	struct device *device = settings_alloc(build->settings, (root->devices.count + 1) * sizeof(*device));
	int error = device ? 0 : -ENOMEM;

	build->settings->devices = device;
	build->settings->device_count = root->devices.count;
	for (size_t i = 0; !error && i < root->devices.count; i++, device++) {
		*device = inputs[i].device;
		device->index = i;
		device->bus = built_bus(build, root, inputs[i].bus_input);
		error = build_source(build, inputs[i].node.setting, &device->source);
		if (!error)
			error = copy_text(build, &device->name);
		if (!error)
			error = build_credentials(build, &device->credentials);
		if (!error && inputs[i].claim.node.setting)
			error = build_claim(build, &inputs[i], device);
		if (!error && inputs[i].provision_input)
			error = build_provision(build, &inputs[i], device);
		if (!error)
			error = build_line_device(build->settings, &inputs[i], device);
		if (!error)
			error = build_points(build, root, &inputs[i], device);
		if (!error)
			error = build_rpc(build, &inputs[i], device);
		if (!error)
			error = build_calls(build, &inputs[i], device);
		if (!error)
			error = build_writes(build, &inputs[i].on_connect, device, &device->on_connect,
			    &device->on_connect_count);
		if (!error)
			error = build_writes(build, &inputs[i].on_cloud_loss.writes, device,
			    &device->on_cloud_loss, &device->on_cloud_loss_count);
		device->cloud_loss_s = inputs[i].on_cloud_loss.after_s;
	}
	return error;
}

/* It comes after all others. */
static int
build_gateway(struct build *build, const struct root_input *root)
{
	struct settings *settings = build->settings;
	const struct device_input *input = &root->gateway.device;
	struct device *device = &settings->devices[settings->device_count];
	int error;

	if (!input->node.setting)
		return 0;
	*device = input->device;
	device->index = settings->device_count;
	if (!device->name)
		device->name = GATEWAY_NAME;
	error = build_source(build, input->node.setting, &device->source);
	if (!error)
		error = copy_text(build, &device->name);
	if (!error)
		error = build_credentials(build, &device->credentials);
	if (!error && input->provision_input)
		error = build_provision(build, input, device);
	settings->gateway = device;
	settings->gateway_period_s = root->gateway.period_s;
	settings->device_count++;
	return error ? error : gauges_build(settings, device);
}

static int
build_example(struct build *build, const struct root_input *root)
{
	if (!root->example)
		return 0;
	return build_source(
	    build, config_setting_get_member(root->node.setting, "example"), &build->settings->example);
}

static int
build_settings(const struct document *document, const struct root_input *root, struct settings **ret)
{
	struct build build = { .document = document, .settings = settings_new() };
	int error = build.settings ? 0 : -ENOMEM;

	build.files = calloc(document->file_count, sizeof(*build.files));
	if (!build.files)
		error = -ENOMEM;
	if (!error) {
		build.settings->store = root->store.store;
		build.settings->clock = root->clock.clock;
		error = build_server(&build, root);
	}
	if (!error && build.settings->store.dir)
		error = copy_text(&build, &build.settings->store.dir);
	if (!error)
		error = build_example(&build, root);
	if (!error)
		error = build_buses(&build, root);
	if (!error)
		error = build_devices(&build, root);
	if (!error)
		error = build_gateway(&build, root);
	free(build.files);
	if (error)
		settings_free(build.settings);
	else
		*ret = build.settings;
	return error;
}

/* What libconfig could not read. */
static void
add_syntax_error(const config_t *config, const struct document *document, struct mistakes *mistakes)
{
	size_t flat = (size_t)config_error_line(config), first;
	const char *text = config_error_text(config) ? config_error_text(config) : "syntax error";
	char *twice;

	if (strcmp(text, "duplicate setting name") == 0 &&
	    (twice = document_duplicate(document, flat, &first))) {
		mistakes_add_line(mistakes, flat,
		    "%.64s is given twice in one group (first at %s:%u), once is allowed", twice,
		    document_file(document, first), document_line(document, first));
		free(twice);
	} else if (strcmp(text, "syntax error") == 0)
		mistakes_add_line(mistakes, flat, "syntax error here or just before: %s",
		    syntax_hint(document_text(document, flat), document_text_above(document, flat)));
	else
		mistakes_add_line(mistakes, flat, "syntax error: %s", text);
}

/* Read the tree. Returns 0 with the settings unless there are mistakes, or -ENOMEM. */
static int
load_tree(
    const config_t *config, const struct document *document, struct mistakes *mistakes, struct settings **ret)
{
	struct settings *scratch = settings_new();
	struct root_input root;
	int error = scratch ? reader_read(config_root_setting(config), scratch, mistakes, &root) : -ENOMEM;

	if (!error)
		error = verify_all(&root, mistakes);
	if (!error)
		error = credentials_settle(&root, document, scratch, mistakes);
	if (!error && !mistakes_any(mistakes))
		error = build_settings(document, &root, ret);
	settings_free(scratch);
	return error;
}

static int
load_document(const struct document *document, struct mistakes *mistakes, struct settings **ret)
{
	config_t config;
	int error = 0;

	config_init(&config);
	if (config_read_string(&config, document->text))
		error = load_tree(&config, document, mistakes, ret);
	else
		add_syntax_error(&config, document, mistakes);
	config_destroy(&config);
	return error;
}

/* error  of reading the document; -EINVAL is among the mistakes */
static int
finish(struct document *document, struct mistakes *mistakes, int error, struct settings **ret_settings,
    struct conf_report *ret_report)
{
	struct settings *settings = NULL;

	if (!error)
		error = load_document(document, mistakes, &settings);
	if (!error || error == -EINVAL)
		error = mistakes_take(mistakes, &ret_report->lines, &ret_report->count);
	if (!error && ret_report->count > 0)
		error = -EINVAL;
	mistakes_done(mistakes);
	document_done(document);
	if (error)
		settings_free(settings);
	else
		*ret_settings = settings;
	return error;
}

int
conf_load(const char *path, struct settings **ret_settings, struct conf_report *ret_report)
{
	struct document document;
	struct mistakes mistakes;

	*ret_report = (struct conf_report){ NULL, 0 };
	document_init(&document);
	mistakes_init(&mistakes, &document);
	return finish(
	    &document, &mistakes, document_read(&document, path, &mistakes), ret_settings, ret_report);
}

int
conf_load_text(const char *name, const char *text, size_t length, struct settings **ret_settings,
    struct conf_report *ret_report)
{
	struct document document;
	struct mistakes mistakes;

	*ret_report = (struct conf_report){ NULL, 0 };
	document_init(&document);
	mistakes_init(&mistakes, &document);
	return finish(&document, &mistakes, document_take(&document, name, text, length, &mistakes),
	    ret_settings, ret_report);
}

void
conf_report_done(struct conf_report *report)
{
	for (size_t i = 0; i < report->count; i++)
		free(report->lines[i]);
	free(report->lines);
	*report = (struct conf_report){ NULL, 0 };
}
