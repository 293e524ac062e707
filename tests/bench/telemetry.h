/* From a payload to typed values: what ThingsBoard makes of telemetry and attributes.
 *
 * The server types every value twice, once in the transport and once when the rule engine stores it;
 * value_type() does both. Pure, any thread.
 */
#ifndef BENCH_TELEMETRY_H
#define BENCH_TELEMETRY_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_type { VALUE_LONG, VALUE_DOUBLE, VALUE_STRING, VALUE_BOOLEAN, VALUE_JSON };

struct value {
	const char *key; /* lives as long as the telemetry */
	enum value_type type;
	struct json_object *json; /* owned */
	const char *literal;	  /* a number's digits as sent, else NULL; lives as long as the telemetry */
};

/* One message of the rule engine: the elements of an array become one each. */
struct element {
	int64_t ts_unix_ms;
	bool server_ts;
	size_t count;
	struct value *values;
};

struct telemetry {
	struct json_object *tree;
	size_t count;
	struct element *elements;
	size_t points; /* values of all elements: what a data point limit counts */
};

const char *value_type_name(enum value_type type);

/* Type one member of a payload; `json` comes from lenient_parse() and is not NULL. ret->key is left alone.
 * Returns 0, or -EDOM for a number that makes the server throw (an exponent beyond 32 bits). */
int value_from_json(struct json_object *json, struct value *ret);

/* Why the server would not store an element, NULL if it would. One bad key loses the whole element. */
const char *element_refusal(const struct element *element);

/* Both: 0, -EBADMSG for bad input, -EDOM for an exception that the server does not catch. `text` is clean
 * UTF-8. The from_tree forms work on a part of a bigger payload (a gateway's) and do not take the tree. */
int telemetry_parse(struct telemetry *telemetry, const char *text, int64_t now_unix_ms);
int attributes_parse(struct telemetry *attributes, const char *text);
int telemetry_from_tree(struct telemetry *telemetry, struct json_object *tree, int64_t now_unix_ms);
int attributes_from_tree(struct telemetry *attributes, struct json_object *tree);
void telemetry_done(struct telemetry *telemetry);

#endif
