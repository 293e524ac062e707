#include "field/thread.h"

#include <errno.h>
#include <signal.h>

#define STACK_BYTES (256 * 1024) /* of which some 16 KiB are ever touched */

int
thread_init(struct thread *thread)
{
	*thread = (struct thread){ .stop = fifo_new(1, 1) };
	return thread->stop ? 0 : -errno;
}

void
thread_done(struct thread *thread)
{
	fifo_free(thread->stop);
	thread->stop = NULL;
}

int
thread_start(struct thread *thread, void *(*run)(void *), void *arg)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	int error = pthread_attr_init(&attributes);

	thread->ending = false;
	if (error != 0)
		return -error;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	/* Signals are main's business; SIGPIPE from a socket under a library is found as EPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread->id, &attributes, run, arg);
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

bool
thread_join(struct thread *thread)
{
	if (!thread->running)
		return false;
	pthread_join(thread->id, NULL);
	thread->running = false;
	return true;
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
		thread->ending = fifo_pop(thread->stop, &byte, 1) > 0;
	return thread->ending;
}
