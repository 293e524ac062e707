#include "cli/desk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/log.h"
#include "cli/reload.h"
#include "control/report.h"
#include "control/server.h"

struct desk {
	struct gateway *gateway;
	struct inspector *inspector;
	struct herald *herald;
	struct control_server *server;
};

/* ---- the requests ---- */

static void
tell_status(void *ctx, uint64_t ticket, const struct health *health)
{
	struct desk *desk = ctx;
	size_t length = 0;
	char *text = report_status(health, REPORT_FULL, &length);

	control_server_answer(desk->server, ticket, text, length);
}

static void
do_status(struct desk *desk, uint64_t ticket, const char *argument)
{
	(void)argument;
	if (inspector_ask(desk->inspector, true, tell_status, desk, ticket) < 0)
		control_server_say(desk->server, ticket, "out of memory");
}

static void
do_log_level(struct desk *desk, uint64_t ticket, const char *argument)
{
	int level = log_level_find(argument);
	char error[CONTROL_REQUEST_MAX + 96];

	if (level < 0) {
		snprintf(error, sizeof(error), "'%s' is no log level, there are error, warning, notice, info, debug", argument);
		control_server_say(desk->server, ticket, error);
		return;
	}
	if (log_get_level() != (enum log_level)level)
		log_notice("log: the level is %s from now on", argument);
	log_set_level((enum log_level)level);
	control_server_say(desk->server, ticket, NULL);
}

static void
do_reload(struct desk *desk, uint64_t ticket, const char *argument)
{
	char *text = NULL;
	size_t size = 0;
	FILE *told = open_memstream(&text, &size);
	int error;

	(void)argument;
	if (!told) {
		control_server_say(desk->server, ticket, "out of memory");
		return;
	}
	error = reload_gateway(desk->gateway, desk->inspector, desk->herald, told);
	if (fclose(told) != 0 && error == 0)
		error = -ENOMEM;
	control_server_tell(desk->server, ticket, error == 0 ? NULL : "refused, everything goes on as it was", text);
	free(text);
}

static void
do_claim(struct desk *desk, uint64_t ticket, const char *argument)
{
	const struct settings *settings = desk->gateway->settings;
	const struct device *device = NULL;
	char error[CONTROL_REQUEST_MAX + 96];

	for (size_t i = 0; i < settings->device_count; i++)
		if (strcmp(settings->devices[i].name, argument) == 0)
			device = &settings->devices[i];
	if (!device || !device->claim) {
		snprintf(error, sizeof(error), device ? "device %s: it has no claim in the configuration" : "there is no device %s",
		    argument);
		control_server_say(desk->server, ticket, error);
		return;
	}
	control_server_say(desk->server, ticket,
	    uplink_claim(desk->gateway->uplink, argument) < 0 ? "too much is asked at once, try again" : NULL);
}

static const struct {
	const char *name;
	size_t arguments;
	void (*act)(struct desk *desk, uint64_t ticket, const char *argument);
} requests[] = {
	{ .name = "status", .arguments = 0, .act = do_status },
	{ .name = "reload", .arguments = 0, .act = do_reload },
	{ .name = "log-level", .arguments = 1, .act = do_log_level },
	{ .name = "claim", .arguments = 1, .act = do_claim },
};

static void
on_request(void *ctx, uint64_t ticket, const struct control_request *request)
{
	struct desk *desk = ctx;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (strcmp(request->words[0], requests[i].name) != 0)
			continue;
		if (request->count == 1 + requests[i].arguments)
			requests[i].act(desk, ticket, request->words[1]);
		else
			control_server_say(desk->server, ticket, "the request has too many or too few words");
		return;
	}
	control_server_say(desk->server, ticket, "this fieldgate does not know the request");
}

/* ---- the desk ---- */

static void
tell_closed(const char *path, int error)
{
	if (error == -EADDRINUSE)
		log_warning("control: %s: somebody else listens there: no 'fieldgate status' of this one", path);
	else if (error == -ENOENT || error == -EACCES)
		log_info("control: %s: %s: no 'fieldgate status' of this one", path, strerror(-error));
	else
		log_warning("control: %s: %s: no 'fieldgate status'", path, strerror(-error));
}

int
desk_open(sd_event *loop, const char *path, struct gateway *gateway, struct inspector *inspector,
    struct herald *herald, struct desk **ret)
{
	char place[sizeof(((struct sockaddr_un *)NULL)->sun_path)] = "";
	struct desk *desk = calloc(1, sizeof(*desk));
	int error = desk ? control_path(path, place, sizeof(place)) : -ENOMEM;

	if (desk)
		*desk = (struct desk){ .gateway = gateway, .inspector = inspector, .herald = herald };
	if (error == 0)
		error = control_server_open(loop, place, on_request, desk, &desk->server);
	if (error == 0) {
		*ret = desk;
		return 0;
	}
	tell_closed(place[0] ? place : "the path", error);
	free(desk);
	return error;
}

void
desk_close(struct desk *desk)
{
	if (!desk)
		return;
	control_server_close(desk->server);
	free(desk);
}
