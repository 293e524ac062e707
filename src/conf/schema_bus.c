#include <ctype.h>

#include "conf/schema_rows.h"

#define RTU	     (1U << BUS_RTU)
#define TCP	     (1U << BUS_TCP)
#define RTU_OVER_TCP (1U << BUS_RTU_OVER_TCP)
#define SERIAL	     (1U << BUS_SERIAL)
#define SERIAL_TCP   (1U << BUS_SERIAL_TCP)
#define FROM_FILE    (1U << BUS_FILE)
#define LINE	     (SERIAL | SERIAL_TCP | FROM_FILE)

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
		   ? schema_check_printable(value)
		   : "is no serial port, a path such as /dev/ttyUSB0 or usb:VENDOR:PRODUCT[:SERIAL] with "
		     "four "
		     "hexadecimal digits each is required";
}

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

/* The rates that termios(3) has a name for, from 1200 up: libmodbus turns any other into 9600 without a word.
 */
static const int baud_rates[] = { 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800,
	500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000, 0 };

static const int line_data_bits[] = { 5, 6, 7, 8, 0 };

/* RTU needs all eight bits of a character (Modbus over serial line V1.02, 2.5.1). */
static const int data_bits[] = { 8, 0 };
static const int stop_bits[] = { 1, 2, 0 };

static const struct setting_row bus_rows[] = {
	{ .name = "name",
	    .about = "what devices, points and messages call the bus; unique",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = NAME_CHARACTERS,
	    .required = true,
	    .check = schema_check_printable,
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
	    .about = "what DTR is set to when the port is opened; it powers some instruments, and resets "
		     "some boards",
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
	    .check = schema_check_host,
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
	    .check = schema_check_printable,
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
	    .group = &schema_script_step,
	    .only = SERIAL | SERIAL_TCP,
	    INTO(struct bus_input, on_open) },
	{ .name = "on_close",
	    .about = "what is said before it is closed",
	    .kind = SETTING_LIST,
	    .group = &schema_script_step,
	    .only = SERIAL | SERIAL_TCP,
	    INTO(struct bus_input, on_close) },
};

const struct setting_group schema_bus = {
	.name = "bus", .rows = bus_rows, .row_count = COUNT(bus_rows), .size = sizeof(struct bus_input)
};
