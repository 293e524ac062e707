/* Replies on their way out of one descriptor: each at its time, byte by byte where the line has a pace.
 *
 * A socket has no pace (baud 0): what is due leaves at once. On a line a byte takes its bits' time, and is
 * handed over when its last bit has passed, in groups of no more than a millisecond, as a UART with a FIFO
 * does it. The owner provides the callbacks; `finished` may destroy the sender's owner and then returns
 * false.
 */
#ifndef SIM_SENDER_H
#define SIM_SENDER_H

#include <sys/types.h>

#include "sim/fault.h"
#include "sim/loop.h"

struct reply;

struct sender {
	struct loop *loop;
	struct timer timer;
	struct reply *head; /* by the time they are due; those that are due together in the order they came */
	size_t waiting;
	unsigned baud; /* 0 = no pace */
	unsigned bits; /* a byte on the wire */
	size_t sent;   /* of head */
	bool started;  /* head has begun to leave */
	bool blocked;  /* the descriptor takes no more: sender_resume() */
	int64_t start_us;
	/* From when the line is free for us; NULL = always. */
	int64_t (*clear)(void *ctx);
	/* Returns bytes taken, or -EAGAIN. Bytes that nobody will ever read count as taken. */
	ssize_t (*send)(void *ctx, const uint8_t *bytes, size_t length);
	/* All of an answer is handed over, the last of it not before at_us. */
	void (*left)(void *ctx, uint64_t number, int64_t at_us);
	bool (*finished)(void *ctx, enum ending ending);
	void *ctx;
};

void sender_init(struct sender *sender, struct loop *loop);
/* Forget everything that is waiting. */
void sender_done(struct sender *sender);

/* Microseconds that `bytes` take on the wire. */
int64_t sender_wire_us(const struct sender *sender, size_t bytes);

/* Send answer->bytes from due_us on. `overlay` bytes do not wait for a free line (an echo is on it by
 * nature). Never calls `finished` itself. Without memory the reply is lost, as on a bad line. */
void sender_push(struct sender *sender, const struct answer *answer, int64_t due_us, bool overlay);
/* The descriptor takes bytes again. Returns false if the owner is gone (see `finished`). */
bool sender_resume(struct sender *sender);

/* Whether a reply (not an echo) is on the line right now; and spoil the rest of it, for two who talk at once.
 */
bool sender_is_talking(const struct sender *sender);
void sender_garble(struct sender *sender);

#endif
