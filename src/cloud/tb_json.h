/* ThingsBoard's payloads, both directions. Pure: any thread, no I/O. What the server makes of a payload is told
 * from its source, v4.3.1.3 (JsonConverter, MqttTopicMatcher): a number with more than 16 decimals or an integer beyond
 * int64 becomes a string there, an exponent is safe only by luck, so none is ever written.
 */
#ifndef CLOUD_TB_JSON_H
#define CLOUD_TB_JSON_H

#include "model/settings.h"
#include "model/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Remaining length of a packet that the server still takes is 65536, topic included: NETTY_MAX_PAYLOAD_SIZE. */
#define TB_MAX_PAYLOAD 65000

/* A real printed without exponent can be long: 309 digits before the point. */
#define TB_JSON_NUMBER_MAX 352

/* Write `value` as JSON. Returns the length, -EMSGSIZE when `size` is too small (nothing useful is in `text` then), -EINVAL
 * for VALUE_NONE and for reals that are not finite. Not terminated; what is behind the text may have been used for it, up to
 * `size`. */
int tb_json_value(const struct value *value, char *text, size_t size);

/* Write `"key":value`, preceded by a comma unless `first`. Returns like tb_json_value(). */
int tb_json_member(const char *key, const struct value *value, bool first, char *text, size_t size);

/* The same in two steps, for keys that are written often: the `"key":` is made once and copied each time. Both return like
 * tb_json_value(). */
int tb_json_name(const char *key, char *text, size_t size);
int tb_json_named(const char *name, size_t name_length, const struct value *value, bool first, char *text, size_t size);

/* Write `text` as a JSON string with its quotes. Returns like tb_json_value(). */
int tb_json_string(const char *string, char *text, size_t size);

/* A JSON scalar that came from the server, before it is checked against a point. */
struct tb_json;

/* Parse a payload of `length` bytes: RFC 8259, valid UTF-8, depth bounded, no trailing text, no \u0000 in a string. Returns
 * NULL if it is not, and for a lone null, which says nothing either. The caller frees it with tb_json_free(). */
struct tb_json *tb_json_parse(const void *payload, size_t length);
void tb_json_free(struct tb_json *json);

/* An RPC request: {"method": text, "params": any}. The pointers live as long as `json`; `ret_params` is NULL if absent or
 * null. Returns 0 or -EINVAL when it is not an object with a text as method. */
int tb_json_rpc(const struct tb_json *json, const char **ret_method, const struct tb_json **ret_params);

/* The member `key` of an object, or NULL. */
const struct tb_json *tb_json_get(const struct tb_json *json, const char *key);

/* Its text, as short as can be, `*ret_length` long; NULL when there is no memory. It lives as long as `json`, until the next
 * time. */
const char *tb_json_print(const struct tb_json *json, size_t *ret_length);

/* A text, or NULL if it is not one. */
const char *tb_json_text(const struct tb_json *json);

/* A scalar as a value: true, false, numbers (whole ones up to 64 bits stay whole), text; or an array of them as a list. The
 * caller frees the value. Returns 0; -EINVAL for null (a NULL `json`), objects, what else is in arrays and numbers beyond all
 * doubles; -ENOMEM. */
int tb_json_scalar(const struct tb_json *json, struct value *ret);

/* Call `each` for every member of an object, in order; of a null `member` is NULL. Returns 0, or -EINVAL when it is no object. */
int tb_json_members(const struct tb_json *json, void (*each)(void *ctx, const char *key, const struct tb_json *member), void *ctx);

/* Call `each` for every element of an array, in order; a null `element` is NULL. Returns 0, or -EINVAL when it is no array. */
int tb_json_elements(const struct tb_json *json, void (*each)(void *ctx, const struct tb_json *element), void *ctx);

#endif
