/* When the server is out of reach: a device whose session has been down for cloud_loss_s gets its
 * on_cloud_loss values, each once, until the server has answered again. The cloud's thread; is told of
 * sessions, knows none.
 */
#ifndef CLOUD_CLOUD_LOSS_H
#define CLOUD_CLOUD_LOSS_H

#include <stdint.h>

#include "cloud/commands.h"
#include "cloud/shared.h"
#include "model/difference.h"
#include "model/sample.h"
#include "model/settings.h"

struct cloud_loss;

/* Nothing was heard yet: the silence begins now. All three must outlive it. Returns NULL when there is no
 * memory. */
struct cloud_loss *cloud_loss_new(
    const struct settings *settings, struct commands *commands, struct shared *shared);
void cloud_loss_free(struct cloud_loss *loss);

/* Go on where `from`, of older settings and with the same commands, has been: a loss goes on, and values that are the same and
 * were written in it are not written again. */
void cloud_loss_adopt(struct cloud_loss *loss, struct cloud_loss *from, const struct difference *difference);

/* The server has answered: from now on it says what is to be written. */
void cloud_loss_heard(struct cloud_loss *loss, size_t device);

/* A session has ended. */
void cloud_loss_silent(struct cloud_loss *loss, size_t device);

/* A fresh sample: its unit answers, so what could not be written to it is tried again. */
void cloud_loss_sample(struct cloud_loss *loss, const struct sample *sample);

/* When cloud_loss_tick() is to be called, CLOCK_NEVER if it need not. */
int64_t cloud_loss_due_mono_ms(const struct cloud_loss *loss);
void cloud_loss_tick(struct cloud_loss *loss);

#endif
