/* Fills templates of what is sent to an instrument. A template is bytes with these in it:
 *
 *	${value}     the value of a command
 *	${address}   the address of the device
 *	${checksum}  the bus's checksum of what stands before it
 *
 * No value can say more than a value: what could end a frame, begin another or leave a quoted text is refused or escaped. Pure.
 */
#ifndef LINE_TEMPLATE_H
#define LINE_TEMPLATE_H

#include "model/settings.h"
#include "model/value.h"

#define TEMPLATE_BYTES_MAX 4096 /* of what is sent at once */

enum template_fault {
	TEMPLATE_OK,
	TEMPLATE_UNSAFE,  /* the value has a character that the escape rule does not let through */
	TEMPLATE_TOO_LONG,
	TEMPLATE_NO_TEXT, /* the value is none that can be written as text */
};

/* What to fill in. */
struct template_values {
	const struct bus *bus;		   /* whose checksum it is */
	const struct device *device;	   /* whose address it is */
	const struct point *point;	   /* of a command; NULL for a script */
	const struct value *value;	   /* in engineering units, judged by codec_encode(); NULL for a script */
};

/* Fill `template` into `ret`, of TEMPLATE_BYTES_MAX bytes. */
enum template_fault template_fill(
    const struct bytes *template, const struct template_values *values, uint8_t *ret, size_t *ret_length);

/* The same for a pattern, where what is filled in stands for itself: "^OK ${value}$". */
enum template_fault template_fill_pattern(
    const char *template, const struct template_values *values, char ret[TEMPLATE_BYTES_MAX]);

/* Is something in ${ } that is not known, or not to be had: value in a script? Returns NULL, or what is wrong. Static text. */
const char *template_judge(const struct bytes *template, bool has_value);

/* "has a character that cannot be sent", to follow the value in a sentence. */
const char *template_fault_text(enum template_fault fault);

#endif
