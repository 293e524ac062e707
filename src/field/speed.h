/* Line speeds that termios(3) has no name for: 31250, 74880, 250000 and whatever else an instrument speaks. Linux knows
 * them by a second set of calls, whose header does not go together with <termios.h>. Any thread.
 */
#ifndef FIELD_SPEED_H
#define FIELD_SPEED_H

/* Set both directions to `baud` and leave everything else as it is. A UART divides its clock by a whole number: what the
 * driver says that it took may be off by SPEED_OFF_PERMILLE, which no character of ten bits notices.
 * Returns 0; -ENOTSUP if the driver cannot come as near; negative errno.
 * Source: ioctl_tty(2), TCSETS2; BOTHER in <asm-generic/termbits.h>. */
int speed_set(int fd, int baud);

#define SPEED_OFF_PERMILLE 20

/* As the driver has it now, or negative errno. */
int speed_get(int fd);

#endif
