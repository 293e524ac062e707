/* Any bytes as gateway.conf: settings that keep every promise of their schema, or at least one mistake; in
 * bounded time. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/text.h"
#include "line/listener.h"
#include "model/codec.h"

/* libconfig 1.5 forgets a string token that its grammar does not expect. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

static void
judge_point(const struct settings *settings, const struct point *point)
{
	const struct codec_type *type = codec_type(point->type);
	uint16_t cells[MODBUS_MAX_READ_REGISTERS] = { 0 };
	struct value value = { .kind = VALUE_NONE };

	assert(point->bus >= settings->buses && point->bus < settings->buses + settings->bus_count);
	assert(point->key && point->key[0]);
	assert((point->line != NULL) == bus_is_line(point->bus));
	assert((point->command != NULL) == (point->line && point->writable));
	assert(point->count >= 1 && point->count <= MODBUS_MAX_READ_REGISTERS &&
	       point->addr + point->count <= 65536);
	assert(point_table_has_bits(point->table)
		   ? point->count <= type->bits
		   : type->registers == 0 ||
			 point->count == type->registers * (point->array > 0 ? point->array : 1));
	assert(point->bit == POINT_NO_BIT
		   ? point->bits == 0
		   : point->bit >= 0 && point->bits >= 1 && point->bits <= type->bits &&
			 point->bit + point->bits <= point->count * 16 &&
			 !point_table_has_bits(point->table));
	assert(point->order <= ORDER_DCBA || type->registers == 4);
	assert(point->array == 0 || (point->array >= 2 && point->bit == POINT_NO_BIT && type->registers > 0));
	assert(!point->verify || point->writable);
	assert(point->write != WRITE_SINGLE || point->count == 1);
	assert(!point->has_valid_min || !point->has_valid_max || point->valid_min <= point->valid_max);
	assert(point->line ||
	       point->count <= (point_table_has_bits(point->table) ? point->device->max_bits
								   : point->device->max_registers));
	assert(
	    isfinite(point->scale) && point->scale != 0 && isfinite(point->offset) && point->deadband >= 0);
	assert(!point->writable || point_table_writable(point->table));
	assert(!point->shared || point->writable);
	assert(!point->has_min || !point->has_max || point->min <= point->max);
	assert((point->period_ms >= 10 || (point->period_ms == 0 && point->writable)) && point->unit >= 0 && point->unit <= 255);
	/* The codec must be able to work with it. */
	if (codec_decode(point, cells, &value) == 0)
		value_done(&value);
}

static void
judge_writes(const struct device *device, const struct point_write *writes, size_t count)
{
	uint16_t cells[MODBUS_MAX_READ_REGISTERS] = { 0 };

	for (size_t i = 0; i < count; i++) {
		assert(writes[i].point->device == device);
		assert(codec_encode(writes[i].point, &writes[i].value, cells) == CODEC_OK);
	}
}

/* A description that is right can be listened with. */
static void
judge_bus(const struct settings *settings, const struct bus *bus)
{
	struct listener_sink nobody = { .ctx = NULL };
	struct listener *listener = NULL;

	if (!bus_is_line(bus))
		return;
	assert(listener_new(settings, bus, &nobody, &listener) == 0);
	listener_feed(listener, (const uint8_t *)"$GPGGA,1*00\r\n\x02 1\x03", 17, 0);
	listener_end(listener);
	listener_free(listener);
}

static void
judge_credentials(const struct credentials *credentials, const struct provision *provision)
{
	if (provision) {
		assert(provision->key && provision->secret);
		assert((provision->type == PROVISION_CERTIFICATE) == (credentials->kind == CREDENTIALS_CERTIFICATE));
	}

	switch (credentials->kind) {
	case CREDENTIALS_TOKEN:
		assert(credentials->token && credentials->token[0]);
		break;
	case CREDENTIALS_BASIC:
		assert(credentials->client_id || credentials->user);
		assert(credentials->user || !credentials->password);
		break;
	case CREDENTIALS_CERTIFICATE:
		assert(credentials->cert_file && credentials->key_file);
		break;
	case CREDENTIALS_NONE:
		assert(provision);
	}
}

static void
judge_method(const struct device *device, const struct rpc_method *method)
{
	uint16_t cells[MODBUS_MAX_READ_REGISTERS] = { 0 };

	assert(method->step_count > 0 && method->step_count <= RPC_STEPS_MAX);
	assert(method->listed ? method->action == RPC_SET : method->step_count == 1);
	for (size_t i = 0; i < method->step_count; i++) {
		const struct rpc_step *step = &method->steps[i];

		assert(step->point->device == device && (method->action == RPC_GET || step->point->writable));
		assert(!method->listed || step->param);
		if (step->value.kind != VALUE_NONE)
			assert(codec_encode(step->point, &step->value, cells) == CODEC_OK);
	}
}

static void
judge_call(const struct device *device, const struct server_call *call)
{
	uint16_t cells[MODBUS_MAX_READ_REGISTERS] = { 0 };

	assert(call->method && (call->on || call->period_ms > 0));
	assert(call->param_count <= RPC_STEPS_MAX && call->result_count <= RPC_STEPS_MAX);
	for (size_t i = 0; i < call->param_count; i++) {
		assert(call->params[i].name);
		assert((call->params[i].point != NULL) == (call->params[i].value.kind == VALUE_NONE));
	}
	for (size_t i = 0; i < call->result_count; i++) {
		const struct call_result *result = &call->results[i];

		assert(result->point->device == device && result->point->writable);
		assert((result->field != NULL) == (result->value.kind == VALUE_NONE));
		if (!result->field)
			assert(codec_encode(result->point, &result->value, cells) == CODEC_OK);
	}
}

static void
judge_settings(const struct settings *settings)
{
	size_t count = 0;

	assert(settings->bus_count > 0 && settings->device_count > 0);
	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];

		assert(device->name && device->point_count > 0);
		judge_credentials(&device->credentials, device->provision);
		for (size_t p = 0; p < device->point_count; p++) {
			assert(device->points[p].index == count++);
			judge_point(settings, &device->points[p]);
		}
		judge_writes(device, device->on_connect, device->on_connect_count);
		judge_writes(device, device->on_cloud_loss, device->on_cloud_loss_count);
		assert((device->cloud_loss_s > 0) == (device->on_cloud_loss_count > 0));
		for (size_t r = 0; r < device->rpc_count; r++)
			judge_method(device, &device->rpc[r]);
		for (size_t c = 0; c < device->call_count; c++)
			judge_call(device, &device->calls[c]);
	}
	assert(count == settings->point_count);
	for (size_t i = 0; i < settings->bus_count; i++)
		judge_bus(settings, &settings->buses[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings *settings = NULL;
	struct conf_report report;
	int error = conf_load_text("fuzz", (const char *)data, size, &settings, &report);

	assert(error == 0 || error == -EINVAL);
	assert((error == 0) == (settings != NULL) && (error == 0) == (report.count == 0));
	for (size_t i = 0; i < report.count; i++)
		assert(strncmp(report.lines[i], "fuzz:", 5) == 0 || strncmp(report.lines[i], "and ", 4) == 0);
	if (settings)
		judge_settings(settings);
	conf_report_done(&report);
	settings_free(settings);
	return 0;
}
