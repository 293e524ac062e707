/* Which writes were taken, and what was answered, for the next process: the server gives it every request
 * that was not answered, and a command must not be executed twice because the first process was killed. A
 * small file of fixed size, in memory ($RUNTIME_DIRECTORY) where there is such a folder: it survives kill -9
 * and a restart of the service, not a restart of the computer, and no flash is worn. One thread.
 */
#ifndef CLOUD_JOURNAL_H
#define CLOUD_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

struct journal;

/* What one request was: its device (a hash of the name), its id, a hash of its payload. */
struct journal_request {
	uint64_t device;
	int64_t id;
	uint64_t hash;
};

struct journal_entry {
	struct journal_request request;
	int64_t mono_ms;   /* when it was taken, or answered */
	const char *reply; /* NULL: what came of it is not known */
	size_t length;
};

/* The file in `dir`; what is damaged or of another boot is ignored. Returns NULL with errno set. */
struct journal *journal_open(const char *dir);
void journal_close(struct journal *journal);

/* What the file held when it was opened, oldest first: who has no room for all keeps the newest. */
void journal_each(
    const struct journal *journal, void (*each)(void *ctx, const struct journal_entry *entry), void *ctx);

/* A request is about to be executed. Never waits for a disk. NULL is fine for the journal.
 * Returns a number for it, or -1 if it could not be written down. */
int64_t journal_take(struct journal *journal, const struct journal_request *request);

/* What it was answered; longer than some 450 bytes is not kept, so that its outcome is not known. */
void journal_answer(struct journal *journal, int64_t number, const char *reply, size_t length);

/* It was not executed after all. */
void journal_drop(struct journal *journal, int64_t number);

#endif
