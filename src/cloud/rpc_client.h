/* Requests that the gateway makes of the server (client-side RPC): one place for their ids, their time limits
 * and who awaits the answers. The server's answers of last resort are {"error":"timeout"} after 60 s, or
 * none. The cloud's thread.
 */
#ifndef CLOUD_RPC_CLIENT_H
#define CLOUD_RPC_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "cloud/downlink_port.h"
#include "cloud/tb_json.h"
#include "model/difference.h"

struct rpc_client;

/* Called once for each request that was sent.
 * answer  what the server said; NULL if it said nothing that can be understood: then `error` tells why
 * error   in words; NULL with an answer */
typedef void rpc_answer(void *ctx, size_t device, const struct tb_json *answer, const char *error);

/* Room for so many devices and requests without an answer. Returns NULL when there is no memory. */
struct rpc_client *rpc_client_new(size_t devices, size_t requests, struct downlink_port port);

/* Answers nobody any more. */
void rpc_client_free(struct rpc_client *client);

/* Requests of devices that are the same are awaited here from now on; those of others are not answered, as if
 * their session had ended. */
void rpc_client_adopt(
    struct rpc_client *client, struct rpc_client *from, const struct difference *difference);

/* Ask the server, on the session that the device has now.
 * params  JSON, or NULL for {}
 * Returns 0; -EBUSY when too many wait; -EMSGSIZE when that is no message; or what publish() returns. */
int rpc_client_ask(struct rpc_client *client, size_t device, const char *method, const char *params,
    int timeout_ms, rpc_answer *answered, void *ctx);

/* The answer to the request with that id. */
void rpc_client_response(
    struct rpc_client *client, size_t device, int64_t id, const void *payload, size_t length);

/* The session is over, and with it what was asked on it. */
void rpc_client_down(struct rpc_client *client, size_t device);

/* Whoever has asked with this context does not want the answers any more. */
void rpc_client_forget(struct rpc_client *client, size_t device, const void *ctx);

/* When rpc_client_tick() is to be called, CLOCK_NEVER if it need not. */
int64_t rpc_client_due_mono_ms(const struct rpc_client *client);
void rpc_client_tick(struct rpc_client *client);

struct rpc_client_counts {
	uint64_t asked;
	uint64_t answered;
	uint64_t unanswered; /* in time, or before the session ended */
	uint64_t unknown;    /* answers to nothing that waits: late, or twice */
};
struct rpc_client_counts rpc_client_counts(const struct rpc_client *client);

#endif
