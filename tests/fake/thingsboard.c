#include <config.h>

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake/thingsboard.h"

#define AWAIT_MS    20000
#define BUFFER_SIZE (4 << 20)

extern char **environ;

static void
take_line(struct thingsboard *tb, const char *line)
{
	struct json_object *event = json_tokener_parse(line);

	assert_non_null(event);
	json_object_array_add(tb->events, event);
}

/* Take what comes until `due`. Returns false when nothing came. */
static int
read_events(struct thingsboard *tb, int64_t due_mono_ms)
{
	struct pollfd waiting = { .fd = tb->out, .events = POLLIN };
	char *start = tb->buffer;
	char *end;
	ssize_t got;

	if (poll(&waiting, 1, clock_poll_ms(due_mono_ms)) <= 0)
		return 0;
	got = read(tb->out, tb->buffer + tb->used, BUFFER_SIZE - tb->used);
	if (got <= 0)
		fail_msg("tbbench has ended");
	tb->used += (size_t)got;
	while ((end = memchr(start, '\n', tb->used - (size_t)(start - tb->buffer)))) {
		*end = '\0';
		take_line(tb, start);
		start = end + 1;
	}
	tb->used -= (size_t)(start - tb->buffer);
	memmove(tb->buffer, start, tb->used);
	return 1;
}

static struct json_object *
take_event(struct thingsboard *tb, const char *member, const char *value, const char *token)
{
	for (size_t i = 0; i < json_object_array_length(tb->events); i++) {
		struct json_object *event = json_object_array_get_idx(tb->events, i);
		const char *found = event_text(event, member);
		const char *of = event_text(event, "token");

		if (!found || strcmp(found, value) != 0 || (token && (!of || strcmp(of, token) != 0)))
			continue;
		event = json_object_get(event);
		json_object_array_del_idx(tb->events, i, 1);
		return event;
	}
	return NULL;
}

static struct json_object *
await_member(struct thingsboard *tb, const char *member, const char *value, const char *token)
{
	int64_t due = clock_mono_ms() + AWAIT_MS;
	struct json_object *event;

	while (!(event = take_event(tb, member, value, token)))
		if (!read_events(tb, due))
			fail_msg("no %s %s of %s", member, value, token ? token : "anyone");
	return event;
}

void
thingsboard_start(struct thingsboard *tb)
{
	const char *program = getenv("TBBENCH") ? getenv("TBBENCH") : "tests/bench/tbbench";
	char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t) "--any-token", NULL };
	posix_spawn_file_actions_t actions;
	struct json_object *ready;
	int in[2], out[2];

	memset(tb, 0, sizeof(*tb));
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	assert_int_equal(posix_spawn(&tb->pid, program, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	tb->in = in[1];
	tb->out = out[0];
	tb->buffer = malloc(BUFFER_SIZE);
	tb->events = json_object_new_array();
	ready = thingsboard_await(tb, "ready", NULL);
	tb->port = (int)event_number(ready, "port");
	json_object_put(ready);
}

void
thingsboard_stop(struct thingsboard *tb)
{
	close(tb->in);
	close(tb->out);
	kill(tb->pid, SIGTERM);
	waitpid(tb->pid, NULL, 0);
	json_object_put(tb->events);
	free(tb->buffer);
}

static struct json_object *__attribute__((format(printf, 2, 0)))
run(struct thingsboard *tb, const char *format, va_list args)
{
	char text[4096], line[4200];
	char id[32];
	struct json_object *answer;
	int length;

	vsnprintf(text, sizeof(text), format, args);
	snprintf(id, sizeof(id), "command %d", ++tb->last_id);
	length = snprintf(line, sizeof(line), "{\"id\":\"%s\",%s\n", id, text + 1);
	assert_int_equal(write(tb->in, line, (size_t)length), length);
	answer = await_member(tb, "re", id, NULL);
	if (!json_object_get_boolean(json_object_object_get(answer, "ok")))
		fail_msg("%s: %s", text, event_text(answer, "error"));
	return answer;
}

struct json_object *
thingsboard_run(struct thingsboard *tb, const char *format, ...)
{
	struct json_object *answer;
	va_list args;

	va_start(args, format);
	answer = run(tb, format, args);
	va_end(args);
	return answer;
}

void
thingsboard_do(struct thingsboard *tb, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	json_object_put(run(tb, format, args));
	va_end(args);
}

struct json_object *
thingsboard_await(struct thingsboard *tb, const char *event, const char *token)
{
	return await_member(tb, "event", event, token);
}

size_t
thingsboard_waiting(struct thingsboard *tb, const char *event)
{
	size_t count = 0;

	while (read_events(tb, clock_mono_ms()))
		;
	for (size_t i = 0; i < json_object_array_length(tb->events); i++) {
		const char *name = event_text(json_object_array_get_idx(tb->events, i), "event");

		count += name && strcmp(name, event) == 0;
	}
	return count;
}

const char *
event_text(struct json_object *event, const char *member)
{
	struct json_object *found = json_object_object_get(event, member);

	return json_object_is_type(found, json_type_string) ? json_object_get_string(found) : NULL;
}

long long
event_number(struct json_object *event, const char *member)
{
	return json_object_get_int64(json_object_object_get(event, member));
}
