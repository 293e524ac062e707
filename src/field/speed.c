#include "field/speed.h"

#include <asm/termbits.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>

static bool
is_near(speed_t taken, int baud)
{
	int64_t off = (int64_t)taken - baud;

	return (off < 0 ? -off : off) * 1000 <= (int64_t)baud * SPEED_OFF_PERMILLE;
}

int
speed_get(int fd)
{
	struct termios2 line;

	return ioctl(fd, TCGETS2, &line) != 0 ? -errno : (int)line.c_ospeed;
}

int
speed_set(int fd, int baud)
{
	struct termios2 line;

	if (baud <= 0)
		return -EINVAL;
	if (ioctl(fd, TCGETS2, &line) != 0)
		return -errno;
	line.c_cflag &= ~(tcflag_t)(CBAUD | CIBAUD);
	line.c_cflag |= BOTHER;
	line.c_ispeed = line.c_ospeed = (speed_t)baud;
	if (ioctl(fd, TCSETS2, &line) != 0 || ioctl(fd, TCGETS2, &line) != 0)
		return -errno;
	return is_near(line.c_ospeed, baud) ? 0 : -ENOTSUP;
}
