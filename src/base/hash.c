#include "base/hash.h"

uint64_t
hash_bytes(const void *bytes, size_t length)
{
	const unsigned char *at = bytes;
	uint64_t hash = 0xcbf29ce484222325u;

	while (length-- > 0)
		hash = (hash ^ *at++) * 0x100000001b3u;
	return hash;
}
