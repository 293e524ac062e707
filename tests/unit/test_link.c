/* The real link against a scripted peer: whatever comes, an answer is taken only for the request that it
 * answers. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake/bench.h"
#include "field/link_modbus.h"
#include "field/port.h"

/* What depends on time is tried at this pace; again at half of it, and so on, when the machine was too busy to keep it. */
#define TIMEOUT_MS  (80 * slower)
#define STOOD_A_WHILE_US (int64_t)(10 * TIMEOUT_MS * 1000)
#define SLOWEST	    16
#define AWAIT_MS    20000
#define HANGS_S	    280 /* no test waits for ever, whatever is broken */

int __wrap_resolver_ask(
    struct resolver *resolver, const char *host, uint16_t port, uint64_t tag, struct fifo *answers);

#define STEPS_MAX 4

/* What the peer does with one request. Bytes are hexadecimal; "C" is the CRC of what was sent since the last
 * "C", "E", "N" or the start, "T" the transaction id of the request, "t" another one, "E" the request itself, "e" the same with a
 * bit that fell over, "N" ends what is noise, "|" is a pause of 20 ms, "L" one longer than the timeout; "S": for us it is
 * a second later, as for a process that was stopped. */
struct peer {
	int fd;	       /* the other end; -1 while nobody is connected */
	int listen_fd; /* TCP */
	const char *steps[STEPS_MAX];
	int request_length;
	uint8_t request[300]; /* the last one */
	uint8_t first[300];   /* and the first, to be looked at when the thread has ended */
	bool hang_up;	      /* at the end of the script */
	bool running;
	pthread_t thread;
};

static struct bench bench;
static struct peer peer;
static struct link *line;
static int stop_fd;
static int over_fd; /* readable when the peer is not waited for any more */
static int slower = 1;
static bool helped; /* by a thread of a test's own */
static pthread_t helper;
static _Atomic bool over;
static enum bus_echo echo_setting = ECHO_OFF;
static _Atomic int64_t stood_still_us;

static uint16_t
crc16(const uint8_t *bytes, size_t length)
{
	unsigned crc = 0xffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
	}
	return (uint16_t)crc;
}

struct frame {
	uint8_t bytes[600];
	size_t length;
	size_t sent;
	size_t crc_from;
};

static void
frame_put(struct frame *frame, unsigned byte)
{
	frame->bytes[frame->length++] = (uint8_t)byte;
}

static void
frame_send(struct frame *frame, int fd)
{
	size_t left = frame->length - frame->sent;

	/* A thread of the peer must not assert: what it cannot write is missed by the one who asks. */
	if (left > 0)
		(void)!write(fd, frame->bytes + frame->sent, left);
	frame->sent = frame->length;
}

static void
nap(int ms)
{
	poll(NULL, 0, ms);
}

static void
frame_mark(struct frame *frame, char mark, int fd, const uint8_t *request)
{
	unsigned crc;

	switch (mark) {
	case 'C':
		crc = crc16(frame->bytes + frame->crc_from, frame->length - frame->crc_from);
		frame_put(frame, crc & 0xff);
		frame_put(frame, crc >> 8);
		frame->crc_from = frame->length;
		break;
	case 'E':
	case 'e':
		for (int i = 0; i < peer.request_length; i++)
			frame_put(frame, request[i] ^ (mark == 'e' && i == 4 ? 4u : 0));
		frame->crc_from = frame->length;
		break;
	case 'N':
		frame->crc_from = frame->length;
		break;
	case 'T':
		frame_put(frame, request[0]);
		frame_put(frame, request[1]);
		break;
	case 't':
		frame_put(frame, request[0]);
		frame_put(frame, request[1] ^ 1u);
		break;
	case '|':
		frame_send(frame, fd);
		nap(20);
		break;
	case 'L':
		frame_send(frame, fd);
		nap(TIMEOUT_MS * 3 / 2);
		break;
	case 'S':
		frame_send(frame, fd);
		nap(10 * slower); /* by then it waits for the reply */
		stood_still_us += 10000000;
		break;
	case 's':
		frame_send(frame, fd);
		nap(10 * slower);
		stood_still_us += STOOD_A_WHILE_US;
		break;
	default:
		break;
	}
}

static void
play(const char *step, int fd, const uint8_t *request)
{
	struct frame frame = { .length = 0 };

	for (const char *at = step; *at; at++) {
		unsigned byte;

		if (strchr(" CTtEeN|LSs", *at)) {
			frame_mark(&frame, *at, fd, request);
		} else {
			sscanf(at, "%2x", &byte);
			frame_put(&frame, byte);
			at++;
		}
	}
	frame_send(&frame, fd);
}

/* Wait for the other side. Returns false when the test is over. */
static bool
await_bytes(int fd)
{
	struct pollfd waiting[] = { { .fd = fd, .events = POLLIN }, { .fd = over_fd, .events = POLLIN } };

	return poll(waiting, 2, AWAIT_MS) > 0 && waiting[1].revents == 0;
}

static int
accept_one(void)
{
	return await_bytes(peer.listen_fd) ? accept(peer.listen_fd, NULL, NULL) : -1;
}

/* Read one request. Returns false when the other side is gone. */
static bool
read_request(uint8_t *request)
{
	int have = 0;

	while (have < peer.request_length) {
		ssize_t got;

		if (peer.fd < 0)
			peer.fd = accept_one();
		if (peer.fd < 0 || !await_bytes(peer.fd))
			return false;
		got = read(peer.fd, request + have, (size_t)(peer.request_length - have));
		if (got > 0) {
			have += (int)got;
		} else if (peer.listen_fd >= 0) {
			/* it connects anew */
			close(peer.fd);
			peer.fd = -1;
			have = 0;
		} else {
			return false;
		}
	}
	return true;
}

static void *
peer_run(void *arg)
{
	(void)arg;
	for (int i = 0; i < STEPS_MAX && peer.steps[i]; i++) {
		if (!read_request(peer.request))
			break;
		if (i == 0)
			memcpy(peer.first, peer.request, sizeof(peer.first));
		play(peer.steps[i], peer.fd, peer.request);
	}
	if (peer.hang_up && peer.fd >= 0) {
		close(peer.fd);
		peer.fd = -1;
	}
	return NULL;
}

static void
open_pty(void)
{
	static char name[64];
	struct termios raw;

	peer.fd = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(peer.fd >= 0);
	assert_int_equal(grantpt(peer.fd), 0);
	assert_int_equal(unlockpt(peer.fd), 0);
	assert_int_equal(tcgetattr(peer.fd, &raw), 0);
	cfmakeraw(&raw);
	tcsetattr(peer.fd, TCSANOW, &raw);
	snprintf(name, sizeof(name), "%s", ptsname(peer.fd));
	bench.bus.port = name;
	peer.listen_fd = -1;
}

static void
open_listener(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);

	peer.fd = -1;
	peer.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(peer.listen_fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(peer.listen_fd, 4), 0);
	assert_int_equal(getsockname(peer.listen_fd, (struct sockaddr *)&address, &length), 0);
	bench.bus.tcp_port = ntohs(address.sin_port);
}

static void
set_up(enum bus_type type)
{
	bench_init(&bench, type);
	bench.bus.echo = echo_setting;
	memset(&peer, 0, sizeof(peer));
	peer.request_length = type == BUS_TCP ? 12 : 8;
	if (type == BUS_RTU)
		open_pty();
	else
		open_listener();
	stop_fd = eventfd(0, EFD_CLOEXEC);
	over_fd = eventfd(0, EFD_CLOEXEC);
	over = false;
	line = link_modbus_new(&bench.bus, NULL, stop_fd);
	assert_non_null(line);
	assert_int_equal(line->ops->open(line, -1, CLOCK_NEVER), 0);
}

static void
start_peer(const char *first, const char *second, const char *third)
{
	peer.steps[0] = first;
	peer.steps[1] = second;
	peer.steps[2] = third;
	assert_int_equal(pthread_create(&peer.thread, NULL, peer_run, NULL), 0);
	peer.running = true;
}

/* It ends by itself when it has played all. */
static void
join_peer(void)
{
	if (peer.running)
		pthread_join(peer.thread, NULL);
	peer.running = false;
}

static void
start_helper(void *(*run)(void *))
{
	assert_int_equal(pthread_create(&helper, NULL, run, NULL), 0);
	helped = true;
}

static void
join_helper(void)
{
	if (helped)
		pthread_join(helper, NULL);
	helped = false;
}

/* Whatever has become of the test: no thread of it is left. */
static void
tear_down(void)
{
	if (!line)
		return;
	over = true;
	eventfd_write(over_fd, 1);
	line->ops->free(line);
	line = NULL;
	join_peer();
	join_helper();
	close(stop_fd);
	close(over_fd);
	if (peer.fd >= 0)
		close(peer.fd);
	if (peer.listen_fd >= 0)
		close(peer.listen_fd);
}

static int
ask(const struct pdu_request *request, uint16_t *cells, struct link_report *report)
{
	struct link_report own;
	int result = line->ops->exchange(line, request, TIMEOUT_MS, cells, report ? report : &own);
	short events;

	if (line->ops->idle_fd(line, &events) < 0)
		assert_int_equal(line->ops->open(line, -1, CLOCK_NEVER), 0);
	return result;
}

/* One try. Asserts what holds at any pace: nothing but the answer is ever taken. Returns whether all that depends on
 * time was as it is to be. */
typedef bool attempt_fn(enum bus_type type, const void *row);

static void
try_slower(attempt_fn *attempt, enum bus_type type, const void *row)
{
	bool as_it_should = false;

	for (slower = 1; slower <= SLOWEST && !as_it_should; slower *= 2) {
		set_up(type);
		as_it_should = attempt(type, row);
		tear_down();
	}
	slower = 1;
	assert_true(as_it_should);
}

/* An error is told in its turn, and may be another when time was short; an answer never is, but the one that is waited for, which a
 * busy machine finds when it looks too late for the timeout. */
static bool
is_result(int result, int expected)
{
	if (result != expected)
		print_message("             %d instead of %d with a timeout of %d ms\n", result, expected, TIMEOUT_MS);
	assert_true(result < 0 || result == expected || (result == 0 && expected == -ETIMEDOUT));
	return result == expected;
}

/* --- RTU, on a line and through a serial server --- */

/* A transcript: what is asked, what comes back and when, what is made of it. */
struct row {
	const char *what;
	const char *step;
	int expected;
	size_t noise; /* bytes */
	size_t stale;
	int within_ms; /* more than the timeout if 0 */
};

#define SOON 40

/* Replies to "unit 17, holding registers 0 and 1". */
static const char read_request_rtu[] = "11 03 00 00 00 02 c6 9b";
static const struct row rtu_reads[] = {
	{ "good", "11 03 04 00 01 00 02 C", 0, 0, 0, SOON },
	{ "in pieces", "11 | 03 04 00 | 01 00 | 02 C", 0, 0, 0, 0 },
	{ "exception", "11 83 02 C", 2, 0, 0, SOON },
	{ "exception of no known code", "11 83 c8 C", 200, 0, 0, SOON },
	{ "exception of no code", "11 83 00 C", -EBADMSG, 0, 5, 0 },
	{ "nothing", "", -ETIMEDOUT, 0, 0, 0 },
	{ "late", "L 11 03 04 00 01 00 02 C", -ETIMEDOUT, 0, 0, 0 },
	{ "another unit", "12 03 04 00 01 00 02 C", -EBADMSG, 0, 9, 0 },
	{ "another function", "11 04 04 00 01 00 02 C", -EBADMSG, 0, 9, 0 },
	{ "fewer registers", "11 03 02 00 01 C", -EBADMSG, 0, 7, 0 },
	{ "more registers", "11 03 06 00 01 00 02 00 03 C", -EBADMSG, 0, 11, 0 },
	{ "a byte count that lies", "11 03 ff 00 01 00 02 C", -EBADMSG, 9, 0, 0 },
	{ "a byte count of nothing", "11 03 00 C", -EBADMSG, 0, 5, 0 },
	{ "another's exception", "11 84 02 C", -EBADMSG, 0, 5, 0 },
	{ "an echo of a write", "11 06 00 00 00 02 C", -EBADMSG, 0, 8, 0 },
	{ "wrong CRC", "11 03 04 00 01 00 02 12 34", -EBADMSG, 9, 0, SOON },
	{ "a cut frame", "11 03 04 00 01", -EBADMSG, 5, 0, 0 },
	{ "one byte", "11", -EBADMSG, 1, 0, 0 },
	{ "one byte of noise", "fd", -ETIMEDOUT, 1, 0, 0 },
	{ "noise before", "ff 00 ff N 11 03 04 00 01 00 02 C", 0, 3, 0, SOON },
	{ "one zero before", "00 N 11 03 04 00 01 00 02 C", 0, 1, 0, SOON },
	{ "noise, a pause, the answer", "ff 05 03 N | 11 03 04 00 01 00 02 C", 0, 3, 0, 0 },
	{ "noise like its head before", "11 03 04 N 11 03 04 00 01 00 02 C", 0, 3, 0, SOON },
	{ "noise like a long frame before", "05 03 f0 N 11 03 04 00 01 00 02 C", 0, 3, 0, SOON },
	{ "noise before an exception", "11 03 N 11 83 02 C", 2, 2, 0, SOON },
	{ "noise after", "11 03 04 00 01 00 02 C ff ff", 0, 0, 0, SOON },
	{ "twice", "11 03 04 00 01 00 02 C 11 03 04 00 09 00 09 C", 0, 0, 0, SOON },
	{ "a stale one, then ours", "12 03 04 00 07 00 07 C | 11 03 04 00 01 00 02 C", 0, 0, 9, 0 },
	{ "a stale one of fewer registers, then ours", "11 03 02 00 07 C | 11 03 04 00 01 00 02 C", 0, 0, 7,
	    0 },
	{ "a stale echo, then ours", "11 06 00 00 00 02 C 11 03 04 00 01 00 02 C", 0, 0, 8, SOON },
	{ "two stale ones and noise, then ours",
	    "12 83 02 C fe fe N 13 05 00 01 ff 00 C 11 03 04 00 01 00 02 C", 0, 2, 13, SOON },
};

static void *
babble_a_while(void *arg)
{
	(void)arg;
	for (int i = 0; i < 30 * slower && !over; i++) {
		(void)!write(peer.fd, "\x55", 1);
		nap(1);
	}
	return NULL;
}

/* The line takes its time to be quiet, and then the request's is over. */
static bool
try_too_late(enum bus_type type, const void *arg)
{
	struct pdu_request request = pdu_write(TABLE_HOLDING, 17, 1, 1, (const uint16_t[]){ 3 });
	struct link_report report;
	short events;
	int result;

	(void)arg;
	if (type == BUS_RTU) {
		start_helper(babble_a_while);
		nap(5 * slower);
	}
	request.send_by_mono_us = clock_mono_us() + (type == BUS_RTU ? 5000 * slower : -1);
	result = ask(&request, NULL, &report);
	assert_true(result < 0);
	assert_true(line->ops->idle_fd(line, &events) >= 0);
	if (result != -ETIME)
		return false;
	assert_false(report.sent);
	return true;
}

static void
test_a_request_whose_time_is_over_is_not_sent(void **state)
{
	(void)state;
	try_slower(try_too_late, BUS_RTU, NULL);
	try_slower(try_too_late, BUS_TCP, NULL);
}

static void
check_request(const char *golden)
{
	char text[3 * 300] = "";

	for (int i = 0; i < peer.request_length; i++)
		snprintf(text + strlen(text), 4, "%s%02x", i > 0 ? " " : "", peer.first[i]);
	assert_string_equal(text, golden);
}

/* After whatever came, the next request of another unit gets its own answer. */
static bool
try_rtu_row(enum bus_type type, const void *arg)
{
	const struct row *row = arg;
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct pdu_request next = pdu_read(TABLE_HOLDING, 18, 0, 2);
	struct link_report report;
	uint16_t cells[2] = { 0, 0 };
	int64_t took_us;
	int result;

	(void)type;
	start_peer(row->step, "12 03 04 00 05 00 06 C", NULL);
	result = ask(&request, cells, &report);
	took_us = report.done_mono_us - report.asked_mono_us;
	assert_int_equal(cells[0], result == 0 ? 1 : 0);
	assert_int_equal(cells[1], result == 0 ? 2 : 0);
	if (!is_result(result, row->expected) || report.noise_bytes != row->noise || report.stale_bytes != row->stale)
		return false;
	if (!is_result(ask(&next, cells, NULL), 0))
		return false;
	assert_int_equal(cells[0], 5);
	join_peer();
	check_request(read_request_rtu);
	return took_us < (row->within_ms ? row->within_ms * slower : TIMEOUT_MS + 60 * slower) * 1000;
}

static void
check_rtu_rows(enum bus_type type)
{
	for (size_t i = 0; i < sizeof(rtu_reads) / sizeof(rtu_reads[0]); i++) {
		print_message("             %s\n", rtu_reads[i].what);
		try_slower(try_rtu_row, type, &rtu_reads[i]);
	}
}

static void
test_rtu_takes_nothing_but_the_answer(void **state)
{
	(void)state;
	check_rtu_rows(BUS_RTU);
}

static void
test_rtu_over_tcp_takes_nothing_but_the_answer(void **state)
{
	(void)state;
	check_rtu_rows(BUS_RTU_OVER_TCP);
}

/* --- an adapter that echoes --- */

struct echo_row {
	const char *what;
	enum bus_echo setting;
	const char *read;  /* the first exchange: a read, unless NULL */
	const char *probe; /* what comes of a look for an echo before the write, unless NULL */
	const char *write; /* then "register 1 of unit 17 = 3" */
	int read_expected;
	int write_expected;
	uint64_t echoes;
	uint64_t collisions;
};

#define ANSWER	"11 03 04 00 01 00 02 C"
#define WRITTEN "11 06 00 01 00 03 C"

/* The confirmation of function 6 is the same as its echo: what only echoes has written nothing. */
static const struct echo_row echo_rows[] = {
	{ "none", ECHO_AUTO, ANSWER, NULL, WRITTEN, 0, 0, 0, 0 },
	{ "found with the first read", ECHO_AUTO, "E" ANSWER, NULL, "E" WRITTEN, 0, 0, 2, 0 },
	{ "found, and nobody executes the write", ECHO_AUTO, "E" ANSWER, NULL, "E", 0, -ETIMEDOUT, 2, 0 },
	{ "found although nobody answers", ECHO_AUTO, "E", NULL, "E | " WRITTEN, -ETIMEDOUT, 0, 2, 0 },
	{ "found, and the write is refused", ECHO_AUTO, "E" ANSWER, NULL, "E 11 86 03 C", 0, 3, 2, 0 },
	{ "looked for before a write", ECHO_AUTO, NULL, "E 11 03 02 00 01 C", "E" WRITTEN, 0, 0, 2, 0 },
	{ "looked for, nobody executes", ECHO_AUTO, NULL, "E", "E", 0, -ETIMEDOUT, 2, 0 },
	{ "looked for, there is none", ECHO_AUTO, NULL, "11 83 02 C", WRITTEN, 0, 0, 0, 0 },
	{ "looked for, nothing comes", ECHO_AUTO, NULL, "", WRITTEN, 0, 0, 0, 0 },
	{ "noise, then the echo", ECHO_AUTO,
	    "ff"
	    "E" ANSWER,
	    NULL, "E", 0, -ETIMEDOUT, 2, 0 },
	{ "damaged", ECHO_AUTO, "E" ANSWER, NULL, "e" WRITTEN, 0, -EBADMSG, 1, 1 },
	{ "damaged in a read", ECHO_STRIP, "e" ANSWER, NULL, "E" WRITTEN, 0, 0, 1, 1 },
	{ "as is said, from the first", ECHO_STRIP, NULL, NULL, "E" WRITTEN, 0, 0, 1, 0 },
	{ "as is said, nobody executes", ECHO_STRIP, NULL, NULL, "E", 0, -ETIMEDOUT, 1, 0 },
	{ "as is said: never", ECHO_OFF, NULL, NULL, WRITTEN, 0, 0, 0, 0 },
};

static bool
try_echo_row(enum bus_type type, const void *arg)
{
	static const uint16_t value[] = { 3 };
	const struct echo_row *row = arg;
	struct pdu_request read = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct pdu_request write = pdu_write(TABLE_HOLDING, 17, 1, 1, value);
	const char *steps[3] = { NULL, NULL, NULL };
	size_t count = 0;
	const struct link_counters *counters;
	uint16_t cells[2];

	(void)type;
	if (row->read)
		steps[count++] = row->read;
	if (row->probe)
		steps[count++] = row->probe;
	steps[count] = row->write;
	start_peer(steps[0], steps[1], steps[2]);
	if (row->read && !is_result(ask(&read, cells, NULL), row->read_expected))
		return false;
	if (!is_result(ask(&write, NULL, NULL), row->write_expected))
		return false;
	counters = line->ops->counters(line);
	if (counters->echoes != row->echoes || counters->collisions != row->collisions)
		return false;
	assert_int_equal(line->ops->news(line) != NULL, row->setting == ECHO_AUTO && row->echoes > 0);
	assert_null(line->ops->news(line));
	join_peer();
	return true;
}

static void
test_an_echo_is_told_from_an_answer(void **state)
{
	enum bus_type types[] = { BUS_RTU, BUS_RTU_OVER_TCP };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(echo_rows) / sizeof(echo_rows[0]); i++) {
		const struct echo_row *row = &echo_rows[i / 2];

		print_message("             %s\n", row->what);
		echo_setting = row->setting;
		try_slower(try_echo_row, types[i % 2], row);
	}
	echo_setting = ECHO_OFF;
}

static bool
try_write_row(enum bus_type type, const void *arg)
{
	static const uint16_t value[] = { 3 };
	struct pdu_request request = pdu_write(TABLE_HOLDING, 17, 1, 1, value);
	const struct row *row = arg;

	(void)type;
	start_peer(row->step, NULL, NULL);
	if (!is_result(ask(&request, NULL, NULL), row->expected))
		return false;
	join_peer();
	return true;
}

static void
test_rtu_writes_need_their_own_echo(void **state)
{
	static const struct row rows[] = {
		{ "good", "11 06 00 01 00 03 C", 0, 0, 0, 0 },
		{ "noise before", "fe 11 N 11 06 00 01 00 03 C", 0, 2, 0, 0 },
		{ "another value", "11 06 00 01 00 04 C", -EBADMSG, 0, 8, 0 },
		{ "another address", "11 06 00 02 00 03 C", -EBADMSG, 0, 8, 0 },
		{ "another unit", "12 06 00 01 00 03 C", -EBADMSG, 0, 8, 0 },
		{ "exception", "11 86 03 C", 3, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		try_slower(try_write_row, BUS_RTU, &rows[i]);
}

static void
test_rtu_noise_before_a_request_is_drained_and_counted(void **state)
{
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct link_report report;
	uint16_t cells[2];
	struct pollfd arrived;

	(void)state;
	slower = SLOWEST; /* the answer comes: the timeout proves nothing here */
	set_up(BUS_RTU);
	play("fe fe N 11 03 04 00 09 00 09 C", peer.fd, NULL);
	arrived = (struct pollfd){ .events = POLLIN };
	arrived.fd = line->ops->idle_fd(line, &arrived.events);
	arrived.events = POLLIN;
	poll(&arrived, 1, 1000);
	start_peer("11 03 04 00 01 00 02 C", NULL, NULL);
	assert_int_equal(ask(&request, cells, &report), 0);
	assert_int_equal(cells[0], 1);
	assert_int_equal(report.stale_bytes, 9);
	assert_int_equal(report.noise_bytes, 2);
	assert_int_equal(report.stale_units[0], 17);
	join_peer();
	tear_down();
}

/* A machine that is busy between the last byte and the end of its exchange makes the silence look shorter than it was. */
static bool
try_silence(enum bus_type type, const void *arg)
{
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct link_report first;
	struct link_report second;
	uint16_t cells[2];

	(void)type, (void)arg;
	start_peer("11 03 04 00 01 00 02 C", "11 03 04 00 01 00 02 C", NULL);
	if (!is_result(ask(&request, cells, &first), 0) || !is_result(ask(&request, cells, &second), 0))
		return false;
	join_peer();
	/* 3.5 characters of 11 bits at 19200 baud */
	return second.asked_mono_us - first.done_mono_us >= 2005;
}

static void
test_rtu_keeps_the_silence(void **state)
{
	(void)state;
	try_slower(try_silence, BUS_RTU, NULL);
}

static int64_t
mono_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + stood_still_us;
}

static int64_t
unix_ms(void)
{
	return mono_us() / 1000;
}

struct standing_row {
	const char *read;
	const char *write;
};

static bool
try_standing_still(enum bus_type type, const void *arg)
{
	static const uint16_t value[] = { 3 };
	const struct standing_row *row = arg;
	struct pdu_request read = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct pdu_request write = pdu_write(TABLE_HOLDING, 17, 1, 1, value);
	uint16_t cells[2] = { 0, 0 };

	(void)type;
	start_peer(row->read, row->write, NULL);
	/* An answer is right if the clock went on before the request was out, which is what the peer cannot see. */
	if (ask(&read, cells, NULL) != -ETIMEDOUT)
		return false;
	assert_int_equal(cells[0], 0);
	if (ask(&write, NULL, NULL) != 0)
		return false;
	join_peer();
	return true;
}

/* When it came is not known, so it is no value; but what was done was done. */
static void
test_a_reply_that_waited_for_us_is_no_value(void **state)
{
	static const struct clock_source source = { .mono_us = mono_us, .unix_ms = unix_ms };
	static const struct standing_row rtu = { "S 11 03 04 00 01 00 02 C", "S 11 06 00 01 00 03 C" };
	static const struct standing_row tcp = { "S T 00 00 00 07 11 03 04 00 01 00 02",
		"S T 00 00 00 06 11 06 00 01 00 03" };

	(void)state;
	clock_replace(&source);
	try_slower(try_standing_still, BUS_RTU, &rtu);
	try_slower(try_standing_still, BUS_TCP, &tcp);
	clock_replace(NULL);
}

/* It was waited for a shorter time than its timeout, which is not over. */
static bool
try_standing_a_while(enum bus_type type, const void *arg)
{
	const struct standing_row *row = arg;
	struct pdu_request read = pdu_read(TABLE_HOLDING, 17, 0, 2);
	uint16_t cells[2] = { 0, 0 };

	(void)type;
	bench.bus.timeout_ms = 20 * TIMEOUT_MS;
	start_peer(row->read, NULL, NULL);
	if (!is_result(ask(&read, cells, NULL), 0))
		return false;
	assert_int_equal(cells[0], 1);
	join_peer();
	return true;
}

static void
test_a_reply_that_is_there_within_its_timeout_is_a_value(void **state)
{
	static const struct clock_source source = { .mono_us = mono_us, .unix_ms = unix_ms };
	static const struct standing_row rtu = { .read = "s 11 03 04 00 01 00 02 C" };
	static const struct standing_row tcp = { .read = "s T 00 00 00 07 11 03 04 00 01 00 02" };

	(void)state;
	clock_replace(&source);
	try_slower(try_standing_a_while, BUS_RTU, &rtu);
	try_slower(try_standing_a_while, BUS_TCP, &tcp);
	clock_replace(NULL);
}

static void *
babble(void *arg)
{
	(void)arg;
	while (!over) {
		(void)!write(peer.fd, "\x55", 1);
		nap(1);
	}
	return NULL;
}

static bool
try_never_quiet(enum bus_type type, const void *arg)
{
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct link_report report;
	uint16_t cells[2];
	int result;

	(void)type;
	(void)arg;
	start_helper(babble);
	nap(10 * slower);
	result = ask(&request, cells, &report);
	assert_true(result < 0);
	if (result != -EBUSY)
		return false;
	assert_false(report.sent);
	return clock_mono_us() - report.asked_mono_us < (TIMEOUT_MS + 220 * slower) * 1000;
}

static void
test_a_line_that_is_never_quiet_is_given_up(void **state)
{
	(void)state;
	try_slower(try_never_quiet, BUS_RTU, NULL);
}

static void
test_a_serial_port_that_vanishes_is_an_error_of_the_line(void **state)
{
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct link_report report;
	uint16_t cells[2];
	int result;

	(void)state;
	set_up(BUS_RTU);
	peer.hang_up = true;
	start_peer("", NULL, NULL);
	result = line->ops->exchange(line, &request, 5000, cells, &report);
	assert_int_equal(result, -EIO);
	join_peer();
	line->ops->close(line);
	assert_int_equal(line->ops->open(line, -1, CLOCK_NEVER), -ENOENT);
	assert_non_null(strstr(line->ops->fault(line), "No such file or directory"));
	tear_down();
}

static void
test_a_serial_port_is_ours_alone(void **state)
{
	struct link *second;

	(void)state;
	set_up(BUS_RTU);
	second = link_modbus_new(&bench.bus, NULL, stop_fd);
	assert_non_null(second);
	assert_int_equal(second->ops->open(second, -1, CLOCK_NEVER), -EBUSY);
	second->ops->free(second);
	tear_down();
}

/* --- Modbus TCP --- */

static const struct row tcp_reads[] = {
	{ "good", "T 00 00 00 07 11 03 04 00 01 00 02", 0, 0, 0, 0 },
	{ "in segments", "T 00 | 00 00 07 11 | 03 04 00 01 | 00 02", 0, 0, 0, 0 },
	{ "exception", "T 00 00 00 03 11 83 02", 2, 0, 0, 0 },
	{ "nothing", "", -ETIMEDOUT, 0, 0, 0 },
	{ "late", "L T 00 00 00 07 11 03 04 00 01 00 02", -ETIMEDOUT, 0, 0, 0 },
	{ "another transaction", "t 00 00 00 07 11 03 04 00 01 00 02", -EBADMSG, 0, 0, 0 },
	{ "another protocol", "T 00 01 00 07 11 03 04 00 01 00 02", -EBADMSG, 0, 0, 0 },
	{ "another unit", "T 00 00 00 07 12 03 04 00 01 00 02", -EBADMSG, 0, 0, 0 },
	{ "another function", "T 00 00 00 07 11 04 04 00 01 00 02", -EBADMSG, 0, 0, 0 },
	{ "fewer registers", "T 00 00 00 05 11 03 02 00 01", -EBADMSG, 0, 0, 0 },
	{ "more registers", "T 00 00 00 09 11 03 06 00 01 00 02 00 03", -EBADMSG, 0, 0, 0 },
	{ "an MBAP length too short", "T 00 00 00 06 11 03 04 00 01 00 02", -EBADMSG, 0, 0, 0 },
	{ "an MBAP length too long", "T 00 00 00 08 11 03 04 00 01 00 02 00", -EBADMSG, 0, 0, 0 },
	{ "an MBAP length without end", "T 00 00 ff ff 11 03 04 00 01 00 02", -EBADMSG, 0, 0, 0 },
	{ "an MBAP length of nothing", "T 00 00 00 00 11 03 04 00 01 00 02", -EBADMSG, 0, 0, 0 },
	{ "a byte count that lies", "T 00 00 00 07 11 03 fa 00 01 00 02", -EBADMSG, 0, 0, 0 },
	{ "a padded exception", "T 00 00 00 04 11 83 02 00", -EBADMSG, 0, 0, 0 },
	{ "a cut frame", "T 00 00 00 07 11 03 04 00", -EBADMSG, 0, 0, 0 },
	{ "a cut header", "T 00", -EBADMSG, 0, 0, 0 },
	{ "garbage before", "ff T 00 00 00 07 11 03 04 00 01 00 02", -EBADMSG, 0, 0, 0 },
	{ "twice", "T 00 00 00 07 11 03 04 00 01 00 02 T 00 00 00 07 11 03 04 00 09 00 09", 0, 0, 0, 0 },
};

static bool
try_tcp_row(enum bus_type type, const void *arg)
{
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct pdu_request next = pdu_read(TABLE_HOLDING, 17, 8, 2);
	const struct row *row = arg;
	uint16_t cells[2] = { 0, 0 };
	int result, again;

	(void)type;
	start_peer(row->step, "T 00 00 00 07 11 03 04 00 05 00 06", NULL);
	result = ask(&request, cells, NULL);
	assert_int_equal(cells[0], result == 0 ? 1 : 0);
	if (!is_result(result, row->expected))
		return false;
	again = ask(&next, cells, NULL);
	if (again == -ENOTCONN) { /* something was left over: a new connection, and again */
		line->ops->close(line);
		assert_int_equal(line->ops->open(line, -1, CLOCK_NEVER), 0);
		again = ask(&next, cells, NULL);
	}
	if (!is_result(again, 0))
		return false;
	assert_int_equal(cells[0], 5);
	join_peer();
	return true;
}

static void
test_tcp_takes_nothing_but_the_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tcp_reads) / sizeof(tcp_reads[0]); i++) {
		print_message("             %s\n", tcp_reads[i].what);
		try_slower(try_tcp_row, BUS_TCP, &tcp_reads[i]);
	}
}

static void
test_tcp_closed_in_a_request_and_between_two(void **state)
{
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct link_report report;
	struct pollfd idle = { .fd = -1 };
	uint16_t cells[2];

	(void)state;
	set_up(BUS_TCP);
	peer.hang_up = true;
	start_peer("T 00 00 00", NULL, NULL);
	assert_int_equal(line->ops->exchange(line, &request, 5000, cells, &report), -ECONNRESET);
	assert_true(report.sent);
	join_peer();
	line->ops->close(line);

	assert_int_equal(line->ops->open(line, -1, CLOCK_NEVER), 0);
	peer.fd = accept_one();
	assert_true(peer.fd >= 0);
	close(peer.fd);
	peer.fd = -1;
	idle.fd = line->ops->idle_fd(line, &idle.events);
	idle.events = POLLRDHUP;
	assert_int_equal(poll(&idle, 1, AWAIT_MS), 1);
	assert_int_equal(line->ops->exchange(line, &request, 5000, cells, &report), -ENOTCONN);
	assert_false(report.sent);
	tear_down();
}

static void *
stop_soon(void *arg)
{
	(void)arg;
	nap(50);
	eventfd_write(stop_fd, 1);
	return NULL;
}

static bool
try_stopping(enum bus_type type, const void *arg)
{
	static const uint16_t value[] = { 3 };
	struct pdu_request read = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct pdu_request write = pdu_write(TABLE_HOLDING, 17, 0, 1, value);
	int64_t began = clock_mono_us(), read_us, write_us;
	struct link_report report;
	eventfd_t counter;
	uint16_t cells[2];

	(void)type;
	(void)arg;
	start_helper(stop_soon);
	assert_int_equal(line->ops->exchange(line, &read, 20000, cells, &report), -ECANCELED);
	read_us = clock_mono_us() - began;
	join_helper();
	eventfd_read(stop_fd, &counter);
	began = clock_mono_us();
	start_helper(stop_soon);
	assert_int_equal(line->ops->exchange(line, &write, 20000, NULL, &report), -ETIMEDOUT);
	write_us = clock_mono_us() - began;
	return read_us < 250000 * slower && write_us < 1250000 + 250000 * slower;
}

static void
test_stopping_ends_a_read_at_once_and_a_write_within_a_second(void **state)
{
	enum bus_type types[] = { BUS_RTU, BUS_TCP, BUS_RTU_OVER_TCP };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		try_slower(try_stopping, types[i], NULL);
}

/* --- descriptors and addresses without end --- */

#define MANY 1100

/* libmodbus waits with select(), which knows no descriptor from 1024 on: it must never wait for us. */
static void
test_descriptors_beyond_those_of_select(void **state)
{
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	enum bus_type types[] = { BUS_RTU, BUS_TCP, BUS_RTU_OVER_TCP };
	struct rlimit limit;
	static int many[MANY];
	uint16_t cells[2];

	(void)state;
	slower = SLOWEST; /* the answer comes: the timeout proves nothing here */
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < MANY + 100)
		skip();
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < MANY; i++)
		many[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(many[MANY - 1] >= 1024);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		short events;

		set_up(types[i]);
		assert_true(line->ops->idle_fd(line, &events) > FD_SETSIZE);
		start_peer(
		    types[i] == BUS_TCP ? "T 00 00 00 07 11 03 04 00 01 00 02" : "11 03 04 00 01 00 02 C",
		    NULL, NULL);
		assert_int_equal(ask(&request, cells, NULL), 0);
		assert_int_equal(cells[1], 2);
		join_peer();
		tear_down();
	}
	for (int i = 0; i < MANY; i++)
		close(many[i]);
}

/* The name has three addresses; only the last is one of ours. */
int
__wrap_resolver_ask(
    struct resolver *resolver, const char *host, uint16_t port, uint64_t tag, struct fifo *answers)
{
	static const char *const addresses[] = { "198.51.100.1", "::1", "127.0.0.1" };
	struct resolver_answer answer = { .tag = tag, .answered_mono_ms = clock_mono_ms() };

	(void)resolver;
	assert_string_equal(host, "three.example");
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct resolver_answer one;

		assert_int_equal(resolver_numeric(addresses[i], port, &one), 0);
		answer.addresses[answer.count++] = one.addresses[0];
	}
	return fifo_push(answers, &answer, 1) == 1 ? 0 : -EBUSY;
}

static void
test_all_addresses_of_a_name_are_tried(void **state)
{
	static char nobody;
	struct link *other;

	(void)state;
	set_up(BUS_TCP);
	bench.bus.host = "three.example";
	bench.bus.connect_timeout_ms = 300;
	other = link_modbus_new(&bench.bus, (struct resolver *)(void *)&nobody, stop_fd);
	assert_int_equal(other->ops->open(other, -1, CLOCK_NEVER), 0);
	other->ops->close(other);
	/* and when none is any good, that is said once, in time */
	close(peer.listen_fd);
	peer.listen_fd = -1;
	assert_int_equal(other->ops->open(other, -1, CLOCK_NEVER), -ECONNREFUSED);
	assert_non_null(strstr(other->ops->fault(other), "three.example port"));
	other->ops->free(other);
	tear_down();
}

/* --- endless streams --- */

static void *
flood(void *arg)
{
	static uint8_t noise[4096];
	struct pollfd waiting = { .events = POLLIN };
	int fd = peer.fd;

	(void)arg;
	if (fd < 0)
		fd = accept_one();
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i % 3 ? 0x11 : 0x03);
	waiting.fd = fd;
	poll(&waiting, 1, 1000); /* the request */
	while (!over && send(fd, noise, sizeof(noise), MSG_NOSIGNAL) > 0)
		;
	if (fd != peer.fd)
		close(fd);
	return NULL;
}

static bool
try_endless_stream(enum bus_type type, const void *arg)
{
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct link_report report = { .closed = false };
	bool in_time = true;
	uint16_t cells[2];
	int asked = 0;

	(void)type;
	(void)arg;
	start_helper(flood);
	/* until the connection is doubted, which is soon */
	while (!report.closed && asked++ < 10) {
		int64_t began_us = clock_mono_us();
		int result = line->ops->exchange(line, &request, TIMEOUT_MS, cells, &report);

		if (!(result == -EBADMSG || result == -EBUSY || result == -ETIMEDOUT))
			assert_int_equal(result, -EBADMSG);
		in_time = in_time && result != -ETIMEDOUT && clock_mono_us() - began_us < 5 * TIMEOUT_MS * 1000;
	}
	assert_true(report.closed);
	return in_time;
}

static void
test_an_endless_stream_costs_no_more_than_the_timeout(void **state)
{
	(void)state;
	try_slower(try_endless_stream, BUS_TCP, NULL);
	try_slower(try_endless_stream, BUS_RTU_OVER_TCP, NULL);
}

static void
test_opening_fails_in_words_and_in_time(void **state)
{
	struct link *other;
	int64_t began;

	(void)state;
	set_up(BUS_TCP);
	close(peer.listen_fd);
	peer.listen_fd = -1;
	line->ops->close(line);
	assert_int_equal(line->ops->open(line, -1, CLOCK_NEVER), -ECONNREFUSED);
	assert_non_null(strstr(line->ops->fault(line), "Connection refused"));
	/* nobody answers there, or the network is not there: either way it ends */
	bench.bus.host = "198.51.100.1";
	bench.bus.connect_timeout_ms = 150;
	other = link_modbus_new(&bench.bus, NULL, stop_fd);
	began = clock_mono_us();
	assert_true(other->ops->open(other, -1, CLOCK_NEVER) < 0);
	assert_true(clock_mono_us() - began < 2000000); /* 3 s if it was not set */
	other->ops->free(other);
	tear_down();
}

/* What a test that failed has left. */
static int
clean_up(void **state)
{
	(void)state;
	tear_down();
	slower = 1;
	echo_setting = ECHO_OFF;
	clock_replace(NULL);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, clean_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rtu_takes_nothing_but_the_answer),
		TEST(test_rtu_over_tcp_takes_nothing_but_the_answer),
		TEST(test_an_echo_is_told_from_an_answer),
		TEST(test_rtu_writes_need_their_own_echo),
		TEST(test_rtu_noise_before_a_request_is_drained_and_counted),
		TEST(test_rtu_keeps_the_silence),
		TEST(test_a_reply_that_waited_for_us_is_no_value),
		TEST(test_a_reply_that_is_there_within_its_timeout_is_a_value),
		TEST(test_a_line_that_is_never_quiet_is_given_up),
		TEST(test_a_request_whose_time_is_over_is_not_sent),
		TEST(test_a_serial_port_that_vanishes_is_an_error_of_the_line),
		TEST(test_a_serial_port_is_ours_alone),
		TEST(test_tcp_takes_nothing_but_the_answer),
		TEST(test_tcp_closed_in_a_request_and_between_two),
		TEST(test_stopping_ends_a_read_at_once_and_a_write_within_a_second),
		TEST(test_descriptors_beyond_those_of_select),
		TEST(test_all_addresses_of_a_name_are_tried),
		TEST(test_an_endless_stream_costs_no_more_than_the_timeout),
		TEST(test_opening_fails_in_words_and_in_time),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(HANGS_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
