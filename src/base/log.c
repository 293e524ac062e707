#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Longer lines are cut: what a wire or a broker said may be quoted in them. Less than PIPE_BUF, so that a
 * pipe takes a line whole or not at all. */
#define LINE_MAX_BYTES 1024

static atomic_int max_level = LOG_LEVEL_INFO;
static atomic_bool on_terminal;
static atomic_int output = STDERR_FILENO;
static atomic_ullong lost; /* lines that nobody took, not told yet */

static const struct {
	const char *name;
	enum log_level level;
} levels[] = {
	{ .name = "error", .level = LOG_LEVEL_ERROR },
	{ .name = "warning", .level = LOG_LEVEL_WARNING },
	{ .name = "notice", .level = LOG_LEVEL_NOTICE },
	{ .name = "info", .level = LOG_LEVEL_INFO },
	{ .name = "debug", .level = LOG_LEVEL_DEBUG },
};

/* Standard error may be shared with others, who must not find it non-blocking all of a sudden: open it again,
 * for us alone. A file never blocks and has to keep its common offset; a socket is asked at each send(). */
static int
open_unblocking(void)
{
	struct stat status;
	int fd = -1;

	if (fstat(STDERR_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)))
		fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd >= 0 ? fd : STDERR_FILENO;
}

void
log_init(enum log_level up_to, bool terminal)
{
	atomic_store(&max_level, (int)up_to);
	atomic_store(&on_terminal, terminal);
}

void
log_never_wait(void)
{
	int before = atomic_exchange(&output, open_unblocking());

	if (before != STDERR_FILENO)
		close(before);
}

int
log_level_find(const char *name)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(levels[i].name, name) == 0)
			return (int)levels[i].level;
	return -1;
}

const char *
log_level_name(enum log_level level)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (levels[i].level == level)
			return levels[i].name;
	return "";
}

void
log_set_level(enum log_level up_to)
{
	atomic_store(&max_level, (int)up_to);
}

enum log_level
log_get_level(void)
{
	return (enum log_level)atomic_load(&max_level);
}

bool
log_enabled(enum log_level level)
{
	return (int)level <= atomic_load(&max_level);
}

static size_t
write_head(char *line, size_t size, enum log_level level)
{
	struct timespec now;
	struct tm tm;
	char clock[32];
	int used;

	if (!atomic_load(&on_terminal)) {
		used = snprintf(line, size, "<%d>", (int)level);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		localtime_r(&now.tv_sec, &tm);
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
		used = snprintf(line, size, "%s.%03ld %s", clock, now.tv_nsec / 1000000,
		    level <= LOG_LEVEL_ERROR	 ? "error: "
		    : level == LOG_LEVEL_WARNING ? "warning: "
						 : "");
	}
	return (size_t)used;
}

/* A line stays one line whatever is quoted in it. */
static void
blank_controls(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = ' ';
}

/* Returns the length of a whole line in `line` of LINE_MAX_BYTES. */
static size_t __attribute__((format(printf, 3, 0)))
format_line(char *line, enum log_level level, const char *format, va_list args)
{
	int saved_errno = errno; /* for %m */
	size_t head = write_head(line, LINE_MAX_BYTES, level);
	size_t used;
	int length;

	errno = saved_errno;
	length = vsnprintf(line + head, LINE_MAX_BYTES - head - 1, format, args);
	used = head + (length < 0 ? 0 : (size_t)length);
	if (used > LINE_MAX_BYTES - 2)
		used = LINE_MAX_BYTES - 2;
	blank_controls(line + head, used - head);
	line[used++] = '\n';
	return used;
}

/* Returns false if nobody takes the line now. */
static bool
put_line(const char *line, size_t length)
{
	int fd = atomic_load(&output);
	ssize_t put;

	do {
		put = send(fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (put < 0 && errno == ENOTSOCK)
			put = write(fd, line, length);
	} while (put < 0 && errno == EINTR);
	return put >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

static size_t __attribute__((format(printf, 3, 4)))
print_line(char *line, enum log_level level, const char *format, ...)
{
	va_list args;
	size_t length;

	va_start(args, format);
	length = format_line(line, level, format, args);
	va_end(args);
	return length;
}

/* Before the first line that gets through again. */
static void
put_lost(void)
{
	unsigned long long count = atomic_exchange(&lost, 0);
	char line[LINE_MAX_BYTES];
	size_t length;

	if (count == 0)
		return;
	length = print_line(line, LOG_LEVEL_WARNING, "log: %llu lines were lost, nobody read them", count);
	if (!put_line(line, length))
		atomic_fetch_add(&lost, count);
}

void
log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	int saved_errno = errno;
	va_list args;
	size_t length;

	if (!log_enabled(level))
		return;
	va_start(args, format);
	length = format_line(line, level, format, args);
	va_end(args);
	put_lost();
	if (!put_line(line, length))
		atomic_fetch_add(&lost, 1);
	errno = saved_errno;
}
