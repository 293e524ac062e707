/* The log: lines on standard error. On a terminal they carry the time; elsewhere (journald) the "<N>" prefix of
 * sd-daemon(3) and no time. A line starts with the thing it speaks of: "bus meters unit 17: no answer".
 * One write(2) a line, so that lines of several threads never mix. Any thread. Secrets are never passed here.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

/* syslog(3) severities, which are also the prefixes that journald reads */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5, /* changes of state */
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* Until called, everything up to LOG_LEVEL_INFO is printed with prefixes. */
void log_init(enum log_level up_to, bool terminal);

/* A log that nobody reads must not stop the gateway: from now on a line that is not taken at once (a full pipe, a journal
 * that hangs, a terminal that was stopped) is lost, and the next one that gets through is preceded by how many were. To be
 * called before threads are started. */
void log_never_wait(void);

/* The level called `name` (error, warning, notice, info, debug), or -1. */
int log_level_find(const char *name);

/* The other way round. */
const char *log_level_name(enum log_level level);

/* Any thread, at any time. */
void log_set_level(enum log_level up_to);
enum log_level log_get_level(void);

bool log_enabled(enum log_level level);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) \
	do { \
		if (log_enabled(LOG_LEVEL_DEBUG)) \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
