#include "model/settings.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* Settings are many small things with one life: they are cut from blocks, newest block first. */
#define BLOCK_BYTES ((size_t)16 * 1024)

struct block {
	struct block *next;
	size_t used;
	size_t size;
	alignas(max_align_t) unsigned char bytes[];
};

static const struct {
	const char *name;
	bool writable;
} tables[] = {
	[TABLE_COIL] = { .name = "coil", .writable = true },
	[TABLE_DISCRETE] = { .name = "discrete", .writable = false },
	[TABLE_INPUT] = { .name = "input", .writable = false },
	[TABLE_HOLDING] = { .name = "holding", .writable = true },
};

struct settings *
settings_new(void)
{
	return calloc(1, sizeof(struct settings));
}

void
settings_free(struct settings *settings)
{
	struct block *block, *next;

	if (!settings)
		return;
	for (block = settings->arena; block; block = next) {
		next = block->next;
		free(block);
	}
	free(settings);
}

static struct block *
block_add(struct settings *settings, size_t size)
{
	struct block *first = settings->arena;
	struct block *block = calloc(1, sizeof(*block) + size);

	if (!block)
		return NULL;
	block->size = size;
	/* A thing larger than a block gets its own, behind the one that still has room. */
	if (first && size > BLOCK_BYTES) {
		block->next = first->next;
		first->next = block;
	} else {
		block->next = first;
		settings->arena = block;
	}
	return block;
}

void *
settings_alloc(struct settings *settings, size_t size)
{
	struct block *block = settings->arena;
	void *memory;

	if (size > SIZE_MAX / 2)
		return NULL;
	/* Nothing still has an address of its own. */
	size = size > 0 ? (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t)
			: alignof(max_align_t);
	if (!block || block->size - block->used < size)
		block = block_add(settings, size > BLOCK_BYTES ? size : BLOCK_BYTES);
	if (!block)
		return NULL;
	memory = block->bytes + block->used;
	block->used += size;
	return memory;
}

char *
settings_strdup(struct settings *settings, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = settings_alloc(settings, size);

	return copy ? memcpy(copy, text, size) : NULL;
}

bool
bus_is_line(const struct bus *bus)
{
	return bus->type == BUS_SERIAL || bus->type == BUS_SERIAL_TCP || bus->type == BUS_FILE;
}

const char *
point_aggregate_name(enum point_aggregate aggregate)
{
	static const char *const names[AGGREGATES] = { [AGGREGATE_MIN] = "min",
		[AGGREGATE_MAX] = "max",
		[AGGREGATE_MEAN] = "mean",
		[AGGREGATE_LAST] = "last",
		[AGGREGATE_COUNT] = "count" };

	return names[aggregate];
}

const char *
point_table_name(enum point_table table)
{
	return tables[table].name;
}

const char *
point_order_name(enum point_order order)
{
	static const char *const names[ORDERS] = {
		[ORDER_ABCD] = "ABCD",
		[ORDER_CDAB] = "CDAB",
		[ORDER_BADC] = "BADC",
		[ORDER_DCBA] = "DCBA",
		[ORDER_CDABGHEF] = "CDABGHEF",
		[ORDER_EFGHABCD] = "EFGHABCD",
	};

	return names[order];
}

int
point_addr_of_manual(enum point_table table, int addr)
{
	static const int first[] = { [TABLE_COIL] = -1, [TABLE_DISCRETE] = 10001, [TABLE_INPUT] = 30001, [TABLE_HOLDING] = 40001 };
	int from = first[table];

	return from >= 0 && addr >= from && addr < from + 9999 ? addr - from : -1;
}

bool
point_table_writable(enum point_table table)
{
	return tables[table].writable;
}
