/* What was asked of the simulator, when, and what it did: the last 10,000 requests, and events as they
 * happen. */
#ifndef SIM_JOURNAL_H
#define SIM_JOURNAL_H

#include <json-c/json.h>

#include "sim/server.h"

#define JOURNAL_ENTRIES 10000

enum outcome { OUTCOME_SILENCE, OUTCOME_REPLY, OUTCOME_EXCEPTION, OUTCOME_FAULT };

struct entry {
	int64_t at_us; /* CLOCK_MONOTONIC, first byte of the request */
	int64_t at_unix_ms;
	unsigned bus;
	uint8_t unit;
	enum outcome outcome;
	const char *fault;	/* its name, with OUTCOME_FAULT */
	bool executed;		/* a write that was done, whatever became of the reply */
	struct request request; /* its data are the journal's own copy */
	size_t reply_length;	/* what the unit answered to a read, before a fault spoilt it; the same */
	const uint8_t *reply;
};

struct journal {
	bool emit;  /* every request is an event, not only writes */
	bool shown; /* so is every answer to a read, when it has left */
	uint64_t total;
	struct entry *entries;
};

int journal_init(struct journal *journal);
void journal_done(struct journal *journal);

/* The wall clock at that moment, which is not long ago; what it says is not later than it was. */
int64_t journal_unix_ms(int64_t at_us);

/* Copies the entry, with the data that it points to. Returns its number, 1, 2, 3... */
uint64_t journal_add(struct journal *journal, const struct entry *entry);

/* The last byte of the answer to this entry is handed over, at `at_us`: tell what the unit has shown. */
void journal_left(const struct journal *journal, uint64_t number, int64_t at_us);

/* The last `count` requests, oldest first. The caller owns the array. */
struct json_object *journal_last(const struct journal *journal, uint64_t count);

#endif
