#include "cloud/uplink.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fifo.h"
#include "base/log.h"
#include "cloud/claim.h"
#include "cloud/downlink.h"
#include "cloud/chores.h"
#include "cloud/device_api.h"
#include "cloud/gateway_api.h"
#include "cloud/intake.h"
#include "cloud/mqtt.h"
#include "cloud/overflow.h"
#include "cloud/presence.h"
#include "cloud/provision.h"
#include "cloud/sender.h"
#include "cloud/sieve.h"
#include "cloud/tb_topic.h"
#include "flow/store.h"

#define SAMPLES_WAITING	  16384
#define BURST		  256  /* samples taken in one turn of the loop */
#define CLOSE_MS	  400  /* for DISCONNECT to leave, at the end */
#define TIMER_ACCURACY_MS 250
#define LOOK_MS		  100  /* whether the thread that is to answer still is there */
#define QUESTIONS_MAX	  4
#define CLAIM_ORDERS_MAX  16

/* The session of one device. */
struct route {
	struct uplink *uplink;
	size_t device;
	struct session *session;
	bool was_up;
	bool leaving; /* its device is not there: it is to be closed when all has gone up */
	bool held;    /* it is closed for that */
};

/* What is made for other settings, before they are in force. */
struct change {
	const struct difference *difference;
	struct presence *presence;
	struct sieve *sieve;
	struct intake *intake;
	struct sender *sender;
	struct downlink *downlink;
	struct route *routes;
	struct mqtt *mqtt; /* NULL: sessions stay */
	struct gateway_api *gateway;
	struct provisioner *provisioner;
	struct claims *claims;
	void (*meanwhile)(void *ctx);
	void *ctx;
};

/* What the owner asks of the thread, which answers each with a number. */
enum order { ORDER_HOLD, ORDER_RELEASE, ORDER_SWITCH };

struct answer {
	enum order order;
	int result;
};

/* Somebody wants a device to be claimed again. */
struct claim_order {
	char device[4 * 64 + 1]; /* its name, of 64 characters at most */
};

enum overflow_of { OVERFLOW_STORE, OVERFLOW_AGE, OVERFLOW_DISK, OVERFLOW_SAMPLES, OVERFLOWS };

struct uplink {
	const struct settings *settings;
	struct sieve *sieve; /* the threads of the buses look through it: they stand still while it changes */
	struct intake *intake;
	struct presence *presence;
	size_t leaving; /* routes that are */
	struct store *store;
	struct sender *sender;
	struct route *routes; /* one for each device */
	struct mqtt *mqtt;
	struct gateway_api *gateway; /* the one session, or NULL: each device has its own */
	struct keeper *keeper;
	struct provisioner *provisioner;
	struct claims *claims;
	struct downlink *downlink;
	struct fifo *samples;
	struct fifo *outcomes;
	struct fifo *questions; /* struct health_question */
	struct fifo *claim_orders; /* struct claim_order */
	struct fifo *chores;	/* struct chore, of the gateway itself */
	struct fifo *done;	/* struct chore_done */
	struct fifo *stop; /* struct uplink_end */
	struct fifo *orders;
	struct fifo *answers;
	bool holding;	      /* an ORDER_HOLD has no answer */
	struct change *change;
	struct resolver *resolver;
	struct overflow overflows[OVERFLOWS];

	sd_event *loop;
	sd_event_source *samples_io, *outcomes_io, *questions_io, *claim_io, *done_io, *stop_io, *orders_io, *store_io, *timer;
	int64_t armed_mono_ms;
	pthread_t thread;
	bool running;
	atomic_bool failed;

	bool stopping;
	bool closing;
	struct uplink_end end;
	int64_t stop_mono_ms; /* the time for PUBACKs, then that for DISCONNECT, is over */

	struct sample burst[BURST];
};

static const struct overflow overflow_texts[OVERFLOWS] = {
	[OVERFLOW_STORE] = {
		.begin = "store: full, the oldest rows are dropped",
		.over = "store: has room again: rows",
		.end = "store: rows",
	},
	[OVERFLOW_AGE] = {
		.begin = "store: what is older than max_age_h is dropped",
		.over = "store: nothing is too old any more: rows",
		.end = "store: too old: rows",
	},
	[OVERFLOW_DISK] = {
		.begin = "store: rows that were only on disk cannot be read",
		.over = "store: rows on disk",
		.end = "store: rows on disk",
	},
	[OVERFLOW_SAMPLES] = {
		.begin = "uplink: cannot keep up with the field, samples are lost",
		.over = "uplink: keeps up again: samples",
		.end = "uplink: samples",
	},
};

/* ---- the sessions ---- */

static void
on_up(void *owner)
{
	struct route *route = owner;

	if (route->was_up)
		sieve_forget(route->uplink->sieve, route->device);
	route->was_up = true;
	downlink_up(route->uplink->downlink, route->device);
	sender_up(route->uplink->sender, route->device);
	claims_up(route->uplink->claims, route->device);
}

static void
on_down(void *owner)
{
	struct route *route = owner;

	claims_down(route->uplink->claims, route->device);
	sender_down(route->uplink->sender, route->device, route->session->ops->end(route->session));
	downlink_down(route->uplink->downlink, route->device, route->held);
}

static void
on_acked(void *owner, int id)
{
	struct route *route = owner;

	if (!claims_acked(route->uplink->claims, route->device, id))
		sender_acked(route->uplink->sender, route->device, id);
}

static void
on_refused(void *owner, int id, int reason)
{
	struct route *route = owner;

	if (!claims_refused(route->uplink->claims, route->device, id, reason))
		sender_refused(route->uplink->sender, route->device, id, reason);
}

static void
on_subscribed(void *owner, int id, bool granted)
{
	struct route *route = owner;

	downlink_subscribed(route->uplink->downlink, route->device, id, granted);
}

static void
on_message(void *owner, const char *topic, const void *payload, size_t length)
{
	struct route *route = owner;
	struct uplink *uplink = route->uplink;
	int64_t id;
	enum tb_topic kind = tb_topic_parse(topic, &id);

	if (kind == TB_RPC_RESPONSE && id == SENDER_LIMITS_ID) {
		sender_limits(uplink->sender, route->device, payload, length);
		if (uplink->gateway)
			gateway_api_go_on(uplink->gateway);
		return;
	}
	if (kind == TB_RPC_REQUEST && id == SENDER_LIMITS_ID &&
	    sender_is_question(uplink->sender, route->device, payload, length))
		return;
	if (kind == TB_RPC_REQUEST)
		sender_note_request(uplink->sender, route->device);
	downlink_message(uplink->downlink, route->device, topic, payload, length);
}

static const struct mqtt_events events = {
	.up = on_up,
	.down = on_down,
	.acked = on_acked,
	.refused = on_refused,
	.subscribed = on_subscribed,
	.message = on_message,
};

static bool
port_is_up(void *ctx, size_t device)
{
	struct uplink *uplink = ctx;

	const struct session *session = uplink->routes[device].session;

	return session->ops->is_up(session);
}

static int
port_publish(void *ctx, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	struct uplink *uplink = ctx;
	struct session *session = uplink->routes[device].session;

	return session->ops->publish(session, topic, id, payload, length);
}

static int
downlink_publish(void *ctx, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	struct uplink *uplink = ctx;

	if (topic == TB_ATTRIBUTES)
		return sender_post_values(uplink->sender, device, (unsigned)id, payload, length);
	return sender_post(uplink->sender, device, topic, id, payload, length);
}

static int
downlink_subscribe(void *ctx, size_t device, bool attributes)
{
	struct uplink *uplink = ctx;
	struct session *session = uplink->routes[device].session;

	/* To the topic of answers is free. */
	if (sender_take(uplink->sender, device, attributes ? 2 : 1) > 0)
		return -EAGAIN;
	return session->ops->subscribe(session, attributes);
}

static void
port_restart(void *ctx, size_t device, const char *why)
{
	struct uplink *uplink = ctx;
	struct session *session = uplink->routes[device].session;

	session->ops->restart(session, why);
}

static int64_t
gateway_take(void *ctx, size_t device)
{
	struct uplink *uplink = ctx;

	return sender_take(uplink->sender, device, 1);
}

static struct sender_port
sender_port(struct uplink *uplink)
{
	return (struct sender_port){
		.is_up = port_is_up, .publish = port_publish, .restart = port_restart, .ctx = uplink
	};
}

static int
claim_publish(void *ctx, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	struct uplink *uplink = ctx;

	return sender_take(uplink->sender, device, 1) > 0 ? -EAGAIN : port_publish(ctx, device, topic, id, payload, length);
}

static struct sender_port
claim_port(struct uplink *uplink)
{
	return (struct sender_port){ .is_up = port_is_up, .publish = claim_publish, .ctx = uplink };
}

/* ---- what the field and the disk say ---- */

static void
on_attribute(void *ctx, const struct sample *sample)
{
	struct uplink *uplink = ctx;

	sender_attribute(uplink->sender, sample->point, &sample->value);
}

static void
send_news(struct uplink *uplink)
{
	size_t device;

	while (intake_news(uplink->intake, &device))
		sender_pump(uplink->sender, device);
}

static size_t
take_burst(struct uplink *uplink)
{
	size_t count = fifo_pop(uplink->samples, uplink->burst, BURST);

	for (size_t i = 0; i < count; i++)
		if (uplink->burst[i].watched)
			downlink_sample(uplink->downlink, &uplink->burst[i]);
	intake_take(uplink->intake, uplink->burst, count);
	for (size_t i = 0; i < count; i++)
		presence_sample(uplink->presence, &uplink->burst[i]);
	for (size_t i = 0; i < count; i++)
		value_done(&uplink->burst[i].value);
	send_news(uplink);
	return count;
}

static void
note_losses(struct uplink *uplink)
{
	struct store_counts counts = store_counts(uplink->store);
	int64_t now = clock_mono_ms();

	overflow_note(&uplink->overflows[OVERFLOW_STORE], counts.dropped_rows + intake_unheld_rows(uplink->intake), now);
	overflow_note(&uplink->overflows[OVERFLOW_AGE], counts.aged_rows, now);
	overflow_note(&uplink->overflows[OVERFLOW_DISK], counts.lost_rows, now);
	overflow_note(&uplink->overflows[OVERFLOW_SAMPLES], fifo_refused(uplink->samples), now);
}

static int
on_samples(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source, (void)fd, (void)revents;
	take_burst(userdata);
	note_losses(userdata);
	return 0;
}

/* The disk did something, or there is something for it to do. */
static void
serve_store(struct uplink *uplink)
{
	size_t device;

	store_tick(uplink->store);
	while (store_ready(uplink->store, &device))
		sender_pump(uplink->sender, device);
	sender_serve(uplink->sender);
	store_tick(uplink->store);
}

static int
on_store(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source, (void)fd, (void)revents;
	serve_store(userdata);
	return 0;
}

static int
on_outcomes(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct uplink *uplink = userdata;
	struct outcome outcome;

	(void)source, (void)fd, (void)revents;
	for (int i = 0; i < BURST && fifo_pop(uplink->outcomes, &outcome, 1) == 1; i++)
		downlink_outcome(uplink->downlink, &outcome);
	return 0;
}

/* ---- how it is ---- */

static void
fill_report(const struct uplink *uplink, struct health_cloud *report)
{
	struct mqtt_counts mqtt = mqtt_counts(uplink->mqtt);
	struct downlink_counts down = downlink_counts(uplink->downlink);
	size_t count = uplink->settings->device_count;

	report->taken_mono_us = clock_mono_us();
	report->clock_set = intake_clock_is_set(uplink->intake);
	report->mqtt_version = mqtt.version;
	report->connects = mqtt.connects;
	report->refusals = mqtt.refusals;
	report->failures = mqtt.failures;
	report->losses = mqtt.losses;
	report->values = sieve_values(uplink->sieve);
	report->samples_refused = fifo_refused(uplink->samples);
	report->shared_written = down.shared_written;
	report->commands = down.pending;
	store_health(uplink->store, &report->store);
	report->store.unheld_rows = intake_unheld_rows(uplink->intake);
	report->device_count = count < report->device_room ? count : report->device_room;
	for (size_t i = 0; i < report->device_count; i++) {
		uplink->routes[i].session->ops->health(uplink->routes[i].session, &report->devices[i]);
		sender_health(uplink->sender, i, &report->devices[i]);
		downlink_health(uplink->downlink, i, &report->devices[i]);
	}
}

static void
answer_questions(struct uplink *uplink)
{
	struct health_question question;

	while (fifo_pop(uplink->questions, &question, 1) == 1) {
		if (uplink->mqtt && uplink->downlink)
			fill_report(uplink, question.cloud);
		health_give_back(&question);
	}
}

static int
on_questions(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source, (void)fd, (void)revents;
	answer_questions(userdata);
	return 0;
}

static int
on_claim_orders(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct uplink *uplink = userdata;
	struct claim_order order;

	(void)source, (void)fd, (void)revents;
	while (fifo_pop(uplink->claim_orders, &order, 1) == 1)
		for (size_t i = 0; i < uplink->settings->device_count; i++)
			if (strcmp(uplink->settings->devices[i].name, order.device) == 0)
				claims_repeat(uplink->claims, i);
	return 0;
}

/* ---- what the gateway itself is asked ---- */

static int
push_chore(void *ctx, const struct chore *chore)
{
	struct uplink *uplink = ctx;

	return fifo_push(uplink->chores, chore, 1) == 1 ? 0 : -EBUSY;
}

static int
on_done(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct uplink *uplink = userdata;
	struct chore_done done;

	(void)source, (void)fd, (void)revents;
	while (fifo_pop(uplink->done, &done, 1) == 1)
		downlink_chore_done(uplink->downlink, &done);
	return 0;
}

/* ---- devices that come and go ---- */

static void
set_leaving(struct route *route, bool leaving)
{
	route->uplink->leaving += leaving;
	route->uplink->leaving -= route->leaving;
	route->leaving = leaving;
}

static void
close_if_idle(struct uplink *uplink, struct route *route)
{
	const struct device *device = &uplink->settings->devices[route->device];

	if (!sender_is_idle(uplink->sender, route->device))
		return;
	set_leaving(route, false);
	route->held = true;
	route->session->ops->hold(route->session, true);
	log_notice("device %s: none of its units has answered for %d s: its session is closed until one does",
	    device->name, device->offline_after_s);
}

static void
serve_presence(struct uplink *uplink)
{
	size_t device;

	while (presence_news(uplink->presence, &device)) {
		struct route *route = &uplink->routes[device];
		bool there = presence_is_there(uplink->presence, device);

		set_leaving(route, !there && !route->held);
		if (!there || !route->held)
			continue;
		route->held = false;
		route->session->ops->hold(route->session, false);
		log_notice("device %s: answers again: its session is opened", uplink->settings->devices[device].name);
	}
	for (size_t i = 0; uplink->leaving > 0 && i < uplink->settings->device_count; i++)
		if (uplink->routes[i].leaving)
			close_if_idle(uplink, &uplink->routes[i]);
}

/* ---- time ---- */

static int
on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct uplink *uplink = userdata;
	int64_t now = clock_mono_ms();

	(void)source, (void)usec;
	uplink->armed_mono_ms = CLOCK_NEVER;
	sender_tick(uplink->sender, now);
	presence_tick(uplink->presence, now);
	downlink_tick(uplink->downlink);
	claims_tick(uplink->claims, now);
	serve_store(uplink);
	for (size_t i = 0; i < OVERFLOWS; i++)
		overflow_tick(&uplink->overflows[i], now);
	intake_tick(uplink->intake, now);
	send_news(uplink);
	return 0;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void
arm_timer(struct uplink *uplink)
{
	int64_t due = sender_due_mono_ms(uplink->sender);

	due = earlier(due, downlink_due_mono_ms(uplink->downlink));
	due = earlier(due, intake_due_mono_ms(uplink->intake));
	due = earlier(due, claims_due_mono_ms(uplink->claims));
	due = earlier(due, presence_due_mono_ms(uplink->presence));
	due = earlier(due, store_due_mono_ms(uplink->store));
	for (size_t i = 0; i < OVERFLOWS; i++)
		due = earlier(due, overflow_due_mono_ms(&uplink->overflows[i]));
	if (uplink->stopping)
		due = earlier(due, uplink->stop_mono_ms);
	if (due == uplink->armed_mono_ms)
		return;
	uplink->armed_mono_ms = due;
	if (due == CLOCK_NEVER) {
		sd_event_source_set_enabled(uplink->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(uplink->timer, (uint64_t)(due > 0 ? due : 0) * 1000);
	sd_event_source_set_enabled(uplink->timer, SD_EVENT_ONESHOT);
}

/* ---- the end ---- */

/* What there is to be forgotten may be forgotten at the next start: the disk is waited for because of what would be lost. */
static void
save(struct uplink *uplink)
{
	bool at_risk = store_counts(uplink->store).unsaved_rows > 0;
	int64_t left_ms = (at_risk ? uplink->end.disk_mono_ms : uplink->end.cloud_mono_ms) - clock_mono_ms();

	store_close(uplink->store, left_ms > 0 ? (int)left_ms : 0);
}

static void
finish(struct uplink *uplink)
{
	struct store_counts counts;

	save(uplink);
	counts = store_counts(uplink->store);
	for (size_t at = 0; at < OVERFLOWS; at++)
		overflow_finish(&uplink->overflows[at]);
	if (counts.rows > counts.unsaved_rows)
		log_notice("store: %" PRIu64 " rows wait on disk for the next start",
		    counts.rows - counts.unsaved_rows);
	if (counts.unsaved_rows > 0)
		log_warning("store: %" PRIu64 " rows were not delivered and are lost: %s", counts.unsaved_rows,
		    store_busy(uplink->store) ? "the disk has not taken them in time" : "they are in memory only");
	sd_event_exit(uplink->loop, 0);
}

static void
go_on_stopping(struct uplink *uplink)
{
	int64_t now = clock_mono_ms();

	if (!uplink->closing && (sender_is_flushed(uplink->sender) || now >= uplink->stop_mono_ms)) {
		uplink->closing = true;
		uplink->stop_mono_ms = earlier(now + CLOSE_MS, uplink->end.cloud_mono_ms);
		mqtt_close_all(uplink->mqtt);
		store_close(uplink->store, 0); /* it begins to save what is left */
	} else if (uplink->closing && (mqtt_active(uplink->mqtt) == 0 || now >= uplink->stop_mono_ms)) {
		finish(uplink);
	}
}

static int
on_stop(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct uplink *uplink = userdata;

	(void)fd, (void)revents;
	if (fifo_pop(uplink->stop, &uplink->end, 1) == 0)
		return 0;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	/* The field has stopped before us: what it left is all that there will be. */
	while (take_burst(uplink) > 0)
		;
	intake_flush(uplink->intake);
	send_news(uplink);
	on_outcomes(NULL, -1, 0, uplink);
	uplink->stopping = true;
	uplink->stop_mono_ms = uplink->end.cloud_mono_ms - CLOSE_MS;
	return 0;
}

/* ---- other settings ---- */

static void
answer_order(struct uplink *uplink, enum order order, int result)
{
	struct answer answer = { .order = order, .result = result };

	fifo_push(uplink->answers, &answer, 1);
}

static void
take_all_outcomes(struct uplink *uplink)
{
	struct outcome outcome;

	while (fifo_pop(uplink->outcomes, &outcome, 1) == 1)
		downlink_outcome(uplink->downlink, &outcome);
}

static void
hold(struct uplink *uplink)
{
	const struct difference *difference = uplink->change->difference;

	while (take_burst(uplink) > 0)
		;
	take_all_outcomes(uplink);
	intake_part(uplink->intake, difference);
	send_news(uplink);
	store_hold(uplink->store, difference);
	uplink->holding = true;
}

/* By the gateway API only the gateway has any. */
static void
give_credentials(struct gateway_api *gateway, struct route *route, const struct credentials *credentials)
{
	if (gateway)
		gateway_api_give(gateway, route->session, credentials);
	else
		device_api_give(route->session, credentials, route);
}

static void
on_provisioned(void *ctx, size_t device)
{
	struct uplink *uplink = ctx;

	give_credentials(uplink->gateway, &uplink->routes[device], provisioner_credentials(uplink->provisioner, device));
}

/* What all sessions stand on. Returns 0, or negative errno with *ret_mqtt NULL. */
static int
make_base(struct uplink *uplink, const struct settings *settings, const struct provisioner *provisioner, struct mqtt **ret_mqtt,
    struct gateway_api **ret_gateway)
{
	bool shared = settings->server.api == API_GATEWAY;
	int error;

	*ret_gateway = NULL;
	*ret_mqtt = mqtt_new(&settings->server, uplink->loop, uplink->resolver, shared ? &gateway_api_events : &events);
	if (*ret_mqtt && shared)
		*ret_gateway = gateway_api_new(settings,
		    provisioner_credentials(provisioner, settings->gateway->index), *ret_mqtt, uplink->loop, &events,
		    (struct gateway_limits){ .take = gateway_take, .ctx = uplink });
	if (*ret_mqtt && (*ret_gateway || !shared))
		return 0;
	error = errno;
	mqtt_free(*ret_mqtt);
	*ret_mqtt = NULL;
	return -error;
}

static int
open_session(struct route *route, struct mqtt *mqtt, struct gateway_api *gateway, const struct provisioner *provisioner,
    const struct device *device)
{
	if (gateway)
		route->session = gateway_api_add(gateway, device, route);
	else
		route->session =
		    device_api_new(mqtt, device->name, provisioner_credentials(provisioner, device->index), route);
	return route->session ? 0 : -errno;
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
			error = open_session(
			    &change->routes[i], mqtt, change->gateway, change->provisioner, &settings->devices[i]);
	return error;
}

static void
close_sessions(struct route *routes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (routes[i].session)
			routes[i].session->ops->free(routes[i].session);
		routes[i].session = NULL;
	}
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
	close_sessions(uplink->routes, uplink->settings->device_count);
}

static void
free_change(struct change *change)
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
		give_credentials(change->gateway, &change->routes[i], provisioner_credentials(uplink->provisioner, i));
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

	change->provisioner = provisioner_new(settings, uplink->keeper, uplink->loop, on_provisioned, uplink);
	if (!change->provisioner)
		return -errno;
	change->claims = claims_new(settings, uplink->keeper, claim_port(uplink));
	if (!change->claims)
		error = -ENOMEM;
	/* The session that all share is made anew: what it is subscribed to and who is connected through it is of one piece. */
	if (error == 0 && (difference_sessions(change->difference) || settings->server.api == API_GATEWAY))
		error = make_base(uplink, settings, change->provisioner, &change->mqtt, &change->gateway);
	if (error == 0)
		error = open_sessions(uplink, change);
	if (error == 0)
		error = store_rebind(uplink->store, change->difference);
	if (error < 0) {
		close_sessions(change->routes, settings->device_count);
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
	take_all_outcomes(uplink);
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
	send_news(uplink);
	return 0;
}

static int
on_orders(sd_event_source *source, int fd, uint32_t revents, void *userdata)
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
		answer_order(uplink, order, 0);
		break;
	case ORDER_SWITCH:
		answer_order(uplink, order, switch_settings(uplink));
		break;
	}
	return 0;
}

/* After whatever happened in a turn of the loop. */
static void
finish_turn(struct uplink *uplink)
{
	serve_store(uplink);
	serve_presence(uplink);
	if (uplink->holding && store_is_held(uplink->store)) {
		uplink->holding = false;
		answer_order(uplink, ORDER_HOLD, 0);
	}
	if (uplink->stopping)
		go_on_stopping(uplink);
	arm_timer(uplink);
}

/* ---- the thread and its owner ---- */

/* Not sd_event_loop() with a source of type post: that makes a turn of its own, which looks at all descriptors again. */
static int
run_loop(struct uplink *uplink)
{
	int error;

	while ((error = sd_event_run(uplink->loop, UINT64_MAX)) >= 0 &&
	       sd_event_get_state(uplink->loop) != SD_EVENT_FINISHED)
		finish_turn(uplink);
	return error;
}

static void *
uplink_run(void *arg)
{
	struct uplink *uplink = arg;
	int error;

	intake_tick(uplink->intake, clock_mono_ms());
	arm_timer(uplink);
	error = run_loop(uplink);
	if (error < 0) {
		/* A gateway that reads and never sends is worse than one that is started again. */
		log_error("uplink: the event loop failed: %s", strerror(-error));
		atomic_store(&uplink->failed, true);
		kill(getpid(), SIGTERM);
	}
	return NULL;
}

static int
add_routes(struct uplink *uplink)
{
	const struct settings *settings = uplink->settings;

	for (size_t i = 0; i < settings->device_count; i++) {
		int error = open_session(
		    &uplink->routes[i], uplink->mqtt, uplink->gateway, uplink->provisioner, &settings->devices[i]);

		if (error < 0)
			return error;
	}
	return 0;
}

static struct route *
make_routes(struct uplink *uplink, const struct settings *settings)
{
	struct route *routes = calloc(settings->device_count + 1, sizeof(routes[0]));

	for (size_t i = 0; routes && i < settings->device_count; i++)
		routes[i] = (struct route){ .uplink = uplink, .device = i };
	return routes;
}

static struct downlink_port
downlink_port(struct uplink *uplink)
{
	return (struct downlink_port){
		.publish = downlink_publish,
		.subscribe = downlink_subscribe,
		.chore = push_chore,
		.ctx = uplink,
	};
}

static int
add_sources(struct uplink *uplink)
{
	int error;

	if ((error = sd_event_add_io(uplink->loop, &uplink->samples_io, fifo_fd(uplink->samples), EPOLLIN,
		 on_samples, uplink)) < 0 ||
	    (error = sd_event_add_io(uplink->loop, &uplink->outcomes_io, fifo_fd(uplink->outcomes), EPOLLIN,
		 on_outcomes, uplink)) < 0 ||
	    (error = sd_event_add_io(uplink->loop, &uplink->questions_io, fifo_fd(uplink->questions), EPOLLIN,
		 on_questions, uplink)) < 0 ||
	    (error = sd_event_add_io(uplink->loop, &uplink->claim_io, fifo_fd(uplink->claim_orders), EPOLLIN,
		 on_claim_orders, uplink)) < 0 ||
	    (error = sd_event_add_io(
		 uplink->loop, &uplink->done_io, fifo_fd(uplink->done), EPOLLIN, on_done, uplink)) < 0 ||
	    (error = sd_event_add_io(
		 uplink->loop, &uplink->stop_io, fifo_fd(uplink->stop), EPOLLIN, on_stop, uplink)) < 0 ||
	    (error = sd_event_add_io(
		 uplink->loop, &uplink->orders_io, fifo_fd(uplink->orders), EPOLLIN, on_orders, uplink)) < 0 ||
	    (error = sd_event_add_time(uplink->loop, &uplink->timer, CLOCK_MONOTONIC, 0,
		 TIMER_ACCURACY_MS * 1000, on_timer, uplink)) < 0 ||
	    (error = sd_event_source_set_enabled(uplink->timer, SD_EVENT_OFF)) < 0)
		return error;
	if (store_fd(uplink->store) >= 0 && (error = sd_event_add_io(uplink->loop, &uplink->store_io,
						 store_fd(uplink->store), EPOLLIN, on_store, uplink)) < 0)
		return error;
	uplink->armed_mono_ms = CLOCK_NEVER;
	return 0;
}

static int
attach_disk(struct uplink *uplink)
{
	const struct settings *settings = uplink->settings;
	int error = settings->store.dir ? store_attach(uplink->store, settings) : 0;

	if (error == -EBUSY)
		log_error("store: %s: another fieldgate uses this folder", settings->store.dir);
	return error;
}

static int
make_parts(struct uplink *uplink)
{
	const struct settings *settings = uplink->settings;
	int error;

	uplink->store = store_new(settings->device_count, (size_t)settings->store.memory_mb << 20);
	uplink->presence = presence_new(settings);
	uplink->sieve = sieve_new(settings);
	uplink->intake = intake_new(settings, uplink->store, on_attribute, uplink);
	uplink->sender = sender_new(settings, uplink->store, sender_port(uplink));
	uplink->samples = fifo_new(sizeof(struct sample), SAMPLES_WAITING);
	uplink->outcomes = fifo_new(sizeof(struct outcome), DOWNLINK_PENDING_MAX);
	uplink->questions = fifo_new(sizeof(struct health_question), QUESTIONS_MAX);
	uplink->claim_orders = fifo_new(sizeof(struct claim_order), CLAIM_ORDERS_MAX);
	uplink->chores = fifo_new(sizeof(struct chore), CHORES_MAX);
	uplink->done = fifo_new(sizeof(struct chore_done), CHORES_MAX);
	uplink->stop = fifo_new(sizeof(struct uplink_end), 1);
	uplink->orders = fifo_new(sizeof(enum order), 1);
	uplink->answers = fifo_new(sizeof(struct answer), 2);
	uplink->routes = make_routes(uplink, settings);
	if (!uplink->store || !uplink->presence || !uplink->sieve || !uplink->intake || !uplink->sender || !uplink->samples || !uplink->outcomes ||
	    !uplink->questions || !uplink->claim_orders || !uplink->chores || !uplink->done || !uplink->stop ||
	    !uplink->orders || !uplink->answers || !uplink->routes)
		return errno ? -errno : -ENOMEM;
	if ((error = attach_disk(uplink)) < 0 || (error = sd_event_new(&uplink->loop)) < 0 ||
	    (error = add_sources(uplink)) < 0)
		return error;
	uplink->keeper = keeper_new(uplink->loop, settings->store.dir);
	if (uplink->keeper)
		uplink->provisioner =
		    provisioner_new(settings, uplink->keeper, uplink->loop, on_provisioned, uplink);
	if (!uplink->provisioner)
		return -errno;
	uplink->claims = claims_new(settings, uplink->keeper, claim_port(uplink));
	if (!uplink->claims)
		return -ENOMEM;
	error = make_base(uplink, settings, uplink->provisioner, &uplink->mqtt, &uplink->gateway);
	if (error == 0)
		error = add_routes(uplink);
	return error < 0 ? error : provisioner_start(uplink->provisioner, uplink->mqtt);
}

struct uplink *
uplink_new(const struct settings *settings, struct resolver *resolver)
{
	struct uplink *uplink = calloc(1, sizeof(*uplink));
	int error;

	if (!uplink)
		return NULL;
	uplink->settings = settings;
	uplink->resolver = resolver;
	memcpy(uplink->overflows, overflow_texts, sizeof(uplink->overflows));
	error = make_parts(uplink);
	if (error < 0) {
		uplink_free(uplink);
		errno = -error;
		return NULL;
	}
	return uplink;
}

static void
drain_queues(struct uplink *uplink)
{
	struct outcome outcome;
	struct sample sample;
	struct chore_done done;

	while (uplink->samples && fifo_pop(uplink->samples, &sample, 1) == 1)
		value_done(&sample.value);
	while (uplink->outcomes && fifo_pop(uplink->outcomes, &outcome, 1) == 1)
		value_done(&outcome.value);
	while (uplink->done && fifo_pop(uplink->done, &done, 1) == 1)
		free(done.text);
}

void
uplink_free(struct uplink *uplink)
{
	if (!uplink)
		return;
	if (uplink->running)
		uplink_stop(uplink, (struct uplink_end){ .cloud_mono_ms = 0 });
	provisioner_free(uplink->provisioner);
	if (uplink->routes)
		close_sessions(uplink->routes, uplink->settings->device_count);
	gateway_api_free(uplink->gateway);
	mqtt_free(uplink->mqtt);
	claims_free(uplink->claims);
	keeper_free(uplink->keeper);
	free_change(uplink->change); /* prepared, and neither taken nor given up */
	downlink_free(uplink->downlink);
	sd_event_source_disable_unref(uplink->samples_io);
	sd_event_source_disable_unref(uplink->outcomes_io);
	sd_event_source_disable_unref(uplink->questions_io);
	sd_event_source_disable_unref(uplink->claim_io);
	sd_event_source_disable_unref(uplink->done_io);
	sd_event_source_disable_unref(uplink->stop_io);
	sd_event_source_disable_unref(uplink->orders_io);
	sd_event_source_disable_unref(uplink->store_io);
	sd_event_source_disable_unref(uplink->timer);
	sd_event_unref(uplink->loop);
	drain_queues(uplink);
	fifo_free(uplink->samples);
	fifo_free(uplink->outcomes);
	fifo_free(uplink->questions);
	fifo_free(uplink->claim_orders);
	fifo_free(uplink->chores);
	fifo_free(uplink->done);
	fifo_free(uplink->stop);
	fifo_free(uplink->orders);
	fifo_free(uplink->answers);
	sender_free(uplink->sender);
	sieve_free(uplink->sieve);
	intake_free(uplink->intake);
	presence_free(uplink->presence);
	store_free(uplink->store);
	free(uplink->routes);
	free(uplink);
}

static bool
wants_sample(void *ctx, struct sample *sample)
{
	struct uplink *uplink = ctx;

	return sieve_wants(uplink->sieve, sample);
}

static size_t
push_samples(void *ctx, const struct sample *samples, size_t count)
{
	struct uplink *uplink = ctx;
	size_t taken = fifo_push(uplink->samples, samples, count);

	for (size_t i = taken; i < count; i++)
		sieve_lost(uplink->sieve, &samples[i]);
	return taken;
}

static int
push_outcome(void *ctx, const struct outcome *outcome)
{
	struct uplink *uplink = ctx;

	return fifo_push(uplink->outcomes, outcome, 1) == 1 ? 0 : -EBUSY;
}

struct sample_sink
uplink_samples(struct uplink *uplink)
{
	return (struct sample_sink){ .wants = wants_sample, .push = push_samples, .ctx = uplink };
}

struct outcome_sink
uplink_outcomes(struct uplink *uplink)
{
	return (struct outcome_sink){ .push = push_outcome, .ctx = uplink };
}

struct fifo *
uplink_chores(const struct uplink *uplink)
{
	return uplink->chores;
}

struct fifo *
uplink_chores_done(const struct uplink *uplink)
{
	return uplink->done;
}

int
uplink_claim(struct uplink *uplink, const char *device)
{
	struct claim_order order = { .device = "" };

	if (strlen(device) >= sizeof(order.device))
		return -EINVAL;
	strcpy(order.device, device);
	return fifo_push(uplink->claim_orders, &order, 1) == 1 ? 0 : -EBUSY;
}

int
uplink_start(struct uplink *uplink, struct command_sink commands)
{
	sigset_t all, before;
	int error;

	uplink->downlink = downlink_new(uplink->settings, downlink_port(uplink), commands);
	if (!uplink->downlink)
		return -ENOMEM;
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&uplink->thread, NULL, uplink_run, uplink);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	uplink->running = error == 0;
	return -error;
}

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
	change->intake = intake_new(settings, uplink->store, on_attribute, uplink);
	change->sender = sender_new(settings, uplink->store, sender_port(uplink));
	change->downlink = downlink_new(settings, downlink_port(uplink), commands);
	change->routes = make_routes(uplink, settings);
	if (!change->presence || !change->sieve || !change->intake || !change->sender || !change->downlink || !change->routes) {
		free_change(change);
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
	free_change(uplink->change);
	uplink->change = NULL;
	return 0;
}

void
uplink_give_up(struct uplink *uplink)
{
	if (!uplink->change)
		return;
	give_order(uplink, ORDER_RELEASE, 0, never);
	free_change(uplink->change);
	uplink->change = NULL;
}

bool
uplink_failed(const struct uplink *uplink)
{
	return atomic_load(&uplink->failed);
}

void
uplink_stop(struct uplink *uplink, struct uplink_end end)
{
	if (!uplink->running)
		return;
	fifo_push(uplink->stop, &end, 1);
	pthread_join(uplink->thread, NULL);
	uplink->running = false;
	answer_questions(uplink);
}

int
uplink_ask(struct uplink *uplink, const struct health_question *question)
{
	return fifo_push(uplink->questions, question, 1) == 1 ? 0 : -EBUSY;
}
