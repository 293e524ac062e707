/* Which samples are worth the way from a bus's thread to the cloud's: those that are to be reported, and those that somebody there
 * watches or adds up. The rest ends where it was read, and costs no wake-up.
 *
 * sieve_wants() and sieve_lost(): any thread, one at a time for each point, that of its bus. sieve_forget() and sieve_values(): any
 * thread, any time. All else: while the buses stand still.
 */
#ifndef CLOUD_SIEVE_H
#define CLOUD_SIEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/difference.h"
#include "model/sample.h"
#include "model/settings.h"

struct sieve;

/* Settings outlive it. Returns NULL when there is no memory. */
struct sieve *sieve_new(const struct settings *settings);
void sieve_free(struct sieve *sieve);

/* Go on where `from`, of older settings, has been. Only sieve_free() is left to do with `from`. */
void sieve_adopt(struct sieve *sieve, struct sieve *from, const struct difference *difference);

/* What sample_sink.wants is to answer. Says in the sample why: `reported` by its point's report, deadbands and intervals, which
 * take it as told from now on; `watched` by others. After anything but a good sample the next good one is reported, whatever
 * it is. */
bool sieve_wants(struct sieve *sieve, struct sample *sample);

/* It found no room: it was not reported after all. */
void sieve_lost(struct sieve *sieve, const struct sample *sample);

/* Whoever looks after an outage sees how things are, not how they were before it: the next sample of each of the device's points
 * is reported. */
void sieve_forget(struct sieve *sieve, size_t device);

/* Good samples that were looked at. */
uint64_t sieve_values(const struct sieve *sieve);

#endif
