/* Rounds through the gateway: every worker and the cloud's thread are asked how they are and answer when they come to it. Who
 * does not answer within INSPECTOR_WAIT_MS is shown as he was before, with how long he has been silent; he is not asked again
 * until he has answered. There is one round at a time, and nothing happens while nobody asks. The main thread's.
 */
#ifndef CLI_INSPECTOR_H
#define CLI_INSPECTOR_H

#include <systemd/sd-event.h>

#include "cli/gateway.h"
#include "model/health.h"

#define INSPECTOR_WAIT_MS 3000

struct inspector;

/* The gateway must be started, and outlive it until gateway_stop() has returned. Returns NULL with errno set. */
struct inspector *inspector_new(sd_event *loop, struct gateway *gateway);

/* The gateway has other settings: what is known of before is forgotten. Returns 0 or -ENOMEM, and then it knows of nothing. */
int inspector_renew(struct inspector *inspector);

/* After gateway_stop(), and before gateway_free(): then every report is back. NULL is fine. */
void inspector_free(struct inspector *inspector);

/* The health is valid during the call. */
typedef void inspector_done(void *ctx, uint64_t number, const struct health *health);

/* Ask, and call `done` with the number when the round is over, from the loop. full  with all points
 * Returns 0 or -ENOMEM. */
int inspector_ask(struct inspector *inspector, bool full, inspector_done *done, void *ctx, uint64_t number);

/* Who has not answered for longer than he can be busy plus `slack_ms`, in words ("bus meters"), or NULL. */
const char *inspector_stuck(struct inspector *inspector, int64_t slack_ms, int64_t *ret_silent_ms);

#endif
