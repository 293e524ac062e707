/* What a bus has learned about its units and would be slow to learn again: points that they refuse, whether
 * they refuse holes or long reads. A small file in the state directory (STATE_DIRECTORY, as systemd sets it),
 * one a bus, written seldom, whole, and by a thread of its own that lives for that, since a disk may take its
 * time.
 *
 * It says which bus it is of and carries a checksum: what does not fit, or is damaged, is not used at all;
 * points and units that are not configured any more are passed over. Without a directory nothing is kept. One
 * thread.
 */
#ifndef FIELD_MEMORY_H
#define FIELD_MEMORY_H

#include "field/schedule.h"

struct memory;

/* Returns NULL when there is no memory of the other kind. */
struct memory *memory_new(const struct bus *bus);

/* Waits for what is being written. NULL is fine. */
void memory_free(struct memory *memory);

/* The settings are others, in which the bus is the same. */
void memory_rebind(struct memory *memory, const struct bus *bus);

/* Tell the schedule what was kept. Returns how many points and units that is; -ENOENT if nothing was kept or
 * can be; -ESTALE if it is of another line; -EBADMSG if it is damaged; other negative errno. */
int memory_load(const struct memory *memory, struct schedule *schedule, int64_t now_us);

/* Begin to keep what the schedule has learned. Returns 0; -EBUSY while the last is being written; -ENOENT if
 * there is no state directory; other negative errno. */
int memory_save(struct memory *memory, const struct schedule *schedule);

/* What came of it: -EINPROGRESS; 0, also if nothing was to be written; negative errno. Each result is given
 * once. */
int memory_result(struct memory *memory);

#endif
