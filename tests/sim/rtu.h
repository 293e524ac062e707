/* A serial line: a pseudo-terminal under a symlink, at the pace and with the silences of real wire.
 *
 * What the master writes arrives at once, but on a wire it would take its time; so a request ends, for
 * everything here, when its last bit would have passed. 3.5 characters later it is taken for a frame, as
 * devices do it: by silence, not by its length. Without pace (baud 0) there is no silence, and a frame ends
 * where its function code says. Source: Modbus over Serial Line V1.02, 2.5.1.
 */
#ifndef SIM_RTU_H
#define SIM_RTU_H

#include "sim/bus.h"
#include "sim/loop.h"

struct rtu;

struct rtu_line {
	const char *link;
	unsigned baud; /* 0 = no pace */
	unsigned bits; /* of a character: start, 8, parity, stop */
};

/* Make the PTY and its symlink. A symlink that dangles or leads to a terminal is taken for one of an earlier
 * run and replaced; anything else of that name is an error. Returns 0 and the object, which points to loop
 * and bus; negative errno. */
int rtu_open(struct loop *loop, struct bus *bus, const struct rtu_line *line, struct rtu **ret_rtu);
void rtu_close(struct rtu *rtu);

const char *rtu_device(const struct rtu *rtu);
const char *rtu_link_name(const struct rtu *rtu);

/* Pull the adapter out: the slave hangs up, the symlink goes. Put it back: a new PTY under the same symlink.
 */
void rtu_unplug(struct rtu *rtu);
int rtu_plug(struct rtu *rtu);

/* collisions  a master that talks into a reply destroys both (default on)
 * check_speed nobody understands a master whose port is set to another speed (default off) */
void rtu_strict(struct rtu *rtu, bool collisions, bool check_speed);

/* Put noise on the line. */
void rtu_babble(struct rtu *rtu, size_t length);
unsigned rtu_baud(const struct rtu *rtu);

#endif
