/* A reply of any bytes, through the matcher and through the real link: no crash, no wait beyond its bound,
 * and what is taken for an answer is one.
 *
 * Input: a byte that chooses bus type and request, and the bytes that the peer sends. A "T" of the
 * transaction id cannot be known to it, so two bytes of an input for Modbus TCP are replaced by it if the
 * next bit says so; for RTU the same bit chooses a pseudo-terminal instead of a socket.
 */
#include <config.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
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

enum { ON_TCP, ON_RTU_TCP, ON_PTY, WAYS };

static const uint16_t written[] = { 1, 0, 3 };
static int peer_fd[WAYS] = { -1, -1, -1 }; /* listening, or the master */
static struct link *links[WAYS];
static struct bus buses[WAYS] = {
	[ON_TCP] = { .name = "tcp", .type = BUS_TCP, .host = "127.0.0.1", .connect_timeout_ms = 1000 },
	[ON_RTU_TCP] = { .name = "rtu",
	    .type = BUS_RTU_OVER_TCP,
	    .host = "127.0.0.1",
	    .connect_timeout_ms = 1000,
	    .echo = ECHO_OFF },
	[ON_PTY] = { .name = "pty",
	    .type = BUS_RTU,
	    .baud = 1000000,
	    .data_bits = 8,
	    .stop_bits = 1,
	    .echo = ECHO_STRIP },
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
listen_for(int way)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);

	peer_fd[way] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(peer_fd[way], (struct sockaddr *)&address, length) != 0 || listen(peer_fd[way], 8) != 0 ||
	    getsockname(peer_fd[way], (struct sockaddr *)&address, &length) != 0)
		abort();
	buses[way].tcp_port = ntohs(address.sin_port);
}

static void
make_terminal(void)
{
	static char name[64];

	peer_fd[ON_PTY] = posix_openpt(O_RDWR | O_NOCTTY);
	if (peer_fd[ON_PTY] < 0 || grantpt(peer_fd[ON_PTY]) != 0 || unlockpt(peer_fd[ON_PTY]) != 0 ||
	    ptsname_r(peer_fd[ON_PTY], name, sizeof(name)) != 0)
		abort();
	buses[ON_PTY].port = name;
}

static void
prepare(int way)
{
	if (peer_fd[way] >= 0)
		return;
	signal(SIGPIPE, SIG_IGN);
	if (way == ON_PTY)
		make_terminal();
	else
		listen_for(way);
	links[way] = link_modbus_new(&buses[way], NULL, -1);
	if (!links[way])
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
			(void)!write(reply->fd, reply->bytes, reply->size);
	}
	return NULL;
}

/* Is what was taken for the answer somewhere in what came? */
static bool
contains_answer(const struct pdu_request *request, const struct reply *reply, int result)
{
	uint16_t cells[MODBUS_MAX_READ_BITS];
	size_t length = result > 0 ? 2 : pdu_reply_length(request);

	for (size_t at = 0; at + 1 + length <= reply->size; at++)
		if (pdu_match(request, reply->bytes[at], reply->bytes + at + 1, length, cells) == result)
			return true;
	return false;
}

static void
try_link(int way, const struct pdu_request *request, struct reply *reply)
{
	struct link *link = links[way];
	uint16_t cells[MODBUS_MAX_READ_BITS];
	struct link_report report;
	pthread_t peer;
	int result;

	if (link->ops->open(link, -1, CLOCK_NEVER) != 0)
		abort();
	reply->fd = way == ON_PTY ? peer_fd[way] : accept(peer_fd[way], NULL, NULL);
	if (pthread_create(&peer, NULL, peer_run, reply) != 0)
		abort();
	result = link->ops->exchange(link, request, TIMEOUT_MS, cells, &report);
	if (result > 255 || (result >= 0 && !contains_answer(request, reply, result)))
		abort();
	link->ops->close(link);
	pthread_join(peer, NULL);
	if (way != ON_PTY)
		close(reply->fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reply reply = { .fd = -1 };
	uint16_t cells[MODBUS_MAX_READ_BITS];
	struct pdu_request request;
	int way;

	if (size < 1)
		return 0;
	way = data[0] & 1 ? (data[0] & 2 ? ON_PTY : ON_RTU_TCP) : ON_TCP;
	request = choose_request(data[0] >> 2);
	reply.known_transaction = way == ON_TCP && data[0] & 2;
	reply.size = size - 1 < REPLY_MAX ? size - 1 : REPLY_MAX;
	memcpy(reply.bytes, data + 1, reply.size);
	pdu_match(&request, 1, data + 1, size - 1, cells);
	prepare(way);
	try_link(way, &request, &reply);
	return 0;
}
