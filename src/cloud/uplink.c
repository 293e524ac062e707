#include "cloud/uplink_state.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread_name.h"

#define SAMPLES_WAITING	 16384
#define QUESTIONS_MAX	 4
#define CLAIM_ORDERS_MAX 16

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

/* ---- the thread ---- */

/* Not sd_event_loop() with a source of type post: that makes a turn of its own, which looks at all descriptors again. */
static int
run_loop(struct uplink *uplink)
{
	int error;

	while ((error = sd_event_run(uplink->loop, UINT64_MAX)) >= 0 &&
	       sd_event_get_state(uplink->loop) != SD_EVENT_FINISHED)
		uplink_finish_turn(uplink);
	return error;
}

static void *
uplink_run(void *arg)
{
	struct uplink *uplink = arg;
	int error;

	thread_name("cloud");
	intake_tick(uplink->intake, clock_mono_ms());
	uplink_arm_timer(uplink);
	error = run_loop(uplink);
	if (error < 0) {
		/* A gateway that reads and never sends is worse than one that is started again. */
		log_error("uplink: the event loop failed: %s", strerror(-error));
		atomic_store(&uplink->failed, true);
		kill(getpid(), SIGTERM);
	}
	return NULL;
}

/* ---- making it ---- */

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
	uplink->intake = intake_new(settings, uplink->store, uplink_on_attribute, uplink);
	uplink->sender = sender_new(settings, uplink->store, uplink_sender_port(uplink));
	uplink->samples = fifo_new(sizeof(struct sample), SAMPLES_WAITING);
	uplink->outcomes = fifo_new(sizeof(struct outcome), DOWNLINK_PENDING_MAX);
	uplink->questions = fifo_new(sizeof(struct health_question), QUESTIONS_MAX);
	uplink->claim_orders = fifo_new(sizeof(struct claim_order), CLAIM_ORDERS_MAX);
	uplink->chores = fifo_new(sizeof(struct chore), CHORES_MAX);
	uplink->done = fifo_new(sizeof(struct chore_done), CHORES_MAX);
	uplink->stop = fifo_new(sizeof(struct uplink_end), 1);
	uplink->orders = fifo_new(sizeof(enum order), 1);
	uplink->answers = fifo_new(sizeof(struct answer), 2);
	uplink->routes = uplink_make_routes(uplink, settings);
	if (!uplink->store || !uplink->presence || !uplink->sieve || !uplink->intake || !uplink->sender ||
	    !uplink->samples || !uplink->outcomes ||
	    !uplink->questions || !uplink->claim_orders || !uplink->chores || !uplink->done || !uplink->stop ||
	    !uplink->orders || !uplink->answers || !uplink->routes)
		return errno ? -errno : -ENOMEM;
	if ((error = attach_disk(uplink)) < 0 || (error = sd_event_new(&uplink->loop)) < 0 ||
	    (error = uplink_add_sources(uplink)) < 0)
		return error;
	uplink->keeper = keeper_new(uplink->loop, settings->store.dir);
	if (uplink->keeper)
		uplink->provisioner =
		    provisioner_new(settings, uplink->keeper, uplink->loop, uplink_on_provisioned, uplink);
	if (!uplink->provisioner)
		return -errno;
	uplink->claims = claims_new(settings, uplink->keeper, uplink_claim_port(uplink));
	if (!uplink->claims)
		return -ENOMEM;
	error = uplink_make_base(uplink, settings, uplink->provisioner, &uplink->mqtt, &uplink->gateway);
	if (error == 0)
		error = uplink_add_routes(uplink);
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
		uplink_close_sessions(uplink->routes, uplink->settings->device_count);
	gateway_api_free(uplink->gateway);
	mqtt_free(uplink->mqtt);
	claims_free(uplink->claims);
	keeper_free(uplink->keeper);
	uplink_free_change(uplink->change); /* prepared, and neither taken nor given up */
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

/* ---- what others use of it ---- */

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

/* ---- its owner ---- */

int
uplink_start(struct uplink *uplink, struct command_sink commands)
{
	sigset_t all, before;
	int error;

	uplink->downlink = downlink_new(uplink->settings, uplink_downlink_port(uplink), commands);
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
	uplink_answer_questions(uplink);
}

int
uplink_ask(struct uplink *uplink, const struct health_question *question)
{
	return fifo_push(uplink->questions, question, 1) == 1 ? 0 : -EBUSY;
}
