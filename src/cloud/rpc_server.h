/* RPC requests that the server makes: each becomes commands, and is answered whatever happens, once, and on
 * the connection that asked; ThingsBoard asks again on a new connection, and gets the same answer without a
 * second write. The reply is there within rpc_timeout_ms and a moment, be the unit dead; it goes as soon as the
 * server's limits let it (sender.h). The cloud's thread.
 */
#ifndef CLOUD_RPC_SERVER_H
#define CLOUD_RPC_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "cloud/commands.h"
#include "cloud/downlink_port.h"
#include "cloud/shared.h"
#include "model/difference.h"
#include "model/health.h"
#include "model/settings.h"

struct rpc_server;

/* All but the port itself must outlive it. Returns NULL when there is no memory. */
struct rpc_server *rpc_server_new(const struct settings *settings, struct downlink_port port,
    struct commands *commands, struct shared *shared);
void rpc_server_free(struct rpc_server *server);

/* Go on where `from`, of older settings and with the same commands, has been, with its journal; these
 * settings name none: calls of points that are the same go on; others are answered now, on the session that
 * asked. */
void rpc_server_adopt(
    struct rpc_server *server, struct rpc_server *from, const struct difference *difference);

void rpc_server_up(struct rpc_server *server, size_t device); /* a new connection */
void rpc_server_down(struct rpc_server *server, size_t device);
void rpc_server_request(
    struct rpc_server *server, size_t device, int64_t id, const void *payload, size_t length);

/* When rpc_server_tick() is to be called, CLOCK_NEVER if it need not. */
int64_t rpc_server_due_mono_ms(const struct rpc_server *server);
void rpc_server_tick(struct rpc_server *server);

struct rpc_server_counts {
	uint64_t requests;	  /* that came, repeated ones included */
	uint64_t refused;	  /* not understood, not allowed, or too many: nothing was sent */
	uint64_t repeated;	  /* answered from memory or while running */
	uint64_t replies_dropped; /* the connection that asked was gone */
};
struct rpc_server_counts rpc_server_counts(const struct rpc_server *server);

/* Requests of one device, and how many of them were answered with an error. */
void rpc_server_health(const struct rpc_server *server, size_t device, struct health_device *ret);

#endif
