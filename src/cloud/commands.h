/* Commands on their way to the field, and who awaits their outcomes. Bounded: a queue of outcomes with room
 * for COMMANDS_MAX never overflows. The cloud's thread.
 */
#ifndef CLOUD_COMMANDS_H
#define CLOUD_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/command.h"

#define COMMANDS_MAX 1024 /* without an outcome, all devices together */

struct commands;

/* Part of whatever asked. The outcome's value is the awaiter's if it sets the outcome's to VALUE_NONE.
 * index  as it was given with the command */
struct awaiter;
typedef void awaiter_outcome(struct awaiter *awaiter, size_t index, struct outcome *outcome);

struct awaiter {
	awaiter_outcome *outcome;
};

/* The sink's context must outlive it. Returns NULL when there is no memory. */
struct commands *commands_new(struct command_sink sink);
void commands_free(struct commands *commands);

/* Commands that are pushed together; starts with count = 0. */
struct command_group {
	size_t count;
	struct command commands[COMMAND_GROUP_MAX];
	struct awaiter *awaiters[COMMAND_GROUP_MAX];
	size_t indexes[COMMAND_GROUP_MAX];
};

/* Add one to a group that is not full. */
void command_group_add(
    struct command_group *group, const struct command *command, struct awaiter *awaiter, size_t index);

/* Push a group of at least one, all of one bus. Returns 0, the values are taken, and each awaiter, which must
 * live until then, gets one outcome; or -EBUSY, and everything is as it was. */
int commands_push(struct commands *commands, const struct command_group *group);

/* Give an outcome to who awaits it; takes its value. */
void commands_outcome(struct commands *commands, struct outcome *outcome);

/* Whatever has no outcome in `from` is awaited here, where nothing was pushed yet; `from` is left empty. */
void commands_adopt(struct commands *commands, struct commands *from);

/* What `from` awaits goes to `to`. */
void commands_give(struct commands *commands, const struct awaiter *from, struct awaiter *to);

/* `awaiter` waits no longer: for each of its commands it gets OUTCOME_TIMEOUT, without a point, at once; what comes of them
 * is for nobody. */
void commands_abandon(struct commands *commands, struct awaiter *awaiter);

/* How many have no outcome. */
size_t commands_pending(const struct commands *commands);

/* Was it done, or was there nothing to do? */
bool outcome_is_good(const struct outcome *outcome);

/* Has the unit given its answer, and it was not that? What is neither good nor final may be tried again: the
 * unit was not reached, or refused for now. */
bool outcome_is_final(const struct outcome *outcome);

#endif
