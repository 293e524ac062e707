/* Another wall clock for one process: preloaded, it moves what CLOCK_REALTIME and CLOCK_BOOTTIME show, by what stands in the
 * file $CLOCKSHIFT, which the test changes while the process runs. NTP's state is there too, and no hardware clock is found.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

/* 64-bit little things in the order of the file. */
struct shift {
	volatile int64_t wall_ms;
	volatile int64_t boot_ms;
	volatile int64_t synchronised;
};

static const struct shift none;
static const struct shift *shift = &none;

PUBLIC int clock_gettime(clockid_t id, struct timespec *now);
PUBLIC int gettimeofday(struct timeval *restrict now, void *restrict zone);
PUBLIC time_t time(time_t *ret);
PUBLIC int adjtimex(struct timex *timex);
PUBLIC int open(const char *path, int flags, ...);
PUBLIC int open64(const char *path, int flags, ...);

static int
open_really(const char *path, int flags, int mode)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

__attribute__((constructor)) static void
find_file(void)
{
	const char *path = getenv("CLOCKSHIFT");
	int fd = path ? open_really(path, O_RDONLY | O_CLOEXEC, 0) : -1;
	void *memory = fd >= 0 ? mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (memory == MAP_FAILED)
		_exit(99);
	close(fd);
	shift = memory;
}

static void
move(struct timespec *time, int64_t ms)
{
	int64_t ns = time->tv_nsec + ms % 1000 * 1000000;

	time->tv_sec += ms / 1000 + (ns >= 1000000000) - (ns < 0);
	time->tv_nsec = ns + (ns < 0 ? 1000000000 : ns >= 1000000000 ? -1000000000 : 0);
}

int
clock_gettime(clockid_t id, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, id, now);

	if (result == 0 && id == CLOCK_REALTIME)
		move(now, shift->wall_ms);
	if (result == 0 && id == CLOCK_BOOTTIME)
		move(now, shift->boot_ms);
	return result;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &precise);
	*now = (struct timeval){ .tv_sec = precise.tv_sec, .tv_usec = precise.tv_nsec / 1000 };
	return 0;
}

time_t
time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}

int
adjtimex(struct timex *timex)
{
	memset(timex, 0, sizeof(*timex));
	timex->status = shift->synchronised ? 0 : STA_UNSYNC;
	return shift->synchronised ? TIME_OK : TIME_ERROR;
}

static int
open_unless_clock(const char *path, int flags, int mode)
{
	if (strncmp(path, "/sys/class/rtc/", strlen("/sys/class/rtc/")) == 0) {
		errno = ENOENT;
		return -1;
	}
	return open_really(path, flags, mode);
}

#define OPEN(name)                                                                                           \
	int name(const char *path, int flags, ...)                                                           \
	{                                                                                                    \
		va_list args;                                                                                \
		int mode;                                                                                    \
                                                                                                             \
		va_start(args, flags);                                                                       \
		mode = flags & O_CREAT ? va_arg(args, int) : 0;                                              \
		va_end(args);                                                                                \
		return open_unless_clock(path, flags, mode);                                                 \
	}

OPEN(open)
OPEN(open64)
