/* The thread of a bus, and what ends it. Whoever owns the bus starts it, tells it to stop and waits for it; the thread itself
 * watches thread_stop_fd() in all its waits.
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
	struct fifo *pause;
	struct fifo *ended; /* it has nothing more to do */
	void *(*run)(void *);
	void *arg;
};

/* Returns 0 or negative errno. */
int thread_init(struct thread *thread);
void thread_done(struct thread *thread);

/* Run `run(arg)`, without signals and with a small stack. Returns 0 or negative errno. */
int thread_start(struct thread *thread, void *(*run)(void *), void *arg);

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
int thread_pause_fd(const struct thread *thread);
/* A new descriptor of the caller's that is readable when one of the two is; -1 with errno set. */
int thread_watch_both(int a, int b);
bool thread_should_end(struct thread *thread);

#endif
