/* Numbers that spread things out or name them, for any thread. Not for secrets. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

uint32_t random_number(void);

/* Half to one and a half of `ms`. */
int64_t random_jitter(int64_t ms);

#endif
