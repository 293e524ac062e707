#include "field/lore.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "field/bus_log.h"

#define SAVE_PAUSE_US 10000000

int
lore_init(struct lore *lore, const struct bus *bus, struct schedule *schedule)
{
	*lore = (struct lore){ .bus = bus, .schedule = schedule, .memory = memory_new(bus) };
	return lore->memory ? 0 : -ENOMEM;
}

void
lore_done(struct lore *lore)
{
	memory_free(lore->memory);
	lore->memory = NULL;
}

void
lore_adopt(struct lore *lore, struct lore *from)
{
	struct memory *memory = lore->memory;

	lore->memory = from->memory;
	from->memory = memory;
	memory_rebind(lore->memory, lore->bus);
	memory_rebind(memory, from->bus);
	lore->saved_us = from->saved_us;
	lore->forgetting_told = from->forgetting_told;
	from->schedule->learned = false;
}

void
lore_recall(struct lore *lore)
{
	int taken = memory_load(lore->memory, lore->schedule, clock_mono_us());

	if (taken < 0 && taken != -ENOENT && taken != -ESTALE)
		log_notice("bus %s: what was remembered about its units is lost: %s", lore->bus->name,
		    taken == -EBADMSG ? "the file is damaged" : strerror(-taken));
	if (taken <= 0)
		return;
	schedule_update(lore->schedule, clock_mono_us());
	bus_log_remembered(lore->bus, lore->schedule);
}

static void
tell_forgetting(struct lore *lore, int error)
{
	if (error == 0 || error == -EINPROGRESS || error == -EBUSY || lore->forgetting_told)
		return;
	lore->forgetting_told = true;
	log_notice("bus %s: what its units refuse is not remembered over a restart: %s", lore->bus->name,
	    error == -ENOENT ? "there is no state directory" : strerror(-error));
}

void
lore_tend(struct lore *lore)
{
	int64_t now_us = clock_mono_us();
	int error;

	tell_forgetting(lore, memory_result(lore->memory));
	if (!lore->schedule->learned || lore->schedule->outdated ||
	    (lore->saved_us > 0 && now_us - lore->saved_us < SAVE_PAUSE_US))
		return;
	error = memory_save(lore->memory, lore->schedule);
	if (error == -EBUSY)
		return;
	lore->schedule->learned = false;
	lore->saved_us = now_us;
	tell_forgetting(lore, error);
}

void
lore_keep_rest(struct lore *lore)
{
	if (lore->schedule->learned && memory_result(lore->memory) != -EINPROGRESS)
		memory_save(lore->memory, lore->schedule);
}
