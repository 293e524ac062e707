#include "bench/buffer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bench/alloc.h"

void
buffer_done(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}

size_t
buffer_length(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}

const uint8_t *
buffer_head(const struct buffer *buffer)
{
	return buffer->data + buffer->start;
}

void
buffer_take(struct buffer *buffer, size_t count)
{
	buffer->start += count;
	if (buffer->start == buffer->end)
		buffer->start = buffer->end = 0;
}

uint8_t *
buffer_reserve(struct buffer *buffer, size_t count)
{
	size_t length = buffer_length(buffer);

	if (buffer->room - buffer->end >= count && buffer->data)
		return buffer->data + buffer->end;
	/* Moving is worth it only when it frees at least half, else a slow reader would make every append a
	 * move. */
	if (buffer->start > 0 && (buffer->start >= buffer->room / 2 || length + count > buffer->room)) {
		assert(buffer->data); /* what has a start has been filled */
		memmove(buffer->data, buffer->data + buffer->start, length);
		buffer->start = 0;
		buffer->end = length;
	}
	if (!buffer->data || buffer->room - buffer->end < count) {
		size_t room = buffer->room ? buffer->room : 256;

		while (room - buffer->end < count)
			room *= 2;
		buffer->data = alloc_resize(buffer->data, room, 1);
		buffer->room = room;
	}
	return buffer->data + buffer->end;
}

void
buffer_filled(struct buffer *buffer, size_t count)
{
	buffer->end += count;
}

void
buffer_append(struct buffer *buffer, const void *data, size_t count)
{
	if (count == 0)
		return;
	memcpy(buffer_reserve(buffer, count), data, count);
	buffer->end += count;
}

void
buffer_append_u8(struct buffer *buffer, uint8_t value)
{
	buffer_append(buffer, &value, 1);
}

void
buffer_append_u16(struct buffer *buffer, uint16_t value)
{
	uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)(value & 0xFF) };

	buffer_append(buffer, bytes, sizeof(bytes));
}
