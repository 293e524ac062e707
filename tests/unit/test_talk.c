/* Conversations in virtual time: what is wanted, when, and what an answer is. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "field/talk.h"

#define MS	   1000
#define TIMEOUT_MS 500
#define FRAME_US   (100 * MS)

static struct line_step steps[4];
static struct line_script settings = { .steps = steps };
static struct script script;
static struct talk talk;
static int64_t now_us;

static struct bytes
bytes_of(const char *text)
{
	return (struct bytes){ .data = (const uint8_t *)text, .length = strlen(text) };
}

static void
begin(size_t count, bool answered)
{
	now_us = 1000 * MS;
	settings.count = count;
	assert_int_equal(script_init(&script, &settings, answered), 0);
	talk_begin(&talk, &script, TIMEOUT_MS, FRAME_US, now_us);
}

static void
end(void)
{
	script_done(&script);
	memset(steps, 0, sizeof(steps));
}

static enum talk_want
want(void)
{
	return talk_want(&talk, now_us);
}

/* What is to be sent leaves within `ms`. */
static void
sent(int ms)
{
	assert_int_equal(want(), TALK_SEND);
	now_us += ms * MS;
	talk_go_on(&talk, now_us);
}

static void
comes(const char *text)
{
	talk_bytes(&talk, (const uint8_t *)text, strlen(text), now_us);
}

static void
frame(const char *text)
{
	talk_frame(&talk, (const uint8_t *)text, strlen(text), now_us);
}

static void
wait_ms(int ms)
{
	now_us += ms * MS;
}

static void
test_a_question_and_its_answer(void **state)
{
	(void)state;
	steps[0] = (struct line_step){ .send = bytes_of("SI\r\n"), .expect = "^S " };
	begin(1, true);
	sent(4);
	assert_int_equal(want(), TALK_WAIT);
	assert_int_equal(talk_until_us(&talk), now_us + TIMEOUT_MS * MS);
	wait_ms(30);
	comes("S S 12 kg\r\n");
	frame("S S 12 kg");
	assert_int_equal(want(), TALK_DONE);
	end();
}

static void
test_an_answer_that_is_there_before_the_last_bit_has_left(void **state)
{
	(void)state;
	steps[0] = (struct line_step){ .send = bytes_of("SI\r\n"), .expect = "^S " };
	begin(1, true);
	assert_int_equal(want(), TALK_SEND);
	frame("S S 12 kg");
	assert_int_equal(want(), TALK_SEND);
	talk_go_on(&talk, now_us);
	assert_int_equal(want(), TALK_DONE);
	end();
}

static void
test_silence(void **state)
{
	(void)state;
	steps[0] = (struct line_step){ .send = bytes_of("SI\r\n"), .expect = "^S ", .timeout_ms = 200 };
	begin(1, true);
	sent(0);
	wait_ms(199);
	assert_int_equal(want(), TALK_WAIT);
	wait_ms(1);
	assert_int_equal(want(), TALK_FAILED);
	assert_int_equal(talk.error, -ETIMEDOUT);
	assert_true(talk.sent);
	end();
}

static void
test_something_else_is_no_answer(void **state)
{
	(void)state;
	steps[0] = (struct line_step){ .send = bytes_of("SI\r\n"), .expect = "^S " };
	begin(1, true);
	sent(0);
	comes("EL\r\n");
	frame("EL");
	assert_int_equal(want(), TALK_WAIT);
	wait_ms(TIMEOUT_MS);
	assert_int_equal(want(), TALK_FAILED);
	assert_int_equal(talk.error, -EBADMSG);
	end();
}

/* A prompt is no frame: it counts once the line is quiet, since more may follow that makes it something else. */
static void
test_bytes_that_are_no_frame(void **state)
{
	(void)state;
	steps[0] = (struct line_step){ .send = bytes_of("X"), .expect = "OK 1$" };
	begin(1, true);
	sent(0);
	comes("OK 1");
	assert_int_equal(want(), TALK_WAIT);
	assert_int_equal(talk_until_us(&talk), now_us + TALK_QUIET_US);
	wait_ms(10);
	comes("2");
	wait_ms(20);
	assert_int_equal(want(), TALK_WAIT); /* "OK 12" */
	end();

	steps[0] = (struct line_step){ .send = bytes_of("X"), .expect = "^\\x06$" };
	begin(1, true);
	sent(0);
	comes("\x06");
	wait_ms(20);
	assert_int_equal(want(), TALK_DONE);
	end();
}

/* An answer may be long, but has to go on; and is waited for so long, whatever comes. */
static void
test_a_long_answer_and_an_endless_one(void **state)
{
	int64_t began_us;

	(void)state;
	steps[0] = (struct line_step){ .send = bytes_of("X"), .frame = true, .timeout_ms = 50 };
	begin(1, true);
	sent(0);
	for (int i = 0; i < 14; i++) {
		wait_ms(10);
		comes("x");
		assert_int_equal(want(), TALK_WAIT);
	}
	talk_good(&talk, now_us);
	assert_int_equal(want(), TALK_DONE);

	talk_begin(&talk, &script, TIMEOUT_MS, FRAME_US, now_us);
	sent(0);
	began_us = now_us;
	while (want() == TALK_WAIT) {
		wait_ms(1);
		comes("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	}
	assert_int_equal(talk.error, -EBADMSG);
	assert_int_equal(now_us - began_us, 50 * MS + FRAME_US);
	end();
}

/* IEC 62056-21, mode C: request, identification, acknowledgement, another speed, data. */
static void
test_another_speed_on_the_way(void **state)
{
	(void)state;
	steps[0] = (struct line_step){ .send = bytes_of("/?!\r\n"), .expect = "^/[A-Z]{3}5.*\r\n", .delay_ms = 200 };
	steps[1] = (struct line_step){ .send = bytes_of("\x06" "050\r\n"), .delay_ms = 40 };
	steps[2] = (struct line_step){ .baud = 9600, .frame = true, .timeout_ms = 10000 };
	begin(3, true);
	sent(160);
	wait_ms(300);
	comes("/LGZ5ZMD\r\n");
	wait_ms(20);
	assert_int_equal(want(), TALK_WAIT);
	assert_int_equal(talk_until_us(&talk), now_us + 200 * MS);
	wait_ms(200);
	sent(200);
	assert_int_equal(want(), TALK_WAIT);
	wait_ms(40);
	assert_int_equal(want(), TALK_BAUD);
	assert_int_equal(talk_step(&talk)->baud, 9600);
	talk_go_on(&talk, now_us);
	assert_int_equal(want(), TALK_WAIT);
	wait_ms(500);
	comes("\x02...\x03");
	frame("...");
	assert_int_equal(want(), TALK_WAIT); /* a frame, but not of the device */
	talk_good(&talk, now_us);
	assert_int_equal(want(), TALK_DONE);
	end();
}

/* Two answers in one chunk, of which the second is for the next step. */
static void
test_answers_that_come_together(void **state)
{
	(void)state;
	steps[0] = (struct line_step){ .send = bytes_of("A"), .expect = "one;" };
	steps[1] = (struct line_step){ .expect = "^two;$" };
	begin(2, true);
	sent(0);
	comes("one;two;");
	wait_ms(20);
	assert_int_equal(want(), TALK_WAIT);
	wait_ms(TIMEOUT_MS);
	assert_int_equal(want(), TALK_DONE);

	talk_begin(&talk, &script, TIMEOUT_MS, FRAME_US, now_us);
	sent(0);
	comes("one;\r\ntwo;\r\n");
	frame("one;");
	frame("two;");
	assert_int_equal(want(), TALK_DONE);
	end();
}

static void
test_a_refusal(void **state)
{
	struct pattern *refuse;

	(void)state;
	steps[0] = (struct line_step){ .send = bytes_of("TA 3\r\n"), .expect = "^TA A" };
	assert_int_equal(pattern_new("^TA [IL]", &refuse, NULL), 0);
	begin(1, false);
	talk.refuse = refuse;
	sent(0);
	comes("TA L\r\n");
	frame("TA L");
	assert_int_equal(want(), TALK_FAILED);
	assert_int_equal(talk.error, -EPERM);
	pattern_free(refuse);
	end();
}

/* What only sends is done when it has left; a poll waits for its answer nevertheless. */
static void
test_who_waits_for_nothing(void **state)
{
	(void)state;
	steps[0] = (struct line_step){ .send = bytes_of("?") };
	begin(1, false);
	sent(5);
	assert_int_equal(want(), TALK_DONE);
	script_done(&script);
	begin(1, true);
	sent(5);
	assert_int_equal(want(), TALK_WAIT);
	talk_good(&talk, now_us);
	assert_int_equal(want(), TALK_DONE);
	end();
}

/* Whatever comes before the question is no answer to it. */
static void
test_what_comes_before(void **state)
{
	(void)state;
	steps[0] = (struct line_step){ .delay_ms = 100 };
	steps[1] = (struct line_step){ .send = bytes_of("?"), .expect = "yes" };
	begin(2, true);
	comes("yes");
	wait_ms(20);
	assert_int_equal(want(), TALK_WAIT);
	comes("yes");
	wait_ms(100);
	sent(0);
	wait_ms(30);
	assert_int_equal(want(), TALK_WAIT);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_question_and_its_answer),
		cmocka_unit_test(test_an_answer_that_is_there_before_the_last_bit_has_left),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_something_else_is_no_answer),
		cmocka_unit_test(test_bytes_that_are_no_frame),
		cmocka_unit_test(test_a_long_answer_and_an_endless_one),
		cmocka_unit_test(test_another_speed_on_the_way),
		cmocka_unit_test(test_answers_that_come_together),
		cmocka_unit_test(test_a_refusal),
		cmocka_unit_test(test_who_waits_for_nothing),
		cmocka_unit_test(test_what_comes_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
