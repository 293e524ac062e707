/* What only shows of serial instruments when several settings are seen together. Part of verify.c, in whose order it is called. A
 * setting that the reader has found wrong already is not judged again. */
#ifndef CONF_VERIFY_LINE_H
#define CONF_VERIFY_LINE_H

#include "conf/schema.h"

struct mistakes;

/* Judge and complete what a bus of serial instruments says about frames; nothing on other buses. */
void verify_line_bus(struct bus_input *bus, struct mistakes *mistakes);

/* What a device says about frames. To be called when the buses of its points are known. */
void verify_line_device(struct device_input *device, struct mistakes *mistakes);

/* Settle where in a frame a point is, and the type that its values have. Returns false if that is not known. */
bool verify_line_point(struct point_input *point, const struct device_input *device, struct mistakes *mistakes);

/* A point on a Modbus bus: has it what it needs, and nothing of serial instruments? Returns false if its table is not known. */
bool verify_modbus_point(const struct point_input *point, struct mistakes *mistakes);

/* Is the point one of serial instruments, as far as that is known? */
bool verify_is_line(const struct point_input *point);

#endif
