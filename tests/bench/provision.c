#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bench/alloc.h"
#include "bench/lenient.h"
#include "bench/report.h"
#include "bench/thingsboard.h"
#include "common/control.h"

#define GENERATED_LENGTH 20

struct request {
	const char *name, *key, *secret, *type, *token, *client_id, *username, *password, *hash;
	bool gateway;
};

static void
provision_answer(struct session *session, struct json_object *answer)
{
	session_publish(session, filter_for(PURPOSE_PROVISION, FAMILY_V1), 0, json_text(answer));
	json_object_put(answer);
}

static void
provision_refuse(struct session *session, const char *message, const char *status)
{
	struct json_object *answer = json_object_new_object();

	report_string(answer, "errorMsg", message);
	report_string(answer, "status", status);
	provision_answer(session, answer);
}

static char *
random_text(void)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	uint8_t bytes[GENERATED_LENGTH] = { 0 };
	char *text = alloc_zeroed(GENERATED_LENGTH + 1, 1);

	/* Names for a test: what randomness is to be had will do. */
	if (getrandom(bytes, sizeof(bytes), 0) < 0)
		bytes[0] = (uint8_t)clock_mono_ms();
	for (size_t i = 0; i < GENERATED_LENGTH; i++)
		text[i] = letters[bytes[i] % (sizeof(letters) - 1)];
	return text;
}

static void
request_read(struct request *request, struct json_object *tree)
{
	*request = (struct request){
		.name = control_string(tree, "deviceName", NULL),
		.key = control_string(tree, "provisionDeviceKey", NULL),
		.secret = control_string(tree, "provisionDeviceSecret", NULL),
		.type = control_string(tree, "credentialsType", "ACCESS_TOKEN"),
		.token = control_string(tree, "token", NULL),
		.client_id = control_string(tree, "clientId", NULL),
		.username = control_string(tree, "username", NULL),
		.password = control_string(tree, "password", NULL),
		.hash = control_string(tree, "hash", NULL),
		.gateway = control_bool(tree, "gateway", false),
	};
}

static bool
request_complete(const struct request *request)
{
	static const char *const types[] = { "ACCESS_TOKEN", "MQTT_BASIC", "X509_CERTIFICATE" };
	bool known = false;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		known |= strcmp(request->type, types[i]) == 0;
	return known && request->key && request->secret;
}

static bool
request_allowed(const struct request *request, const struct knobs *knobs)
{
	return knobs->provision_key && *request->key && *request->secret &&
	       strcmp(request->key, knobs->provision_key) == 0 &&
	       strcmp(request->secret, knobs->provision_secret) == 0;
}

/* The credentials as the answer shows them; makes the device known by them. */
static struct json_object *
provision_credentials(struct bench *bench, const struct request *request, struct device *device)
{
	struct json_object *shown;

	if (strcmp(request->type, "MQTT_BASIC") != 0)
		return json_object_new_string(request->hash && strcmp(request->type, "X509_CERTIFICATE") == 0
						  ? request->hash
						  : device->token);
	registry_set_basic(
	    &bench->registry, device, request->client_id, request->username, request->password);
	shown = json_object_new_object();
	report_string(shown, "clientId", request->client_id);
	report_string(shown, "userName", request->username);
	report_string(shown, "password", request->password);
	return shown;
}

/* The device that gets the credentials, NULL if the strategy does not allow it. */
static struct device *
provision_device(struct bench *bench, const struct request *request, const char *name, const char *token)
{
	struct device *device = registry_find_name(&bench->registry, name);

	if (bench->knobs.provision_check) {
		if (!device || device->provisioned)
			return NULL;
	} else {
		if (device || registry_find(&bench->registry, token))
			return NULL;
		device = registry_add(&bench->registry, bench, token, name);
		device->gateway = request->gateway;
	}
	device->provisioned = true;
	return device;
}

static void
provision_report(struct session *session, const char *name, const char *token, const char *status)
{
	struct json_object *event = report_new("provision", token);

	report_string(event, "name", name);
	report_string(event, "status", status);
	report_number(event, "session", (int64_t)session->number);
	control_emit(event);
}

static void
provision_grant(struct session *session, const struct request *request)
{
	struct bench *bench = session->bench;
	char *name = request->name ? alloc_string(request->name) : random_text();
	char *token = request->token ? alloc_string(request->token) : random_text();
	struct device *device = *name ? provision_device(bench, request, name, token) : NULL;
	struct json_object *answer;

	if (!device) {
		provision_report(session, name, NULL, "FAILURE");
		provision_refuse(session, "Failed to provision device!", "FAILURE");
	} else {
		answer = json_object_new_object();
		json_object_object_add(
		    answer, "credentialsValue", provision_credentials(bench, request, device));
		report_string(answer, "credentialsType", request->type);
		report_string(answer, "status", "SUCCESS");
		provision_report(session, name, device->token, "SUCCESS");
		provision_answer(session, answer);
		session_close_later(session, bench->knobs.provision_close_ms, "provisioned", 0x00);
	}
	free(name);
	free(token);
}

static void
provision_fail(const struct uplink *uplink, const char *reason, uint8_t code)
{
	session_ack(uplink->session, uplink->publish, code);
	session_close(uplink->session, reason, code);
}

void
provision_publish(struct uplink *uplink)
{
	struct session *session = uplink->session;
	struct json_object *tree = NULL;
	struct request request;

	if (strcmp(uplink->topic, "/provision/request") != 0) {
		provision_fail(uplink, "only provisioning", 0x90);
		return;
	}
	if (lenient_parse(uplink->payload, &tree) < 0 || !json_object_is_type(tree, json_type_object)) {
		uplink_reject(uplink, "not a provisioning request");
		json_object_put(tree);
		return;
	}
	request_read(&request, tree);
	if (!request_complete(&request)) {
		provision_fail(uplink, "incomplete request", 0x83);
	} else {
		session_ack(session, uplink->publish, 0);
		if (request_allowed(&request, &session->bench->knobs)) {
			provision_grant(session, &request);
		} else {
			provision_report(session, request.name, NULL, "NOT_FOUND");
			provision_refuse(session, "Provision data was not found!", "NOT_FOUND");
		}
	}
	json_object_put(tree);
}
