#include "conf/schema.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "conf/schema_calls.h"
#include "conf/schema_line.h"
#include "line/pattern.h"
#include "model/codec.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Where a row's value goes. */
#define INTO(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

#define RTU	     (1U << BUS_RTU)
#define TCP	     (1U << BUS_TCP)
#define RTU_OVER_TCP (1U << BUS_RTU_OVER_TCP)
#define SERIAL	     (1U << BUS_SERIAL)
#define SERIAL_TCP   (1U << BUS_SERIAL_TCP)
#define FROM_FILE    (1U << BUS_FILE)
#define LINE	     (SERIAL | SERIAL_TCP | FROM_FILE)

#define NAME_CHARACTERS	  64
#define KEY_CHARACTERS	  255 /* ThingsBoard drops data with longer keys, after it has acknowledged them */
#define HOST_CHARACTERS	  253 /* RFC 1035 2.3.4, as text */
#define PATH_CHARACTERS	  4095
#define METHOD_CHARACTERS 255
#define SECRET_CHARACTERS 255

/* Checks of values. */

static const char *
check_printable(union setting_value value)
{
	for (const char *at = value.text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			return "has a control character, printable text is required";
	if (!utf8_valid(value.text, strlen(value.text)))
		return "is no valid UTF-8, text in UTF-8 is required";
	if (value.text[strspn(value.text, " ")] == '\0')
		return "is blank, text is required";
	return NULL;
}

/* ThingsBoard refuses keys that look like HTML, silently and after the acknowledgement. */
static const char *
check_key(union setting_value value)
{
	if (strpbrk(value.text, "<>"))
		return "has a '<' or '>', which ThingsBoard refuses, other characters are allowed";
	return check_printable(value);
}

static const char *
check_no_blanks(union setting_value value)
{
	return strchr(value.text, ' ') ? "has a blank, printable text without blanks is required"
				       : check_printable(value);
}

/* "usb:0403:6001" or "usb:0403:6001:A50285BI" */
static bool
is_usb_name(const char *text)
{
	static const char form[] = "usb:hhhh:hhhh";

	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == 'h' && i > 3 ? !isxdigit((unsigned char)text[i]) : text[i] != form[i])
			return false;
	text += sizeof(form) - 1;
	return text[0] == '\0' || (text[0] == ':' && text[1] != '\0');
}

static const char *
check_port(union setting_value value)
{
	return value.text[0] == '/' || is_usb_name(value.text)
		   ? check_printable(value)
		   : "is no serial port, a path such as /dev/ttyUSB0 or usb:VENDOR:PRODUCT[:SERIAL] with "
		     "four "
		     "hexadecimal digits each is required";
}

static const char *
check_folder(union setting_value value)
{
	return value.text[0] == '/' ? check_printable(value)
				    : "is no absolute path, a path such as /var/lib/fieldgate is required";
}

static const char *
check_file(union setting_value value)
{
	return value.text[strlen(value.text) - 1] == '/' ? "is a folder, the name of a file is required"
							 : check_printable(value);
}

static const char *
check_method(union setting_value value)
{
	return strcmp(value.text, "get") == 0 || strcmp(value.text, "set") == 0
		   ? "is built in and cannot be redefined, another name is required"
		   : check_printable(value);
}

static const char *
check_not_zero(union setting_value value)
{
	return value.number == 0 ? "would make every value the same, any other number is allowed" : NULL;
}

static const char *
check_device_timeout(union setting_value value)
{
	return value.integer > 0 && value.integer < 10 ? "is too short, allowed are 0 and 10..60000" : NULL;
}

/* Names of enumerations, in their order. */

static const char *
bus_type_name(int number)
{
	static const char *const names[] = {
		[BUS_RTU] = "rtu",
		[BUS_TCP] = "tcp",
		[BUS_RTU_OVER_TCP] = "rtu-over-tcp",
		[BUS_SERIAL] = "serial",
		[BUS_SERIAL_TCP] = "serial-tcp",
		[BUS_FILE] = "file",
	};

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
parity_name(int number)
{
	static const char *const names[] = {
		[PARITY_NONE] = "none", [PARITY_EVEN] = "even", [PARITY_ODD] = "odd"
	};

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
line_parity_name(int number)
{
	static const char *const names[] = { [PARITY_MARK] = "mark", [PARITY_SPACE] = "space" };

	if (number < PARITY_MARK)
		return parity_name(number);
	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
rs485_name(int number)
{
	static const char *const names[] = { [RS485_OFF] = "off",
		[RS485_KERNEL] = "kernel",
		[RS485_RTS] = "rts",
		[RS485_RTS_INVERTED] = "rts-inverted" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
flow_name(int number)
{
	static const char *const names[] = {
		[FLOW_NONE] = "none", [FLOW_RTS_CTS] = "rts-cts", [FLOW_XON_XOFF] = "xon-xoff"
	};

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
signal_name(int number)
{
	static const char *const names[] = {
		[SIGNAL_ON] = "on", [SIGNAL_OFF] = "off", [SIGNAL_KEEP] = "keep"
	};

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
echo_name(int number)
{
	static const char *const names[] = {
		[ECHO_OFF] = "off", [ECHO_STRIP] = "strip", [ECHO_AUTO] = "auto"
	};

	return number < (int)COUNT(names) ? names[number] : NULL;
}

/* What an echo is can be found out only where requests and answers have a known shape. */
static const char *
line_echo_name(int number)
{
	return number < ECHO_AUTO ? echo_name(number) : NULL;
}

static const char *
byte_name(int number)
{
	static const char *const names[] = { [BYTE_LOW] = "low", [BYTE_HIGH] = "high" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
write_name(int number)
{
	static const char *const names[] = {
		[WRITE_AUTO] = "auto", [WRITE_SINGLE] = "single", [WRITE_MULTIPLE] = "multiple"
	};

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
table_name(int number)
{
	return number <= TABLE_HOLDING ? point_table_name((enum point_table)number) : NULL;
}

static const char *
type_name(int number)
{
	return number < TYPE_COUNT ? codec_type((enum point_type)number)->name : NULL;
}

static const char *
order_name(int number)
{
	return number < ORDERS ? point_order_name((enum point_order)number) : NULL;
}

static const char *
kind_name(int number)
{
	static const char *const names[] = { [KIND_TELEMETRY] = "telemetry", [KIND_ATTRIBUTE] = "attribute" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
report_name(int number)
{
	static const char *const names[] = { [REPORT_ALWAYS] = "always", [REPORT_CHANGE] = "change" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
aggregate_name(int number)
{
	return number < AGGREGATES ? point_aggregate_name((enum point_aggregate)number) : NULL;
}

static const char *
drop_name(int number)
{
	static const char *const names[] = { [DROP_OLDEST] = "oldest", [DROP_NEWEST] = "newest" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
when_offline_name(int number)
{
	static const char *const names[] = { [OFFLINE_CLOSE] = "close", [OFFLINE_STAY] = "stay" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
api_name(int number)
{
	static const char *const names[] = { [API_DEVICE] = "device", [API_GATEWAY] = "gateway" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
replay_name(int number)
{
	static const char *const names[] = { [REPLAY_IN_ORDER] = "in_order",
		[REPLAY_LIVE_FIRST] = "live_first" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
provision_name(int number)
{
	static const char *const names[] = {
		[PROVISION_TOKEN] = "token", [PROVISION_BASIC] = "basic", [PROVISION_CERTIFICATE] = "certificate"
	};

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const char *
action_name(int number)
{
	static const char *const names[] = { [RPC_SET] = "set", [RPC_GET] = "get" };

	return number < (int)COUNT(names) ? names[number] : NULL;
}

/* The rates that termios(3) has a name for, from 1200 up: libmodbus turns any other into 9600 without a word.
 */
static const int baud_rates[] = { 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800,
	500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000, 0 };

static const int line_data_bits[] = { 5, 6, 7, 8, 0 };

/* RTU needs all eight bits of a character (Modbus over serial line V1.02, 2.5.1). */
static const int data_bits[] = { 8, 0 };
static const int stop_bits[] = { 1, 2, 0 };

static const int chars[] = { 1, 2, 0 };

/* The rows. */

static const struct setting_row tls_rows[] = {
	{ .name = "ca_file",
	    .about = "certificates of the CAs that are trusted, PEM",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .preset_about = "those that the system trusts",
	    .check = check_file,
	    INTO(struct tls_input, tls.ca_file) },
	{ .name = "cert_file",
	    .about = "a certificate to be shown by devices that have none of their own, PEM",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .preset_about = "none",
	    .check = check_file,
	    INTO(struct tls_input, tls.cert_file) },
	{ .name = "key_file",
	    .about = "the key of that certificate, PEM; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .preset_about = "none, and required with cert_file",
	    .check = check_file,
	    INTO(struct tls_input, tls.key_file) },
};

static const struct setting_group tls_group = {
	.name = "tls", .rows = tls_rows, .row_count = COUNT(tls_rows), .size = sizeof(struct tls_input)
};

static const struct setting_row provision_rows[] = {
	{ .name = "key",
	    .about = "the provision key of a device profile in ThingsBoard; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .secret = true,
	    .preset_about = "none, and required unless there is a key_file",
	    .check = check_no_blanks,
	    INTO(struct provision_input, provision.key) },
	{ .name = "key_file",
	    .about = "the file that the key is in, and nothing else",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = check_file,
	    INTO(struct provision_input, key_file) },
	{ .name = "secret",
	    .about = "the provision secret of that profile; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .secret = true,
	    .preset_about = "none, and required unless there is a secret_file",
	    .check = check_no_blanks,
	    INTO(struct provision_input, provision.secret) },
	{ .name = "secret_file",
	    .about = "the file that the secret is in, and nothing else",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = check_file,
	    INTO(struct provision_input, secret_file) },
	{ .name = "type",
	    .about = "what the device is to have",
	    .kind = SETTING_NAME,
	    .names = provision_name,
	    .preset = "token",
	    INTO(struct provision_input, provision.type) },
};

static const struct setting_group provision_group = { .name = "provision",
	.rows = provision_rows,
	.row_count = COUNT(provision_rows),
	.size = sizeof(struct provision_input) };

static const struct setting_row claim_rows[] = {
	{ .name = "secret",
	    .about = "what a customer must know to claim the device; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .secret = true,
	    .preset_about = "none, and required unless there is a secret_file",
	    .check = check_printable,
	    INTO(struct claim_input, claim.secret) },
	{ .name = "secret_file",
	    .about = "the file that the secret is in, and nothing else",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = check_file,
	    INTO(struct claim_input, secret_file) },
	{ .name = "duration_ms",
	    .about = "how long it can be claimed, from when the server was told",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = INT32_MAX,
	    .preset = "0",
	    .preset_about = "0, as long as the server allows",
	    .unit = "ms",
	    INTO(struct claim_input, claim.duration_ms) },
};

static const struct setting_group claim_group = {
	.name = "claim", .rows = claim_rows, .row_count = COUNT(claim_rows), .size = sizeof(struct claim_input)
};

static const struct setting_row credentials_rows[] = {
	{ .name = "client_id",
	    .about = "the MQTT client id",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .preset_about = "a random one",
	    .check = check_printable,
	    INTO(struct credentials_input, credentials.client_id) },
	{ .name = "user",
	    .about = "the user name",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .preset_about = "none, and required unless there is a client_id",
	    .check = check_printable,
	    INTO(struct credentials_input, credentials.user) },
	{ .name = "password",
	    .about = "its password; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .secret = true,
	    .check = check_printable,
	    INTO(struct credentials_input, credentials.password) },
	{ .name = "password_file",
	    .about = "the file that its password is in, and nothing else",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = check_file,
	    INTO(struct credentials_input, password_file) },
};

static const struct setting_group credentials_group = { .name = "credentials",
	.rows = credentials_rows,
	.row_count = COUNT(credentials_rows),
	.size = sizeof(struct credentials_input) };

static const struct setting_row server_rows[] = {
	{ .name = "host",
	    .about = "name or address of the ThingsBoard server",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = HOST_CHARACTERS,
	    .required = true,
	    .check = check_no_blanks,
	    INTO(struct server_input, server.host) },
	{ .name = "port",
	    .about = "TCP port of its MQTT transport",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 65535,
	    .preset = "1883",
	    .preset_about = "1883, with tls 8883",
	    INTO(struct server_input, server.port) },
	{ .name = "api",
	    .about = "a session for each device, or one for all by the gateway API",
	    .kind = SETTING_NAME,
	    .names = api_name,
	    .preset = "device",
	    INTO(struct server_input, server.api) },
	{ .name = "tls",
	    .about = "encrypt, and make sure that it is that server",
	    .kind = SETTING_GROUP,
	    .preset_about = "no encryption",
	    .group = &tls_group,
	    INTO(struct server_input, tls) },
	{ .name = "keepalive_s",
	    .about = "longest silence on a session; the server closes one that is idle for 600 s",
	    .kind = SETTING_INT,
	    .min = 10,
	    .max = 500,
	    .preset = "60",
	    .unit = "s",
	    INTO(struct server_input, server.keepalive_s) },
	{ .name = "connect_timeout_ms",
	    .about = "longest wait for a session to be accepted",
	    .kind = SETTING_INT,
	    .min = 500,
	    .max = 60000,
	    .preset = "10000",
	    .unit = "ms",
	    INTO(struct server_input, server.connect_timeout_ms) },
	{ .name = "reconnect_min_ms",
	    .about = "first pause before connecting again; it doubles with each failure",
	    .kind = SETTING_INT,
	    .min = 100,
	    .max = 60000,
	    .preset = "1000",
	    .unit = "ms",
	    INTO(struct server_input, server.reconnect_min_ms) },
	{ .name = "reconnect_max_ms",
	    .about = "longest pause before connecting again",
	    .kind = SETTING_INT,
	    .min = 1000,
	    .max = 3600000,
	    .preset = "60000",
	    .unit = "ms",
	    INTO(struct server_input, server.reconnect_max_ms) },
	/* ThingsBoard's shortest waiting caller gives up after 5 s; the answer must be there before. */
	{ .name = "rpc_timeout_ms",
	    .about = "a command that has not started by then is dropped and answered with an error",
	    .kind = SETTING_INT,
	    .min = 100,
	    .max = 600000,
	    .preset = "4500",
	    .unit = "ms",
	    INTO(struct server_input, server.rpc_timeout_ms) },
	{ .name = "ack_timeout_ms",
	    .about = "an acknowledgement that takes longer will not come: the session is started anew",
	    .kind = SETTING_INT,
	    .min = 500,
	    .max = 600000,
	    .preset = "30000",
	    .unit = "ms",
	    INTO(struct server_input, server.ack_timeout_ms) },
	/* The server takes 100 at once and recommends to use 80 % of that. */
	{ .name = "in_flight",
	    .about = "telemetry messages of one session that wait for their acknowledgement at a time",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 80,
	    .preset = "8",
	    INTO(struct server_input, server.in_flight) },
	/* The server closes the connection at packets above 65536 bytes, topic included. */
	{ .name = "batch_bytes",
	    .about = "largest telemetry message",
	    .kind = SETTING_INT,
	    .min = 1024,
	    .max = 65000,
	    .preset = "32768",
	    .unit = "bytes",
	    INTO(struct server_input, server.batch_bytes) },
};

static const struct setting_row store_rows[] = {
	{ .name = "memory_mb",
	    .about = "memory for samples that the server has not acknowledged",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 4096,
	    .preset = "16",
	    .unit = "MB",
	    INTO(struct store_input, store.memory_mb) },
	{ .name = "dir",
	    .about = "where samples are kept that the server does not acknowledge",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .preset_about = "what systemd says, else /var/lib/fieldgate",
	    .check = check_folder,
	    INTO(struct store_input, store.dir) },
	{ .name = "max_mb",
	    .about = "room for them",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 65536,
	    .preset = "256",
	    .unit = "MB",
	    INTO(struct store_input, store.max_mb) },
	{ .name = "max_age_h",
	    .about = "samples older than this are dropped",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 87600,
	    .preset = "168",
	    .unit = "h",
	    INTO(struct store_input, store.max_age_h) },
	{ .name = "flush_after_ms",
	    .about = "what is not acknowledged for so long is written to disk; 0: written before it is sent",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 3600000,
	    .preset = "1000",
	    .unit = "ms",
	    INTO(struct store_input, store.flush_after_ms) },
	{ .name = "drop",
	    .about = "which samples are dropped when there is no room",
	    .kind = SETTING_NAME,
	    .names = drop_name,
	    .preset = "oldest",
	    INTO(struct store_input, store.drop) },
	{ .name = "replay",
	    .about = "what goes first after an outage",
	    .kind = SETTING_NAME,
	    .names = replay_name,
	    .preset = "in_order",
	    INTO(struct store_input, store.replay) },
};

static const struct setting_row clock_rows[] = {
	{ .name = "wait_s",
	    .about = "how long after the boot a wall clock is awaited that NTP or a battery vouches for",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 86400,
	    .preset = "600",
	    .unit = "s",
	    INTO(struct clock_input, clock.wait_s) },
};

static const struct setting_row bus_rows[] = {
	{ .name = "name",
	    .about = "what devices, points and messages call the bus; unique",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .required = true,
	    .check = check_printable,
	    INTO(struct bus_input, bus.name) },
	{ .name = "type",
	    .about = "what the bus is",
	    .kind = SETTING_NAME,
	    .names = bus_type_name,
	    .required = true,
	    .selects = true,
	    INTO(struct bus_input, bus.type) },
	{ .name = "port",
	    .about =
		"the serial port, an absolute path or usb:VENDOR:PRODUCT[:SERIAL]; no two buses share one",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .required = true,
	    .check = check_port,
	    .only = RTU | SERIAL,
	    INTO(struct bus_input, bus.port) },
	{ .name = "baud",
	    .about = "bits per second",
	    .kind = SETTING_INT,
	    .choices = baud_rates,
	    .preset = "9600",
	    .only = RTU,
	    INTO(struct bus_input, bus.baud) },
	{ .name = "baud",
	    .about = "bits per second",
	    .kind = SETTING_INT,
	    .min = LINE_BAUD_MIN,
	    .max = LINE_BAUD_MAX,
	    .preset = "9600",
	    .only = SERIAL,
	    INTO(struct bus_input, bus.baud) },
	{ .name = "parity",
	    .about = "parity of a character; even is the standard's default",
	    .kind = SETTING_NAME,
	    .names = parity_name,
	    .preset = "even",
	    .only = RTU,
	    INTO(struct bus_input, bus.parity) },
	{ .name = "parity",
	    .about = "parity of a character",
	    .kind = SETTING_NAME,
	    .names = line_parity_name,
	    .preset = "none",
	    .only = SERIAL,
	    INTO(struct bus_input, bus.parity) },
	{ .name = "data_bits",
	    .about = "bits of a character; RTU needs all eight",
	    .kind = SETTING_INT,
	    .choices = data_bits,
	    .preset = "8",
	    .only = RTU,
	    INTO(struct bus_input, bus.data_bits) },
	{ .name = "data_bits",
	    .about = "bits of a character",
	    .kind = SETTING_INT,
	    .choices = line_data_bits,
	    .preset = "8",
	    .only = SERIAL,
	    INTO(struct bus_input, bus.data_bits) },
	{ .name = "stop_bits",
	    .about = "stop bits of a character",
	    .kind = SETTING_INT,
	    .choices = stop_bits,
	    .preset = "1",
	    .only = RTU | SERIAL,
	    INTO(struct bus_input, bus.stop_bits) },
	{ .name = "flow",
	    .about = "who may send, and when: by wires, or by characters that then are no data",
	    .kind = SETTING_NAME,
	    .names = flow_name,
	    .preset = "none",
	    .only = SERIAL,
	    INTO(struct bus_input, bus.flow) },
	{ .name = "dtr",
	    .about = "what DTR is set to when the port is opened; it powers some instruments, and resets some boards",
	    .kind = SETTING_NAME,
	    .names = signal_name,
	    .preset = "on",
	    .only = SERIAL,
	    INTO(struct bus_input, bus.dtr) },
	{ .name = "rts",
	    .about = "what RTS is set to when the port is opened",
	    .kind = SETTING_NAME,
	    .names = signal_name,
	    .preset = "on",
	    .only = SERIAL,
	    INTO(struct bus_input, bus.rts) },
	{ .name = "silence_us",
	    .about = "quiet time on the line before a request",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 1000000,
	    .preset = "0",
	    .preset_about = "0, which means 3.5 characters, and 1750 us above 19200 baud",
	    .unit = "us",
	    .only = RTU,
	    INTO(struct bus_input, bus.silence_us) },
	{ .name = "rs485",
	    .about = "who switches the direction of the transceiver",
	    .kind = SETTING_NAME,
	    .names = rs485_name,
	    .preset = "off",
	    .only = RTU | SERIAL,
	    INTO(struct bus_input, bus.rs485) },
	{ .name = "rts_before_us",
	    .about = "time from switching to sending until the first bit",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 100000,
	    .preset = "0",
	    .unit = "us",
	    .only = RTU | SERIAL,
	    INTO(struct bus_input, bus.rts_before_us) },
	{ .name = "rts_after_us",
	    .about = "time from the last bit until switching to receiving",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 100000,
	    .preset = "0",
	    .unit = "us",
	    .only = RTU | SERIAL,
	    INTO(struct bus_input, bus.rts_after_us) },
	{ .name = "echo",
	    .about = "does what is sent come back, as it does on some two-wire adapters",
	    .kind = SETTING_NAME,
	    .names = echo_name,
	    .preset = "auto",
	    .only = RTU,
	    INTO(struct bus_input, bus.echo) },
	{ .name = "echo",
	    .about = "does what is sent come back, as it does on two wires with some adapters",
	    .kind = SETTING_NAME,
	    .names = line_echo_name,
	    .preset = "off",
	    .only = SERIAL | SERIAL_TCP,
	    INTO(struct bus_input, bus.echo) },
	{ .name = "low_latency",
	    .about = "ask the port's driver to pass on at once what it receives",
	    .kind = SETTING_BOOL,
	    .preset = "true",
	    .only = RTU | SERIAL,
	    INTO(struct bus_input, bus.low_latency) },
	{ .name = "host",
	    .about = "name or address of the unit or of the gateway before it",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = HOST_CHARACTERS,
	    .required = true,
	    .check = check_no_blanks,
	    .only = TCP | RTU_OVER_TCP | SERIAL_TCP,
	    INTO(struct bus_input, bus.host) },
	{ .name = "port",
	    .about = "TCP port; no two buses share host and port",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 65535,
	    .preset = "502",
	    .only = TCP | RTU_OVER_TCP,
	    INTO(struct bus_input, bus.tcp_port) },
	{ .name = "port",
	    .about = "TCP port of the device server; no two buses share host and port",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 65535,
	    .required = true,
	    .only = SERIAL_TCP,
	    INTO(struct bus_input, bus.tcp_port) },
	{ .name = "connect_timeout_ms",
	    .about = "longest wait for the connection",
	    .kind = SETTING_INT,
	    .min = 100,
	    .max = 60000,
	    .preset = "3000",
	    .unit = "ms",
	    .only = TCP | RTU_OVER_TCP | SERIAL_TCP,
	    INTO(struct bus_input, bus.connect_timeout_ms) },
	{ .name = "connect_pause_ms",
	    .about = "time from the connection to the first request, for what needs it",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 60000,
	    .preset = "0",
	    .unit = "ms",
	    .only = TCP | RTU_OVER_TCP | SERIAL_TCP,
	    INTO(struct bus_input, bus.connect_pause_ms) },
	{ .name = "timeout_ms",
	    .about = "longest wait for a reply, from the end of the request to the end of the reply",
	    .kind = SETTING_INT,
	    .min = 10,
	    .max = 60000,
	    .preset = "1000",
	    .unit = "ms",
	    .only = TCP | SERIAL | SERIAL_TCP,
	    INTO(struct bus_input, bus.timeout_ms) },
	{ .name = "timeout_ms",
	    .about = "longest wait for a reply, from the end of the request to the end of the reply",
	    .kind = SETTING_INT,
	    .min = 10,
	    .max = 60000,
	    .preset = "500",
	    .unit = "ms",
	    .only = RTU | RTU_OVER_TCP,
	    INTO(struct bus_input, bus.timeout_ms) },
	{ .name = "request_pause_ms",
	    .about = "least time between the end of an exchange and the next request",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 10000,
	    .preset = "0",
	    .unit = "ms",
	    INTO(struct bus_input, bus.request_pause_ms) },
	{ .name = "path",
	    .about = "the file that is read, once; - is standard input",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .required = true,
	    .check = check_printable,
	    .only = FROM_FILE,
	    INTO(struct bus_input, bus.path) },
	{ .name = "framing",
	    .about = "how what comes is cut into frames",
	    .kind = SETTING_GROUP,
	    .preset_about = "lines that end in CR, LF or both",
	    .group = &schema_framing,
	    .only = LINE,
	    INTO(struct bus_input, framing) },
	{ .name = "checksum",
	    .about = "how a frame is proven",
	    .kind = SETTING_GROUP,
	    .group = &schema_checksum,
	    .only = LINE,
	    INTO(struct bus_input, checksum) },
	{ .name = "address",
	    .about = "where in a frame stands which device it is of",
	    .kind = SETTING_GROUP,
	    .group = &schema_address,
	    .only = LINE,
	    INTO(struct bus_input, address) },
	{ .name = "on_open",
	    .about = "what is said when the port was opened",
	    .kind = SETTING_LIST,
	    .group = &schema_step,
	    .only = SERIAL | SERIAL_TCP,
	    INTO(struct bus_input, on_open) },
	{ .name = "on_close",
	    .about = "what is said before it is closed",
	    .kind = SETTING_LIST,
	    .group = &schema_step,
	    .only = SERIAL | SERIAL_TCP,
	    INTO(struct bus_input, on_close) },
};

/* The list form of an enum; its group form has a setting for each label. */
static const struct setting_row label_rows[] = {
	{ .name = "label",
	    .about = "text that stands for the number",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .required = true,
	    .check = check_printable,
	    INTO(struct label_input, label.label) },
	{ .name = "value",
	    .about = "number as the registers hold it, before scale and offset",
	    .kind = SETTING_INT,
	    .min = INT64_MIN,
	    .max = INT64_MAX,
	    .required = true,
	    INTO(struct label_input, label.number) },
};

static const struct setting_group label_group = { .name = "label",
	.rows = label_rows,
	.row_count = COUNT(label_rows),
	.size = sizeof(struct label_input) };

static const struct setting_row point_rows[] = {
	{ .name = "key",
	    .about = "what ThingsBoard calls the value; unique in the device",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .required = true,
	    .check = check_key,
	    INTO(struct point_input, point.key) },
	{ .name = "table",
	    .about = "which of Modbus' four tables",
	    .kind = SETTING_NAME,
	    .names = table_name,
	    .preset_about = "none, and required on a Modbus bus",
	    INTO(struct point_input, point.table) },
	{ .name = "addr",
	    .about = "zero-based address, as on the wire: register 40010 is table holding, addr 9",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 65535,
	    .preset_about = "none, and required on a Modbus bus",
	    INTO(struct point_input, point.addr) },
	{ .name = "type",
	    .about = "what the registers or bits hold",
	    .kind = SETTING_NAME,
	    .names = type_name,
	    .preset_about = "bool for coil and discrete and with bit, uint16 with bits, else required",
	    INTO(struct point_input, point.type) },
	{ .name = "count",
	    .about = "how many registers, coils or discrete inputs; a text must say",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = MODBUS_MAX_READ_REGISTERS,
	    .preset_about = "what the type takes",
	    INTO(struct point_input, point.count) },
	{ .name = "array",
	    .about = "so many numbers of the type one after the other, as an array",
	    .kind = SETTING_INT,
	    .min = 2,
	    .max = MODBUS_MAX_READ_REGISTERS,
	    .preset_about = "one number, by itself",
	    INTO(struct point_input, point.array) },
	{ .name = "order",
	    .about = "order of the bytes on the wire, A the most significant",
	    .kind = SETTING_NAME,
	    .names = order_name,
	    .preset = "ABCD",
	    INTO(struct point_input, point.order) },
	{ .name = "bit",
	    .about = "one bit of the registers, or the lowest of several; 0 is the least significant",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 63,
	    .preset_about = "all of them",
	    INTO(struct point_input, point.bit) },
	{ .name = "bits",
	    .about = "how many bits from that one up are the number",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 64,
	    .preset_about = "1 with bit",
	    INTO(struct point_input, point.bits) },
	{ .name = "byte",
	    .about = "which half of the register an int8 or uint8 is",
	    .kind = SETTING_NAME,
	    .names = byte_name,
	    .preset = "low",
	    INTO(struct point_input, byte) },
	{ .name = "chars",
	    .about = "characters of a string in each register",
	    .kind = SETTING_INT,
	    .choices = chars,
	    .preset = "2",
	    INTO(struct point_input, point.chars) },
	{ .name = "invalid",
	    .about = "what the registers hold when there is no value",
	    .kind = SETTING_INTS,
	    .min = INT64_MIN,
	    .max = INT64_MAX,
	    INTO(struct point_input, invalid) },
	{ .name = "valid_min",
	    .about = "least value that is believed; one below it is no value",
	    .kind = SETTING_NUMBER,
	    .preset_about = "what the type holds",
	    INTO(struct point_input, point.valid_min) },
	{ .name = "valid_max",
	    .about = "greatest value that is believed; one above it is no value",
	    .kind = SETTING_NUMBER,
	    .preset_about = "what the type holds",
	    INTO(struct point_input, point.valid_max) },
	{ .name = "scale",
	    .about = "value = number in the registers * scale + offset; not 0",
	    .kind = SETTING_NUMBER,
	    .preset = "1",
	    .check = check_not_zero,
	    INTO(struct point_input, point.scale) },
	{ .name = "offset",
	    .about = "see scale",
	    .kind = SETTING_NUMBER,
	    .preset = "0",
	    INTO(struct point_input, point.offset) },
	{ .name = "decimals",
	    .about = "decimals of the value as it is sent",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = DECIMALS_MAX,
	    .preset_about = "those of scale and offset, or all that a float has",
	    INTO(struct point_input, point.decimals) },
	{ .name = "enum",
	    .about = "labels for numbers, sent in their place",
	    .kind = SETTING_LABELS,
	    .min = 1,
	    .group = &label_group,
	    INTO(struct point_input, labels) },
	{ .name = "writable",
	    .about = "may RPC or a shared attribute write it",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct point_input, point.writable) },
	{ .name = "readable",
	    .about = "is it read; if not it can only be written",
	    .kind = SETTING_BOOL,
	    .preset = "true",
	    INTO(struct point_input, readable) },
	{ .name = "min",
	    .about = "least value that may be written",
	    .kind = SETTING_NUMBER,
	    .preset_about = "what the type holds",
	    INTO(struct point_input, point.min) },
	{ .name = "max",
	    .about = "greatest value that may be written",
	    .kind = SETTING_NUMBER,
	    .preset_about = "what the type holds",
	    INTO(struct point_input, point.max) },
	{ .name = "write",
	    .about = "function that writes it: single is 5 or 6, multiple 15 or 16",
	    .kind = SETTING_NAME,
	    .names = write_name,
	    .preset_about = "auto, which is single for one register or coil, else multiple",
	    INTO(struct point_input, point.write) },
	{ .name = "verify",
	    .about = "read it back after a write; it has failed if something else comes",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct point_input, point.verify) },
	{ .name = "shared",
	    .about = "write the shared attribute of the same key to it",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct point_input, point.shared) },
	{ .name = "kind",
	    .about = "what it is in ThingsBoard",
	    .kind = SETTING_NAME,
	    .names = kind_name,
	    .preset = "telemetry",
	    INTO(struct point_input, point.kind) },
	{ .name = "report",
	    .about = "send every sample, or only changes",
	    .kind = SETTING_NAME,
	    .names = report_name,
	    .preset_about = "change with a deadband and for attributes, else always",
	    INTO(struct point_input, point.report) },
	{ .name = "deadband",
	    .about = "least change that is one",
	    .kind = SETTING_NUMBER,
	    .min = 0,
	    .max = INT64_MAX,
	    .preset = "0",
	    INTO(struct point_input, point.deadband) },
	{ .name = "deadband_percent",
	    .about = "least change in percent of the value sent last",
	    .kind = SETTING_NUMBER,
	    .min = 0,
	    .max = INT64_MAX,
	    .preset = "0",
	    INTO(struct point_input, point.deadband_percent) },
	{ .name = "min_interval_ms",
	    .about = "send it no sooner than that after the last",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 86400000,
	    .preset = "0",
	    .unit = "ms",
	    INTO(struct point_input, point.min_interval_ms) },
	{ .name = "max_interval_ms",
	    .about = "send it after that long even if unchanged; 0 is never",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 86400000,
	    .preset = "0",
	    .unit = "ms",
	    INTO(struct point_input, point.max_interval_ms) },
	{ .name = "aggregate",
	    .about = "send these of each window_ms, as KEY_min and so on, instead of samples",
	    .kind = SETTING_SET,
	    .names = aggregate_name,
	    INTO(struct point_input, point.aggregate) },
	{ .name = "window_ms",
	    .about = "time over which samples are aggregated",
	    .kind = SETTING_INT,
	    .min = 100,
	    .max = 86400000,
	    .preset_about = "none, and required with aggregate",
	    .unit = "ms",
	    INTO(struct point_input, point.window_ms) },
	{ .name = "quality",
	    .about = "send KEY_quality when it changes: good, no value, refused, stale or offline",
	    .kind = SETTING_BOOL,
	    .preset_about = "the device's",
	    INTO(struct point_input, point.quality) },
	{ .name = "period_ms",
	    .about = "how often it is read",
	    .kind = SETTING_INT,
	    .min = 10,
	    .max = 86400000,
	    .preset_about = "the device's; on a bus of serial instruments that of a device which is not polled, if it has one, else every value is sent",
	    .unit = "ms",
	    INTO(struct point_input, point.period_ms) },
	{ .name = "bus",
	    .about = "another bus than the device's",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .preset_about = "the device's",
	    INTO(struct point_input, bus) },
	{ .name = "unit",
	    .about = "another unit than the device's",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 255,
	    .preset_about = "the device's",
	    INTO(struct point_input, point.unit) },
	/* In a frame of a serial instrument. */
	{ .name = "column",
	    .about = "which column of a line it is, or with obis which brackets; 0 is the first",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 255,
	    .preset_about = "none, and 0 with obis",
	    INTO(struct point_input, line.field.column) },
	{ .name = "sentence",
	    .about = "only in NMEA sentences with this id; three letters are those of any talker",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = 16,
	    .check = schema_check_word,
	    INTO(struct point_input, line.field.sentence) },
	{ .name = "field",
	    .about = "the key that it is the value of",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .check = check_printable,
	    INTO(struct point_input, line.name) },
	{ .name = "pattern",
	    .about = "a regular expression that takes it out of the frame",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATTERN_CHARACTERS,
	    .check = schema_check_pattern,
	    INTO(struct point_input, line.pattern) },
	{ .name = "group",
	    .about = "the named group of its pattern, or of the device's, that it is",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = 32,
	    .check = schema_check_word,
	    .preset_about = "the first group of its pattern",
	    INTO(struct point_input, line.field.group) },
	{ .name = "json",
	    .about = "where in a JSON text it is, as a JSON pointer: /sensors/0/temperature",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .check = schema_check_pointer,
	    INTO(struct point_input, line.json) },
	{ .name = "obis",
	    .about = "the code before the brackets that it is in: 1-0:1.8.0",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = 32,
	    .check = schema_check_code,
	    INTO(struct point_input, line.obis) },
	{ .name = "at",
	    .about = "the byte of the frame that it begins with; 0 is the first",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 65535,
	    .preset_about = "none",
	    INTO(struct point_input, line.field.at) },
	{ .name = "length",
	    .about = "so many characters are it",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 1000,
	    .preset_about = "none, and required with at unless there is a type",
	    INTO(struct point_input, line.field.length) },
	{ .name = "format",
	    .about = "how its text is read",
	    .kind = SETTING_NAME,
	    .names = schema_format_name,
	    .preset = "number",
	    INTO(struct point_input, line.field.format) },
	{ .name = "no_value",
	    .about = "texts in its place, or behind its number, that say that there is no value",
	    .kind = SETTING_TEXTS,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    INTO(struct point_input, line.no_values) },
	{ .name = "command",
	    .about = "how a serial instrument is told a value",
	    .kind = SETTING_GROUP,
	    .preset_about = "none, and required if it is writable on a bus of serial instruments",
	    .group = &schema_command,
	    INTO(struct point_input, command) },
};

static const struct setting_group point_group = { .name = "point",
	.rows = point_rows,
	.row_count = COUNT(point_rows),
	.size = sizeof(struct point_input) };

static const struct setting_row step_rows[] = {
	{ .name = "point",
	    .about = "key of a writable point of the device",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .required = true,
	    INTO(struct step_input, point) },
	{ .name = "param",
	    .about = "name of the parameter that is written",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .preset_about = "the key of the point",
	    INTO(struct step_input, param) },
	{ .name = "value",
	    .about = "what is written instead, whatever the parameters are",
	    .kind = SETTING_VALUE,
	    INTO(struct step_input, value) },
};

static const struct setting_group step_group = {
	.name = "step", .rows = step_rows, .row_count = COUNT(step_rows), .size = sizeof(struct step_input)
};

static const struct setting_row rpc_rows[] = {
	{ .name = "method",
	    .about = "what the RPC is called; unique in the device, get and set are built in",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = METHOD_CHARACTERS,
	    .required = true,
	    .check = check_method,
	    INTO(struct rpc_input, method) },
	{ .name = "point",
	    .about = "key of the point that it sets or gets",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    INTO(struct rpc_input, point) },
	{ .name = "action",
	    .about = "what it does",
	    .kind = SETTING_NAME,
	    .names = action_name,
	    .preset_about = "set if the point is writable, else get",
	    INTO(struct rpc_input, action) },
	{ .name = "value",
	    .about = "what it sets the point to, whatever the parameters are",
	    .kind = SETTING_VALUE,
	    INTO(struct rpc_input, value) },
	{ .name = "set",
	    .about = "several points in place of one, written in this order",
	    .kind = SETTING_LIST,
	    .min = 1,
	    .group = &step_group,
	    INTO(struct rpc_input, steps) },
};

static const struct setting_group rpc_group = {
	.name = "rpc", .rows = rpc_rows, .row_count = COUNT(rpc_rows), .size = sizeof(struct rpc_input)
};

static const struct setting_row write_rows[] = {
	{ .name = "point",
	    .about = "key of a writable point of the device",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = KEY_CHARACTERS,
	    .required = true,
	    INTO(struct write_input, point) },
	{ .name = "value",
	    .about = "what is written, as a set would have it",
	    .kind = SETTING_VALUE,
	    .required = true,
	    INTO(struct write_input, value) },
};

static const struct setting_group write_group = { .name = "write",
	.rows = write_rows,
	.row_count = COUNT(write_rows),
	.size = sizeof(struct write_input) };

static const struct setting_row cloud_loss_rows[] = {
	{ .name = "after_s",
	    .about = "how long the server must have been out of reach",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 86400,
	    .required = true,
	    .unit = "s",
	    INTO(struct cloud_loss_input, after_s) },
	{ .name = "set",
	    .about = "what is written then",
	    .kind = SETTING_LIST,
	    .min = 1,
	    .required = true,
	    .group = &write_group,
	    INTO(struct cloud_loss_input, writes) },
};

static const struct setting_group cloud_loss_group = { .name = "on_cloud_loss",
	.rows = cloud_loss_rows,
	.row_count = COUNT(cloud_loss_rows),
	.size = sizeof(struct cloud_loss_input) };

static const struct setting_row device_rows[] = {
	{ .name = "name",
	    .about = "what messages call the device; unique",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .required = true,
	    .check = check_printable,
	    INTO(struct device_input, device.name) },
	{ .name = "token",
	    .about = "its access token in ThingsBoard; unique, secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .secret = true,
	    .check = check_no_blanks,
	    INTO(struct device_input, device.credentials.token) },
	{ .name = "token_file",
	    .about = "the file that its access token is in, and nothing else",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = check_file,
	    INTO(struct device_input, token_file) },
	{ .name = "credentials",
	    .about = "its MQTT credentials, if it has those in place of a token; unique",
	    .kind = SETTING_GROUP,
	    .group = &credentials_group,
	    INTO(struct device_input, credentials) },
	{ .name = "claim",
	    .about = "how a customer can claim it, which the server is told once",
	    .kind = SETTING_GROUP,
	    .group = &claim_group,
	    INTO(struct device_input, claim) },
	{ .name = "provision",
	    .about = "how it gets credentials, if it has none; else as the one of the file",
	    .kind = SETTING_GROUP,
	    .group = &provision_group,
	    INTO(struct device_input, provision) },
	{ .name = "cert_file",
	    .about = "its certificate, if it has one in place of a token, PEM; unique",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = check_file,
	    INTO(struct device_input, device.credentials.cert_file) },
	{ .name = "key_file",
	    .about = "the key of its certificate, PEM; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = check_file,
	    INTO(struct device_input, device.credentials.key_file) },
	{ .name = "bus",
	    .about = "name of the bus that its points are on",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .preset_about = "none, and required unless every point names one",
	    INTO(struct device_input, bus) },
	{ .name = "unit",
	    .about = "Modbus address: 1..247, on tcp also 0 and 255",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 255,
	    .preset = "1",
	    INTO(struct device_input, device.unit) },
	{ .name = "period_ms",
	    .about = "how often its points are read",
	    .kind = SETTING_INT,
	    .min = 10,
	    .max = 86400000,
	    .preset = "1000",
	    .unit = "ms",
	    INTO(struct device_input, device.period_ms) },
	{ .name = "timeout_ms",
	    .about = "longest wait for its replies, 0 or 10..60000",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 60000,
	    .preset = "0",
	    .preset_about = "0, the bus's",
	    .unit = "ms",
	    .check = check_device_timeout,
	    INTO(struct device_input, device.timeout_ms) },
	{ .name = "max_registers",
	    .about = "most registers that its units take in one read",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = MODBUS_MAX_READ_REGISTERS,
	    .preset = "125",
	    INTO(struct device_input, device.max_registers) },
	{ .name = "max_bits",
	    .about = "most coils or discrete inputs that its units take in one read",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = MODBUS_MAX_READ_BITS,
	    .preset = "2000",
	    INTO(struct device_input, device.max_bits) },
	{ .name = "max_hole_registers",
	    .about = "most registers that no point names read along with two that one does; 0 is none",
	    .kind = SETTING_INT,
	    .min = HOLES_BY_COST,
	    .max = MODBUS_MAX_READ_REGISTERS,
	    .preset = "-1",
	    .preset_about = "-1, as many as are faster than a request more",
	    INTO(struct device_input, device.max_hole_registers) },
	{ .name = "write_pause_ms",
	    .about = "least time between the end of a write and the next request to the unit",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 10000,
	    .preset = "0",
	    .unit = "ms",
	    INTO(struct device_input, device.write_pause_ms) },
	{ .name = "mask_write",
	    .about = "do its units know function 22, which writes some bits of a register",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct device_input, device.mask_write) },
	{ .name = "raw_rpc",
	    .about = "may RPC read and write registers of its units that no point names",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct device_input, device.raw_rpc) },
	{ .name = "offline_retry_max_ms",
	    .about = "a unit that does not answer is asked again after so long at most",
	    .kind = SETTING_INT,
	    .min = 1000,
	    .max = 3600000,
	    .preset = "30000",
	    .unit = "ms",
	    INTO(struct device_input, device.offline_retry_max_ms) },
	{ .name = "offline_after_s",
	    .about = "when none of its units has answered for so long, the device is taken as not there",
	    .kind = SETTING_INT,
	    .min = 1,
	    .max = 604800,
	    .preset = "300",
	    .unit = "s",
	    INTO(struct device_input, device.offline_after_s) },
	{ .name = "when_offline",
	    .about = "what becomes then of its session with the server",
	    .kind = SETTING_NAME,
	    .names = when_offline_name,
	    .preset = "close",
	    INTO(struct device_input, device.when_offline) },
	{ .name = "facts",
	    .about = "send client attributes that say what the device is here: fieldgate_version, fieldgate_bus, fieldgate_unit",
	    .kind = SETTING_BOOL,
	    .preset = "true",
	    INTO(struct device_input, device.facts) },
	{ .name = "quality",
	    .about = "send changes of the quality of its points",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct device_input, device.quality) },
	/* Of serial instruments. */
	{ .name = "pattern",
	    .about = "a regular expression: only frames that match are of the device",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATTERN_CHARACTERS,
	    .check = schema_check_pattern,
	    .preset_about = "all are",
	    INTO(struct device_input, device.pattern) },
	{ .name = "address",
	    .about = "only frames with this address are of the device, and it is asked by it",
	    .kind = SETTING_BYTES,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    INTO(struct device_input, device.address) },
	{ .name = "separator",
	    .about = "what is between two columns; a blank stands for any number of them",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = 8,
	    .preset_about = "a comma; of keys with their values any of blank, comma, semicolon, & and |",
	    INTO(struct device_input, separator) },
	{ .name = "assign",
	    .about = "what is between a key and its value",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = 1,
	    .preset = "=",
	    .check = schema_check_ascii,
	    INTO(struct device_input, assign) },
	{ .name = "decimal_comma",
	    .about = "do its numbers have a comma before the decimals",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct device_input, decimal_comma) },
	{ .name = "silence_s",
	    .about = "nothing good from it for so long: it is offline; 0 is never",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = 86400,
	    .preset = "0",
	    .unit = "s",
	    INTO(struct device_input, device.silence_s) },
	{ .name = "poll",
	    .about = "how a serial instrument is asked, every period_ms",
	    .kind = SETTING_LIST,
	    .preset_about = "it speaks by itself",
	    .group = &schema_step,
	    INTO(struct device_input, poll) },
	{ .name = "points",
	    .about = "what is read and written",
	    .kind = SETTING_LIST,
	    .min = 1,
	    .required = true,
	    .group = &point_group,
	    INTO(struct device_input, points) },
	{ .name = "rpc",
	    .about = "names of its own for getting and setting a point",
	    .kind = SETTING_LIST,
	    .group = &rpc_group,
	    INTO(struct device_input, rpc) },
	{ .name = "calls",
	    .about = "what the server is asked for, when a point changes or from time to time",
	    .kind = SETTING_LIST,
	    .group = &schema_call,
	    INTO(struct device_input, calls) },
	{ .name = "on_connect",
	    .about = "what is written to a unit that is met for the first time or answers again",
	    .kind = SETTING_LIST,
	    .group = &write_group,
	    INTO(struct device_input, on_connect) },
	{ .name = "on_cloud_loss",
	    .about = "what is written when the server is out of reach",
	    .kind = SETTING_GROUP,
	    .group = &cloud_loss_group,
	    INTO(struct device_input, on_cloud_loss) },
};

static const struct setting_group server_group = { .name = "server",
	.rows = server_rows,
	.row_count = COUNT(server_rows),
	.size = sizeof(struct server_input) };

static const struct setting_group store_group = { .name = "store",
	.rows = store_rows,
	.row_count = COUNT(store_rows),
	.size = sizeof(struct store_input) };

static const struct setting_group clock_group = { .name = "clock",
	.rows = clock_rows,
	.row_count = COUNT(clock_rows),
	.size = sizeof(struct clock_input) };

static const struct setting_group bus_group = {
	.name = "bus", .rows = bus_rows, .row_count = COUNT(bus_rows), .size = sizeof(struct bus_input)
};

static const struct setting_group device_group = { .name = "device",
	.rows = device_rows,
	.row_count = COUNT(device_rows),
	.size = sizeof(struct device_input) };

static const struct setting_row gateway_rows[] = {
	{ .name = "name",
	    .about = "what messages call it; unlike any device's",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .preset_about = "gateway",
	    .check = check_printable,
	    INTO(struct gateway_input, device.device.name) },
	{ .name = "token",
	    .about = "its access token in ThingsBoard; unique, secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .secret = true,
	    .check = check_no_blanks,
	    INTO(struct gateway_input, device.device.credentials.token) },
	{ .name = "token_file",
	    .about = "the file that its access token is in, and nothing else",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = check_file,
	    INTO(struct gateway_input, device.token_file) },
	{ .name = "credentials",
	    .about = "its MQTT credentials, if it has those in place of a token; unique",
	    .kind = SETTING_GROUP,
	    .group = &credentials_group,
	    INTO(struct gateway_input, device.credentials) },
	{ .name = "cert_file",
	    .about = "its certificate, if it has one in place of a token, PEM; unique",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = check_file,
	    INTO(struct gateway_input, device.device.credentials.cert_file) },
	{ .name = "key_file",
	    .about = "the key of its certificate, PEM; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = check_file,
	    INTO(struct gateway_input, device.device.credentials.key_file) },
	{ .name = "period_s",
	    .about = "how often its figures go up; its states go up when they change too",
	    .kind = SETTING_INT,
	    .min = 10,
	    .max = 3600,
	    .preset = "60",
	    .unit = "s",
	    INTO(struct gateway_input, period_s) },
};

static const struct setting_group gateway_group = { .name = "gateway",
	.rows = gateway_rows,
	.row_count = COUNT(gateway_rows),
	.size = sizeof(struct gateway_input) };

static const struct setting_row root_rows[] = {
	{ .name = "example",
	    .about = "this file is an example, which can be checked but is not run",
	    .kind = SETTING_BOOL,
	    .preset = "false",
	    INTO(struct root_input, example) },
	{ .name = "server",
	    .about = "the ThingsBoard server",
	    .kind = SETTING_GROUP,
	    .required = true,
	    .group = &server_group,
	    INTO(struct root_input, server) },
	{ .name = "gateway",
	    .about = "the gateway as a device of its own, which tells how it is",
	    .kind = SETTING_GROUP,
	    .group = &gateway_group,
	    INTO(struct root_input, gateway) },
	{ .name = "store",
	    .about = "where samples wait for the server",
	    .kind = SETTING_GROUP,
	    .group = &store_group,
	    INTO(struct root_input, store) },
	{ .name = "clock",
	    .about = "when the wall clock is believed",
	    .kind = SETTING_GROUP,
	    .group = &clock_group,
	    INTO(struct root_input, clock) },
	{ .name = "provision",
	    .about = "how devices that have no credentials get some",
	    .kind = SETTING_GROUP,
	    .group = &provision_group,
	    INTO(struct root_input, provision) },
	{ .name = "buses",
	    .about = "serial lines and connections, to Modbus units or serial instruments",
	    .kind = SETTING_LIST,
	    .min = 1,
	    .required = true,
	    .group = &bus_group,
	    INTO(struct root_input, buses) },
	{ .name = "devices",
	    .about = "devices of ThingsBoard and the points that feed them",
	    .kind = SETTING_LIST,
	    .min = 1,
	    .required = true,
	    .group = &device_group,
	    INTO(struct root_input, devices) },
};

static const struct setting_group root_group = { .name = "gateway.conf",
	.rows = root_rows,
	.row_count = COUNT(root_rows),
	.size = sizeof(struct root_input) };

const struct setting_group *const schema_groups[] = { &root_group, &server_group, &store_group, &clock_group,
	&bus_group, &device_group, &point_group, &rpc_group, &step_group, &label_group, &write_group,
	&cloud_loss_group, &tls_group, &credentials_group, &provision_group, &gateway_group, &claim_group,
	&schema_framing, &schema_checksum, &schema_address, &schema_step, &schema_command, &schema_call,
	&schema_call_param, &schema_call_result };
const size_t schema_group_count = COUNT(schema_groups);

const struct setting_group *
schema_group(const char *name)
{
	size_t i = 0;

	while (i < schema_group_count && strcmp(schema_groups[i]->name, name) != 0)
		i++;
	assert(i < schema_group_count);
	return schema_groups[i];
}

bool
schema_is_in(const struct setting_group *group, uint64_t bits, const char *name)
{
	for (size_t i = 0; i < group->row_count; i++)
		if ((bits >> i & 1) && strcmp(group->rows[i].name, name) == 0)
			return true;
	return false;
}

bool
schema_belongs(const struct setting_row *row, unsigned variant)
{
	return row->only == 0 || (row->only & variant) != 0;
}

const struct setting_row *
schema_find(const struct setting_group *group, const char *name, unsigned variant)
{
	const struct setting_row *other = NULL;

	for (size_t i = 0; i < group->row_count; i++) {
		const struct setting_row *row = &group->rows[i];

		if (strcmp(row->name, name) != 0)
			continue;
		if (schema_belongs(row, variant))
			return row;
		other = row;
	}
	return other;
}

uint64_t
schema_bit(const struct setting_group *group, const struct setting_row *row)
{
	assert(row >= group->rows && row < group->rows + group->row_count && group->row_count <= 64);
	return UINT64_C(1) << (row - group->rows);
}

int
schema_name_find(const struct setting_row *row, const char *name)
{
	for (int i = 0; row->names(i); i++)
		if (strcmp(row->names(i), name) == 0)
			return i;
	return -1;
}

int64_t
schema_characters(const char *text)
{
	int64_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xC0) == 0x80 ? 0 : (unsigned char)*text >= 0xF0 ? 2 : 1;
	return count;
}

/* How many letters must be changed, added, left out or swapped with their neighbour to make one name of the
 * other. */
static size_t
distance(const char *a, const char *b)
{
	enum { LONGEST = 32 };
	size_t rows[3][LONGEST + 1];
	size_t a_length = strlen(a), b_length = strlen(b);
	size_t *before = rows[0], *last = rows[1], *now = rows[2];

	if (a_length > LONGEST || b_length > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= b_length; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *spare = before;

		now[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t cost = last[j - 1] +
				      (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));

			cost = last[j] + 1 < cost ? last[j] + 1 : cost;
			cost = now[j - 1] + 1 < cost ? now[j - 1] + 1 : cost;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < cost)
				cost = before[j - 2] + 1;
			now[j] = cost;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[b_length];
}

const char *
schema_nearest(const struct setting_group *group, const char *name, unsigned variant)
{
	const char *nearest = NULL;
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < group->row_count; i++) {
		const struct setting_row *row = &group->rows[i];
		size_t shorter = strlen(row->name) < strlen(name) ? strlen(row->name) : strlen(name);
		size_t far = distance(row->name, name);

		/* "timeout" and "timeout_ms", "address" and "addr" */
		if (shorter >= 3 && strncasecmp(row->name, name, shorter) == 0)
			far = far < 1 ? far : 1;
		if (schema_belongs(row, variant) && far < least && far <= 1 + shorter / 4 && far < shorter) {
			nearest = row->name;
			least = far;
		}
	}
	return nearest;
}

/* Appends; what does not fit is left out. */
static void __attribute__((format(printf, 3, 4))) append(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

const char *
schema_allowed(const struct setting_row *row, char *text, size_t size)
{
	text[0] = '\0';
	switch (row->kind) {
	case SETTING_BOOL:
		append(text, size, "true, false");
		break;
	case SETTING_NAME:
	case SETTING_SET:
		for (int i = 0; row->names(i); i++)
			append(text, size, "%s%s", i > 0 ? ", " : "", row->names(i));
		break;
	case SETTING_INT:
	case SETTING_INTS:
		for (const int *choice = row->choices; choice && *choice; choice++)
			append(text, size, "%s%d", choice > row->choices ? ", " : "", *choice);
		if (!row->choices && row->min == INT64_MIN)
			append(text, size, "-2^63..2^63-1");
		else if (!row->choices)
			append(text, size, "%lld..%lld", (long long)row->min, (long long)row->max);
		break;
	case SETTING_NUMBER:
		if (row->max == INT64_MAX)
			append(text, size, "%lld or more", (long long)row->min);
		break;
	case SETTING_TEXT:
	case SETTING_TEXTS:
		append(text, size, "%lld..%lld characters", (long long)row->min, (long long)row->max);
		break;
	case SETTING_BYTES:
	case SETTING_BYTE_LIST:
		append(text, size, "%lld..%lld bytes", (long long)row->min, (long long)row->max);
		break;
	case SETTING_GROUP:
	case SETTING_LIST:
	case SETTING_VALUE:
	case SETTING_LABELS:
		break;
	}
	return text;
}

/* What a value of the row is called, without article. */
static const char *
kind_text(const struct setting_row *row)
{
	static const char *const texts[] = {
		[SETTING_BOOL] = "true or false",
		[SETTING_INT] = "whole number",
		[SETTING_NUMBER] = "number",
		[SETTING_TEXT] = "text of",
		[SETTING_NAME] = "one of",
		[SETTING_SET] = "list of",
		[SETTING_GROUP] = "group { ... }",
		[SETTING_LIST] = "list ( { ... }, ... )",
		[SETTING_INTS] = "whole number, or list ( ... ) of them",
		[SETTING_VALUE] = "truth value, number or text",
		[SETTING_BYTES] = "text of",
		[SETTING_BYTE_LIST] = "text, or list ( ... ) of texts, of",
		[SETTING_TEXTS] = "text, or list ( ... ) of texts, of",
		[SETTING_LABELS] = "group { label = number; ... }",
	};

	return row->choices ? row->choices[1] ? "one of" : "only" : texts[row->kind];
}

const char *
schema_wanted(const struct setting_row *row, char *text, size_t size)
{
	bool article = row->kind != SETTING_BOOL && row->kind != SETTING_NAME && !row->choices;
	char allowed[SCHEMA_TEXT_SIZE];

	schema_allowed(row, allowed, sizeof(allowed));
	text[0] = '\0';
	append(text, size, "%s%s", article ? "a " : "", kind_text(row));
	if (row->kind != SETTING_BOOL && allowed[0] && row->min != INT64_MIN)
		append(text, size, " %s", allowed);
	return text;
}

const char *
schema_manual(const struct setting_row *row, char *text, size_t size)
{
	const char *preset = row->preset_about ? row->preset_about : row->preset;
	char wanted[SCHEMA_TEXT_SIZE];

	schema_wanted(row, wanted, sizeof(wanted));
	text[0] = '\0';
	append(text, size, "%s", strncmp(wanted, "a ", 2) == 0 ? wanted + 2 : wanted);
	text[0] = (char)toupper((unsigned char)text[0]);
	if (row->unit)
		append(text, size, " %s", row->unit);
	append(text, size, "; %s%s.",
	    row->required ? "required"
	    : preset	  ? "default "
			  : "optional",
	    row->required || !preset ? "" : preset);
	return text;
}
