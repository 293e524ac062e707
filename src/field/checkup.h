/* What a bus knows of its units and points, for whoever asks (model/health.h). Any thread that owns the schedule. */
#ifndef FIELD_CHECKUP_H
#define FIELD_CHECKUP_H

#include "field/instrument.h"
#include "field/link.h"
#include "field/schedule.h"
#include "model/health.h"

void checkup_line(const struct link_counters *counters, struct health_line *ret);

/* The same of serial instruments: each device is a unit. */
void checkup_instruments(const struct instruments *instruments, struct health_bus *report);

/* Load, units, points: as many as there is room for. */
void checkup_schedule(const struct schedule *schedule, struct health_bus *report);

#endif
