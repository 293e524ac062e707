#include "flow/spooler.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/fifo.h"
#include "base/thread_name.h"

struct spooler {
	struct spool *spool;
	struct fifo *asked; /* of struct spooler_job *; NULL ends the thread */
	struct fifo *done;
	pthread_t thread;
};

static void
do_open(struct spool *spool, struct spooler_job *job)
{
	struct spool_inventory inventory;

	spool_close(spool);
	job->error = spool_open(spool, job->ranges, &inventory);
	job->used_bytes = inventory.used_bytes;
	job->next_id = inventory.next_id;
	job->unknown_rows = inventory.unknown_rows;
}

static void
do_write(struct spool *spool, struct spooler_job *job)
{
	job->error = spool_write(spool, &job->rows, job->gone, job->gone_count, &job->used_bytes);
}

static void
do_read(struct spool *spool, struct spooler_job *job)
{
	job->error = spool_read(spool, job->ranges, job->limit, &job->rows);
}

static void
do_drop(struct spool *spool, struct spooler_job *job)
{
	job->error = spool_drop(
	    spool, job->ranges, job->newest_first, job->before_unix_ms, &job->unknown_rows, &job->used_bytes);
}

static void (*const tasks[])(struct spool *spool, struct spooler_job *job) = {
	[SPOOLER_OPEN] = do_open,
	[SPOOLER_WRITE] = do_write,
	[SPOOLER_READ] = do_read,
	[SPOOLER_DROP] = do_drop,
};

static void
wait_readable(int fd, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	while (poll(&wait, 1, timeout_ms) < 0 && errno == EINTR)
		;
}

static void *
spooler_run(void *arg)
{
	struct spooler *spooler = arg;
	struct spooler_job *job;

	thread_name("disk");
	for (;;) {
		wait_readable(fifo_fd(spooler->asked), -1);
		if (fifo_pop(spooler->asked, &job, 1) == 0)
			continue;
		if (job) {
			tasks[job->task](spooler->spool, job);
			if (job->error < 0)
				spool_close(spooler->spool);
			job->file = spool_file(spooler->spool);
			job->damaged_rows = spool_counts(spooler->spool).damaged_rows;
		} else {
			spool_close(spooler->spool);
		}
		fifo_push(spooler->done, &job, 1);
		if (!job)
			return NULL;
	}
}

static void
spooler_free(struct spooler *spooler)
{
	spool_free(spooler->spool);
	fifo_free(spooler->asked);
	fifo_free(spooler->done);
	free(spooler);
}

int
spooler_start(const struct settings *settings, struct spooler **ret)
{
	struct spooler *spooler = calloc(1, sizeof(*spooler));
	sigset_t all, before;
	int error;

	if (!spooler)
		return -ENOMEM;
	spooler->asked = fifo_new(sizeof(struct spooler_job *), 1);
	spooler->done = fifo_new(sizeof(struct spooler_job *), 1);
	error = spooler->asked && spooler->done ? spool_new(settings, &spooler->spool) : -ENOMEM;
	if (error == 0) {
		/* Signals are for the main thread. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		error = -pthread_create(&spooler->thread, NULL, spooler_run, spooler);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (error < 0) {
		spooler_free(spooler);
		return error;
	}
	*ret = spooler;
	return 0;
}

/* The thread waits for a job, and sees this with the next. */
int
spooler_rebind(struct spooler *spooler, const struct settings *settings, bool same)
{
	return spool_rebind(spooler->spool, settings, same);
}

void
spooler_ask(struct spooler *spooler, struct spooler_job *job)
{
	fifo_push(spooler->asked, &job, 1);
}

struct spooler_job *
spooler_answer(struct spooler *spooler)
{
	struct spooler_job *job;

	return fifo_pop(spooler->done, &job, 1) == 1 ? job : NULL;
}

int
spooler_fd(const struct spooler *spooler)
{
	return fifo_fd(spooler->done);
}

bool
spooler_stop(struct spooler *spooler, int timeout_ms)
{
	struct spooler_job *end = NULL;

	fifo_push(spooler->asked, &end, 1);
	wait_readable(fifo_fd(spooler->done), timeout_ms);
	if (fifo_pop(spooler->done, &end, 1) == 0)
		return false;
	pthread_join(spooler->thread, NULL);
	spooler_free(spooler);
	return true;
}
