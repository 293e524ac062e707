#include <config.h>

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/mistakes.h"
#include "conf/names.h"
#include "conf/node.h"
#include "conf/verify.h"
#include "conf/verify_commands.h"
#include "conf/verify_line.h"
#include "conf/verify_point.h"

#define TLS_PORT 8883 /* IANA: secure-mqtt */

/* The groups that verify_all() is about. */
struct verify {
	struct root_input *root;
	struct mistakes *mistakes;
	struct names buses;
};

/* Buses. */

static char *
lower(char *text)
{
	for (char *c = text; c && *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return text;
}

static bool
has_port(const struct bus *bus)
{
	return bus->type == BUS_RTU || bus->type == BUS_SERIAL;
}

/* What a bus occupies, so that two cannot: the device behind the path, or host and port. Allocated; NULL
 * without memory. */
static char *
bus_line(const struct bus *bus)
{
	char *line = NULL;

	if (has_port(bus) && bus->port[0] == '/') {
		line = realpath(bus->port, NULL);
		return line ? line : strdup(bus->port);
	}
	if (has_port(bus))
		return lower(strdup(bus->port));
	return asprintf(&line, "%s %d", bus->host, bus->tcp_port) < 0 ? NULL : lower(line);
}

static bool
knows_line(const struct bus_input *bus)
{
	return node_has(&schema_bus, &bus->node, "type") && bus->bus.type != BUS_FILE &&
	       !node_is_wrong(&schema_bus, &bus->node, "port") &&
	       (has_port(&bus->bus) ? bus->bus.port != NULL : bus->bus.host != NULL);
}

static void
report_shared_line(struct verify *verify, const struct bus_input *bus, const struct bus_input *first)
{
	char quoted[MISTAKES_QUOTE_SIZE], also[MISTAKES_ALSO_SIZE];

	mistakes_also(verify->mistakes, bus->node.setting, first->node.setting, also);
	if (has_port(&bus->bus))
		mistakes_add(verify->mistakes, bus->node.setting, "port",
		    "two buses use the port %s (also %s), each must have its own",
		    mistakes_quote(bus->bus.port, quoted), also);
	else
		mistakes_add(verify->mistakes, bus->node.setting, "host",
		    "two buses use %s port %d (also %s), each must have its own",
		    mistakes_quote(bus->bus.host, quoted), bus->bus.tcp_port, also);
}

static int
verify_lines(struct verify *verify)
{
	struct bus_input *buses = verify->root->buses.items;
	size_t count = verify->root->buses.count;
	struct names lines;
	int error = names_init(&lines, count);

	for (size_t i = 0; !error && i < count; i++) /* NOLINT(clang-analyzer-unix.Malloc): the lines are freed below */
		if (knows_line(&buses[i])) {
			char *line = bus_line(&buses[i].bus);

			if (line)
				names_add(&lines, line, buses[i].node.setting, i);
			else
				error = -ENOMEM;
		}
	if (!error)
		names_sort(&lines);
	for (size_t i = 1, first = 0; !error && i < lines.count; i++) {
		if (strcmp(lines.entries[i].text, lines.entries[first].text) == 0)
			report_shared_line(
			    verify, &buses[lines.entries[i].at], &buses[lines.entries[first].at]);
		else
			first = i;
	}
	for (size_t i = 0; i < lines.count; i++)
		free((void *)(uintptr_t)lines.entries[i].text);
	names_done(&lines);
	return error;
}

static void
verify_rs485(struct verify *verify, const struct bus_input *input)
{
	static const char *const delays[] = { "rts_before_us", "rts_after_us" };

	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++)
		if (input->bus.rs485 == RS485_OFF && node_has(&schema_bus, &input->node, delays[i]) &&
		    !node_is_wrong(&schema_bus, &input->node, "rs485"))
			mistakes_add(verify->mistakes, input->node.setting, delays[i],
			    "nothing is switched with rs485 off, %s is allowed with kernel, rts and "
			    "rts-inverted",
			    delays[i]);
}

static int
verify_buses(struct verify *verify)
{
	struct bus_input *buses = verify->root->buses.items;
	int error = names_init(&verify->buses, verify->root->buses.count);

	if (error)
		return error;
	for (size_t i = 0; i < verify->root->buses.count; i++) {
		if (buses[i].bus.name)
			names_add(&verify->buses, buses[i].bus.name, buses[i].node.setting, i);
		verify_rs485(verify, &buses[i]);
		verify_line_bus(&buses[i], verify->mistakes);
	}
	names_close(&verify->buses, verify->mistakes, "name", "the name");
	return verify_lines(verify);
}

/* The bus called `name`; reports it if there is none. */
static const struct bus_input *
find_bus(struct verify *verify, const struct node *node, const char *name)
{
	const struct bus_input *buses = verify->root->buses.items;
	const struct name *entry = names_find(&verify->buses, name);
	char quoted[MISTAKES_QUOTE_SIZE], names[SCHEMA_TEXT_SIZE];

	if (entry)
		return &buses[entry->at];
	mistakes_add(verify->mistakes, node->setting, "bus", "there is no bus %s, allowed are %s",
	    mistakes_quote(name, quoted),
	    verify->buses.count ? names_list(&verify->buses, names, sizeof(names)) : "the names of buses");
	return NULL;
}

/* Modbus over serial line V1.02, 2.2: 1..247 are units, 0 speaks to all and none answers. On TCP 0 and 255
 * mean the addressed host itself (Modbus Messaging on TCP/IP V1.0b, 4.4.1.2). */
static bool
unit_fits(const struct bus_input *bus, int unit)
{
	return (unit >= 1 && unit <= 247) || (bus->bus.type == BUS_TCP && (unit == 0 || unit == 255));
}

static bool
verify_unit(struct verify *verify, const struct node *node, const struct bus_input *bus, int unit)
{
	char quoted[MISTAKES_QUOTE_SIZE];

	if (!bus || !node_has(&schema_bus, &bus->node, "type") || bus_is_line(&bus->bus) ||
	    unit_fits(bus, unit))
		return true;
	mistakes_add(verify->mistakes, node->setting, "unit", "%d is no unit of bus %s, allowed are %s", unit,
	    mistakes_quote(bus->bus.name ? bus->bus.name : "", quoted),
	    bus->bus.type == BUS_TCP ? "0..247 and 255" : "1..247");
	return false;
}

static void
verify_place(
    struct verify *verify, struct point_input *input, const struct device_input *device, bool device_fits)
{
	const struct node *node = &input->node;
	bool unit = node_has(&schema_point, node, "unit");

	input->bus_input = node_has(&schema_point, node, "bus")	       ? find_bus(verify, node, input->bus)
			   : node_is_wrong(&schema_point, node, "bus") ? NULL
								       : device->bus_input;
	if (!unit)
		input->point.unit = device->device.unit;
	if (node_is_wrong(&schema_point, node, "unit") ||
	    (!unit && node_is_wrong(&schema_device, &device->node, "unit")))
		return;
	/* A unit that is wrong on the device's own bus was reported there, once. */
	if (unit || input->bus_input != device->bus_input || device_fits)
		verify_unit(verify, node, input->bus_input, input->point.unit);
}

/* Devices. */

/* The bus of a device may be missing only if no point needs it. */
static void
verify_device_bus(struct verify *verify, struct device_input *device)
{
	const struct point_input *points = device->points.items;

	if (node_has(&schema_device, &device->node, "bus"))
		device->bus_input = find_bus(verify, &device->node, device->bus);
	else if (!node_is_wrong(&schema_device, &device->node, "bus"))
		for (size_t i = 0; i < device->points.count; i++)
			if (!points[i].bus && !node_is_wrong(&schema_point, &points[i].node, "bus")) {
				node_fault(verify->mistakes, &device->node, "bus",
				    "missing, the name of a bus is required unless every point has one, and "
				    "points[%zu] has none",
				    i);
				break;
			}
}

/* Was everything of the point there that must be, and of the right kind? */
static bool
was_read_well(const struct point_input *point)
{
	const struct label_input *labels = point->labels.items;

	for (size_t i = 0; i < point->labels.count; i++)
		if (!node_has(&schema_label, &labels[i].node, "label") ||
		    !node_has(&schema_label, &labels[i].node, "value"))
			return false;
	return point->node.given == point->node.valid &&
	       (node_has(&schema_point, &point->node, "table") || verify_is_line(point));
}

/* What the gateway API does not have for a device. */
static void
verify_device_api(struct verify *verify, const struct device_input *device)
{
	if (device->calls.count > 0 && verify->root->server.server.api == API_GATEWAY)
		node_fault(verify->mistakes, &device->node, "calls",
		    "the server takes none by the gateway API, server.api \"device\" is required");
}

/* Sets whether the point is right. Returns 0 or -ENOMEM. */
static int
verify_point_of(
    struct verify *verify, struct point_input *point, const struct device_input *device, bool device_fits)
{
	size_t before = verify->mistakes->count + verify->mistakes->uncounted;
	int error = 0;

	if (config_setting_is_group(point->node.setting)) {
		verify_place(verify, point, device, device_fits);
		error = verify_point(point, device, verify->mistakes);
	}
	point->right =
	    before == verify->mistakes->count + verify->mistakes->uncounted && was_read_well(point);
	return error;
}

static int
verify_device(struct verify *verify, struct device_input *device)
{
	struct point_input *points = device->points.items;
	bool fits = true;
	struct names keys;
	int error = names_init(&keys, device->points.count);

	if (error)
		return error;
	verify_device_bus(verify, device);
	if (node_has(&schema_device, &device->node, "unit"))
		fits = verify_unit(verify, &device->node, device->bus_input, device->device.unit);
	for (size_t i = 0; !error && i < device->points.count; i++) {
		error = verify_point_of(verify, &points[i], device, fits);
		if (node_has(&schema_point, &points[i].node, "key"))
			names_add(&keys, points[i].point.key, points[i].node.setting, i);
	}
	names_close(&keys, verify->mistakes, "key", "the key");
	verify_made_keys(device, &keys, verify->mistakes);
	verify_line_device(device, verify->mistakes);
	verify_device_api(verify, device);
	if (!error)
		error = verify_commands(device, &keys, verify->mistakes);
	names_done(&keys);
	return error;
}

static int
verify_devices(struct verify *verify)
{
	struct device_input *devices = verify->root->devices.items;
	const struct device_input *gateway = &verify->root->gateway.device;
	size_t count = verify->root->devices.count;
	struct names names = { NULL, 0 };
	int error = names_init(&names, count + 1);

	for (size_t i = 0; !error && i < count; i++) {
		if (node_has(&schema_device, &devices[i].node, "name"))
			names_add(&names, devices[i].device.name, devices[i].node.setting, i);
		if (config_setting_is_group(devices[i].node.setting))
			error = verify_device(verify, &devices[i]);
	}
	if (!error && gateway->node.setting)
		names_add(&names, gateway->device.name ? gateway->device.name : GATEWAY_NAME,
		    gateway->node.setting, count);
	if (!error)
		names_close(&names, verify->mistakes, "name", "the name");
	names_done(&names);
	return error;
}

static void
verify_server(struct verify *verify)
{
	struct server_input *server = &verify->root->server;

	if (server->tls.node.setting && !node_has(&schema_server, &server->node, "port"))
		server->server.port = TLS_PORT;
	if (server->server.api == API_GATEWAY && !verify->root->gateway.device.node.setting)
		node_fault(verify->mistakes, &server->node, "api",
		    "\"gateway\" is the session of the gateway itself, gateway = { token = \"...\"; } is "
		    "required");
	if (!server->node.setting || node_is_wrong(&schema_server, &server->node, "reconnect_min_ms") ||
	    node_is_wrong(&schema_server, &server->node, "reconnect_max_ms"))
		return;
	if (server->server.reconnect_max_ms < server->server.reconnect_min_ms)
		node_fault(verify->mistakes, &server->node,
		    node_has(&schema_server, &server->node, "reconnect_max_ms") ? "reconnect_max_ms"
										: "reconnect_min_ms",
		    "reconnect_max_ms is %d and reconnect_min_ms %d, the first must not be less",
		    server->server.reconnect_max_ms, server->server.reconnect_min_ms);
}

int
verify_all(struct root_input *root, struct mistakes *mistakes)
{
	struct verify verify = { .root = root, .mistakes = mistakes };
	int error;

	verify_server(&verify);
	error = verify_buses(&verify);
	if (!error)
		error = verify_devices(&verify);
	names_done(&verify.buses);
	return error;
}
