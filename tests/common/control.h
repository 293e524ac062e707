/* How a test, a person or the demo steers a simulator: JSON objects, one a line.
 *
 * Commands come in on a descriptor (standard input), events and answers go out on standard output. A command may carry
 * an "id"; its answer carries the same value as "re". End of input means that whoever steered us is gone: the simulator
 * ends, so that a killed test leaves nothing behind. One thread, the one that runs the simulator's loop.
 */
#ifndef COMMON_CONTROL_H
#define COMMON_CONTROL_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

struct control {
	int fd;
	size_t used;
	bool overlong;           /* the line being read is longer than the buffer: dropped up to its end */
	char line[256 * 1024];
};

/* One command. `command` is an object and stays the caller's; the handler answers with control_answer(). */
typedef void control_handler(void *ctx, struct json_object *command);

/* Make `fd` non-blocking and read from it from now on. Returns 0 or negative errno. */
int control_init(struct control *control, int fd);

/* Take what has arrived and call the handler for each whole line; a line that is no JSON object is answered with an error.
 * Returns 1 to go on, 0 at the end of input, negative errno. */
int control_read(struct control *control, control_handler *handler, void *ctx);

/* Print one event as one line. Takes the object. */
void control_emit(struct json_object *event);

/* Answer `command`: `result` (taken, may be NULL) gets "re" and "ok"; a non-NULL error makes ok false. */
void control_answer(struct json_object *command, struct json_object *result, const char *error);

/* Members of a command, with a value for when they are absent. Strings live as long as the command. */
const char *control_string(struct json_object *command, const char *name, const char *absent);
double control_number(struct json_object *command, const char *name, double absent);
bool control_bool(struct json_object *command, const char *name, bool absent);

#endif
