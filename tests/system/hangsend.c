/* A call that does not come back, for one process: preloaded, it makes whoever sends to a TCP port in $HANG_PORT hang in the
 * middle of it while the file $HANG_FILE is there.
 */
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void
hang(int fd)
{
	const char *port = getenv("HANG_PORT");
	const char *file = getenv("HANG_FILE");
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer);

	if (!port || !file || getpeername(fd, (struct sockaddr *)&peer, &length) < 0 || peer.sin_family != AF_INET ||
	    ntohs(peer.sin_port) != atoi(port) || access(file, F_OK) < 0)
		return;
	while (access(file, F_OK) == 0)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
}

__attribute__((visibility("default"))) ssize_t
send(int fd, const void *bytes, size_t length, int flags)
{
	hang(fd);
	return ((ssize_t (*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send"))(fd, bytes, length, flags);
}

__attribute__((visibility("default"))) ssize_t
write(int fd, const void *bytes, size_t length)
{
	hang(fd);
	return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, bytes, length);
}
