/* Keeps small files in the state directory that must not be lost: whole or not at all, on the disk before it is said to be kept,
 * readable by nobody else. A thread of its own waits for the disk; it is started with the first file. Owned by the cloud's thread.
 */
#ifndef CLOUD_KEEPER_H
#define CLOUD_KEEPER_H

#include <stddef.h>
#include <systemd/sd-event.h>

struct keeper;

/* `dir` may be NULL: then nothing can be kept. Returns NULL with errno set. */
struct keeper *keeper_new(sd_event *loop, const char *dir);

/* Waits for what is being written; `done` is not called any more. NULL is fine. */
void keeper_free(struct keeper *keeper);

/* DIR/KIND-NAME-SUM, to be freed; NULL without memory or folder. Letters of the name that a file cannot have are replaced, and
 * the sum keeps names apart. */
char *keeper_path(const struct keeper *keeper, const char *kind, const char *name);

/* Could a file be kept now? Returns 0 or negative errno. */
int keeper_probe(const struct keeper *keeper);

/* Returns the text, terminated and to be freed, or NULL with errno set: ENOENT if nothing was kept; EBADMSG if it is no text or
 * absurdly long. */
char *keeper_read(const char *path);

/* Begin to write `text`. `done` is called from the loop with 0 or negative errno. Returns 0; -EBUSY when too many wait; other
 * negative errno. Both texts are copied. */
int keeper_write(struct keeper *keeper, const char *path, const char *text, void (*done)(void *ctx, int error), void *ctx);

/* What is being written is written, and nobody told whose `ctx` is from `begin` up to before `end`. */
void keeper_forget(struct keeper *keeper, const void *begin, const void *end);

#endif
