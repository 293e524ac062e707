/* A bus at work, of whatever kind: Modbus (field/bus.h) or serial instruments (field/serial_bus.h), behind one table of operations.
 */
#ifndef FIELD_WORKER_H
#define FIELD_WORKER_H

#include "base/resolver.h"
#include "model/command.h"
#include "model/difference.h"
#include "model/health.h"
#include "model/sample.h"
#include "model/settings.h"

struct worker;

/* What the headers of the kinds say of these. */
struct worker *worker_new(const struct settings *settings, const struct bus *bus, struct resolver *resolver,
    struct sample_sink samples, struct outcome_sink outcomes);
void worker_free(struct worker *worker);
int worker_start(struct worker *worker);
void worker_tell_pause(struct worker *worker);
void worker_tell_stop(struct worker *worker);
void worker_tell_close(struct worker *worker); /* as tell_stop, and worker_close() will follow */
bool worker_await(struct worker *worker, int64_t until_us);
void worker_close(struct worker *worker);
void worker_adopt(struct worker *worker, struct worker *from, const struct difference *difference);
struct health_bus *worker_report(const struct worker *worker, bool full);
int worker_ask(struct worker *worker, const struct health_question *question);
int worker_busy_max_ms(const struct worker *worker);
int worker_command(struct worker *worker, const struct command *commands, size_t count);

#endif
