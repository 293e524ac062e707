/* What a pseudo-terminal does not have, RS-485, RTS, error counters and USB adapters, by the calls that are
 * made: the kernel and libserialport are replaced at link time (--wrap). And the watch for ports that are not
 * there, which is real. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <libserialport.h>
#include <linux/serial.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake/bench.h"
#include "fake/sinks.h"
#include "field/hotplug.h"
#include "field/link_modbus.h"
#include "field/serial.h"
#include "field/serial_bus.h"
#include "field/speed.h"

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
enum sp_return __wrap_sp_list_ports(struct sp_port ***list);
void __wrap_sp_free_port_list(struct sp_port **list);
enum sp_return __wrap_sp_get_port_usb_vid_pid(const struct sp_port *port, int *vendor, int *product);
char *__wrap_sp_get_port_usb_serial(const struct sp_port *port);
char *__wrap_sp_get_port_name(const struct sp_port *port);

/* The driver of the port. */
static struct {
	struct serial_rs485 rs485;
	struct serial_icounter_struct count;
	unsigned flags; /* TIOCSSERIAL */
	int busy;	/* so many looks until the last bit has left; -1: never */
	bool refuses;	/* everything that is not of a terminal */
	bool forgets;	/* takes RS-485 and does not do it */
	char calls[256];
	const char *last;
} driver;

/* Of `driver.count`, which grows while a worker looks at it. */
static atomic_int framing_errors;

static int
note(const char *call)
{
	if (driver.refuses) {
		errno = ENOTTY;
		return -1;
	}
	driver.last = call;
	if (strlen(driver.calls) + strlen(call) + 2 < sizeof(driver.calls))
		strcat(strcat(driver.calls, call), " ");
	return 0;
}

int
__wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	switch (request) {
	case TIOCSRS485:
		driver.rs485 = *(struct serial_rs485 *)argument;
		return note("rs485");
	case TIOCGRS485:
		*(struct serial_rs485 *)argument = driver.rs485;
		if (driver.forgets)
			((struct serial_rs485 *)argument)->flags = 0;
		return driver.refuses ? note("") : 0;
	case TIOCMBIS:
		return note(*(int *)argument == TIOCM_RTS ? "rts+" : *(int *)argument == TIOCM_DTR ? "dtr+" : "?");
	case TIOCMBIC:
		return note(*(int *)argument == TIOCM_RTS ? "rts-" : *(int *)argument == TIOCM_DTR ? "dtr-" : "?");
	case TIOCOUTQ:
		*(int *)argument = 0;
		return 0;
	case TIOCSERGETLSR:
		*(unsigned *)argument = driver.busy == 0 ? TIOCSER_TEMT : 0;
		driver.busy -= driver.busy > 0;
		return note("look");
	case TIOCGICOUNT:
		*(struct serial_icounter_struct *)argument = driver.count;
		((struct serial_icounter_struct *)argument)->frame = atomic_load(&framing_errors);
		return note("count");
	case TIOCGSERIAL:
		memset(argument, 0, sizeof(struct serial_struct));
		return note("get");
	case TIOCSSERIAL:
		driver.flags = (unsigned)((struct serial_struct *)argument)->flags;
		return note("set");
	default:
		return __real_ioctl(fd, request, argument);
	}
}

int __real_tcsetattr(int fd, int actions, const struct termios *line);
int __wrap_tcsetattr(int fd, int actions, const struct termios *line);

/* What was asked for at first: a pseudo-terminal forgets half of it. */
static struct termios asked;
static bool asks;

int
__wrap_tcsetattr(int fd, int actions, const struct termios *line)
{
	if (!asks)
		asked = *line;
	asks = true;
	return __real_tcsetattr(fd, actions, line);
}

static struct bench bench;
static char path[64];
static int master;

static struct bus *
set_up(enum bus_rs485 rs485)
{
	memset(&driver, 0, sizeof(driver));
	atomic_store(&framing_errors, 0);
	asks = false;
	bench_init(&bench, BUS_RTU);
	bench.bus.rs485 = rs485;
	master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	snprintf(path, sizeof(path), "%s", ptsname(master));
	return &bench.bus;
}

static int
open_port(const struct bus *bus, const char **what)
{
	return serial_open(bus, path, what);
}

static void
test_rs485_by_the_kernel(void **state)
{
	struct bus *bus = set_up(RS485_KERNEL);
	const char *what;
	int fd;

	(void)state;
	bus->rts_before_us = 1;
	bus->rts_after_us = 2500;
	fd = open_port(bus, &what);
	assert_true(fd >= 0);
	assert_int_equal(driver.rs485.flags, SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND);
	assert_int_equal(driver.rs485.delay_rts_before_send, 1);
	assert_int_equal(driver.rs485.delay_rts_after_send, 3);
	assert_int_equal(serial_begin_send(bus, fd), 0);
	assert_int_equal(serial_end_send(bus, fd, 1000000), 0); /* at once: it is not ours */
	assert_string_equal(driver.calls, "rs485 ");
	close(fd);
	driver.forgets = true;
	assert_int_equal(open_port(bus, &what), -ENOTSUP);
	driver.refuses = true;
	assert_int_equal(open_port(bus, &what), -ENOTTY);
	assert_string_equal(what, "rs485 by its driver");
	close(master);
}

static void
test_rs485_by_rts(void **state)
{
	static const struct {
		enum bus_rs485 rs485;
		const char *opened;
		const char *begun;
		const char *ended;
	} rows[] = {
		{ RS485_OFF, "", "", "" },
		{ RS485_RTS, "rts- ", "rts- rts+ ", "rts- rts+ look look look rts- " },
		{ RS485_RTS_INVERTED, "rts+ ", "rts+ rts- ", "rts+ rts- look look look rts+ " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bus *bus = set_up(rows[i].rs485);
		const char *what;
		int64_t began_us;
		int fd;

		bus->rts_before_us = 2000;
		bus->rts_after_us = 3000;
		fd = open_port(bus, &what);
		assert_string_equal(driver.calls, rows[i].opened);
		driver.busy = 2;
		began_us = clock_mono_us();
		assert_int_equal(serial_begin_send(bus, fd), 0);
		assert_string_equal(driver.calls, rows[i].begun);
		assert_int_equal(serial_end_send(bus, fd, 4000), 0);
		assert_string_equal(driver.calls, rows[i].ended);
		if (rows[i].rs485 != RS485_OFF)
			assert_true(clock_mono_us() - began_us >= 2000 + 4000 + 3000);
		close(fd);
		close(master);
	}
}

static void
test_a_stuck_port_is_switched_back_and_given_up(void **state)
{
	struct bus *bus = set_up(RS485_RTS);
	const char *what;
	int64_t began_us = clock_mono_us();
	int fd = open_port(bus, &what);

	(void)state;
	driver.busy = -1;
	assert_int_equal(serial_begin_send(bus, fd), 0);
	assert_int_equal(serial_end_send(bus, fd, 0), -EIO);
	assert_true(clock_mono_us() - began_us < 1000000);
	assert_string_equal(driver.last, "rts-");
	close(fd);
	driver.refuses = true;
	assert_int_equal(open_port(bus, &what), -ENOTTY);
	assert_string_equal(what, "rs485 by RTS");
	close(master);
}

static void
test_latency_and_errors(void **state)
{
	struct bus *bus = set_up(RS485_OFF);
	struct serial_errors errors;
	const char *what;
	int fd;

	(void)state;
	bus->low_latency = true;
	fd = open_port(bus, &what);
	assert_int_equal(driver.flags, ASYNC_LOW_LATENCY);
	driver.count = (struct serial_icounter_struct){ .parity = 2, .overrun = 3, .buf_overrun = 4, .brk = 5 };
	atomic_store(&framing_errors, 1);
	assert_int_equal(serial_read_errors(fd, &errors), 0);
	assert_int_equal(errors.frame, 1);
	assert_int_equal(errors.parity, 2);
	assert_int_equal(errors.overrun, 7);
	assert_int_equal(errors.breaks, 5);
	close(fd);
	/* a driver without any of it is fine */
	driver.refuses = true;
	fd = open_port(bus, &what);
	assert_true(fd >= 0);
	assert_int_equal(serial_read_errors(fd, &errors), -ENOTTY);
	close(fd);
	close(master);
}

/* The same through the link: RTS around each request, and errors said once when they grow. */
static void
test_an_exchange_switches_and_counts(void **state)
{
	struct bus *bus = set_up(RS485_RTS);
	struct pdu_request request = pdu_read(TABLE_HOLDING, 17, 0, 2);
	struct link_report report;
	struct link *link;
	uint16_t cells[2];

	(void)state;
	bus->port = path;
	bus->echo = ECHO_OFF;
	atomic_store(&framing_errors, 100); /* before our time */
	link = link_modbus_new(bus, NULL, -1);
	assert_int_equal(link->ops->open(link, -1, CLOCK_NEVER), 0);
	driver.calls[0] = '\0';
	assert_int_equal(link->ops->exchange(link, &request, 10, cells, &report), -ETIMEDOUT);
	assert_string_equal(driver.calls, "rts+ look rts- ");
	assert_null(link->ops->news(link));
	atomic_fetch_add(&framing_errors, 3);
	driver.count.parity += 1;
	assert_int_equal(link->ops->exchange(link, &request, 10, cells, &report), -ETIMEDOUT);
	assert_string_equal(
	    link->ops->news(link), "its port reports errors: 3 framing, 1 parity, 0 overrun, 0 break");
	atomic_fetch_add(&framing_errors, 3);
	assert_int_equal(link->ops->exchange(link, &request, 10, cells, &report), -ETIMEDOUT);
	assert_null(link->ops->news(link));
	assert_int_equal(link->ops->counters(link)->frame_errors, 6);
	assert_int_equal(link->ops->counters(link)->parity_errors, 1);
	link->ops->free(link);
	close(master);
}

static void
test_characters_of_every_kind(void **state)
{
	static const struct {
		enum bus_parity parity;
		int data_bits;
		int stop_bits;
		enum bus_flow flow;
		tcflag_t cflag;
		tcflag_t iflag;
	} rows[] = {
		{ PARITY_NONE, 8, 1, FLOW_NONE, CS8, 0 },
		{ PARITY_NONE, 8, 2, FLOW_NONE, CS8 | CSTOPB, 0 },
		{ PARITY_EVEN, 8, 1, FLOW_NONE, CS8 | PARENB, INPCK | IGNPAR },
		{ PARITY_ODD, 8, 1, FLOW_NONE, CS8 | PARENB | PARODD, INPCK | IGNPAR },
		{ PARITY_ODD, 7, 2, FLOW_NONE, CS7 | PARENB | PARODD | CSTOPB, INPCK | IGNPAR },
		{ PARITY_MARK, 7, 1, FLOW_NONE, CS7 | PARENB | PARODD | CMSPAR, INPCK | IGNPAR },
		{ PARITY_SPACE, 6, 1, FLOW_NONE, CS6 | PARENB | CMSPAR, INPCK | IGNPAR },
		{ PARITY_NONE, 5, 2, FLOW_RTS_CTS, CS5 | CSTOPB | CRTSCTS, 0 },
		{ PARITY_NONE, 8, 1, FLOW_XON_XOFF, CS8, IXON | IXOFF },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bus *bus = set_up(RS485_OFF);
		struct termios line;
		const char *what;
		int fd;

		bus->parity = rows[i].parity;
		bus->data_bits = rows[i].data_bits;
		bus->stop_bits = rows[i].stop_bits;
		bus->flow = rows[i].flow;
		fd = open_port(bus, &what);
		assert_true(fd >= 0);
		assert_int_equal(asked.c_cflag & (CSIZE | CSTOPB | PARENB | PARODD | CMSPAR | CRTSCTS), rows[i].cflag);
		assert_int_equal(asked.c_iflag & (IXON | IXOFF | IXANY | INPCK | IGNPAR), rows[i].iflag);
		assert_int_equal(tcgetattr(fd, &line), 0);
		assert_int_equal(cfgetospeed(&line), B19200);
		close(fd);
		close(master);
	}
}

static void
test_speeds_with_and_without_a_name(void **state)
{
	static const int bauds[] = { 300, 1800, 9600, 74880, 250000, 31250, 4000000, 19200 };
	struct bus *bus = set_up(RS485_OFF);
	const char *what;
	struct termios line;
	int fd;

	(void)state;
	bus->baud = 12345;
	fd = open_port(bus, &what);
	assert_true(fd >= 0);
	assert_int_equal(speed_get(fd), 12345);
	for (size_t i = 0; i < sizeof(bauds) / sizeof(bauds[0]); i++) {
		assert_int_equal(serial_set_baud(fd, bauds[i]), 0);
		assert_int_equal(speed_get(fd), bauds[i]);
	}
	assert_int_equal(tcgetattr(fd, &line), 0);
	assert_int_equal(cfgetospeed(&line), B19200);
	assert_int_equal(line.c_lflag & (ICANON | ECHO | ISIG), 0); /* the rest is as it was */
	assert_true(serial_set_baud(fd, 0) < 0);
	close(fd);
	close(master);
}

static void
test_dtr_and_rts_of_an_instrument(void **state)
{
	static const struct {
		enum bus_signal dtr;
		enum bus_signal rts;
		enum bus_flow flow;
		const char *calls;
	} rows[] = {
		{ SIGNAL_ON, SIGNAL_ON, FLOW_NONE, "dtr+ rts+ " },
		{ SIGNAL_OFF, SIGNAL_ON, FLOW_NONE, "dtr- rts+ " },
		{ SIGNAL_ON, SIGNAL_OFF, FLOW_NONE, "dtr+ rts- " },
		{ SIGNAL_KEEP, SIGNAL_KEEP, FLOW_NONE, "" },
		{ SIGNAL_KEEP, SIGNAL_OFF, FLOW_RTS_CTS, "" }, /* the driver has it */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bus *bus = set_up(RS485_OFF);
		const char *what;
		int fd;

		bus->type = BUS_SERIAL;
		bus->dtr = rows[i].dtr;
		bus->rts = rows[i].rts;
		bus->flow = rows[i].flow;
		fd = open_port(bus, &what);
		assert_true(fd >= 0);
		assert_string_equal(driver.calls, rows[i].calls);
		close(fd);
		close(master);
	}
}

/* --- USB adapters --- */

struct adapter {
	int vendor; /* 0: no USB */
	int product;
	char serial[16]; /* "": it has none */
	char name[64];
};

static struct adapter *_Atomic adapters; /* what a worker may look at is not changed: another table takes its place */
static size_t adapter_count;

enum sp_return
__wrap_sp_list_ports(struct sp_port ***list)
{
	struct adapter *there = adapters;

	*list = calloc(adapter_count + 1, sizeof(**list));
	for (size_t i = 0; i < adapter_count; i++)
		(*list)[i] = (struct sp_port *)(void *)&there[i];
	return SP_OK;
}

void
__wrap_sp_free_port_list(struct sp_port **list)
{
	free(list);
}

enum sp_return
__wrap_sp_get_port_usb_vid_pid(const struct sp_port *port, int *vendor, int *product)
{
	const struct adapter *adapter = (const struct adapter *)(const void *)port;

	*vendor = adapter->vendor;
	*product = adapter->product;
	return adapter->vendor ? SP_OK : SP_ERR_SUPP;
}

char *
__wrap_sp_get_port_usb_serial(const struct sp_port *port)
{
	struct adapter *adapter = (struct adapter *)(void *)(uintptr_t)port;

	return adapter->serial[0] ? adapter->serial : NULL;
}

char *
__wrap_sp_get_port_name(const struct sp_port *port)
{
	return ((struct adapter *)(void *)(uintptr_t)port)->name;
}

static void
test_an_adapter_is_found_by_its_identity(void **state)
{
	static struct adapter there[] = {
		{ 0, 0, "", "/dev/ttyS0" },
		{ 0x0403, 0x6001, "A50285BI", "/dev/ttyUSB3" },
		{ 0x0403, 0x6001, "A5XK3RJT", "/dev/ttyUSB0" },
		{ 0x1a86, 0x7523, "", "/dev/ttyUSB1" },
		{ 0x10c4, 0xea60, "0001", "/dev/ttyUSB2" },
	};
	static const struct {
		const char *port;
		int expected;
		const char *path;
	} rows[] = {
		{ "usb:0403:6001:A50285BI", 0, "/dev/ttyUSB3" },
		{ "usb:0403:6001:A5XK3RJT", 0, "/dev/ttyUSB0" },
		{ "usb:0403:6001", -ENOTUNIQ, NULL },
		{ "usb:0403:6001:A50285", -ENOENT, NULL },
		{ "usb:0403:6010", -ENOENT, NULL },
		{ "usb:1a86:7523", 0, "/dev/ttyUSB1" },
		{ "usb:1A86:7523", 0, "/dev/ttyUSB1" },
		{ "usb:1a86:7523:1", -ENOENT, NULL },
		{ "usb:10C4:EA60:0001", 0, "/dev/ttyUSB2" },
		{ "/dev/null", 0, "/dev/null" },
		{ "/dev/no/such/port", -ENOENT, NULL },
	};

	(void)state;
	adapters = there;
	adapter_count = sizeof(there) / sizeof(there[0]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char found[64] = "";

		assert_int_equal(serial_find(rows[i].port, found, sizeof(found)), rows[i].expected);
		if (rows[i].path)
			assert_string_equal(found, rows[i].path);
	}
	/* numbered anew after it was plugged in again */
	strcpy(there[1].name, "/dev/ttyUSB4");
	assert_int_equal(serial_find("usb:0403:6001:A50285BI", path, sizeof(path)), 0);
	assert_string_equal(path, "/dev/ttyUSB4");
}

/* --- a bus of serial instruments on such a port --- */

static struct sinks sinks;
static struct serial_bus *worker;

/* One device that is asked "?" ten times a second and answers a number in a line. */
static void
start_instrument(struct bus *bus, const char *port)
{
	static struct bytes newline = { .data = (const uint8_t *)"\n", .length = 1 };
	static struct line_step question = { .send = { .data = (const uint8_t *)"?", .length = 1 }, .frame = true };
	static struct line_field first = { .source = SOURCE_COLUMN };
	struct point *point = bench_point(&bench, 0, TABLE_INPUT, 0, 1, 1000);

	bus->type = BUS_SERIAL;
	bus->port = port;
	bus->parity = PARITY_NONE;
	bus->dtr = bus->rts = SIGNAL_KEEP;
	bus->timeout_ms = 5000;
	bus->framing = (struct framing){ .type = FRAMING_DELIMITER, .ends = &newline, .end_count = 1, .max_bytes = 100 };
	bench.device.poll = (struct line_script){ .steps = &question, .count = 1 };
	bench.device.period_ms = 100;
	bench.device.silence_s = 60;
	point->line = &first;
	sinks_init(&sinks, 1000, 10);
	worker = serial_bus_new(&bench.settings, bus, NULL, sinks_samples(&sinks), sinks_outcomes(&sinks));
	assert_non_null(worker);
	assert_int_equal(serial_bus_start(worker), 0);
}

static void
stop_instrument(void)
{
	serial_bus_tell_stop(worker);
	assert_true(serial_bus_await(worker, CLOCK_NEVER));
	serial_bus_free(worker);
	sinks_done(&sinks);
	close(master);
}

/* Wait for the question and answer it; the value that goes up is the answer. */
static void
answer_instrument(int64_t number)
{
	struct pollfd heard = { .fd = master, .events = POLLIN };
	struct sample sample;
	char text[32];
	int64_t until_us = clock_mono_us() + 20000000;
	ssize_t got = -1;

	while (got < 0 && clock_mono_us() < until_us) {
		assert_true(poll(&heard, 1, 20000) >= 0);
		got = read(master, text, sizeof(text)); /* EIO until somebody has it open */
	}
	assert_int_equal(got, 1);
	assert_int_equal(text[0], '?');
	got = snprintf(text, sizeof(text), "%lld\n", (long long)number);
	assert_int_equal(write(master, text, (size_t)got), got);
	assert_true(sinks_sample(&sinks, &sample));
	assert_int_equal(sample.value.integer, number);
}

/* RTS is switched around each question, and by the time it is answered it is switched back; the kernel does all by itself. */
static void
test_an_instrument_on_rs485(void **state)
{
	static const struct {
		enum bus_rs485 rs485;
		const char *calls; /* of the first question and its answer */
	} rows[] = {
		{ RS485_RTS, "rts- rts+ look rts- look " },
		{ RS485_RTS_INVERTED, "rts+ rts- look rts+ look " },
		{ RS485_KERNEL, "rs485 look " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bus *bus = set_up(rows[i].rs485);
		char *count;

		bench.device.period_ms = 60000;
		bus->timeout_ms = 20000; /* it is asked once, however busy the machine is */
		start_instrument(bus, path);
		answer_instrument(12);
		stop_instrument();
		while ((count = strstr(driver.calls, "count "))) /* errors are not what is looked at here */
			memmove(count, count + strlen("count "), strlen(count + strlen("count ")) + 1);
		assert_string_equal(driver.calls, rows[i].calls);
	}
}

static uint64_t
frame_errors(void)
{
	struct health_bus *report = serial_bus_report(worker, false);
	struct health_question question = { .bus = report, .answers = fifo_new(sizeof(struct health_answer), 1) };
	struct pollfd answered = { .fd = fifo_fd(question.answers), .events = POLLIN };
	struct health_answer answer;
	uint64_t errors;

	assert_int_equal(serial_bus_ask(worker, &question), 0);
	assert_int_equal(poll(&answered, 1, 20000), 1);
	assert_int_equal(fifo_pop(question.answers, &answer, 1), 1);
	errors = answer.bus->line.frame_errors;
	health_bus_free(report);
	fifo_free(question.answers);
	return errors;
}

/* A USB adapter by its identity, which has another name after it was plugged in again. What its driver counted before counts. */
static void
test_an_instrument_on_a_usb_adapter(void **state)
{
	static struct adapter first[] = {
		{ 0x0403, 0x6001, "SCALE", "" },
		{ 0x0403, 0x6001, "OTHER", "/dev/no/such" },
	};
	static struct adapter then[] = {
		{ 0x0403, 0x6001, "SCALE", "" },
		{ 0x0403, 0x6001, "OTHER", "/dev/no/such" },
	};
	struct bus *bus = set_up(RS485_OFF);
	int before;

	(void)state;
	snprintf(first[0].name, sizeof(first[0].name), "%s", path);
	adapters = first;
	adapter_count = 2;
	start_instrument(bus, "usb:0403:6001:SCALE");
	answer_instrument(1);
	atomic_fetch_add(&framing_errors, 3);
	before = master;
	master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_string_not_equal(ptsname(master), path);
	snprintf(then[0].name, sizeof(then[0].name), "%s", ptsname(master));
	adapters = then;
	close(before);
	answer_instrument(2);
	assert_int_equal(frame_errors(), 3);
	atomic_fetch_add(&framing_errors, 2);
	assert_int_equal(frame_errors(), 5);
	stop_instrument();
}

/* --- the watch --- */

static char folder[64];

static void
watch_folder(char *ret, size_t size, const char *name)
{
	assert_true(snprintf(ret, size, "%s/%s", folder, name) < (int)size);
}

static bool
has_news(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, 0) == 1;
}

static void
test_a_port_that_is_not_there_is_watched_for(void **state)
{
	char deep[128];
	char step[128];
	char node[128];
	char other[128];
	int fd;

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test-serial-XXXXXX");
	assert_non_null(mkdtemp(folder));
	watch_folder(node, sizeof(node), "tty0");
	watch_folder(other, sizeof(other), "link");
	watch_folder(step, sizeof(step), "serial");
	watch_folder(deep, sizeof(deep), "serial/by-id/it");

	fd = hotplug_watch(node);
	assert_true(fd >= 0);
	assert_false(has_news(fd));
	close(open(node, O_CREAT | O_WRONLY | O_CLOEXEC, 0));
	assert_true(has_news(fd)); /* it is there */
	close(fd);
	fd = hotplug_watch(node);
	assert_false(has_news(fd));
	chmod(node, 0600); /* it became accessible */
	assert_true(has_news(fd));
	close(fd);
	fd = hotplug_watch(deep);
	assert_false(has_news(fd));
	mkdir(step, 0700); /* a directory on its way */
	assert_true(has_news(fd));
	close(fd);
	/* a link from elsewhere: what it leads to appears */
	unlink(node);
	assert_int_equal(symlink(node, deep), -1);
	watch_folder(deep, sizeof(deep), "serial/it");
	assert_int_equal(symlink(node, deep), 0);
	fd = hotplug_watch(deep);
	assert_false(has_news(fd));
	close(open(node, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_true(has_news(fd));
	close(fd);
	unlink(deep);
	unlink(node);
	rmdir(step);
	rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rs485_by_the_kernel),
		cmocka_unit_test(test_rs485_by_rts),
		cmocka_unit_test(test_a_stuck_port_is_switched_back_and_given_up),
		cmocka_unit_test(test_latency_and_errors),
		cmocka_unit_test(test_an_exchange_switches_and_counts),
		cmocka_unit_test(test_characters_of_every_kind),
		cmocka_unit_test(test_speeds_with_and_without_a_name),
		cmocka_unit_test(test_dtr_and_rts_of_an_instrument),
		cmocka_unit_test(test_an_adapter_is_found_by_its_identity),
		cmocka_unit_test(test_an_instrument_on_rs485),
		cmocka_unit_test(test_an_instrument_on_a_usb_adapter),
		cmocka_unit_test(test_a_port_that_is_not_there_is_watched_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
