/* Modbus on a line that we own: RTU on a serial port, RTU over TCP, and Modbus TCP. libmodbus frames and
 * checks CRCs on the descriptor that port.c opened; when to send, how long to wait, what to drain and whether
 * a reply answers its request is decided here.
 */
#ifndef FIELD_LINK_MODBUS_H
#define FIELD_LINK_MODBUS_H

#include "base/resolver.h"
#include "field/link.h"
#include "model/settings.h"

/* The arguments are those of port_new(). Returns NULL with errno set. */
struct link *link_modbus_new(const struct bus *bus, struct resolver *resolver, int stop_fd);

#endif
