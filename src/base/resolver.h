/* Host names to addresses without waiting: helper threads call getaddrinfo(), which can hang for many seconds when no
 * name server answers. One helper is always there; others come while it is busy and go when nothing waits, so that a name
 * that hangs does not hold up the others. Numeric addresses never get here: resolver_numeric() answers them at once.
 *
 * A caller owns a queue of `struct resolver_answer` (base/fifo.h), asks, and finds the answer there; it knows its question
 * by `tag`. Answers come in any order. A question that hangs occupies a helper: do not ask again before the answer is there.
 * The queue must outlive the resolver, or be forgotten. Any thread may ask.
 */
#ifndef BASE_RESOLVER_H
#define BASE_RESOLVER_H

#include "base/fifo.h"

#include <netdb.h>
#include <stdint.h>
#include <sys/socket.h>

struct resolver;

/* A name with more has so many that the first ones will do. */
#define RESOLVER_ADDRESSES_MAX 8

struct resolver_address {
	struct sockaddr_storage storage;
	socklen_t length;
};

struct resolver_answer {
	uint64_t tag;
	int error; /* 0, or an EAI_ code */
	int64_t answered_mono_ms;
	size_t count; /* > 0 without error */
	struct resolver_address addresses[RESOLVER_ADDRESSES_MAX]; /* as the system prefers them */
};

/* Start the first helper. Returns NULL with errno set. */
struct resolver *resolver_start(void);

/* Stop it; a lookup that hangs is left to itself and its answer is dropped. NULL is fine. */
void resolver_stop(struct resolver *resolver);

/* Ask for the addresses of `host`, IPv4 and IPv6; the answer, with `port` in it, is pushed to `answers`. Returns 0; -ENAMETOOLONG; -EBUSY when too many questions are waiting. */
int resolver_ask(struct resolver *resolver, const char *host, uint16_t port, uint64_t tag, struct fifo *answers);

/* No answer will be pushed to `answers` any more: it may be freed. */
void resolver_forget(struct resolver *resolver, const struct fifo *answers);

/* Where `address` stands among those of an answer, so that who had success with it goes on with it; 0 if it is not there. */
size_t resolver_find(const struct resolver_answer *answer, const struct resolver_address *address);

/* Fill `ret` at once if `host` is a numeric address. Returns 0 or -EINVAL. */
int resolver_numeric(const char *host, uint16_t port, struct resolver_answer *ret);

/* Why there is no address, and what can be done about it, of an EAI_ code. Static text. */
const char *resolver_error_text(int error);

#endif
