#include "sim/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/control.h"
#include "sim/loop.h"

int
journal_init(struct journal *journal)
{
	*journal = (struct journal){ .entries = calloc(JOURNAL_ENTRIES, sizeof(struct entry)) };
	return journal->entries ? 0 : -ENOMEM;
}

static void
entry_done(struct entry *entry)
{
	free((void *)(uintptr_t)entry->request.data); /* const for all others */
	free((void *)(uintptr_t)entry->reply);
	entry->request.data = NULL;
	entry->reply = NULL;
}

void
journal_done(struct journal *journal)
{
	for (size_t i = 0; journal->entries && i < JOURNAL_ENTRIES; i++)
		entry_done(&journal->entries[i]);
	free(journal->entries);
}

static struct json_object *
outcome_json(const struct entry *entry)
{
	char text[64];

	switch (entry->outcome) {
	case OUTCOME_REPLY:
		return json_object_new_string("reply");
	case OUTCOME_EXCEPTION:
		snprintf(text, sizeof(text), "exception %u", (unsigned)entry->request.exception);
		return json_object_new_string(text);
	case OUTCOME_FAULT:
		snprintf(text, sizeof(text), "fault %s", entry->fault);
		return json_object_new_string(text);
	case OUTCOME_SILENCE:
		break;
	}
	return json_object_new_string("silence");
}

static void
add_int(struct json_object *object, const char *name, int64_t value)
{
	json_object_object_add(object, name, json_object_new_int64(value));
}

static struct json_object *
entry_json(const struct entry *entry, const char *event)
{
	struct json_object *object = json_object_new_object();
	const struct request *request = &entry->request;
	struct json_object *values;

	json_object_object_add(object, "event", json_object_new_string(event));
	add_int(object, "at_us", entry->at_us);
	add_int(object, "at", entry->at_unix_ms);
	add_int(object, "bus", entry->bus);
	add_int(object, "unit", entry->unit);
	add_int(object, "function", request->function);
	if (request->addressed) {
		add_int(object, "addr", request->addr);
		add_int(object, "count", request->count);
	}
	if (request->addressed && request->function == 23) {
		add_int(object, "read_addr", request->read_addr);
		add_int(object, "read_count", request->read_count);
	}
	if (request->writes) {
		values = json_object_new_array();
		for (unsigned i = 0; request->data && i < request_value_count(request); i++)
			json_object_array_add(values, json_object_new_int(request_value(request, i)));
		json_object_object_add(object, "values", values);
		json_object_object_add(object, "executed", json_object_new_boolean(entry->executed));
	}
	json_object_object_add(object, "outcome", outcome_json(entry));
	return object;
}

static const uint8_t *
copy(const uint8_t *bytes, size_t length)
{
	uint8_t *data = length ? malloc(length) : NULL;

	if (data)
		memcpy(data, bytes, length);
	return data;
}

uint64_t
journal_add(struct journal *journal, const struct entry *entry)
{
	struct entry *kept = &journal->entries[journal->total++ % JOURNAL_ENTRIES];

	entry_done(kept);
	*kept = *entry;
	kept->request.data = copy(entry->request.data, request_data_length(&entry->request));
	kept->reply = copy(entry->reply, entry->reply_length);
	if (journal->emit)
		control_emit(entry_json(kept, "request"));
	if (entry->request.writes)
		control_emit(entry_json(kept, "write"));
	return journal->total;
}

/* Registers only: bits are told as the bytes that carry them. */
static struct json_object *
reply_json(const struct entry *entry)
{
	struct json_object *values = json_object_new_array();
	bool bits = table_is_bits(entry->request.table);

	/* function, byte count, data: V1.1b3, 6.1 to 6.4 */
	for (size_t i = 2; i + (bits ? 0 : 1) < entry->reply_length; i += bits ? 1 : 2)
		json_object_array_add(values,
		    json_object_new_int(bits ? entry->reply[i] : entry->reply[i] << 8 | entry->reply[i + 1]));
	return values;
}

/* Never later than it was: the monotonic clock is read last, should somebody else get the processor between the two. */
int64_t
journal_unix_ms(int64_t at_us)
{
	int64_t unix_ms = clock_unix_ms();

	return unix_ms - (clock_mono_us() - at_us + 999) / 1000;
}

void
journal_left(const struct journal *journal, uint64_t number, int64_t at_us)
{
	const struct entry *entry;
	struct json_object *event;

	if (!journal->shown || number == 0 || number + JOURNAL_ENTRIES <= journal->total)
		return;
	entry = &journal->entries[(number - 1) % JOURNAL_ENTRIES];
	if (!entry->reply || !entry->request.reads)
		return;
	event = entry_json(entry, "shown");
	add_int(event, "asked_us", entry->at_us);
	add_int(event, "at_us", at_us);
	add_int(event, "at", journal_unix_ms(at_us));
	json_object_object_add(event, "read", reply_json(entry));
	control_emit(event);
}

struct json_object *
journal_last(const struct journal *journal, uint64_t count)
{
	struct json_object *array = json_object_new_array();
	uint64_t held = journal->total < JOURNAL_ENTRIES ? journal->total : JOURNAL_ENTRIES;

	for (uint64_t i = count < held ? count : held; i > 0; i--)
		json_object_array_add(
		    array, entry_json(&journal->entries[(journal->total - i) % JOURNAL_ENTRIES], "request"));
	return array;
}
