#include "cli/deadline.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread_name.h"

static struct timespec until;
static int exit_status;

static void *
wait_for_end(void *arg)
{
	thread_name("deadline");
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
	log_warning("stopping: something does not end, such as a disk that does not answer: it is left as it is");
	_exit(exit_status);
	return arg;
}

void
deadline_start(int64_t until_mono_ms, int status)
{
	sigset_t all, before;
	pthread_t thread;

	until = (struct timespec){ .tv_sec = until_mono_ms / 1000, .tv_nsec = until_mono_ms % 1000 * 1000000 };
	exit_status = status;
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, wait_for_end, NULL) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}
