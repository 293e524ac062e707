#include "field/line.h"

#define T35_FIXED_ABOVE_BAUD 19200
#define T35_FIXED_US	     1750

bool
line_is_serial(const struct bus *bus)
{
	return bus->type == BUS_RTU || bus->type == BUS_SERIAL;
}

int
line_char_bits(const struct bus *bus)
{
	int data_bits = bus->data_bits > 0 ? bus->data_bits : 8;
	int stop_bits = bus->stop_bits > 0 ? bus->stop_bits : 1;

	return 1 + data_bits + (bus->parity != PARITY_NONE ? 1 : 0) + stop_bits;
}

int64_t
line_chars_at_us(const struct bus *bus, int baud, size_t chars)
{
	if (!line_is_serial(bus) || baud <= 0)
		return 0;
	return ((int64_t)chars * line_char_bits(bus) * 1000000 + baud - 1) / baud;
}

int64_t
line_chars_us(const struct bus *bus, size_t chars)
{
	return line_chars_at_us(bus, bus->baud, chars);
}

int64_t
line_silence_us(const struct bus *bus)
{
	if (bus->silence_us > 0)
		return bus->silence_us;
	if (bus->type != BUS_RTU)
		return 0;
	return bus->baud > T35_FIXED_ABOVE_BAUD ? T35_FIXED_US : (line_chars_us(bus, 7) + 1) / 2;
}
