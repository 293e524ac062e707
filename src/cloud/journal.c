#include "cloud/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/wall.h"

#define FILE_NAME "commands"
#define MAGIC	  0x31434746u /* "FGC1" */
#define RECORD	  512
#define RECORDS	  256 /* more than are answered again: 4 a second for a minute */

enum state { STATE_FREE, STATE_TAKEN, STATE_ANSWERED };

struct head {
	uint64_t check; /* hash of all that follows */
	uint32_t magic;
	uint32_t boot;
	uint64_t number; /* counts on from process to process; its place is the remainder by RECORDS */
	struct journal_request request;
	int64_t mono_ms;
	uint32_t state;
	uint32_t length; /* of the reply */
};

struct record {
	struct head head;
	char reply[RECORD - sizeof(struct head)];
};

static_assert(sizeof(struct record) == RECORD, "records follow one another");

struct journal {
	int fd;
	uint32_t boot;
	uint64_t next;
	bool failed; /* and the log says so */
	struct record records[RECORDS];
};

static uint64_t
check_of(const struct record *record)
{
	return hash_bytes(
	    (const char *)record + sizeof(record->head.check), sizeof(*record) - sizeof(record->head.check));
}

static bool
is_valid(const struct journal *journal, const struct record *record)
{
	return record->head.magic == MAGIC && record->head.boot == journal->boot &&
	       record->head.state <= STATE_ANSWERED && record->head.length <= sizeof(record->reply) &&
	       record->head.check == check_of(record);
}

/* What cannot be read is not there. */
static void
load(struct journal *journal)
{
	ssize_t length = pread(journal->fd, journal->records, sizeof(journal->records), 0);
	size_t whole = length > 0 ? (size_t)length / RECORD : 0;

	for (size_t i = 0; i < RECORDS; i++) {
		struct record *record = &journal->records[i];

		if (i >= whole || !is_valid(journal, record))
			memset(record, 0, sizeof(*record));
		else if (record->head.number >= journal->next)
			journal->next = record->head.number + 1;
	}
}

struct journal *
journal_open(const char *dir)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	char path[4096];
	int error;

	if (!journal)
		return NULL;
	journal->boot = wall_boot_tag();
	snprintf(path, sizeof(path), "%s/%s", dir, FILE_NAME);
	journal->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (journal->fd < 0) {
		error = errno;
		free(journal);
		errno = error;
		return NULL;
	}
	load(journal);
	return journal;
}

void
journal_close(struct journal *journal)
{
	if (!journal)
		return;
	close(journal->fd);
	free(journal);
}

void
journal_each(
    const struct journal *journal, void (*each)(void *ctx, const struct journal_entry *entry), void *ctx)
{
	for (size_t i = 0; i < RECORDS; i++) {
		const struct record *record = &journal->records[(journal->next + i) % RECORDS];
		struct journal_entry entry = { .request = record->head.request,
			.mono_ms = record->head.mono_ms };

		if (record->head.state == STATE_ANSWERED) {
			entry.reply = record->reply;
			entry.length = record->head.length;
		}
		if (record->head.state != STATE_FREE)
			each(ctx, &entry);
	}
}

/* Returns false if it cannot be written, which is said once. */
static bool
put(struct journal *journal, struct record *record)
{
	off_t at = (off_t)(record - journal->records) * RECORD;

	record->head.check = check_of(record);
	if (pwrite(journal->fd, record, sizeof(*record), at) == (ssize_t)sizeof(*record)) {
		journal->failed = false;
		return true;
	}
	if (!journal->failed)
		log_warning(
		    "the journal of commands cannot be written: %s: one that the server sends again to a "
		    "new process would be executed again",
		    strerror(errno));
	journal->failed = true;
	return false;
}

int64_t
journal_take(struct journal *journal, const struct journal_request *request)
{
	struct record *record;

	if (!journal)
		return -1;
	record = &journal->records[journal->next % RECORDS];
	memset(record, 0, sizeof(*record));
	record->head = (struct head){
		.magic = MAGIC,
		.boot = journal->boot,
		.number = journal->next,
		.request = *request,
		.mono_ms = clock_mono_ms(),
		.state = STATE_TAKEN,
	};
	return put(journal, record) ? (int64_t)journal->next++ : -1;
}

/* The record of that number, unless a newer one has its place. */
static struct record *
find(struct journal *journal, int64_t number)
{
	struct record *record;

	if (!journal || number < 0)
		return NULL;
	record = &journal->records[(uint64_t)number % RECORDS];
	return record->head.number == (uint64_t)number && record->head.state == STATE_TAKEN ? record : NULL;
}

void
journal_answer(struct journal *journal, int64_t number, const char *reply, size_t length)
{
	struct record *record = find(journal, number);

	if (!record || length > sizeof(record->reply))
		return;
	memcpy(record->reply, reply, length);
	record->head.length = (uint32_t)length;
	record->head.state = STATE_ANSWERED;
	record->head.mono_ms = clock_mono_ms();
	put(journal, record);
}

void
journal_drop(struct journal *journal, int64_t number)
{
	struct record *record = find(journal, number);

	if (!record)
		return;
	record->head.state = STATE_FREE;
	put(journal, record);
}
