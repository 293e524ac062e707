#include "common/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
control_init(struct control *control, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	control->fd = fd;
	control->used = 0;
	control->overlong = false;
	return 0;
}

void
control_emit(struct json_object *event)
{
	/* One write a line: lines of the simulator's threads never mix, and a reader sees a line as soon as it is whole. */
	flockfile(stdout);
	fputs(json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), stdout);
	putc('\n', stdout);
	fflush(stdout);
	funlockfile(stdout);
	json_object_put(event);
}

void
control_answer(struct json_object *command, struct json_object *result, const char *error)
{
	struct json_object *answer = result ? result : json_object_new_object();
	struct json_object *id;

	if (json_object_object_get_ex(command, "id", &id))
		json_object_object_add(answer, "re", json_object_get(id));
	json_object_object_add(answer, "ok", json_object_new_boolean(!error));
	if (error)
		json_object_object_add(answer, "error", json_object_new_string(error));
	control_emit(answer);
}

static void
control_line(char *line, control_handler *handler, void *ctx)
{
	struct json_object *command = json_tokener_parse(line);

	if (json_object_is_type(command, json_type_object)) {
		handler(ctx, command);
	} else {
		struct json_object *nothing = json_object_new_object();
		control_answer(nothing, NULL, "not a JSON object");
		json_object_put(nothing);
	}
	json_object_put(command);
}

int
control_read(struct control *control, control_handler *handler, void *ctx)
{
	for (;;) {
		size_t room = sizeof(control->line) - control->used;
		ssize_t got = read(control->fd, control->line + control->used, room);
		char *start = control->line;
		char *end;

		if (got < 0)
			return errno == EAGAIN ? 1 : errno == EINTR ? 1 : -errno;
		if (got == 0)
			return 0;
		control->used += (size_t)got;
		while ((end = memchr(start, '\n', control->used - (size_t)(start - control->line)))) {
			*end = '\0';
			if (!control->overlong && end > start)
				control_line(start, handler, ctx);
			control->overlong = false;
			start = end + 1;
		}
		control->used -= (size_t)(start - control->line);
		memmove(control->line, start, control->used);
		if (control->used == sizeof(control->line)) {
			control->used = 0;
			control->overlong = true;
		}
	}
}

const char *
control_string(struct json_object *command, const char *name, const char *absent)
{
	struct json_object *member;

	if (!json_object_object_get_ex(command, name, &member) || !json_object_is_type(member, json_type_string))
		return absent;
	return json_object_get_string(member);
}

double
control_number(struct json_object *command, const char *name, double absent)
{
	struct json_object *member;

	return json_object_object_get_ex(command, name, &member) ? json_object_get_double(member) : absent;
}

bool
control_bool(struct json_object *command, const char *name, bool absent)
{
	struct json_object *member;

	return json_object_object_get_ex(command, name, &member) ? json_object_get_boolean(member) : absent;
}
