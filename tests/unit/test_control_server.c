/* The control socket with clients that behave, and with those that do not. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/server.h"

#define PATIENCE_US  5000000
#define LARGE_BYTES  (4u << 20) /* more than a socket holds */

static sd_event *loop;
static struct control_server *server;
static char folder[] = "/tmp/test-control-XXXXXX";
static char path[64];

static uint64_t last_ticket;
static char last_words[128];
static size_t asked;
static bool answer_at_once;

static void
on_request(void *ctx, uint64_t ticket, const struct control_request *request)
{
	(void)ctx;
	asked++;
	last_ticket = ticket;
	snprintf(last_words, sizeof(last_words), "%s/%zu", request->words[0], request->count);
	if (answer_at_once)
		control_server_say(server, ticket, NULL);
}

static int
set_up(void **state)
{
	(void)state;
	asked = 0;
	answer_at_once = true;
	assert_int_equal(sd_event_new(&loop) < 0, 0);
	return control_server_open(loop, path, on_request, NULL, &server);
}

static int
tear_down(void **state)
{
	(void)state;
	control_server_close(server);
	sd_event_unref(loop);
	return 0;
}

static int
connect_client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void
say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Let the server work until the client has a whole line, or the end of file, which gives "". */
static const char *
hear(int fd)
{
	static char text[4096];
	size_t used = 0;

	for (;;) {
		ssize_t got = recv(fd, text + used, 1, 0);

		if (got == 1 && text[used++] == '\n') {
			text[used] = '\0';
			return text;
		}
		if (got == 1)
			continue;
		if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
			return "";
		assert_true(sd_event_run(loop, PATIENCE_US) > 0);
	}
}

static void
settle(void)
{
	while (sd_event_run(loop, 0) > 0)
		;
}

static void
test_a_request_gets_its_answer_and_another_may_follow(void **state)
{
	int fd = connect_client();

	(void)state;
	say(fd, "log-level debug\n");
	assert_non_null(strstr(hear(fd), "\"ok\":true"));
	assert_string_equal(last_words, "log-level/2");
	say(fd, "status\nsta");
	assert_non_null(strstr(hear(fd), "\"ok\":true"));
	say(fd, "tus\n");
	assert_non_null(strstr(hear(fd), "\"ok\":true"));
	assert_int_equal(asked, 3);
	close(fd);
}

static void
test_requests_that_are_sent_together_are_answered_in_turn(void **state)
{
	int fd = connect_client();

	(void)state;
	answer_at_once = false;
	say(fd, "one\ntwo\n");
	settle();
	assert_int_equal(asked, 1); /* the second waits for the first */
	assert_string_equal(last_words, "one/1");
	control_server_say(server, last_ticket, "no");
	assert_non_null(strstr(hear(fd), "\"ok\":false,\"error\":\"no\""));
	settle();
	assert_string_equal(last_words, "two/1");
	control_server_say(server, last_ticket, NULL);
	assert_non_null(strstr(hear(fd), "\"ok\":true"));
	close(fd);
}

static void
test_garbage_is_refused_and_no_more(void **state)
{
	char flood[CONTROL_REQUEST_MAX + 10];
	int fd = connect_client();

	(void)state;
	say(fd, "\x01\x02 nothing\n");
	assert_non_null(strstr(hear(fd), "\"ok\":false"));
	memset(flood, 'a', sizeof(flood));
	assert_true(send(fd, flood, sizeof(flood), MSG_NOSIGNAL) > 0);
	assert_string_equal(hear(fd), ""); /* closed */
	assert_int_equal(asked, 0);
	close(fd);
}

static void
test_a_client_that_reads_nothing_holds_up_nobody(void **state)
{
	int deaf = connect_client(), fd;
	char *large = malloc(LARGE_BYTES);

	(void)state;
	answer_at_once = false;
	say(deaf, "status\n");
	settle();
	memset(large, 'x', LARGE_BYTES);
	control_server_answer(server, last_ticket, large, LARGE_BYTES);
	settle();
	answer_at_once = true;
	fd = connect_client();
	say(fd, "status\n");
	assert_non_null(strstr(hear(fd), "\"ok\":true"));
	close(deaf);
	settle();
	say(fd, "status\n");
	assert_non_null(strstr(hear(fd), "\"ok\":true"));
	close(fd);
}

static void
test_who_goes_before_the_answer_is_forgotten(void **state)
{
	int fd = connect_client();

	(void)state;
	answer_at_once = false;
	say(fd, "status\n");
	settle();
	close(fd);
	settle();
	control_server_say(server, last_ticket, NULL);
	settle();
}

static void
test_who_only_sits_there_makes_room(void **state)
{
	int fds[3 * CONTROL_CLIENTS_MAX];
	size_t count = sizeof(fds) / sizeof(fds[0]);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		fds[i] = connect_client();
		settle();
	}
	say(fds[count - 1], "status\n");
	assert_non_null(strstr(hear(fds[count - 1]), "\"ok\":true"));
	assert_string_equal(hear(fds[0]), "");
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

/* Whoever was asked for something is not thrown out for somebody who only connects. */
static void
test_who_waits_for_an_answer_stays(void **state)
{
	int waiting = connect_client(), fds[2 * CONTROL_CLIENTS_MAX];
	size_t count = sizeof(fds) / sizeof(fds[0]);

	(void)state;
	answer_at_once = false;
	say(waiting, "status\n");
	settle();
	for (size_t i = 0; i < count; i++) {
		fds[i] = connect_client();
		settle();
	}
	control_server_say(server, last_ticket, NULL);
	assert_non_null(strstr(hear(waiting), "\"ok\":true"));
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	close(waiting);
}

static void
test_rights_and_what_is_left_behind(void **state)
{
	struct control_server *other = NULL;
	struct stat status;
	int left;

	(void)state;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0660);
	assert_int_equal(control_server_open(loop, path, on_request, NULL, &other), -EADDRINUSE);
	assert_int_equal(stat(path, &status), 0); /* it was not ours to remove */
	control_server_close(server);
	assert_int_equal(stat(path, &status), -1);

	/* as after a kill -9 */
	left = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		strcpy(address.sun_path, path);
		assert_int_equal(bind(left, (const struct sockaddr *)&address, sizeof(address)), 0);
	}
	close(left);
	assert_int_equal(control_server_open(loop, path, on_request, NULL, &server), 0);
	control_server_close(server);

	/* a file is not a socket, and stays */
	left = open(path, O_CREAT | O_WRONLY, 0600);
	close(left);
	assert_int_equal(control_server_open(loop, path, on_request, NULL, &other), -EADDRINUSE);
	assert_int_equal(stat(path, &status), 0);
	unlink(path);
	assert_int_equal(control_server_open(loop, path, on_request, NULL, &server), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_request_gets_its_answer_and_another_may_follow),
		TEST(test_requests_that_are_sent_together_are_answered_in_turn),
		TEST(test_garbage_is_refused_and_no_more),
		TEST(test_a_client_that_reads_nothing_holds_up_nobody),
		TEST(test_who_goes_before_the_answer_is_forgotten),
		TEST(test_who_only_sits_there_makes_room),
		TEST(test_who_waits_for_an_answer_stays),
		TEST(test_rights_and_what_is_left_behind),
	};
	int failed;

	if (!mkdtemp(folder))
		return 99;
	snprintf(path, sizeof(path), "%s/s", folder);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
