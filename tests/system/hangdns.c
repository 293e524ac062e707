/* A name server that never answers, for one process: preloaded, it makes the look-up of names in example.com hang. Others are
 * looked up as usual.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef int look_up(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
    struct addrinfo **restrict ret);

__attribute__((visibility("default"))) int
getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
    struct addrinfo **restrict ret)
{
	static const char note[] = "hangdns: asked\n";
	look_up *next = (look_up *)dlsym(RTLD_NEXT, "getaddrinfo");

	if (!node || !strstr(node, "example.com") || (hints && hints->ai_flags & AI_NUMERICHOST))
		return next(node, service, hints, ret);
	if (write(STDERR_FILENO, note, sizeof(note) - 1) < 0)
		_exit(99);
	for (;;)
		pause();
}
