#include <config.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "field/port.h"
#include "field/thread.h"

#define STACK_BYTES (256 * 1024) /* of which some 16 KiB are ever touched */

int
thread_init(struct thread *thread)
{
	*thread = (struct thread){ .stop = fifo_new(1, 1), .pause = fifo_new(1, 1), .ended = fifo_new(1, 1) };
	return thread->stop && thread->pause && thread->ended ? 0 : -errno;
}

void
thread_done(struct thread *thread)
{
	fifo_free(thread->stop);
	fifo_free(thread->pause);
	fifo_free(thread->ended);
	thread->stop = thread->pause = thread->ended = NULL;
}

static void *
run_to_end(void *arg)
{
	struct thread *thread = arg;
	void *result = thread->run(thread->arg);

	fifo_push(thread->ended, "", 1);
	return result;
}

int
thread_start(struct thread *thread, void *(*run)(void *), void *arg)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	int error = pthread_attr_init(&attributes);

	thread->ending = false;
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
thread_pause_fd(const struct thread *thread)
{
	return fifo_fd(thread->pause);
}

int
thread_stop_fd(const struct thread *thread)
{
	return fifo_fd(thread->stop);
}

int
thread_watch_both(int a, int b)
{
	struct epoll_event event = { .events = EPOLLIN };
	int both = epoll_create1(EPOLL_CLOEXEC);

	if (both >= 0 && epoll_ctl(both, EPOLL_CTL_ADD, a, &event) == 0 &&
	    epoll_ctl(both, EPOLL_CTL_ADD, b, &event) == 0)
		return both;
	if (both >= 0)
		close(both);
	return -1;
}

bool
thread_should_end(struct thread *thread)
{
	char byte;

	if (!thread->ending)
		thread->ending = fifo_pop(thread->pause, &byte, 1) + fifo_pop(thread->stop, &byte, 1) > 0;
	return thread->ending;
}
