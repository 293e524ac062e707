#include <config.h> /* _GNU_SOURCE, for pipe2() */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static char printed[4096];

/* Standard error is a pipe, a socket pair or any other `fds` from here on. Returns the descriptor for give_back(). */
static int
take_stderr(const int fds[2])
{
	int stderr_fd = dup(STDERR_FILENO);

	dup2(fds[1], STDERR_FILENO);
	log_never_wait();
	return stderr_fd;
}

static void
give_back(int stderr_fd, const int fds[2])
{
	dup2(stderr_fd, STDERR_FILENO);
	log_never_wait();
	close(stderr_fd);
	close(fds[0]);
	close(fds[1]);
}

/* What a call prints on standard error stands in `printed` afterwards. */
#define PRINTED(call)                                                                                        \
	do {                                                                                                 \
		int pipe_fds[2], stderr_fd = dup(STDERR_FILENO);                                             \
		ssize_t got;                                                                                 \
		assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);                                            \
		dup2(pipe_fds[1], STDERR_FILENO);                                                            \
		call;                                                                                        \
		dup2(stderr_fd, STDERR_FILENO);                                                              \
		got = read(pipe_fds[0], printed, sizeof(printed) - 1);                                       \
		printed[got > 0 ? got : 0] = '\0';                                                           \
		close(pipe_fds[0]);                                                                          \
		close(pipe_fds[1]);                                                                          \
		close(stderr_fd);                                                                            \
	} while (0)

static void
test_for_the_journal(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_INFO, false);
	PRINTED(log_warning("bus %s unit %d: no answer", "meters", 17));
	assert_string_equal(printed, "<4>bus meters unit 17: no answer\n");
	PRINTED(log_error("a"); log_notice("b"); log_info("c"));
	assert_string_equal(printed, "<3>a\n<5>b\n<6>c\n");
}

static void
test_levels(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_WARNING, false);
	PRINTED(log_error("a"); log_warning("b"); log_notice("c"); log_debug("d"));
	assert_string_equal(printed, "<3>a\n<4>b\n");
	assert_true(log_enabled(LOG_LEVEL_WARNING));
	assert_false(log_enabled(LOG_LEVEL_NOTICE));
	log_init(LOG_LEVEL_DEBUG, false);
	PRINTED(log_debug("d"));
	assert_string_equal(printed, "<7>d\n");
	assert_int_equal(log_level_find("error"), LOG_LEVEL_ERROR);
	assert_int_equal(log_level_find("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_find("loud"), -1);
	assert_int_equal(log_level_find(""), -1);
}

static void
test_on_a_terminal(void **state)
{
	int hours, minutes, seconds, milliseconds, used = 0;

	(void)state;
	log_init(LOG_LEVEL_INFO, true);
	PRINTED(log_warning("slow"));
	assert_int_equal(
	    sscanf(printed, "%2d:%2d:%2d.%3d %n", &hours, &minutes, &seconds, &milliseconds, &used), 4);
	assert_string_equal(printed + used, "warning: slow\n");
	log_init(LOG_LEVEL_INFO, false);
}

/* What a wire or a broker said may be quoted: it neither breaks the line nor starts one of its own. */
static void
test_one_line_stays_one(void **state)
{
	char text[3000];

	(void)state;
	PRINTED(log_error("said '%s'", "a\nb\r\x1b[2J\x7f<3>c"));
	assert_string_equal(printed, "<3>said 'a b  [2J <3>c'\n");
	for (size_t length = 1000; length < 1050; length++) {
		memset(text, 'x', length);
		text[length] = '\0';
		PRINTED(log_error("%s", text));
		assert_true(strlen(printed) <= 1024);
		assert_ptr_equal(strchr(printed, '\n'), printed + strlen(printed) - 1);
		assert_int_equal(strspn(printed + 3, "x"), strlen(printed) - 4);
	}
}

static void
test_errno_survives(void **state)
{
	(void)state;
	PRINTED(errno = ENOENT; log_error("%m"); assert_int_equal(errno, ENOENT));
	assert_string_equal(printed, "<3>No such file or directory\n");
}

/* What is there now. */
static ssize_t
read_ready(int fd, char *bytes, size_t size)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, 0) > 0 ? read(fd, bytes, size) : 0;
}

/* Log into `fds` until its reader, who sleeps, must have lost lines; then read all, and see that the next line says so. A
 * call that waits would never return: the alarm ends the test. */
static void
check_unread(const int fds[2])
{
	static char all[1 << 20];
	int stderr_fd = take_stderr(fds);
	size_t used = 0, before;
	unsigned long long lost = 0;
	ssize_t got;

	alarm(10);
	for (int i = 0; i < 20000; i++)
		log_info("line %d", i);
	while ((got = read_ready(fds[0], all + used, sizeof(all) - used - 1)) > 0)
		used += (size_t)got;
	before = used;
	log_info("the last");
	log_info("the very last");
	while ((got = read_ready(fds[0], all + used, sizeof(all) - used - 1)) > 0)
		used += (size_t)got;
	alarm(0);
	all[used] = '\0';
	give_back(stderr_fd, fds);
	assert_int_equal(sscanf(all + before, "<4>log: %llu lines were lost", &lost), 1);
	assert_non_null(strstr(all + before, "\n<6>the last\n<6>the very last\n"));
	for (const char *at = all; (at = strchr(at, '\n')); at++)
		lost++;
	assert_int_equal(lost, 20000 + 3);
}

static void
test_nobody_reads_the_pipe(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	check_unread(fds);
}

/* As the journal is connected. */
static void
test_nobody_reads_the_socket(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	check_unread(fds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_for_the_journal),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_on_a_terminal),
		cmocka_unit_test(test_one_line_stays_one),
		cmocka_unit_test(test_errno_survives),
		cmocka_unit_test(test_nobody_reads_the_pipe),
		cmocka_unit_test(test_nobody_reads_the_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
