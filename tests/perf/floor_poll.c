/* The raw ceiling of polling: a plain libmodbus loop that reads so many registers of one unit over TCP, as fast as it goes or at
 * a pace. Prints what it did as a line of JSON.
 *
 *     floor_poll PORT SECONDS REGISTERS [PER_SECOND]
 */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/meter.h"

int
main(int argc, char **argv)
{
	uint16_t words[MODBUS_MAX_READ_REGISTERS];
	struct meter meter;
	modbus_t *modbus;
	double seconds, trips_s = 0;
	int registers;

	if (argc < 4) {
		fprintf(stderr, "usage: floor_poll PORT SECONDS REGISTERS [PER_SECOND]\n");
		return 2;
	}
	seconds = strtod(argv[2], NULL);
	registers = atoi(argv[3]);
	modbus = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
	if (!modbus || modbus_set_slave(modbus, 1) != 0 || modbus_connect(modbus) != 0) {
		fprintf(stderr, "floor_poll: %s\n", modbus_strerror(errno));
		return 1;
	}
	meter_start(&meter, argc > 4 ? strtod(argv[4], NULL) : 0);
	while (meter_turn(&meter) < seconds) {
		double asked_s = meter_clock();

		if (modbus_read_registers(modbus, 0, registers, words) != registers) {
			fprintf(stderr, "floor_poll: %s\n", modbus_strerror(errno));
			return 1;
		}
		trips_s += meter_clock() - asked_s;
		meter_count(&meter);
	}
	meter_print(&meter, "trip_us", trips_s / (double)meter.turns * 1e6);
	modbus_close(modbus);
	modbus_free(modbus);
	return 0;
}
