#include "cloud/uplink_state.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define LOOK_MS 100 /* whether the thread that is to answer still is there */

/* ---- in the thread ---- */

void
uplink_answer_order(struct uplink *uplink, enum order order, int result)
{
	struct answer answer = { .order = order, .result = result };

	fifo_push(uplink->answers, &answer, 1);
}

static void
hold(struct uplink *uplink)
{
	const struct difference *difference = uplink->change->difference;

	while (uplink_take_burst(uplink) > 0)
		;
	uplink_take_outcomes(uplink);
	intake_part(uplink->intake, difference);
	uplink_send_news(uplink);
	store_hold(uplink->store, difference);
	uplink->holding = true;
}

/* Those that are not there yet. */
static int
open_sessions(struct uplink *uplink, const struct change *change)
{
	const struct settings *settings = difference_to(change->difference);
	struct mqtt *mqtt = change->mqtt ? change->mqtt : uplink->mqtt;
	int error = 0;

	for (size_t i = 0; error == 0 && i < settings->device_count; i++)
		if (change->mqtt || !difference_device(change->difference, &settings->devices[i]))
			error = uplink_open_session(
			    &change->routes[i], mqtt, change->gateway, change->provisioner, &settings->devices[i]);
	return error;
}

/* A session that stays is handed over; one that is made anew has lost what was on its way. */
static void
change_routes(struct uplink *uplink, struct change *change)
{
	const struct settings *settings = difference_to(change->difference);

	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *was = difference_device(change->difference, &settings->devices[i]);
		struct route *route = &change->routes[i];
		struct route *from = was ? &uplink->routes[was->index] : NULL;

		if (!from)
			continue;
		route->was_up = from->was_up;
		if (change->mqtt) {
			sender_down(change->sender, i, MQTT_END_OURS);
			downlink_down(change->downlink, i, false);
			continue;
		}
		route->session = from->session;
		route->held = from->held;
		from->session = NULL;
	}
	uplink_close_sessions(uplink->routes, uplink->settings->device_count);
}

void
uplink_free_change(struct change *change)
{
	if (!change)
		return;
	sieve_free(change->sieve);
	intake_free(change->intake);
	presence_free(change->presence);
	sender_free(change->sender);
	downlink_free(change->downlink);
	free(change->routes);
	free(change);
}

/* What is in force and what comes change places; what was in force is freed with the change. */
static void
change_parts(struct uplink *uplink, struct change *change)
{
	struct change was = { .sieve = uplink->sieve,
		.intake = uplink->intake,
		.presence = uplink->presence,
		.sender = uplink->sender,
		.downlink = uplink->downlink,
		.routes = uplink->routes,
		.mqtt = uplink->mqtt };

	uplink->settings = difference_to(change->difference);
	uplink->sieve = change->sieve;
	uplink->intake = change->intake;
	uplink->presence = change->presence;
	uplink->leaving = 0; /* presence_adopt() tells again who is not there */
	uplink->sender = change->sender;
	uplink->downlink = change->downlink;
	uplink->routes = change->routes;
	if (change->mqtt) {
		gateway_api_free(uplink->gateway);
		uplink->gateway = change->gateway;
		uplink->mqtt = change->mqtt;
		mqtt_count_on(uplink->mqtt, was.mqtt);
		mqtt_free(was.mqtt);
	} else {
		mqtt_rebind(uplink->mqtt, &uplink->settings->server);
	}
	change->sieve = was.sieve;
	change->intake = was.intake;
	change->presence = was.presence;
	change->sender = was.sender;
	change->downlink = was.downlink;
	change->routes = was.routes;
}

/* Credentials live elsewhere now, those that stand in the settings and those that were provisioned. */
static void
change_credentials(struct uplink *uplink, struct change *change)
{
	struct provisioner *was = uplink->provisioner;

	provisioner_adopt(change->provisioner, was, !change->mqtt);
	uplink->provisioner = change->provisioner;
	change->provisioner = NULL;
	/* Also to sessions that are new: what could not be kept on disk was not there when they were made. */
	for (size_t i = 0; i < difference_to(change->difference)->device_count; i++)
		uplink_give_credentials(change->gateway, &change->routes[i], provisioner_credentials(uplink->provisioner, i));
	provisioner_free(was);
}

/* What was on its way is said again, at worst. */
static void
change_claims(struct uplink *uplink, struct change *change)
{
	claims_free(uplink->claims);
	uplink->claims = change->claims;
	change->claims = NULL;
	for (size_t i = 0; i < uplink->settings->device_count; i++)
		claims_up(uplink->claims, i);
}

static int
switch_settings(struct uplink *uplink)
{
	struct change *change = uplink->change;
	const struct settings *settings = difference_to(change->difference);
	int error = 0;

	change->provisioner = provisioner_new(settings, uplink->keeper, uplink->loop, uplink_on_provisioned, uplink);
	if (!change->provisioner)
		return -errno;
	change->claims = claims_new(settings, uplink->keeper, uplink_claim_port(uplink));
	if (!change->claims)
		error = -ENOMEM;
	/* The session that all share is made anew: what it is subscribed to and who is connected through it is of one piece. */
	if (error == 0 && (difference_sessions(change->difference) || settings->server.api == API_GATEWAY))
		error = uplink_make_base(uplink, settings, change->provisioner, &change->mqtt, &change->gateway);
	if (error == 0)
		error = open_sessions(uplink, change);
	if (error == 0)
		error = store_rebind(uplink->store, change->difference);
	if (error < 0) {
		uplink_close_sessions(change->routes, settings->device_count);
		gateway_api_free(change->gateway);
		mqtt_free(change->mqtt);
		change->mqtt = NULL;
		provisioner_free(change->provisioner);
		change->provisioner = NULL;
		claims_free(change->claims);
		change->claims = NULL;
		return error;
	}
	change->meanwhile(change->ctx);
	uplink_take_outcomes(uplink);
	downlink_adopt(change->downlink, uplink->downlink, change->difference);
	sieve_adopt(change->sieve, uplink->sieve, change->difference);
	intake_adopt(change->intake, uplink->intake, change->difference);
	presence_adopt(change->presence, uplink->presence, change->difference);
	sender_adopt(change->sender, uplink->sender, change->difference);
	change_routes(uplink, change);
	change_credentials(uplink, change);
	change_parts(uplink, change);
	if (provisioner_start(uplink->provisioner, uplink->mqtt) < 0)
		log_error("provision: out of memory: devices without credentials stay off line until the next start");
	change_claims(uplink, change);
	downlink_adopted(uplink->downlink);
	uplink_send_news(uplink);
	return 0;
}

int
uplink_on_orders(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct uplink *uplink = userdata;
	enum order order;

	(void)source, (void)fd, (void)revents;
	if (fifo_pop(uplink->orders, &order, 1) == 0)
		return 0;
	switch (order) {
	case ORDER_HOLD:
		hold(uplink);
		break;
	case ORDER_RELEASE:
		uplink->holding = false;
		store_release(uplink->store);
		uplink_answer_order(uplink, order, 0);
		break;
	case ORDER_SWITCH:
		uplink_answer_order(uplink, order, switch_settings(uplink));
		break;
	}
	return 0;
}

/* ---- its owner ---- */

static bool
never(void)
{
	return false;
}

/* Returns what the thread answers; -ETIMEDOUT; -ECANCELED; -EIO if there is no thread any more. */
static int
give_order(struct uplink *uplink, enum order order, int timeout_ms, bool (*given_up)(void))
{
	int64_t end_mono_ms = clock_mono_ms() + timeout_ms;
	struct pollfd wait = { .fd = fifo_fd(uplink->answers), .events = POLLIN };
	struct answer answer;
	bool given = false;

	for (;;) {
		/* One that was not awaited to its end may be in the way until the thread comes to it. */
		if (!given)
			given = fifo_push(uplink->orders, &order, 1) == 1;
		poll(&wait, 1, LOOK_MS);
		/* One that was not awaited to its end may still have been answered. */
		if (fifo_pop(uplink->answers, &answer, 1) == 1 && answer.order == order)
			return answer.result;
		if (uplink_failed(uplink))
			return -EIO;
		if (given_up())
			return -ECANCELED;
		if (timeout_ms > 0 && clock_mono_ms() >= end_mono_ms)
			return -ETIMEDOUT;
	}
}

int
uplink_prepare(struct uplink *uplink, const struct difference *difference, struct command_sink commands)
{
	const struct settings *settings = difference_to(difference);
	struct change *change = calloc(1, sizeof(*change));

	if (!change)
		return -ENOMEM;
	change->difference = difference;
	change->presence = presence_new(settings);
	change->sieve = sieve_new(settings);
	change->intake = intake_new(settings, uplink->store, uplink_on_attribute, uplink);
	change->sender = sender_new(settings, uplink->store, uplink_sender_port(uplink));
	change->downlink = downlink_new(settings, uplink_downlink_port(uplink), commands);
	change->routes = uplink_make_routes(uplink, settings);
	if (!change->presence || !change->sieve || !change->intake || !change->sender || !change->downlink || !change->routes) {
		uplink_free_change(change);
		return -ENOMEM;
	}
	uplink->change = change;
	return 0;
}

int
uplink_hold(struct uplink *uplink, int timeout_ms, bool (*given_up)(void))
{
	return give_order(uplink, ORDER_HOLD, timeout_ms, given_up);
}

int
uplink_switch(struct uplink *uplink, void (*meanwhile)(void *ctx), void *ctx)
{
	int error;

	uplink->change->meanwhile = meanwhile;
	uplink->change->ctx = ctx;
	error = give_order(uplink, ORDER_SWITCH, 0, never);
	if (error < 0)
		return error;
	uplink_free_change(uplink->change);
	uplink->change = NULL;
	return 0;
}

void
uplink_give_up(struct uplink *uplink)
{
	if (!uplink->change)
		return;
	give_order(uplink, ORDER_RELEASE, 0, never);
	uplink_free_change(uplink->change);
	uplink->change = NULL;
}
