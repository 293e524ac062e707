/* The floor of a command: takes each RPC of one session, writes its value into a holding register with libmodbus, and replies, all
 * without looking at more than the first number of the params. With "handed" the Modbus connection belongs to a thread of its own,
 * as the line of a gateway does that serves many; without, all is done where the message arrives. Serves until its standard input
 * ends.
 *
 *     floor_rpc MODBUS_PORT BROKER_PORT TOKEN [handed]
 */
#include <errno.h>
#include <modbus.h>
#include <mosquitto.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static modbus_t *modbus;
static bool handed;
static struct {
	char id[32];
	uint16_t value;
	int asked_fd, done_fd;
} command;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "floor_rpc: %s: %s\n", what, why);
	exit(1);
}

static void
write_register(void)
{
	if (modbus_write_register(modbus, 0, command.value) != 1)
		die("modbus", modbus_strerror(errno));
}

static void
reply(struct mosquitto *mosq)
{
	char topic[64], text[32];
	int length = snprintf(text, sizeof(text), "{\"value\":%u}", (unsigned)command.value);

	snprintf(topic, sizeof(topic), "v1/devices/me/rpc/response/%s", command.id);
	if (mosquitto_publish(mosq, NULL, topic, length, text, 1, false) != MOSQ_ERR_SUCCESS)
		die("publish", "refused");
}

static void *
serve_line(void *arg)
{
	eventfd_t count;

	(void)arg;
	while (eventfd_read(command.asked_fd, &count) == 0) {
		write_register();
		eventfd_write(command.done_fd, 1);
	}
	return NULL;
}

static void
on_message(struct mosquitto *mosq, void *userdata, const struct mosquitto_message *message)
{
	const char *value = strstr(message->payload, "\"value\":");
	const char *id = strrchr(message->topic, '/');

	(void)userdata;
	if (!value || !id)
		return;
	command.value = (uint16_t)strtoul(value + strlen("\"value\":"), NULL, 10);
	snprintf(command.id, sizeof(command.id), "%s", id + 1);
	if (handed) {
		eventfd_write(command.asked_fd, 1);
		return;
	}
	write_register();
	reply(mosq);
}

static void
on_connect(struct mosquitto *mosq, void *userdata, int code)
{
	(void)userdata;
	if (code != 0 || mosquitto_subscribe(mosq, NULL, "v1/devices/me/rpc/request/+", 1) != MOSQ_ERR_SUCCESS)
		die("broker", "refused");
}

static struct mosquitto *
connect_broker(int port, const char *token)
{
	struct mosquitto *mosq;

	mosquitto_lib_init();
	mosq = mosquitto_new("floor-rpc", true, NULL);
	if (!mosq)
		die("mosquitto_new", strerror(errno));
	mosquitto_username_pw_set(mosq, token, NULL);
	mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_connect_callback_set(mosq, on_connect);
	mosquitto_message_callback_set(mosq, on_message);
	if (mosquitto_connect(mosq, "127.0.0.1", port, 60) != MOSQ_ERR_SUCCESS)
		die("connect", strerror(errno));
	return mosq;
}

static void
serve(struct mosquitto *mosq)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = mosquitto_socket(mosq),
					    .events = (short)(POLLIN | (mosquitto_want_write(mosq) ? POLLOUT : 0)) },
			{ .fd = command.done_fd, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
		eventfd_t count;

		if (poll(fds, 3, -1) < 0)
			die("poll", strerror(errno));
		if (fds[1].revents & POLLIN && eventfd_read(command.done_fd, &count) == 0)
			reply(mosq);
		if (fds[0].revents & POLLIN)
			mosquitto_loop_read(mosq, 1);
		if (fds[0].revents & POLLOUT)
			mosquitto_loop_write(mosq, 1);
		if (fds[2].revents)
			return;
	}
}

int
main(int argc, char **argv)
{
	struct mosquitto *mosq;
	pthread_t thread;

	if (argc < 4) {
		fprintf(stderr, "usage: floor_rpc MODBUS_PORT BROKER_PORT TOKEN [handed]\n");
		return 2;
	}
	handed = argc > 4;
	command.asked_fd = eventfd(0, EFD_CLOEXEC);
	command.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	modbus = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
	if (!modbus || modbus_set_slave(modbus, 1) != 0 || modbus_connect(modbus) != 0)
		die("modbus", modbus_strerror(errno));
	if (handed && pthread_create(&thread, NULL, serve_line, NULL) != 0)
		die("thread", "none");
	mosq = connect_broker(atoi(argv[2]), argv[3]);
	serve(mosq);
	_exit(0);
}
