/* A name server for tests: linked with -Wl,--wrap=getaddrinfo, it answers the names below and no test depends on a real one.
 * Every other name is none; addresses are themselves.
 *
 *   localhost    127.0.0.1
 *   three.test   ::1, 127.0.0.2, 127.0.0.1: a server that listens on the last one only
 *   hang.test    no answer until names_release(), and then none
 */
#ifndef FAKE_NAMES_H
#define FAKE_NAMES_H

#include <netdb.h>

/* How many lookups hang now. */
int names_hanging(void);

/* Let go what hangs, and what would from now on. */
void names_release(void);

/* Let hang.test hang (again). */
void names_hold(void);

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret);
int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret);

#endif
