#include "field/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "field/bus.h"
#include "field/link_modbus.h"
#include "field/serial_bus.h"

struct worker_ops {
	void (*free)(void *self);
	int (*start)(void *self);
	void (*tell_pause)(void *self);
	void (*tell_stop)(void *self);
	void (*tell_close)(void *self);
	bool (*await)(void *self, int64_t until_us);
	void (*close)(void *self);
	void (*adopt)(void *self, void *from, const struct difference *difference);
	struct health_bus *(*report)(const void *self, bool full);
	int (*ask)(void *self, const struct health_question *question);
	int (*busy_max_ms)(const void *self);
	int (*command)(void *self, const struct command *commands, size_t count);
};

struct worker {
	const struct worker_ops *ops;
	void *self;
};

/* --- Modbus --- */

static void
modbus_free(void *self)
{
	bus_worker_free(self);
}

static int
modbus_start(void *self)
{
	return bus_worker_start(self);
}

static void
modbus_tell_pause(void *self)
{
	bus_worker_tell_pause(self);
}

static void
modbus_tell_stop(void *self)
{
	bus_worker_tell_stop(self);
}

static bool
modbus_await(void *self, int64_t until_us)
{
	return bus_worker_await(self, until_us);
}

static void
modbus_close(void *self)
{
	bus_worker_close(self);
}

static void
modbus_adopt(void *self, void *from, const struct difference *difference)
{
	bus_worker_adopt(self, from, difference);
}

static struct health_bus *
modbus_report(const void *self, bool full)
{
	return bus_worker_report(self, full);
}

static int
modbus_ask(void *self, const struct health_question *question)
{
	return bus_worker_ask(self, question);
}

static int
modbus_busy_max_ms(const void *self)
{
	return bus_worker_busy_max_ms(self);
}

static int
modbus_command(void *self, const struct command *commands, size_t count)
{
	return bus_worker_command(self, commands, count);
}

static const struct worker_ops modbus_ops = {
	.free = modbus_free,
	.start = modbus_start,
	.tell_pause = modbus_tell_pause,
	.tell_stop = modbus_tell_stop,
	.tell_close = modbus_tell_stop,
	.await = modbus_await,
	.close = modbus_close,
	.adopt = modbus_adopt,
	.report = modbus_report,
	.ask = modbus_ask,
	.busy_max_ms = modbus_busy_max_ms,
	.command = modbus_command,
};

static struct link *
make_link(void *ctx, const struct bus *bus, int stop_fd)
{
	return link_modbus_new(bus, ctx, stop_fd);
}

/* --- serial instruments --- */

static void
serial_free(void *self)
{
	serial_bus_free(self);
}

static int
serial_start(void *self)
{
	return serial_bus_start(self);
}

static void
serial_tell_pause(void *self)
{
	serial_bus_tell_pause(self);
}

static void
serial_tell_stop(void *self)
{
	serial_bus_tell_stop(self);
}

static void
serial_tell_close(void *self)
{
	serial_bus_tell_close(self);
}

static bool
serial_await(void *self, int64_t until_us)
{
	return serial_bus_await(self, until_us);
}

static void
serial_close(void *self)
{
	serial_bus_close(self);
}

static void
serial_adopt(void *self, void *from, const struct difference *difference)
{
	serial_bus_adopt(self, from, difference);
}

static struct health_bus *
serial_report(const void *self, bool full)
{
	return serial_bus_report(self, full);
}

static int
serial_ask(void *self, const struct health_question *question)
{
	return serial_bus_ask(self, question);
}

static int
serial_busy_max_ms(const void *self)
{
	return serial_bus_busy_max_ms(self);
}

static int
serial_command(void *self, const struct command *commands, size_t count)
{
	return serial_bus_command(self, commands, count);
}

static const struct worker_ops serial_ops = {
	.free = serial_free,
	.start = serial_start,
	.tell_pause = serial_tell_pause,
	.tell_stop = serial_tell_stop,
	.tell_close = serial_tell_close,
	.await = serial_await,
	.close = serial_close,
	.adopt = serial_adopt,
	.report = serial_report,
	.ask = serial_ask,
	.busy_max_ms = serial_busy_max_ms,
	.command = serial_command,
};

/* --- either --- */

struct worker *
worker_new(const struct settings *settings, const struct bus *bus, struct resolver *resolver,
    struct sample_sink samples, struct outcome_sink outcomes)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct link_maker maker = { .make = make_link, .ctx = resolver };
	int error;

	if (!worker)
		return NULL;
	worker->ops = bus_is_line(bus) ? &serial_ops : &modbus_ops;
	if (bus_is_line(bus))
		worker->self = serial_bus_new(settings, bus, resolver, samples, outcomes);
	else
		worker->self = bus_worker_new(settings, bus, maker, samples, outcomes);
	if (worker->self)
		return worker;
	error = errno;
	free(worker);
	errno = error;
	return NULL;
}

void
worker_free(struct worker *worker)
{
	if (!worker)
		return;
	worker->ops->free(worker->self);
	free(worker);
}

int
worker_start(struct worker *worker)
{
	return worker->ops->start(worker->self);
}

void
worker_tell_pause(struct worker *worker)
{
	worker->ops->tell_pause(worker->self);
}

void
worker_tell_stop(struct worker *worker)
{
	worker->ops->tell_stop(worker->self);
}

void
worker_tell_close(struct worker *worker)
{
	worker->ops->tell_close(worker->self);
}

bool
worker_await(struct worker *worker, int64_t until_us)
{
	return worker->ops->await(worker->self, until_us);
}

void
worker_close(struct worker *worker)
{
	worker->ops->close(worker->self);
}

void
worker_adopt(struct worker *worker, struct worker *from, const struct difference *difference)
{
	assert(worker->ops == from->ops);
	worker->ops->adopt(worker->self, from->self, difference);
}

struct health_bus *
worker_report(const struct worker *worker, bool full)
{
	return worker->ops->report(worker->self, full);
}

int
worker_ask(struct worker *worker, const struct health_question *question)
{
	return worker->ops->ask(worker->self, question);
}

int
worker_busy_max_ms(const struct worker *worker)
{
	return worker->ops->busy_max_ms(worker->self);
}

int
worker_command(struct worker *worker, const struct command *commands, size_t count)
{
	return worker->ops->command(worker->self, commands, count);
}
