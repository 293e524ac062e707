/* The packet codec: whole packets, every beginning of them, and garbage. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bench/mqtt_packet.h"
/* Not sorted in: it needs what stands above. */
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define BODY_MAX 65536

static const uint8_t connect_311[] = { 0x10, 0x18, 0, 4, 'M', 'Q', 'T', 'T', 4, 0xC2, 0, 60, 0, 2, 'i', 'd',
	0, 3, 't', 'o', 'k', 0, 3, 'p', 'w', 'd' };
static const uint8_t connect_5[] = { 0x10, 0x2B, 0, 4, 'M', 'Q', 'T', 'T', 5, 0x86, 0, 10, 10, 0x21, 0, 20,
	0x26, 0, 1, 'a', 0, 1, 'b', 0, 2, 'i', 'd', 5, 0x18, 0, 0, 0, 1, 0, 1, 'w', 0, 1, 'x', 0, 4, 'n', 'a',
	'm', 'e' };
static const uint8_t subscribe_311[] = { 0x82, 0x0B, 0x12, 0x34, 0, 2, 'a', '/', 1, 0, 1, 'b', 2 };
static const uint8_t subscribe_5[] = { 0x82, 0x09, 0x00, 0x07, 2, 0x0B, 5, 0, 1, 'c', 0x2D };

static int
string_compare(struct mqtt_string string, const char *text)
{
	return string.length != strlen(text) || memcmp(string.data, text, string.length) != 0;
}

static struct mqtt_frame
frame_of(const uint8_t *bytes, size_t length)
{
	struct mqtt_frame frame;

	assert_int_equal(mqtt_frame_parse(bytes, length, BODY_MAX, &frame), 1);
	assert_int_equal(frame.length, length);
	return frame;
}

static void
test_connect_311(void **state)
{
	struct mqtt_frame frame = frame_of(connect_311, sizeof(connect_311));
	struct mqtt_connect connect;

	(void)state;
	assert_int_equal(mqtt_connect_parse(&frame, &connect), 0);
	assert_int_equal(connect.version, MQTT_3_1_1);
	assert_true(connect.clean);
	assert_int_equal(connect.keepalive_s, 60);
	assert_int_equal(string_compare(connect.client_id, "id"), 0);
	assert_int_equal(string_compare(connect.username, "tok"), 0);
	assert_int_equal(string_compare(connect.password, "pwd"), 0);
}

static void
test_connect_5(void **state)
{
	struct mqtt_frame frame = frame_of(connect_5, sizeof(connect_5));
	struct mqtt_connect connect;

	(void)state;
	assert_int_equal(mqtt_connect_parse(&frame, &connect), 0);
	assert_int_equal(connect.version, MQTT_5);
	assert_true(connect.will);
	assert_int_equal(string_compare(connect.username, "name"), 0);
	assert_null(connect.password.data);
}

/* A protocol level that does not exist, and 3.1 with a client id that is too long or missing. */
static void
test_connect_refused(void **state)
{
	static const uint8_t v31[] = { 0x10, 0x0F, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 0, 0, 1,
		'x' };
	uint8_t bytes[sizeof(connect_311)];
	struct mqtt_connect connect;
	struct mqtt_frame frame;

	(void)state;
	memcpy(bytes, connect_311, sizeof(bytes));
	bytes[8] = 6;
	frame = frame_of(bytes, sizeof(bytes));
	assert_int_equal(mqtt_connect_parse(&frame, &connect), -EBADMSG);
	frame = frame_of(v31, sizeof(v31));
	assert_int_equal(mqtt_connect_parse(&frame, &connect), 0);
	assert_int_equal(connect.version, MQTT_3_1);
	frame.body_length--;
	assert_int_equal(mqtt_connect_parse(&frame, &connect), -EBADMSG);
}

static void
publish_round_trip(int version, uint8_t qos, size_t payload_length)
{
	uint8_t *payload = calloc(1, payload_length + 1);
	struct mqtt_publish in = { .qos = qos,
		.dup = qos,
		.packet_id = qos ? 0xABCD : 0,
		.topic = { .data = (const uint8_t *)"v2/t", .length = 4 },
		.payload = payload,
		.payload_length = payload_length };
	struct mqtt_publish out;
	struct buffer bytes = { 0 };
	struct mqtt_frame frame;

	memset(payload, 'p', payload_length);
	mqtt_build_publish(&bytes, version, &in);
	for (size_t cut = 0; cut < buffer_length(&bytes) && cut < 300; cut++)
		assert_int_equal(mqtt_frame_parse(bytes.data, cut, 1 << 20, &frame), 0);
	assert_int_equal(mqtt_frame_parse(bytes.data, buffer_length(&bytes), 1 << 20, &frame), 1);
	assert_int_equal(mqtt_publish_parse(&frame, version, &out), 0);
	assert_int_equal(out.qos, qos);
	assert_int_equal(out.dup, in.dup);
	assert_int_equal(out.packet_id, in.packet_id);
	assert_int_equal(string_compare(out.topic, "v2/t"), 0);
	assert_int_equal(out.payload_length, payload_length);
	assert_memory_equal(out.payload, payload, payload_length);
	buffer_done(&bytes);
	free(payload);
}

static void
test_publish(void **state)
{
	static const size_t lengths[] = { 0, 1, 110, 130, 16400, 70000 };

	(void)state;
	for (int version = MQTT_3_1; version <= MQTT_5; version++)
		for (uint8_t qos = 0; qos < 3; qos++)
			for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
				publish_round_trip(version, qos, lengths[i]);
}

static void
test_publish_refused(void **state)
{
	static const uint8_t wildcard[] = { 0x30, 0x05, 0, 3, 'a', '/', '#' };
	static const uint8_t no_id[] = { 0x32, 0x05, 0, 1, 'a', 0, 0 };
	static const uint8_t qos_3[] = { 0x36, 0x05, 0, 1, 'a', 0, 1 };
	struct mqtt_publish publish;
	struct mqtt_frame frame = frame_of(wildcard, sizeof(wildcard));

	(void)state;
	assert_int_equal(mqtt_publish_parse(&frame, MQTT_3_1_1, &publish), -EBADMSG);
	frame = frame_of(no_id, sizeof(no_id));
	assert_int_equal(mqtt_publish_parse(&frame, MQTT_3_1_1, &publish), -EBADMSG);
	assert_int_equal(mqtt_frame_parse(qos_3, sizeof(qos_3), BODY_MAX, &frame), -EBADMSG);
}

static void
test_limit(void **state)
{
	static const uint8_t fits[] = { 0x30, 0x80, 0x80, 0x04 };
	static const uint8_t above[] = { 0x30, 0x81, 0x80, 0x04 };
	static const uint8_t endless[] = { 0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01 };
	struct mqtt_frame frame;

	(void)state;
	assert_int_equal(mqtt_frame_parse(fits, sizeof(fits), BODY_MAX, &frame), 0);
	assert_int_equal(mqtt_frame_parse(above, sizeof(above), BODY_MAX, &frame), -EMSGSIZE);
	assert_int_equal(mqtt_frame_parse(endless, sizeof(endless), BODY_MAX, &frame), -EBADMSG);
}

static void
test_subscribe(void **state)
{
	struct mqtt_frame frame = frame_of(subscribe_311, sizeof(subscribe_311));
	struct mqtt_filters filters;
	struct mqtt_filter filter;

	(void)state;
	assert_int_equal(mqtt_filters_parse(&frame, MQTT_3_1_1, &filters), 0);
	assert_int_equal(filters.packet_id, 0x1234);
	assert_int_equal(mqtt_filters_next(&filters, &filter), 1);
	assert_int_equal(string_compare(filter.filter, "a/"), 0);
	assert_int_equal(filter.qos, 1);
	assert_int_equal(mqtt_filters_next(&filters, &filter), 1);
	assert_int_equal(filter.qos, 2);
	assert_int_equal(mqtt_filters_next(&filters, &filter), 0);
	frame = frame_of(subscribe_5, sizeof(subscribe_5));
	assert_int_equal(mqtt_filters_parse(&frame, MQTT_5, &filters), 0);
	assert_int_equal(mqtt_filters_next(&filters, &filter), 1);
	assert_int_equal(filter.qos, 1);
}

static void
test_answers(void **state)
{
	static const uint8_t expected[] = {
		0x20,
		2,
		1,
		0, /* CONNACK 3.x, session present */
		0x20,
		3,
		0,
		0x86,
		0, /* CONNACK 5 */
		0x40,
		2,
		0,
		7, /* PUBACK 3.x leaves the code out */
		0x40,
		2,
		0,
		7, /* PUBACK 5, success */
		0x40,
		4,
		0,
		7,
		0x99,
		0, /* PUBACK 5 */
		0x90,
		4,
		0,
		1,
		1,
		0x80, /* SUBACK 3.x */
		0x90,
		5,
		0,
		1,
		0,
		1,
		0x8F, /* SUBACK 5 */
		0xB0,
		2,
		0,
		2, /* UNSUBACK 3.x */
		0xB0,
		4,
		0,
		2,
		0,
		0x11, /* UNSUBACK 5 */
		0xD0,
		0,
		0xE0,
		0,
		0xE0,
		2,
		0x8E,
		0,
	};
	static const uint8_t codes_3[] = { 1, 0x80 }, codes_5[] = { 1, 0x8F }, gone[] = { 0x11 };
	struct buffer out = { 0 };

	(void)state;
	mqtt_build_connack(&out, MQTT_3_1_1, true, 0);
	mqtt_build_connack(&out, MQTT_5, false, 0x86);
	mqtt_build_puback(&out, MQTT_3_1_1, 7, 0x99);
	mqtt_build_puback(&out, MQTT_5, 7, 0);
	mqtt_build_puback(&out, MQTT_5, 7, 0x99);
	mqtt_build_suback(&out, MQTT_3_1_1, 1, codes_3, 2);
	mqtt_build_suback(&out, MQTT_5, 1, codes_5, 2);
	mqtt_build_unsuback(&out, MQTT_3_1_1, 2, gone, 1);
	mqtt_build_unsuback(&out, MQTT_5, 2, gone, 1);
	mqtt_build_pingresp(&out);
	mqtt_build_disconnect(&out, 0);
	mqtt_build_disconnect(&out, 0x8E);
	assert_int_equal(buffer_length(&out), sizeof(expected));
	assert_memory_equal(out.data, expected, sizeof(expected));
	buffer_done(&out);
}

/* Whatever the parsers are given, they stay within it; the copy has exactly its size, so that a sanitizer
 * sees. */
static void
parse_anything(const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length ? length : 1);
	struct mqtt_filters filters;
	struct mqtt_filter filter;
	struct mqtt_connect connect;
	struct mqtt_publish publish;
	struct mqtt_frame frame;
	struct mqtt_ack ack;
	uint8_t code;

	memcpy(copy, bytes, length);
	if (mqtt_frame_parse(copy, length, BODY_MAX, &frame) == 1) {
		mqtt_connect_parse(&frame, &connect);
		for (int version = MQTT_3_1; version <= MQTT_5; version++) {
			mqtt_publish_parse(&frame, version, &publish);
			mqtt_ack_parse(&frame, version, &ack);
			mqtt_disconnect_parse(&frame, version, &code);
			if (mqtt_filters_parse(&frame, version, &filters) == 0)
				while (mqtt_filters_next(&filters, &filter) == 1)
					;
		}
	}
	free(copy);
}

/* A packet whose remaining length is cut to what is left is malformed, and seen to be. */
static void
cut_everywhere(const uint8_t *bytes, size_t length)
{
	uint8_t cut[128];
	struct mqtt_frame frame;

	for (size_t left = 2; left < length; left++) {
		struct mqtt_connect connect;

		memcpy(cut, bytes, left);
		cut[1] = (uint8_t)(left - 2);
		parse_anything(cut, left);
		frame = frame_of(cut, left);
		if (frame.type == MQTT_CONNECT)
			assert_int_equal(mqtt_connect_parse(&frame, &connect), -EBADMSG);
	}
}

static void
test_truncated(void **state)
{
	(void)state;
	cut_everywhere(connect_311, sizeof(connect_311));
	cut_everywhere(connect_5, sizeof(connect_5));
	cut_everywhere(subscribe_311, sizeof(subscribe_311));
	cut_everywhere(subscribe_5, sizeof(subscribe_5));
}

static void
test_garbage(void **state)
{
	uint8_t bytes[64];
	uint32_t random = 1;

	(void)state;
	for (int round = 0; round < 50000; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			random = random * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(random >> 24);
		}
		/* Mostly a length that fits, else the bodies would never be looked at. */
		bytes[1] = round % 8 ? bytes[1] & 0x3D : bytes[1];
		parse_anything(bytes, sizeof(bytes));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_311),
		cmocka_unit_test(test_connect_5),
		cmocka_unit_test(test_connect_refused),
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_publish_refused),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_subscribe),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
