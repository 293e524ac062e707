#include "cloud/uplink_state.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"

#define CLOSE_MS	  400 /* for DISCONNECT to leave, at the end */
#define TIMER_ACCURACY_MS 250

/* ---- what the field and the disk say ---- */

void
uplink_on_attribute(void *ctx, const struct sample *sample)
{
	struct uplink *uplink = ctx;

	sender_attribute(uplink->sender, sample->point, &sample->value);
}

void
uplink_send_news(struct uplink *uplink)
{
	size_t device;

	while (intake_news(uplink->intake, &device))
		sender_pump(uplink->sender, device);
}

size_t
uplink_take_burst(struct uplink *uplink)
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
	uplink_send_news(uplink);
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
	uplink_take_burst(userdata);
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

void
uplink_take_outcomes(struct uplink *uplink)
{
	struct outcome outcome;

	while (fifo_pop(uplink->outcomes, &outcome, 1) == 1)
		downlink_outcome(uplink->downlink, &outcome);
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

void
uplink_answer_questions(struct uplink *uplink)
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
	uplink_answer_questions(userdata);
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
on_done(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct uplink *uplink = userdata;
	struct chore_done done;

	(void)source, (void)fd, (void)revents;
	while (fifo_pop(uplink->done, &done, 1) == 1)
		downlink_chore_done(uplink->downlink, &done);
	return 0;
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
	uplink_send_news(uplink);
	return 0;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void
uplink_arm_timer(struct uplink *uplink)
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
	while (uplink_take_burst(uplink) > 0)
		;
	intake_flush(uplink->intake);
	uplink_send_news(uplink);
	on_outcomes(NULL, -1, 0, uplink);
	uplink->stopping = true;
	uplink->stop_mono_ms = uplink->end.cloud_mono_ms - CLOSE_MS;
	return 0;
}

/* ---- a turn ---- */

/* After whatever happened in a turn of the loop. */
void
uplink_finish_turn(struct uplink *uplink)
{
	serve_store(uplink);
	uplink_serve_presence(uplink);
	if (uplink->holding && store_is_held(uplink->store)) {
		uplink->holding = false;
		uplink_answer_order(uplink, ORDER_HOLD, 0);
	}
	if (uplink->stopping)
		go_on_stopping(uplink);
	uplink_arm_timer(uplink);
}

int
uplink_add_sources(struct uplink *uplink)
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
		 uplink->loop, &uplink->orders_io, fifo_fd(uplink->orders), EPOLLIN, uplink_on_orders, uplink)) < 0 ||
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
