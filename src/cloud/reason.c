#include "cloud/reason.h"

#define LIMITS "a rate limit or the API limit of the tenant may be reached"

const struct reason reasons[] = {
	{ .code = 0x01, .reaction = REACT_OTHER_VERSION, .text = "unsupported protocol version" },
	{ .code = 0x02, .reaction = REACT_SELDOM, .text = "client identifier rejected", .about_credentials = true },
	{ .code = 0x03,
	    .reaction = REACT_LET_UP,
	    .text = "server unavailable",
	    .advice = LIMITS ", or the profile of the device be for another transport than MQTT" },
	{ .code = 0x04, .reaction = REACT_SELDOM, .text = "bad user name or password", .about_credentials = true },
	{ .code = 0x05, .reaction = REACT_SELDOM, .text = "not authorized", .about_credentials = true },
	{ .code = 0x80, .reaction = REACT_BACK_OFF, .text = "unspecified error", .advice = "see the server's log" },
	{ .code = 0x81,
	    .reaction = REACT_BACK_OFF,
	    .text = "malformed packet",
	    .advice = "a message may be larger than the server takes: see server.batch_bytes" },
	{ .code = 0x82, .reaction = REACT_BACK_OFF, .text = "protocol error", .advice = "see the server's log" },
	{ .code = 0x83, .reaction = REACT_LET_UP, .text = "implementation specific error", .advice = LIMITS },
	{ .code = 0x84, .reaction = REACT_OTHER_VERSION, .text = "unsupported protocol version" },
	{ .code = 0x85, .reaction = REACT_SELDOM, .text = "client identifier not valid", .about_credentials = true },
	{ .code = 0x86, .reaction = REACT_SELDOM, .text = "bad user name or password", .about_credentials = true },
	{ .code = 0x87, .reaction = REACT_SELDOM, .text = "not authorized", .about_credentials = true },
	{ .code = 0x88,
	    .reaction = REACT_BACK_OFF,
	    .text = "server unavailable",
	    .advice = "if that stays so, the profile of the device may be for another transport than MQTT" },
	{ .code = 0x89, .reaction = REACT_LET_UP, .text = "server busy", .advice = "nothing to be done here" },
	{ .code = 0x8A,
	    .reaction = REACT_SELDOM,
	    .text = "banned",
	    .advice = "only who runs the server can lift that" },
	{ .code = 0x8B, .reaction = REACT_BACK_OFF, .text = "server shutting down", .advice = "nothing to be done here" },
	{ .code = 0x8C, .reaction = REACT_SELDOM, .text = "bad authentication method", .about_credentials = true },
	{ .code = 0x8D,
	    .reaction = REACT_BACK_OFF,
	    .text = "keep alive timeout",
	    .advice = "the line loses packets, or server.keepalive_s is too long for it" },
	{ .code = REASON_SESSION_TAKEN_OVER,
	    .reaction = REACT_STAND_BACK,
	    .text = "session taken over",
	    .advice = "another client uses the same credentials: each device needs its own, and one gateway" },
	{ .code = 0x8F, .reaction = REACT_BACK_OFF, .text = "topic filter invalid", .advice = "see the server's log" },
	{ .code = 0x90, .reaction = REACT_BACK_OFF, .text = "topic name invalid", .advice = "see the server's log" },
	{ .code = 0x93,
	    .reaction = REACT_BACK_OFF,
	    .text = "receive maximum exceeded",
	    .advice = "make server.in_flight smaller" },
	{ .code = 0x94, .reaction = REACT_BACK_OFF, .text = "topic alias invalid", .advice = "see the server's log" },
	{ .code = 0x95,
	    .reaction = REACT_BACK_OFF,
	    .text = "packet too large",
	    .advice = "make server.batch_bytes smaller" },
	{ .code = 0x96, .reaction = REACT_LET_UP, .text = "message rate too high", .advice = LIMITS },
	{ .code = REASON_QUOTA_EXCEEDED, .reaction = REACT_LET_UP, .text = "quota exceeded", .advice = LIMITS },
	{ .code = 0x98,
	    .reaction = REACT_BACK_OFF,
	    .text = "administrative action",
	    .advice = "the device was deleted there, or its credentials were changed" },
	{ .code = 0x99, .reaction = REACT_BACK_OFF, .text = "payload format invalid", .advice = "see the server's log" },
	{ .code = 0x9A, .reaction = REACT_SELDOM, .text = "retain not supported", .advice = "see the server's log" },
	{ .code = 0x9B, .reaction = REACT_SELDOM, .text = "QoS not supported", .advice = "the server must know QoS 1" },
	{ .code = 0x9C, .reaction = REACT_SELDOM, .text = "use another server", .advice = "change server.host" },
	{ .code = 0x9D, .reaction = REACT_SELDOM, .text = "server moved", .advice = "change server.host" },
	{ .code = 0x9E,
	    .reaction = REACT_SELDOM,
	    .text = "shared subscriptions not supported",
	    .advice = "see the server's log" },
	{ .code = 0x9F, .reaction = REACT_LET_UP, .text = "connection rate exceeded", .advice = LIMITS },
	{ .code = 0xA0,
	    .reaction = REACT_BACK_OFF,
	    .text = "maximum connect time",
	    .advice = "the server ends old sessions: nothing to be done here" },
	{ .code = 0xA1,
	    .reaction = REACT_SELDOM,
	    .text = "subscription identifiers not supported",
	    .advice = "see the server's log" },
	{ .code = 0xA2,
	    .reaction = REACT_SELDOM,
	    .text = "wildcard subscriptions not supported",
	    .advice = "the server must know them" },
};

const size_t reason_count = sizeof(reasons) / sizeof(reasons[0]);

const struct reason *
reason_find(int code)
{
	static const struct reason unknown = {
		.reaction = REACT_BACK_OFF, .text = "unknown reason", .advice = "see the server's log"
	};

	for (size_t i = 0; i < reason_count; i++)
		if (reasons[i].code == code)
			return &reasons[i];
	return &unknown;
}

const char *
reason_text(int code)
{
	return reason_find(code)->text;
}

const char *
reason_advice(const struct reason *reason, enum credentials_kind kind)
{
	static const char *const advice[] = {
		[CREDENTIALS_NONE] = "check its credentials in gateway.conf",
		[CREDENTIALS_TOKEN] = "check its token in gateway.conf, and that the device exists",
		[CREDENTIALS_BASIC] = "check its client_id, user and password in gateway.conf",
		[CREDENTIALS_CERTIFICATE] = "is the certificate in its cert_file still valid, and the one that ThingsBoard has for the device?",
	};

	return reason->about_credentials ? advice[kind] : reason->advice;
}

/* ThingsBoard closes with 0x83 on what exceeds its limits, and with 0x8B on a message that makes it throw. */
enum blame
reason_blame(int code)
{
	switch (code) {
	case 0x00:
	case 0x80:
	case 0x82:
	case 0x83:
	case 0x87:
	case 0x8B:
		return BLAME_MAYBE;
	case 0x81:
	case 0x90:
	case 0x95:
	case 0x99:
		return BLAME_MESSAGE;
	case 0x96:
	case REASON_QUOTA_EXCEEDED:
		return BLAME_RATE;
	default:
		return BLAME_NONE;
	}
}
