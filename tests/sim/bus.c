#include "sim/bus.h"

#include <stdlib.h>
#include <string.h>

#include "sim/loop.h"

struct bus *
bus_new(unsigned index, enum bus_kind kind, struct journal *journal)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return NULL;
	bus->index = index;
	bus->kind = kind;
	bus->journal = journal;
	bus->turnaround_us = kind == BUS_RTU ? 5000 : 0;
	return bus;
}

void
bus_free(struct bus *bus)
{
	if (!bus)
		return;
	for (int i = 0; i < UNIT_ADDRESSES; i++) {
		unit_free(bus->units[i]);
		free(bus->by_unit[i]);
	}
	fault_clear(&bus->faults, -2);
	free(bus);
}

enum framing
bus_framing(const struct bus *bus)
{
	return bus->kind == BUS_TCP ? FRAMING_MBAP : FRAMING_RTU;
}

bool
bus_can_fail(const struct bus *bus, enum fault_kind kind)
{
	switch (fault_needs(kind)) {
	case NEEDS_MBAP:
		return bus->kind == BUS_TCP;
	case NEEDS_CRC:
		return bus->kind != BUS_TCP;
	case NEEDS_SOCKET:
		return bus->kind != BUS_RTU;
	case NEEDS_NOTHING:
		break;
	}
	return true;
}

int64_t
bus_turnaround_us(const struct bus *bus)
{
	return bus->turnaround_us + (bus->jitter_us ? (int64_t)rand() % (bus->jitter_us + 1) : 0);
}

static void
stats_count(struct stats *stats, const struct request *request, enum outcome outcome)
{
	stats->requests++;
	stats->reads += request->reads;
	stats->writes += request->writes;
	stats->exceptions += outcome == OUTCOME_EXCEPTION;
	stats->by_function[request->function]++;
}

static void
bus_count(struct bus *bus, const struct entry *entry)
{
	struct stats **of_unit = &bus->by_unit[entry->unit];

	if (!*of_unit)
		*of_unit = calloc(1, sizeof(**of_unit));
	if (*of_unit)
		stats_count(*of_unit, &entry->request, entry->outcome);
	stats_count(&bus->stats, &entry->request, entry->outcome);
}

/* Every unit that hears executes, none answers: Modbus over Serial Line V1.02, 2.1. Reading all at once makes
 * no sense. */
static void
bus_broadcast(struct bus *bus, struct entry *entry, int64_t now_us)
{
	uint8_t reply[PDU_MAX];

	if (entry->request.reads || entry->request.exception)
		return;
	for (int i = 1; i < UNIT_ADDRESSES; i++) {
		const struct fault *fault = fault_find(bus->faults, (uint8_t)i);
		struct request request = entry->request;
		if (!bus->units[i] || (fault && !fault->execute))
			continue;
		server_serve(bus->units[i], &request, now_us, reply);
		entry->executed |= !request.exception;
	}
}

/* What the unit does with it. Returns the length of its reply, 0 for silence. */
static size_t
bus_serve(struct bus *bus, const struct fault *fault, struct entry *entry, int64_t now_us, uint8_t *reply)
{
	struct unit *unit = bus->units[entry->unit];
	size_t length;

	if (!unit || (fault && fault->kind == FAULT_DEAD && !fault->execute)) {
		entry->outcome = bus->gateway_exceptions ? OUTCOME_EXCEPTION : OUTCOME_SILENCE;
		if (!bus->gateway_exceptions)
			return 0;
		entry->request.exception = EXCEPTION_GATEWAY_TARGET;
		return server_exception(entry->request.function, EXCEPTION_GATEWAY_TARGET, reply);
	}
	if (fault && !fault->execute) {
		entry->outcome = OUTCOME_SILENCE;
		if (fault->kind != FAULT_EXCEPTION)
			return 0;
		entry->request.exception = (uint8_t)fault->value;
		return server_exception(entry->request.function, (uint8_t)fault->value, reply);
	}
	length = server_serve(unit, &entry->request, now_us, reply);
	entry->outcome = entry->request.exception ? OUTCOME_EXCEPTION : OUTCOME_REPLY;
	entry->executed = entry->request.writes && !entry->request.exception;
	if (fault && fault->kind == FAULT_EXCEPTION) {
		entry->request.exception = (uint8_t)fault->value;
		return server_exception(entry->request.function, (uint8_t)fault->value, reply);
	}
	return length;
}

static void
bus_answer(struct bus *bus, const struct incoming *incoming, struct entry *entry, int64_t now_us,
    uint8_t *served, struct answer *answer)
{
	struct fault *fault = fault_find(bus->faults, incoming->unit);
	uint8_t reply[PDU_MAX];
	size_t length;
	bool by_gateway;

	/* A unit that is not there has no faults of its own. */
	if (fault && !bus->units[incoming->unit] && !fault_is_of_line(fault->kind))
		fault = NULL;
	length = bus_serve(bus, fault, entry, now_us, reply);
	if (entry->request.reads && !entry->request.exception) {
		memcpy(served, reply, length);
		entry->reply = served;
		entry->reply_length = length;
	}
	by_gateway =
	    length && entry->request.exception == EXCEPTION_GATEWAY_TARGET && bus->gateway_exceptions;
	if (by_gateway)
		answer->delay_us = bus->gateway_us;
	if (!fault || (by_gateway && fault->kind == FAULT_DEAD))
		answer_frame(incoming, reply, length, answer);
	else
		fault_shape(fault, incoming, reply, length, answer);
	if (fault) {
		entry->outcome = OUTCOME_FAULT;
		entry->fault = fault_name(fault->kind);
		fault_spend(&bus->faults, fault);
	}
}

void
bus_request(struct bus *bus, const struct incoming *incoming, int64_t now_us, struct answer *ret_answer)
{
	struct entry entry = {
		.at_us = incoming->at_us,
		.at_unix_ms = journal_unix_ms(incoming->at_us),
		.bus = bus->index,
		.unit = incoming->unit,
		.outcome = OUTCOME_SILENCE,
	};
	uint8_t served[PDU_MAX];

	ret_answer->half_open = false;
	ret_answer->ending = ENDING_STAY;
	ret_answer->delay_us = ret_answer->gap_us = 0;
	ret_answer->chunk = ret_answer->length = 0;
	request_parse(incoming->pdu, incoming->length, &entry.request);
	if (incoming->unit == 0 && incoming->framing == FRAMING_RTU)
		bus_broadcast(bus, &entry, now_us);
	else
		bus_answer(bus, incoming, &entry, now_us, served, ret_answer);
	bus_count(bus, &entry);
	ret_answer->number = journal_add(bus->journal, &entry);
}
