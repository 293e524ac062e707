#include "cloud/reason.h"

#include <stddef.h>

/* MQTT 3.1.1, 3.2.2.3 and MQTT 5.0, 2.4. */
static const struct {
	int code;
	enum refusal refusal;
	const char *text;
} reasons[] = {
	{ .code = 0x01, .refusal = REFUSED_VERSION, .text = "unsupported protocol version" },
	{ .code = 0x02, .refusal = REFUSED_TOKEN, .text = "client identifier rejected" },
	{ .code = 0x03, .refusal = REFUSED_FOR_NOW, .text = "server unavailable or rate limited" },
	{ .code = 0x04, .refusal = REFUSED_TOKEN, .text = "bad user name or password" },
	{ .code = 0x05, .refusal = REFUSED_TOKEN, .text = "not authorized" },
	{ .code = 0x80, .refusal = REFUSED_FOR_NOW, .text = "unspecified error" },
	{ .code = 0x81, .refusal = REFUSED_FOR_NOW, .text = "malformed packet" },
	{ .code = 0x82, .refusal = REFUSED_FOR_NOW, .text = "protocol error" },
	{ .code = 0x83, .refusal = REFUSED_FOR_NOW, .text = "implementation specific error" },
	{ .code = 0x84, .refusal = REFUSED_VERSION, .text = "unsupported protocol version" },
	{ .code = 0x85, .refusal = REFUSED_TOKEN, .text = "client identifier not valid" },
	{ .code = 0x86, .refusal = REFUSED_TOKEN, .text = "bad user name or password" },
	{ .code = 0x87, .refusal = REFUSED_TOKEN, .text = "not authorized" },
	{ .code = 0x88, .refusal = REFUSED_FOR_NOW, .text = "server unavailable" },
	{ .code = 0x89, .refusal = REFUSED_FOR_NOW, .text = "server busy" },
	{ .code = 0x8A, .refusal = REFUSED_TOKEN, .text = "banned" },
	{ .code = 0x8B, .refusal = REFUSED_FOR_NOW, .text = "server shutting down" },
	{ .code = 0x8D, .refusal = REFUSED_FOR_NOW, .text = "keep alive timeout" },
	{ .code = 0x8E,
	    .refusal = REFUSED_FOR_NOW,
	    .text = "session taken over: another client uses the same token" },
	{ .code = 0x90, .refusal = REFUSED_FOR_NOW, .text = "topic name invalid" },
	{ .code = 0x95, .refusal = REFUSED_FOR_NOW, .text = "packet too large" },
	{ .code = 0x96, .refusal = REFUSED_FOR_NOW, .text = "message rate too high" },
	{ .code = 0x97, .refusal = REFUSED_FOR_NOW, .text = "quota exceeded" },
	{ .code = 0x98,
	    .refusal = REFUSED_FOR_NOW,
	    .text = "administrative action: credentials changed or device deleted" },
	{ .code = 0x99, .refusal = REFUSED_FOR_NOW, .text = "payload format invalid" },
	{ .code = 0x9C, .refusal = REFUSED_FOR_NOW, .text = "use another server" },
	{ .code = 0x9D, .refusal = REFUSED_FOR_NOW, .text = "server moved" },
	{ .code = 0x9F, .refusal = REFUSED_FOR_NOW, .text = "connection rate exceeded" },
	{ .code = 0xA0, .refusal = REFUSED_FOR_NOW, .text = "maximum connect time" },
};

enum refusal
reason_refusal(int code)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].code == code)
			return reasons[i].refusal;
	return REFUSED_FOR_NOW;
}

const char *
reason_text(int code)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].code == code)
			return reasons[i].text;
	return "unknown reason";
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
