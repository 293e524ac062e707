/* How long something took, in words for people. Any thread. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stddef.h>
#include <stdint.h>

#define DURATION_TEXT_MAX 32

/* "500 ms", "12 s", "2 min 3 s", "5 h 7 min". Writes at most `size` bytes, always terminated. Returns `text`. */
const char *duration_text(int64_t us, char *text, size_t size);

#endif
