/* The control socket of the daemon: a Unix socket in the file system, whose rights (0660) say who may ask. Requests and answers
 * are those of control/protocol.h.
 *
 * Nothing of a client waits for another, and nothing of it is more than one request and one answer: it is not read while its
 * answer is not taken. There are as many clients as there are places; who comes then takes the place of the one who has been
 * silent the longest. The main thread's, on its event loop.
 */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "control/protocol.h"

#define CONTROL_CLIENTS_MAX 16

struct control_server;

/* A request has come; it is to be answered with its ticket, now or later. */
typedef void control_handler(void *ctx, uint64_t ticket, const struct control_request *request);

/* Listen at `path`. A socket there that nobody listens on is replaced.
 * Returns 0; -EADDRINUSE if somebody does; or another negative errno. */
int control_server_open(sd_event *loop, const char *path, control_handler *handler, void *ctx,
    struct control_server **ret);

/* Removes the socket from the file system. NULL is fine. */
void control_server_close(struct control_server *server);

/* Answer with one line, its end included. `text` is on the heap and taken in any case; who asked may be gone. */
void control_server_answer(struct control_server *server, uint64_t ticket, char *text, size_t length);

/* {"ok":true} or, with `error`, {"ok":false,"error":...} */
void control_server_say(struct control_server *server, uint64_t ticket, const char *error);

/* The same with "told": lines for people. */
void control_server_tell(struct control_server *server, uint64_t ticket, const char *error, const char *told);

#endif
