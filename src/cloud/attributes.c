#include "cloud/attributes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/tb_json.h"

#define MEMBER_MAX  4096
#define STRIKES_MAX 3

struct slot {
	char *text; /* `"key":value`; NULL until there is a value */
	size_t length;
	bool dirty; /* the server lacks it */
	bool sent;  /* in the message that waits for its PUBACK */
	bool doubted;
	bool dropped; /* the server does not take this value */
	unsigned char strikes;
};

struct attributes {
	const struct device *device;
	size_t count;
	size_t dirty;
	struct slot slots[]; /* one for each point of the device, then the facts */
};

struct attributes *
attributes_new(const struct device *device, size_t facts)
{
	size_t count = device->point_count + facts;
	struct attributes *attributes = calloc(1, sizeof(*attributes) + count * sizeof(attributes->slots[0]));

	if (!attributes)
		return NULL;
	attributes->device = device;
	attributes->count = count;
	return attributes;
}

void
attributes_free(struct attributes *attributes)
{
	if (!attributes)
		return;
	for (size_t i = 0; i < attributes->count; i++)
		free(attributes->slots[i].text);
	free(attributes);
}

/* Those that are the same as before need not be sent again. */
static void
adopt_facts(struct attributes *attributes, const struct attributes *from)
{
	struct slot *slots = attributes->slots + attributes->device->point_count;
	const struct slot *old = from->slots + from->device->point_count;

	for (size_t i = 0; i < attributes->count - attributes->device->point_count; i++) {
		if (!slots[i].text || !old[i].text || slots[i].length != old[i].length ||
		    memcmp(slots[i].text, old[i].text, old[i].length) != 0)
			continue;
		attributes->dirty -= slots[i].dirty && !old[i].dirty;
		slots[i].dirty = old[i].dirty;
		slots[i].sent = old[i].sent;
	}
}

void
attributes_adopt(struct attributes *attributes, struct attributes *from, const struct difference *difference)
{
	for (size_t i = 0; i < attributes->device->point_count; i++) {
		const struct point *was = difference_point(difference, &attributes->device->points[i]);
		struct slot *old = was ? &from->slots[was - from->device->points] : NULL;

		if (!old)
			continue;
		attributes->slots[i] = *old;
		attributes->dirty += old->dirty;
		*old = (struct slot){ .text = NULL };
	}
	adopt_facts(attributes, from);
}

static void
make_dirty(struct attributes *attributes, struct slot *slot)
{
	if (slot->dropped)
		return;
	attributes->dirty += !slot->dirty;
	slot->dirty = true;
}

static int
set(struct attributes *attributes, struct slot *slot, const char *key, const struct value *value)
{
	char member[MEMBER_MAX];
	int length = tb_json_member(key, value, true, member, sizeof(member));
	char *text;

	if (length < 0)
		return -EINVAL;
	if (slot->text && slot->length == (size_t)length && memcmp(slot->text, member, slot->length) == 0)
		return 0;
	text = realloc(slot->text, (size_t)length);
	if (!text)
		return -ENOMEM;
	memcpy(text, member, (size_t)length);
	slot->text = text;
	slot->length = (size_t)length;
	/* Another value is not to blame for the last one, nor does its PUBACK count for this. */
	slot->doubted = slot->dropped = slot->sent = false;
	slot->strikes = 0;
	make_dirty(attributes, slot);
	return 0;
}

int
attributes_set(struct attributes *attributes, const struct point *point, const struct value *value)
{
	return set(attributes, &attributes->slots[point - attributes->device->points], point->key, value);
}

int
attributes_set_fact(struct attributes *attributes, size_t fact, const char *key, const struct value *value)
{
	return set(attributes, &attributes->slots[attributes->device->point_count + fact], key, value);
}

bool
attributes_due(const struct attributes *attributes)
{
	return attributes->dirty > 0;
}

static bool
put_slot(struct attributes *attributes, struct slot *slot, char *payload, size_t size, struct attributes_message *message)
{
	if (message->length + slot->length + 2 > size)
		return false;
	payload[message->length] = message->length == 0 ? '{' : ',';
	memcpy(payload + message->length + 1, slot->text, slot->length);
	message->length += 1 + slot->length;
	message->values++;
	slot->dirty = false;
	slot->sent = true;
	attributes->dirty--;
	return true;
}

struct attributes_message
attributes_build(struct attributes *attributes, char *payload, size_t size, unsigned values_max)
{
	struct attributes_message message = { .length = 0 };
	struct slot *doubted = NULL;

	for (size_t i = 0; attributes->dirty > 0 && message.values < values_max && i < attributes->count; i++) {
		struct slot *slot = &attributes->slots[i];

		if (slot->dirty && slot->doubted)
			doubted = doubted ? doubted : slot;
		else if (slot->dirty)
			put_slot(attributes, slot, payload, size, &message);
	}
	if (message.values == 0 && doubted)
		message.trial = put_slot(attributes, doubted, payload, size, &message);
	if (message.values > 0)
		payload[message.length++] = '}';
	return message;
}

void
attributes_confirm(struct attributes *attributes)
{
	for (size_t i = 0; i < attributes->count; i++)
		if (attributes->slots[i].sent) {
			attributes->slots[i].sent = false;
			attributes->slots[i].doubted = false;
			attributes->slots[i].strikes = 0;
		}
}

void
attributes_unsend(struct attributes *attributes)
{
	for (size_t i = 0; i < attributes->count; i++)
		if (attributes->slots[i].sent) {
			attributes->slots[i].sent = false;
			make_dirty(attributes, &attributes->slots[i]);
		}
}

void
attributes_rewind(struct attributes *attributes)
{
	for (size_t i = 0; i < attributes->count; i++) {
		attributes->slots[i].sent = false;
		if (attributes->slots[i].text)
			make_dirty(attributes, &attributes->slots[i]);
	}
}

const char *
attributes_doubt(struct attributes *attributes, bool proven, bool for_good, size_t *ret_length)
{
	const char *dropped = NULL;
	size_t sent = 0;

	for (size_t i = 0; i < attributes->count; i++)
		sent += attributes->slots[i].sent;
	for (size_t i = 0; i < attributes->count; i++) {
		struct slot *slot = &attributes->slots[i];

		if (!slot->sent)
			continue;
		if (proven && slot->doubted)
			slot->strikes++;
		slot->doubted = true;
		if (slot->strikes >= STRIKES_MAX || (for_good && sent == 1)) {
			slot->dropped = true;
			dropped = slot->text;
			*ret_length = slot->length;
		}
	}
	attributes_unsend(attributes);
	return dropped;
}
