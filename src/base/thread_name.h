/* What ps -L and top -H call the thread that calls this, so that who looks for the one that is busy finds it: 15 bytes of it.
 */
#ifndef BASE_THREAD_NAME_H
#define BASE_THREAD_NAME_H

#include <sys/prctl.h>

static inline void
thread_name(const char *name)
{
	(void)prctl(PR_SET_NAME, name);
}

#endif
