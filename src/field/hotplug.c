#include "field/hotplug.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LINKS_MAX 8
/* A node is made for root and then given to its group: the second is what we wait for. */
#define NEWS (IN_CREATE | IN_MOVED_TO | IN_ATTRIB)

/* Cut the last name off: "/dev/ttyUSB0" becomes "/dev", "/dev" becomes "/". */
static void
cut_name(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		strcpy(path, ".");
	else
		slash[slash == path] = '\0';
}

/* Watch the directory of `path`, or the nearest above it that is there. */
static int
watch_directory(int fd, const char *path)
{
	char directory[PATH_MAX];

	snprintf(directory, sizeof(directory), "%s", path);
	do {
		cut_name(directory);
		if (inotify_add_watch(fd, directory, NEWS | IN_ONLYDIR | IN_MASK_ADD) >= 0)
			return 0;
	} while (errno == ENOENT && strlen(directory) > 1);
	return -errno;
}

/* Put where the link at `path` leads in its place. Returns whether it is one. */
static int
follow(char *path, size_t size)
{
	char target[PATH_MAX];
	char whole[2 * PATH_MAX];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	if (length <= 0)
		return 0;
	target[length] = '\0';
	if (target[0] != '/') {
		cut_name(path);
		snprintf(whole, sizeof(whole), "%s/%s", path, target);
	} else {
		snprintf(whole, sizeof(whole), "%s", target);
	}
	return snprintf(path, size, "%s", whole) < (int)size;
}

int
hotplug_watch(const char *path)
{
	char at[PATH_MAX];
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int error = fd < 0 ? -errno : 0;
	int links = 0;

	snprintf(at, sizeof(at), "%s", path);
	do
		if (error == 0)
			error = watch_directory(fd, at);
	while (error == 0 && ++links < LINKS_MAX && follow(at, sizeof(at)));
	if (error == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return error;
}
