#include <config.h>

#include "control/server.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/report.h"

#define CONNECTS_US  1000000 /* in so long ... */
#define CONNECTS_MAX 100     /* ... so many are let in */
#define BACKLOG	    64
#define SOCKET_MODE 0660

struct client {
	struct control_server *server;
	int fd; /* -1: the place is free */
	sd_event_source *io;
	int64_t heard_mono_ms; /* when something of it came or went */
	uint64_t ticket;       /* of the request that is not answered yet; 0: there is none */
	char line[CONTROL_REQUEST_MAX];
	size_t used;
	char *answer; /* on its way out */
	size_t length;
	size_t sent;
};

struct control_server {
	sd_event *loop;
	sd_event_source *io;
	int fd;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	control_handler *handler;
	void *ctx;
	uint64_t tickets; /* given so far */
	struct client clients[CONTROL_CLIENTS_MAX];
};

static void
client_close(struct client *client)
{
	sd_event_source_disable_unref(client->io);
	close(client->fd);
	free(client->answer);
	*client = (struct client){ .server = client->server, .fd = -1 };
}

static void
client_watch(struct client *client, uint32_t events)
{
	sd_event_source_set_io_events(client->io, events);
}

/* Returns false if the client is gone. */
static bool
client_send(struct client *client)
{
	while (client->sent < client->length) {
		ssize_t put = send(client->fd, client->answer + client->sent, client->length - client->sent,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			client_watch(client, EPOLLOUT);
			return true;
		}
		if (put < 0) {
			client_close(client);
			return false;
		}
		client->sent += (size_t)put;
		client->heard_mono_ms = clock_mono_ms();
	}
	free(client->answer);
	client->answer = NULL;
	client_watch(client, EPOLLIN);
	return true;
}

static bool
is_busy(const struct client *client)
{
	return client->ticket != 0 || client->answer;
}

static void
client_ask(struct client *client, const char *line, size_t length)
{
	struct control_server *server = client->server;
	struct control_request request = { .count = 0 };
	int error = control_request_parse(line, length, &request);

	client->ticket = ++server->tickets;
	client_watch(client, 0); /* hang-up is still seen */
	if (error == 0)
		server->handler(server->ctx, client->ticket, &request);
	else
		control_server_say(server, client->ticket,
		    error == -EMSGSIZE ? "the request is too long" : "this is no request");
}

/* The next whole line of what has come, if it is its turn. */
static void
client_serve(struct client *client)
{
	while (client->fd >= 0 && !is_busy(client)) {
		char *end = memchr(client->line, '\n', client->used);
		char line[CONTROL_REQUEST_MAX];
		size_t length;

		if (!end)
			return;
		length = (size_t)(end - client->line);
		memcpy(line, client->line, length);
		client->used -= length + 1;
		memmove(client->line, end + 1, client->used);
		client_ask(client, line, length);
	}
}

static void
client_receive(struct client *client)
{
	ssize_t got = recv(
	    client->fd, client->line + client->used, sizeof(client->line) - client->used, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		client_close(client);
		return;
	}
	client->used += (size_t)got;
	client->heard_mono_ms = clock_mono_ms();
	client_serve(client);
	if (client->fd >= 0 && client->used == sizeof(client->line) && !is_busy(client))
		client_close(client); /* no line of ours is so long */
}

static int
on_client(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct client *client = userdata;

	(void)source, (void)fd;
	if (client->answer && (revents & EPOLLOUT)) {
		if (client_send(client))
			client_serve(client);
	} else if (!is_busy(client) && (revents & EPOLLIN)) {
		client_receive(client);
	} else if (revents & (EPOLLHUP | EPOLLERR)) {
		client_close(client);
	}
	return 0;
}

/* Whoever waits for us stays, as long as somebody else can go. */
static bool
goes_before(const struct client *client, const struct client *other)
{
	bool waits = client->ticket != 0, other_waits = other->ticket != 0;

	return waits != other_waits ? other_waits : client->heard_mono_ms < other->heard_mono_ms;
}

static struct client *
find_place(struct control_server *server)
{
	struct client *oldest = NULL;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &server->clients[i];

		if (client->fd < 0)
			return client;
		if (!oldest || goes_before(client, oldest))
			oldest = client;
	}
	client_close(oldest);
	return oldest;
}

static int
on_connect(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct control_server *server = userdata;
	int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client;

	(void)source, (void)revents;
	if (client_fd < 0)
		return 0;
	client = find_place(server);
	client->fd = client_fd;
	client->heard_mono_ms = clock_mono_ms();
	if (sd_event_add_io(server->loop, &client->io, client_fd, EPOLLIN, on_client, client) < 0)
		client_close(client);
	return 0;
}

/* Returns whether somebody listens at the address. */
static bool
is_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
				    errno == EAGAIN || errno == EINPROGRESS);

	if (fd >= 0)
		close(fd);
	return alive;
}

static int
bind_address(int fd, const struct sockaddr_un *address)
{
	struct stat status;

	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	if (errno != EADDRINUSE || is_alive(address))
		return -errno;
	/* What somebody left who was killed. Nothing but a socket is removed. */
	if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return -EADDRINUSE;
	if (unlink(address->sun_path) < 0)
		return -errno;
	return bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : -errno;
}

/* Nobody can connect before listen(), when the rights are right. */
static int
listen_at(struct control_server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int error;

	memcpy(address.sun_path, server->path, sizeof(address.sun_path));
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->fd < 0)
		return -errno;
	error = bind_address(server->fd, &address);
	if (error < 0) {
		server->path[0] = '\0'; /* it is not ours to remove */
		return error;
	}
	if (chmod(server->path, SOCKET_MODE) < 0 || listen(server->fd, BACKLOG) < 0)
		return -errno;
	error = sd_event_add_io(server->loop, &server->io, server->fd, EPOLLIN, on_connect, server);
	/* Out of descriptors nobody can be let in, and the socket stays readable. */
	if (error >= 0)
		error = sd_event_source_set_ratelimit(server->io, CONNECTS_US, CONNECTS_MAX);
	return error < 0 ? error : 0;
}

int
control_server_open(
    sd_event *loop, const char *path, control_handler *handler, void *ctx, struct control_server **ret)
{
	struct control_server *server = calloc(1, sizeof(*server));
	int error;

	if (!server)
		return -ENOMEM;
	server->loop = sd_event_ref(loop);
	server->handler = handler;
	server->ctx = ctx;
	server->fd = -1;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		server->clients[i] = (struct client){ .server = server, .fd = -1 };
	error = strlen(path) < sizeof(server->path) ? 0 : -ENAMETOOLONG;
	if (error == 0) {
		strcpy(server->path, path);
		error = listen_at(server);
	}
	if (error < 0) {
		control_server_close(server);
		return error;
	}
	*ret = server;
	return 0;
}

void
control_server_close(struct control_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (server->clients[i].fd >= 0)
			client_close(&server->clients[i]);
	sd_event_source_disable_unref(server->io);
	if (server->fd >= 0)
		close(server->fd);
	if (server->path[0] != '\0')
		unlink(server->path);
	sd_event_unref(server->loop);
	free(server);
}

void
control_server_answer(struct control_server *server, uint64_t ticket, char *text, size_t length)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &server->clients[i];

		if (client->fd < 0 || client->ticket != ticket)
			continue;
		if (!text) {
			client_close(client); /* there is no memory for an answer */
			return;
		}
		client->ticket = 0;
		client->answer = text;
		client->length = length;
		client->sent = 0;
		/* From the loop: whoever answers may be in the middle of something. */
		client_watch(client, EPOLLOUT);
		return;
	}
	free(text);
}

void
control_server_say(struct control_server *server, uint64_t ticket, const char *error)
{
	control_server_tell(server, ticket, error, NULL);
}

void
control_server_tell(struct control_server *server, uint64_t ticket, const char *error, const char *told)
{
	size_t length;
	char *text = report_outcome(error, told, &length);

	control_server_answer(server, ticket, text, length);
}
