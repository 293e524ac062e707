#include <config.h>

#include <errno.h>
#include <modbus.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "field/frame.h"
#include "field/line.h"
#include "field/link_modbus.h"
#include "field/port.h"
#include "field/serial.h"

/* After a failure a serial line is settled when nothing came for this long: adapters hold bytes back for up
 * to 16 ms. */
#define SETTLE_QUIET_US 20000
/* How long a request that writes is still waited for when the bus is to stop. */
#define STOP_GRACE_US 1000000
/* A busy system may let us look so long after the timeout; later than that nobody knows when a reply came. */
#define LATE_LOOK_US 50000
/* Through a serial server: so many failures in a row of whatever units, and the connection itself is doubted.
 */
#define FRUITLESS_MAX 6
#define DRAIN_MAX     4096
/* So many bytes in one exchange are no reply, however long the timeout: eight of the longest frames. */
#define TAKEN_MAX 2048
/* As many bytes between two frames as cannot be a reply are noise; more may be one that lost its shape. */
#define REPLY_LIKE_MIN FRAME_RTU_EXCEPTION

/* Does what is sent come back? */
enum echo_state { ECHO_UNKNOWN, ECHO_ABSENT, ECHO_PRESENT };

struct link_modbus {
	struct link link;
	const struct bus *bus;
	struct port *port;
	int stop_fd;
	modbus_t *modbus; /* frames requests on a serial line; NULL for Modbus TCP */
	int64_t silence_us;
	int64_t active_us;	/* when the line was last seen busy, in either direction */
	int64_t pause_until_us; /* the bus's request_pause_ms and connect_pause_ms */
	bool unsettled;		/* after opening and after a failure: something may still come */
	int fruitless;
	uint16_t transaction;
	enum echo_state echo;

	struct link_counters counters;
	struct serial_errors errors; /* of the UART, when it was opened or they were counted last */
	bool counts_errors;
	bool echo_told;
	bool errors_told; /* since it was opened */
	char news[160];

	size_t taken;		  /* bytes in hand */
	uint8_t bytes[TAKEN_MAX]; /* what came since the last request */
};

/* One exchange on its way. */
struct exchange {
	const struct pdu_request *request;
	struct link_report *report;
	uint16_t *cells;
	int64_t deadline_us;
	int64_t too_late_us; /* what is found later is no value */
	int stop_fd; /* -1 once we know that we are to stop */
	uint8_t sent[FRAME_MAX];
	size_t sent_length;
	bool ambiguous; /* its echo would pass for its answer */
};

static struct link_modbus *
self_of(const struct link *link)
{
	return (struct link_modbus *)(void *)((char *)(uintptr_t)link - offsetof(struct link_modbus, link));
}

static bool
is_mbap(const struct link_modbus *self)
{
	return self->bus->type == BUS_TCP;
}

static bool
is_socket(const struct link_modbus *self)
{
	return self->bus->type != BUS_RTU;
}

static int
link_open(struct link *link, int wake_fd, int64_t until_us)
{
	struct link_modbus *self = self_of(link);
	int error = port_open(self->port, wake_fd, until_us);
	int64_t now_us = clock_mono_us();

	if (error != 0)
		return error;
	/* A serial line is a row of short sleeps; the 50 us by which the kernel may lengthen each are a
	 * twentieth of a short exchange at 115200 baud. */
	if (!is_socket(self))
		(void)prctl(PR_SET_TIMERSLACK, 1UL);
	self->unsettled = true;
	self->fruitless = 0;
	self->taken = 0;
	self->active_us = is_socket(self) ? 0 : now_us;
	self->pause_until_us = now_us + (is_socket(self) ? (int64_t)self->bus->connect_pause_ms * 1000 : 0);
	self->echo = self->bus->echo == ECHO_STRIP ? ECHO_PRESENT
		     : self->bus->echo == ECHO_OFF ? ECHO_ABSENT
						   : ECHO_UNKNOWN;
	self->counts_errors = !is_socket(self) && serial_read_errors(port_fd(self->port), &self->errors) == 0;
	self->errors_told = false;
	return 0;
}

static void
link_close(struct link *link)
{
	port_close(self_of(link)->port);
}

static const char *
link_fault(struct link *link)
{
	return port_fault(self_of(link)->port);
}

static int64_t
quiet_us(const struct link_modbus *self)
{
	if (is_mbap(self))
		return 0;
	return self->unsettled && self->silence_us < SETTLE_QUIET_US ? SETTLE_QUIET_US : self->silence_us;
}

static int64_t
link_ready_us(const struct link *link)
{
	const struct link_modbus *self = self_of(link);
	int64_t ready = self->active_us + quiet_us(self);

	return ready > self->pause_until_us ? ready : self->pause_until_us;
}

/* Bytes on an idle serial line wake nobody: noise is found before the next request, and a babbling unit shall
 * not cost a wake-up a byte. On Modbus TCP they mean that we are out of step. */
static int
link_idle_fd(const struct link *link, short *ret_events)
{
	const struct link_modbus *self = self_of(link);

	*ret_events = POLLIN;
	if (!port_is_open(self->port))
		return port_watch_fd(self->port);
	if (!is_mbap(self))
		*ret_events = is_socket(self) ? POLLRDHUP : 0;
	return port_fd(self->port);
}

static int
link_idle(struct link *link)
{
	struct link_modbus *self = self_of(link);

	if (!port_is_open(self->port)) {
		port_watch_end(self->port);
		return 0;
	}
	return is_socket(self) ? -ENOTCONN : -EIO;
}

/* --- bytes --- */

/* Take what is there. Returns how many bytes came, 0 if none; negative errno, -ENOTCONN when a peer has ended
 * the connection. */
static int
take_bytes(struct link_modbus *self)
{
	ssize_t got;

	do
		got = read(port_fd(self->port), self->bytes + self->taken, sizeof(self->bytes) - self->taken);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got <= 0)
		return is_socket(self) ? -ENOTCONN : got < 0 ? -errno : -EIO;
	self->taken += (size_t)got;
	return (int)got;
}

/* What a search counted, and the bytes that it left, which a later one looks at. */
static void
note_search(struct link_modbus *self, const struct frame_search *search, struct link_report *report)
{
	report->echoed = report->echoed || search->echoed;
	report->noise_bytes += search->noise;
	report->stale_bytes += search->stale;
	self->counters.noise_bytes += search->noise;
	self->counters.stale_bytes += search->stale;
	self->counters.echoes += search->echoed;
	for (int i = 0; i < search->stale_count && report->stale_count < LINK_STALE_MAX; i++)
		report->stale_units[report->stale_count++] = search->stale_units[i];
	self->taken -= search->at;
	memmove(self->bytes, self->bytes + search->at, self->taken);
}

/* --- before the request --- */

/* Nobody asked for the bytes in hand: late replies, or noise. */
static void
discard(struct link_modbus *self, struct link_report *report)
{
	struct frame_search search = { .request = NULL };

	(void)frame_search(&search, self->bytes, self->taken, NULL);
	frame_search_end(&search, self->taken);
	note_search(self, &search, report);
}

/* Modbus TCP: any byte that nobody asked for means that we are out of step, and a new connection is the cure.
 */
static int
look_mbap(struct link_modbus *self, struct link_report *report)
{
	int got = take_bytes(self);

	if (got == 0 && self->taken == 0)
		return 0;
	report->stale_bytes += self->taken;
	self->counters.stale_bytes += self->taken;
	return -ENOTCONN;
}

/* Take all that has come, as far as there is room. */
static int
drain(struct link_modbus *self, struct link_report *report)
{
	int total = 0;
	int got;

	do {
		if (self->taken == sizeof(self->bytes))
			discard(self, report);
		got = take_bytes(self);
		if (got < 0)
			return got;
		total += got;
	} while (got > 0 && total < DRAIN_MAX);
	return total;
}

/* Keep the silence that the standard wants between two frames (2.5.1.1), and let the line become quiet after
 * a failure, so that no late reply answers the next request. A line that never is quiet is given up after the
 * timeout. */
static int
settle(struct link_modbus *self, int timeout_ms, struct link_report *report)
{
	int64_t give_up_us = clock_mono_us() + (int64_t)timeout_ms * 1000;

	if (is_mbap(self))
		return look_mbap(self, report);
	for (;;) {
		int got = drain(self, report);
		int64_t now_us = clock_mono_us();
		int error = got < 0 ? got : 0;

		if (got > 0)
			self->active_us = now_us;
		if (error == 0 && now_us >= self->active_us + quiet_us(self)) {
			discard(self, report);
			return 0;
		}
		if (error == 0 && now_us >= give_up_us)
			error = -EBUSY;
		if (error == 0)
			error = port_wait(-1, 0, -1, self->stop_fd, self->active_us + quiet_us(self));
		if (error < 0) {
			discard(self, report);
			return error;
		}
	}
}

/* --- the request --- */

/* A request that the line does not take at once will not be taken soon: nobody reads, or the adapter is
 * stuck. */
static int
send_error(const struct link_modbus *self)
{
	if (errno == EAGAIN || errno == EMBBADDATA)
		return is_socket(self) ? -ECONNRESET : -EIO;
	return -errno;
}

static int
send_rtu(struct link_modbus *self, const struct exchange *exchange)
{
	int64_t wire_us = line_chars_us(self->bus, exchange->sent_length);
	int fd = port_fd(self->port);
	int error = is_socket(self) ? 0 : serial_begin_send(self->bus, fd);

	if (error != 0)
		return error;
	modbus_set_socket(self->modbus, fd);
	if (modbus_set_slave(self->modbus, exchange->request->unit) != 0)
		return -EINVAL;
	if (modbus_send_raw_request(self->modbus, exchange->sent, (int)exchange->sent_length - 2) < 0)
		error = send_error(self);
	if (!is_socket(self) && serial_end_send(self->bus, fd, error == 0 ? wire_us : 0) != 0)
		error = -EIO;
	return error;
}

/* Not through modbus_send_raw_request(): that of 3.1.6 sends every request with transaction 0, and a late
 * reply would then answer the next request. */
static int
send_mbap(struct link_modbus *self, const struct exchange *exchange)
{
	ssize_t sent;

	do
		sent = send(
		    port_fd(self->port), exchange->sent, exchange->sent_length, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return send_error(self);
	return sent == (ssize_t)exchange->sent_length ? 0 : -ECONNRESET;
}

/* --- the reply --- */

/* Wait for `events` on the descriptor, or only for time if `fd` is -1. A write is waited for a little even if
 * the bus is to stop: whoever asked for it would never know. */
static int
wait_reply(struct exchange *exchange, int fd, int64_t until_us)
{
	int ready = port_wait(fd, POLLIN, -1, exchange->stop_fd, until_us);
	int64_t grace_us;

	if (ready != -ECANCELED || !pdu_writes(exchange->request))
		return ready;
	exchange->stop_fd = -1;
	grace_us = clock_mono_us() + STOP_GRACE_US;
	if (exchange->deadline_us > grace_us)
		exchange->deadline_us = grace_us;
	return port_wait(fd, POLLIN, -1, -1, until_us < grace_us ? until_us : grace_us);
}

/* We stood still (a stopped process, a suspended machine, a system out of memory) while the reply waited for us: nobody
 * knows when it came, and a value must not get the time of now. That a write was done is true whenever it is
 * found out. It is the timeout of the bus that decides: a unit that has failed is waited for a shorter time, but what is there
 * when we look is an answer as good as any. */
static bool
is_found_too_late(const struct exchange *exchange)
{
	return !pdu_writes(exchange->request) && clock_mono_us() > exchange->too_late_us;
}

/* Take more bytes: those that are there, or the first that come until `until_us`.
 * missing  so many cannot come sooner than they pass the wire: sleep meanwhile instead of waking for each
 * Returns how many came, 0 at `until_us`; negative errno, -ENOBUFS when more came than any reply has. */
static int
take_more(struct link_modbus *self, struct exchange *exchange, size_t missing, int64_t until_us)
{
	int64_t wire_us = missing > 1 ? line_chars_us(self->bus, missing - 1) : 0;
	int64_t now_us = wire_us > 0 ? clock_mono_us() : 0;
	int ready = 0;
	int got;

	if (self->taken == sizeof(self->bytes))
		return -ENOBUFS;
	if (wire_us > 0)
		ready = wait_reply(exchange, -1, now_us + wire_us < until_us ? now_us + wire_us : until_us);
	if (ready == 0)
		ready = wait_reply(exchange, port_fd(self->port), until_us);
	if (ready <= 0)
		return ready;
	got = take_bytes(self);
	if (got == 0) /* the descriptor had something to say, and it was no byte */
		return is_socket(self) ? -ECONNRESET : -EIO;
	if (got > 0 && is_found_too_late(exchange))
		return -ETIMEDOUT;
	if (got > 0)
		self->active_us = clock_mono_us();
	return got == -ENOTCONN ? -ECONNRESET : got;
}

static int
take_reply_mbap(struct link_modbus *self, struct exchange *exchange)
{
	size_t missing;

	for (;;) {
		int got = take_more(self, exchange, 0, exchange->deadline_us);
		int error;

		if (got <= 0)
			return got < 0 ? got : self->taken > 0 ? -EBADMSG : -ETIMEDOUT;
		error = frame_match_mbap(exchange->request, self->transaction, self->bytes, self->taken,
		    exchange->cells, &missing);
		if (error == -EAGAIN)
			continue;
		/* Bytes behind the answer stay: they are found before the next request. */
		if (error >= 0)
			self->taken -= frame_length_mbap(self->bytes);
		return error;
	}
}

/* Learn from an exchange whether the line has an echo. Nothing else than the adapter sends the request back
 * so soon, whether a unit is there or not, so that one look is enough; only a request whose echo passes for
 * its answer tells nothing. */
static void
learn_echo(
    struct link_modbus *self, const struct exchange *exchange, const struct frame_search *search, int error)
{
	bool answered = error >= 0;
	bool silent = self->taken == 0 && search->at == 0;

	if (self->echo == ECHO_PRESENT && !search->echoed && !silent && !(answered && search->clean))
		self->counters.collisions++;
	if (self->bus->echo != ECHO_AUTO || exchange->ambiguous)
		return;
	if (search->echoed)
		self->echo = ECHO_PRESENT;
	else if ((answered && search->clean) || (error == -ETIMEDOUT && silent))
		self->echo = ECHO_ABSENT;
}

/* Why there is no answer. */
static int
verdict(const struct frame_search *search)
{
	if (search->damaged || search->foreign || search->stale > 0 || search->noise >= REPLY_LIKE_MIN)
		return -EBADMSG;
	return -ETIMEDOUT;
}

/* Wait for the answer to the request, and for nothing else. A sound frame that answers something else leaves
 * the response timeout running, as the standard has it for a reply from an unexpected unit (MODBUS over
 * Serial Line V1.02, 2.4.1): it is a late one, and ours is still to come. So does noise. Only what must have
 * been the answer and is damaged ends the wait, once the line is silent. */
static int
take_reply_rtu(struct link_modbus *self, struct exchange *exchange)
{
	struct frame_search search = {
		.request = exchange->request,
		.sent = exchange->sent,
		.sent_length = exchange->sent_length,
		.takes_echo =
		    self->echo == ECHO_PRESENT || (self->bus->echo == ECHO_AUTO && !exchange->ambiguous),
	};
	int error = -EAGAIN;

	while (error == -EAGAIN) {
		/* Where an echo is expected, what is damaged may be that. */
		bool ends = search.damaged && !search.begun && (self->echo != ECHO_PRESENT || search.echoed);
		int64_t quiet_until_us = self->active_us + SETTLE_QUIET_US;
		bool sooner = ends && quiet_until_us < exchange->deadline_us;
		int got = take_more(self, exchange, self->taken > search.at ? search.more : 0,
		    sooner ? quiet_until_us : exchange->deadline_us);

		if (got > 0)
			error = frame_search(&search, self->bytes, self->taken, exchange->cells);
		else if (got == 0 || got == -ENOBUFS)
			break;
		else
			error = got;
	}
	if (error < 0)
		frame_search_end(&search, self->taken);
	if (error == -EAGAIN)
		error = verdict(&search);
	learn_echo(self, exchange, &search, error);
	note_search(self, &search, exchange->report);
	return error;
}

/* One bound on everything, from the end of sending to the end of the reply, plus what both take on the wire.
 * The kernel cannot be asked when the last byte has left without waiting for it, and adapters do not know
 * either: it is worked out. */
static int64_t
deadline_us(const struct link_modbus *self, const struct exchange *exchange, int timeout_ms)
{
	size_t chars = exchange->sent_length + frame_reply_rtu(exchange->request);

	return clock_mono_us() + line_chars_us(self->bus, chars) + (int64_t)timeout_ms * 1000;
}

/* What the outcome means for the line. */
static int
conclude(struct link_modbus *self, int error, struct link_report *report)
{
	report->done_mono_us = clock_mono_us();
	report->done_unix_ms = clock_unix_ms();
	self->pause_until_us = report->done_mono_us + (int64_t)self->bus->request_pause_ms * 1000;
	if (error >= 0) {
		self->unsettled = false;
		self->fruitless = 0;
		return error;
	}
	self->unsettled = true;
	if (error != -ETIMEDOUT && error != -EBADMSG && error != -EBUSY)
		return error;
	if (is_mbap(self) || (is_socket(self) && ++self->fruitless >= FRUITLESS_MAX)) {
		port_close(self->port);
		report->closed = true;
	}
	return error;
}

static bool
request_is_over(const struct pdu_request *request)
{
	return request->send_by_mono_us != 0 && clock_mono_us() >= request->send_by_mono_us;
}

static int
transact(struct link_modbus *self, struct exchange *exchange, int timeout_ms)
{
	struct link_report *report = exchange->report;
	int error = settle(self, timeout_ms, report);

	if (error != 0)
		return error == -EBUSY ? conclude(self, error, report) : error;
	/* As late as we can look: between here and the bytes on the wire nothing waits. */
	if (request_is_over(exchange->request))
		return -ETIME;
	report->sent = true;
	report->asked_mono_us = clock_mono_us();
	error = is_mbap(self) ? send_mbap(self, exchange) : send_rtu(self, exchange);
	exchange->deadline_us = deadline_us(self, exchange, timeout_ms);
	if (timeout_ms < self->bus->timeout_ms)
		timeout_ms = self->bus->timeout_ms;
	exchange->too_late_us = deadline_us(self, exchange, timeout_ms) + LATE_LOOK_US;
	self->active_us = clock_mono_us() + line_chars_us(self->bus, exchange->sent_length);
	if (error == 0 && self->link.meanwhile)
		self->link.meanwhile(self->link.ctx);
	if (error == 0)
		error = is_mbap(self) ? take_reply_mbap(self, exchange) : take_reply_rtu(self, exchange);
	return conclude(self, error, report);
}

static int
prepare(struct link_modbus *self, struct exchange *exchange)
{
	const struct pdu_request *request = exchange->request;
	int length = is_mbap(self) ? frame_build_mbap(request, ++self->transaction, exchange->sent)
				   : frame_build_rtu(request, exchange->sent);

	if (length < 0)
		return length;
	exchange->sent_length = (size_t)length;
	exchange->ambiguous =
	    !is_mbap(self) && frame_is_own_answer(request, exchange->sent, exchange->sent_length);
	return 0;
}

/* Find out whether the line has an echo before a request of which it would pass for the answer: a write would
 * be reported as done although no unit took it. Any read will do, whatever comes of it. */
static int
probe_echo(struct link_modbus *self, const struct pdu_request *request, int timeout_ms)
{
	struct pdu_request probe = pdu_read(TABLE_HOLDING, request->unit, request->addr, 1);
	struct link_report report = { .asked_mono_us = 0 };
	struct exchange exchange = { .request = &probe, .report = &report, .stop_fd = self->stop_fd };
	uint16_t cell;
	int error;

	exchange.cells = &cell;
	error = prepare(self, &exchange);
	if (error == 0)
		error = transact(self, &exchange, timeout_ms);
	return error >= 0 || error == -ETIMEDOUT || error == -EBADMSG ? 0 : error;
}

static int
link_exchange(struct link *link, const struct pdu_request *request, int timeout_ms, uint16_t *cells,
    struct link_report *report)
{
	struct link_modbus *self = self_of(link);
	struct exchange exchange = {
		.request = request, .report = report, .cells = cells, .stop_fd = self->stop_fd
	};
	int error;

	*report = (struct link_report){ .asked_mono_us = clock_mono_us() };
	error = prepare(self, &exchange);
	if (error == 0 && exchange.ambiguous && self->echo == ECHO_UNKNOWN)
		error = probe_echo(self, request, timeout_ms);
	return error == 0 ? transact(self, &exchange, timeout_ms) : error;
}

/* --- what there is to say --- */

/* Count what the UART saw go wrong since the last look. Returns whether it was anything. */
static bool
count_errors(struct link_modbus *self)
{
	struct link_counters *counters = &self->counters;
	struct serial_errors now;
	struct serial_errors before = self->errors;

	if (!self->counts_errors || !port_is_open(self->port) ||
	    serial_read_errors(port_fd(self->port), &now) != 0)
		return false;
	self->errors = now;
	counters->frame_errors += now.frame - before.frame;
	counters->parity_errors += now.parity - before.parity;
	counters->overruns += now.overrun - before.overrun;
	counters->breaks += now.breaks - before.breaks;
	return memcmp(&now, &before, sizeof(now)) != 0;
}

static const char *
link_news(struct link *link)
{
	struct link_modbus *self = self_of(link);
	const struct link_counters *counters = &self->counters;

	if (self->echo == ECHO_PRESENT && self->bus->echo == ECHO_AUTO && !self->echo_told) {
		self->echo_told = true;
		return "the adapter echoes what is sent, which is left out from now on";
	}
	/* Whatever the UART sees go wrong makes an exchange fail: no look is needed after a good one. */
	if (!self->unsettled || !count_errors(self) || self->errors_told)
		return NULL;
	self->errors_told = true;
	snprintf(self->news, sizeof(self->news),
	    "its port reports errors: %llu framing, %llu parity, %llu overrun, %llu break",
	    (unsigned long long)counters->frame_errors, (unsigned long long)counters->parity_errors,
	    (unsigned long long)counters->overruns, (unsigned long long)counters->breaks);
	return self->news;
}

static const struct link_counters *
link_counters(const struct link *link)
{
	return &self_of(link)->counters;
}

static void
link_rebind(struct link *link, const struct bus *bus)
{
	struct link_modbus *self = self_of(link);

	self->bus = bus;
	port_rebind(self->port, bus);
}

static void
link_free(struct link *link)
{
	struct link_modbus *self = self_of(link);

	modbus_free(self->modbus);
	port_free(self->port);
	free(self);
}

static const struct link_ops link_modbus_ops = {
	.open = link_open,
	.close = link_close,
	.fault = link_fault,
	.ready_us = link_ready_us,
	.idle_fd = link_idle_fd,
	.idle = link_idle,
	.news = link_news,
	.counters = link_counters,
	.exchange = link_exchange,
	.rebind = link_rebind,
	.free = link_free,
};

/* The library opens nothing and receives nothing: device and speed are never used, only the framing. */
static modbus_t *
new_framing(void)
{
	modbus_t *modbus = modbus_new_rtu("/dev/null", 9600, 'N', 8, 1);

	if (modbus)
		modbus_set_error_recovery(modbus, MODBUS_ERROR_RECOVERY_NONE);
	return modbus;
}

struct link *
link_modbus_new(const struct bus *bus, struct resolver *resolver, int stop_fd)
{
	struct link_modbus *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	*self = (struct link_modbus){
		.link = { .ops = &link_modbus_ops },
		.bus = bus,
		.stop_fd = stop_fd,
		.silence_us = line_silence_us(bus),
		.port = port_new(bus, resolver, stop_fd),
	};
	if (self->port && !is_mbap(self))
		self->modbus = new_framing();
	if (!self->port || (!self->modbus && !is_mbap(self))) {
		int error = errno;

		port_free(self->port);
		free(self);
		errno = error;
		return NULL;
	}
	return &self->link;
}
