#include "field/reopen.h"

#include <stdio.h>

#include "base/log.h"
#include "field/line.h"

#define SERIAL_MS 1000
/* A port that is not there is tried when something appears where it should be, once it had the time to get its links and
 * rights; and now and then all the same. */
#define WATCHED_MS 30000
#define NEWS_US	   50000
#define TCP_MIN_MS 250
#define TCP_MAX_MS 5000

void
reopen_init(struct reopen *reopen, const struct bus *bus, int64_t now_us)
{
	*reopen = (struct reopen){ .bus = bus, .at_us = now_us };
}

static int
next_pause_ms(const struct reopen *reopen, bool watched)
{
	int doubled_ms = reopen->pause_ms ? reopen->pause_ms * 2 : TCP_MIN_MS;

	if (line_is_serial(reopen->bus))
		return watched ? WATCHED_MS : SERIAL_MS;
	return doubled_ms < TCP_MAX_MS ? doubled_ms : TCP_MAX_MS;
}

/* A port that was not there and now is refused is worth another line; not so what it says for a moment while it gets its rights, nor
 * the ways in which a network fails. */
static bool
is_other(const struct reopen *reopen)
{
	return line_is_serial(reopen->bus) && reopen->error != reopen->told_error && reopen->error == reopen->error_before;
}

static void
tell(struct reopen *reopen, bool watched, const char *what)
{
	const char *bus = reopen->bus->name;

	if (reopen->told && !is_other(reopen))
		return;
	reopen->told = true;
	reopen->told_error = reopen->error;
	if (watched)
		log_warning("bus %s: %s, trying again when it appears", bus, what);
	else if (line_is_serial(reopen->bus))
		log_warning("bus %s: %s, trying again every %d s", bus, what, SERIAL_MS / 1000);
	else
		log_warning("bus %s: %s, trying again every 0.25..%d s", bus, what, TCP_MAX_MS / 1000);
}

void
reopen_failed(struct reopen *reopen, int error, bool watched, const char *what, int64_t now_us)
{
	reopen->error_before = reopen->error;
	reopen->error = -error;
	reopen->pause_ms = next_pause_ms(reopen, watched);
	reopen->at_us = now_us + (int64_t)reopen->pause_ms * 1000;
	snprintf(reopen->why, sizeof(reopen->why), "%s", what);
	tell(reopen, watched, what);
}

void
reopen_lost(struct reopen *reopen, int64_t opened_us, int64_t now_us)
{
	int64_t next_us = opened_us + (int64_t)TCP_MIN_MS * 1000;

	reopen->at_us = now_us > next_us ? now_us : next_us;
}

void
reopen_soon(struct reopen *reopen, int64_t now_us)
{
	reopen->at_us = now_us + NEWS_US;
}

void
reopen_well(struct reopen *reopen)
{
	if (reopen->told)
		log_notice("bus %s: open again", reopen->bus->name);
	reopen->told = false;
	reopen->error = 0;
	reopen->pause_ms = 0;
}
