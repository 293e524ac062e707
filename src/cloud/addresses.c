#include "cloud/addresses.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/fifo.h"

#define FRESH_MS 5000 /* one lookup serves all sessions that connect within this time */

enum state { STATE_UNKNOWN, STATE_ASKED, STATE_KNOWN, STATE_FAILED };

struct addresses {
	const struct server_settings *server;
	struct resolver *resolver;
	void (*changed)(void *ctx);
	void *ctx;
	enum state state;
	bool fixed; /* the host is numeric */
	int64_t until_mono_ms;
	const char *error;
	struct resolver_answer answer;
	size_t current;
	struct fifo *answers;
	sd_event_source *answers_io;
};

static void
take_failure(struct addresses *addresses, const char *why)
{
	addresses->state = STATE_FAILED;
	addresses->error = why;
	addresses->until_mono_ms = clock_mono_ms() + FRESH_MS;
}

/* Go on with the address that was used, if the name still has it. */
static void
take_answer(struct addresses *addresses, const struct resolver_answer *answer)
{
	size_t current = addresses->answer.count > 0
			     ? resolver_find(answer, &addresses->answer.addresses[addresses->current])
			     : 0;

	addresses->answer = *answer;
	addresses->current = current;
	addresses->state = STATE_KNOWN;
	addresses->until_mono_ms = clock_mono_ms() + FRESH_MS;
}

static int
on_answers(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct addresses *addresses = userdata;
	struct resolver_answer answer;

	(void)source, (void)fd, (void)events;
	while (fifo_pop(addresses->answers, &answer, 1) == 1) {
		if (answer.error != 0)
			take_failure(addresses, resolver_error_text(answer.error));
		else
			take_answer(addresses, &answer);
	}
	addresses->changed(addresses->ctx);
	return 0;
}

struct addresses *
addresses_new(const struct server_settings *server, sd_event *loop, struct resolver *resolver,
    void (*changed)(void *ctx), void *ctx)
{
	struct addresses *addresses = calloc(1, sizeof(*addresses));
	struct resolver_answer numeric;
	int error;

	if (!addresses)
		return NULL;
	addresses->server = server;
	addresses->resolver = resolver;
	addresses->changed = changed;
	addresses->ctx = ctx;
	addresses->answers = fifo_new(sizeof(struct resolver_answer), 1);
	error = addresses->answers ? sd_event_add_io(loop, &addresses->answers_io,
					 fifo_fd(addresses->answers), EPOLLIN, on_answers, addresses)
				   : -errno;
	if (error < 0) {
		addresses_free(addresses);
		errno = -error;
		return NULL;
	}
	if (resolver_numeric(server->host, (uint16_t)server->port, &numeric) == 0) {
		take_answer(addresses, &numeric);
		addresses->fixed = true;
	}
	return addresses;
}

void
addresses_free(struct addresses *addresses)
{
	if (!addresses)
		return;
	sd_event_source_disable_unref(addresses->answers_io);
	if (addresses->state == STATE_ASKED)
		resolver_forget(addresses->resolver, addresses->answers);
	fifo_free(addresses->answers);
	free(addresses);
}

void
addresses_rebind(struct addresses *addresses, const struct server_settings *server)
{
	addresses->server = server;
}

bool
addresses_ready(struct addresses *addresses, const char **ret_error)
{
	bool fresh =
	    addresses->fixed || ((addresses->state == STATE_KNOWN || addresses->state == STATE_FAILED) &&
				    clock_mono_ms() < addresses->until_mono_ms);

	if (addresses->state == STATE_ASKED)
		return false;
	if (!fresh && resolver_ask(addresses->resolver, addresses->server->host,
			  (uint16_t)addresses->server->port, 0, addresses->answers) == 0) {
		addresses->state = STATE_ASKED;
		return false;
	}
	if (!fresh)
		take_failure(addresses, "the resolver is busy");
	*ret_error = addresses->state == STATE_FAILED ? addresses->error : NULL;
	return true;
}

size_t
addresses_current(const struct addresses *addresses)
{
	return addresses->current;
}

int
addresses_text(const struct addresses *addresses, size_t at, char *text, size_t size)
{
	const struct resolver_address *address = &addresses->answer.addresses[at];

	return getnameinfo((const struct sockaddr *)(const void *)&address->storage, address->length, text,
		   (socklen_t)size, NULL, 0, NI_NUMERICHOST) == 0
		   ? 0
		   : -EINVAL;
}

void
addresses_doubt(struct addresses *addresses, size_t at)
{
	if (at == addresses->current && addresses->answer.count > 1)
		addresses->current = (at + 1) % addresses->answer.count;
}
