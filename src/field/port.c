#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/poll.h"
#include "field/hotplug.h"
#include "field/line.h"
#include "field/port.h"
#include "field/serial.h"

#define CONNECT_TIMEOUT_DEFAULT_MS 3000
/* A peer that vanished without a word is noticed within 10 + 3 * 5 s when idle, and within 10 s when we sent
 * something. */
#define KEEPALIVE_IDLE_S     10
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT	     3
#define USER_TIMEOUT_MS	     10000
#define ANSWER_FRESH_MS	     60000 /* an answer that came while nobody wanted to connect serves so long */

enum port_state { PORT_CLOSED, PORT_RESOLVING, PORT_CONNECTING, PORT_OPEN };

struct port {
	const struct bus *bus;
	struct resolver *resolver;
	int stop_fd;
	enum port_state state;
	int fd;
	int connecting_fd;
	int watch_fd;
	int64_t give_up_us;
	struct fifo *answers;	       /* while the resolver owes one */
	struct resolver_answer answer; /* the addresses that are tried, */
	size_t address;		       /* which of them, and the first one next time if it was good; */
	size_t tried;		       /* how many were, in this attempt */
	char fault[256];
};

int
port_wait(int fd, short events, int wake_fd, int stop_fd, int64_t until_us)
{
	struct pollfd watched[] = {
		{ .fd = fd, .events = events },
		{ .fd = wake_fd, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
	};
	int ready = poll_until(watched, 3, until_us);

	if (ready < 0)
		return ready;
	if (watched[2].revents)
		return -ECANCELED;
	if (watched[0].revents)
		return watched[0].revents;
	return watched[1].revents ? -EAGAIN : 0;
}

static int
fail(struct port *port, const char *thing, int error)
{
	snprintf(port->fault, sizeof(port->fault), "%s: %s", thing, strerror(error));
	return -error;
}

struct port *
port_new(const struct bus *bus, struct resolver *resolver, int stop_fd)
{
	struct port *port = calloc(1, sizeof(*port));

	if (!port)
		return NULL;
	*port = (struct port){
		.bus = bus,
		.resolver = resolver,
		.stop_fd = stop_fd,
		.fd = -1,
		.connecting_fd = -1,
		.watch_fd = -1,
	};
	return port;
}

void
port_free(struct port *port)
{
	if (!port)
		return;
	port_close(port);
	if (port->answers)
		resolver_forget(port->resolver, port->answers);
	fifo_free(port->answers);
	free(port);
}

void
port_rebind(struct port *port, const struct bus *bus)
{
	port->bus = bus;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
port_watch_end(struct port *port)
{
	close_fd(&port->watch_fd);
}

int
port_watch_fd(const struct port *port)
{
	return port->watch_fd;
}

void
port_close(struct port *port)
{
	close_fd(&port->connecting_fd);
	close_fd(&port->watch_fd);
	/* Closing a serial port waits up to 30 s for its output to go out: leave none. */
	if (port->fd >= 0 && line_is_serial(port->bus))
		tcflush(port->fd, TCIOFLUSH);
	close_fd(&port->fd);
	port->state = PORT_CLOSED;
}

const char *
port_fault(const struct port *port)
{
	return port->fault;
}

int
port_fd(const struct port *port)
{
	return port->fd;
}

bool
port_is_open(const struct port *port)
{
	return port->state == PORT_OPEN;
}

/* --- serial --- */

/* The watch comes before the attempt, so that what appears in between is not missed. It is kept only while
 * the port is not there: who waits for somebody else to close it has to ask again. */
static int
open_serial(struct port *port)
{
	const struct bus *bus = port->bus;
	char path[PATH_MAX];
	const char *what = NULL;
	char advice[128];
	int fd;

	close_fd(&port->watch_fd);
	port->watch_fd = hotplug_watch(serial_watched(bus->port));
	fd = serial_find(bus->port, path, sizeof(path));
	if (fd == 0)
		fd = serial_open(bus, path, &what);
	if (fd != -ENOENT)
		close_fd(&port->watch_fd);
	if (fd == -ENOTUNIQ) {
		snprintf(
		    port->fault, sizeof(port->fault), "%.120s: several adapters are called so", bus->port);
		return fd;
	}
	if (fd < 0) {
		snprintf(port->fault, sizeof(port->fault), "%.120s%s%s: %s%s", bus->port, what ? ": " : "", what ? what : "",
		    strerror(-fd), serial_advice(path, -fd, advice, sizeof(advice)));
		return fd;
	}
	port->fd = fd;
	port->state = PORT_OPEN;
	return 0;
}

/* --- file --- */

/* Standard input may be a terminal that others use too: its flags are left as they are, and it is read when there is something. */
static int
open_file(struct port *port)
{
	const char *path = port->bus->path;
	char thing[160];
	int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
					: open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		snprintf(thing, sizeof(thing), "%.120s", path);
		return fail(port, thing, errno);
	}
	port->fd = fd;
	port->state = PORT_OPEN;
	return 0;
}

/* --- network --- */

static int
fail_network(struct port *port, int error)
{
	char thing[192];

	snprintf(thing, sizeof(thing), "%s port %d", port->bus->host, port->bus->tcp_port);
	port_close(port);
	return fail(port, thing, error);
}

static void
set_option(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void
set_socket(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}

static int64_t
timeout_us(const struct port *port)
{
	int timeout_ms =
	    port->bus->connect_timeout_ms > 0 ? port->bus->connect_timeout_ms : CONNECT_TIMEOUT_DEFAULT_MS;

	return (int64_t)timeout_ms * 1000;
}

static void
forget_answers(struct port *port)
{
	fifo_free(port->answers);
	port->answers = NULL;
}

/* Once at a time: an answer that came too late for one attempt serves the next. */
static int
ask_name(struct port *port)
{
	const struct bus *bus = port->bus;
	int error;

	port->answers = fifo_new(sizeof(struct resolver_answer), 1);
	if (!port->answers)
		return fail_network(port, errno);
	error = resolver_ask(port->resolver, bus->host, (uint16_t)bus->tcp_port, 0, port->answers);
	if (error == 0)
		return 0;
	forget_answers(port);
	return fail_network(port, -error);
}

/* Returns false when each has been tried in this attempt. */
static bool
next_address(struct port *port)
{
	port->address = (port->address + 1) % port->answer.count;
	return port->tried++ < port->answer.count;
}

static int
connect_address(struct port *port, const struct resolver_address *address)
{
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	port->connecting_fd = fd;
	set_socket(fd);
	if (connect(fd, (const struct sockaddr *)&address->storage, address->length) != 0 && errno != EINPROGRESS)
		return -errno;
	port->state = PORT_CONNECTING;
	return 0;
}

/* Each address has the whole timeout: the first one may be of a network that is down. */
static int
begin_connect(struct port *port)
{
	int error;

	do {
		port_close(port);
		port->give_up_us = clock_mono_us() + timeout_us(port);
		error = connect_address(port, &port->answer.addresses[port->address]);
	} while (error != 0 && next_address(port));
	return error != 0 ? fail_network(port, -error) : 0;
}

/* The address that was tried is no good: try the next one, until all have been. */
static int
connect_failed(struct port *port, int error)
{
	return next_address(port) ? begin_connect(port) : fail_network(port, error);
}

/* Go on with the address that was the last one, if the name still has it. */
static int
take_addresses(struct port *port, const struct resolver_answer *answer)
{
	size_t address = port->answer.count > 0
			     ? resolver_find(answer, &port->answer.addresses[port->address])
			     : 0;

	port->answer = *answer;
	port->address = address;
	port->tried = 1;
	return begin_connect(port);
}

static int
name_timed_out(struct port *port)
{
	port_close(port);
	snprintf(port->fault, sizeof(port->fault), "%.150s: %s", port->bus->host,
	    resolver_error_text(EAI_AGAIN));
	return -EHOSTUNREACH;
}

static int
take_answer(struct port *port)
{
	struct resolver_answer answer;

	if (fifo_pop(port->answers, &answer, 1) == 0)
		return 0;
	forget_answers(port);
	if (clock_mono_ms() - answer.answered_mono_ms > ANSWER_FRESH_MS)
		return ask_name(port);
	if (answer.error == 0)
		return take_addresses(port, &answer);
	port_close(port);
	snprintf(port->fault, sizeof(port->fault), "%.150s: %s", port->bus->host, resolver_error_text(answer.error));
	return -EHOSTUNREACH;
}

static int
begin_network(struct port *port)
{
	struct resolver_answer answer;
	int error;

	port->give_up_us = clock_mono_us() + timeout_us(port);
	if (resolver_numeric(port->bus->host, (uint16_t)port->bus->tcp_port, &answer) == 0)
		return take_addresses(port, &answer);
	if (!port->resolver)
		return fail_network(port, EHOSTUNREACH);
	error = port->answers ? 0 : ask_name(port);
	port->state = error == 0 ? PORT_RESOLVING : port->state;
	return error;
}

static int
finish_connect(struct port *port)
{
	int fd = port->connecting_fd;
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
		error = errno;
	if (error != 0)
		return connect_failed(port, error);
	port->fd = fd;
	port->connecting_fd = -1;
	port->state = PORT_OPEN;
	return 0;
}

static int
open_network(struct port *port, int wake_fd, int64_t until_us)
{
	int error = port->state == PORT_CLOSED ? begin_network(port) : 0;

	while (error == 0 && port->state != PORT_OPEN) {
		bool resolving = port->state == PORT_RESOLVING;
		int64_t until = until_us < port->give_up_us ? until_us : port->give_up_us;
		int ready = port_wait(resolving ? fifo_fd(port->answers) : port->connecting_fd,
		    resolving ? POLLIN : POLLOUT, wake_fd, port->stop_fd, until);

		if (ready < 0)
			return ready;
		if (ready > 0)
			error = resolving ? take_answer(port) : finish_connect(port);
		else if (clock_mono_us() >= port->give_up_us)
			error = resolving ? name_timed_out(port) : connect_failed(port, ETIMEDOUT);
		else
			return -EAGAIN;
	}
	return error;
}

int
port_open(struct port *port, int wake_fd, int64_t until_us)
{
	if (port->state == PORT_OPEN)
		return 0;
	if (port->bus->type == BUS_FILE)
		return open_file(port);
	return line_is_serial(port->bus) ? open_serial(port) : open_network(port, wake_fd, until_us);
}
