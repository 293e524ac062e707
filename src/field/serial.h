/* A serial port as the kernel gives it: found by path or by its USB identity, taken for ourselves alone, set
 * up, its transceiver switched, its errors read. Every call is a few system calls on a descriptor that the
 * caller owns; none waits but serial_end_send(). libserialport lists ports and knows their USB identity, and
 * does nothing else here.
 */
#ifndef FIELD_SERIAL_H
#define FIELD_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/settings.h"

/* What the UART saw go wrong since some time before it was opened. */
struct serial_errors {
	uint64_t frame;
	uint64_t parity;
	uint64_t overrun;
	uint64_t breaks;
};

/* The device behind a bus's `port`: where a path leads, or the adapter that "usb:VID:PID[:SERIAL]" names, as
 * it is called just now. Returns 0; -ENOENT if there is none, -ENOTUNIQ if there are several. */
int serial_find(const char *port, char *ret_path, size_t size);

/* The path to watch for it to appear. */
const char *serial_watched(const char *port);

/* Open it for nobody else and set it up as the bus wants it. ret_what  on failure: what of it failed, or NULL
 * Returns a descriptor, or negative errno: -EBUSY if somebody has it, -ENOTSUP if the driver refuses the
 * settings. */
int serial_open(const struct bus *bus, const char *path, const char **ret_what);

/* What a person can do about it when that failed with this errno: ": another program has it open". Empty if nothing is known.
 * Returns `text`. */
const char *serial_advice(const char *path, int error, char *text, size_t size);

/* Change the speed of an open port, in both directions. What has not left yet is sent with the new one: see
 * serial_has_left(). Returns 0; -ENOTSUP if the driver refuses it; negative errno. */
int serial_set_baud(int fd, int baud);

/* Has the last bit of what was written left, as far as the driver knows? */
bool serial_has_left(int fd);

/* Around a request, where RTS switches the transceiver; else they do nothing. The second waits until all has
 * left. wire_us  how long the request takes on the wire Return 0 or negative errno. */
int serial_begin_send(const struct bus *bus, int fd);
int serial_end_send(const struct bus *bus, int fd, int64_t wire_us);

/* Returns 0, or -ENOTTY where the driver does not count. */
int serial_read_errors(int fd, struct serial_errors *ret);

#endif
