/* What goes up of the points of a Modbus bus: the values of replies, and each change of a point's quality, once. What finds no
 * room above is dropped and counted; a quality that found none is told when it is noticed again. One thread, the bus's worker.
 *
 * The line need not wait for it: a reply is decoded and handed up while the next request is on its way, or while nothing is asked,
 * which on a serial line is in the silence between two frames.
 */
#ifndef FIELD_DELIVERY_H
#define FIELD_DELIVERY_H

#include "field/link.h"
#include "field/schedule.h"

struct delivery {
	const struct bus *bus;
	struct schedule *schedule;
	struct sample_sink samples;
	struct sample *batch;  /* room for the samples of the largest request */
	/* The reply that has not been handed up, and NULL if there is none. */
	const struct poll_request *poll;
	struct link_report report;
	uint16_t *cells;
	uint16_t *next_cells; /* where the one after it goes */
	int64_t stale_look_us; /* the next */
	uint64_t refused;      /* samples */
	bool told;	       /* the log says that they find no room */
};

/* The schedule and the sink's context must outlive it. Returns 0 or -ENOMEM. */
int delivery_init(
    struct delivery *delivery, const struct bus *bus, struct schedule *schedule, struct sample_sink samples);
void delivery_done(struct delivery *delivery);

/* Go on counting where `from` has been. */
void delivery_adopt(struct delivery *delivery, const struct delivery *from);

/* Where the cells of the next reply are to be put. */
uint16_t *delivery_cells(struct delivery *delivery);

/* They are the reply to `poll`: its items whose time has come are to be handed up. */
void delivery_reply(struct delivery *delivery, const struct poll_request *poll, const struct link_report *report);

/* Hand up what has not been. Everything else that is said here does so first; call it before waiting, and before the plan is made
 * again. */
void delivery_flush(struct delivery *delivery);

/* All points of the request, of the unit, of the bus are so from now on. */
void delivery_request_refused(struct delivery *delivery, const struct poll_request *poll);
void delivery_unit_offline(struct delivery *delivery, const struct poll_unit *unit);
void delivery_all_offline(struct delivery *delivery);

/* Points whose unit is away, as is known from before. */
void delivery_absent_offline(struct delivery *delivery);

/* Look for points that were not read in time, at most once a second: the bus is too slow for its periods, or a unit is left
 * alone for a while. Nobody is woken for it: whoever waits for a point that is late is awake. */
void delivery_look_for_stale(struct delivery *delivery);

#endif
