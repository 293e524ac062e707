/* The thread that works on the spool, because a disk may take seconds: one job at a time, handed over and given back. */
#ifndef FLOW_SPOOLER_H
#define FLOW_SPOOLER_H

#include "flow/spool.h"

struct spooler;

enum spooler_task { SPOOLER_OPEN, SPOOLER_WRITE, SPOOLER_READ, SPOOLER_DROP };

/* What is to be done, and how it went. Belongs to who asked, except between spooler_ask() and spooler_answer(). */
struct spooler_job {
	enum spooler_task task;
	struct spool_rows rows;	    /* to write; or read */
	uint64_t *gone;		    /* to forget with a write */
	size_t gone_count;
	size_t gone_size;
	struct spool_range *ranges; /* one for each device: wanted; the inventory after an open */
	size_t limit;		    /* bytes to read */
	bool newest_first;
	int64_t before_unix_ms;

	/* the answer */
	int error;
	uint64_t used_bytes;
	uint64_t file;
	uint64_t next_id;
	uint64_t unknown_rows; /* that there are, after an open; that were dropped */
	uint64_t damaged_rows; /* since the start */
};

/* As spool_new(); the thread runs from now on. */
int spooler_start(const struct settings *settings, struct spooler **ret);

/* As spool_rebind(). No job may be out. */
int spooler_rebind(struct spooler *spooler, const struct settings *settings, bool same);

/* Hand a job over. At most one at a time. */
void spooler_ask(struct spooler *spooler, struct spooler_job *job);

/* The job, once it is done, or NULL. */
struct spooler_job *spooler_answer(struct spooler *spooler);

/* Readable while a job is done and not taken back. */
int spooler_fd(const struct spooler *spooler);

/* End the thread. No job may be out. Returns false if it does not end in time: it and what it holds are left alone then. */
bool spooler_stop(struct spooler *spooler, int timeout_ms);

#endif
