/* What is said over the control socket: a request is one line of words, "status" or "log-level debug"; its answer is one line of
 * JSON, {"fieldgate":"0.1.0","protocol":1,"ok":true,...} or {...,"ok":false,"error":"what is wrong"}. A client may ask again
 * after the answer. Everything about a request is in model-free text, so that a client of another version is understood as far
 * as it goes.
 */
#ifndef CONTROL_PROTOCOL_H
#define CONTROL_PROTOCOL_H

#include <stddef.h>

#define CONTROL_PROTOCOL    1 /* changes when a client of before would misread what it gets */
#define CONTROL_REQUEST_MAX 256
#define CONTROL_WORDS_MAX   4
#define CONTROL_ANSWER_MAX  (64u << 20) /* more is no answer of ours */

struct control_request {
	size_t count;
	const char *words[CONTROL_WORDS_MAX]; /* in `text` */
	char text[CONTROL_REQUEST_MAX];
};

/* Understand a line without its end: words of printable characters with single spaces between them; a word may stand in double
 * quotes, inside which a backslash takes the next character as it is. `line` need not be terminated.
 * Returns 0; -EINVAL for anything else; -EMSGSIZE if it is too long or has too many words. */
int control_request_parse(const char *line, size_t length, struct control_request *ret);

/* Write the words as a line, without its end. Returns its length or -EMSGSIZE. */
int control_request_write(const char *const *words, size_t count, char *text, size_t size);

/* Where the socket is: `path` if given, else control.sock in $RUNTIME_DIRECTORY or /run/fieldgate. Written to `text`. Returns 0
 * or -ENAMETOOLONG: the system takes less than 108 bytes. */
int control_path(const char *path, char *text, size_t size);

#endif
