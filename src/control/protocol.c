#include "control/protocol.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SOCKET_FOLDER "/run/fieldgate"
#define SOCKET_NAME   "control.sock"

/* Bytes of UTF-8 are taken as they are. */
static bool
is_printable(char c)
{
	return (unsigned char)c >= 0x20 && (unsigned char)c != 0x7f;
}

/* Take one word from `*line` to `*to`. Returns false if it is not one. */
static bool
take_word(const char **line, const char *end, char **to)
{
	const char *at = *line;
	bool quoted = at < end && *at == '"';
	bool closed = !quoted;

	at += quoted;
	while (at < end && (quoted ? *at != '"' : *at != ' ')) {
		if (!quoted && *at == '"')
			return false;
		if (quoted && *at == '\\' && ++at == end)
			return false;
		if (!is_printable(*at))
			return false;
		*(*to)++ = *at++;
	}
	if (quoted && at < end) {
		closed = true;
		at++;
	}
	*(*to)++ = '\0';
	if (!closed || (at < end && *at != ' ') || (!quoted && at == *line))
		return false;
	*line = at;
	return true;
}

int
control_request_parse(const char *line, size_t length, struct control_request *ret)
{
	const char *end = line + length;
	char *to = ret->text;

	ret->count = 0;
	if (length >= CONTROL_REQUEST_MAX)
		return -EMSGSIZE;
	for (;;) {
		const char *word = to;

		if (ret->count == CONTROL_WORDS_MAX)
			return -EMSGSIZE;
		if (!take_word(&line, end, &to))
			return -EINVAL;
		ret->words[ret->count++] = word;
		if (line == end)
			return 0;
		line++;
	}
}

int
control_request_write(const char *const *words, size_t count, char *text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		const char *word = words[i];

		if (2 * strlen(word) + 4 > size - used)
			return -EMSGSIZE;
		if (i > 0)
			text[used++] = ' ';
		text[used++] = '"';
		for (; *word; word++) {
			if (*word == '"' || *word == '\\')
				text[used++] = '\\';
			text[used++] = *word;
		}
		text[used++] = '"';
	}
	return (int)used;
}

int
control_path(const char *path, char *text, size_t size)
{
	const char *list = getenv("RUNTIME_DIRECTORY"); /* systemd's, the first of several counts */
	size_t length = list ? strcspn(list, ":") : 0;
	int used;

	if (size > sizeof(((struct sockaddr_un *)NULL)->sun_path))
		size = sizeof(((struct sockaddr_un *)NULL)->sun_path);
	if (path)
		used = snprintf(text, size, "%s", path);
	else if (length > 0)
		used = snprintf(text, size, "%.*s/%s", (int)length, list, SOCKET_NAME);
	else
		used = snprintf(text, size, "%s/%s", SOCKET_FOLDER, SOCKET_NAME);
	return used < 0 || (size_t)used >= size ? -ENAMETOOLONG : 0;
}
