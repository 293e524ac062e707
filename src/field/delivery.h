/* What goes up of the points of a Modbus bus: the values of replies, and each change of a point's quality, once. What finds no
 * room above is dropped and counted; a quality that found none is told when it is noticed again. One thread, the bus's worker.
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

/* Hand up the items of the reply whose time has come.
 * cells  poll->count of them */
void delivery_reply(struct delivery *delivery, const struct poll_request *poll, const uint16_t *cells,
    const struct link_report *report);

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
