/* What the log says of the units and points of a Modbus bus, each line in one place. Who calls knows that it is a change. Any
 * thread; it keeps nothing.
 */
#ifndef FIELD_BUS_LOG_H
#define FIELD_BUS_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "field/schedule.h"

/* What became of the unit, if anything.
 * error       of the exchange that made it so, timeout_ms for which it should have been waited
 * away_us     on UNIT_BACK
 * asked_again  somebody tries it by himself until it answers */
void bus_log_unit(const struct bus *bus, const struct poll_unit *unit, enum unit_change change, int error,
    int timeout_ms, int64_t away_us, bool asked_again);

/* It answers after its timeout; it is not asked for holes any more. */
void bus_log_late(const struct bus *bus, const struct poll_unit *unit);
void bus_log_no_holes(const struct bus *bus, const struct poll_unit *unit);

/* What of the lengths that it takes is not as it was `before`. */
void bus_log_length(const struct bus *bus, const struct poll_unit *unit, const struct plan_unit *before);

/* A request that failed or was refused, alone, is answered again; is not answered; brought an exception, with what is done about
 * it. */
void bus_log_answered(const struct bus *bus, const struct poll_request *request);
void bus_log_unanswered(const struct bus *bus, const struct poll_request *request);
void bus_log_refused(const struct bus *bus, const struct poll_request *request, int exception,
    enum schedule_verdict verdict);

/* What the point holds decodes again, or not any more.
 * error  of codec_decode() */
void bus_log_decoded(const struct bus *bus, const struct point *point, int error);

/* Points that are left out because of what an earlier run found: some of them, and how many more. */
void bus_log_remembered(const struct bus *bus, const struct schedule *schedule);

#endif
