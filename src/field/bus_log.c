#include "field/bus_log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/log.h"
#include "field/line.h"
#include "model/exception.h"

#define KEYS_TOLD	 3
#define REMEMBERED_TOLD	 10
#define REQUEST_TEXT_MAX 320
#define ADVICE_MAX	 128
#define ILLEGAL_DATA_ADDRESS 2 /* Modbus Application Protocol V1.1b3, 7 */

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

/* Why it counts as lost. */
static const char *
loss_text(int error, int timeout_ms, char *text, size_t size)
{
	if (error == -ETIMEDOUT)
		snprintf(text, size, "timeout after %d ms", timeout_ms);
	else if (error > 0)
		snprintf(text, size, "exception %d: %s", error, exception_name(error));
	else if (error == -EBADMSG)
		snprintf(text, size, "broken or foreign replies");
	else if (error == -EBUSY)
		snprintf(text, size, "the line is never quiet");
	else
		snprintf(text, size, "%.60s", strerror(-error));
	return text;
}

/* What may be wrong with a unit that nobody has heard yet; empty for one that was there before. */
static const char *
silent_advice(const struct bus *bus, const struct unit *unit, char text[ADVICE_MAX])
{
	static const char *const parities[] = { [PARITY_NONE] = "none", [PARITY_EVEN] = "even", [PARITY_ODD] = "odd",
		[PARITY_MARK] = "mark", [PARITY_SPACE] = "space" };

	text[0] = '\0';
	if (unit->answered_us == 0 && line_is_serial(bus))
		snprintf(text, ADVICE_MAX, "; it never did: is it wired, of address %d, and set to %d baud, parity %s?", unit->id,
		    bus->baud, parities[bus->parity]);
	else if (unit->answered_us == 0)
		snprintf(text, ADVICE_MAX, "; it never did: is there a unit %d behind that address?", unit->id);
	return text;
}

/* For somebody who copied the number that the manual has. */
static const char *
address_advice(const struct poll_request *request, int exception, char text[ADVICE_MAX])
{
	int meant = point_addr_of_manual(request->table, request->addr);

	text[0] = '\0';
	if (exception == ILLEGAL_DATA_ADDRESS && meant >= 0)
		snprintf(text, ADVICE_MAX, "; addr counts from 0 in each table: is %d meant?", meant);
	return text;
}

void
bus_log_unit(const struct bus *bus, const struct poll_unit *unit, enum unit_change change, int error,
    int timeout_ms, int64_t away_us, bool asked_again)
{
	char text[64], advice[ADVICE_MAX];

	if (change == UNIT_BACK)
		log_notice("bus %s unit %d: answers again after %s", bus->name, unit->state.id,
		    duration_text(away_us, text, sizeof(text)));
	else if (change == UNIT_LOST && asked_again)
		log_warning("bus %s unit %d: no answer (%s), asked again every %d..%d s%s", bus->name,
		    unit->state.id, loss_text(error, timeout_ms, text, sizeof(text)),
		    UNIT_PAUSE_MIN_MS / 1000, unit->state.pause_max_ms / 1000,
		    silent_advice(bus, &unit->state, advice));
	else if (change == UNIT_LOST)
		log_warning("bus %s unit %d: no answer (%s), asked again with the next command%s", bus->name,
		    unit->state.id, loss_text(error, timeout_ms, text, sizeof(text)),
		    silent_advice(bus, &unit->state, advice));
}

void
bus_log_late(const struct bus *bus, const struct poll_unit *unit)
{
	log_warning("bus %s unit %d: answers after its timeout, a longer timeout_ms would help", bus->name,
	    unit->state.id);
}

void
bus_log_no_holes(const struct bus *bus, const struct poll_unit *unit)
{
	log_notice("bus %s unit %d: reads only what points name from now on, perhaps that is answered",
	    bus->name, unit->state.id);
}

void
bus_log_length(const struct bus *bus, const struct poll_unit *unit, const struct plan_unit *before)
{
	if (unit->lore.max_registers != before->max_registers)
		log_notice(
		    "bus %s unit %d: refuses long reads: no more than %d registers a request from now on",
		    bus->name, unit->state.id, unit->lore.max_registers);
	if (unit->lore.max_bits != before->max_bits)
		log_notice("bus %s unit %d: refuses long reads: no more than %d bits a request from now on",
		    bus->name, unit->state.id, unit->lore.max_bits);
}

void
bus_log_answered(const struct bus *bus, const struct poll_request *request)
{
	char text[REQUEST_TEXT_MAX];

	log_notice("bus %s unit %d: %s: answered again", bus->name, request->unit->state.id,
	    request_text(request, text, sizeof(text)));
}

void
bus_log_unanswered(const struct bus *bus, const struct poll_request *request)
{
	char text[REQUEST_TEXT_MAX];

	log_warning("bus %s unit %d: %s: no answer to this request, asked more seldom", bus->name,
	    request->unit->state.id, request_text(request, text, sizeof(text)));
}

void
bus_log_refused(
    const struct bus *bus, const struct poll_request *request, int exception, enum schedule_verdict verdict)
{
	static const char *const what[] = {
		[SCHEDULE_KEPT] = "",
		[SCHEDULE_HOLES] = ", reads only what points name from now on",
		[SCHEDULE_HALVED] = ", looking for the points that it refuses",
		[SCHEDULE_LEFT_OUT] = ", left out and tried every 10..60 min",
	};
	char text[REQUEST_TEXT_MAX], advice[ADVICE_MAX];

	log_warning("bus %s unit %d: %s: exception %d (%s)%s%s", bus->name, request->unit->state.id,
	    request_text(request, text, sizeof(text)), exception, exception_name(exception), what[verdict],
	    address_advice(request, exception, advice));
}

void
bus_log_decoded(const struct bus *bus, const struct point *point, int error)
{
	const char *word = table_words[point->table][0];

	if (error != 0)
		log_warning("bus %s unit %d: %s %d (%s): %s", bus->name, point->unit, word, point->addr,
		    point->key,
		    error == -ERANGE	? "not a finite number"
		    : error == -EILSEQ	? "not a valid text"
		    : error == -ENODATA ? "holds no valid value"
					: strerror(-error));
	else
		log_notice("bus %s unit %d: %s %d (%s): a value again", bus->name, point->unit, word,
		    point->addr, point->key);
}

void
bus_log_remembered(const struct bus *bus, const struct schedule *schedule)
{
	size_t left_out = 0;

	for (size_t i = 0; i < schedule->item_count; i++) {
		const struct schedule_item *item = &schedule->items[i];
		const struct point *point = item->point;

		if (item->retry_ms == 0 || left_out++ >= REMEMBERED_TOLD)
			continue;
		log_notice(
		    "bus %s unit %d: %s %d (%s): exception %d (%s) before the restart, left out and tried "
		    "every 10..60 min",
		    bus->name, point->unit, table_words[point->table][0], point->addr, point->key,
		    item->exception, exception_name(item->exception));
	}
	if (left_out > REMEMBERED_TOLD)
		log_notice(
		    "bus %s: and %zu points more that are left out", bus->name, left_out - REMEMBERED_TOLD);
}
