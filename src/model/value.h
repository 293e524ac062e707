/* A value as it travels from a register to the cloud and back: typed, in engineering units, with what is needed to print
 * it exactly. Plain data; copying the struct moves the text that it may own.
 */
#ifndef MODEL_VALUE_H
#define MODEL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_kind {
	VALUE_NONE,
	VALUE_BOOL,
	VALUE_INT,   /* whole number that fits int64 */
	VALUE_UINT,  /* whole number above INT64_MAX */
	VALUE_REAL,  /* finite */
	VALUE_LABEL, /* text that belongs to the settings: an enum's label */
	VALUE_TEXT,  /* text on the heap, owned; valid UTF-8 without NUL */
	VALUE_LIST,  /* several of the kinds above, on the heap, owned */
};

/* How many decimals a VALUE_REAL is printed with: 0..16, or as many as tell it apart in its width. */
#define DECIMALS_SINGLE (-1)
#define DECIMALS_DOUBLE (-2)
#define DECIMALS_HALF   (-3)
#define DECIMALS_TEXT   (-4) /* of a point, never of a value: as many as the text that it is read from */
#define DECIMALS_MAX    16

struct value_list;

struct value {
	enum value_kind kind;
	int8_t decimals; /* VALUE_REAL only */
	union {
		bool boolean;
		int64_t integer;
		uint64_t whole; /* VALUE_UINT */
		double real;
		const char *label;
		char *text;
		struct value_list *list;
	};
};

struct value_list {
	size_t count;
	struct value items[];
};

/* A list of as many VALUE_NONE, to be filled. Returns NULL when there is no memory. */
struct value_list *value_list_new(size_t count);

/* Only for value_done(): free what it owns, and leave the kind as it is. */
void value_free(struct value *value);

/* Free what the value owns and make it VALUE_NONE. Most own nothing, which is seen here. */
static inline void
value_done(struct value *value)
{
	if (value->kind == VALUE_TEXT || value->kind == VALUE_LIST)
		value_free(value);
	value->kind = VALUE_NONE;
}

/* Same kind of thing (truth, number, text, list of such) and same content: 42 equals 42.0, exactly; a label equals a text of the same
 * letters; VALUE_NONE equals only itself. */
bool value_equal(const struct value *a, const struct value *b);

/* The value as a number: bool as 0/1, numbers as they are. Returns false for text, lists and for VALUE_NONE. */
bool value_number(const struct value *value, double *ret);

/* The letters of a label or text, or NULL. */
const char *value_text(const struct value *value);

/* A copy with a text or list of its own. Returns 0 or -ENOMEM. */
int value_copy(const struct value *value, struct value *ret);

#endif
