/* MQTT 3.1, 3.1.1 and 5 packets as a server meets them: taking apart what clients send, putting together the
 * answers.
 *
 * Pure: no I/O, no state. Parsed strings and payloads point into the caller's bytes. Parsers never read
 * beyond the frame and return 0, or -EBADMSG for a packet that ThingsBoard's decoder would throw at (it then
 * closes the connection).
 */
#ifndef BENCH_MQTT_PACKET_H
#define BENCH_MQTT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/buffer.h"

enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK = 2,
	MQTT_PUBLISH = 3,
	MQTT_PUBACK = 4,
	MQTT_PUBREC = 5,
	MQTT_PUBREL = 6,
	MQTT_PUBCOMP = 7,
	MQTT_SUBSCRIBE = 8,
	MQTT_SUBACK = 9,
	MQTT_UNSUBSCRIBE = 10,
	MQTT_UNSUBACK = 11,
	MQTT_PINGREQ = 12,
	MQTT_PINGRESP = 13,
	MQTT_DISCONNECT = 14,
	MQTT_AUTH = 15,
};

/* Protocol levels of CONNECT. */
enum { MQTT_3_1 = 3, MQTT_3_1_1 = 4, MQTT_5 = 5 };

struct mqtt_frame {
	uint8_t type;
	uint8_t flags;
	const uint8_t *body;
	size_t body_length;
	size_t length; /* of the whole packet */
};

/* Not terminated, UTF-8 not checked; data is NULL if the field is absent. */
struct mqtt_string {
	const uint8_t *data;
	size_t length;
};

struct mqtt_connect {
	int version;
	bool clean;
	bool will;
	uint16_t keepalive_s;
	struct mqtt_string client_id, username, password;
};

struct mqtt_publish {
	uint8_t qos;
	bool dup, retain;
	uint16_t packet_id; /* 0 at QoS 0 */
	struct mqtt_string topic;
	const uint8_t *payload;
	size_t payload_length;
};

/* PUBACK, PUBREC, PUBREL, PUBCOMP. */
struct mqtt_ack {
	uint16_t packet_id;
	uint8_t code; /* always 0 before MQTT 5 */
};

/* The filters of a SUBSCRIBE or UNSUBSCRIBE, one after the other. */
struct mqtt_filters {
	uint16_t packet_id;
	bool with_qos;
	const uint8_t *next;
	size_t left;
};

struct mqtt_filter {
	struct mqtt_string filter;
	uint8_t qos;
};

/* Find the packet at the beginning of `data`. Returns 1 with *ret filled, 0 if more bytes are needed,
 * -EMSGSIZE if the remaining length is above max_body (seen before its bytes arrive), -EBADMSG. */
int mqtt_frame_parse(const uint8_t *data, size_t length, size_t max_body, struct mqtt_frame *ret);

int mqtt_connect_parse(const struct mqtt_frame *frame, struct mqtt_connect *ret);
int mqtt_publish_parse(const struct mqtt_frame *frame, int version, struct mqtt_publish *ret);
int mqtt_ack_parse(const struct mqtt_frame *frame, int version, struct mqtt_ack *ret);
int mqtt_disconnect_parse(const struct mqtt_frame *frame, int version, uint8_t *ret_code);

/* mqtt_filters_next() returns 1 with *ret filled, 0 at the end, -EBADMSG. */
int mqtt_filters_parse(const struct mqtt_frame *frame, int version, struct mqtt_filters *ret);
int mqtt_filters_next(struct mqtt_filters *filters, struct mqtt_filter *ret);

/* Each appends one packet. On MQTT 3.x the codes of PUBACK and UNSUBACK do not exist and are left out. */
void mqtt_build_connack(struct buffer *out, int version, bool session_present, uint8_t code);
void mqtt_build_publish(struct buffer *out, int version, const struct mqtt_publish *publish);
void mqtt_build_puback(struct buffer *out, int version, uint16_t packet_id, uint8_t code);
void mqtt_build_suback(
    struct buffer *out, int version, uint16_t packet_id, const uint8_t *codes, size_t count);
void mqtt_build_unsuback(
    struct buffer *out, int version, uint16_t packet_id, const uint8_t *codes, size_t count);
void mqtt_build_pingresp(struct buffer *out);
void mqtt_build_disconnect(struct buffer *out, uint8_t code);

#endif
