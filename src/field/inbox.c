#include "field/inbox.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#define QUESTIONS_MAX 4

int
inbox_init(struct inbox *inbox, const struct thread *thread, size_t commands_max)
{
	*inbox = (struct inbox){
		.commands = fifo_new(sizeof(struct inbox_command), commands_max),
		.questions = fifo_new(sizeof(struct health_question), QUESTIONS_MAX),
		.calm_fd = -1,
		.news_fd = -1,
	};
	if (!inbox->commands || !inbox->questions)
		return -errno;
	inbox->calm_fd = thread_watch_both(thread_pause_fd(thread), fifo_fd(inbox->questions));
	if (inbox->calm_fd >= 0)
		inbox->news_fd = thread_watch_both(inbox->calm_fd, fifo_fd(inbox->commands));
	return inbox->news_fd >= 0 ? 0 : -errno;
}

void
inbox_done(struct inbox *inbox)
{
	if (!inbox->commands && !inbox->questions)
		return;
	if (inbox->news_fd >= 0)
		close(inbox->news_fd);
	if (inbox->calm_fd >= 0)
		close(inbox->calm_fd);
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
inbox_command(struct inbox *inbox, struct inbox_command *ret)
{
	return fifo_pop(inbox->commands, ret, 1) == 1;
}

bool
inbox_question(struct inbox *inbox, struct health_question *ret)
{
	return fifo_pop(inbox->questions, ret, 1) == 1;
}

int
inbox_fd(const struct inbox *inbox, bool commands)
{
	return commands ? inbox->news_fd : inbox->calm_fd;
}
