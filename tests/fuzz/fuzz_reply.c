/* A reply of any bytes, through the matcher and through the real link: no crash, no wait beyond its bound,
 * and what is taken for an answer is one.
 *
 * Input: a byte that chooses bus type and request, and the bytes that the peer sends. A "T" of the
 * transaction id cannot be known to it, so two bytes of an input for Modbus TCP are replaced by it if the
 * next bit says so.
 */
#include <config.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "field/link_modbus.h"

#define TIMEOUT_MS 2
#define REPLY_MAX  1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t written[] = { 1, 0, 3 };
static int listen_fd[2] = { -1, -1 };
static struct link *links[2];
static struct bus buses[2] = {
	{ .name = "tcp", .type = BUS_TCP, .host = "127.0.0.1", .connect_timeout_ms = 1000 },
	{ .name = "rtu", .type = BUS_RTU_OVER_TCP, .host = "127.0.0.1", .connect_timeout_ms = 1000 },
};

static struct pdu_request
choose_request(unsigned choice)
{
	switch (choice % 6) {
	case 0:
		return pdu_read(TABLE_HOLDING, 1, 0, 2);
	case 1:
		return pdu_read(TABLE_COIL, 1, 0, 10);
	case 2:
		return pdu_write(TABLE_COIL, 1, 5, 1, written);
	case 3:
		return pdu_write(TABLE_HOLDING, 1, 5, 1, written);
	case 4:
		return pdu_write(TABLE_HOLDING, 1, 5, 3, written);
	default:
		return pdu_read(TABLE_INPUT, 1, 65411, 125);
	}
}

static void
listen_for(int which)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);

	listen_fd[which] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listen_fd[which], (struct sockaddr *)&address, length) != 0 ||
	    listen(listen_fd[which], 8) != 0 ||
	    getsockname(listen_fd[which], (struct sockaddr *)&address, &length) != 0)
		abort();
	buses[which].tcp_port = ntohs(address.sin_port);
	links[which] = link_modbus_new(&buses[which], NULL, -1);
	if (!links[which])
		abort();
}

struct reply {
	int fd;
	bool known_transaction;
	uint8_t bytes[REPLY_MAX];
	size_t size;
};

/* Answer the first request that comes with the bytes of the input. */
static void *
peer_run(void *arg)
{
	struct reply *reply = arg;
	uint8_t request[300];

	if (read(reply->fd, request, sizeof(request)) >= 2) {
		if (reply->known_transaction && reply->size >= 2)
			memcpy(reply->bytes, request, 2);
		if (reply->size > 0)
			(void)!send(reply->fd, reply->bytes, reply->size, MSG_NOSIGNAL);
	}
	return NULL;
}

static void
try_link(int which, const struct pdu_request *request, struct reply *reply)
{
	struct link *link = links[which];
	uint16_t cells[MODBUS_MAX_READ_BITS];
	struct link_report report;
	pthread_t peer;
	int result;

	if (link->ops->open(link, -1, CLOCK_NEVER) != 0)
		abort();
	reply->fd = accept(listen_fd[which], NULL, NULL);
	if (pthread_create(&peer, NULL, peer_run, reply) != 0)
		abort();
	result = link->ops->exchange(link, request, TIMEOUT_MS, cells, &report);
	if (result > 255 || (result >= 0 && reply->size < pdu_reply_length(request) && result == 0))
		abort();
	link->ops->close(link);
	pthread_join(peer, NULL);
	close(reply->fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reply reply = { .fd = -1 };
	uint16_t cells[MODBUS_MAX_READ_BITS];
	struct pdu_request request;
	int which;

	if (size < 1)
		return 0;
	which = data[0] & 1;
	request = choose_request(data[0] >> 2);
	reply.known_transaction = which == 0 && data[0] & 2;
	reply.size = size - 1 < REPLY_MAX ? size - 1 : REPLY_MAX;
	memcpy(reply.bytes, data + 1, reply.size);
	pdu_match(&request, 1, data + 1, size - 1, cells);
	if (listen_fd[which] < 0) {
		signal(SIGPIPE, SIG_IGN);
		listen_for(which);
	}
	try_link(which, &request, &reply);
	return 0;
}
