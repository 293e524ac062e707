#include <config.h>

#include <errno.h>
#include <modbus.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "field/line.h"
#include "field/link_modbus.h"
#include "field/port.h"

#define RTU_OVERHEAD  3 /* unit, CRC. MODBUS over Serial Line V1.02, 2.5.1 */
#define RTU_EXCEPTION 5
#define MBAP_LENGTH   7 /* MODBUS Messaging on TCP/IP V1.0b, 3.1.3 */
#define MBAP_COUNTED  6 /* bytes before those that its length field counts */
#define ADU_MAX	      MODBUS_MAX_ADU_LENGTH

/* After a failure a serial line is settled when nothing came for this long: adapters hold bytes back for up
 * to 16 ms. */
#define SETTLE_QUIET_US 20000
/* Time for the library to take a frame that has arrived already: only a frame that lies about its length
 * needs it. */
#define FRAME_TAKE_US 50000
/* Time for the library to finish a frame that may go on; nothing interrupts it. */
#define FRAME_MORE_US 500000
/* How long a request that writes is still waited for when the bus is to stop. */
#define STOP_GRACE_US 1000000
#define STALL_LOOK_US 5000
/* Through a serial server: so many failures in a row of whatever units, and the connection itself is doubted.
 */
#define FRUITLESS_MAX 6
#define DRAIN_MAX     4096

struct link_modbus {
	struct link link;
	const struct bus *bus;
	struct port *port;
	int stop_fd;
	modbus_t *modbus;
	int64_t silence_us;
	int64_t active_us;	/* when the line was last seen busy, in either direction */
	int64_t pause_until_us; /* the bus's request_pause_ms */
	bool unsettled;		/* after opening and after a failure: something may still come */
	int fruitless;
	uint16_t transaction;
};

/* One exchange on its way. */
struct exchange {
	const struct pdu_request *request;
	struct link_report *report;
	uint16_t *cells;
	int64_t deadline_us;
	int stop_fd;	/* -1 once we know that we are to stop */
	bool low_water; /* the socket sleeps until more than a byte is there */
	uint8_t adu[ADU_MAX];
	int length;
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

	if (error != 0)
		return error;
	modbus_set_socket(self->modbus, port_fd(self->port));
	self->unsettled = true;
	self->fruitless = 0;
	self->active_us = is_socket(self) ? 0 : clock_mono_us();
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

	if (!port_is_open(self->port))
		return -1;
	*ret_events = 0;
	if (is_socket(self))
		*ret_events = (short)(is_mbap(self) ? POLLIN | POLLRDHUP : POLLRDHUP);
	return port_fd(self->port);
}

static int
link_idle(struct link *link)
{
	return is_socket(self_of(link)) ? -ENOTCONN : -EIO;
}

static void
note_stale_unit(struct link_report *report, int unit)
{
	if (report->stale_count < LINK_STALE_MAX)
		report->stale_units[report->stale_count++] = unit;
}

/* --- before the request --- */

/* Take what has come unasked. Returns how many bytes, or negative errno; -ENOTCONN when a peer has ended the
 * connection. */
static int
drain(struct link_modbus *self, struct link_report *report)
{
	uint8_t bytes[ADU_MAX];
	int total = 0;

	while (total < DRAIN_MAX) {
		ssize_t got = read(port_fd(self->port), bytes, sizeof(bytes));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			break;
		if (got <= 0)
			return is_socket(self) ? -ENOTCONN : -EIO;
		if (total == 0 && got > 1)
			note_stale_unit(report, bytes[0]);
		total += (int)got;
	}
	report->stale_bytes += (uint64_t)total;
	return total;
}

/* Modbus TCP: any byte that nobody asked for means that we are out of step, and a new connection is the cure.
 */
static int
look_mbap(struct link_modbus *self, struct link_report *report)
{
	uint8_t byte;
	ssize_t got = recv(port_fd(self->port), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got > 0)
		report->stale_bytes++;
	return -ENOTCONN;
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
		int error;

		if (got < 0)
			return got;
		if (got > 0)
			self->active_us = now_us;
		if (now_us >= self->active_us + quiet_us(self))
			return 0;
		if (now_us >= give_up_us)
			return -EBUSY;
		error = port_wait(-1, 0, -1, self->stop_fd, self->active_us + quiet_us(self));
		if (error < 0)
			return error;
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
send_rtu(struct link_modbus *self, const struct pdu_request *request, const uint8_t *pdu, int length)
{
	uint8_t raw[1 + PDU_MAX];

	raw[0] = (uint8_t)request->unit;
	memcpy(raw + 1, pdu, (size_t)length);
	if (modbus_set_slave(self->modbus, request->unit) != 0)
		return -EINVAL;
	return modbus_send_raw_request(self->modbus, raw, 1 + length) < 0 ? send_error(self) : 0;
}

/* Not through modbus_send_raw_request(): that of 3.1.6 sends every request with transaction 0, and a late
 * reply would then answer the next request. */
static int
send_mbap(struct link_modbus *self, const struct pdu_request *request, const uint8_t *pdu, int length)
{
	uint8_t adu[ADU_MAX];
	ssize_t sent;

	self->transaction++;
	adu[0] = (uint8_t)(self->transaction >> 8);
	adu[1] = (uint8_t)self->transaction;
	adu[2] = 0;
	adu[3] = 0;
	adu[4] = (uint8_t)((length + 1) >> 8);
	adu[5] = (uint8_t)(length + 1);
	adu[6] = (uint8_t)request->unit;
	memcpy(adu + MBAP_LENGTH, pdu, (size_t)length);
	do
		sent = send(
		    port_fd(self->port), adu, (size_t)(MBAP_LENGTH + length), MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return send_error(self);
	return sent == MBAP_LENGTH + length ? 0 : -ECONNRESET;
}

/* --- the reply --- */

static size_t
reply_length(const struct link_modbus *self, const struct pdu_request *request)
{
	return pdu_reply_length(request) + (is_mbap(self) ? MBAP_LENGTH : RTU_OVERHEAD);
}

/* How many bytes have arrived; negative errno. */
static int
arrived(const struct link_modbus *self)
{
	int count = 0;

	return ioctl(port_fd(self->port), FIONREAD, &count) != 0 ? -errno : count;
}

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

/* On a socket what has arrived can be looked at before it is taken: how long is the frame that stands there?
 * Bytes that cannot be the head of one count as a whole frame, for whoever takes it to refuse. */
static int
peek_length(const struct link_modbus *self, const struct exchange *exchange)
{
	uint8_t head[MBAP_LENGTH + 1];
	ssize_t got = recv(port_fd(self->port), head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	int counted;

	if (got <= 0)
		return got == 0 ? -ECONNRESET : -errno;
	if (!is_mbap(self)) {
		if (got < 2)
			return 2;
		return head[1] & PDU_EXCEPTION_BIT ? RTU_EXCEPTION
						   : (int)reply_length(self, exchange->request);
	}
	if (got < (int)sizeof(head))
		return (int)sizeof(head);
	counted = head[4] << 8 | head[5];
	return counted >= 3 && counted + MBAP_COUNTED <= ADU_MAX ? counted + MBAP_COUNTED : (int)got;
}

/* Let poll() sleep until `count` bytes are there. */
static void
set_low_water(const struct link_modbus *self, int count)
{
	(void)setsockopt(port_fd(self->port), SOL_SOCKET, SO_RCVLOWAT, &count, sizeof(count));
}

/* Wait until a whole frame stands in the socket, or until the deadline with a part of one. */
static int
await_parts(struct link_modbus *self, struct exchange *exchange)
{
	int need = 1;

	for (;;) {
		int ready = wait_reply(exchange, port_fd(self->port), exchange->deadline_us);
		int have;

		if (ready < 0)
			return ready;
		have = arrived(self);
		if (have < 0)
			return have;
		if (ready == 0)
			return have > 0 ? 0 : -ETIMEDOUT;
		/* Below the low water mark nothing but the end of the stream wakes us. */
		if (have < need)
			return -ECONNRESET;
		need = peek_length(self, exchange);
		if (need < 0 || have >= need)
			return need < 0 ? need : 0;
		set_low_water(self, need);
		exchange->low_water = true;
	}
}

static int
await_socket(struct link_modbus *self, struct exchange *exchange)
{
	int error = await_parts(self, exchange);

	if (exchange->low_water)
		set_low_water(self, 1);
	exchange->low_water = false;
	return error;
}

/* On a serial port bytes come one by one. Sleep while the rest is on the wire instead of waking for each, and
 * then take all. ret_more  the frame may go on: an exception is shorter than what we wait for, and nothing on
 * the line says so. */
static int
await_serial(struct link_modbus *self, struct exchange *exchange, bool *ret_more)
{
	int need = (int)reply_length(self, exchange->request);
	int before = 0;
	int64_t changed_us = 0;
	int ready = wait_reply(exchange, port_fd(self->port), exchange->deadline_us);

	if (ready <= 0)
		return ready < 0 ? ready : -ETIMEDOUT;
	for (;;) {
		int have = arrived(self);
		int64_t now_us = clock_mono_us();
		int64_t sleep_us;

		if (have <= 0)
			return have < 0 ? have : -EIO;
		if (have >= need || now_us >= exchange->deadline_us)
			return 0;
		if (have != before)
			changed_us = now_us;
		if (have == RTU_EXCEPTION && now_us - changed_us >= self->silence_us) {
			*ret_more = true;
			return 0;
		}
		sleep_us = line_chars_us(self->bus, (size_t)(need - have));
		if (have == before)
			sleep_us = now_us - changed_us < self->silence_us ? self->silence_us : STALL_LOOK_US;
		before = have;
		if (now_us + sleep_us > exchange->deadline_us)
			sleep_us = exchange->deadline_us - now_us;
		ready = wait_reply(exchange, -1, now_us + sleep_us);
		if (ready < 0)
			return ready;
	}
}

/* What the library says about a frame, as ours. */
static int
receive_error(const struct link_modbus *self)
{
	switch (errno) {
	case EMBBADCRC:
	case EMBBADDATA:
	case ETIMEDOUT: /* the frame is shorter than it says */
	case EAGAIN:
		return -EBADMSG;
	case ECONNRESET: /* also when read() returned 0 */
		return is_socket(self) ? -ECONNRESET : -EIO;
	default:
		return errno > 0 && errno < MODBUS_ENOBASE ? -errno : -EBADMSG;
	}
}

/* Take one frame through the library, once it is there. */
static int
receive(struct link_modbus *self, struct exchange *exchange)
{
	bool more = false;
	int error = is_socket(self) ? await_socket(self, exchange) : await_serial(self, exchange, &more);
	int64_t left_us = exchange->deadline_us - clock_mono_us();
	int64_t bound_us = more ? FRAME_MORE_US : FRAME_TAKE_US;

	if (error != 0)
		return error;
	if (more && left_us < bound_us)
		bound_us = left_us;
	modbus_set_response_timeout(self->modbus, 0, (uint32_t)(bound_us > 0 ? bound_us : 1));
	exchange->length = modbus_receive_confirmation(self->modbus, exchange->adu);
	return exchange->length < 0 ? receive_error(self) : 0;
}

static int
match_mbap(const struct link_modbus *self, const struct exchange *exchange)
{
	const uint8_t *adu = exchange->adu;
	int length = exchange->length;

	if (length < MBAP_LENGTH + 1 || (adu[0] << 8 | adu[1]) != self->transaction || adu[2] != 0 ||
	    adu[3] != 0 || (adu[4] << 8 | adu[5]) != length - MBAP_COUNTED)
		return -EBADMSG;
	return pdu_match(
	    exchange->request, adu[6], adu + MBAP_LENGTH, (size_t)(length - MBAP_LENGTH), exchange->cells);
}

/* The length is 0 when the library saw that another unit speaks. */
static int
match_rtu(const struct exchange *exchange)
{
	int length = exchange->length;

	if (length < RTU_OVERHEAD + 1)
		return -EBADMSG;
	return pdu_match(exchange->request, exchange->adu[0], exchange->adu + 1,
	    (size_t)(length - RTU_OVERHEAD), exchange->cells);
}

/* We stood still (a stopped process, a suspended machine, a system out of memory) while the reply waited for us: nobody
 * knows when it came, and a value must not get the time of now. That a write was done is true whenever it is
 * found out. */
static bool
is_found_too_late(const struct exchange *exchange)
{
	return !pdu_writes(exchange->request) && clock_mono_us() > exchange->deadline_us + FRAME_TAKE_US;
}

/* Wait for the answer to the request, and for nothing else. A sound frame that answers something else leaves
 * the response timeout running, as the standard has it for a reply from an unexpected unit (MODBUS over
 * Serial Line V1.02, 2.4.1): it is a late one, and ours is still to come. A broken one ends the wait. On
 * Modbus TCP every mismatch does: we reconnect. */
static int
take_reply(struct link_modbus *self, struct exchange *exchange)
{
	bool stale = false;

	for (;;) {
		int error = receive(self, exchange);

		if (error != 0)
			return error == -ETIMEDOUT && stale ? -EBADMSG : error;
		if (is_found_too_late(exchange))
			return -ETIMEDOUT;
		error = is_mbap(self) ? match_mbap(self, exchange) : match_rtu(exchange);
		if (error != -EBADMSG || is_mbap(self))
			return error;
		stale = true;
		exchange->report->stale_bytes +=
		    (uint64_t)(exchange->length > 0 ? exchange->length : RTU_EXCEPTION);
		note_stale_unit(exchange->report, exchange->adu[0]);
	}
}

/* One bound on everything, from the end of sending to the end of the reply, plus what both take on the wire.
 * The kernel cannot be asked when the last byte has left without waiting for it, and adapters do not know
 * either: it is worked out. */
static int64_t
deadline_us(
    const struct link_modbus *self, const struct pdu_request *request, int request_length, int timeout_ms)
{
	size_t chars = (size_t)(request_length + RTU_OVERHEAD) + reply_length(self, request);

	return clock_mono_us() + line_chars_us(self->bus, chars) + (int64_t)timeout_ms * 1000;
}

/* What the outcome means for the line. */
static int
conclude(struct link_modbus *self, int error, struct link_report *report)
{
	report->done_mono_us = clock_mono_us();
	report->done_unix_ms = clock_unix_ms();
	self->active_us = is_socket(self) && self->silence_us == 0 ? 0 : report->done_mono_us;
	self->pause_until_us = report->done_mono_us + (int64_t)self->bus->request_pause_ms * 1000;
	if (error >= 0) {
		self->unsettled = false;
		self->fruitless = 0;
		return error;
	}
	self->unsettled = true;
	self->active_us = report->done_mono_us;
	if (error != -ETIMEDOUT && error != -EBADMSG)
		return error;
	if (is_mbap(self) || (is_socket(self) && ++self->fruitless >= FRUITLESS_MAX)) {
		port_close(self->port);
		report->closed = true;
	}
	return error;
}

static int
link_exchange(struct link *link, const struct pdu_request *request, int timeout_ms, uint16_t *cells,
    struct link_report *report)
{
	struct link_modbus *self = self_of(link);
	struct exchange exchange = {
		.request = request, .report = report, .cells = cells, .stop_fd = self->stop_fd
	};
	uint8_t pdu[PDU_MAX];
	int length = pdu_build(request, pdu);
	int error;

	*report = (struct link_report){ .asked_mono_us = clock_mono_us() };
	if (length < 0)
		return length;
	error = settle(self, timeout_ms, report);
	if (error != 0)
		return error;
	report->sent = true;
	report->asked_mono_us = clock_mono_us();
	error = is_mbap(self) ? send_mbap(self, request, pdu, length) : send_rtu(self, request, pdu, length);
	exchange.deadline_us = deadline_us(self, request, length, timeout_ms);
	if (error == 0)
		error = take_reply(self, &exchange);
	return conclude(self, error, report);
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
	.exchange = link_exchange,
	.free = link_free,
};

/* The library opens nothing: device and address are never used, only the framing that they choose. */
static modbus_t *
new_framing(const struct bus *bus)
{
	modbus_t *modbus = bus->type == BUS_TCP ? modbus_new_tcp("127.0.0.1", MODBUS_TCP_DEFAULT_PORT)
						: modbus_new_rtu("/dev/null", 9600, 'N', 8, 1);

	if (!modbus)
		return NULL;
	modbus_set_byte_timeout(modbus, 0, 0); /* so that the response timeout bounds the whole frame */
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
	if (self->port)
		self->modbus = new_framing(bus);
	if (!self->modbus) {
		int error = errno;

		port_free(self->port);
		free(self);
		errno = error;
		return NULL;
	}
	return &self->link;
}
