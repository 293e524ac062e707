/* What the system knows of this process. */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include "model/health.h"

/* What cannot be found out is 0. */
void process_look(struct health_process *ret, int64_t started_mono_us);

#endif
