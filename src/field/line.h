/* The arithmetic of a serial line: how long characters and silences last. Pure. */
#ifndef FIELD_LINE_H
#define FIELD_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/settings.h"

/* Is it a serial port of ours? Else it is on a network, or a file. */
bool line_is_serial(const struct bus *bus);

/* Start bit, data bits, parity, stop bits. */
int line_char_bits(const struct bus *bus);

/* How long `chars` characters take on the wire, in us, rounded up; 0 on a network. */
int64_t line_chars_us(const struct bus *bus, size_t chars);

/* The same, at another speed than the bus's. */
int64_t line_chars_at_us(const struct bus *bus, int baud, size_t chars);

/* The least quiet time before a request, in us: what the bus says, or t3.5 of the standard; 0 on a network
 * unless the bus says otherwise. Source: MODBUS over Serial Line V1.02, 2.5.1.1: 3.5 characters, fixed
 * at 1.750 ms above 19200 baud. */
int64_t line_silence_us(const struct bus *bus);

#endif
