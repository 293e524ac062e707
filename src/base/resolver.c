#include "base/resolver.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread_name.h"

#define QUESTIONS_WAITING 512
#define HELPERS_MAX	  16
#define STOP_WAIT_MS	  200

struct question {
	char host[NI_MAXHOST];
	uint16_t port;
	uint64_t tag;
	struct fifo *answers;
};

struct resolver {
	struct fifo *questions;
	pthread_mutex_t lock; /* of all below; held while an answer is pushed, so that after resolver_stop()
				 no queue of a caller is touched */
	pthread_cond_t changed;
	size_t waiting; /* questions */
	size_t helpers; /* threads */
	size_t busy;	/* of these, in getaddrinfo() */
	struct question *asking[HELPERS_MAX]; /* what these ask, or NULL */
	bool stopped;
	bool abandoned; /* by its owner: the last helper frees it */
};

static void
fill_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
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
		fill_port(&address->storage, port);
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
	ret->answered_mono_ms = clock_mono_ms();
	return look_up(host, port, AI_NUMERICHOST, ret) == 0 ? 0 : -EINVAL;
}

size_t
resolver_find(const struct resolver_answer *answer, const struct resolver_address *address)
{
	for (size_t i = 0; i < answer->count; i++)
		if (answer->addresses[i].length == address->length &&
		    memcmp(&answer->addresses[i].storage, &address->storage, address->length) == 0)
			return i;
	return 0;
}

static void
resolver_free(struct resolver *resolver)
{
	fifo_free(resolver->questions);
	pthread_cond_destroy(&resolver->changed);
	pthread_mutex_destroy(&resolver->lock);
	free(resolver);
}

/* The lock is held before and after, and not while getaddrinfo() may hang. */
static void
answer_question(struct resolver *resolver, struct question *question)
{
	struct resolver_answer answer = { .tag = question->tag };
	size_t place = 0;

	resolver->waiting--;
	resolver->busy++;
	while (resolver->asking[place])
		place++;
	resolver->asking[place] = question;
	pthread_mutex_unlock(&resolver->lock);
	answer.error = look_up(question->host, question->port, AI_ADDRCONFIG, &answer);
	answer.answered_mono_ms = clock_mono_ms();
	pthread_mutex_lock(&resolver->lock);
	resolver->busy--;
	resolver->asking[place] = NULL;
	if (!resolver->stopped && question->answers)
		fifo_push(question->answers, &answer, 1);
}

static void *
helper_run(void *arg)
{
	struct resolver *resolver = arg;
	struct question question;
	bool last;

	thread_name("resolver");
	pthread_mutex_lock(&resolver->lock);
	while (!resolver->stopped) {
		if (fifo_pop(resolver->questions, &question, 1) == 1)
			answer_question(resolver, &question);
		else if (resolver->helpers > 1)
			break;
		else
			pthread_cond_wait(&resolver->changed, &resolver->lock);
	}
	resolver->helpers--;
	last = resolver->abandoned && resolver->helpers == 0;
	pthread_cond_broadcast(&resolver->changed);
	pthread_mutex_unlock(&resolver->lock);
	if (last)
		resolver_free(resolver);
	return NULL;
}

/* With the lock held. Returns 0 or negative errno. */
static int
add_helper(struct resolver *resolver)
{
	pthread_attr_t detached;
	pthread_t thread;
	int error = pthread_attr_init(&detached);

	if (error != 0)
		return -error;
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &detached, helper_run, resolver);
	pthread_attr_destroy(&detached);
	if (error == 0)
		resolver->helpers++;
	return -error;
}

static void
init_condition(pthread_cond_t *condition)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

struct resolver *
resolver_start(void)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	int error;

	if (!resolver)
		return NULL;
	pthread_mutex_init(&resolver->lock, NULL);
	init_condition(&resolver->changed);
	resolver->questions = fifo_new(sizeof(struct question), QUESTIONS_WAITING);
	if (resolver->questions) {
		pthread_mutex_lock(&resolver->lock);
		error = -add_helper(resolver);
		pthread_mutex_unlock(&resolver->lock);
	} else {
		error = errno;
	}
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
	struct timespec until;
	size_t helpers;

	if (!resolver)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += STOP_WAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&resolver->lock);
	resolver->stopped = true;
	pthread_cond_broadcast(&resolver->changed);
	while (
	    resolver->helpers > 0 && pthread_cond_timedwait(&resolver->changed, &resolver->lock, &until) == 0)
		;
	/* A getaddrinfo() that hangs cannot be ended: its helper keeps what it uses, and the process ends
	 * soon. */
	helpers = resolver->helpers;
	resolver->abandoned = helpers > 0;
	pthread_mutex_unlock(&resolver->lock);
	if (helpers == 0)
		resolver_free(resolver);
}

int
resolver_ask(struct resolver *resolver, const char *host, uint16_t port, uint64_t tag, struct fifo *answers)
{
	struct question question = { .port = port, .tag = tag, .answers = answers };
	bool taken;

	if (strlen(host) >= sizeof(question.host))
		return -ENAMETOOLONG;
	memcpy(question.host, host, strlen(host) + 1);
	pthread_mutex_lock(&resolver->lock);
	taken = fifo_push(resolver->questions, &question, 1) == 1;
	resolver->waiting += taken;
	/* Without another thread the question waits for one that is there. */
	if (taken && resolver->waiting > resolver->helpers - resolver->busy &&
	    resolver->helpers < HELPERS_MAX)
		(void)add_helper(resolver);
	pthread_cond_signal(&resolver->changed);
	pthread_mutex_unlock(&resolver->lock);
	return taken ? 0 : -EBUSY;
}

void
resolver_forget(struct resolver *resolver, const struct fifo *answers)
{
	struct question question;
	size_t waiting;

	pthread_mutex_lock(&resolver->lock);
	waiting = resolver->waiting;
	for (size_t i = 0; i < waiting && fifo_pop(resolver->questions, &question, 1) == 1; i++) {
		if (question.answers == answers)
			resolver->waiting--;
		else
			fifo_push(resolver->questions, &question, 1);
	}
	for (size_t i = 0; i < HELPERS_MAX; i++)
		if (resolver->asking[i] && resolver->asking[i]->answers == answers)
			resolver->asking[i]->answers = NULL;
	pthread_mutex_unlock(&resolver->lock);
}

const char *
resolver_error_text(int error)
{
	switch (error) {
	case EAI_NONAME:
		return "this name is not known: is it spelled right?";
	case EAI_AGAIN:
		return "no name server answers: is there a network?";
	default:
		return gai_strerror(error);
	}
}
