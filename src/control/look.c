#include "control/look.h"

#include <json-c/json.h>
#include <string.h>

#define NAME_MAX_LENGTH 64

const struct json_object *
look_at(const struct json_object *object, const char *path)
{
	while (object && *path) {
		size_t length = strcspn(path, ".");
		struct json_object *member = NULL;
		char name[NAME_MAX_LENGTH];

		if (length >= sizeof(name) || !json_object_is_type(object, json_type_object))
			return NULL;
		memcpy(name, path, length);
		name[length] = '\0';
		json_object_object_get_ex(object, name, &member);
		object = member;
		path += length + (path[length] == '.');
	}
	return object;
}

double
look_number(const struct json_object *object, const char *path, double missing)
{
	const struct json_object *member = look_at(object, path);

	if (!json_object_is_type(member, json_type_double) && !json_object_is_type(member, json_type_int))
		return missing;
	return json_object_get_double(member);
}

uint64_t
look_count(const struct json_object *object, const char *path)
{
	const struct json_object *member = look_at(object, path);

	return json_object_is_type(member, json_type_int) ? json_object_get_uint64(member) : 0;
}

bool
look_truth(const struct json_object *object, const char *path)
{
	return json_object_get_boolean(look_at(object, path));
}

const char *
look_text(const struct json_object *object, const char *path)
{
	const struct json_object *member = look_at(object, path);

	/* Only printing of what is no string writes into the object. */
	return json_object_is_type(member, json_type_string)
		   ? json_object_get_string((struct json_object *)(uintptr_t)member)
		   : "";
}

size_t
look_length(const struct json_object *object, const char *path)
{
	const struct json_object *member = look_at(object, path);

	return json_object_is_type(member, json_type_array) ? json_object_array_length(member) : 0;
}

const struct json_object *
look_element(const struct json_object *object, const char *path, size_t index)
{
	const struct json_object *member = look_at(object, path);

	return json_object_is_type(member, json_type_array) ? json_object_array_get_idx(member, index) : NULL;
}
