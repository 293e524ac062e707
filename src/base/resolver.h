/* Host names to addresses without waiting: one helper thread calls getaddrinfo(), which can hang for many seconds when no
 * name server answers. Numeric addresses never get here: resolver_numeric() answers them at once.
 *
 * A caller owns a queue of `struct resolver_answer` (base/fifo.h), asks, and finds the answer there; it knows its question
 * by `tag`. The queue must outlive the resolver. Any thread may ask.
 */
#ifndef BASE_RESOLVER_H
#define BASE_RESOLVER_H

#include "base/fifo.h"

#include <netdb.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct resolver;

#define RESOLVER_ADDRESSES_MAX 8 /* of one name; what more it has is left out */

struct resolver_address {
	struct sockaddr_storage storage; /* with the port in it */
	socklen_t length;
};

struct resolver_answer {
	uint64_t tag;
	int error; /* 0, or an EAI_ code for gai_strerror() */
	/* In the order in which they should be tried (RFC 6724, as the system is set up); at least one when error is 0. */
	struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
	size_t count;
};

/* Start the helper thread. Returns NULL with errno set. */
struct resolver *resolver_start(void);

/* Stop it; a lookup in progress is left to itself and its answer is dropped. NULL is fine. */
void resolver_stop(struct resolver *resolver);

/* Ask for the addresses of `host`, IPv4 and IPv6 as the system prefers them; the answer, with `port` in each, is pushed to
 * `answers`. Returns 0; -ENAMETOOLONG; -EBUSY when too many questions are waiting. */
int resolver_ask(struct resolver *resolver, const char *host, uint16_t port, uint64_t tag, struct fifo *answers);

/* Fill `ret` at once if `host` is a numeric address. Returns 0 or -EINVAL. */
int resolver_numeric(const char *host, uint16_t port, struct resolver_answer *ret);

#endif
