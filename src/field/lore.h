/* When what a bus has learned of its units is kept (field/memory.h) and taken out again, and what is said of it. One thread, the
 * bus's worker.
 */
#ifndef FIELD_LORE_H
#define FIELD_LORE_H

#include "field/memory.h"

struct lore {
	const struct bus *bus;
	struct schedule *schedule;
	struct memory *memory;
	int64_t saved_us;     /* when it was told to keep something */
	bool forgetting_told; /* the log says that it cannot */
};

/* The schedule must outlive it. Returns 0 or -ENOMEM. */
int lore_init(struct lore *lore, const struct bus *bus, struct schedule *schedule);
void lore_done(struct lore *lore);

/* Neither is used: go on where `from` has been, which keeps nothing any more. */
void lore_adopt(struct lore *lore, struct lore *from);

/* Take out what an earlier run has kept, once, before the first poll. */
void lore_recall(struct lore *lore);

/* Keep what was learned, once the plan that it led to stands. */
void lore_tend(struct lore *lore);

/* The last chance, whatever the plan. */
void lore_keep_rest(struct lore *lore);

#endif
