/* Opens what a bus stands on: a serial port, a TCP connection or a file, and hands out its descriptor. Everything is
 * exclusive, timed, non-blocking and closed on exec; names are resolved in the helper thread
 * (base/resolver.h), and all addresses of a name are tried in turn.
 *
 * A serial port that is not there is watched for. One thread at a time.
 */
#ifndef FIELD_PORT_H
#define FIELD_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/resolver.h"
#include "model/settings.h"

struct port;

/* The settings and the resolver must outlive it.
 * stop_fd  readable when all waiting is to end
 * Returns NULL with errno set. */
struct port *port_new(const struct bus *bus, struct resolver *resolver, int stop_fd);
void port_free(struct port *port);

/* As link.h says for rebind(). */
void port_rebind(struct port *port, const struct bus *bus);

/* As link.h says for open(). */
int port_open(struct port *port, int wake_fd, int64_t until_us);
void port_close(struct port *port);
const char *port_fault(const struct port *port);

/* -1 unless it is open. */
int port_fd(const struct port *port);
bool port_is_open(const struct port *port);

/* While a serial port could not be opened because it is not there: readable when trying again is worth it;
 * else -1. */
int port_watch_fd(const struct port *port);
void port_watch_end(struct port *port);

/* Wait until `fd` has one of `events` (0: only hang-up; fd -1: only time) or `until_us`.
 * wake_fd, stop_fd  -1 or also watched
 * Returns what poll() found on `fd` (> 0); 0 at `until_us`; -EAGAIN if `wake_fd` is readable, -ECANCELED if
 * `stop_fd` is. */
int port_wait(int fd, short events, int wake_fd, int stop_fd, int64_t until_us);

#endif
