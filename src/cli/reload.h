/* A changed configuration is taken over, whoever asked for it: SIGHUP, or somebody at the control socket, or the server. The main thread's. */
#ifndef CLI_RELOAD_H
#define CLI_RELOAD_H

#include <stdio.h>

#include "cli/gateway.h"
#include "cli/herald.h"
#include "cli/inspector.h"

/* As gateway_reload(); the service manager sees that it is going on. */
int reload_gateway(struct gateway *gateway, struct inspector *inspector, struct herald *herald, FILE *told);

#endif
