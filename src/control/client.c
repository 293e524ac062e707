#include "control/client.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/protocol.h"

#define READ_BYTES (64u << 10)

struct client {
	int fd;
	char *text;
	size_t used;
	size_t size;
	char version[32];
};

/* There is one client in a process, and what is said of one that could not be made has to be somewhere. */
static char fault[256];

static enum client_result
fail(enum client_result result, const char *where, const char *what)
{
	snprintf(fault, sizeof(fault), "%s%s%s", where, where[0] ? ": " : "", what);
	return result;
}

static enum client_result
connect_failed(const char *path, int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return fail(CLIENT_NO_DAEMON, path, "no fieldgate is running here");
	case EACCES:
	case EPERM:
		return fail(CLIENT_NO_PERMISSION, path, "only root and the group fieldgate may ask");
	case EAGAIN:
		return fail(CLIENT_BROKEN, path, "fieldgate does not answer");
	default:
		return fail(CLIENT_BROKEN, path, strerror(error));
	}
}

enum client_result
client_open(const char *path, struct client **ret)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = CLIENT_TIMEOUT_MS / 1000 };
	struct client *client;

	if (control_path(path, address.sun_path, sizeof(address.sun_path)) < 0)
		return fail(CLIENT_BROKEN, path ? path : "", "the path is too long for a socket");
	client = calloc(1, sizeof(*client));
	if (!client)
		return fail(CLIENT_BROKEN, "", strerror(ENOMEM));
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A daemon that hangs accepts nobody. */
	if (client->fd < 0 ||
	    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(client->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;

		client_close(client);
		return connect_failed(address.sun_path, error);
	}
	*ret = client;
	return CLIENT_OK;
}

void
client_close(struct client *client)
{
	if (!client)
		return;
	if (client->fd >= 0)
		close(client->fd);
	free(client->text);
	free(client);
}

static bool
send_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t put = send(fd, text, length, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		text += put;
		length -= (size_t)put;
	}
	return true;
}

static bool
make_room(struct client *client)
{
	size_t size = client->size + client->size / 2 + READ_BYTES;
	char *text;

	if (client->used + READ_BYTES < client->size)
		return true;
	text = size > CONTROL_ANSWER_MAX ? NULL : realloc(client->text, size);
	if (!text)
		return false;
	client->text = text;
	client->size = size;
	return true;
}

/* Read up to the end of the line, which is also the end of what the daemon says. Returns 0 or negative errno. */
static int
receive(struct client *client)
{
	int64_t until_ms = clock_mono_ms() + CLIENT_TIMEOUT_MS;

	client->used = 0;
	for (;;) {
		struct pollfd watched = { .fd = client->fd, .events = POLLIN };
		int ready = poll(&watched, 1, clock_poll_ms(until_ms));
		ssize_t got;

		if (ready == 0)
			return -ETIMEDOUT;
		if (!make_room(client))
			return -EMSGSIZE;
		got = ready < 0 ? -1 : recv(client->fd, client->text + client->used, READ_BYTES, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ECONNRESET;
		client->used += (size_t)got;
		client->text[client->used] = '\0';
		if (client->text[client->used - 1] == '\n')
			return 0;
	}
}

static const char *
text_of(const struct json_object *object, const char *name)
{
	struct json_object *member = NULL;

	json_object_object_get_ex(object, name, &member);
	return json_object_is_type(member, json_type_string) ? json_object_get_string(member) : NULL;
}

static enum client_result
judge(struct client *client, struct json_object *answer)
{
	struct json_object *member = NULL;
	const char *version = text_of(answer, "fieldgate");
	const char *error = text_of(answer, "error");

	if (!version || !json_object_object_get_ex(answer, "protocol", &member))
		return fail(CLIENT_BROKEN, "", "what answers is no fieldgate");
	snprintf(client->version, sizeof(client->version), "%s", version);
	if (json_object_get_int(member) != CONTROL_PROTOCOL) {
		snprintf(fault, sizeof(fault), "the fieldgate that runs is %s and speaks another protocol: restart it", version);
		return CLIENT_OTHER_VERSION;
	}
	if (!json_object_object_get_ex(answer, "ok", &member) || !json_object_get_boolean(member))
		return fail(CLIENT_REFUSED, "", error ? error : "refused");
	return CLIENT_OK;
}

enum client_result
client_ask(struct client *client, const char *const *words, size_t count, struct json_object **ret)
{
	char line[CONTROL_REQUEST_MAX];
	struct json_object *answer;
	int length = control_request_write(words, count, line, sizeof(line) - 1);
	enum client_result result;
	int error;

	if (length < 0)
		return fail(CLIENT_REFUSED, "", "that is too long");
	line[length++] = '\n';
	if (!send_all(client->fd, line, (size_t)length))
		return fail(CLIENT_BROKEN, "", "fieldgate has closed the connection");
	error = receive(client);
	if (error == -ETIMEDOUT)
		return fail(CLIENT_BROKEN, "", "fieldgate does not answer");
	if (error < 0)
		return fail(CLIENT_BROKEN, "", error == -ECONNRESET ? "fieldgate has closed the connection" : strerror(-error));
	answer = json_tokener_parse(client->text);
	result = judge(client, answer);
	if (result == CLIENT_OK || result == CLIENT_REFUSED)
		*ret = answer;
	else
		json_object_put(answer);
	return result;
}

const char *
client_told(const struct json_object *answer)
{
	return text_of(answer, "told");
}

void
client_answer_free(struct json_object *answer)
{
	json_object_put(answer);
}

const char *
client_error(void)
{
	return fault;
}

const char *
client_text(const struct client *client, size_t *ret_length)
{
	*ret_length = client->used;
	return client->text;
}

const char *
client_version(const struct client *client)
{
	return client->version;
}
