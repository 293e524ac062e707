#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Longer lines are cut: what a wire or a broker said may be quoted in them. */
#define LINE_MAX_BYTES 1024

static atomic_int max_level = LOG_LEVEL_INFO;
static atomic_bool on_terminal;

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

void
log_init(enum log_level up_to, bool terminal)
{
	atomic_store(&max_level, (int)up_to);
	atomic_store(&on_terminal, terminal);
}

int
log_level_find(const char *name)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(levels[i].name, name) == 0)
			return (int)levels[i].level;
	return -1;
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
		    level <= LOG_LEVEL_ERROR ? "error: " : level == LOG_LEVEL_WARNING ? "warning: " : "");
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

void
log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	int saved_errno = errno;
	size_t head, used;
	ssize_t written;
	va_list args;
	int length;

	if (!log_enabled(level))
		return;
	head = write_head(line, sizeof(line), level);
	errno = saved_errno; /* for %m */
	va_start(args, format);
	length = vsnprintf(line + head, sizeof(line) - head - 1, format, args);
	va_end(args);
	used = head + (length < 0 ? 0 : (size_t)length);
	if (used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	blank_controls(line + head, used - head);
	line[used++] = '\n';
	do
		written = write(STDERR_FILENO, line, used);
	while (written < 0 && errno == EINTR);
	errno = saved_errno;
}
