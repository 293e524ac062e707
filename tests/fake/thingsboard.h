/* A tbbench of a test's own: started, steered and listened to. Every wait is for an event; one that does not
 * come within 20 seconds fails the test. Its calls belong to one thread; another takes what the bench says as soon as it says it,
 * so that no test, and no end of one, can stand still because of a full pipe.
 */
#ifndef FAKE_THINGSBOARD_H
#define FAKE_THINGSBOARD_H

#include <json-c/json.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct thingsboard {
	pid_t pid;
	int in;
	int out;
	int port;
	int last_id;
	struct json_object *events; /* that nobody has asked for yet, in order */

	pthread_t reader;
	pthread_mutex_t lock;	/* of what follows */
	pthread_cond_t changed;
	char *text;		/* what has come: whole lines and the beginning of one */
	size_t used, size;
	bool ended;
};

/* Start one that takes any token, on a free port. */
void thingsboard_start(struct thingsboard *tb);

/* End it. Nothing happens to one that was not started and is all zero. */
void thingsboard_stop(struct thingsboard *tb);

/* Run a command, given without "id": {"cmd":"kick"}. Returns the answer, which is ok; json_object_put() frees
 * it. */
struct json_object *thingsboard_run(struct thingsboard *tb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same when the answer does not matter. */
void thingsboard_do(struct thingsboard *tb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next event of this name that was not taken yet, of this token or any (NULL). json_object_put() frees
 * it. */
struct json_object *thingsboard_await(struct thingsboard *tb, const char *event, const char *token);

/* Take what has arrived and count the events of this name that were not taken yet. */
size_t thingsboard_waiting(struct thingsboard *tb, const char *event);

/* Members of an event. */
const char *event_text(struct json_object *event, const char *member);
long long event_number(struct json_object *event, const char *member);

#endif
