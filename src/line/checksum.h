/* Checksums of serial instruments: a row for each. Pure. */
#ifndef LINE_CHECKSUM_H
#define LINE_CHECKSUM_H

#include "model/settings.h"

struct checksum_row {
	const char *name;
	int bits;	     /* 8, 16, 32; 0 = none */
	bool little;	     /* binary: how it is sent unless the configuration says otherwise */
	enum checksum_form form;
	const char *about;
};

/* Rows 0..CHECKSUMS-1 are in the order of the enum. */
const struct checksum_row *checksum_row(enum checksum_type type);
const char *checksum_form_name(enum checksum_form form);

/* Of `length` bytes. 0 for CHECKSUM_NONE. */
uint32_t checksum_of(enum checksum_type type, const uint8_t *bytes, size_t length);

/* How many bytes it takes in a frame, 0..8. */
size_t checksum_size(const struct checksum *checksum);

/* Write it as the frame has it: checksum_size() bytes, at most CHECKSUM_SIZE_MAX. */
#define CHECKSUM_SIZE_MAX 8
void checksum_write(const struct checksum *checksum, uint32_t sum, uint8_t *ret);

/* Where it is in a frame of `length` bytes and what it covers. */
struct checksum_place {
	size_t at;
	size_t from; /* covered: from .. to - 1 */
	size_t to;
};

/* Returns 0; -ENODATA if the frame has none: too short, or no '*' in an NMEA sentence. */
int checksum_find(const struct checksum *checksum, const uint8_t *bytes, size_t length, struct checksum_place *ret);

/* Does the frame prove itself? Without a checksum each does.
 * Returns 0; -ENODATA if it has no checksum; -EBADMSG if that is wrong, with what it should be in `wanted` and what is there in
 * `found`, both texts as a person would read them. */
#define CHECKSUM_TEXT_MAX 16
int checksum_judge(const struct checksum *checksum, const uint8_t *bytes, size_t length, char wanted[CHECKSUM_TEXT_MAX],
    char found[CHECKSUM_TEXT_MAX]);

#endif
