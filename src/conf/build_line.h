/* Inputs that are right -> settings, of serial instruments. Part of conf.c: everything is copied into the settings. All return 0 or
 * -ENOMEM. */
#ifndef CONF_BUILD_LINE_H
#define CONF_BUILD_LINE_H

#include "conf/schema.h"

int build_line_bus(struct settings *settings, const struct bus_input *input, struct bus *bus);
int build_line_device(struct settings *settings, const struct device_input *input, struct device *device);

/* Only for points on buses of serial instruments. */
int build_line_point(struct settings *settings, const struct point_input *input, struct point *point);

#endif
