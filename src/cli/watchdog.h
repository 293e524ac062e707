/* What the service manager is told while the gateway works: in STATUS= how it is, in few words; and, if it set a watchdog, that
 * nothing is stuck.
 *
 * A round (cli/inspector.h) is made at half of the watchdog's time, or each WATCHDOG_PERIOD_MS if that is less; that is all that
 * wakes an idle gateway regularly. The watchdog is fed if nobody is stuck: a bus is not, as long as its thread comes back from
 * what it does, be it that its port cannot be opened or that none of its units answers. Its thread, or the cloud's, is stuck if it
 * has not answered for longer than it can be busy and all of the watchdog's time besides. The disk may be as slow as it likes: it
 * has a thread of its own, nobody waits for it, and a restart would cost what only memory holds.
 * The main thread's.
 */
#ifndef CLI_WATCHDOG_H
#define CLI_WATCHDOG_H

#include <systemd/sd-event.h>

#include "cli/inspector.h"

#define WATCHDOG_PERIOD_MS 30000
#define WATCHDOG_FIRST_MS  3000 /* so that STATUS= soon says something */

struct watchdog;

/* Does nothing if there is no service manager. Returns 0 or negative errno. */
int watchdog_start(sd_event *loop, struct inspector *inspector, struct watchdog **ret);

/* NULL is fine. */
void watchdog_stop(struct watchdog *watchdog);

#endif
