/* The thread of a bus, and what ends it. Whoever owns the bus starts it, tells it to stop and waits for it; the thread itself
 * watches thread_stop_fd() in all its waits, and its bell in those in which it has nothing under way.
 */
#ifndef FIELD_THREAD_H
#define FIELD_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fifo.h"

struct thread {
	pthread_t id;
	bool running; /* it is to be joined */
	bool ending;  /* the thread knows that it is to end */
	struct fifo *stop;
	int bell_fd;	    /* of the queues that it looks at between two exchanges */
	struct fifo *pause; /* one of them */
	struct fifo *ended; /* it has nothing more to do */
	const char *bus;
	void *(*run)(void *);
	void *arg;
};

/* Returns 0 or negative errno; thread_done() is to follow in either case. */
int thread_init(struct thread *thread);
void thread_done(struct thread *thread);

/* Run `run(arg)`, without signals and with a small stack, under the name of its bus, which lives as long. Returns 0 or negative
 * errno. */
int thread_start(struct thread *thread, const char *bus, void *(*run)(void *), void *arg);

/* To end at once, or when it does nothing that could not go on later. To end several, tell all first. */
void thread_tell_stop(struct thread *thread);
void thread_tell_pause(struct thread *thread);

/* Wait until it has ended, or until `until_us` (CLOCK_NEVER: as long as it takes). Returns whether it has. It may be started
 * again. */
bool thread_await(struct thread *thread, int64_t until_us);

/* Neither runs: what ends the waits of one is what ended those of the other. */
void thread_exchange(struct thread *a, struct thread *b);

/* Readable when it is to end, until it has asked: afterwards its waits no longer end for that. */
int thread_stop_fd(const struct thread *thread);
bool thread_should_end(struct thread *thread);

/* Something is in one of its queues, or it is to pause. What rings the bell is made with fifo_new_ringing() and freed before
 * thread_done(). Whoever was woken by it stills it, and looks at all. */
int thread_bell_fd(const struct thread *thread);
void thread_still_bell(const struct thread *thread);

#endif
