#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim/sender.h"
#include "sim/tcp.h"

#define REPLIES_MAX                                                                                          \
	64 /* waiting on one connection: beyond that we do not read, as a full device does not               \
	    */
#define RTU_IDLE_US                                                                                          \
	100000 /* RTU on TCP: silence on a line is lost on the way; this ends a frame cut short              \
		*/
#define BACKLOG 64

struct conn {
	struct conn *next;
	struct conn *prev;
	struct tcp *tcp;
	struct watch watch;
	struct sender sender;
	struct timer idle;   /* RTU frames: give up on a frame that does not end */
	struct timer resume; /* read on after the queue was full */
	int64_t first_us;    /* when the first byte in `input` came */
	int64_t last_due_us; /* replies leave in the order of their requests */
	bool half_open;
	bool full;
	bool wants_out;
	size_t used;
	uint8_t input[2048];
};

struct tcp {
	struct loop *loop;
	struct bus *bus;
	struct watch watch;
	unsigned port;
	bool on;
	bool accepting;
	int max;
	bool leave;
	unsigned count;
	struct conn *conns;
};

static void tcp_accepting(struct tcp *tcp);

static void
conn_watch(struct conn *conn)
{
	uint32_t events = EPOLLRDHUP;

	if (!conn->half_open && !conn->full)
		events = EPOLLIN;
	if (conn->wants_out && !conn->half_open)
		events |= EPOLLOUT;
	watch_change(conn->tcp->loop, &conn->watch, events);
}

static void
conn_free(struct conn *conn, bool reset)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	struct tcp *tcp = conn->tcp;

	if (reset)
		setsockopt(conn->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	watch_del(tcp->loop, &conn->watch);
	close(conn->watch.fd);
	timer_stop(tcp->loop, &conn->idle);
	timer_stop(tcp->loop, &conn->resume);
	sender_done(&conn->sender);
	*(conn->prev ? &conn->prev->next : &tcp->conns) = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	tcp->count--;
	free(conn);
	tcp_accepting(tcp);
}

static ssize_t
conn_send(void *ctx, const uint8_t *bytes, size_t length)
{
	struct conn *conn = ctx;
	ssize_t sent = conn->half_open ? (ssize_t)length : send(conn->watch.fd, bytes, length, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return (ssize_t)length; /* the peer is gone; its event is on the way */
	if (sent < (ssize_t)length) {
		conn->wants_out = true;
		conn_watch(conn);
	}
	return sent < 0 ? -EAGAIN : sent;
}

static void
conn_left(void *ctx, uint64_t number, int64_t at_us)
{
	const struct conn *conn = ctx;

	if (!conn->half_open)
		journal_left(conn->tcp->bus->journal, number, at_us);
}

static bool
conn_finished(void *ctx, enum ending ending)
{
	struct conn *conn = ctx;

	if (ending != ENDING_STAY) {
		conn_free(conn, ending == ENDING_RESET);
		return false;
	}
	if (conn->full && conn->sender.waiting < REPLIES_MAX / 2)
		timer_set(conn->tcp->loop, &conn->resume, clock_mono_us());
	return true;
}

/* Serve one frame. */
static void
conn_serve(struct conn *conn, const struct incoming *incoming, int64_t now_us)
{
	struct bus *bus = conn->tcp->bus;
	static struct answer answer;
	int64_t due_us;

	bus_request(bus, incoming, now_us, &answer);
	if (answer.half_open) {
		conn->half_open = true;
		conn->used = 0;
		conn_watch(conn);
		return;
	}
	if (!answer.length && answer.ending == ENDING_STAY)
		return;
	due_us = now_us + bus_turnaround_us(bus) + answer.delay_us;
	if (due_us < conn->last_due_us)
		due_us = conn->last_due_us;
	conn->last_due_us = due_us;
	sender_push(&conn->sender, &answer, due_us, false);
}

/* Take one MBAP frame from the front. Returns its length, 0 if it is not whole, -1 if the stream makes no
 * sense. */
static ssize_t
conn_mbap(struct conn *conn, const uint8_t *bytes, size_t length, int64_t now_us)
{
	size_t announced;

	if (length < MBAP_LENGTH + 1)
		return 0;
	announced = (size_t)bytes[4] << 8 | bytes[5];
	if (announced < 2 || announced > PDU_MAX + 1) {
		conn->tcp->bus->bad_frames++;
		return -1;
	}
	if (length < 6 + announced)
		return 0;
	if (bytes[2] || bytes[3]) {
		conn->tcp->bus->bad_frames++;
		return (ssize_t)(6 + announced);
	}
	conn_serve(conn,
	    &(struct incoming){
		.framing = FRAMING_MBAP,
		.transaction = (uint16_t)(bytes[0] << 8 | bytes[1]),
		.unit = bytes[6],
		.pdu = bytes + MBAP_LENGTH,
		.length = announced - 1,
		.frame = bytes,
		.frame_length = 6 + announced,
		.at_us = conn->first_us,
	    },
	    now_us);
	return (ssize_t)(6 + announced);
}

/* The same for RTU frames. Without silence to go by, a frame ends where its function says; the rest waits for
 * `idle`. */
static ssize_t
conn_rtu(struct conn *conn, const uint8_t *bytes, size_t length, bool idle, int64_t now_us)
{
	int pdu = length > 1 ? request_length(bytes + 1, length - 1) : 0;
	size_t frame = pdu > 0 ? (size_t)pdu + 3 : length;

	if (length < 4 || (pdu <= 0 && !idle) || frame > length || !frame_is_rtu(bytes, frame)) {
		if (!idle)
			return 0;
		conn->tcp->bus->bad_frames++;
		return (ssize_t)length;
	}
	conn_serve(conn,
	    &(struct incoming){
		.framing = FRAMING_RTU,
		.unit = bytes[0],
		.pdu = bytes + 1,
		.length = frame - 3,
		.frame = bytes,
		.frame_length = frame,
		.at_us = conn->first_us,
	    },
	    now_us);
	return (ssize_t)frame;
}

/* Serve what is whole. Returns false if the connection is gone. */
static bool
conn_frames(struct conn *conn, bool idle)
{
	bool rtu = conn->tcp->bus->kind == BUS_RTU_TCP;
	int64_t now_us = clock_mono_us();
	size_t done = 0;

	while (done < conn->used && conn->sender.waiting < REPLIES_MAX) {
		const uint8_t *bytes = conn->input + done;
		size_t length = conn->used - done;
		ssize_t taken = rtu ? conn_rtu(conn, bytes, length, idle, now_us)
				    : conn_mbap(conn, bytes, length, now_us);
		if (taken < 0) {
			conn_free(conn, false);
			return false;
		}
		if (!taken)
			break;
		done += (size_t)taken;
	}
	if (conn->half_open)
		return true;
	if (done)
		conn->first_us = now_us; /* what is left came with the last read */
	conn->used -= done;
	memmove(conn->input, conn->input + done, conn->used);
	conn->full = conn->sender.waiting >= REPLIES_MAX;
	if (conn->full)
		conn_watch(conn);
	else if (rtu && conn->used)
		timer_set(conn->tcp->loop, &conn->idle, now_us + RTU_IDLE_US);
	return true;
}

static void
conn_idle(void *ctx, int64_t now_us)
{
	(void)now_us;
	conn_frames(ctx, true);
}

static void
conn_resume(void *ctx, int64_t now_us)
{
	struct conn *conn = ctx;

	(void)now_us;
	conn->full = false;
	if (conn_frames(conn, false))
		conn_watch(conn);
}

static void
conn_input(struct conn *conn)
{
	ssize_t got = recv(conn->watch.fd, conn->input + conn->used, sizeof(conn->input) - conn->used, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		conn_free(conn, false);
		return;
	}
	timer_stop(conn->tcp->loop, &conn->idle);
	if (!conn->used)
		conn->first_us = clock_mono_us();
	conn->used += (size_t)got;
	conn_frames(conn, conn->used == sizeof(conn->input));
}

static void
conn_event(void *ctx, uint32_t events)
{
	struct conn *conn = ctx;
	bool reading = !conn->half_open && !conn->full;

	if (events & (EPOLLHUP | EPOLLERR) || (events & EPOLLRDHUP && !reading)) {
		conn_free(conn, false);
		return;
	}
	if (events & EPOLLOUT) {
		conn->wants_out = false;
		conn_watch(conn);
		if (!sender_resume(&conn->sender))
			return;
	}
	if (events & EPOLLIN && reading)
		conn_input(conn);
}

static void
conn_new(struct tcp *tcp, int fd)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	int on = 1;

	if (!conn) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->tcp = tcp;
	conn->watch = (struct watch){ .fd = fd, .handler = conn_event, .ctx = conn };
	conn->idle = (struct timer){ .handler = conn_idle, .ctx = conn };
	conn->resume = (struct timer){ .handler = conn_resume, .ctx = conn };
	sender_init(&conn->sender, tcp->loop);
	conn->sender.send = conn_send;
	conn->sender.left = conn_left;
	conn->sender.finished = conn_finished;
	conn->sender.ctx = conn;
	conn->next = tcp->conns;
	if (conn->next)
		conn->next->prev = conn;
	tcp->conns = conn;
	tcp->count++;
	watch_add(tcp->loop, &conn->watch, EPOLLIN);
}

static bool
tcp_is_full(const struct tcp *tcp)
{
	return tcp->max >= 0 && tcp->count >= (unsigned)tcp->max;
}

/* Look at the listener only while somebody may come in. */
static void
tcp_accepting(struct tcp *tcp)
{
	bool accepting = tcp->on && !(tcp->leave && tcp_is_full(tcp));

	if (tcp->on && accepting != tcp->accepting)
		watch_change(tcp->loop, &tcp->watch, accepting ? EPOLLIN : 0);
	tcp->accepting = accepting;
}

static void
tcp_event(void *ctx, uint32_t events)
{
	struct tcp *tcp = ctx;

	(void)events;
	while (tcp->accepting) {
		int fd = accept4(tcp->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			/* No descriptor left: stay deaf until a connection ends, instead of spinning. */
			watch_change(tcp->loop, &tcp->watch, 0);
			tcp->accepting = false;
			return;
		}
		if (fd < 0)
			return;
		tcp->bus->connections_total++;
		if (tcp_is_full(tcp))
			close(fd);
		else
			conn_new(tcp, fd);
		tcp_accepting(tcp);
	}
}

/* A socket that holds the port without listening: connects are refused, and nobody else gets the port. */
static int
tcp_bind(struct tcp *tcp)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)tcp->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	tcp->port = ntohs(address.sin_port);
	tcp->watch.fd = fd;
	return 0;
}

static int
tcp_listen(struct tcp *tcp)
{
	int error;

	if (listen(tcp->watch.fd, BACKLOG) < 0)
		return -errno;
	error = watch_add(tcp->loop, &tcp->watch, EPOLLIN);
	if (error)
		return error;
	tcp->on = tcp->accepting = true;
	tcp_accepting(tcp);
	return 0;
}

int
tcp_open(struct loop *loop, struct bus *bus, unsigned port, struct tcp **ret_tcp)
{
	struct tcp *tcp = calloc(1, sizeof(*tcp));
	int error;

	if (!tcp)
		return -ENOMEM;
	tcp->loop = loop;
	tcp->bus = bus;
	tcp->port = port;
	tcp->max = -1;
	tcp->watch = (struct watch){ .fd = -1, .handler = tcp_event, .ctx = tcp };
	error = tcp_bind(tcp);
	if (!error)
		error = tcp_listen(tcp);
	if (error) {
		if (tcp->watch.fd >= 0)
			close(tcp->watch.fd);
		free(tcp);
		return error;
	}
	*ret_tcp = tcp;
	return 0;
}

void
tcp_close(struct tcp *tcp)
{
	if (!tcp)
		return;
	while (tcp->conns)
		conn_free(tcp->conns, false); /* NOLINT: which takes it out of the list */
	watch_del(tcp->loop, &tcp->watch);
	if (tcp->watch.fd >= 0)
		close(tcp->watch.fd);
	free(tcp);
}

unsigned
tcp_port(const struct tcp *tcp)
{
	return tcp->port;
}

unsigned
tcp_connections(const struct tcp *tcp)
{
	return tcp->count;
}

void
tcp_limit(struct tcp *tcp, int max, bool leave)
{
	tcp->max = max;
	tcp->leave = leave;
	tcp_accepting(tcp);
}

int
tcp_power(struct tcp *tcp, bool on)
{
	if (on == tcp->on)
		return 0;
	if (on)
		return tcp_listen(tcp);
	tcp->on = tcp->accepting = false;
	watch_del(tcp->loop, &tcp->watch);
	close(tcp->watch.fd);
	tcp->watch.fd = -1;
	while (tcp->conns)
		conn_free(tcp->conns, true); /* NOLINT: which takes it out of the list */
	return tcp_bind(tcp);
}

void
tcp_babble(struct tcp *tcp, size_t length)
{
	uint8_t noise[256];

	noise_fill(noise, length < sizeof(noise) ? length : sizeof(noise));
	for (struct conn *conn = tcp->conns; conn; conn = conn->next)
		if (!conn->half_open)
			(void)!send(conn->watch.fd, noise, length < sizeof(noise) ? length : sizeof(noise),
			    MSG_NOSIGNAL);
}
