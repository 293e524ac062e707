/* Taking over a changed configuration; fieldgate reload, which asks for it. */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/reload.h"

/* MONOTONIC_USEC is what Type=notify-reload wants (systemd 253); Type=notify ignores it. */
int
reload_gateway(struct gateway *gateway, struct inspector *inspector, struct herald *herald, FILE *told)
{
	int error;

	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
	error = gateway_reload(gateway, told);
	if (error == 0 && inspector_renew(inspector) < 0)
		gateway->failed = true;
	if (error == 0 && herald_renew(herald) < 0)
		gateway->failed = true;
	sd_notify(0, "READY=1");
	/* A gateway that cannot go on is to be started again. */
	if (gateway->failed) {
		log_error("reload: out of memory or threads: cannot go on");
		kill(getpid(), SIGTERM);
	}
	return error;
}
