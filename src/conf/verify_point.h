/* What only shows of a point when several of its settings are seen together. Part of verify.c, in whose order it is
 * called. A setting that the reader has found wrong already is not judged again. */
#ifndef CONF_VERIFY_POINT_H
#define CONF_VERIFY_POINT_H

#include "conf/schema.h"

struct mistakes;
struct names;

/* Judge and complete a point whose bus and unit are known. Returns 0 whether or not there are mistakes; -ENOMEM. */
int verify_point(struct point_input *point, const struct device_input *device, struct mistakes *mistakes);

/* The keys that the gateway makes of those of the device's points, which must be other keys than those. */
void verify_made_keys(const struct device_input *device, const struct names *keys, struct mistakes *mistakes);

#endif
