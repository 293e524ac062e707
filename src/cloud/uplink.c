#include "cloud/uplink.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fifo.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/wall.h"
#include "cloud/attributes.h"
#include "cloud/batch.h"
#include "cloud/downlink.h"
#include "cloud/mqtt.h"
#include "cloud/reason.h"
#include "cloud/tb_json.h"
#include "cloud/tb_topic.h"
#include "flow/filter.h"
#include "flow/stamps.h"
#include "flow/store.h"
#include "flow/window.h"

#define SAMPLES_WAITING	  16384
#define BURST		  256	/* samples taken in one turn of the loop */
#define ACK_TIMEOUT_MS	  30000 /* a PUBACK that takes longer will not come */
#define QUOTA_PAUSE_MS	  5000	/* after "quota exceeded" */
#define ATTRIBUTES_MIN	  4200	/* bytes: the longest single attribute fits */
#define CLOSE_MS	  1000	/* for DISCONNECT to leave, at the end */
#define OVERFLOW_OVER_MS  60000 /* nothing lost for so long: it is over */
#define TIMER_ACCURACY_MS 250
#define MADE_KEY_BYTES	  1024 /* KEY_quality and the like: 255 characters are 765 bytes at most */
#define SAVE_MS		  4000 /* for the disk, at the end */
#define REPLAY_ROWS	  16   /* a device that waits with more than this is catching up ... */
#define REPLAY_WINDOW	  64   /* ... and takes turns when so many messages await their PUBACK altogether */

/* A telemetry message that waits for its PUBACK. */
struct flight {
	int id;
	uint64_t first_seq;
	uint64_t last_seq;
	int64_t sent_mono_ms;
};

struct uplink_device {
	struct uplink *uplink;
	const struct device *device;
	struct mqtt_session *session;
	struct attributes *attributes;
	int attributes_id; /* the message that waits for its PUBACK, or 0 */
	int64_t attributes_sent_mono_ms;
	struct flight *flights; /* oldest first */
	int flight_count;
	struct heap_node due;  /* mono ms: a PUBACK is overdue, or a pause ends */
	int64_t pause_mono_ms; /* "quota exceeded": nothing is sent before; 0 = no pause */
	bool again;	       /* rows were refused for now: due again once nothing is in flight */
	bool payload_refusal_said;
	bool attributes_refusal_said;
	size_t payload_max; /* beyond it the server took nothing */
	bool was_up;
	struct stamps stamps;
	bool touched;
	struct uplink_device *next_touched;
	bool in_line; /* it is catching up, and waits for its turn */
	struct uplink_device *next_in_line;
};

/* A queue that loses what it cannot hold, and what the log has said about it. */
struct overflow {
	const char *what;
	uint64_t lost;	       /* since the start */
	uint64_t lost_before;  /* when this time of losing began */
	int64_t since_mono_ms; /* 0 = nothing is being lost */
	int64_t last_mono_ms;
};

struct uplink {
	const struct settings *settings;
	struct filter *filter;
	struct windows *windows;
	struct store *store;
	enum quality *qualities; /* of each point, as its samples told */
	int64_t *told_ms;	 /* the time of each point's last value: a row has room for one */
	struct wall wall;
	bool waits_for_wall; /* and the log says so */
	int64_t wall_due_mono_ms;
	struct fifo *samples;
	struct fifo *outcomes;
	struct fifo *stop; /* of int: the grace in ms */
	struct uplink_device *devices;
	struct uplink_device *touched; /* by this burst of samples */
	struct uplink_device *line, *line_end;
	int flight_count; /* over all devices */
	struct mqtt *mqtt;
	struct downlink *downlink;
	struct heap due;

	sd_event *loop;
	sd_event_source *samples_io, *outcomes_io, *stop_io, *store_io, *timer, *post;
	int64_t armed_mono_ms;
	pthread_t thread;
	bool running;
	atomic_bool failed;

	bool stopping;
	bool closing;
	int64_t stop_mono_ms; /* the grace, then the time for DISCONNECT, is over */

	struct overflow store_overflow, age_overflow, lost_overflow, samples_overflow;
	uint64_t unheld_rows;  /* no memory, or larger than all of the store */
	uint64_t refused_rows; /* by the server, for good */

	/* the row that is being put together */
	struct uplink_device *row_device;
	int64_t row_ms;
	enum store_epoch row_epoch;
	unsigned row_values;
	size_t row_length;
	char row[TB_MAX_PAYLOAD];

	char payload[TB_MAX_PAYLOAD];
	struct sample burst[BURST];
};

/* ---- what is lost for want of room ---- */

static void
overflow_note(struct overflow *overflow, uint64_t lost)
{
	if (lost == overflow->lost)
		return;
	overflow->last_mono_ms = clock_mono_ms();
	if (overflow->since_mono_ms == 0) {
		overflow->since_mono_ms = overflow->last_mono_ms;
		overflow->lost_before = overflow->lost;
		log_warning("%s", overflow->what);
	}
	overflow->lost = lost;
}

static int64_t
overflow_due(const struct overflow *overflow)
{
	return overflow->since_mono_ms == 0 ? CLOCK_NEVER : overflow->last_mono_ms + OVERFLOW_OVER_MS;
}

static void
overflow_end(struct overflow *overflow, const char *thing)
{
	if (overflow->since_mono_ms == 0)
		return;
	log_warning("%s: %" PRIu64 " were lost in %" PRId64 " s", thing,
	    overflow->lost - overflow->lost_before,
	    (overflow->last_mono_ms - overflow->since_mono_ms) / 1000 + 1);
	overflow->since_mono_ms = 0;
}

static void
overflow_tick(struct uplink *uplink, int64_t now)
{
	if (now >= overflow_due(&uplink->store_overflow))
		overflow_end(&uplink->store_overflow, "store: has room again: rows");
	if (now >= overflow_due(&uplink->lost_overflow))
		overflow_end(&uplink->lost_overflow, "store: rows on disk");
	if (now >= overflow_due(&uplink->age_overflow))
		overflow_end(&uplink->age_overflow, "store: nothing is too old any more: rows");
	if (now >= overflow_due(&uplink->samples_overflow))
		overflow_end(&uplink->samples_overflow, "uplink: keeps up again: samples");
}

/* ---- sending ---- */

static int
ack_timeout_ms(const struct uplink *uplink)
{
	return uplink->settings->server.ack_timeout_ms > 0 ? uplink->settings->server.ack_timeout_ms
							   : ACK_TIMEOUT_MS;
}

/* The node is moved only when it fires: a deadline that is met costs nothing. */
static void
expect_ack(struct uplink_device *device)
{
	if (device->due.position == 0)
		heap_set(
		    &device->uplink->due, &device->due, clock_mono_ms() + ack_timeout_ms(device->uplink));
}

static void
refuse_rows(struct uplink_device *device, uint64_t first_seq, uint64_t last_seq, const char *why)
{
	device->uplink->refused_rows += last_seq - first_seq + 1;
	store_confirm(device->uplink->store, device->device->index, first_seq, last_seq);
	if (!device->payload_refusal_said)
		log_error(
		    "device %s: the server refuses telemetry (%s): it is dropped, which is said only once",
		    device->device->name, why);
	device->payload_refusal_said = true;
}

static void
refuse_attributes(struct uplink_device *device, const char *why)
{
	attributes_confirm(device->attributes);
	if (!device->attributes_refusal_said)
		log_error("device %s: the server refuses attributes (%s): they are dropped, which is said "
			  "only once",
		    device->device->name, why);
	device->attributes_refusal_said = true;
}

/* A message of this length was too large for the server (MQTT 5: its maximum packet size): smaller ones from
 * now on. */
static void
shrink_payloads(struct uplink_device *device, size_t length)
{
	device->payload_max = length / 2;
	log_debug("device %s: messages of at most %zu bytes", device->device->name, device->payload_max);
}

static int
publish_attributes(struct uplink_device *device, size_t *ret_length)
{
	struct uplink *uplink = device->uplink;
	size_t limit = device->payload_max > ATTRIBUTES_MIN ? device->payload_max : ATTRIBUTES_MIN;

	*ret_length = attributes_build(device->attributes, uplink->payload, limit);
	return mqtt_publish(device->session, TB_TOPIC_ATTRIBUTES, uplink->payload, *ret_length);
}

static void
send_attributes(struct uplink_device *device)
{
	size_t length;
	int id;

	if (device->attributes_id != 0 || !attributes_due(device->attributes))
		return;
	while ((id = publish_attributes(device, &length)) == -EMSGSIZE && length > ATTRIBUTES_MIN) {
		attributes_unsend(device->attributes);
		shrink_payloads(device, length);
	}
	if (id == -EMSGSIZE) {
		refuse_attributes(device, "too large");
		return;
	}
	if (id < 0) {
		attributes_unsend(device->attributes);
		return;
	}
	device->attributes_id = id;
	device->attributes_sent_mono_ms = clock_mono_ms();
	expect_ack(device);
}

static int
send_batch(struct uplink_device *device)
{
	struct uplink *uplink = device->uplink;
	size_t index = device->device->index;
	size_t limit = (size_t)uplink->settings->server.batch_bytes;
	struct batch batch;
	int result = batch_build(uplink->store, index, uplink->payload, sizeof(uplink->payload),
	    limit < device->payload_max ? limit : device->payload_max, &batch);

	if (result == 0)
		result = mqtt_publish(device->session, TB_TOPIC_TELEMETRY, uplink->payload, batch.length);
	if (result == -EMSGSIZE && batch.rows > 1) {
		shrink_payloads(device, batch.length);
		return 0;
	}
	if (result == -EMSGSIZE) {
		refuse_rows(device, batch.first_seq, batch.last_seq, "too large");
		return 0;
	}
	if (result < 0)
		return result;
	store_sent(uplink->store, index, batch.first_seq, batch.last_seq);
	uplink->flight_count++;
	device->flights[device->flight_count++] = (struct flight){
		.id = result,
		.first_seq = batch.first_seq,
		.last_seq = batch.last_seq,
		.sent_mono_ms = clock_mono_ms(),
	};
	expect_ack(device);
	return 0;
}

/* After "quota exceeded": wait for what is in flight, then for the pause, then send again in order. */
static bool
is_pausing(struct uplink_device *device)
{
	int64_t now = clock_mono_ms();

	if (device->pause_mono_ms == 0)
		return false;
	if (device->flight_count > 0)
		return true;
	if (now < device->pause_mono_ms) {
		heap_set(&device->uplink->due, &device->due, device->pause_mono_ms);
		return true;
	}
	device->pause_mono_ms = 0;
	if (device->again)
		store_rewind(device->uplink->store, device->device->index);
	device->again = false;
	return false;
}

/* After an outage all devices have much to say at once. One message each is always under way, so that a
 * session whose PUBACKs do not come holds up nobody; for more than that, those that catch up take turns, and
 * the server's own pace of acknowledging decides how many turns there are. What is live in the other devices
 * does not stand in this line. */
static bool
must_queue(struct uplink_device *device)
{
	struct uplink *uplink = device->uplink;

	if (device->flight_count == 0 || store_depth(uplink->store, device->device->index) <= REPLAY_ROWS)
		return false;
	if (!uplink->line && uplink->flight_count < REPLAY_WINDOW)
		return false;
	if (device->in_line)
		return true;
	device->in_line = true;
	device->next_in_line = NULL;
	*(uplink->line ? &uplink->line_end->next_in_line : &uplink->line) = device;
	uplink->line_end = device;
	return true;
}

static void
pump(struct uplink_device *device)
{
	if (!mqtt_session_is_up(device->session) || is_pausing(device))
		return;
	send_attributes(device);
	while (device->flight_count < device->uplink->settings->server.in_flight &&
	       mqtt_session_is_up(device->session) && !must_queue(device))
		if (send_batch(device) < 0)
			return;
}

static void
serve_line(struct uplink *uplink)
{
	while (uplink->line && uplink->flight_count < REPLAY_WINDOW) {
		struct uplink_device *device = uplink->line;

		uplink->line = device->next_in_line;
		device->in_line = false;
		if (device->flight_count < uplink->settings->server.in_flight &&
		    mqtt_session_is_up(device->session) && !is_pausing(device) && send_batch(device) == 0)
			pump(device); /* to the end of the line, if there is more */
	}
}

/* ---- what the sessions say ---- */

/* Whoever looks after an outage sees how things are, not how they were before it. */
static void
forget_reports(struct uplink_device *device)
{
	for (size_t i = 0; i < device->device->point_count; i++)
		filter_forget(device->uplink->filter, &device->device->points[i]);
}

static void
on_up(void *owner)
{
	struct uplink_device *device = owner;

	if (device->was_up)
		forget_reports(device);
	device->was_up = true;
	downlink_up(device->uplink->downlink, device->device->index);
	pump(device);
}

static void
on_down(void *owner)
{
	struct uplink_device *device = owner;

	device->uplink->flight_count -= device->flight_count;
	device->flight_count = 0;
	device->attributes_id = 0;
	device->pause_mono_ms = 0;
	device->again = false;
	heap_remove(&device->uplink->due, &device->due);
	store_rewind(device->uplink->store, device->device->index);
	attributes_rewind(device->attributes);
	downlink_down(device->uplink->downlink, device->device->index);
}

/* Take the flight with this id out of the list. Returns false if there is none. */
static bool
land(struct uplink_device *device, int id, struct flight *ret)
{
	for (int i = 0; i < device->flight_count; i++)
		if (device->flights[i].id == id) {
			*ret = device->flights[i];
			device->flight_count--;
			device->uplink->flight_count--;
			memmove(&device->flights[i], &device->flights[i + 1],
			    (size_t)(device->flight_count - i) * sizeof(device->flights[0]));
			return true;
		}
	return false;
}

static void
on_acked(void *owner, int id)
{
	struct uplink_device *device = owner;
	struct flight flight;

	if (land(device, id, &flight)) {
		store_confirm(
		    device->uplink->store, device->device->index, flight.first_seq, flight.last_seq);
	} else if (id == device->attributes_id) {
		device->attributes_id = 0;
		attributes_confirm(device->attributes);
	} else {
		return;
	}
	pump(device);
}

/* MQTT 5 only. What the server will never take is dropped: sent again it would come back for ever. */
static void
on_refused(void *owner, int id, int reason)
{
	struct uplink_device *device = owner;
	bool for_now = reason == REASON_QUOTA_EXCEEDED;
	struct flight flight;

	if (for_now)
		device->pause_mono_ms = clock_mono_ms() + QUOTA_PAUSE_MS;
	if (land(device, id, &flight)) {
		device->again = device->again || for_now;
		if (!for_now)
			refuse_rows(device, flight.first_seq, flight.last_seq, reason_text(reason));
	} else if (id == device->attributes_id) {
		device->attributes_id = 0;
		if (for_now)
			attributes_unsend(device->attributes);
		else
			refuse_attributes(device, reason_text(reason));
	}
	pump(device);
}

static void
on_subscribed(void *owner, int id, bool granted)
{
	struct uplink_device *device = owner;

	downlink_subscribed(device->uplink->downlink, device->device->index, id, granted);
}

static void
on_message(void *owner, const char *topic, const void *payload, size_t length)
{
	struct uplink_device *device = owner;

	downlink_message(device->uplink->downlink, device->device->index, topic, payload, length);
}

static const struct mqtt_events events = {
	.up = on_up,
	.down = on_down,
	.acked = on_acked,
	.refused = on_refused,
	.subscribed = on_subscribed,
	.message = on_message,
};

static int
port_publish(void *ctx, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	struct uplink *uplink = ctx;
	char text[TB_TOPIC_MAX];

	return mqtt_publish(uplink->devices[device].session, tb_topic_print(topic, id, text), payload, length);
}

static int
port_subscribe(void *ctx, size_t device, bool attributes)
{
	struct uplink *uplink = ctx;
	const char *const filters[] = { tb_topic_filter(TB_RPC_REQUEST), tb_topic_filter(TB_ATTRIBUTES),
		tb_topic_filter(TB_ATTRIBUTE_RESPONSE) };

	return mqtt_subscribe(uplink->devices[device].session, filters, attributes ? 3 : 1);
}

/* ---- samples ---- */

static void
touch(struct uplink_device *device)
{
	if (device->touched)
		return;
	device->touched = true;
	device->next_touched = device->uplink->touched;
	device->uplink->touched = device;
}

static void
finish_row(struct uplink *uplink)
{
	struct uplink_device *device = uplink->row_device;
	int error;

	uplink->row_device = NULL;
	if (!device || uplink->row_values == 0)
		return;
	error = store_append(uplink->store, device->device->index, uplink->row_ms, uplink->row_epoch,
	    uplink->row_values, uplink->row, uplink->row_length);
	if (error < 0)
		uplink->unheld_rows++;
	touch(device);
}

static void
start_row(struct uplink *uplink, struct uplink_device *device, int64_t ms, enum store_epoch epoch)
{
	finish_row(uplink);
	uplink->row_device = device;
	uplink->row_ms = ms;
	uplink->row_epoch = epoch;
	uplink->row_values = 0;
	uplink->row_length = 0;
}

/* A row that would not fit into a payload goes on in another with the same time: the server keeps values by
 * key. */
static size_t
row_limit(const struct uplink *uplink)
{
	size_t limit = (size_t)uplink->settings->server.batch_bytes;

	return limit > BATCH_ROW_OVERHEAD && limit < sizeof(uplink->row)
		   ? limit - BATCH_ROW_OVERHEAD
		   : sizeof(uplink->row) - BATCH_ROW_OVERHEAD;
}

static void
add_telemetry(struct uplink *uplink, struct uplink_device *device, int64_t mono_ms, int64_t unix_ms, const char *key,
    const struct value *value, int64_t *told_ms)
{
	size_t limit = row_limit(uplink);
	enum store_epoch epoch;
	int64_t ms;
	int length;

	epoch = wall_time(&uplink->wall, mono_ms, unix_ms, &ms) ? STORE_UNIX : STORE_BOOT;
	ms = stamps_take(&device->stamps, mono_ms, ms);
	/* A poll that was late, and the next one that was not. */
	if (told_ms && *told_ms == ms)
		ms = stamps_move(&device->stamps);
	if (told_ms)
		*told_ms = ms;
	if (uplink->row_device != device || uplink->row_ms != ms || uplink->row_epoch != epoch)
		start_row(uplink, device, ms, epoch);
	length = tb_json_member(key, value, uplink->row_values == 0, uplink->row + uplink->row_length,
	    limit > uplink->row_length ? limit - uplink->row_length : 0);
	if (length == -EMSGSIZE) {
		start_row(uplink, device, ms, epoch);
		/* Alone it may be larger than a usual batch. */
		length = tb_json_member(key, value, true, uplink->row, sizeof(uplink->row) - BATCH_ROW_OVERHEAD);
	}
	if (length < 0) {
		log_debug("device %s: %s cannot be printed", device->device->name, key);
		return;
	}
	uplink->row_length += (size_t)length;
	uplink->row_values++;
}

/* What the gateway makes of a point's samples goes up as KEY_suffix. */
static void
add_made(struct uplink *uplink, const struct point *point, const char *suffix, int64_t mono_ms, int64_t unix_ms,
    const struct value *value)
{
	char key[MADE_KEY_BYTES];

	snprintf(key, sizeof(key), "%s_%s", point->key, suffix);
	add_telemetry(uplink, &uplink->devices[point->device->index], mono_ms, unix_ms, key, value, NULL);
}

static void
on_window(void *ctx, const struct point *point, enum point_aggregate aggregate, int64_t mono_ms, int64_t unix_ms,
    const struct value *value)
{
	add_made(ctx, point, point_aggregate_name(aggregate), mono_ms, unix_ms, value);
}

/* After anything but a good sample the next good one is reported, whatever it is. */
static void
note_quality(struct uplink *uplink, const struct sample *sample)
{
	const struct point *point = sample->point;
	struct value name = { .kind = VALUE_LABEL, .label = quality_name(sample->quality) };

	if (uplink->qualities[point->index] == sample->quality)
		return;
	uplink->qualities[point->index] = sample->quality;
	if (sample->quality != QUALITY_GOOD)
		filter_forget(uplink->filter, point);
	if (point->quality)
		add_made(uplink, point, "quality", sample->taken_mono_ms, sample->taken_unix_ms, &name);
}

static void
report(struct uplink *uplink, const struct sample *sample)
{
	struct uplink_device *device = &uplink->devices[sample->point->device->index];

	if (sample->point->aggregate != 0) {
		windows_add(uplink->windows, sample, uplink->wall.set);
	} else if (!filter_pass(uplink->filter, sample)) {
		return;
	} else if (sample->point->kind == KIND_TELEMETRY) {
		add_telemetry(uplink, device, sample->taken_mono_ms, sample->taken_unix_ms, sample->point->key,
		    &sample->value, &uplink->told_ms[sample->point->index]);
	} else {
		attributes_set(device->attributes, sample->point, &sample->value);
		touch(device);
	}
}

static void
take_sample(struct uplink *uplink, struct sample *sample)
{
	note_quality(uplink, sample);
	if (sample->quality != QUALITY_GOOD)
		return;
	downlink_sample(uplink->downlink, sample);
	report(uplink, sample);
	value_done(&sample->value);
}

static void
pump_touched(struct uplink *uplink)
{
	finish_row(uplink);
	while (uplink->touched) {
		struct uplink_device *device = uplink->touched;

		uplink->touched = device->next_touched;
		device->touched = false;
		pump(device);
	}
}

/* ---- the wall clock ---- */

static void
log_wait_for_wall(const struct uplink *uplink, const struct wall_sight *sight)
{
	time_t shown = (time_t)(sight->unix_ms / 1000);
	char text[64] = "";
	struct tm tm;

	if (gmtime_r(&shown, &tm))
		strftime(text, sizeof(text), "%F %T UTC", &tm);
	if (uplink->wall.impossible)
		log_warning("clock: shows %s and is not set: samples wait until it is", text);
	else
		log_warning("clock: shows %s, which may be wrong: samples wait until NTP keeps it or it is set, for %d s "
			    "from the boot",
		    text, uplink->settings->clock.wait_s);
}

static void
date_rows(struct uplink *uplink)
{
	store_date(uplink->store, uplink->wall.boot_unix_ms);
	for (size_t i = 0; i < uplink->settings->device_count; i++) {
		stamps_shift(&uplink->devices[i].stamps, uplink->wall.boot_unix_ms);
		touch(&uplink->devices[i]);
	}
}

/* The clock is lost: from now on times count from the boot again. */
static void
undate_stamps(struct uplink *uplink)
{
	for (size_t i = 0; i < uplink->settings->device_count; i++)
		stamps_shift(&uplink->devices[i].stamps, -uplink->wall.boot_unix_ms);
}

static void
see_wall(struct uplink *uplink, bool kept)
{
	struct wall_sight sight = wall_look(kept);

	switch (wall_see(&uplink->wall, &sight)) {
	case WALL_SAME:
		break;
	case WALL_SET:
		if (uplink->waits_for_wall)
			log_notice("clock: is set, what was read before gets its time");
		date_rows(uplink);
		break;
	case WALL_TAKEN:
		if (uplink->waits_for_wall)
			log_warning("clock: neither NTP nor anybody else set it in %d s since the boot: taken as it is",
			    uplink->settings->clock.wait_s);
		date_rows(uplink);
		break;
	case WALL_STEPPED:
		log_notice("clock: was set %s by %.3f s", uplink->wall.stepped_ms > 0 ? "forward" : "back",
		    (double)llabs(uplink->wall.stepped_ms) / 1000);
		break;
	case WALL_LOST:
		undate_stamps(uplink);
		break;
	}
	if (!uplink->wall.set && kept && !uplink->waits_for_wall)
		log_wait_for_wall(uplink, &sight);
	if (kept || uplink->wall.set) {
		uplink->waits_for_wall = !uplink->wall.set;
		uplink->wall_due_mono_ms = uplink->wall.set ? CLOCK_NEVER : sight.mono_ms + WALL_LOOK_MS;
	} else if (uplink->wall_due_mono_ms == CLOCK_NEVER) {
		uplink->wall_due_mono_ms = sight.mono_ms;
	}
}

static size_t
take_burst(struct uplink *uplink)
{
	size_t count = fifo_pop(uplink->samples, uplink->burst, BURST);

	see_wall(uplink, false);
	for (size_t i = 0; i < count; i++)
		take_sample(uplink, &uplink->burst[i]);
	pump_touched(uplink);
	return count;
}

static int
on_samples(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct uplink *uplink = userdata;
	struct store_counts counts;

	(void)source, (void)fd, (void)revents;
	take_burst(uplink);
	counts = store_counts(uplink->store);
	overflow_note(&uplink->store_overflow, counts.dropped_rows + uplink->unheld_rows);
	overflow_note(&uplink->age_overflow, counts.aged_rows);
	overflow_note(&uplink->lost_overflow, counts.lost_rows);
	overflow_note(&uplink->samples_overflow, fifo_refused(uplink->samples));
	return 0;
}

/* The disk did something, or there is something for it to do. */
static void
serve_store(struct uplink *uplink)
{
	size_t device;

	store_tick(uplink->store);
	while (store_ready(uplink->store, &device))
		pump(&uplink->devices[device]);
	serve_line(uplink);
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

/* ---- time ---- */

static void
device_due(struct uplink_device *device, int64_t now)
{
	int64_t oldest = CLOCK_NEVER;

	heap_remove(&device->uplink->due, &device->due);
	if (device->flight_count > 0)
		oldest = device->flights[0].sent_mono_ms;
	if (device->attributes_id != 0 && device->attributes_sent_mono_ms < oldest)
		oldest = device->attributes_sent_mono_ms;
	if (oldest == CLOCK_NEVER)
		pump(device); /* a pause may be over */
	else if (now - oldest >= ack_timeout_ms(device->uplink))
		mqtt_session_restart(device->session, "no PUBACK in time");
	else
		heap_set(&device->uplink->due, &device->due, oldest + ack_timeout_ms(device->uplink));
}

static int
on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct uplink *uplink = userdata;
	int64_t now = clock_mono_ms();
	struct heap_node *first;

	(void)source, (void)usec;
	uplink->armed_mono_ms = CLOCK_NEVER;
	while ((first = heap_first(&uplink->due)) && first->due <= now)
		device_due(heap_entry(first, struct uplink_device, due), now);
	downlink_tick(uplink->downlink);
	serve_store(uplink);
	overflow_tick(uplink, now);
	if (uplink->wall_due_mono_ms <= now)
		see_wall(uplink, true);
	windows_close(uplink->windows, now);
	pump_touched(uplink);
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
	const struct heap_node *first = heap_first(&uplink->due);
	int64_t due = first ? first->due : CLOCK_NEVER;

	due = earlier(due, downlink_due_mono_ms(uplink->downlink));
	due = earlier(due, overflow_due(&uplink->store_overflow));
	due = earlier(due, overflow_due(&uplink->age_overflow));
	due = earlier(due, overflow_due(&uplink->lost_overflow));
	due = earlier(due, overflow_due(&uplink->samples_overflow));
	due = earlier(due, uplink->wall_due_mono_ms);
	due = earlier(due, windows_due_mono_ms(uplink->windows));
	due = earlier(due, store_due_mono_ms(uplink->store));
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

static bool
is_flushed(const struct uplink *uplink)
{
	for (size_t i = 0; i < uplink->settings->device_count; i++) {
		const struct uplink_device *device = &uplink->devices[i];

		if (mqtt_session_is_up(device->session) &&
		    (store_depth(uplink->store, i) > 0 || device->attributes_id != 0 ||
			attributes_due(device->attributes)))
			return false;
	}
	return true;
}

static void
finish(struct uplink *uplink)
{
	struct store_counts counts;

	store_close(uplink->store, SAVE_MS);
	counts = store_counts(uplink->store);
	overflow_end(&uplink->store_overflow, "store: rows");
	overflow_end(&uplink->age_overflow, "store: too old: rows");
	overflow_end(&uplink->lost_overflow, "store: rows on disk");
	overflow_end(&uplink->samples_overflow, "uplink: samples");
	if (counts.rows > counts.unsaved_rows)
		log_notice("store: %" PRIu64 " rows wait on disk for the next start",
		    counts.rows - counts.unsaved_rows);
	if (counts.unsaved_rows > 0)
		log_warning("store: %" PRIu64
			    " rows were not delivered and are lost: they are in memory only",
		    counts.unsaved_rows);
	sd_event_exit(uplink->loop, 0);
}

static void
go_on_stopping(struct uplink *uplink)
{
	int64_t now = clock_mono_ms();

	if (!uplink->closing && (is_flushed(uplink) || now >= uplink->stop_mono_ms)) {
		uplink->closing = true;
		uplink->stop_mono_ms = now + CLOSE_MS;
		mqtt_close_all(uplink->mqtt);
	} else if (uplink->closing && (mqtt_active(uplink->mqtt) == 0 || now >= uplink->stop_mono_ms)) {
		finish(uplink);
	}
}

static int
on_stop(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct uplink *uplink = userdata;
	int grace_ms;

	(void)fd, (void)revents;
	if (fifo_pop(uplink->stop, &grace_ms, 1) == 0)
		return 0;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	/* The field has stopped before us: what it left is all that there will be. */
	while (take_burst(uplink) > 0)
		;
	windows_flush(uplink->windows);
	pump_touched(uplink);
	on_outcomes(NULL, -1, 0, uplink);
	uplink->stopping = true;
	uplink->stop_mono_ms = clock_mono_ms() + grace_ms;
	return 0;
}

/* After whatever else happened in a turn of the loop. */
static int
on_post(sd_event_source *source, void *userdata)
{
	struct uplink *uplink = userdata;

	(void)source;
	serve_store(uplink);
	if (uplink->stopping)
		go_on_stopping(uplink);
	arm_timer(uplink);
	return 0;
}

/* ---- the thread and its owner ---- */

static void *
uplink_run(void *arg)
{
	struct uplink *uplink = arg;
	int error;

	see_wall(uplink, true);
	arm_timer(uplink);
	error = sd_event_loop(uplink->loop);
	if (error < 0) {
		/* A gateway that reads and never sends is worse than one that is started again. */
		log_error("uplink: the event loop failed: %s", strerror(-error));
		atomic_store(&uplink->failed, true);
		kill(getpid(), SIGTERM);
	}
	return NULL;
}

static int
add_devices(struct uplink *uplink)
{
	const struct settings *settings = uplink->settings;

	for (size_t i = 0; i < settings->device_count; i++) {
		struct uplink_device *device = &uplink->devices[i];

		device->uplink = uplink;
		device->device = &settings->devices[i];
		device->payload_max = sizeof(uplink->payload);
		device->attributes = attributes_new(device->device);
		device->flights = calloc((size_t)settings->server.in_flight, sizeof(device->flights[0]));
		if (!device->attributes || !device->flights)
			return -ENOMEM;
		device->session =
		    mqtt_session_new(uplink->mqtt, device->device->name, device->device->token, device);
		if (!device->session)
			return -errno;
	}
	return 0;
}

static int
add_sources(struct uplink *uplink)
{
	int error;

	if ((error = sd_event_add_io(uplink->loop, &uplink->samples_io, fifo_fd(uplink->samples), EPOLLIN,
		 on_samples, uplink)) < 0 ||
	    (error = sd_event_add_io(uplink->loop, &uplink->outcomes_io, fifo_fd(uplink->outcomes), EPOLLIN,
		 on_outcomes, uplink)) < 0 ||
	    (error = sd_event_add_io(
		 uplink->loop, &uplink->stop_io, fifo_fd(uplink->stop), EPOLLIN, on_stop, uplink)) < 0 ||
	    (error = sd_event_add_time(uplink->loop, &uplink->timer, CLOCK_MONOTONIC, 0,
		 TIMER_ACCURACY_MS * 1000, on_timer, uplink)) < 0 ||
	    (error = sd_event_source_set_enabled(uplink->timer, SD_EVENT_OFF)) < 0)
		return error;
	if (store_fd(uplink->store) >= 0 && (error = sd_event_add_io(uplink->loop, &uplink->store_io,
						 store_fd(uplink->store), EPOLLIN, on_store, uplink)) < 0)
		return error;
	uplink->armed_mono_ms = CLOCK_NEVER;
	return sd_event_add_post(uplink->loop, &uplink->post, on_post, uplink);
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
make_parts(struct uplink *uplink, struct resolver *resolver)
{
	const struct settings *settings = uplink->settings;
	int error;

	uplink->filter = filter_new(settings->point_count);
	uplink->windows = windows_new(settings, on_window, uplink);
	uplink->qualities = calloc(settings->point_count + 1, sizeof(uplink->qualities[0]));
	uplink->told_ms = calloc(settings->point_count + 1, sizeof(uplink->told_ms[0]));
	uplink->store = store_new(settings->device_count, (size_t)settings->store.memory_mb << 20);
	uplink->samples = fifo_new(sizeof(struct sample), SAMPLES_WAITING);
	uplink->outcomes = fifo_new(sizeof(struct outcome), DOWNLINK_PENDING_MAX);
	uplink->stop = fifo_new(sizeof(int), 1);
	uplink->devices = calloc(settings->device_count + 1, sizeof(uplink->devices[0]));
	if (!uplink->filter || !uplink->windows || !uplink->qualities || !uplink->told_ms || !uplink->store ||
	    !uplink->samples || !uplink->outcomes || !uplink->stop ||
	    !uplink->devices)
		return errno ? -errno : -ENOMEM;
	for (size_t i = 0; i < settings->point_count; i++)
		uplink->qualities[i] = QUALITY_UNKNOWN;
	wall_init(&uplink->wall, settings->clock.wait_s);
	if ((error = attach_disk(uplink)) < 0 || (error = heap_init(&uplink->due, settings->device_count)) < 0 ||
	    (error = sd_event_new(&uplink->loop)) < 0 || (error = add_sources(uplink)) < 0)
		return error;
	uplink->mqtt = mqtt_new(&settings->server, uplink->loop, resolver, &events);
	return uplink->mqtt ? add_devices(uplink) : -errno;
}

struct uplink *
uplink_new(const struct settings *settings, struct resolver *resolver)
{
	struct uplink *uplink = calloc(1, sizeof(*uplink));
	int error;

	if (!uplink)
		return NULL;
	uplink->settings = settings;
	uplink->store_overflow.what = "store: full, the oldest rows are dropped";
	uplink->lost_overflow.what = "store: rows that were only on disk cannot be read";
	uplink->age_overflow.what = "store: what is older than max_age_h is dropped";
	uplink->samples_overflow.what = "uplink: cannot keep up with the field, samples are lost";
	error = make_parts(uplink, resolver);
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

	while (uplink->samples && fifo_pop(uplink->samples, &sample, 1) == 1)
		value_done(&sample.value);
	while (uplink->outcomes && fifo_pop(uplink->outcomes, &outcome, 1) == 1)
		value_done(&outcome.value);
}

void
uplink_free(struct uplink *uplink)
{
	if (!uplink)
		return;
	if (uplink->running)
		uplink_stop(uplink, 0);
	mqtt_free(uplink->mqtt);
	downlink_free(uplink->downlink);
	for (size_t i = 0; uplink->devices && i < uplink->settings->device_count; i++) {
		attributes_free(uplink->devices[i].attributes);
		free(uplink->devices[i].flights);
	}
	sd_event_source_disable_unref(uplink->samples_io);
	sd_event_source_disable_unref(uplink->outcomes_io);
	sd_event_source_disable_unref(uplink->stop_io);
	sd_event_source_disable_unref(uplink->store_io);
	sd_event_source_disable_unref(uplink->timer);
	sd_event_source_disable_unref(uplink->post);
	sd_event_unref(uplink->loop);
	drain_queues(uplink);
	fifo_free(uplink->samples);
	fifo_free(uplink->outcomes);
	fifo_free(uplink->stop);
	heap_done(&uplink->due);
	store_free(uplink->store);
	filter_free(uplink->filter);
	windows_free(uplink->windows);
	free(uplink->qualities);
	free(uplink->told_ms);
	free(uplink->devices);
	free(uplink);
}

static size_t
push_samples(void *ctx, const struct sample *samples, size_t count)
{
	struct uplink *uplink = ctx;

	return fifo_push(uplink->samples, samples, count);
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
	return (struct sample_sink){ .push = push_samples, .ctx = uplink };
}

struct outcome_sink
uplink_outcomes(struct uplink *uplink)
{
	return (struct outcome_sink){ .push = push_outcome, .ctx = uplink };
}

int
uplink_start(struct uplink *uplink, struct command_sink commands)
{
	struct downlink_port port = { .publish = port_publish, .subscribe = port_subscribe, .ctx = uplink };
	sigset_t all, before;
	int error;

	uplink->downlink = downlink_new(uplink->settings, port, commands);
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
uplink_stop(struct uplink *uplink, int grace_ms)
{
	if (!uplink->running)
		return;
	fifo_push(uplink->stop, &grace_ms, 1);
	pthread_join(uplink->thread, NULL);
	uplink->running = false;
}
