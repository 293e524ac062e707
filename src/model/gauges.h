/* What the gateway tells the server of itself, as points of a device of its own: they are on no bus, and their values come from
 * its health (model/health.h). So they take the way of all samples: reported on change, stored, sent in batches with QoS 1.
 *
 * States are reported when they change, and all are once in each period. Keys are made of the names of buses: bus_NAME_load,
 * unit_NAME_NUMBER_state. gateway.conf(5) lists them.
 */
#ifndef MODEL_GAUGES_H
#define MODEL_GAUGES_H

#include "model/health.h"
#include "model/sample.h"
#include "model/settings.h"

/* How often a state that changed is noticed. */
#define GAUGES_LOOK_S 10

/* Give the device its points, for all buses and units that the settings have. Once, when all else is there.
 * Returns 0 or -ENOMEM. */
int gauges_build(struct settings *settings, struct device *gateway);

/* A sample for each of the gateway's points, those without a value left out. `ret` has room for all of them. Labels are static.
 * Returns how many. */
size_t gauges_read(const struct settings *settings, const struct health *health, struct sample *ret);

#endif
