#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/broker.h"
#include "bench/session.h"

#define EVENTS_MAX   64
#define ACCEPT_ROUND 64

int
broker_watch(struct bench *bench, struct source *source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

	return epoll_ctl(bench->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

/* Out of descriptors: a client that stays in the queue would have the loop spin. */
static void
listener_turn_away(struct bench *bench)
{
	close(bench->spare);
	close(accept4(bench->listener.fd, NULL, NULL, SOCK_CLOEXEC));
	bench->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
listener_ready(struct source *source, uint32_t events)
{
	struct bench *bench = timer_owner(source, struct bench, listener);

	(void)events;
	for (int i = 0; i < ACCEPT_ROUND && source->fd >= 0; i++) {
		int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				listener_turn_away(bench);
			return;
		}
		if (bench->knobs.refuse_accept)
			close(fd);
		else
			session_open(bench, fd);
	}
}

int
broker_init(struct bench *bench, const char *host, uint16_t port)
{
	*bench = (struct bench){
		.host = host,
		.port = port,
		.listener = { .ready = listener_ready, .fd = -1 },
		.knobs = {
			.telemetry_events = true,
			.max_version = MQTT_5,
			.sessions_per_device = 1,
			.in_flight = 100,
			.max_payload = 65536,
			.inactivity_ms = 600 * 1000,
			.client_rpc_timeout_ms = 60 * 1000,
			.takeover_ms = 100,
			.provision_close_ms = 60 * 1000,
		},
	};
	bench->epoll = epoll_create1(EPOLL_CLOEXEC);
	bench->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (bench->epoll < 0)
		return -errno;
	registry_init(&bench->registry);
	return 0;
}

/* Returns a listening socket or negative errno. */
static int
listener_open(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(*address);
	int on = 1;
	int error;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)address, length) == 0 && listen(fd, 1024) == 0 &&
	    getsockname(fd, (struct sockaddr *)address, &length) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int
broker_listen(struct bench *bench)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(bench->port) };
	int fd;

	if (bench->listener.fd >= 0)
		return -EALREADY;
	if (inet_pton(AF_INET, bench->host, &address.sin_addr) != 1)
		return -EINVAL;
	fd = listener_open(&address);
	if (fd < 0)
		return fd;
	bench->port = ntohs(address.sin_port);
	bench->listener.fd = fd;
	return broker_watch(bench, &bench->listener);
}

void
broker_stop(struct bench *bench, bool reset)
{
	if (bench->listener.fd >= 0)
		close(bench->listener.fd);
	bench->listener.fd = -1;
	while (bench->sessions) {
		if (reset)
			session_reset(bench->sessions, "stopped");
		else
			session_close(bench->sessions, "stopped", -1);
	}
}

void
broker_run(struct bench *bench)
{
	while (!bench->done) {
		struct epoll_event events[EVENTS_MAX];
		int wait = timer_run(&bench->timers);
		int count;

		session_flush_all(bench);
		session_bury(bench);
		count = epoll_wait(bench->epoll, events, EVENTS_MAX, wait);
		for (int i = 0; i < count; i++) {
			struct source *source = events[i].data.ptr;

			source->ready(source, events[i].events);
		}
		session_flush_all(bench);
		session_bury(bench);
	}
}

void
broker_done(struct bench *bench)
{
	broker_stop(bench, false);
	session_flush_all(bench);
	session_bury(bench);
	registry_done(&bench->registry);
	timer_heap_done(&bench->timers);
	free(bench->knobs.provision_key);
	free(bench->knobs.provision_secret);
	close(bench->spare);
	close(bench->epoll);
}
