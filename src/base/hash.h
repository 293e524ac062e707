/* A short name for many bytes, the same in every process. Not for adversaries. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a, 64 bits. */
uint64_t hash_bytes(const void *bytes, size_t length);

#endif
