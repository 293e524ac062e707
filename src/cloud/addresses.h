/* The addresses of the server: asked for through the resolver when sessions want to connect, kept for a few seconds, tried in
 * turn. One that was good is kept while the name has it. Owned by the cloud's thread.
 */
#ifndef CLOUD_ADDRESSES_H
#define CLOUD_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "base/resolver.h"
#include "model/settings.h"

struct addresses;

/* `changed` is called from the loop when what addresses_ready() waited for is there. Returns NULL with errno set. */
struct addresses *addresses_new(const struct server_settings *server, sd_event *loop, struct resolver *resolver,
    void (*changed)(void *ctx), void *ctx);
void addresses_free(struct addresses *addresses);

/* The settings are others, in which the server is the same. */
void addresses_rebind(struct addresses *addresses, const struct server_settings *server);

/* Is there an address, or the news that there is none, which is then why in `ret_error`, static, else NULL? If not, it has
 * been asked for. */
bool addresses_ready(struct addresses *addresses, const char **ret_error);

/* The one to connect to, once ready, and its text, as the library takes it. Returns 0 or -EINVAL. */
size_t addresses_current(const struct addresses *addresses);
int addresses_text(const struct addresses *addresses, size_t at, char *text, size_t size);

/* Nothing answers at this one: whoever comes next tries the next, unless another session has moved on already. */
void addresses_doubt(struct addresses *addresses, size_t at);

#endif
