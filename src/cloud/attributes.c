#include "cloud/attributes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/tb_json.h"

#define MEMBER_MAX 4096

struct slot {
	char *text; /* `"key":value`; NULL until there is a value */
	size_t length;
	bool dirty; /* the server lacks it */
	bool sent;  /* in the message that waits for its PUBACK */
};

struct attributes {
	const struct device *device;
	size_t dirty;
	struct slot slots[]; /* one for each point of the device */
};

struct attributes *
attributes_new(const struct device *device)
{
	struct attributes *attributes =
	    calloc(1, sizeof(*attributes) + device->point_count * sizeof(attributes->slots[0]));

	if (attributes)
		attributes->device = device;
	return attributes;
}

void
attributes_free(struct attributes *attributes)
{
	if (!attributes)
		return;
	for (size_t i = 0; i < attributes->device->point_count; i++)
		free(attributes->slots[i].text);
	free(attributes);
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
}

static void
make_dirty(struct attributes *attributes, struct slot *slot)
{
	attributes->dirty += !slot->dirty;
	slot->dirty = true;
}

int
attributes_set(struct attributes *attributes, const struct point *point, const struct value *value)
{
	struct slot *slot = &attributes->slots[point - attributes->device->points];
	char member[MEMBER_MAX];
	int length = tb_json_member(point->key, value, true, member, sizeof(member));
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
	make_dirty(attributes, slot);
	return 0;
}

bool
attributes_due(const struct attributes *attributes)
{
	return attributes->dirty > 0;
}

size_t
attributes_build(struct attributes *attributes, char *payload, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; attributes->dirty > 0 && i < attributes->device->point_count; i++) {
		struct slot *slot = &attributes->slots[i];

		if (!slot->dirty || used + slot->length + 2 > size)
			continue;
		payload[used] = used == 0 ? '{' : ',';
		memcpy(payload + used + 1, slot->text, slot->length);
		used += 1 + slot->length;
		slot->dirty = false;
		slot->sent = true;
		attributes->dirty--;
	}
	if (used > 0)
		payload[used++] = '}';
	return used;
}

void
attributes_confirm(struct attributes *attributes)
{
	for (size_t i = 0; i < attributes->device->point_count; i++)
		attributes->slots[i].sent = false;
}

void
attributes_unsend(struct attributes *attributes)
{
	for (size_t i = 0; i < attributes->device->point_count; i++)
		if (attributes->slots[i].sent) {
			attributes->slots[i].sent = false;
			make_dirty(attributes, &attributes->slots[i]);
		}
}

void
attributes_rewind(struct attributes *attributes)
{
	for (size_t i = 0; i < attributes->device->point_count; i++) {
		attributes->slots[i].sent = false;
		if (attributes->slots[i].text)
			make_dirty(attributes, &attributes->slots[i]);
	}
}
