/* Is this text UTF-8? As RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. Pure, any
 * thread. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character that `text` starts with, 1..4; 0 if the first `length` bytes start with no whole
 * character. */
size_t utf8_step(const char *text, size_t length);

/* Nothing but whole characters? NUL counts as one. */
bool utf8_valid(const char *text, size_t length);

#endif
