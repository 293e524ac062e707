#include "bench/report.h"

#include <string.h>

#include "bench/timer.h"

struct json_object *
report_new(const char *name, const char *token)
{
	struct json_object *event = json_object_new_object();

	report_string(event, "event", name);
	report_number(event, "at", clock_unix_ms());
	report_number(event, "at_us", clock_mono_us());
	if (token)
		report_string(event, "token", token);
	return event;
}

void
report_string(struct json_object *event, const char *name, const char *value)
{
	json_object_object_add(event, name, value ? json_object_new_string(value) : NULL);
}

void
report_number(struct json_object *event, const char *name, int64_t value)
{
	json_object_object_add(event, name, json_object_new_int64(value));
}

void
report_bool(struct json_object *event, const char *name, bool value)
{
	json_object_object_add(event, name, json_object_new_boolean(value));
}

void
report_values(struct json_object *event, const struct element *element)
{
	struct json_object *values = json_object_new_object();
	struct json_object *types = json_object_new_object();
	struct json_object *text = json_object_new_object();

	for (size_t i = 0; i < element->count; i++) {
		const struct value *value = &element->values[i];

		json_object_object_add(values, value->key, json_object_get(value->json));
		report_string(types, value->key, value_type_name(value->type));
		if (value->literal)
			report_string(text, value->key, value->literal);
	}
	json_object_object_add(event, "values", values);
	json_object_object_add(event, "types", types);
	json_object_object_add(event, "text", text);
}

void
report_payload(struct json_object *event, const char *name, const char *text)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *parsed;
	size_t length = strlen(text);
	bool whole;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	/* With its end, for a number alone could go on. */
	parsed = json_tokener_parse_ex(tokener, text, (int)length + 1);
	whole = json_tokener_get_error(tokener) == json_tokener_success &&
		json_tokener_get_parse_end(tokener) >= length;
	json_tokener_free(tokener);
	if (whole) {
		json_object_object_add(event, name, parsed);
	} else {
		json_object_put(parsed);
		report_string(event, name, text);
	}
	report_bool(event, "json", whole);
}

const char *
json_text(struct json_object *json)
{
	return json ? json_object_to_json_string_ext(
			  json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
		    : "null";
}
