/* A queue that loses what it cannot hold: said once when it begins, and with a number when it is over. Time is passed in;
 * the cloud's thread, or any one thread.
 */
#ifndef CLOUD_OVERFLOW_H
#define CLOUD_OVERFLOW_H

#include <stdint.h>

struct overflow {
	const char *begin; /* the line that says that it begins */
	const char *over;  /* what the line says that it is over starts with: "store: has room again: rows" */
	const char *end;   /* the same at the end of the program: "store: rows" */
	uint64_t lost;	   /* since the start */
	uint64_t lost_before;  /* when this time of losing began */
	int64_t since_mono_ms; /* 0 = nothing is being lost */
	int64_t last_mono_ms;
};

/* So many were lost until now, since the start. */
void overflow_note(struct overflow *overflow, uint64_t lost, int64_t now_mono_ms);

/* When overflow_tick() has something to do, or CLOCK_NEVER. */
int64_t overflow_due_mono_ms(const struct overflow *overflow);
void overflow_tick(struct overflow *overflow, int64_t now_mono_ms);

/* The end of the program. */
void overflow_finish(struct overflow *overflow);

#endif
