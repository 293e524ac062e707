/* Any line on the control socket: it is refused, or its words can be written as a line again that means the same. And any text
 * taken for an answer: tables and metrics are made of it, whatever it lacks. The first byte says which. */
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/prometheus.h"
#include "control/protocol.h"
#include "control/table.h"
#include "control/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
try_line(const char *line, size_t length)
{
	struct control_request request, again;
	char text[4 * CONTROL_REQUEST_MAX];
	int written;

	if (control_request_parse(line, length, &request) < 0)
		return;
	require(request.count >= 1 && request.count <= CONTROL_WORDS_MAX);
	written = control_request_write(request.words, request.count, text, sizeof(text));
	require(written >= 0);
	if (written >= CONTROL_REQUEST_MAX)
		return; /* quotes made it too long */
	require(control_request_parse(text, (size_t)written, &again) == 0 && again.count == request.count);
	for (size_t i = 0; i < request.count; i++)
		require(strcmp(request.words[i], again.words[i]) == 0);
}

static void
try_answer(const char *bytes, size_t length)
{
	char *text = malloc(length + 1);
	FILE *out = fopen("/dev/null", "w");
	struct json_object *answer;

	require(text && out);
	memcpy(text, bytes, length);
	text[length] = '\0';
	answer = json_tokener_parse(text);
	table_print(answer, true, out);
	table_print(answer, false, out);
	prometheus_print(answer, out);
	watch_print_news(NULL, answer, NULL, out);
	watch_print_news(answer, answer, NULL, out);
	json_object_put(answer);
	fclose(out);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == '{')
		try_answer((const char *)data, size);
	else
		try_line((const char *)data, size);
	return 0;
}
