/* The simulator as a whole, and the commands that steer it (README.md lists them). */
#ifndef SIM_COMMANDS_H
#define SIM_COMMANDS_H

#include "common/control.h"
#include "sim/bus.h"
#include "sim/loop.h"

#define BUSES_MAX 1024

/* A bus with what only commands need. */
struct place {
	struct sim *sim;
	struct bus *bus;
	struct timer babble;
	int64_t babble_from_us;	 /* what noise has been made so far reaches to here */
	int64_t babble_until_us; /* 0 = silent, INT64_MAX = until cleared */
};

struct sim {
	struct loop loop;
	struct journal journal;
	struct control control;
	struct place places[BUSES_MAX];
	unsigned count;
};

/* Give a bus its place at the end of the line; takes the bus. */
int sim_add(struct sim *sim, struct bus *bus);

/* A unit with as many cells, in place of the one that was there. Returns 0 or negative errno. */
int sim_unit(struct bus *bus, unsigned address, unsigned size);

/* A control_handler; ctx is the struct sim. */
void sim_command(void *ctx, struct json_object *command);

#endif
