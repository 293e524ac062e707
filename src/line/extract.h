/* Finds a point in a frame and reads it: struct line_field -> value. One extractor a point, one reader a frame for what all points
 * share. One thread at a time; bounded work whatever the bytes are.
 */
#ifndef LINE_EXTRACT_H
#define LINE_EXTRACT_H

#include "line/frame.h"
#include "line/pattern.h"
#include "model/settings.h"
#include "model/value.h"

#define EXTRACT_TEXT_MAX 1000 /* bytes of the longest text that is a value */
#define EXTRACT_JSON_DEPTH 16

struct json_object;

/* A frame while its points are read. */
struct extract_frame {
	const struct line_frame *frame;
	struct pattern *pattern; /* the device's, matched last with this frame; NULL if there is none */
	struct json_object *json;
	bool json_tried;
};

void extract_begin(struct extract_frame *reading, const struct line_frame *frame);
void extract_end(struct extract_frame *reading);

struct extractor {
	const struct line_field *field;
	struct pattern *pattern; /* SOURCE_PATTERN */
	int group;		 /* SOURCE_PATTERN, SOURCE_GROUP */
};

/* pattern  the device's, for SOURCE_GROUP
 * Returns 0; -ENOMEM; -EINVAL if a pattern is none or has no such group. */
int extractor_init(struct extractor *extractor, const struct line_field *field, const struct pattern *pattern);
void extractor_done(struct extractor *extractor);

/* Some bytes of the frame, or of what was made of it; they live until extract_end(). */
struct extract_text {
	const char *text;
	size_t length;
};

/* Returns 0; -ENOENT if it is not in the frame, with why in `why` (static text; never NULL). */
int extract_find(const struct extractor *extractor, struct extract_frame *reading, struct extract_text *ret, const char **why);

/* The value of a point.
 * Returns 0 and a value of the caller's; -ENOENT if it is not in the frame; -ENODATA if it is, and is no value; why in `why`;
 * -ENOMEM. */
int extract_value(const struct extractor *extractor, struct extract_frame *reading, const struct point *point,
    struct value *ret, const char **why);

#endif
