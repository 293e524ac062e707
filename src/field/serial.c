#include "field/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libserialport.h>
#include <limits.h>
#include <linux/serial.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "field/speed.h"

#define PTY_MAJOR_FIRST 136 /* Linux, Documentation/admin-guide/devices.txt: Unix98 PTY slaves */
#define PTY_MAJOR_LAST	143
#define USB_PREFIX	"usb:"
#define USB_IDS_LENGTH	13 /* "usb:0403:6001" */
/* A port that has not sent everything this long after it should have is stuck. */
#define SEND_GRACE_US 100000
#define SEND_LOOK_US  100

static const struct {
	int baud;
	speed_t speed;
} speeds[] = {
	{ .baud = 50, .speed = B50 },
	{ .baud = 75, .speed = B75 },
	{ .baud = 110, .speed = B110 },
	{ .baud = 150, .speed = B150 },
	{ .baud = 200, .speed = B200 },
	{ .baud = 300, .speed = B300 },
	{ .baud = 600, .speed = B600 },
	{ .baud = 1200, .speed = B1200 },
	{ .baud = 1800, .speed = B1800 },
	{ .baud = 2400, .speed = B2400 },
	{ .baud = 4800, .speed = B4800 },
	{ .baud = 9600, .speed = B9600 },
	{ .baud = 19200, .speed = B19200 },
	{ .baud = 38400, .speed = B38400 },
	{ .baud = 57600, .speed = B57600 },
	{ .baud = 115200, .speed = B115200 },
	{ .baud = 230400, .speed = B230400 },
	{ .baud = 460800, .speed = B460800 },
	{ .baud = 500000, .speed = B500000 },
	{ .baud = 576000, .speed = B576000 },
	{ .baud = 921600, .speed = B921600 },
	{ .baud = 1000000, .speed = B1000000 },
	{ .baud = 1152000, .speed = B1152000 },
	{ .baud = 1500000, .speed = B1500000 },
	{ .baud = 2000000, .speed = B2000000 },
	{ .baud = 2500000, .speed = B2500000 },
	{ .baud = 3000000, .speed = B3000000 },
	{ .baud = 3500000, .speed = B3500000 },
	{ .baud = 4000000, .speed = B4000000 },
};

/* --- finding --- */

static bool
is_usb(const char *port)
{
	return strncmp(port, USB_PREFIX, strlen(USB_PREFIX)) == 0;
}

/* Is it the adapter that the name names? */
static bool
usb_matches(const struct sp_port *candidate, const char *name)
{
	const char *serial = name[USB_IDS_LENGTH] == ':' ? name + USB_IDS_LENGTH + 1 : NULL;
	const char *has = NULL;
	char ids[USB_IDS_LENGTH + 1];
	int vendor;
	int product;

	if (sp_get_port_usb_vid_pid(candidate, &vendor, &product) != SP_OK)
		return false;
	snprintf(
	    ids, sizeof(ids), USB_PREFIX "%04x:%04x", (unsigned)vendor & 0xffff, (unsigned)product & 0xffff);
	if (strncasecmp(ids, name, USB_IDS_LENGTH) != 0)
		return false;
	if (serial)
		has = sp_get_port_usb_serial(candidate);
	return !serial || (has && strcmp(has, serial) == 0);
}

static int
find_usb(const char *name, char *ret_path, size_t size)
{
	struct sp_port **ports = NULL;
	int found = 0;

	if (sp_list_ports(&ports) != SP_OK)
		return -ENOENT;
	for (size_t i = 0; ports[i]; i++)
		if (usb_matches(ports[i], name) && found++ == 0)
			snprintf(ret_path, size, "%s", sp_get_port_name(ports[i]));
	sp_free_port_list(ports);
	return found == 0 ? -ENOENT : found > 1 ? -ENOTUNIQ : 0;
}

int
serial_find(const char *port, char *ret_path, size_t size)
{
	char path[PATH_MAX];

	if (is_usb(port))
		return find_usb(port, ret_path, size);
	if (!realpath(port, path))
		return -errno;
	return snprintf(ret_path, size, "%s", path) < (int)size ? 0 : -ENAMETOOLONG;
}

const char *
serial_watched(const char *port)
{
	return is_usb(port) ? "/dev/ttyUSB0" : port;
}

/* --- setting up --- */

static bool
is_pty(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) &&
	       major(status.st_rdev) >= PTY_MAJOR_FIRST && major(status.st_rdev) <= PTY_MAJOR_LAST;
}

static int
find_speed(int baud, speed_t *ret)
{
	for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++)
		if (speeds[i].baud == baud) {
			*ret = speeds[i].speed;
			return 0;
		}
	return -EINVAL;
}

static tcflag_t
character_flags(const struct bus *bus)
{
	static const tcflag_t sizes[] = { [5] = CS5, [6] = CS6, [7] = CS7, [8] = CS8 };
	static const tcflag_t parities[] = {
		[PARITY_NONE] = 0,
		[PARITY_EVEN] = PARENB,
		[PARITY_ODD] = PARENB | PARODD,
		[PARITY_MARK] = PARENB | CMSPAR | PARODD,
		[PARITY_SPACE] = PARENB | CMSPAR,
	};
	tcflag_t flags = bus->data_bits >= 5 && bus->data_bits <= 8 ? sizes[bus->data_bits] : CS8;

	if (bus->stop_bits == 2)
		flags |= CSTOPB;
	if (bus->flow == FLOW_RTS_CTS)
		flags |= CRTSCTS;
	return flags | parities[bus->parity];
}

#define CHARACTER_FLAGS ((tcflag_t)(CSIZE | CSTOPB | PARENB | PARODD | CMSPAR | CRTSCTS))

int
serial_set_baud(int fd, int baud)
{
	struct termios line;
	speed_t speed;

	if (find_speed(baud, &speed) != 0)
		return speed_set(fd, baud);
	if (tcgetattr(fd, &line) != 0)
		return -errno;
	if (cfsetispeed(&line, speed) != 0 || cfsetospeed(&line, speed) != 0)
		return -errno;
	/* The C library takes it for a failure that a pseudo-terminal has no parity. */
	if (tcsetattr(fd, TCSANOW, &line) != 0 && !(errno == EINVAL && is_pty(fd)))
		return -errno;
	if (tcgetattr(fd, &line) != 0)
		return -errno;
	return cfgetospeed(&line) == speed ? 0 : -ENOTSUP;
}

/* Bytes as they come, and the line as the bus wants it. A driver may take what it can and say nothing: read
 * it back. */
static int
set_line(const struct bus *bus, int fd)
{
	struct termios line;
	struct termios taken;

	if (tcgetattr(fd, &line) != 0)
		return -errno;
	cfmakeraw(&line);
	line.c_cflag &= ~CHARACTER_FLAGS;
	/* The last close clears RTS, which here means to go on sending. */
	if (bus->rs485 == RS485_RTS_INVERTED)
		line.c_cflag &= ~(tcflag_t)HUPCL;
	line.c_cflag |= character_flags(bus) | CLOCAL | CREAD;
	/* A character with wrong parity is dropped: the frame then lacks it, and its CRC tells. */
	line.c_iflag &= ~(tcflag_t)(IXON | IXOFF | IXANY | INPCK | IGNPAR | PARMRK);
	if (bus->parity != PARITY_NONE)
		line.c_iflag |= INPCK | IGNPAR;
	if (bus->flow == FLOW_XON_XOFF)
		line.c_iflag |= IXON | IXOFF;
	line.c_cc[VMIN] = 1;
	line.c_cc[VTIME] = 0;
	if (tcsetattr(fd, TCSANOW, &line) != 0 && !(errno == EINVAL && is_pty(fd)))
		return -errno;
	if (tcgetattr(fd, &taken) != 0)
		return -errno;
	/* A pseudo-terminal has neither parity nor stop bits. */
	if (!is_pty(fd) && (taken.c_cflag & CHARACTER_FLAGS) != (line.c_cflag & CHARACTER_FLAGS))
		return -ENOTSUP;
	return serial_set_baud(fd, bus->baud);
}

/* Nobody else may talk on our line. TIOCEXCL keeps out those who open it later, flock() those who open it as
 * root. */
static int
claim(int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return ioctl(fd, TIOCEXCL) != 0 ? -errno : 0;
}

/* An FTDI adapter gathers bytes for 16 ms otherwise. Drivers without the flag refuse it, which is fine. */
static void
ask_low_latency(int fd)
{
	struct serial_struct serial;

	if (ioctl(fd, TIOCGSERIAL, &serial) != 0)
		return;
	serial.flags |= (int)ASYNC_LOW_LATENCY;
	(void)ioctl(fd, TIOCSSERIAL, &serial);
}

static bool
is_by_rts(const struct bus *bus)
{
	return bus->rs485 == RS485_RTS || bus->rs485 == RS485_RTS_INVERTED;
}

static int
set_modem_line(int fd, int line, bool on)
{
	return ioctl(fd, on ? TIOCMBIS : TIOCMBIC, &line) != 0 ? -errno : 0;
}

static int
set_rts(int fd, bool on)
{
	return set_modem_line(fd, TIOCM_RTS, on);
}

/* The kernel raises both when a port is opened. What some instruments are fed from, resets others. A pseudo-terminal has
 * none. */
static int
set_modem_lines(const struct bus *bus, int fd)
{
	int error = 0;

	if (bus->type != BUS_SERIAL)
		return 0;
	if (bus->dtr != SIGNAL_KEEP)
		error = set_modem_line(fd, TIOCM_DTR, bus->dtr == SIGNAL_ON);
	if (error == 0 && bus->rts != SIGNAL_KEEP && !is_by_rts(bus) && bus->flow != FLOW_RTS_CTS)
		error = set_rts(fd, bus->rts == SIGNAL_ON);
	return is_pty(fd) ? 0 : error;
}

/* The kernel counts these delays in ms: none is rounded away. */
static uint32_t
delay_ms(int us)
{
	return (uint32_t)(us + 999) / 1000;
}

static int
set_kernel_direction(const struct bus *bus, int fd)
{
	struct serial_rs485 wanted = {
		.flags = SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND,
		.delay_rts_before_send = delay_ms(bus->rts_before_us),
		.delay_rts_after_send = delay_ms(bus->rts_after_us),
	};
	struct serial_rs485 taken = wanted;

	if (ioctl(fd, TIOCSRS485, &taken) != 0)
		return -errno;
	/* A driver may take what it can and say nothing. */
	if (ioctl(fd, TIOCGRS485, &taken) == 0 && !(taken.flags & SER_RS485_ENABLED))
		return -ENOTSUP;
	return 0;
}

static int
set_direction(const struct bus *bus, int fd)
{
	switch (bus->rs485) {
	case RS485_KERNEL:
		return set_kernel_direction(bus, fd);
	case RS485_RTS:
	case RS485_RTS_INVERTED:
		return set_rts(fd, bus->rs485 == RS485_RTS_INVERTED);
	case RS485_OFF:
		break;
	}
	return 0;
}

static void
explain_rights(const char *path, char *text, size_t size)
{
	char names[1024];
	struct group group, *found = NULL;
	struct stat status;

	if (stat(path, &status) != 0)
		return;
	if ((status.st_mode & (S_IRGRP | S_IWGRP)) != (S_IRGRP | S_IWGRP))
		snprintf(text, size, ": only its owner may open it");
	else if (getgrgid_r(status.st_gid, &group, names, sizeof(names), &found) == 0 && found)
		snprintf(text, size, ": the user that fieldgate runs as is not in its group, %.40s", found->gr_name);
}

const char *
serial_advice(const char *path, int error, char *text, size_t size)
{
	text[0] = '\0';
	if (error == EACCES)
		explain_rights(path, text, size);
	else if (error == EPERM)
		snprintf(text, size, ": DeviceAllow= of the service does not have it, or its driver came after the start: restart fieldgate then");
	else if (error == EBUSY)
		snprintf(text, size, ": another program has it open");
	else if (error == ENOTTY)
		snprintf(text, size, ": it is no serial port, or its driver cannot do that");
	return text;
}

int
serial_open(const struct bus *bus, const char *path, const char **ret_what)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	int error;

	*ret_what = NULL;
	if (fd < 0)
		return -errno;
	error = claim(fd);
	if (error == 0)
		error = set_line(bus, fd);
	if (error == 0) {
		error = set_direction(bus, fd);
		if (error != 0)
			*ret_what = bus->rs485 == RS485_KERNEL ? "rs485 by its driver" : "rs485 by RTS";
	}
	if (error == 0) {
		error = set_modem_lines(bus, fd);
		if (error != 0)
			*ret_what = "dtr and rts";
	}
	if (error != 0) {
		close(fd);
		return error;
	}
	if (bus->low_latency)
		ask_low_latency(fd);
	tcflush(fd, TCIOFLUSH);
	return fd;
}

/* --- sending, where RTS tells the transceiver --- */

static void
pause_us(int64_t us)
{
	struct timespec left = { .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000 };

	while (us > 0 && nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

int
serial_begin_send(const struct bus *bus, int fd)
{
	int error = is_by_rts(bus) ? set_rts(fd, bus->rs485 == RS485_RTS) : 0;

	if (error == 0 && is_by_rts(bus))
		pause_us(bus->rts_before_us);
	return error;
}

/* TIOCSERGETLSR knows of the shift register, TIOCOUTQ only of the buffer; where a driver knows neither the time
 * that the request takes must do. tcdrain() would do the same, and would hang with a stuck adapter. */
bool
serial_has_left(int fd)
{
	unsigned status = 0;
	int waiting = 0;

	if (ioctl(fd, TIOCOUTQ, &waiting) == 0 && waiting > 0)
		return false;
	return ioctl(fd, TIOCSERGETLSR, &status) != 0 || status & TIOCSER_TEMT;
}

int
serial_end_send(const struct bus *bus, int fd, int64_t wire_us)
{
	int64_t give_up_us;

	if (!is_by_rts(bus))
		return 0;
	pause_us(wire_us);
	give_up_us = clock_mono_us() + SEND_GRACE_US;
	while (!serial_has_left(fd)) {
		/* A transceiver that goes on sending blocks everybody: switch it back all the same. */
		if (clock_mono_us() >= give_up_us) {
			(void)set_rts(fd, bus->rs485 != RS485_RTS);
			return -EIO;
		}
		pause_us(SEND_LOOK_US);
	}
	pause_us(bus->rts_after_us);
	return set_rts(fd, bus->rs485 != RS485_RTS);
}

/* --- health --- */

int
serial_read_errors(int fd, struct serial_errors *ret)
{
	struct serial_icounter_struct count;

	memset(&count, 0, sizeof(count));
	if (ioctl(fd, TIOCGICOUNT, &count) != 0)
		return -errno;
	*ret = (struct serial_errors){
		.frame = (unsigned)count.frame,
		.parity = (unsigned)count.parity,
		.overrun = (unsigned)count.overrun + (unsigned)count.buf_overrun,
		.breaks = (unsigned)count.brk,
	};
	return 0;
}
