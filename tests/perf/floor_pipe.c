/* The floor of a pipe: a loop that reads registers with libmodbus and publishes one ready-made JSON text, as long as the real
 * one would be, with libmosquitto at QoS 1 in one session. Nothing is decoded, filtered or kept, so nothing that does the same
 * job with the same libraries can be cheaper. With "handed" the Modbus connection belongs to a thread of its own, as the line of a
 * gateway does of which the server shall never wait; without, one thread does all. Prints what it did as a line of JSON.
 *
 *     floor_pipe MODBUS_PORT BROKER_PORT SECONDS REGISTERS PER_SECOND BYTES [handed]
 */
#include <errno.h>
#include <modbus.h>
#include <mosquitto.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "perf/meter.h"

#define IN_FLIGHT 20

static modbus_t *modbus;
static int registers;
static int read_fd = -1; /* handed: counts the reads that have not been published */
static atomic_bool over;
static int in_flight;
static bool connected;
static double sent_s; /* when the last message was published, on the clock */
static double acks_s; /* sum of round trips of messages that were alone */
static unsigned acks;

static void
on_connect(struct mosquitto *mosq, void *userdata, int code)
{
	(void)mosq, (void)userdata;
	connected = code == 0;
}

static void
on_publish(struct mosquitto *mosq, void *userdata, int mid)
{
	(void)mosq, (void)userdata, (void)mid;
	if (--in_flight > 0)
		return;
	acks_s += meter_clock() - sent_s;
	acks++;
}

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "floor_pipe: %s: %s\n", what, why);
	exit(1);
}

/* Serve the session until `until` s on the meter's clock, or until there is something to be published. */
static void
serve(struct mosquitto *mosq, struct meter *meter, double until)
{
	for (;;) {
		double left = until - meter_elapsed(meter);
		struct pollfd fds[] = { { .fd = mosquitto_socket(mosq),
					    .events = (short)(POLLIN | (mosquitto_want_write(mosq) ? POLLOUT : 0)) },
			{ .fd = read_fd, .events = POLLIN } };

		if (left <= 0 && in_flight < IN_FLIGHT)
			return;
		if (poll(fds, 2, left > 0 ? (int)(left * 1000) + 1 : 1) < 0)
			die("poll", strerror(errno));
		if (fds[0].revents & POLLIN)
			mosquitto_loop_read(mosq, 1);
		if (fds[0].revents & POLLOUT)
			mosquitto_loop_write(mosq, 1);
		if (fds[0].fd < 0 || fds[0].revents & (POLLERR | POLLHUP))
			die("broker", "closed the connection");
		if (fds[1].revents & POLLIN)
			return;
	}
}

static void
read_registers(void)
{
	uint16_t words[MODBUS_MAX_READ_REGISTERS];

	if (modbus_read_registers(modbus, 0, registers, words) != registers)
		die("modbus", modbus_strerror(errno));
}

static void *
serve_line(void *arg)
{
	struct meter meter;

	meter_start(&meter, *(double *)arg);
	while (!atomic_load(&over)) {
		meter_turn(&meter);
		read_registers();
		eventfd_write(read_fd, 1);
		meter_count(&meter);
	}
	return NULL;
}

static char *
make_payload(size_t bytes)
{
	static const char head[] = "{\"ts\":1700000000000,\"values\":{\"k\":\"", tail[] = "\"}}";
	char *payload = malloc(bytes + sizeof(head) + sizeof(tail));
	size_t fill = bytes > sizeof(head) + sizeof(tail) ? bytes - sizeof(head) - sizeof(tail) : 0;

	if (!payload)
		die("payload", "no memory");
	memcpy(payload, head, sizeof(head) - 1);
	memset(payload + sizeof(head) - 1, 'x', fill);
	memcpy(payload + sizeof(head) - 1 + fill, tail, sizeof(tail));
	return payload;
}

static struct mosquitto *
connect_broker(int port)
{
	struct mosquitto *mosq;
	struct meter waiting;

	mosquitto_lib_init();
	mosq = mosquitto_new("floor", true, NULL);
	if (!mosq)
		die("mosquitto_new", strerror(errno));
	mosquitto_username_pw_set(mosq, "floor", NULL);
	mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_connect_callback_set(mosq, on_connect);
	mosquitto_publish_callback_set(mosq, on_publish);
	if (mosquitto_connect(mosq, "127.0.0.1", port, 60) != MOSQ_ERR_SUCCESS)
		die("connect", strerror(errno));
	meter_start(&waiting, 0);
	while (!connected && meter_elapsed(&waiting) < 5)
		serve(mosq, &waiting, meter_elapsed(&waiting) + 0.01);
	if (!connected)
		die("connect", "no CONNACK");
	return mosq;
}

/* Wait for the next read and publish it. */
static void
turn(struct mosquitto *mosq, struct meter *meter, const char *payload, double seconds)
{
	eventfd_t reads = 1;

	if (read_fd < 0) {
		serve(mosq, meter, meter_due(meter));
		read_registers();
	} else {
		serve(mosq, meter, seconds);
		if (eventfd_read(read_fd, &reads) < 0)
			reads = 0;
	}
	for (; reads > 0; reads--) {
		if (mosquitto_publish(mosq, NULL, "v1/devices/me/telemetry", (int)strlen(payload), payload, 1, false) !=
		    MOSQ_ERR_SUCCESS)
			die("publish", "refused");
		in_flight++;
		sent_s = meter_clock();
		meter_count(meter);
	}
}

int
main(int argc, char **argv)
{
	struct mosquitto *mosq;
	struct meter meter;
	pthread_t line;
	double seconds, pace;
	char *payload;

	if (argc < 7) {
		fprintf(stderr, "usage: floor_pipe MODBUS_PORT BROKER_PORT SECONDS REGISTERS PER_SECOND BYTES [handed]\n");
		return 2;
	}
	seconds = strtod(argv[3], NULL);
	registers = atoi(argv[4]);
	pace = strtod(argv[5], NULL);
	payload = make_payload((size_t)atoi(argv[6]));
	modbus = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
	if (!modbus || modbus_set_slave(modbus, 1) != 0 || modbus_connect(modbus) != 0)
		die("modbus", modbus_strerror(errno));
	mosq = connect_broker(atoi(argv[2]));
	meter_start(&meter, pace);
	if (argc > 7) {
		read_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (read_fd < 0 || pthread_create(&line, NULL, serve_line, &pace) != 0)
			die("thread", "none");
	}
	while (meter_elapsed(&meter) < seconds)
		turn(mosq, &meter, payload, seconds);
	atomic_store(&over, true);
	if (read_fd >= 0)
		pthread_join(line, NULL);
	read_fd = -1;
	while (in_flight > 0)
		serve(mosq, &meter, meter_elapsed(&meter) + 0.001);
	meter_print(&meter, "ack_us", acks > 0 ? acks_s / acks * 1e6 : 0);
	mosquitto_destroy(mosq);
	mosquitto_lib_cleanup();
	modbus_close(modbus);
	modbus_free(modbus);
	free(payload);
	return 0;
}
