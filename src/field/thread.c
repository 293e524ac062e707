#include <config.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread_name.h"
#include "field/port.h"
#include "field/thread.h"

#define NAME_BYTES 16 /* what the kernel keeps of a thread's name */
#define STACK_BYTES (256 * 1024) /* of which some 16 KiB are ever touched */

int
thread_init(struct thread *thread)
{
	*thread = (struct thread){ .bell_fd = fifo_bell_open() };
	if (thread->bell_fd < 0)
		return -errno;
	thread->pause = fifo_new_ringing(1, 1, thread->bell_fd);
	thread->stop = thread->pause ? fifo_new(1, 1) : NULL;
	thread->ended = thread->stop ? fifo_new(1, 1) : NULL;
	return thread->ended ? 0 : -errno;
}

void
thread_done(struct thread *thread)
{
	fifo_free(thread->stop);
	fifo_free(thread->pause);
	fifo_free(thread->ended);
	if (thread->bell_fd >= 0)
		close(thread->bell_fd);
	thread->bell_fd = -1;
	thread->stop = thread->pause = thread->ended = NULL;
}

static void *
run_to_end(void *arg)
{
	struct thread *thread = arg;
	char name[NAME_BYTES];
	void *result;

	snprintf(name, sizeof(name), "bus %.*s", NAME_BYTES - 5, thread->bus);
	thread_name(name);
	result = thread->run(thread->arg);
	fifo_push(thread->ended, "", 1);
	return result;
}

int
thread_start(struct thread *thread, const char *bus, void *(*run)(void *), void *arg)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	int error = pthread_attr_init(&attributes);

	thread->ending = false;
	thread->bus = bus;
	thread->run = run;
	thread->arg = arg;
	if (error != 0)
		return -error;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	/* Signals are main's business; SIGPIPE from a socket under a library is found as EPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread->id, &attributes, run_to_end, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	thread->running = error == 0;
	return -error;
}

void
thread_tell_stop(struct thread *thread)
{
	if (thread->running)
		fifo_push(thread->stop, "", 1);
}

void
thread_tell_pause(struct thread *thread)
{
	if (thread->running)
		fifo_push(thread->pause, "", 1);
}

bool
thread_await(struct thread *thread, int64_t until_us)
{
	char byte;

	if (!thread->running)
		return true;
	if (until_us != CLOCK_NEVER && port_wait(fifo_fd(thread->ended), POLLIN, -1, -1, until_us) <= 0)
		return false;
	pthread_join(thread->id, NULL);
	thread->running = false;
	while (fifo_pop(thread->pause, &byte, 1) + fifo_pop(thread->stop, &byte, 1) +
		   fifo_pop(thread->ended, &byte, 1) >
	    0)
		;
	return true;
}

void
thread_exchange(struct thread *a, struct thread *b)
{
	struct fifo *stop = a->stop;

	a->stop = b->stop;
	b->stop = stop;
}

int
thread_bell_fd(const struct thread *thread)
{
	return thread->bell_fd;
}

void
thread_still_bell(const struct thread *thread)
{
	fifo_bell_still(thread->bell_fd);
}

int
thread_stop_fd(const struct thread *thread)
{
	return fifo_fd(thread->stop);
}

bool
thread_should_end(struct thread *thread)
{
	char byte;

	if (!thread->ending)
		thread->ending = fifo_pop(thread->pause, &byte, 1) + fifo_pop(thread->stop, &byte, 1) > 0;
	return thread->ending;
}
