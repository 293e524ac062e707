#include "field/inbox.h"

#include <assert.h>
#include <errno.h>

#define QUESTIONS_MAX 4

int
inbox_init(struct inbox *inbox, const struct thread *thread, size_t commands_max)
{
	int bell_fd = thread_bell_fd(thread);

	inbox->commands = fifo_new_ringing(sizeof(struct inbox_command), commands_max, bell_fd);
	inbox->questions = fifo_new_ringing(sizeof(struct health_question), QUESTIONS_MAX, bell_fd);
	return inbox->commands && inbox->questions ? 0 : -ENOMEM;
}

void
inbox_done(struct inbox *inbox)
{
	fifo_free(inbox->commands);
	fifo_free(inbox->questions);
	inbox->commands = inbox->questions = NULL;
}

int
inbox_push(struct inbox *inbox, const struct command *commands, size_t count)
{
	struct inbox_command queued[COMMAND_GROUP_MAX];

	assert(count <= COMMAND_GROUP_MAX);
	for (size_t i = 0; i < count; i++)
		queued[i] = (struct inbox_command){ .command = commands[i], .more = i + 1 < count };
	return fifo_push_all(inbox->commands, queued, count) ? 0 : -EBUSY;
}

int
inbox_ask(struct inbox *inbox, const struct health_question *question)
{
	return fifo_push(inbox->questions, question, 1) == 1 ? 0 : -EBUSY;
}

bool
inbox_command(struct inbox *inbox, size_t room, struct inbox_command *ret)
{
	inbox->left = room == 0 || fifo_pop(inbox->commands, ret, 1) == 1;
	return inbox->left && room > 0;
}

bool
inbox_waits(const struct inbox *inbox, size_t room)
{
	return inbox->left && room > 0;
}

bool
inbox_question(struct inbox *inbox, struct health_question *ret)
{
	return fifo_pop(inbox->questions, ret, 1) == 1;
}
