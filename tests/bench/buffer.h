/* Bytes that are filled at one end and taken at the other: what a socket gave us, or what it has still to
 * take.
 *
 * A plain value, zero-initialised is empty; buffer_done() frees the memory. No locking.
 */
#ifndef BENCH_BUFFER_H
#define BENCH_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *data;
	size_t start; /* first byte not yet taken */
	size_t end;   /* first free byte */
	size_t room;
};

void buffer_done(struct buffer *buffer);

/* Bytes waiting to be taken. */
size_t buffer_length(const struct buffer *buffer);
const uint8_t *buffer_head(const struct buffer *buffer);
void buffer_take(struct buffer *buffer, size_t count);

/* Make sure that `count` bytes can be written at the returned place; buffer_filled() says how many were. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t count);
void buffer_filled(struct buffer *buffer, size_t count);

void buffer_append(struct buffer *buffer, const void *data, size_t count);
void buffer_append_u8(struct buffer *buffer, uint8_t value);
void buffer_append_u16(struct buffer *buffer, uint16_t value);

#endif
