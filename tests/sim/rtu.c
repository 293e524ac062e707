#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "sim/rtu.h"
#include "sim/sender.h"

#define REPLIES_MAX	64
#define SILENCE_FAST_US 1750  /* above 19200 baud the standard no longer counts characters */
#define UNPACED_IDLE_US 20000 /* without pace: when to give up on a frame that does not end */

struct rtu {
	struct loop *loop;
	struct bus *bus;
	char *link;
	char device[64];
	bool plugged;
	bool collisions;
	bool check_speed;
	int slave;	     /* kept open: without an opener a PTY master knows only errors */
	int openers;	     /* others who have the slave open */
	struct watch watch;  /* PTY master */
	struct watch notify; /* opens and closes of the slave */
	struct timer quiet;  /* the frame in `input` ends */
	struct sender sender;
	int64_t silence_us;		      /* 3.5 characters */
	int64_t first_us;		      /* the first byte of `input` came */
	int64_t wire_end_us;		      /* the last byte of `input` has passed the wire */
	int64_t idle_us;		      /* the last byte of anyone has */
	int64_t unit_free_us[UNIT_ADDRESSES]; /* a unit does one thing after the other */
	bool busy;			      /* a frame is coming in */
	bool garbled;			      /* and nobody will understand it */
	size_t used;
	uint8_t input[FRAME_RTU_MAX];
};

static unsigned
speed_baud(speed_t speed)
{
	static const struct speed_row {
		speed_t speed;
		unsigned baud;
	} rows[] = {
		{ B300, 300 },
		{ B600, 600 },
		{ B1200, 1200 },
		{ B2400, 2400 },
		{ B4800, 4800 },
		{ B9600, 9600 },
		{ B19200, 19200 },
		{ B38400, 38400 },
		{ B57600, 57600 },
		{ B115200, 115200 },
		{ B230400, 230400 },
		{ B460800, 460800 },
		{ B921600, 921600 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].speed == speed)
			return rows[i].baud;
	return 0;
}

static bool
rtu_speed_is_wrong(const struct rtu *rtu)
{
	struct termios settings;

	return rtu->check_speed && rtu->sender.baud && tcgetattr(rtu->slave, &settings) == 0 &&
	       speed_baud(cfgetospeed(&settings)) != rtu->sender.baud;
}

/* Keep count of who has the port open. When nobody has, what was not read is lost, and so is exclusive use: a
 * real port starts afresh with the next open, a PTY would not. */
static void
rtu_openers(struct rtu *rtu)
{
	_Alignas(struct inotify_event) char buffer[4096];
	ssize_t got;
	int before = rtu->openers;

	while ((got = read(rtu->notify.fd, buffer, sizeof(buffer))) > 0) {
		for (char *at = buffer; at < buffer + got;) {
			struct inotify_event *event = (struct inotify_event *)(void *)at;
			rtu->openers += event->mask & IN_OPEN ? 1 : event->mask & IN_CLOSE ? -1 : 0;
			at += sizeof(*event) + event->len;
		}
	}
	if (before > 0 && rtu->openers <= 0) {
		rtu->openers = 0;
		tcflush(rtu->slave, TCIFLUSH);
		ioctl(rtu->slave, TIOCNXCL);
	}
}

static void
rtu_notify(void *ctx, uint32_t events)
{
	(void)events;
	rtu_openers(ctx);
}

static ssize_t
rtu_send(void *ctx, const uint8_t *bytes, size_t length)
{
	struct rtu *rtu = ctx;
	/* Before the write: whoever reads the bytes and counts the silence from there begins later than we
	 * do. */
	int64_t now_us = clock_mono_us();

	rtu->idle_us = now_us > rtu->idle_us ? now_us : rtu->idle_us;
	if (sender_is_talking(&rtu->sender))
		rtu->bus->busy_us +=
		    sender_wire_us(&rtu->sender, length); /* an echo has been counted as it came in */
	if (rtu->openers <= 0)
		rtu_openers(rtu);
	if (rtu->openers > 0)
		(void)!write(
		    rtu->watch.fd, bytes, length); /* what a full port cannot take is lost, as on a UART */
	return (ssize_t)length;
}

static void
rtu_left(void *ctx, uint64_t number, int64_t at_us)
{
	const struct rtu *rtu = ctx;

	if (rtu->openers > 0)
		journal_left(rtu->bus->journal, number, at_us);
}

static bool
rtu_finished(void *ctx, enum ending ending)
{
	(void)ctx;
	(void)ending;
	return true;
}

static int64_t
rtu_clear(void *ctx)
{
	const struct rtu *rtu = ctx;

	return rtu->idle_us + rtu->silence_us;
}

static void
rtu_answer(struct rtu *rtu, const struct answer *answer)
{
	uint8_t unit = rtu->input[0];
	int64_t *free_us = &rtu->unit_free_us[unit];
	int64_t turnaround_us = bus_turnaround_us(rtu->bus);
	int64_t due_us = rtu->wire_end_us > *free_us ? rtu->wire_end_us : *free_us;

	if (!answer->length || rtu->sender.waiting >= REPLIES_MAX)
		return;
	due_us += (turnaround_us > rtu->silence_us ? turnaround_us : rtu->silence_us) + answer->delay_us;
	*free_us = due_us + sender_wire_us(&rtu->sender, answer->length);
	sender_push(&rtu->sender, answer, due_us, false);
}

static bool
rtu_echoes(const struct rtu *rtu, uint8_t unit)
{
	const struct fault *fault = fault_find(rtu->bus->faults, unit);

	return fault && fault->kind == FAULT_ECHO;
}

/* The line has been silent: what came is a frame, or it is nothing. */
static void
rtu_frame(struct rtu *rtu)
{
	static struct answer answer;
	bool whole = !rtu->garbled && frame_is_rtu(rtu->input, rtu->used);

	timer_stop(rtu->loop, &rtu->quiet);
	if (!whole || rtu_speed_is_wrong(rtu)) {
		rtu->bus->bad_frames++;
	} else {
		bus_request(rtu->bus,
		    &(struct incoming){
			.framing = FRAMING_RTU,
			.unit = rtu->input[0],
			.pdu = rtu->input + 1,
			.length = rtu->used - 3,
			/* The echo went out while the request came in; only the reply is still to come. */
			.frame = rtu->input,
			.frame_length = 0,
			.at_us = rtu->first_us,
		    },
		    clock_mono_us(), &answer);
		rtu_answer(rtu, &answer);
	}
	rtu->busy = rtu->garbled = false;
	rtu->used = 0;
}

static void
rtu_quiet(void *ctx, int64_t now_us)
{
	(void)now_us;
	rtu_frame(ctx);
}

/* The first byte of a request: was the line silent before it? */
static void
rtu_begin(struct rtu *rtu, int64_t now_us)
{
	bool talking = sender_is_talking(&rtu->sender);

	rtu->busy = true;
	rtu->garbled = false;
	rtu->used = 0;
	rtu->first_us = rtu->wire_end_us = now_us;
	if (!rtu->sender.baud)
		return;
	if (talking || now_us < rtu->idle_us + rtu->silence_us)
		rtu->bus->silence_violations++;
	if (talking && rtu->collisions) {
		rtu->bus->collisions++;
		rtu->garbled = true;
		sender_garble(&rtu->sender);
	}
}

static void
rtu_echo(struct rtu *rtu, const uint8_t *bytes, size_t length, int64_t now_us)
{
	static struct answer echo;

	echo.length = length;
	memcpy(echo.bytes, bytes, length);
	sender_push(&rtu->sender, &echo, now_us, true);
}

static void
rtu_take(struct rtu *rtu, const uint8_t *bytes, size_t length, int64_t now_us)
{
	if (!rtu->busy)
		rtu_begin(rtu, now_us);
	else if (rtu->sender.baud && frame_is_rtu(rtu->input, rtu->used))
		rtu->bus
		    ->silence_violations++; /* a second request on the heels of the first: both are lost */
	if (length > sizeof(rtu->input) - rtu->used) {
		rtu->garbled = true;
		rtu->used = 0;
	} else {
		memcpy(rtu->input + rtu->used, bytes, length);
		rtu->used += length;
	}
	if (rtu_echoes(rtu, rtu->used ? rtu->input[0] : bytes[0]))
		rtu_echo(rtu, bytes, length, now_us);
	rtu->wire_end_us =
	    (rtu->wire_end_us > now_us ? rtu->wire_end_us : now_us) + sender_wire_us(&rtu->sender, length);
	rtu->idle_us = rtu->wire_end_us;
	rtu->bus->busy_us += sender_wire_us(&rtu->sender, length);
}

static void
rtu_event(void *ctx, uint32_t events)
{
	struct rtu *rtu = ctx;
	uint8_t bytes[FRAME_RTU_MAX + 1];
	ssize_t got = read(rtu->watch.fd, bytes, sizeof(bytes));
	int pdu;

	(void)events;
	if (got <= 0)
		return;
	rtu_take(rtu, bytes, (size_t)got, clock_mono_us());
	if (rtu->sender.baud) {
		timer_set(rtu->loop, &rtu->quiet, rtu->wire_end_us + rtu->silence_us);
		return;
	}
	pdu = rtu->used > 1 ? request_length(rtu->input + 1, rtu->used - 1) : 0;
	if (pdu > 0 && rtu->used == (size_t)pdu + 3 && frame_is_rtu(rtu->input, rtu->used))
		rtu_frame(rtu);
	else
		timer_set(rtu->loop, &rtu->quiet, rtu->wire_end_us + UNPACED_IDLE_US);
}

static int
rtu_raw(int slave, unsigned baud)
{
	struct termios settings;
	speed_t speed = B38400;
	static const speed_t speeds[] = { B300, B600, B1200, B2400, B4800, B9600, B19200, B38400, B57600,
		B115200, B230400, B460800, B921600 };

	for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++)
		if (speed_baud(speeds[i]) == baud)
			speed = speeds[i];
	if (tcgetattr(slave, &settings) < 0)
		return -errno;
	cfmakeraw(&settings);
	cfsetspeed(&settings, speed);
	return tcsetattr(slave, TCSANOW, &settings) < 0 ? -errno : 0;
}

static int
rtu_link(struct rtu *rtu)
{
	struct stat target;
	struct stat link;

	/* A run that was killed leaves its symlink behind; anything else of that name is not ours to remove.
	 */
	if (lstat(rtu->link, &link) == 0 && S_ISLNK(link.st_mode) &&
	    (stat(rtu->link, &target) < 0 || S_ISCHR(target.st_mode)))
		unlink(rtu->link);
	return symlink(rtu->device, rtu->link) < 0 ? -errno : 0;
}

static void
fd_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Everything that rtu_plug() made, whole or in part. */
static void
rtu_release(struct rtu *rtu)
{
	if (rtu->watch.fd >= 0)
		watch_del(rtu->loop, &rtu->watch);
	if (rtu->notify.fd >= 0)
		watch_del(rtu->loop, &rtu->notify);
	timer_stop(rtu->loop, &rtu->quiet);
	sender_done(&rtu->sender);
	fd_drop(&rtu->notify.fd);
	fd_drop(&rtu->watch.fd);
	fd_drop(&rtu->slave);
	rtu->openers = 0;
	rtu->busy = false;
	memset(rtu->unit_free_us, 0, sizeof(rtu->unit_free_us));
}

static int
rtu_make(struct rtu *rtu)
{
	int error;

	rtu->watch.fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (rtu->watch.fd < 0 || grantpt(rtu->watch.fd) < 0 || unlockpt(rtu->watch.fd) < 0 ||
	    ptsname_r(rtu->watch.fd, rtu->device, sizeof(rtu->device)) != 0)
		return -errno;
	rtu->slave = open(rtu->device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	rtu->notify.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (rtu->slave < 0 || rtu->notify.fd < 0 ||
	    inotify_add_watch(rtu->notify.fd, rtu->device, IN_OPEN | IN_CLOSE) < 0)
		return -errno;
	error = rtu_raw(rtu->slave, rtu->sender.baud);
	if (!error)
		error = watch_add(rtu->loop, &rtu->watch, EPOLLIN);
	if (!error)
		error = watch_add(rtu->loop, &rtu->notify, EPOLLIN);
	return error ? error : rtu_link(rtu);
}

int
rtu_plug(struct rtu *rtu)
{
	int error;

	if (rtu->plugged)
		return 0;
	error = rtu_make(rtu);
	if (error)
		rtu_release(rtu);
	rtu->plugged = !error;
	return error;
}

void
rtu_unplug(struct rtu *rtu)
{
	char target[sizeof(rtu->device)];
	ssize_t length;

	if (!rtu->plugged)
		return;
	/* Only if it is still ours: somebody may have put his own line there. */
	length = readlink(rtu->link, target, sizeof(target) - 1);
	if (length > 0) {
		target[length] = '\0';
		if (!strcmp(target, rtu->device))
			unlink(rtu->link);
	}
	rtu_release(rtu);
	rtu->plugged = false;
}

int
rtu_open(struct loop *loop, struct bus *bus, const struct rtu_line *line, struct rtu **ret_rtu)
{
	struct rtu *rtu = calloc(1, sizeof(*rtu));
	int error;

	if (!rtu || !(rtu->link = strdup(line->link))) {
		free(rtu);
		return -ENOMEM;
	}
	rtu->loop = loop;
	rtu->bus = bus;
	rtu->collisions = true;
	rtu->slave = -1;
	rtu->watch = (struct watch){ .fd = -1, .handler = rtu_event, .ctx = rtu };
	rtu->notify = (struct watch){ .fd = -1, .handler = rtu_notify, .ctx = rtu };
	rtu->quiet = (struct timer){ .handler = rtu_quiet, .ctx = rtu };
	sender_init(&rtu->sender, loop);
	rtu->sender.baud = line->baud;
	rtu->sender.bits = line->bits;
	rtu->sender.clear = rtu_clear;
	rtu->sender.send = rtu_send;
	rtu->sender.left = rtu_left;
	rtu->sender.finished = rtu_finished;
	rtu->sender.ctx = rtu;
	if (line->baud)
		rtu->silence_us = line->baud > 19200 ? SILENCE_FAST_US : sender_wire_us(&rtu->sender, 7) / 2;
	error = rtu_plug(rtu);
	if (error) {
		free(rtu->link);
		free(rtu);
		return error;
	}
	*ret_rtu = rtu;
	return 0;
}

void
rtu_close(struct rtu *rtu)
{
	if (!rtu)
		return;
	rtu_unplug(rtu);
	free(rtu->link);
	free(rtu);
}

const char *
rtu_device(const struct rtu *rtu)
{
	return rtu->device;
}

const char *
rtu_link_name(const struct rtu *rtu)
{
	return rtu->link;
}

unsigned
rtu_baud(const struct rtu *rtu)
{
	return rtu->sender.baud;
}

void
rtu_strict(struct rtu *rtu, bool collisions, bool check_speed)
{
	rtu->collisions = collisions;
	rtu->check_speed = check_speed;
}

void
rtu_babble(struct rtu *rtu, size_t length)
{
	uint8_t noise[256];

	length = length < sizeof(noise) ? length : sizeof(noise);
	noise_fill(noise, length);
	if (!rtu->plugged)
		return;
	rtu->bus->busy_us += sender_wire_us(&rtu->sender, length);
	rtu_send(rtu, noise, length);
}
