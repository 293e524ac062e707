#include "base/wall.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOK_TRIES  5
#define LOOK_AT_ONCE_MS 5 /* readings that lie no further apart are of one moment */
#define RTC_MAX	    8

void
wall_init(struct wall *wall, int wait_s)
{
	*wall = (struct wall){ .wait_ms = (int64_t)wait_s * 1000 };
}

/* Did the kernel set the wall clock from this hardware clock at boot? */
static bool
set_at_boot(int rtc)
{
	char path[64], answer = '0';
	int fd;

	snprintf(path, sizeof(path), "/sys/class/rtc/rtc%d/hctosys", rtc);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &answer, 1) != 1)
		answer = '0';
	close(fd);
	return answer == '1';
}

static bool
is_kept(void)
{
	struct timex timex = { .modes = 0 };
	int state = adjtimex(&timex);

	if (state >= 0 && state != TIME_ERROR && !(timex.status & STA_UNSYNC))
		return true;
	for (int rtc = 0; rtc < RTC_MAX; rtc++)
		if (set_at_boot(rtc))
			return true;
	return false;
}

/* A thread may be put aside between one reading and the next: such readings do not belong together. */
struct wall_sight
wall_look(bool kept)
{
	struct wall_sight sight = { .kept = kept && is_kept() };

	for (int i = 0; i < LOOK_TRIES; i++) {
		sight.mono_ms = clock_mono_ms();
		sight.boot_ms = clock_boot_ms();
		sight.unix_ms = clock_unix_ms();
		if (clock_mono_ms() - sight.mono_ms <= LOOK_AT_ONCE_MS)
			break;
	}
	return sight;
}

static void
believe(struct wall *wall, const struct wall_sight *sight)
{
	wall->set = true;
	wall->set_mono_ms = sight->mono_ms;
}

enum wall_event
wall_see(struct wall *wall, const struct wall_sight *sight)
{
	int64_t boot_unix_ms = sight->unix_ms - sight->boot_ms;
	int64_t moved_ms = wall->seen ? boot_unix_ms - wall->boot_unix_ms : 0;
	bool stepped = wall->impossible || moved_ms >= WALL_STEP_MS || moved_ms <= -WALL_STEP_MS;
	bool was_set = wall->set;

	wall->seen = true;
	wall->impossible = sight->unix_ms < WALL_FLOOR_UNIX_MS;
	wall->slept_ms = sight->boot_ms - sight->mono_ms;
	if (wall->impossible) {
		wall->set = false;
		return was_set ? WALL_LOST : WALL_SAME;
	}
	wall->boot_unix_ms = boot_unix_ms;
	if (was_set) {
		wall->stepped_ms = stepped ? moved_ms : wall->stepped_ms;
		return stepped ? WALL_STEPPED : WALL_SAME;
	}
	if (!stepped && !sight->kept && sight->boot_ms < wall->wait_ms)
		return WALL_SAME;
	believe(wall, sight);
	return stepped || sight->kept || wall->wait_ms == 0 ? WALL_SET : WALL_TAKEN;
}

bool
wall_time(const struct wall *wall, int64_t mono_ms, int64_t unix_ms, int64_t *ret_ms)
{
	int64_t boot_ms = mono_ms + wall->slept_ms;

	if (!wall->set) {
		*ret_ms = boot_ms;
		return false;
	}
	/* Read while the clock was wrong, which it no longer is. */
	if (mono_ms < wall->set_mono_ms || unix_ms < WALL_FLOOR_UNIX_MS)
		unix_ms = wall->boot_unix_ms + boot_ms;
	*ret_ms = unix_ms;
	return true;
}
