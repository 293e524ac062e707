/* Memory that runs out when a test wants it: linked with $(FAKE_MEMORY), what our own code allocates goes through here; what
 * libraries allocate does not. */
#ifndef FAKE_MEMORY_H
#define FAKE_MEMORY_H

/* Of the allocations from now on this one fails, counted from 0, and no other; none if it is negative. */
void memory_fail(long which);

/* How many allocations there were since. */
long memory_asked(void);

#endif
