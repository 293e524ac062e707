#include "fake/fake_link.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "field/port.h"

static struct fake_link *
self_of(const struct link *link)
{
	return (struct fake_link *)(uintptr_t)link;
}

static int
fake_open(struct link *link, int wake_fd, int64_t until_us)
{
	struct fake_link *self = self_of(link);
	int error;

	(void)wake_fd;
	(void)until_us;
	pthread_mutex_lock(&self->lock);
	error = self->open_error;
	self->opened += error == 0;
	self->open = error == 0;
	pthread_mutex_unlock(&self->lock);
	return error;
}

static void
fake_close(struct link *link)
{
	self_of(link)->open = false;
}

static const char *
fake_fault(struct link *link)
{
	(void)link;
	return "the fake does not open";
}

static int64_t
fake_ready_us(const struct link *link)
{
	(void)link;
	return 0;
}

static int
fake_idle_fd(const struct link *link, short *ret_events)
{
	(void)link;
	*ret_events = 0;
	return -1;
}

static int
fake_idle(struct link *link)
{
	(void)link;
	return -EIO;
}

static const char *
fake_news(struct link *link)
{
	(void)link;
	return NULL;
}

static const struct link_counters *
fake_counters(const struct link *link)
{
	static const struct link_counters none;

	(void)link;
	return &none;
}

static int
answer(struct fake_link *self, const struct pdu_request *request, uint16_t *cells)
{
	uint16_t stuck = self->stuck_addr >= 0 ? self->cells[self->stuck_addr] : 0;
	uint16_t *cell = &self->cells[request->addr];

	if (self->lacks_function == (int)request->function)
		return PDU_ILLEGAL_FUNCTION;
	if (self->bad_addr >= request->addr && self->bad_addr < request->addr + request->count)
		return PDU_ILLEGAL_ADDRESS;
	if (request->function == PDU_MASK_WRITE_REGISTER)
		*cell = (uint16_t)((*cell & request->cells[0]) | (request->cells[1] & ~request->cells[0]));
	else if (pdu_writes(request))
		memcpy(cell, request->cells, (size_t)request->count * sizeof(*cells));
	else
		memcpy(cells, cell, (size_t)request->count * sizeof(*cells));
	if (self->stuck_addr >= 0)
		self->cells[self->stuck_addr] = stuck;
	return 0;
}

static int
fake_exchange(struct link *link, const struct pdu_request *request, int timeout_ms, uint16_t *cells,
    struct link_report *report)
{
	struct fake_link *self = self_of(link);
	int64_t asked_us = clock_mono_us();
	int result;
	int cost_ms;

	if (request->send_by_mono_us != 0 && asked_us >= request->send_by_mono_us) {
		*report = (struct link_report){ .asked_mono_us = asked_us };
		return -ETIME;
	}
	*report = (struct link_report){ .sent = true, .asked_mono_us = asked_us };
	pthread_mutex_lock(&self->lock);
	result = self->next_error;
	self->next_error = 0;
	if (self->asked_count < FAKE_ASKED_MAX)
		self->asked[self->asked_count++] = (struct fake_asked){ .unit = request->unit,
			.function = request->function,
			.addr = request->addr,
			.count = request->count,
			.at_us = asked_us };
	if (result == 0 && request->unit == self->dead_unit)
		result = -ETIMEDOUT;
	else if (result == 0)
		result = answer(self, request, cells);
	report->sent = result != -ENOTCONN;
	cost_ms = result == -ETIMEDOUT ? timeout_ms : self->cost_ms;
	self->under_way = report->sent;
	pthread_mutex_unlock(&self->lock);
	if (report->sent && link->meanwhile)
		link->meanwhile(link->ctx);
	if (cost_ms > 0 && port_wait(-1, 0, -1, self->stop_fd, asked_us + cost_ms * 1000) == -ECANCELED)
		return -ECANCELED;
	pthread_mutex_lock(&self->lock);
	self->under_way = false;
	pthread_mutex_unlock(&self->lock);
	report->done_mono_us = clock_mono_us();
	report->done_unix_ms = clock_unix_ms();
	return result;
}

static void
fake_rebind(struct link *link, const struct bus *bus)
{
	(void)link, (void)bus;
}

static void
fake_free(struct link *link)
{
	(void)link;
}

static const struct link_ops fake_ops = {
	.open = fake_open,
	.close = fake_close,
	.fault = fake_fault,
	.ready_us = fake_ready_us,
	.idle_fd = fake_idle_fd,
	.idle = fake_idle,
	.news = fake_news,
	.counters = fake_counters,
	.exchange = fake_exchange,
	.rebind = fake_rebind,
	.free = fake_free,
};

void
fake_link_init(struct fake_link *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->link.ops = &fake_ops;
	fake->dead_unit = -1;
	fake->bad_addr = -1;
	fake->stuck_addr = -1;
	pthread_mutex_init(&fake->lock, NULL);
}

static struct link *
make(void *ctx, const struct bus *bus, int stop_fd)
{
	struct fake_link *fake = ctx;

	(void)bus;
	fake->stop_fd = stop_fd;
	return &fake->link;
}

struct link_maker
fake_link_maker(struct fake_link *fake)
{
	return (struct link_maker){ .make = make, .ctx = fake };
}

int
fake_link_asked(struct fake_link *fake)
{
	int count;

	pthread_mutex_lock(&fake->lock);
	count = fake->asked_count;
	pthread_mutex_unlock(&fake->lock);
	return count;
}
