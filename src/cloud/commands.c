#include "cloud/commands.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/exception.h"

struct pending {
	uint32_t generation;	 /* of those that had this place */
	struct awaiter *awaiter; /* NULL: the place is free */
	size_t index;
	struct pending *next_free;
};

struct commands {
	struct command_sink sink;
	struct pending *free;
	size_t count;
	struct pending table[COMMANDS_MAX];
};

/* Of all places, those that nobody awaits. */
static void
free_all(struct commands *commands)
{
	commands->free = NULL;
	commands->count = 0;
	for (size_t i = COMMANDS_MAX; i-- > 0;) {
		struct pending *pending = &commands->table[i];

		if (pending->awaiter) {
			commands->count++;
			continue;
		}
		pending->next_free = commands->free;
		commands->free = pending;
	}
}

struct commands *
commands_new(struct command_sink sink)
{
	struct commands *commands = calloc(1, sizeof(*commands));

	if (!commands)
		return NULL;
	commands->sink = sink;
	free_all(commands);
	return commands;
}

void
commands_free(struct commands *commands)
{
	free(commands);
}

void
command_group_add(
    struct command_group *group, const struct command *command, struct awaiter *awaiter, size_t index)
{
	assert(group->count < COMMAND_GROUP_MAX);
	group->commands[group->count] = *command;
	group->awaiters[group->count] = awaiter;
	group->indexes[group->count++] = index;
}

static struct pending *
take(struct commands *commands, struct awaiter *awaiter, size_t index)
{
	struct pending *pending = commands->free;

	commands->free = pending->next_free;
	commands->count++;
	pending->generation++;
	pending->awaiter = awaiter;
	pending->index = index;
	return pending;
}

static void
give(struct commands *commands, struct pending *pending)
{
	pending->awaiter = NULL;
	pending->next_free = commands->free;
	commands->free = pending;
	commands->count--;
}

/* The one that a tag stands for, unless it is over. */
static struct pending *
find(struct commands *commands, uint64_t tag)
{
	uint64_t slot = tag & 0xffffffff;
	struct pending *pending;

	if (slot >= COMMANDS_MAX)
		return NULL;
	pending = &commands->table[slot];
	return pending->awaiter && pending->generation == tag >> 32 ? pending : NULL;
}

int
commands_push(struct commands *commands, const struct command_group *group)
{
	struct command tagged[COMMAND_GROUP_MAX];
	struct pending *pending[COMMAND_GROUP_MAX];

	if (group->count > COMMANDS_MAX - commands->count)
		return -EBUSY;
	for (size_t i = 0; i < group->count; i++) {
		pending[i] = take(commands, group->awaiters[i], group->indexes[i]);
		tagged[i] = group->commands[i];
		tagged[i].tag =
		    (uint64_t)pending[i]->generation << 32 | (uint64_t)(pending[i] - commands->table);
	}
	if (commands->sink.push(commands->sink.ctx, tagged, group->count) == 0)
		return 0;
	for (size_t i = group->count; i-- > 0;)
		give(commands, pending[i]);
	return -EBUSY;
}

void
commands_outcome(struct commands *commands, struct outcome *outcome)
{
	struct pending *pending = find(commands, outcome->tag);

	if (pending) {
		struct awaiter *awaiter = pending->awaiter;
		size_t index = pending->index;

		give(commands, pending);
		awaiter->outcome(awaiter, index, outcome);
	}
	value_done(&outcome->value);
}

/* A tag means a place and its generation. */
void
commands_adopt(struct commands *commands, struct commands *from)
{
	assert(commands->count == 0);
	memcpy(commands->table, from->table, sizeof(commands->table));
	free_all(commands);
	for (size_t i = 0; i < COMMANDS_MAX; i++)
		from->table[i].awaiter = NULL;
	free_all(from);
}

void
commands_give(struct commands *commands, const struct awaiter *from, struct awaiter *to)
{
	for (size_t i = 0; i < COMMANDS_MAX; i++)
		if (commands->table[i].awaiter == from)
			commands->table[i].awaiter = to;
}

static void
ignore(struct awaiter *awaiter, size_t index, struct outcome *outcome)
{
	(void)awaiter, (void)index, (void)outcome;
}

void
commands_abandon(struct commands *commands, struct awaiter *awaiter)
{
	static struct awaiter nobody = { .outcome = ignore };

	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct pending *pending = &commands->table[i];
		struct outcome outcome = { .status = OUTCOME_TIMEOUT };

		if (pending->awaiter != awaiter)
			continue;
		pending->awaiter = &nobody;
		awaiter->outcome(awaiter, pending->index, &outcome);
	}
}

size_t
commands_pending(const struct commands *commands)
{
	return commands->count;
}

bool
outcome_is_good(const struct outcome *outcome)
{
	return outcome->status == OUTCOME_DONE || outcome->status == OUTCOME_UNCHANGED;
}

bool
outcome_is_final(const struct outcome *outcome)
{
	switch (outcome->status) {
	case OUTCOME_EXCEPTION:
		return !exception_is_passing(outcome->exception);
	case OUTCOME_REFUSED:
	case OUTCOME_DIFFERENT:
	case OUTCOME_UNVERIFIED:
		return true;
	default:
		return false;
	}
}
