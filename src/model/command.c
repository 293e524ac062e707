#include "model/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/codec.h"
#include "model/exception.h"

#define WHO_MAX 80

/* "unit 3", or "device Scale" of serial instruments */
static const char *
who_text(const struct point *point, char text[WHO_MAX])
{
	if (bus_is_line(point->bus))
		snprintf(text, WHO_MAX, "device %.60s", point->device->name);
	else
		snprintf(text, WHO_MAX, "unit %d", point->unit);
	return text;
}

static void
refusal_text(const struct outcome *outcome, char *text, size_t size)
{
	char who[WHO_MAX];

	if (bus_is_line(outcome->point->bus))
		snprintf(text, size, "%s refused", who_text(outcome->point, who));
	else
		snprintf(text, size, "%s refused: exception %d (%s)", who_text(outcome->point, who), outcome->exception,
		    exception_name(outcome->exception));
}

static void
silence_text(const struct outcome *outcome, const char *doubt, char *text, size_t size)
{
	const struct point *point = outcome->point;
	char who[WHO_MAX];

	if (outcome->error == 0 || outcome->error == ETIMEDOUT)
		snprintf(text, size, "bus %s %s: no answer%s", point->bus->name, who_text(point, who), doubt);
	else if (outcome->error == EBADMSG && bus_is_line(point->bus))
		snprintf(text, size, "bus %s %s: not the expected answer%s", point->bus->name, who_text(point, who), doubt);
	else
		snprintf(text, size, "bus %s %s: no valid answer (%s)%s", point->bus->name, who_text(point, who),
		    strerror(outcome->error), doubt);
}

static void value_words(const struct value *value, char *text, size_t size);

/* "[1, 2, 3]", cut when there is no more room */
static void
list_words(const struct value_list *list, char *text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < list->count && used + 2 < size; i++) {
		used += (size_t)snprintf(text + used, size - used, i == 0 ? "[" : ", ");
		value_words(&list->items[i], text + used, size - used);
		used += strlen(text + used);
	}
	if (used + 1 < size)
		memcpy(text + used, "]", 2);
}

static void
value_words(const struct value *value, char *text, size_t size)
{
	double number;

	if (value_text(value))
		snprintf(text, size, "'%.64s'", value_text(value));
	else if (value->kind == VALUE_LIST)
		list_words(value->list, text, size);
	else if (value->kind == VALUE_BOOL)
		snprintf(text, size, "%s", value->boolean ? "true" : "false");
	else if (value->kind == VALUE_INT)
		snprintf(text, size, "%lld", (long long)value->integer);
	else if (value->kind == VALUE_UINT)
		snprintf(text, size, "%llu", (unsigned long long)value->whole);
	else if (value_number(value, &number))
		snprintf(text, size, "%.*f", value->decimals >= 0 ? value->decimals : 6, number);
	else
		snprintf(text, size, "no value");
}

void
outcome_text(const struct outcome *outcome, enum command_kind kind, char *text, size_t size)
{
	const struct point *point = outcome->point;
	const char *bus = point->bus->name;
	char part[OUTCOME_TEXT_MAX / 2];
	char who[WHO_MAX];

	switch (outcome->status) {
	case OUTCOME_EXCEPTION:
		refusal_text(outcome, text, size);
		break;
	case OUTCOME_TIMEOUT:
		silence_text(
		    outcome, kind == COMMAND_READ ? "" : "; it may or may not have been written", text, size);
		break;
	case OUTCOME_UNVERIFIED:
		if (outcome->exception != 0)
			refusal_text(outcome, part, sizeof(part));
		else
			silence_text(outcome, "", part, sizeof(part));
		snprintf(text, size, "written, but it could not be read back: %s", part);
		break;
	case OUTCOME_DIFFERENT:
		value_words(&outcome->value, part, sizeof(part));
		snprintf(text, size, "%s took the value, but read back it is %s", who_text(point, who), part);
		break;
	case OUTCOME_REFUSED:
		codec_fault_text(point, (enum codec_fault)outcome->fault, part, sizeof(part));
		snprintf(text, size, "the value %s", part);
		break;
	case OUTCOME_OFFLINE:
		if (outcome->error == 0)
			snprintf(text, size, "bus %s: offline", bus);
		else
			snprintf(text, size, "bus %s: offline (%s)", bus, strerror(outcome->error));
		break;
	case OUTCOME_AWAY:
		snprintf(text, size, "bus %s %s: no answer%s", bus, who_text(point, who),
		    kind == COMMAND_READ ? "" : ", nothing was written");
		break;
	case OUTCOME_EXPIRED:
		snprintf(
		    text, size, "bus %s: busy for too long, the request expired and nothing was sent", bus);
		break;
	case OUTCOME_STOPPED:
		snprintf(text, size, "the gateway is stopping or takes over other settings, or its queue is full: nothing was sent");
		break;
	case OUTCOME_DONE:
	case OUTCOME_UNCHANGED:
		snprintf(text, size, "done");
		break;
	}
}
