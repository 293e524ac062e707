#include "base/resolver.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define QUESTIONS_WAITING 512
#define STOP_WAIT_MS 200

struct question {
	char host[NI_MAXHOST];
	uint16_t port;
	uint64_t tag;
	struct fifo *answers; /* NULL: the end */
};

struct resolver {
	pthread_t thread;
	struct fifo *questions;
	struct fifo *done; /* one byte when the thread has ended */
	/* Held while an answer is pushed, so that after resolver_stop() no queue of a caller is touched. */
	pthread_mutex_t answering;
	bool stopped; /* under `answering` */
};

static void
fill_port(struct resolver_address *address, uint16_t port)
{
	if (address->storage.ss_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)&address->storage)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)(void *)&address->storage)->sin_port = htons(port);
}

static int
look_up(const char *host, uint16_t port, int flags, struct resolver_answer *ret)
{
	struct addrinfo hints = { .ai_flags = flags, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int error = getaddrinfo(host, NULL, &hints, &found);

	ret->count = 0;
	for (const struct addrinfo *at = found; at && ret->count < RESOLVER_ADDRESSES_MAX; at = at->ai_next) {
		struct resolver_address *address = &ret->addresses[ret->count];

		if (at->ai_addrlen > sizeof(address->storage))
			continue;
		memcpy(&address->storage, at->ai_addr, at->ai_addrlen);
		address->length = at->ai_addrlen;
		fill_port(address, port);
		ret->count++;
	}
	if (found)
		freeaddrinfo(found);
	return error == 0 && ret->count == 0 ? EAI_FAMILY : error;
}

int
resolver_numeric(const char *host, uint16_t port, struct resolver_answer *ret)
{
	memset(ret, 0, sizeof(*ret));
	return look_up(host, port, AI_NUMERICHOST, ret) == 0 ? 0 : -EINVAL;
}

/* Returns false when it has been stopped. */
static bool
answer_question(struct resolver *resolver, const struct question *question)
{
	struct resolver_answer answer = { .tag = question->tag };
	bool stopped;

	answer.error = look_up(question->host, question->port, AI_ADDRCONFIG, &answer);
	pthread_mutex_lock(&resolver->answering);
	stopped = resolver->stopped;
	if (!stopped)
		fifo_push(question->answers, &answer, 1);
	pthread_mutex_unlock(&resolver->answering);
	return !stopped;
}

static void *
resolver_run(void *arg)
{
	struct resolver *resolver = arg;
	struct pollfd waiting = { .fd = fifo_fd(resolver->questions), .events = POLLIN };
	struct question question;

	do
		while (fifo_pop(resolver->questions, &question, 1) == 0)
			poll(&waiting, 1, -1);
	while (question.answers && answer_question(resolver, &question));
	fifo_push(resolver->done, "", 1);
	return NULL;
}

static void
resolver_free(struct resolver *resolver)
{
	fifo_free(resolver->questions);
	fifo_free(resolver->done);
	pthread_mutex_destroy(&resolver->answering);
	free(resolver);
}

struct resolver *
resolver_start(void)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	int error;

	if (!resolver)
		return NULL;
	pthread_mutex_init(&resolver->answering, NULL);
	resolver->questions = fifo_new(sizeof(struct question), QUESTIONS_WAITING);
	resolver->done = fifo_new(1, 1);
	error = resolver->questions && resolver->done ? pthread_create(&resolver->thread, NULL, resolver_run, resolver) : errno;
	if (error != 0) {
		resolver_free(resolver);
		errno = error;
		return NULL;
	}
	return resolver;
}

void
resolver_stop(struct resolver *resolver)
{
	const struct question wake = { .answers = NULL };
	struct pollfd ended;

	if (!resolver)
		return;
	pthread_mutex_lock(&resolver->answering);
	resolver->stopped = true;
	pthread_mutex_unlock(&resolver->answering);
	/* A thread that sleeps must be woken; with questions waiting it does not sleep, and ends after the one in hand. */
	fifo_push(resolver->questions, &wake, 1);
	ended = (struct pollfd){ .fd = fifo_fd(resolver->done), .events = POLLIN };
	if (poll(&ended, 1, STOP_WAIT_MS) > 0) {
		pthread_join(resolver->thread, NULL);
		resolver_free(resolver);
	} else {
		/* getaddrinfo() hangs and cannot be ended: the thread keeps what it uses, and the process ends soon. */
		pthread_detach(resolver->thread);
	}
}

int
resolver_ask(struct resolver *resolver, const char *host, uint16_t port, uint64_t tag, struct fifo *answers)
{
	struct question question = { .port = port, .tag = tag, .answers = answers };

	if (strlen(host) >= sizeof(question.host))
		return -ENAMETOOLONG;
	memcpy(question.host, host, strlen(host) + 1);
	return fifo_push(resolver->questions, &question, 1) == 1 ? 0 : -EBUSY;
}
