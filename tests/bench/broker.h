/* The bench's loop: listener, commands, signals, timers. One thread. */
#ifndef BENCH_BROKER_H
#define BENCH_BROKER_H

#include "bench/bench.h"

/* Set all knobs to what a ThingsBoard has out of the box. Returns 0 or negative errno. */
int broker_init(struct bench *bench, const char *host, uint16_t port);
void broker_done(struct bench *bench);

/* Listen on bench->port; port 0 becomes the one that was found. Returns 0 or negative errno. */
int broker_listen(struct bench *bench);

/* Stop listening and close everything. */
void broker_stop(struct bench *bench, bool reset);

/* A round at a time until bench->done. */
void broker_run(struct bench *bench);

/* Have `source` watched for input. Returns 0 or negative errno. */
int broker_watch(struct bench *bench, struct source *source);

#endif
