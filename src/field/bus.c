#include <config.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fifo.h"
#include "base/duration.h"
#include "base/log.h"
#include "field/bus.h"
#include "field/checkup.h"
#include "field/line.h"
#include "field/memory.h"
#include "field/port.h"
#include "field/reopen.h"
#include "field/schedule.h"
#include "field/thread.h"
#include "field/writer.h"
#include "model/codec.h"
#include "model/exception.h"

/* A connection that was just lost may be back at once: a command waits so long for it before it is told
 * "offline". */
#define OPEN_GRACE_US	    300000
#define LOAD_WINDOW_US	    10000000
#define LOAD_MISSED_PERCENT 5 /* of the polls in a window: more is called overload, one slow reply is not */
#define ILLEGAL_DATA_ADDRESS 2 /* Modbus Application Protocol V1.1b3, 7 */
#define KEYS_TOLD	    3
#define STALE_LOOK_US	    1000000 /* between looks for points that were not read in time */
#define PERIODS_TOLD	    4
#define REMEMBERED_TOLD	    10
#define SAVE_PAUSE_US	    10000000
#define QUESTIONS_MAX	    4
/* What is written may be read before and after, and the line drained in between. */
#define REQUESTS_IN_A_ROW   4

struct load {
	int64_t since_us;
	uint64_t polls;
	uint64_t missed;
	bool told;
};

struct bus_worker {
	const struct bus *bus;
	struct link *link;
	struct sample_sink samples;
	struct schedule schedule;
	struct memory *memory;
	int64_t saved_us;     /* when it was told to keep something */
	bool forgetting_told; /* the log says that it cannot */
	struct thread thread;

	bool begun; /* it has run */

	struct fifo *commands; /* struct queued */
	struct fifo *questions; /* struct health_question */
	int calm_fd;	       /* readable when one of pause and questions is */
	int news_fd;	       /* ... or commands is */
	struct writer *writer; /* executes them */
	int in_a_row;	       /* commands since the last poll */
	int64_t commands_us;   /* and how long they took */

	bool open;
	bool fruitful; /* a valid frame came since it was opened */
	struct reopen reopen;
	enum health_bus_state state; /* since state_us */
	int64_t state_us;
	uint64_t opened; /* how often */
	int64_t closed_us;

	struct load load;
	struct sample *batch; /* room for the samples of the largest request */
	int64_t stale_look_us; /* the next */
	uint64_t samples_refused;
	bool samples_told;
};

/* A command in the queue. */
struct queued {
	struct command command;
	bool more; /* another of the same push follows */
};

/* --- words --- */

static const char *const table_words[][2] = {
	[TABLE_COIL] = { "coil", "coils" },
	[TABLE_DISCRETE] = { "discrete input", "discrete inputs" },
	[TABLE_INPUT] = { "input register", "input registers" },
	[TABLE_HOLDING] = { "holding register", "holding registers" },
};

/* "input registers 0..9 (temperature, pressure, ...)" */
static const char *
request_text(const struct poll_request *request, char *text, size_t size)
{
	int used;

	if (request->count == 1)
		used = snprintf(text, size, "%s %d (", table_words[request->table][0], request->addr);
	else
		used = snprintf(text, size, "%s %d..%d (", table_words[request->table][1], request->addr,
		    request->addr + request->count - 1);
	for (size_t i = 0; i < request->item_count && used >= 0 && (size_t)used < size; i++) {
		if (i == KEYS_TOLD) {
			used += snprintf(text + used, size - (size_t)used, ", ...");
			break;
		}
		used += snprintf(text + used, size - (size_t)used, "%s%.60s", i > 0 ? ", " : "",
		    request->items[i]->point->key);
	}
	if (used >= 0 && (size_t)used < size)
		snprintf(text + used, size - (size_t)used, ")");
	return text;
}

/* What may be wrong with a unit that nobody has heard yet; empty for one that was there before. */
static const char *
silent_advice(const struct bus *bus, const struct unit *unit, char *text, size_t size)
{
	static const char *const parities[] = { [PARITY_NONE] = "none", [PARITY_EVEN] = "even", [PARITY_ODD] = "odd",
		[PARITY_MARK] = "mark", [PARITY_SPACE] = "space" };

	text[0] = '\0';
	if (unit->answered_us == 0 && line_is_serial(bus))
		snprintf(text, size, "; it never did: is it wired, of address %d, and set to %d baud, parity %s?", unit->id, bus->baud,
		    parities[bus->parity]);
	else if (unit->answered_us == 0)
		snprintf(text, size, "; it never did: is there a unit %d behind that address?", unit->id);
	return text;
}

static void
log_unit(const struct bus_worker *worker, const struct poll_unit *unit, enum unit_change change, int error,
    int timeout_ms, int64_t away_us)
{
	const char *bus = worker->bus->name;
	char text[64], advice[128];

	if (change == UNIT_BACK) {
		log_notice("bus %s unit %d: answers again after %s", bus, unit->state.id,
		    duration_text(away_us, text, sizeof(text)));
		return;
	}
	if (change != UNIT_LOST)
		return;
	if (error == -ETIMEDOUT)
		snprintf(text, sizeof(text), "timeout after %d ms", timeout_ms);
	else if (error > 0)
		snprintf(text, sizeof(text), "exception %d: %s", error, exception_name(error));
	else if (error == -EBADMSG)
		snprintf(text, sizeof(text), "broken or foreign replies");
	else if (error == -EBUSY)
		snprintf(text, sizeof(text), "the line is never quiet");
	else
		snprintf(text, sizeof(text), "%.60s", strerror(-error));
	silent_advice(worker->bus, &unit->state, advice, sizeof(advice));
	if (unit->shortest || writer_greets(worker->writer, unit->state.id))
		log_warning("bus %s unit %d: no answer (%s), asked again every %d..%d s%s", bus, unit->state.id,
		    text, UNIT_PAUSE_MIN_MS / 1000, unit->state.pause_max_ms / 1000, advice);
	else
		log_warning("bus %s unit %d: no answer (%s), asked again with the next command%s", bus,
		    unit->state.id, text, advice);
}

/* --- samples and what becomes of points --- */

/* Returns how many were taken, the first ones. */
static size_t
push_samples(struct bus_worker *worker, size_t count)
{
	size_t taken = count > 0 ? worker->samples.push(worker->samples.ctx, worker->batch, count) : 0;

	for (size_t i = taken; i < count; i++)
		value_done(&worker->batch[i].value);
	worker->samples_refused += count - taken;
	if (taken < count && !worker->samples_told)
		log_warning("bus %s: samples find no room and are dropped", worker->bus->name);
	else if (taken == count && count > 0 && worker->samples_told)
		log_notice("bus %s: samples find room again, %llu were dropped", worker->bus->name,
		    (unsigned long long)worker->samples_refused);
	if (count > 0)
		worker->samples_told = taken < count;
	return taken;
}

static bool
is_stale(const struct schedule_item *item, int64_t now_us)
{
	return item->quality == QUALITY_GOOD &&
	       now_us - item->fresh_us > (int64_t)item->point->period_ms * 1000 * QUALITY_STALE_PERIODS;
}

/* The point is of that quality now: say so if it was of another. What finds no room is said when it is noticed again. */
static void
note_quality(struct bus_worker *worker, struct schedule_item *item, enum quality quality)
{
	if (item->quality == quality)
		return;
	worker->batch[0] = (struct sample){ .point = item->point,
		.taken_mono_ms = clock_mono_ms(),
		.taken_unix_ms = clock_unix_ms(),
		.quality = quality };
	if (push_samples(worker, 1) == 1)
		item->quality = quality;
}

static void
note_request_quality(struct bus_worker *worker, struct poll_request *poll, enum quality quality)
{
	for (size_t i = 0; i < poll->item_count; i++)
		note_quality(worker, poll->items[i], quality);
}

static void
note_unit_offline(struct bus_worker *worker, const struct poll_unit *unit)
{
	for (size_t i = 0; i < worker->schedule.item_count; i++)
		if (worker->schedule.items[i].point->unit == unit->state.id)
			note_quality(worker, &worker->schedule.items[i], QUALITY_OFFLINE);
}

/* The bus is too slow for its periods, or a unit is left alone for a while. Nobody is woken for it: whoever waits for a point
 * that is late is awake. */
static void
note_stale_points(struct bus_worker *worker)
{
	int64_t now_us = clock_mono_us();

	if (now_us < worker->stale_look_us)
		return;
	worker->stale_look_us = now_us + STALE_LOOK_US;
	for (size_t i = 0; i < worker->schedule.item_count; i++)
		if (is_stale(&worker->schedule.items[i], now_us))
			note_quality(worker, &worker->schedule.items[i], QUALITY_STALE);
}

/* --- the line --- */

/* When a unit that is only written may be tried with its on_connect values, which is how it is met; CLOCK_NEVER if it has
 * none left. */
static int64_t
knock_us(const struct bus_worker *worker, const struct poll_unit *unit)
{
	const struct unit *state = &unit->state;
	int64_t at_us = state->held_until_us > state->paused_until_us ? state->held_until_us : state->paused_until_us;

	if (!unit->write_only || !writer_greets(worker->writer, state->id))
		return CLOCK_NEVER;
	return at_us > state->quiet_until_us ? at_us : state->quiet_until_us;
}

static int64_t
next_knock_us(const struct bus_worker *worker)
{
	int64_t next_us = CLOCK_NEVER;

	for (size_t i = 0; i < worker->schedule.unit_count; i++) {
		int64_t at_us = knock_us(worker, &worker->schedule.unit[i]);

		next_us = at_us < next_us ? at_us : next_us;
	}
	return next_us;
}

/* When the line is needed next: not before the first poll is due. */
static int64_t
next_needed_us(struct bus_worker *worker)
{
	int64_t now_us = clock_mono_us();
	int64_t knock_us = next_knock_us(worker);
	int64_t due_us;

	if (schedule_next(&worker->schedule, now_us, &due_us))
		return now_us;
	return knock_us < due_us ? knock_us : due_us;
}

/* Is somebody watching for the closed line to come back? */
static bool
is_watched(const struct bus_worker *worker)
{
	short events;

	return !worker->open && worker->link->ops->idle_fd(worker->link, &events) >= 0;
}

static void
note_trouble(struct bus_worker *worker, int error, const char *what)
{
	reopen_failed(&worker->reopen, error, is_watched(worker), what, clock_mono_us());
	for (size_t i = 0; i < worker->schedule.item_count; i++)
		note_quality(worker, &worker->schedule.items[i], QUALITY_OFFLINE);
}

/* Close the line. Without an error it is opened again when it is needed; with one at once, unless nothing
 * good came from it since it was opened: then it is as if it could not be opened. So it is if a server takes a connection
 * and drops it before it was used: it has too many. */
static void
close_line(struct bus_worker *worker, int error)
{
	if (error == 0 && !worker->fruitful)
		error = -ECONNRESET;
	worker->link->ops->close(worker->link);
	worker->open = false;
	worker->closed_us = clock_mono_us();
	worker->reopen.at_us = error == 0 ? next_needed_us(worker) : worker->closed_us;
	if (error == 0 || worker->fruitful)
		return;
	note_trouble(worker, error, strerror(-error));
}

/* The first valid frame since the line was opened. */
static void
note_fruit(struct bus_worker *worker)
{
	worker->fruitful = true;
	reopen_well(&worker->reopen);
}

static void
note_open(struct bus_worker *worker)
{
	worker->open = true;
	worker->opened++;
	worker->fruitful = false;
	worker->reopen.error = 0;
	schedule_opened(&worker->schedule, clock_mono_us());
	/* A serial port that opens is there. A server that takes a connection may drop it at once: wait for a
	 * frame. */
	if (worker->bus->type == BUS_RTU)
		reopen_well(&worker->reopen);
}

/* --- commands --- */

static void
take_commands(struct bus_worker *worker)
{
	struct queued queued;

	while (writer_room(worker->writer) > 0 && fifo_pop(worker->commands, &queued, 1) == 1)
		writer_take(worker->writer, &queued.command, queued.more);
}

/* --- asking --- */

/* Replies that came too late belong to a unit that may be out of step. */
static void
note_stale(struct bus_worker *worker, const struct link_report *report)
{
	for (int i = 0; i < report->stale_count; i++) {
		struct poll_unit *unit = schedule_unit(&worker->schedule, report->stale_units[i]);
		enum unit_change change;

		if (!unit)
			continue;
		change = schedule_unit_stale(&worker->schedule, unit, clock_mono_us());
		log_unit(worker, unit, change, -EBADMSG, 0, 0);
		if (change == UNIT_LOST)
			note_unit_offline(worker, unit);
		if (!unit->timed_out || unit->late_told)
			continue;
		log_warning("bus %s unit %d: answers after its timeout, a longer timeout_ms would help",
		    worker->bus->name, unit->state.id);
		unit->late_told = true;
	}
}

static bool
is_gateways(int exception)
{
	return exception == PDU_GATEWAY_NO_PATH || exception == PDU_GATEWAY_NO_ANSWER;
}

/* Did the unit fail? It did not if the line did, except that a connection which breaks on a request is the
 * unit's doing. */
static bool
is_units_failure(const struct bus_worker *worker, int error, bool sent)
{
	return error == -ETIMEDOUT || error == -EBADMSG || error == -EBUSY || is_gateways(error) ||
	       (error < 0 && sent && worker->bus->type != BUS_RTU);
}

/* For how long after a failed request its answer may still come: as long again as it was to be waited for. */
static int64_t
pending_us(int error, int timeout_ms, int64_t now_us, const struct link_report *report)
{
	if (!report->sent || error >= 0)
		return 0;
	if (error == -ETIMEDOUT)
		return (int64_t)2 * timeout_ms * 1000;
	return 2 * (now_us - report->asked_mono_us);
}

/* What the outcome of a request says about its unit.
 * timeout_ms  for which it should have been waited, wait_ms for which it was */
static void
judge_unit(struct bus_worker *worker, struct poll_unit *unit, struct poll_request *poll, int error,
    int timeout_ms, int wait_ms, const struct link_report *report)
{
	int64_t now_us = clock_mono_us();
	enum unit_change change = UNIT_SAME;
	bool no_holes = unit->lore.no_holes;
	int64_t away_us = 0;

	if (is_units_failure(worker, error, report->sent))
		change = schedule_unit_failed(&worker->schedule, unit, poll, report->asked_mono_us, now_us,
		    pending_us(error, timeout_ms, now_us, report));
	else if (error >= 0)
		change =
		    schedule_unit_answered(&worker->schedule, unit, report->asked_mono_us, now_us, &away_us);
	if (error >= 0 && !is_gateways(error))
		writer_answered(worker->writer, unit->state.id);
	else if (change == UNIT_LOST)
		writer_lost(worker->writer, unit->state.id);
	if (error < 0)
		unit->timed_out = error == -ETIMEDOUT && wait_ms == timeout_ms;
	log_unit(worker, unit, change, error, timeout_ms, away_us);
	if (unit->lore.no_holes && !no_holes)
		log_notice("bus %s unit %d: reads only what points name from now on, perhaps that is answered",
		    worker->bus->name, unit->state.id);
	if (change == UNIT_LOST)
		note_unit_offline(worker, unit);
}

/* What it says about the line. */
static void
judge_line(struct bus_worker *worker, int error, const struct link_report *report)
{
	if (error >= 0) {
		note_fruit(worker);
	} else if (report->closed) {
		worker->fruitful = true; /* it was closed to get in step again, which is no reason to wait */
		close_line(worker, 0);
	} else if (error == -ENOTCONN) {
		close_line(worker, -ECONNRESET);
	} else if (error != -ETIMEDOUT && error != -EBADMSG && error != -EBUSY && error != -EINVAL) {
		close_line(worker, error);
	}
}

static void
tell_news(struct bus_worker *worker)
{
	const char *news = worker->link->ops->news(worker->link);

	if (news)
		log_warning("bus %s: %s", worker->bus->name, news);
}

static void note_missed(struct bus_worker *worker, uint64_t missed);

/* How long the exchange kept the line, until the next may begin, and its unit, if that answered. */
static void
note_time(struct bus_worker *worker, struct poll_request *poll, int error, int64_t began_us,
    const struct link_report *report)
{
	int64_t now_us = clock_mono_us();
	int64_t free_us = worker->link->ops->ready_us(worker->link);
	bool answered = error >= 0 && !is_gateways(error);

	schedule_spent(&worker->schedule, answered ? poll : NULL, (free_us > now_us ? free_us : now_us) - began_us,
	    now_us);
	if (poll && error == 0)
		schedule_measured(
		    &worker->schedule, poll, report->done_mono_us - report->asked_mono_us, now_us);
}

/* The request was given up for us to end, and its answer may still come. Should the line stay open over that, the answer must
 * not be taken for another's. */
static void
note_given_up(struct bus_worker *worker, struct poll_unit *unit, int timeout_ms, const struct link_report *report)
{
	if (!report->sent)
		return;
	if (worker->bus->type == BUS_TCP) {
		worker->fruitful = true;
		close_line(worker, 0);
		worker->reopen.at_us = worker->closed_us;
	} else if (unit) {
		schedule_unit_pause(&worker->schedule, unit,
		    report->asked_mono_us + (int64_t)2 * timeout_ms * 1000, clock_mono_us());
	}
}

/* Make one request and let everybody know what came of it but the one who asked.
 * unit  NULL if nothing of it is polled
 * poll  what is polled, or NULL for a command
 * Returns what exchange() does; after -ENOTCONN and -ECANCELED with nothing sent it is as if it had not been
 * called. */
static int
ask(struct bus_worker *worker, struct poll_unit *unit, struct poll_request *poll,
    const struct pdu_request *request, int timeout_ms, uint16_t *cells, struct link_report *report)
{
	int64_t began_us = clock_mono_us();
	int wait_ms = poll ? schedule_wait_ms(poll) : timeout_ms;
	int error = worker->link->ops->exchange(worker->link, request, wait_ms, cells, report);

	if (error == -ECANCELED) {
		note_given_up(worker, unit, timeout_ms, report);
		return error;
	}
	if (error != -ENOTCONN && unit) {
		unit_count(&unit->state.counters, error);
		if (poll)
			note_missed(worker, schedule_advance(&worker->schedule, poll, report->asked_mono_us));
		judge_unit(worker, unit, poll, error, timeout_ms, wait_ms, report);
		note_time(worker, poll, error, began_us, report);
		unit->state.counters.echoes += report->echoed;
	}
	note_stale(worker, report);
	tell_news(worker);
	judge_line(worker, error, report);
	return error;
}

/* --- what is learned for good --- */

static void
tell_forgetting(struct bus_worker *worker, int error)
{
	if (error == 0 || error == -EINPROGRESS || error == -EBUSY || worker->forgetting_told)
		return;
	worker->forgetting_told = true;
	log_notice("bus %s: what its units refuse is not remembered over a restart: %s", worker->bus->name,
	    error == -ENOENT ? "there is no state directory" : strerror(-error));
}

/* Keep what was learned, once the plan that it led to stands. */
static void
tend_memory(struct bus_worker *worker)
{
	int64_t now_us = clock_mono_us();
	int error;

	tell_forgetting(worker, memory_result(worker->memory));
	if (!worker->schedule.learned || worker->schedule.outdated ||
	    (worker->saved_us > 0 && now_us - worker->saved_us < SAVE_PAUSE_US))
		return;
	error = memory_save(worker->memory, &worker->schedule);
	if (error == -EBUSY)
		return;
	worker->schedule.learned = false;
	worker->saved_us = now_us;
	tell_forgetting(worker, error);
}

/* The last chance, whatever the plan. */
static void
keep_rest(struct bus_worker *worker)
{
	if (worker->schedule.learned && memory_result(worker->memory) != -EINPROGRESS)
		memory_save(worker->memory, &worker->schedule);
}

static void
recall(struct bus_worker *worker)
{
	const struct schedule *schedule = &worker->schedule;
	int taken = memory_load(worker->memory, &worker->schedule, clock_mono_us());
	size_t told = 0;

	if (taken < 0 && taken != -ENOENT && taken != -ESTALE)
		log_notice("bus %s: what was remembered about its units is lost: %s", worker->bus->name,
		    taken == -EBADMSG ? "the file is damaged" : strerror(-taken));
	if (taken <= 0)
		return;
	schedule_update(&worker->schedule, clock_mono_us());
	for (size_t i = 0; i < schedule->item_count; i++) {
		const struct schedule_item *item = &schedule->items[i];

		if (item->retry_ms == 0 || told++ >= REMEMBERED_TOLD)
			continue;
		log_notice("bus %s unit %d: %s %d (%s): exception %d (%s) before the restart, left out and tried "
			   "every 10..60 min",
		    worker->bus->name, item->point->unit, table_words[item->point->table][0],
		    item->point->addr, item->point->key, item->exception, exception_name(item->exception));
	}
	if (told > REMEMBERED_TOLD)
		log_notice("bus %s: and %zu points more that are left out", worker->bus->name,
		    told - REMEMBERED_TOLD);
}

/* --- polls --- */

/* "100 ms -> 152 ms, 1000 ms -> 1520 ms, ..." */
static const char *
stretched_text(const struct schedule *schedule, double stretch, char *text, size_t size)
{
	int told[PERIODS_TOLD];
	size_t count = 0;
	int used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < schedule->request_count && used >= 0 && (size_t)used < size; i++) {
		const struct poll_request *request = &schedule->requests[i];
		bool known = request->trial;

		for (size_t k = 0; k < count; k++)
			known = known || told[k] == request->period_ms;
		if (known)
			continue;
		if (count == PERIODS_TOLD) {
			snprintf(text + used, size - (size_t)used, ", ...");
			break;
		}
		used += snprintf(text + used, size - (size_t)used, "%s%d ms -> %.0f ms", count > 0 ? ", " : "",
		    request->period_ms, request->period_ms * stretch);
		told[count++] = request->period_ms;
	}
	return text;
}

static void
tell_overload(struct bus_worker *worker, uint64_t missed, int64_t window_us)
{
	double stretch = schedule_stretch(&worker->schedule);
	char text[160];

	if (stretch > 1)
		log_warning("bus %s: cannot keep its periods: %.0f %% of its time is wanted, so each becomes %.2f times "
			    "as long (%s); %llu polls missed in %lld s",
		    worker->bus->name, schedule_load(&worker->schedule) * 100, stretch,
		    stretched_text(&worker->schedule, stretch, text, sizeof(text)), (unsigned long long)missed,
		    (long long)window_us / 1000000);
	else
		log_warning("bus %s: cannot keep its periods: %llu polls missed in %lld s", worker->bus->name,
		    (unsigned long long)missed, (long long)window_us / 1000000);
}

/* One poll is made, and `missed` were left out before it. Judged over windows; a bus is fine or overloaded,
 * and each change is said once. */
static void
note_missed(struct bus_worker *worker, uint64_t missed)
{
	struct load *load = &worker->load;
	int64_t now_us = clock_mono_us();

	load->polls++;
	load->missed += missed;
	if (now_us - load->since_us < LOAD_WINDOW_US)
		return;
	if (!load->told && load->missed * 100 > (load->polls + load->missed) * LOAD_MISSED_PERCENT) {
		tell_overload(worker, load->missed, now_us - load->since_us);
		load->told = true;
	} else if (load->told && load->missed == 0) {
		log_notice("bus %s: keeps its periods again", worker->bus->name);
		load->told = false;
	}
	*load = (struct load){ .since_us = now_us, .told = load->told };
}

static void
note_decoded(struct bus_worker *worker, struct schedule_item *item, int error)
{
	const struct point *point = item->point;

	if ((error != 0) == item->undecodable)
		return;
	item->undecodable = error != 0;
	if (error != 0)
		log_warning("bus %s unit %d: %s %d (%s): %s", worker->bus->name, point->unit,
		    table_words[point->table][0], point->addr, point->key,
		    error == -ERANGE	? "not a finite number"
		    : error == -EILSEQ	? "not a valid text"
		    : error == -ENODATA ? "holds no valid value"
					: strerror(-error));
	else
		log_notice("bus %s unit %d: %s %d (%s): a value again", worker->bus->name, point->unit,
		    table_words[point->table][0], point->addr, point->key);
}

static void
keep_last(struct schedule_item *item, const struct sample *sample, int64_t taken_mono_us)
{
	health_value_set(&item->last.value, &sample->value);
	item->last.taken_mono_us = taken_mono_us;
	item->last.taken_unix_ms = sample->taken_unix_ms;
}

/* Hand up the items of a reply whose time has come. */
static void
deliver(struct bus_worker *worker, struct poll_request *poll, const uint16_t *cells,
    const struct link_report *report)
{
	size_t count = 0;

	for (size_t i = 0; i < poll->item_count; i++) {
		struct schedule_item *item = poll->items[i];
		struct sample *sample = &worker->batch[count];
		int error;

		if (!schedule_deliver(item, report->asked_mono_us))
			continue;
		item->fresh_us = report->done_mono_us;
		*sample = (struct sample){
			.point = item->point,
			.taken_mono_ms = report->done_mono_us / 1000,
			.taken_unix_ms = report->done_unix_ms,
		};
		error = codec_decode(item->point, cells + (item->point->addr - poll->addr), &sample->value);
		note_decoded(worker, item, error);
		sample->quality = error == 0 ? QUALITY_GOOD : QUALITY_NO_VALUE;
		if (error == 0)
			keep_last(item, sample, report->done_mono_us);
		poll->unit->state.counters.no_values += error != 0;
		if (sample->quality == QUALITY_GOOD || item->quality != sample->quality)
			count++;
		item->quality = sample->quality;
	}
	/* What found no room has not been told. */
	if (push_samples(worker, count) < count)
		for (size_t i = 0; i < poll->item_count; i++)
			poll->items[i]->quality = QUALITY_UNKNOWN;
}

static void
tell_length(struct bus_worker *worker, const struct poll_unit *unit, const struct plan_unit *before)
{
	if (unit->lore.max_registers != before->max_registers)
		log_notice("bus %s unit %d: refuses long reads: no more than %d registers a request from now on",
		    worker->bus->name, unit->state.id, unit->lore.max_registers);
	if (unit->lore.max_bits != before->max_bits)
		log_notice("bus %s unit %d: refuses long reads: no more than %d bits a request from now on",
		    worker->bus->name, unit->state.id, unit->lore.max_bits);
}

static void
note_accepted(struct bus_worker *worker, struct poll_request *poll)
{
	struct plan_unit lore = poll->unit->lore;
	bool searched = poll->search != NULL;
	bool failed = poll->failing_told;
	int before = schedule_accepted(&worker->schedule, poll, clock_mono_us());
	char text[320];

	poll->failing_told = false;
	if ((before != 0 && !searched) || failed)
		log_notice("bus %s unit %d: %s: answered again", worker->bus->name, poll->unit->state.id,
		    request_text(poll, text, sizeof(text)));
	tell_length(worker, poll->unit, &lore);
}

/* The unit answers other requests, but not this one. */
static void
note_failed(const struct bus_worker *worker, struct poll_request *poll)
{
	char text[320];

	if (poll->failures < UNIT_FAILURES_OFFLINE || poll->failing_told ||
	    poll->unit->state.state == UNIT_OFFLINE)
		return;
	poll->failing_told = true;
	log_warning("bus %s unit %d: %s: no answer to this request, asked more seldom", worker->bus->name,
		    poll->unit->state.id, request_text(poll, text, sizeof(text)));
}

/* Manuals number registers from 1, with a digit before that is the table: 40011 is holding register 10. */
static const char *
address_advice(const struct poll_request *poll, int exception, char *text, size_t size)
{
	static const int first[] = { [TABLE_DISCRETE] = 10001, [TABLE_INPUT] = 30001, [TABLE_HOLDING] = 40001 };
	int from = (size_t)poll->table < sizeof(first) / sizeof(first[0]) ? first[poll->table] : 0;

	text[0] = '\0';
	if (exception == ILLEGAL_DATA_ADDRESS && from > 0 && poll->addr >= from && poll->addr < from + 9999)
		snprintf(text, size, "; addr counts from 0 in each table: is %d meant?", poll->addr - from);
	return text;
}

static void
note_refused(struct bus_worker *worker, struct poll_request *poll, int exception)
{
	static const char *const what[] = {
		[SCHEDULE_KEPT] = "",
		[SCHEDULE_HOLES] = ", reads only what points name from now on",
		[SCHEDULE_HALVED] = ", looking for the points that it refuses",
		[SCHEDULE_LEFT_OUT] = ", left out and tried every 10..60 min",
	};
	bool searched = poll->search != NULL;
	bool news;
	enum schedule_verdict verdict =
	    schedule_refused(&worker->schedule, poll, exception, clock_mono_us(), &news);
	char text[320], advice[64];

	if (verdict == SCHEDULE_KEPT || verdict == SCHEDULE_LEFT_OUT)
		note_request_quality(worker, poll, QUALITY_REFUSED);
	/* Of a search its begin and what it finds is told. */
	if (news || verdict == SCHEDULE_HOLES || (verdict == SCHEDULE_LEFT_OUT && searched))
		log_warning("bus %s unit %d: %s: exception %d (%s)%s%s", worker->bus->name,
		    poll->unit->state.id, request_text(poll, text, sizeof(text)), exception,
		    exception_name(exception), what[verdict], address_advice(poll, exception, advice, sizeof(advice)));
}

static bool
run_poll(struct bus_worker *worker)
{
	uint16_t cells[MODBUS_MAX_READ_BITS];
	struct link_report report;
	struct pdu_request request;
	int64_t due_us;
	struct poll_request *poll;
	int error;

	schedule_update(&worker->schedule, clock_mono_us());
	tend_memory(worker);
	poll = schedule_next(&worker->schedule, clock_mono_us(), &due_us);
	if (!poll)
		return false;
	request = pdu_read(poll->table, poll->unit->state.id, poll->addr, poll->count);
	error = ask(worker, poll->unit, poll, &request, poll->timeout_ms, cells, &report);
	if (error == 0 && writer_greets(worker->writer, poll->unit->state.id)) {
		schedule_touch(&worker->schedule, poll->items[0]->point, clock_mono_us());
	} else if (error == 0) {
		deliver(worker, poll, cells, &report);
		note_accepted(worker, poll);
	} else if (error > 0 && !is_gateways(error)) {
		note_refused(worker, poll, error);
	} else {
		note_failed(worker, poll);
	}
	return true;
}

/* --- what the writer needs --- */

static int
writer_ask(void *ctx, const struct pdu_request *request, int timeout_ms, uint16_t *cells,
    struct link_report *report)
{
	struct bus_worker *worker = ctx;

	return ask(worker, schedule_unit(&worker->schedule, request->unit), NULL, request, timeout_ms, cells,
	    report);
}

static int64_t
unit_quiet_until_us(void *ctx, int unit)
{
	const struct bus_worker *worker = ctx;
	const struct poll_unit *polled = schedule_unit(&worker->schedule, unit);

	if (!polled)
		return 0;
	return polled->state.quiet_until_us > polled->state.paused_until_us ? polled->state.quiet_until_us
									   : polled->state.paused_until_us;
}

static void
keep_unit_quiet(void *ctx, int unit, int64_t until_us)
{
	struct bus_worker *worker = ctx;
	struct poll_unit *polled = schedule_unit(&worker->schedule, unit);

	if (polled)
		schedule_unit_pause(&worker->schedule, polled, until_us, clock_mono_us());
}

static bool
is_unit_away(void *ctx, int unit)
{
	const struct bus_worker *worker = ctx;
	const struct poll_unit *polled = schedule_unit(&worker->schedule, unit);

	return polled && polled->state.state == UNIT_OFFLINE;
}

static void
touch_point(void *ctx, const struct point *point)
{
	struct bus_worker *worker = ctx;

	schedule_touch(&worker->schedule, point, clock_mono_us());
}

static struct writer_port
writer_port(struct bus_worker *worker)
{
	return (struct writer_port){
		.ask = writer_ask,
		.quiet_until_us = unit_quiet_until_us,
		.keep_quiet = keep_unit_quiet,
		.is_away = is_unit_away,
		.written = touch_point,
		.ctx = worker,
	};
}

/* --- whose turn it is --- */

static bool
run_command(struct bus_worker *worker)
{
	int64_t began_us = clock_mono_us();

	if (!writer_run(worker->writer))
		return false;
	worker->in_a_row++;
	worker->commands_us += clock_mono_us() - began_us;
	return true;
}

/* Let the writer try the units that are only written. */
static void
knock(struct bus_worker *worker)
{
	int64_t now_us = clock_mono_us();

	for (size_t i = 0; i < worker->schedule.unit_count; i++)
		if (knock_us(worker, &worker->schedule.unit[i]) <= now_us)
			writer_answered(worker->writer, worker->schedule.unit[i].state.id);
}

static bool
run_poll_in_turn(struct bus_worker *worker)
{
	worker->in_a_row = 0;
	worker->commands_us = 0;
	return run_poll(worker);
}

/* Commands go first, but not for ever. */
static bool
run_next(struct bus_worker *worker)
{
	bool enough =
	    worker->in_a_row >= BUS_COMMANDS_IN_A_ROW || worker->commands_us >= BUS_COMMAND_TIME_US;

	return (enough && run_poll_in_turn(worker)) || run_command(worker) || run_poll_in_turn(worker);
}

/* --- questions --- */

static void
note_state(struct bus_worker *worker)
{
	enum health_bus_state state = worker->reopen.told ? HEALTH_BUS_FAULT
				      : worker->open	   ? HEALTH_BUS_OPEN
							   : HEALTH_BUS_CLOSED;

	if (state == worker->state)
		return;
	worker->state = state;
	worker->state_us = clock_mono_us();
}

static void
fill_report(const struct bus_worker *worker, struct health_bus *report)
{
	report->taken_mono_us = clock_mono_us();
	report->state = worker->state;
	report->since_mono_us = worker->state_us;
	report->opened = worker->opened;
	report->samples_refused = worker->samples_refused;
	report->commands = WRITER_COMMANDS_MAX - writer_room(worker->writer);
	snprintf(report->why, sizeof(report->why), "%s", worker->reopen.told ? worker->reopen.why : "");
	checkup_line(worker->link->ops->counters(worker->link), &report->line);
	checkup_schedule(&worker->schedule, report);
}

static void
answer_questions(struct bus_worker *worker)
{
	struct health_question question;

	while (fifo_pop(worker->questions, &question, 1) == 1) {
		fill_report(worker, question.bus);
		health_give_back(&question);
	}
}

/* --- the loop --- */

/* What ends a wait while nothing is asked. */
static int
wake_fd(const struct bus_worker *worker)
{
	return writer_room(worker->writer) > 0 ? worker->news_fd : worker->calm_fd;
}

static void
sleep_until(struct bus_worker *worker, int fd, short events, int64_t until_us)
{
	int ready = port_wait(fd, events, wake_fd(worker), thread_stop_fd(&worker->thread), until_us);
	int error;

	if (ready <= 0)
		return;
	error = worker->link->ops->idle(worker->link);
	close_line(worker, error == -ENOTCONN ? 0 : error);
}

/* While the line is closed: until it is time to try, or something appears that may be it. */
static void
sleep_closed(struct bus_worker *worker)
{
	short events = 0;
	int fd = worker->link->ops->idle_fd(worker->link, &events);

	if (port_wait(fd, events, wake_fd(worker), thread_stop_fd(&worker->thread), worker->reopen.at_us) <= 0)
		return;
	(void)worker->link->ops->idle(worker->link);
	reopen_soon(&worker->reopen, clock_mono_us());
}

/* While the line is closed commands are answered at once, unless it was lost a moment ago. */
static void
open_line(struct bus_worker *worker)
{
	int64_t grace_us = worker->closed_us + OPEN_GRACE_US;
	int64_t now_us = clock_mono_us();
	bool wanted = writer_waits(worker->writer);
	int error;

	if (wanted && worker->reopen.error == 0 && worker->reopen.at_us > now_us) {
		/* Closed because nothing was to be asked: open it for the command, whose grace starts now. */
		worker->reopen.at_us = now_us;
		worker->closed_us = now_us;
		grace_us = now_us + OPEN_GRACE_US;
	}
	if (worker->reopen.error != 0 || now_us >= grace_us)
		writer_refuse(worker->writer, OUTCOME_OFFLINE, worker->reopen.error);
	wanted = writer_waits(worker->writer);
	if (now_us < worker->reopen.at_us) {
		sleep_closed(worker);
		return;
	}
	error = worker->link->ops->open(
	    worker->link, wanted ? worker->calm_fd : worker->news_fd, wanted ? grace_us : CLOCK_NEVER);
	if (error == 0) {
		note_open(worker);
	} else if (error != -EAGAIN && error != -ECANCELED) {
		note_trouble(worker, error, worker->link->ops->fault(worker->link));
	}
}

static void
wait_for_work(struct bus_worker *worker)
{
	int64_t ready_us = worker->link->ops->ready_us(worker->link);
	int64_t until_us = next_needed_us(worker);
	int64_t command_us = writer_due_us(worker->writer);
	short events = 0;
	int fd = worker->link->ops->idle_fd(worker->link, &events);

	if (command_us < until_us)
		until_us = command_us;
	sleep_until(worker, fd, events, until_us > ready_us ? until_us : ready_us);
}

/* May something be sent now? Until the line is ready commands can still come and go first. */
static bool
line_ready(const struct bus_worker *worker)
{
	return worker->link->ops->ready_us(worker->link) <= clock_mono_us();
}

static void *
worker_run(void *arg)
{
	struct bus_worker *worker = arg;

	while (!thread_should_end(&worker->thread)) {
		note_state(worker);
		answer_questions(worker);
		take_commands(worker);
		writer_expire(worker->writer);
		note_stale_points(worker);
		if (worker->open)
			knock(worker);
		if (!worker->open)
			open_line(worker);
		else if (!line_ready(worker) || !run_next(worker))
			wait_for_work(worker);
	}
	return NULL;
}

/* Whatever still waits is answered, also what is pushed while the thread ends. */
static void
answer_rest(struct bus_worker *worker)
{
	answer_questions(worker);
	do {
		writer_refuse(worker->writer, OUTCOME_STOPPED, 0);
		take_commands(worker);
	} while (writer_waits(worker->writer));
}

/* Points that one reply may bring: any plan's largest request. */
static size_t
most_samples(const struct schedule *schedule)
{
	return schedule->item_count > 0 ? schedule->item_count : 1;
}

/* Returns 0 or negative errno. */
static int
make_queues(struct bus_worker *worker)
{
	worker->commands = fifo_new(sizeof(struct queued), BUS_COMMANDS_MAX);
	worker->questions = fifo_new(sizeof(struct health_question), QUESTIONS_MAX);
	if (!worker->commands || !worker->questions)
		return -errno;
	worker->calm_fd = thread_watch_both(thread_pause_fd(&worker->thread), fifo_fd(worker->questions));
	if (worker->calm_fd >= 0)
		worker->news_fd = thread_watch_both(worker->calm_fd, fifo_fd(worker->commands));
	return worker->news_fd >= 0 ? 0 : -errno;
}

struct bus_worker *
bus_worker_new(const struct settings *settings, const struct bus *bus, struct link_maker maker,
    struct sample_sink samples, struct outcome_sink outcomes)
{
	struct bus_worker *worker = calloc(1, sizeof(*worker));
	int error;

	if (!worker)
		return NULL;
	worker->bus = bus;
	worker->samples = samples;
	worker->calm_fd = worker->news_fd = -1;
	error = thread_init(&worker->thread);
	if (error == 0)
		error = make_queues(worker);
	if (error == 0)
		error = schedule_init(&worker->schedule, settings, bus, clock_mono_us());
	if (error == 0)
		worker->batch = calloc(most_samples(&worker->schedule), sizeof(*worker->batch));
	if (error == 0)
		worker->memory = memory_new(bus);
	if (error == 0 && worker->batch)
		worker->writer = writer_new(settings, bus, writer_port(worker), outcomes);
	if (worker->writer && worker->memory)
		worker->link = maker.make(maker.ctx, bus, thread_stop_fd(&worker->thread));
	if (!worker->link) {
		error = error != 0 ? -error : errno;
		bus_worker_free(worker);
		errno = error;
		return NULL;
	}
	return worker;
}

void
bus_worker_free(struct bus_worker *worker)
{
	if (!worker)
		return;
	if (worker->link && worker->writer)
		bus_worker_close(worker);
	writer_free(worker->writer);
	if (worker->link)
		worker->link->ops->free(worker->link);
	memory_free(worker->memory);
	schedule_done(&worker->schedule);
	if (worker->news_fd >= 0)
		close(worker->news_fd);
	if (worker->calm_fd >= 0)
		close(worker->calm_fd);
	thread_done(&worker->thread);
	fifo_free(worker->commands);
	fifo_free(worker->questions);
	free(worker->batch);
	free(worker);
}

/* Points that are new to a unit or a line that is not there are so from the begin. */
static void
note_absent(struct bus_worker *worker)
{
	for (size_t i = 0; i < worker->schedule.item_count; i++) {
		struct schedule_item *item = &worker->schedule.items[i];
		const struct poll_unit *unit = schedule_unit(&worker->schedule, item->point->unit);

		if (worker->reopen.told || unit->state.state == UNIT_OFFLINE)
			note_quality(worker, item, QUALITY_OFFLINE);
	}
}

static void
begin(struct bus_worker *worker)
{
	if (worker->begun) {
		note_absent(worker);
		return;
	}
	worker->begun = true;
	worker->closed_us = clock_mono_us();
	reopen_init(&worker->reopen, worker->bus, worker->closed_us);
	worker->state_us = worker->closed_us;
	worker->load = (struct load){ .since_us = worker->closed_us };
	recall(worker);
}

int
bus_worker_start(struct bus_worker *worker)
{
	begin(worker);
	return thread_start(&worker->thread, worker_run, worker);
}

void
bus_worker_tell_pause(struct bus_worker *worker)
{
	thread_tell_pause(&worker->thread);
}

void
bus_worker_tell_stop(struct bus_worker *worker)
{
	thread_tell_stop(&worker->thread);
}

bool
bus_worker_await(struct bus_worker *worker, int64_t until_us)
{
	return thread_await(&worker->thread, until_us);
}

void
bus_worker_close(struct bus_worker *worker)
{
	worker->link->ops->close(worker->link);
	worker->open = false;
	keep_rest(worker);
	answer_rest(worker);
}

/* --- other settings --- */

/* Commands that have not been taken yet, behind those that have. */
static void
adopt_commands(struct bus_worker *worker, struct bus_worker *from, const struct difference *difference)
{
	do {
		writer_adopt(worker->writer, from->writer, difference);
		take_commands(from);
	} while (writer_waits(from->writer));
}

/* The line as it is: whether it is open, how it did, and what of it was told. */
static void
adopt_line(struct bus_worker *worker, struct bus_worker *from)
{
	struct link *link = worker->link;

	/* A link knows what ends its waits. */
	worker->link = from->link;
	from->link = link;
	thread_exchange(&worker->thread, &from->thread);
	worker->link->ops->rebind(worker->link, worker->bus);
	worker->open = from->open;
	worker->fruitful = from->fruitful;
	worker->reopen = from->reopen;
	worker->reopen.bus = worker->bus;
	worker->closed_us = from->closed_us;
	worker->state = from->state;
	worker->state_us = from->state_us;
	worker->opened = from->opened;
	from->open = false;
}

static void
adopt_memory(struct bus_worker *worker, struct bus_worker *from)
{
	struct memory *memory = worker->memory;

	worker->memory = from->memory;
	from->memory = memory;
	memory_rebind(worker->memory, worker->bus);
	memory_rebind(memory, from->bus);
	worker->saved_us = from->saved_us;
	worker->forgetting_told = from->forgetting_told;
	from->schedule.learned = false;
}

void
bus_worker_adopt(struct bus_worker *worker, struct bus_worker *from, const struct difference *difference)
{
	assert(!worker->thread.running && !from->thread.running);
	answer_questions(from); /* while it still knows */
	schedule_adopt(&worker->schedule, &from->schedule, difference, clock_mono_us());
	adopt_commands(worker, from, difference);
	adopt_line(worker, from);
	adopt_memory(worker, from);
	worker->load = from->load;
	worker->samples_refused = from->samples_refused;
	worker->samples_told = from->samples_told;
	worker->begun = from->begun;
}

int
bus_worker_command(struct bus_worker *worker, const struct command *commands, size_t count)
{
	struct queued queued[COMMAND_GROUP_MAX];

	assert(count <= COMMAND_GROUP_MAX);
	for (size_t i = 0; i < count; i++)
		queued[i] = (struct queued){ .command = commands[i], .more = i + 1 < count };
	return fifo_push_all(worker->commands, queued, count) ? 0 : -EBUSY;
}

struct health_bus *
bus_worker_report(const struct bus_worker *worker, bool full)
{
	const struct schedule *schedule = &worker->schedule;

	return health_bus_new(worker->bus, schedule->unit_count, full ? schedule->item_count : 0);
}

int
bus_worker_ask(struct bus_worker *worker, const struct health_question *question)
{
	return fifo_push(worker->questions, question, 1) == 1 ? 0 : -EBUSY;
}

int
bus_worker_busy_max_ms(const struct bus_worker *worker)
{
	int timeout_ms = worker->bus->timeout_ms;

	for (size_t i = 0; i < worker->schedule.item_count; i++) {
		const struct device *device = worker->schedule.items[i].point->device;

		timeout_ms = device->timeout_ms > timeout_ms ? device->timeout_ms : timeout_ms;
	}
	return REQUESTS_IN_A_ROW * timeout_ms;
}
