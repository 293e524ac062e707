#include "fake/names.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool held = true;
static int hanging;

static const struct {
	const char *name;
	const char *addresses[4];
} names[] = {
	{ .name = "localhost", .addresses = { "127.0.0.1" } },
	{ .name = "three.test", .addresses = { "::1", "127.0.0.2", "127.0.0.1" } },
};

int
names_hanging(void)
{
	int count;

	pthread_mutex_lock(&lock);
	count = hanging;
	pthread_mutex_unlock(&lock);
	return count;
}

void
names_hold(void)
{
	pthread_mutex_lock(&lock);
	held = true;
	pthread_mutex_unlock(&lock);
}

void
names_release(void)
{
	pthread_mutex_lock(&lock);
	held = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void
hang(void)
{
	pthread_mutex_lock(&lock);
	hanging++;
	while (held)
		pthread_cond_wait(&changed, &lock);
	hanging--;
	pthread_mutex_unlock(&lock);
}

/* The lists of glibc are chained node by node, and so freed. */
static int
chain(const char *const *addresses, const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo numeric = *hints, **end = ret;

	numeric.ai_flags = AI_NUMERICHOST;
	for (*ret = NULL; *addresses; addresses++, end = &(*end)->ai_next) {
		int error = __real_getaddrinfo(*addresses, NULL, &numeric, end);

		if (error != 0)
			return error;
	}
	return 0;
}

int
__wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo numeric = *hints;

	numeric.ai_flags = AI_NUMERICHOST;
	if (__real_getaddrinfo(node, service, &numeric, ret) == 0)
		return 0;
	if (hints->ai_flags & AI_NUMERICHOST)
		return EAI_NONAME;
	if (strcmp(node, "hang.test") == 0)
		hang();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(node, names[i].name) == 0)
			return chain(names[i].addresses, hints, ret);
	return EAI_NONAME;
}
