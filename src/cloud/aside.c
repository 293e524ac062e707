#include <config.h>

#include "cloud/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloud/tb_json.h"

#define NAME_MAX_BYTES 2048 /* a device's name as JSON */

static int
make_line(const struct aside *aside, char **ret, size_t *ret_length)
{
	char device[NAME_MAX_BYTES], why[NAME_MAX_BYTES];
	int device_length = tb_json_string(aside->device, device, sizeof(device));
	int why_length = tb_json_string(aside->why, why, sizeof(why));
	int length;

	length = asprintf(ret,
	    "{\"device\":%.*s,\"ts\":%" PRId64 ",\"values\":{%.*s},\"why\":%.*s,\"set_aside_ts\":%" PRId64 "}\n",
	    device_length > 0 ? device_length : 4, device_length > 0 ? device : "null", aside->ts_unix_ms,
	    (int)aside->length, aside->members, why_length > 0 ? why_length : 4, why_length > 0 ? why : "null",
	    aside->now_unix_ms);
	if (length < 0)
		return -ENOMEM;
	*ret_length = (size_t)length;
	return 0;
}

/* Room for one more line: a full file becomes the old one. */
static int
open_file(const char *dir, size_t length)
{
	char path[PATH_MAX], old[PATH_MAX];
	struct stat status;
	int fd;

	if (snprintf(path, sizeof(path), "%s/" ASIDE_FILE, dir) >= (int)sizeof(path) ||
	    snprintf(old, sizeof(old), "%s/" ASIDE_FILE ".old", dir) >= (int)sizeof(old))
		return -ENAMETOOLONG;
	if (stat(path, &status) == 0 && status.st_size > 0 && (size_t)status.st_size + length > ASIDE_MAX)
		rename(path, old);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd >= 0 ? fd : -errno;
}

int
aside_write(const struct aside *aside)
{
	char *line = NULL;
	size_t length = 0;
	int fd, error;

	if (!aside->dir)
		return 0;
	error = make_line(aside, &line, &length);
	if (error < 0)
		return error;
	fd = open_file(aside->dir, length);
	if (fd < 0) {
		free(line);
		return fd;
	}
	errno = 0;
	if (write(fd, line, length) != (ssize_t)length)
		error = errno ? -errno : -ENOSPC;
	close(fd);
	free(line);
	return error;
}
