#include "bench/mqtt_packet.h"

#include <errno.h>
#include <string.h>

/* What is left of a packet. A read beyond the end gives zeros and marks it, so that a parser checks once, at
 * its end. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static const uint8_t *
read_bytes(struct reader *reader, size_t count)
{
	const uint8_t *at = reader->at;

	if (reader->bad || reader->left < count) {
		reader->bad = true;
		return NULL;
	}
	reader->at += count;
	reader->left -= count;
	return at;
}

static uint8_t
read_u8(struct reader *reader)
{
	const uint8_t *at = read_bytes(reader, 1);

	return at ? at[0] : 0;
}

static uint16_t
read_u16(struct reader *reader)
{
	const uint8_t *at = read_bytes(reader, 2);

	return at ? (uint16_t)((unsigned)at[0] << 8 | at[1]) : 0;
}

static struct mqtt_string
read_string(struct reader *reader)
{
	size_t length = read_u16(reader);
	const uint8_t *at = read_bytes(reader, length);

	return (struct mqtt_string){ .data = at, .length = at ? length : 0 };
}

static uint32_t
read_varint(struct reader *reader)
{
	uint32_t value = 0;

	for (unsigned shift = 0; shift < 28; shift += 7) {
		uint8_t byte = read_u8(reader);

		value |= (uint32_t)(byte & 0x7F) << shift;
		if (!(byte & 0x80))
			return value;
	}
	reader->bad = true;
	return 0;
}

/* Types of the MQTT 5 properties; source: MQTT 5.0, table 2-4. */
enum property_type {
	PROPERTY_U8 = 1,
	PROPERTY_U16,
	PROPERTY_U32,
	PROPERTY_VARINT,
	PROPERTY_STRING,
	PROPERTY_PAIR
};

static const uint8_t property_types[] = {
	[0x01] = PROPERTY_U8,	  /* payload format indicator */
	[0x02] = PROPERTY_U32,	  /* message expiry interval */
	[0x03] = PROPERTY_STRING, /* content type */
	[0x08] = PROPERTY_STRING, /* response topic */
	[0x09] = PROPERTY_STRING, /* correlation data: binary, same shape */
	[0x0B] = PROPERTY_VARINT, /* subscription identifier */
	[0x11] = PROPERTY_U32,	  /* session expiry interval */
	[0x12] = PROPERTY_STRING, /* assigned client identifier */
	[0x13] = PROPERTY_U16,	  /* server keep alive */
	[0x15] = PROPERTY_STRING, /* authentication method */
	[0x16] = PROPERTY_STRING, /* authentication data */
	[0x17] = PROPERTY_U8,	  /* request problem information */
	[0x18] = PROPERTY_U32,	  /* will delay interval */
	[0x19] = PROPERTY_U8,	  /* request response information */
	[0x1A] = PROPERTY_STRING, /* response information */
	[0x1C] = PROPERTY_STRING, /* server reference */
	[0x1F] = PROPERTY_STRING, /* reason string */
	[0x21] = PROPERTY_U16,	  /* receive maximum */
	[0x22] = PROPERTY_U16,	  /* topic alias maximum */
	[0x23] = PROPERTY_U16,	  /* topic alias */
	[0x24] = PROPERTY_U8,	  /* maximum QoS */
	[0x25] = PROPERTY_U8,	  /* retain available */
	[0x26] = PROPERTY_PAIR,	  /* user property */
	[0x27] = PROPERTY_U32,	  /* maximum packet size */
	[0x28] = PROPERTY_U8,	  /* wildcard subscription available */
	[0x29] = PROPERTY_U8,	  /* subscription identifier available */
	[0x2A] = PROPERTY_U8,	  /* shared subscription available */
};

static void
read_property(struct reader *reader)
{
	uint32_t id = read_varint(reader);

	switch (id < sizeof(property_types) ? property_types[id] : 0) {
	case PROPERTY_U8:
		read_bytes(reader, 1);
		break;
	case PROPERTY_U16:
		read_bytes(reader, 2);
		break;
	case PROPERTY_U32:
		read_bytes(reader, 4);
		break;
	case PROPERTY_VARINT:
		read_varint(reader);
		break;
	case PROPERTY_PAIR:
		read_string(reader);
		read_string(reader);
		break;
	case PROPERTY_STRING:
		read_string(reader);
		break;
	default:
		reader->bad = true;
	}
}

/* Properties mean nothing to ThingsBoard, but broken ones are a broken packet. */
static void
read_properties(struct reader *reader)
{
	uint32_t length = read_varint(reader);
	const uint8_t *at = read_bytes(reader, length);
	struct reader properties = { .at = at, .left = at ? length : 0 };

	while (properties.left > 0 && !properties.bad)
		read_property(&properties);
	reader->bad |= properties.bad;
}

static struct reader
frame_reader(const struct mqtt_frame *frame)
{
	return (struct reader){ .at = frame->body, .left = frame->body_length };
}

static bool
frame_flags_valid(uint8_t type, uint8_t flags)
{
	switch (type) {
	case 0:
		return false;
	case MQTT_PUBLISH:
		return (flags & 0x06) != 0x06;
	case MQTT_PUBREL:
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		return (flags & 0x06) == 0x02;
	default:
		return true;
	}
}

int
mqtt_frame_parse(const uint8_t *data, size_t length, size_t max_body, struct mqtt_frame *ret)
{
	size_t body_length = 0;
	size_t at = 1;

	if (length < 1)
		return 0;
	if (!frame_flags_valid(data[0] >> 4, data[0] & 0x0F))
		return -EBADMSG;
	for (unsigned shift = 0;; shift += 7) {
		if (shift == 28)
			return -EBADMSG;
		if (at == length)
			return 0;
		body_length |= (size_t)(data[at] & 0x7F) << shift;
		if (!(data[at++] & 0x80))
			break;
	}
	if (body_length > max_body)
		return -EMSGSIZE;
	if (length - at < body_length)
		return 0;
	*ret = (struct mqtt_frame){
		.type = data[0] >> 4,
		.flags = data[0] & 0x0F,
		.body = data + at,
		.body_length = body_length,
		.length = at + body_length,
	};
	return 1;
}

static bool
string_is(struct mqtt_string string, const char *text)
{
	return string.length == strlen(text) && memcmp(string.data, text, string.length) == 0;
}

/* Level and name must belong together; a 3.1 client id has 1 to 23 characters. */
static bool
connect_valid(const struct mqtt_connect *connect, struct mqtt_string protocol, uint8_t flags)
{
	if (connect->version == MQTT_3_1)
		return string_is(protocol, "MQIsdp") && connect->client_id.length >= 1 &&
		       connect->client_id.length <= 23;
	return (connect->version == MQTT_3_1_1 || connect->version == MQTT_5) &&
	       string_is(protocol, "MQTT") && !(flags & 0x01);
}

int
mqtt_connect_parse(const struct mqtt_frame *frame, struct mqtt_connect *ret)
{
	struct reader reader = frame_reader(frame);
	struct mqtt_string protocol = read_string(&reader);
	struct mqtt_connect connect = { .version = read_u8(&reader) };
	uint8_t flags = read_u8(&reader);

	connect.clean = flags & 0x02;
	connect.will = flags & 0x04;
	connect.keepalive_s = read_u16(&reader);
	if (connect.version == MQTT_5)
		read_properties(&reader);
	connect.client_id = read_string(&reader);
	if (connect.will) {
		if (connect.version == MQTT_5)
			read_properties(&reader);
		read_string(&reader);
		read_string(&reader);
	}
	if (flags & 0x80)
		connect.username = read_string(&reader);
	if (flags & 0x40)
		connect.password = read_string(&reader);
	if (reader.bad || !connect_valid(&connect, protocol, flags))
		return -EBADMSG;
	*ret = connect;
	return 0;
}

int
mqtt_publish_parse(const struct mqtt_frame *frame, int version, struct mqtt_publish *ret)
{
	struct reader reader = frame_reader(frame);
	struct mqtt_publish publish = {
		.qos = (frame->flags >> 1) & 0x03,
		.dup = frame->flags & 0x08,
		.retain = frame->flags & 0x01,
		.topic = read_string(&reader),
	};

	if (publish.qos > 0) {
		publish.packet_id = read_u16(&reader);
		reader.bad |= publish.packet_id == 0;
	}
	if (version == MQTT_5)
		read_properties(&reader);
	if (reader.bad)
		return -EBADMSG;
	if (publish.topic.length > 0 && (memchr(publish.topic.data, '+', publish.topic.length) ||
					    memchr(publish.topic.data, '#', publish.topic.length)))
		return -EBADMSG;
	publish.payload = reader.at;
	publish.payload_length = reader.left;
	*ret = publish;
	return 0;
}

int
mqtt_ack_parse(const struct mqtt_frame *frame, int version, struct mqtt_ack *ret)
{
	struct reader reader = frame_reader(frame);
	struct mqtt_ack ack = { .packet_id = read_u16(&reader) };

	if (version == MQTT_5 && reader.left > 0) {
		ack.code = read_u8(&reader);
		if (reader.left > 0)
			read_properties(&reader);
	}
	if (reader.bad || ack.packet_id == 0)
		return -EBADMSG;
	*ret = ack;
	return 0;
}

int
mqtt_disconnect_parse(const struct mqtt_frame *frame, int version, uint8_t *ret_code)
{
	struct reader reader = frame_reader(frame);
	uint8_t code = 0;

	if (version == MQTT_5 && reader.left > 0) {
		code = read_u8(&reader);
		if (reader.left > 0)
			read_properties(&reader);
	}
	if (reader.bad)
		return -EBADMSG;
	*ret_code = code;
	return 0;
}

int
mqtt_filters_parse(const struct mqtt_frame *frame, int version, struct mqtt_filters *ret)
{
	struct reader reader = frame_reader(frame);
	uint16_t packet_id = read_u16(&reader);

	if (version == MQTT_5)
		read_properties(&reader);
	if (reader.bad || packet_id == 0)
		return -EBADMSG;
	*ret = (struct mqtt_filters){
		.packet_id = packet_id,
		.with_qos = frame->type == MQTT_SUBSCRIBE,
		.next = reader.at,
		.left = reader.left,
	};
	return 0;
}

int
mqtt_filters_next(struct mqtt_filters *filters, struct mqtt_filter *ret)
{
	struct reader reader = { .at = filters->next, .left = filters->left };
	struct mqtt_filter filter = { 0 };

	if (filters->left == 0)
		return 0;
	filter.filter = read_string(&reader);
	/* Above the two bits of the QoS stand MQTT 5's subscription options, which ThingsBoard ignores. */
	if (filters->with_qos)
		filter.qos = read_u8(&reader) & 0x03;
	if (reader.bad || filter.qos > 2)
		return -EBADMSG;
	filters->next = reader.at;
	filters->left = reader.left;
	*ret = filter;
	return 1;
}

static void
build_header(struct buffer *out, uint8_t first, size_t body_length)
{
	buffer_append_u8(out, first);
	do {
		uint8_t byte = body_length & 0x7F;

		body_length >>= 7;
		buffer_append_u8(out, body_length ? byte | 0x80 : byte);
	} while (body_length);
}

void
mqtt_build_connack(struct buffer *out, int version, bool session_present, uint8_t code)
{
	build_header(out, MQTT_CONNACK << 4, version == MQTT_5 ? 3 : 2);
	buffer_append_u8(out, session_present);
	buffer_append_u8(out, code);
	if (version == MQTT_5)
		buffer_append_u8(out, 0);
}

void
mqtt_build_publish(struct buffer *out, int version, const struct mqtt_publish *publish)
{
	uint8_t flags = (uint8_t)(publish->dup << 3 | publish->qos << 1 | publish->retain);
	size_t properties = version == MQTT_5 ? 1 : 0;
	size_t id = publish->qos ? 2 : 0;

	build_header(out, (uint8_t)(MQTT_PUBLISH << 4 | flags),
	    2 + publish->topic.length + id + properties + publish->payload_length);
	buffer_append_u16(out, (uint16_t)publish->topic.length);
	buffer_append(out, publish->topic.data, publish->topic.length);
	if (id)
		buffer_append_u16(out, publish->packet_id);
	if (properties)
		buffer_append_u8(out, 0);
	buffer_append(out, publish->payload, publish->payload_length);
}

void
mqtt_build_puback(struct buffer *out, int version, uint16_t packet_id, uint8_t code)
{
	bool with_code = version == MQTT_5 && code != 0;

	build_header(out, MQTT_PUBACK << 4, with_code ? 4 : 2);
	buffer_append_u16(out, packet_id);
	if (with_code) {
		buffer_append_u8(out, code);
		buffer_append_u8(out, 0);
	}
}

void
mqtt_build_suback(struct buffer *out, int version, uint16_t packet_id, const uint8_t *codes, size_t count)
{
	size_t properties = version == MQTT_5 ? 1 : 0;

	build_header(out, MQTT_SUBACK << 4, 2 + properties + count);
	buffer_append_u16(out, packet_id);
	if (properties)
		buffer_append_u8(out, 0);
	buffer_append(out, codes, count);
}

void
mqtt_build_unsuback(struct buffer *out, int version, uint16_t packet_id, const uint8_t *codes, size_t count)
{
	bool with_codes = version == MQTT_5;

	build_header(out, MQTT_UNSUBACK << 4, with_codes ? 3 + count : 2);
	buffer_append_u16(out, packet_id);
	if (with_codes) {
		buffer_append_u8(out, 0);
		buffer_append(out, codes, count);
	}
}

void
mqtt_build_pingresp(struct buffer *out)
{
	build_header(out, MQTT_PINGRESP << 4, 0);
}

void
mqtt_build_disconnect(struct buffer *out, uint8_t code)
{
	build_header(out, MQTT_DISCONNECT << 4, code ? 2 : 0);
	if (code) {
		buffer_append_u8(out, code);
		buffer_append_u8(out, 0);
	}
}
