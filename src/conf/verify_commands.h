/* What only shows of writes, RPC and calls when they are seen together with the points of their device. Part of verify.c,
 * in whose order it is called. A setting that the reader has found wrong already is not judged again. */
#ifndef CONF_VERIFY_COMMANDS_H
#define CONF_VERIFY_COMMANDS_H

#include "conf/schema.h"

struct mistakes;
struct names;

/* Judge rpc, calls, on_connect and on_cloud_loss of a device whose points have been judged, and find their points.
 * keys  of its points, sorted
 * Returns 0 whether or not there are mistakes; -ENOMEM. */
int verify_commands(const struct device_input *device, const struct names *keys, struct mistakes *mistakes);

#endif
