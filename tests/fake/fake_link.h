/* A line made of a script: a function answers each request, and a transcript says what was asked when. */
#ifndef FAKE_FAKE_LINK_H
#define FAKE_FAKE_LINK_H

#include <pthread.h>

#include "field/bus.h"

#define FAKE_ASKED_MAX 4096

struct fake_asked {
	int unit;
	enum pdu_function function;
	int addr;
	int count;
	int64_t at_us;
};

struct fake_link {
	struct link link;
	int stop_fd;
	bool open;
	pthread_mutex_t
	    lock;	/* of what follows, which the test may look at and change while the worker runs */
	int open_error; /* what opening returns */
	int opened;	/* how often it was opened */
	bool under_way; /* a request has left and has no answer yet */
	int asked_count;
	struct fake_asked asked[FAKE_ASKED_MAX];
	uint16_t cells[65536]; /* holding registers, the same for all units */
	int dead_unit;	       /* does not answer; -1: none */
	int cost_ms;	       /* of an exchange that is answered */
	int next_error;	       /* what the next exchange returns, once; 0: nothing special */
	int bad_addr;	       /* refused with exception 2; -1: none */
	int lacks_function;    /* refused with exception 1; 0: none */
	int stuck_addr;	       /* takes writes and stays as it is; -1: none */
};

void fake_link_init(struct fake_link *fake);
struct link_maker fake_link_maker(struct fake_link *fake);

/* How many requests were made so far. */
int fake_link_asked(struct fake_link *fake);

#endif
