/* The floor of a pipe: a loop that reads registers with libmodbus and publishes one ready-made JSON text, as long as the real
 * one would be, with libmosquitto at QoS 1 in one session. Nothing is decoded, filtered or kept, so nothing that does the same
 * job with the same libraries can be cheaper. Prints what it did as a line of JSON.
 *
 *     floor_pipe MODBUS_PORT BROKER_PORT SECONDS REGISTERS PER_SECOND BYTES
 */
#include <errno.h>
#include <modbus.h>
#include <mosquitto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/meter.h"

#define IN_FLIGHT 20

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

/* Serve the session until `until` s on the meter's clock. */
static void
serve(struct mosquitto *mosq, struct meter *meter, double until)
{
	for (;;) {
		double left = until - meter_elapsed(meter);
		struct pollfd fd = { .fd = mosquitto_socket(mosq),
			.events = (short)(POLLIN | (mosquitto_want_write(mosq) ? POLLOUT : 0)) };

		if (left <= 0 && in_flight < IN_FLIGHT)
			return;
		if (poll(&fd, 1, left > 0 ? (int)(left * 1000) + 1 : 1) < 0)
			die("poll", strerror(errno));
		if (fd.revents & POLLIN)
			mosquitto_loop_read(mosq, 1);
		if (fd.revents & POLLOUT)
			mosquitto_loop_write(mosq, 1);
		if (fd.fd < 0 || fd.revents & (POLLERR | POLLHUP))
			die("broker", "closed the connection");
	}
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

int
main(int argc, char **argv)
{
	uint16_t words[MODBUS_MAX_READ_REGISTERS];
	struct mosquitto *mosq;
	struct meter meter;
	modbus_t *modbus;
	double seconds;
	char *payload;
	int registers;

	if (argc < 7) {
		fprintf(stderr, "usage: floor_pipe MODBUS_PORT BROKER_PORT SECONDS REGISTERS PER_SECOND BYTES\n");
		return 2;
	}
	seconds = strtod(argv[3], NULL);
	registers = atoi(argv[4]);
	payload = make_payload((size_t)atoi(argv[6]));
	modbus = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
	if (!modbus || modbus_set_slave(modbus, 1) != 0 || modbus_connect(modbus) != 0)
		die("modbus", modbus_strerror(errno));
	mosq = connect_broker(atoi(argv[2]));
	meter_start(&meter, strtod(argv[5], NULL));
	while (meter_elapsed(&meter) < seconds) {
		serve(mosq, &meter, meter_due(&meter));
		if (modbus_read_registers(modbus, 0, registers, words) != registers)
			die("modbus", modbus_strerror(errno));
		if (mosquitto_publish(mosq, NULL, "v1/devices/me/telemetry", (int)strlen(payload), payload, 1, false) !=
		    MOSQ_ERR_SUCCESS)
			die("publish", "refused");
		in_flight++;
		sent_s = meter_clock();
		meter_count(&meter);
	}
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
