#include <config.h>

#include <fcntl.h>
#include <pthread.h>
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

#define AWAIT_MS 20000

extern char **environ;

/* ---- the thread that reads ---- */

static bool
append(struct thingsboard *tb, const char *bytes, size_t length)
{
	bool fits;

	pthread_mutex_lock(&tb->lock);
	if (tb->used + length > tb->size) {
		size_t size = 2 * (tb->used + length);
		char *text = realloc(tb->text, size);

		tb->text = text ? text : tb->text;
		tb->size = text ? size : tb->size;
	}
	fits = tb->used + length <= tb->size;
	if (fits) {
		memcpy(tb->text + tb->used, bytes, length);
		tb->used += length;
	}
	pthread_cond_signal(&tb->changed);
	pthread_mutex_unlock(&tb->lock);
	return fits;
}

static void *
reader_run(void *arg)
{
	struct thingsboard *tb = arg;
	static _Thread_local char bytes[65536];
	ssize_t got;

	do
		got = read(tb->out, bytes, sizeof(bytes));
	while (got > 0 && append(tb, bytes, (size_t)got));
	pthread_mutex_lock(&tb->lock);
	tb->ended = true;
	pthread_cond_signal(&tb->changed);
	pthread_mutex_unlock(&tb->lock);
	return NULL;
}

static void
start_reader(struct thingsboard *tb)
{
	pthread_condattr_t monotonic;
	sigset_t all, before;

	pthread_mutex_init(&tb->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&tb->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	/* Signals are for the test. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	assert_int_equal(pthread_create(&tb->reader, NULL, reader_run, tb), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- what it has read ---- */

/* Wait until something has come, or the bench has ended, or it is due. Returns how much there is. With the lock held. */
static size_t
wait_for_text(struct thingsboard *tb, int64_t due_mono_ms)
{
	const struct timespec due = { .tv_sec = due_mono_ms / 1000, .tv_nsec = due_mono_ms % 1000 * 1000000 };

	while (!tb->ended && (tb->used == 0 || !memchr(tb->text, '\n', tb->used)) &&
	       pthread_cond_timedwait(&tb->changed, &tb->lock, &due) == 0)
		;
	return tb->used;
}

/* Whole lines, taken over from the reader; NULL if there are none. */
static char *
take_lines(struct thingsboard *tb, int64_t due_mono_ms)
{
	const char *end;
	char *lines = NULL;
	size_t length;
	bool ended;

	pthread_mutex_lock(&tb->lock);
	end = wait_for_text(tb, due_mono_ms) > 0 ? memrchr(tb->text, '\n', tb->used) : NULL;
	ended = tb->ended;
	if (end) {
		length = (size_t)(end - tb->text) + 1;
		lines = strndup(tb->text, length);
		tb->used -= length;
		memmove(tb->text, tb->text + length, tb->used);
	}
	pthread_mutex_unlock(&tb->lock);
	if (!lines && ended)
		fail_msg("tbbench has ended");
	return lines;
}

/* Take what comes until `due`. Returns false when nothing came. */
static bool
read_events(struct thingsboard *tb, int64_t due_mono_ms)
{
	char *lines = take_lines(tb, due_mono_ms);
	char *rest = lines;
	char *line;

	while (lines && *(line = strsep(&rest, "\n")) != '\0') {
		struct json_object *event = json_tokener_parse(line);

		assert_non_null(event);
		json_object_array_add(tb->events, event);
	}
	free(lines);
	return lines != NULL;
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
	tb->events = json_object_new_array();
	start_reader(tb);
	ready = thingsboard_await(tb, "ready", NULL);
	tb->port = (int)event_number(ready, "port");
	json_object_put(ready);
}

void
thingsboard_stop(struct thingsboard *tb)
{
	if (tb->pid <= 0)
		return;
	close(tb->in);
	kill(tb->pid, SIGKILL); /* it may be stopped, or busy, and has nothing to lose */
	waitpid(tb->pid, NULL, 0);
	pthread_join(tb->reader, NULL);
	close(tb->out);
	pthread_cond_destroy(&tb->changed);
	pthread_mutex_destroy(&tb->lock);
	json_object_put(tb->events);
	free(tb->text);
	tb->pid = 0;
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
