/* A disk that does not answer, for one process: preloaded, it makes whoever syncs a file below the folder $HANG_DIR stand still in
 * that call, as soon as the file $HANG_FILE is there: for as many milliseconds as the file says, or for ever if it says nothing.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long, in ms; 0 = not at all, -1 = for ever. */
static int
asked_ms(void)
{
	const char *path = getenv("HANG_FILE");
	char text[16] = "";
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t got;

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	return got > 0 ? atoi(text) : -1;
}

static void
hang(int fd)
{
	const char *folder = getenv("HANG_DIR");
	char link[64], path[PATH_MAX] = "";
	int ms;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (!folder || readlink(link, path, sizeof(path) - 1) < 0 || strncmp(path, folder, strlen(folder)) != 0)
		return;
	ms = asked_ms();
	while (ms < 0)
		pause();
	usleep((useconds_t)ms * 1000);
}

__attribute__((visibility("default"))) int
fsync(int fd)
{
	hang(fd);
	return (int)syscall(SYS_fsync, fd);
}

__attribute__((visibility("default"))) int
fdatasync(int fd)
{
	hang(fd);
	return (int)syscall(SYS_fdatasync, fd);
}
