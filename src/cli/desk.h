/* What the control socket can be asked, and who does it. The main thread's. */
#ifndef CLI_DESK_H
#define CLI_DESK_H

#include <systemd/sd-event.h>

#include "cli/gateway.h"
#include "cli/herald.h"
#include "cli/inspector.h"

struct desk;

/* Open at `path`, as control_path() takes it. Returns 0 or negative errno, and the log says what does not work then. */
int desk_open(sd_event *loop, const char *path, struct gateway *gateway, struct inspector *inspector,
    struct herald *herald, struct desk **ret);

/* NULL is fine. */
void desk_close(struct desk *desk);

#endif
