/* Asking the daemon: what the commands status, watch and the like do over the control socket. Blocks, within bounds. */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include <stddef.h>

#define CLIENT_TIMEOUT_MS 15000 /* for an answer */

struct json_object;
struct client;

/* How it went, by whose fault. */
enum client_result {
	CLIENT_OK,
	CLIENT_REFUSED,	      /* the daemon says no, in words */
	CLIENT_NO_DAEMON,     /* nobody listens */
	CLIENT_NO_PERMISSION, /* it is not for this user */
	CLIENT_OTHER_VERSION, /* it speaks, but not as we do */
	CLIENT_BROKEN,	      /* no answer, or what is none */
};

/* path  as control_path() takes it */
enum client_result client_open(const char *path, struct client **ret);
void client_close(struct client *client);

/* Ask. ret  the answer, also one that refuses; the caller frees it with client_answer_free() */
enum client_result client_ask(struct client *client, const char *const *words, size_t count, struct json_object **ret);

/* The lines for people in an answer, or NULL. */
const char *client_told(const struct json_object *answer);

void client_answer_free(struct json_object *answer);

/* What went wrong, in words, with where; valid until the next call. */
const char *client_error(void);

/* The answer as it came, with its line end; valid until the next call. */
const char *client_text(const struct client *client, size_t *ret_length);

/* The version of the daemon that answered last, "" if none did. */
const char *client_version(const struct client *client);

#endif
