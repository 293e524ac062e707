/* Another disk for one process: preloaded, it lets writes below the folder $DISKFAULT_DIR fail with the errno that stands as a
 * 32-bit number in the file $DISKFAULT, which the test changes while the process runs; 0 = the disk is well. A full disk can
 * still be read, synced and cut short; one that fails with EIO or EROFS cannot be synced either.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static const volatile int32_t well;
static const volatile int32_t *fault = &well;
static char folder[PATH_MAX];

PUBLIC ssize_t write(int fd, const void *bytes, size_t count);
PUBLIC ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset);
PUBLIC ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset);
PUBLIC int fsync(int fd);
PUBLIC int fdatasync(int fd);
PUBLIC int posix_fallocate(int fd, off_t offset, off_t length);
PUBLIC int fallocate(int fd, int mode, off_t offset, off_t length);

__attribute__((constructor)) static void
find_file(void)
{
	const char *path = getenv("DISKFAULT");
	const char *dir = getenv("DISKFAULT_DIR");
	int fd = path && dir ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *memory = fd >= 0 ? mmap(NULL, sizeof(*fault), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (memory == MAP_FAILED || !realpath(dir, folder))
		_exit(99);
	close(fd);
	fault = memory;
}

/* The errno for a change of this file, or 0. */
static int
fault_of(int fd)
{
	char link[64], path[PATH_MAX];
	size_t prefix = strlen(folder);
	ssize_t length;

	if (*fault == 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length <= (ssize_t)prefix || strncmp(path, folder, prefix) != 0 || path[prefix] != '/')
		return 0;
	return *fault;
}

static bool
fails(int fd, bool syncing)
{
	int error = fault_of(fd);

	if (error == 0 || (syncing && error == ENOSPC))
		return false;
	errno = error;
	return true;
}

ssize_t
write(int fd, const void *bytes, size_t count)
{
	return fails(fd, false) ? -1 : syscall(SYS_write, fd, bytes, count);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
	return fails(fd, false) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, offset);
}

ssize_t
pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
	return pwrite64(fd, bytes, count, offset);
}

int
fsync(int fd)
{
	return fails(fd, true) ? -1 : (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	return fails(fd, true) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int
fallocate(int fd, int mode, off_t offset, off_t length)
{
	return fails(fd, false) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int
posix_fallocate(int fd, off_t offset, off_t length)
{
	return fallocate(fd, 0, offset, length) == 0 ? 0 : errno;
}
