/* One frame of a serial instrument: a line or a telegram as the framer cut it. */
#ifndef LINE_FRAME_H
#define LINE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define LINE_FRAME_MAX 65536 /* bytes; the most that framing.max_bytes allows */

struct line_frame {
	const uint8_t *bytes; /* as received, with start and end bytes; delimiters of single lines are no part of it */
	size_t length;
	/* What is text in it: without start and end bytes, and without the checksum where that is last (listener.c). Positions
	 * ("at") count in bytes, columns and patterns in these. from <= to <= length */
	size_t from;
	size_t to;
};

#endif
