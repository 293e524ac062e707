/* Calls of the configuration: the server is asked by RPC when a point changes or from time to time, with what
 * points hold then, and what it answers is written to points. The parameters are read from the units for it,
 * the results are checked before the first is written, and written one after the other.
 *
 * A call that cannot be made because there is no session is made with the next one, once; so is one that the
 * end of its session has cut off. What fails otherwise is said once and counted, and is made again when the
 * point changes again or the period is over. The cloud's thread.
 */
#ifndef CLOUD_CALLS_H
#define CLOUD_CALLS_H

#include <stdint.h>

#include "cloud/commands.h"
#include "cloud/rpc_client.h"
#include "cloud/shared.h"
#include "model/difference.h"
#include "model/sample.h"
#include "model/settings.h"

struct calls;

/* All must outlive it. Returns NULL when there is no memory. */
struct calls *calls_new(const struct settings *settings, struct commands *commands,
    struct rpc_client *rpc_client, struct shared *shared);
void calls_free(struct calls *calls);

/* The device's session is ready; it is over, to be told before rpc_client_down(). */
void calls_up(struct calls *calls, size_t device);
void calls_down(struct calls *calls, size_t device);

/* Go on where `from`, of older settings, has been: what runs there ends there, and is made again from the
 * start by calls_adopted(), when all else has been adopted. To be called after commands_adopt() and before
 * rpc_client_adopt(). */
void calls_adopt(struct calls *calls, struct calls *from, const struct difference *difference);
void calls_adopted(struct calls *calls);

/* A sample, whatever its quality. */
void calls_sample(struct calls *calls, const struct sample *sample);

/* When calls_tick() is to be called, CLOCK_NEVER if it need not. */
int64_t calls_due_mono_ms(const struct calls *calls);
void calls_tick(struct calls *calls);

struct calls_counts {
	uint64_t made;	 /* that came to their end, good or bad */
	uint64_t failed; /* of these */
};
struct calls_counts calls_counts(const struct calls *calls);

#endif
