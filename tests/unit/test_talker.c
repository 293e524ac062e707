/* Conversations on a descriptor, in virtual time: what goes out and when it has left, who is in the way, what comes back of it. A
 * socket or a pseudo-terminal is the line. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "field/serial.h"
#include "field/talker.h"

#define MS	   1000
#define TIMEOUT_MS 500
#define FRAME_US   (100 * MS)
#define GRACE_US   (1000 * MS) /* for what does not leave */

static struct bus bus = { .name = "line", .type = BUS_SERIAL_TCP, .baud = 9600, .data_bits = 8, .stop_bits = 1 };
static struct device device = { .name = "scale", .bus = &bus };
static struct line_step steps[2];
static struct line_script settings = { .steps = steps };
static struct script script;
static struct talker talker;
static int line;  /* the talker's end */
static int other; /* the instrument's */
static int64_t now_us;

static struct bytes
bytes_of(const char *text)
{
	return (struct bytes){ .data = (const uint8_t *)text, .length = strlen(text) };
}

static void
open_socket(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	line = ends[0];
	other = ends[1];
	bus.type = BUS_SERIAL_TCP;
	bus.echo = ECHO_OFF;
	talker_init(&talker, &bus);
	talker_opened(&talker, line);
}

static void
open_terminal(int baud)
{
	const char *what;

	other = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(grantpt(other) | unlockpt(other), 0);
	bus.type = BUS_SERIAL;
	bus.baud = baud;
	bus.echo = ECHO_OFF;
	line = serial_open(&bus, ptsname(other), &what);
	assert_true(line >= 0);
	talker_init(&talker, &bus);
	talker_opened(&talker, line);
}

static void
begin(size_t count)
{
	struct template_values values = { .bus = &bus, .device = &device };

	now_us = 1000 * MS;
	settings.count = count;
	assert_int_equal(script_init(&script, &settings, false), 0);
	talker_begin(&talker, &script, TIMEOUT_MS, FRAME_US, &values, now_us);
}

static void
end(void)
{
	talker_end(&talker);
	script_done(&script);
	memset(steps, 0, sizeof(steps));
	close(line);
	close(other);
}

static int
run(void)
{
	return talker_run(&talker, now_us);
}

/* Just this was heard by the instrument since the last time. */
static void
heard(const char *text)
{
	char got[256];
	ssize_t length = read(other, got, sizeof(got) - 1);

	got[length > 0 ? length : 0] = '\0';
	assert_string_equal(got, text);
}

static void
says(const char *text)
{
	talk_bytes(&talker.talk, (const uint8_t *)text, strlen(text), now_us);
	talk_frame(&talker.talk, (const uint8_t *)text, strlen(text), now_us);
}

static void
test_a_question_on_a_connection(void **state)
{
	(void)state;
	open_socket();
	device.address = bytes_of("07");
	steps[0] = (struct line_step){ .send = bytes_of("READ ${address}\r\n"), .expect = "^07 " };
	begin(1);
	assert_int_equal(run(), -EAGAIN);
	heard("READ 07\r\n");
	assert_true(talker.talk.sent);
	assert_false(talker_is_blocked(&talker));
	assert_int_equal(talker_due_us(&talker), now_us + TIMEOUT_MS * MS); /* a network takes no time */
	now_us += 100 * MS;
	says("07 12.5");
	assert_int_equal(run(), 0);
	end();
}

static void
test_no_answer(void **state)
{
	(void)state;
	open_socket();
	steps[0] = (struct line_step){ .send = bytes_of("?"), .expect = "!" };
	begin(1);
	assert_int_equal(run(), -EAGAIN);
	now_us = talker_due_us(&talker) - 1;
	assert_int_equal(run(), -EAGAIN);
	now_us++;
	assert_int_equal(run(), -ETIMEDOUT);
	assert_false(talker.broken);
	end();
}

/* Nobody may wait for a peer that does not read, or for flow control, longer than that. */
static void
test_a_line_that_takes_nothing(void **state)
{
	char junk[4096] = { 0 };

	(void)state;
	open_socket();
	while (write(line, junk, sizeof(junk)) > 0)
		;
	steps[0] = (struct line_step){ .send = bytes_of("HELLO\r\n") };
	begin(1);
	assert_int_equal(run(), -EAGAIN);
	assert_true(talker_is_blocked(&talker));
	assert_int_equal(talker_due_us(&talker), now_us + GRACE_US);
	now_us = talker_due_us(&talker) - 1;
	assert_int_equal(run(), -EAGAIN);
	now_us++;
	assert_int_equal(run(), -EIO);
	assert_false(talker.broken); /* it may take something later */
	end();
}

static void
test_a_line_that_takes_it_later(void **state)
{
	char junk[4096] = { 0 };
	ssize_t got;

	(void)state;
	open_socket();
	while (write(line, junk, sizeof(junk)) > 0)
		;
	steps[0] = (struct line_step){ .send = bytes_of("HELLO\r\n") };
	begin(1);
	assert_int_equal(run(), -EAGAIN);
	do
		got = read(other, junk, sizeof(junk));
	while (got > 0);
	now_us += 300 * MS;
	assert_int_equal(run(), 0);
	assert_false(talker_is_blocked(&talker));
	heard("HELLO\r\n");
	end();
}

static void
test_a_peer_that_has_gone(void **state)
{
	(void)state;
	open_socket();
	close(other);
	other = -1;
	steps[0] = (struct line_step){ .send = bytes_of("HELLO\r\n") };
	begin(1);
	assert_int_equal(run(), -EPIPE);
	assert_true(talker.broken);
	end();
}

/* The answer is waited for from when the last bit has left, not from when the kernel took it. */
static void
test_the_time_on_the_wire(void **state)
{
	(void)state;
	open_terminal(1200);
	steps[0] = (struct line_step){ .send = bytes_of("0123456789AB"), .expect = "!" };
	begin(1);
	assert_int_equal(run(), -EAGAIN);
	assert_int_equal(talker_due_us(&talker), now_us + 12 * 10 * 1000000 / 1200);
	heard("0123456789AB");
	now_us += 99 * MS;
	assert_int_equal(run(), -EAGAIN);
	now_us += MS;
	assert_int_equal(run(), -EAGAIN);
	assert_int_equal(talker_due_us(&talker), now_us + TIMEOUT_MS * MS);
	end();
}

static speed_t
speed(void)
{
	struct termios now;

	assert_int_equal(tcgetattr(other, &now), 0);
	return cfgetospeed(&now);
}

/* However a conversation ends, the next begins at the speed of the bus. */
static void
test_the_speed_is_put_back(void **state)
{
	(void)state;
	open_terminal(300);
	steps[0] = (struct line_step){ .send = bytes_of("/?!\r\n"), .delay_ms = 10 };
	steps[1] = (struct line_step){ .baud = 9600, .send = bytes_of("?"), .expect = "!" };
	begin(2);
	assert_int_equal(run(), -EAGAIN);
	assert_int_equal(speed(), B300);
	now_us = talker_due_us(&talker);
	assert_int_equal(run(), -EAGAIN); /* it has left; the pause */
	now_us = talker_due_us(&talker);
	assert_int_equal(run(), -EAGAIN);
	assert_int_equal(speed(), B9600);
	assert_int_equal(talker.baud, 9600);
	talker_end(&talker);
	assert_int_equal(speed(), B300);
	end();
}

/* On two wires what is sent comes back, in any pieces; what is something else is said by somebody else. */
static void
test_an_echo(void **state)
{
	const uint8_t *sent = (const uint8_t *)"READ\r\nyes";

	(void)state;
	open_socket();
	bus.echo = ECHO_STRIP;
	steps[0] = (struct line_step){ .send = bytes_of("READ\r\n"), .expect = "yes" };
	begin(1);
	assert_int_equal(run(), -EAGAIN);
	assert_int_equal(talker_echoed(&talker, sent, 4), 4);
	assert_int_equal(talker_echoed(&talker, sent + 4, 5), 2);
	assert_int_equal(talker_echoed(&talker, sent, 4), 0); /* all of it was there */
	assert_int_equal(talker.collisions, 0);
	talker_end(&talker);
	script_done(&script);
	begin(1);
	assert_int_equal(run(), -EAGAIN);
	assert_int_equal(talker_echoed(&talker, (const uint8_t *)"REXD\r\n", 6), 2);
	assert_int_equal(talker.collisions, 1);
	assert_int_equal(talker_echoed(&talker, (const uint8_t *)"D\r\n", 3), 0); /* it is not looked for any more */
	assert_int_equal(talker.collisions, 1);
	end();
}

/* No echo is expected of what was never sent, were it filled in to be judged. */
static void
test_what_cannot_be_sent_is_not(void **state)
{
	struct bytes template = bytes_of("SAY ${value}\r\n");
	struct value text = { .kind = VALUE_TEXT, .text = strdup("a\r\nb") };
	struct line_command command = { .send = template };
	struct point point = { .device = &device, .bus = &bus, .command = &command, .type = TYPE_INT32, .count = 2, .scale = 1,
		.bit = POINT_NO_BIT };
	struct template_values values = { .bus = &bus, .device = &device, .point = &point, .value = &text };

	(void)state;
	open_socket();
	bus.echo = ECHO_STRIP;
	assert_int_equal(talker_check(&talker, &template, &values), TEMPLATE_UNSAFE);
	value_done(&text);
	text = (struct value){ .kind = VALUE_INT, .integer = 5 };
	assert_int_equal(talker_check(&talker, &template, &values), TEMPLATE_OK);
	assert_int_equal(talker_echoed(&talker, (const uint8_t *)"SAY 5\r\n", 7), 0);
	heard("");
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_question_on_a_connection),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_a_line_that_takes_nothing),
		cmocka_unit_test(test_a_line_that_takes_it_later),
		cmocka_unit_test(test_a_peer_that_has_gone),
		cmocka_unit_test(test_the_time_on_the_wire),
		cmocka_unit_test(test_the_speed_is_put_back),
		cmocka_unit_test(test_an_echo),
		cmocka_unit_test(test_what_cannot_be_sent_is_not),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
