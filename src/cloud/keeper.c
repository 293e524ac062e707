#include <config.h>

#include "cloud/keeper.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fifo.h"
#include "base/hash.h"
#include "base/thread_name.h"

#define JOBS_MAX    16
#define FILE_MAX    65536
#define STACK_BYTES (64 * 1024)
#define NAME_SHOWN  32

struct job {
	char *path, *temporary, *text;
	void (*done)(void *ctx, int error);
	void *ctx;
	int error;
};

struct keeper {
	char *dir;
	struct fifo *asked; /* of struct job *; NULL ends the thread */
	struct fifo *answers;
	sd_event_source *io;
	pthread_t thread;
	bool running;
	struct job *jobs[JOBS_MAX]; /* that are not answered */
	size_t waiting;
};

/* ---- the thread ---- */

static int
write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, text, length);

		if (written < 0 && errno != EINTR)
			return -errno;
		text += written > 0 ? written : 0;
		length -= written > 0 ? (size_t)written : 0;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* The new name is on the disk when its folder is. */
static int
sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = strndup(path, (size_t)(slash - path) + 1);
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int error = fd < 0 ? -errno : fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	free(folder);
	return error;
}

static int
write_file(const struct job *job)
{
	int fd = open(job->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error;

	if (fd < 0)
		return -errno;
	error = fchmod(fd, 0600) < 0 ? -errno : write_all(fd, job->text, strlen(job->text));
	if (close(fd) < 0 && error == 0)
		error = -errno;
	if (error == 0 && rename(job->temporary, job->path) < 0)
		error = -errno;
	if (error < 0)
		unlink(job->temporary);
	return error < 0 ? error : sync_folder(job->path);
}

static void *
keeper_run(void *arg)
{
	struct keeper *keeper = arg;
	struct pollfd wait = { .fd = fifo_fd(keeper->asked), .events = POLLIN };
	struct job *job;

	thread_name("small files");
	for (;;) {
		poll(&wait, 1, -1);
		if (fifo_pop(keeper->asked, &job, 1) == 0)
			continue;
		if (!job)
			return NULL;
		job->error = write_file(job);
		fifo_push(keeper->answers, &job, 1);
	}
}

/* ---- its owner ---- */

static void
job_free(struct job *job)
{
	if (job && job->text)
		explicit_bzero(job->text, strlen(job->text));
	if (job) {
		free(job->text);
		free(job->temporary);
		free(job->path);
	}
	free(job);
}

static void
remove_job(struct keeper *keeper, const struct job *job)
{
	size_t i = 0;

	while (keeper->jobs[i] != job)
		i++;
	keeper->jobs[i] = keeper->jobs[--keeper->waiting];
}

void
keeper_forget(struct keeper *keeper, const void *begin, const void *end)
{
	for (size_t i = 0; i < keeper->waiting; i++)
		if ((uintptr_t)keeper->jobs[i]->ctx >= (uintptr_t)begin && (uintptr_t)keeper->jobs[i]->ctx < (uintptr_t)end)
			keeper->jobs[i]->done = NULL;
}

static int
on_answers(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct keeper *keeper = userdata;
	struct job *job;

	(void)source, (void)fd, (void)events;
	while (fifo_pop(keeper->answers, &job, 1) == 1) {
		remove_job(keeper, job);
		if (job->done)
			job->done(job->ctx, job->error);
		job_free(job);
	}
	return 0;
}

struct keeper *
keeper_new(sd_event *loop, const char *dir)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int error;

	if (!keeper)
		return NULL;
	keeper->dir = dir ? strdup(dir) : NULL;
	keeper->asked = fifo_new(sizeof(struct job *), JOBS_MAX + 1);
	keeper->answers = fifo_new(sizeof(struct job *), JOBS_MAX);
	error = keeper->asked && keeper->answers
		    ? sd_event_add_io(loop, &keeper->io, fifo_fd(keeper->answers), EPOLLIN, on_answers, keeper)
		    : -errno;
	if (error < 0) {
		keeper_free(keeper);
		errno = -error;
		return NULL;
	}
	return keeper;
}

void
keeper_free(struct keeper *keeper)
{
	struct job *job = NULL;

	if (!keeper)
		return;
	if (keeper->running) {
		fifo_push(keeper->asked, &job, 1);
		pthread_join(keeper->thread, NULL);
	}
	sd_event_source_disable_unref(keeper->io);
	while (keeper->answers && fifo_pop(keeper->answers, &job, 1) == 1)
		job_free(job);
	fifo_free(keeper->asked);
	fifo_free(keeper->answers);
	free(keeper->dir);
	free(keeper);
}

char *
keeper_path(const struct keeper *keeper, const char *kind, const char *name)
{
	char plain[NAME_SHOWN + 1], *path;
	size_t i;

	if (!keeper->dir)
		return NULL;
	for (i = 0; i < NAME_SHOWN && name[i] != '\0'; i++)
		plain[i] = isalnum((unsigned char)name[i]) ? name[i] : '_';
	plain[i] = '\0';
	return asprintf(&path, "%s/%s-%s-%08" PRIx32, keeper->dir, kind, plain, (uint32_t)hash_bytes(name, strlen(name))) < 0 ? NULL : path;
}

int
keeper_probe(const struct keeper *keeper)
{
	struct stat status;

	if (!keeper->dir)
		return -ENOENT;
	if (mkdir(keeper->dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (stat(keeper->dir, &status) < 0)
		return -errno;
	if (!S_ISDIR(status.st_mode))
		return -ENOTDIR;
	return access(keeper->dir, W_OK | X_OK) < 0 ? -errno : 0;
}

/* Returns how much there is, up to one more than may be, or negative errno. */
static ssize_t
read_some(const char *path, char *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = read(fd, text, FILE_MAX + 1);
	if (got < 0)
		got = -errno;
	close(fd);
	return got;
}

char *
keeper_read(const char *path)
{
	char *text = malloc(FILE_MAX + 2);
	ssize_t got = text ? read_some(path, text) : -ENOMEM;

	if (got > FILE_MAX || (got > 0 && memchr(text, '\0', (size_t)got)))
		got = -EBADMSG;
	if (got < 0) {
		free(text);
		errno = (int)-got;
		return NULL;
	}
	text[got] = '\0';
	return text;
}

static int
start_thread(struct keeper *keeper)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int error;

	if (keeper->running)
		return 0;
	error = pthread_attr_init(&attributes);
	if (error != 0)
		return -error;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&keeper->thread, &attributes, keeper_run, keeper);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	keeper->running = error == 0;
	return -error;
}

int
keeper_write(struct keeper *keeper, const char *path, const char *text, void (*done)(void *ctx, int error), void *ctx)
{
	struct job *job;
	int error = keeper->waiting == JOBS_MAX ? -EBUSY : start_thread(keeper);

	if (error < 0)
		return error;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->path = strdup(path);
	job->text = strdup(text);
	job->done = done;
	job->ctx = ctx;
	if (asprintf(&job->temporary, "%s.new", path) < 0)
		job->temporary = NULL;
	if (!job->path || !job->text || !job->temporary || fifo_push(keeper->asked, &job, 1) != 1) {
		job_free(job);
		return -ENOMEM;
	}
	keeper->jobs[keeper->waiting++] = job;
	return 0;
}
