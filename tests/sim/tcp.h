/* A port of 127.0.0.1 and its connections: Modbus TCP, or RTU frames on TCP as a terminal server carries
 * them. */
#ifndef SIM_TCP_H
#define SIM_TCP_H

#include "sim/bus.h"
#include "sim/loop.h"

struct tcp;

/* Listen on a port (0: any). Returns 0 and the object, which points to loop and bus; negative errno. */
int tcp_open(struct loop *loop, struct bus *bus, unsigned port, struct tcp **ret_tcp);
void tcp_close(struct tcp *tcp);

unsigned tcp_port(const struct tcp *tcp);
unsigned tcp_connections(const struct tcp *tcp);

/* No more than `max` connections (-1: any number); the others are closed at once, or left waiting in the
 * backlog. */
void tcp_limit(struct tcp *tcp, int max, bool leave);

/* Off: the device loses power: nobody listens, connections are reset. On: it is back on the same port. */
int tcp_power(struct tcp *tcp, bool on);

/* Send noise on every connection. */
void tcp_babble(struct tcp *tcp, size_t length);

#endif
