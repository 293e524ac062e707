/* What hangs on one line or behind one port: units, their faults, counters. The transports bring requests
 * here and take away what they have to send; nothing here knows a descriptor.
 */
#ifndef SIM_BUS_H
#define SIM_BUS_H

#include "sim/fault.h"
#include "sim/journal.h"

enum bus_kind { BUS_TCP, BUS_RTU, BUS_RTU_TCP };

#define UNIT_ADDRESSES 256

struct stats {
	uint64_t requests;
	uint64_t reads;
	uint64_t writes;
	uint64_t exceptions;
	uint64_t by_function[256];
};

struct rtu;
struct tcp;

struct bus {
	unsigned index;
	enum bus_kind kind;
	struct rtu *rtu; /* one of the two */
	struct tcp *tcp;
	struct journal *journal;
	struct unit *units[UNIT_ADDRESSES];
	struct stats stats;
	struct stats
	    *by_unit[UNIT_ADDRESSES]; /* of every address that was ever asked, with a unit or without */
	uint64_t bad_frames;
	uint64_t silence_violations;
	uint64_t collisions;
	uint64_t connections_total;
	int64_t busy_us; /* time in which a byte was on the line, in either direction */
	struct fault *faults;
	int64_t turnaround_us;
	int64_t jitter_us;
	bool gateway_exceptions;
	int64_t gateway_us; /* how long the gateway waits for a unit before it says so */
};

struct bus *bus_new(unsigned index, enum bus_kind kind, struct journal *journal);
void bus_free(struct bus *bus);

enum framing bus_framing(const struct bus *bus);
/* Whether a fault of this kind can happen on this bus. */
bool bus_can_fail(const struct bus *bus, enum fault_kind kind);
/* Turnaround of one reply, jitter included. */
int64_t bus_turnaround_us(const struct bus *bus);

/* Serve a request: execute, count, log, and say what is to be sent. */
void bus_request(struct bus *bus, const struct incoming *incoming, int64_t now_us, struct answer *ret_answer);

#endif
