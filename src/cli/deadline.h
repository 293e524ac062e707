/* The end of the process has a deadline. Each part of it has one of its own (cli/gateway.h); this is for what hangs in a call that
 * cannot be ended, such as a file on a disk that does not answer.
 */
#ifndef CLI_DEADLINE_H
#define CLI_DEADLINE_H

#include <stdint.h>

/* Unless it has ended before, the process ends then, with this status and a line in the log. Once, by the main thread. Without
 * memory for a thread there is no deadline. */
void deadline_start(int64_t until_mono_ms, int status);

#endif
