/* What a configuration means: plain structs, filled by conf/conf.c, read by everybody, changed by nobody once loaded.
 * Every pointer inside points into the same settings and lives until settings_free().
 *
 * Numbers carry their unit in their name. Ranges and defaults stand in conf/schema_*.c, once.
 */
#ifndef MODEL_SETTINGS_H
#define MODEL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/value.h"

/* Modbus Application Protocol V1.1b3, 4.3: the four primary tables. */
enum point_table { TABLE_COIL, TABLE_DISCRETE, TABLE_INPUT, TABLE_HOLDING };

enum point_type {
	TYPE_BOOL,
	TYPE_INT8,
	TYPE_UINT8,
	TYPE_INT16,
	TYPE_UINT16,
	TYPE_INT32,
	TYPE_UINT32,
	TYPE_INT64,
	TYPE_UINT64,
	TYPE_BCD16,
	TYPE_BCD32,
	TYPE_FLOAT16,
	TYPE_FLOAT32,
	TYPE_FLOAT64,
	TYPE_STRING,
	TYPE_BYTES,
	TYPE_COUNT
};

/* Which byte of the wire is which of the value, A the most significant. For 64 bits the same operations. */
enum point_order {
	ORDER_ABCD, /* as the standard sends it: high byte first, high word first */
	ORDER_CDAB, /* words reversed */
	ORDER_BADC, /* bytes of each word swapped */
	ORDER_DCBA, /* both */
	ORDER_CDABGHEF, /* 64 bits only: the words of each half swapped */
	ORDER_EFGHABCD, /* 64 bits only: the halves swapped */
	ORDERS
};

enum point_kind { KIND_TELEMETRY, KIND_ATTRIBUTE };

enum point_report {
	REPORT_ALWAYS, /* every sample */
	REPORT_CHANGE, /* when it differs from what was reported last, by the deadband or more */
};

/* What a window of samples is made into; a point's set of them is the sum of 1u << each. */
enum point_aggregate { AGGREGATE_MIN, AGGREGATE_MAX, AGGREGATE_MEAN, AGGREGATE_LAST, AGGREGATE_COUNT, AGGREGATES };

enum bus_type {
	BUS_RTU,
	BUS_TCP,
	BUS_RTU_OVER_TCP,
	/* Serial instruments, which speak in lines or frames of their own: */
	BUS_SERIAL,	/* on a serial port */
	BUS_SERIAL_TCP, /* behind a device server */
	BUS_FILE,	/* what a file or standard input holds, once, for trying things out */
};
enum bus_parity { PARITY_NONE, PARITY_EVEN, PARITY_ODD, PARITY_MARK, PARITY_SPACE };

/* Who switches the direction of an RS-485 transceiver. */
enum bus_rs485 {
	RS485_OFF,    /* itself, or it is no RS-485 */
	RS485_KERNEL, /* the driver of the port, told by TIOCSRS485 */
	RS485_RTS,    /* we do, by RTS: set while sending */
	RS485_RTS_INVERTED, /* we do, by RTS: clear while sending */
};

/* Does what is sent come back as if it were received? */
enum bus_echo {
	ECHO_OFF,   /* never */
	ECHO_STRIP, /* always */
	ECHO_AUTO,  /* Modbus: found out from the first requests, and stripped if so */
};

/* Who may send, and when. */
enum bus_flow { FLOW_NONE, FLOW_RTS_CTS, FLOW_XON_XOFF };

/* What a modem line is set to when the port is opened. */
enum bus_signal { SIGNAL_ON, SIGNAL_OFF, SIGNAL_KEEP };

/* The session of a device whose units are all silent. */
enum device_offline {
	OFFLINE_CLOSE, /* is closed, until one answers */
	OFFLINE_STAY,
};

/* Which function writes a point. */
enum point_write_function {
	WRITE_AUTO,	/* 5 or 6 for one cell, 15 or 16 for several */
	WRITE_SINGLE,	/* 5 or 6; the point has one cell */
	WRITE_MULTIPLE, /* 15 or 16, for one cell too */
};

#define POINT_NO_BIT     (-1)
#define POINT_AD_HOC     SIZE_MAX /* of no settings: made for one command */
#define HOLES_BY_COST    (-1)
#define MODBUS_MAX_READ_REGISTERS  125  /* Modbus Application Protocol V1.1b3, 6.3 */
#define MODBUS_MAX_READ_BITS       2000 /* 6.1 */
#define MODBUS_MAX_WRITE_REGISTERS 123  /* 6.12 */
#define MODBUS_MAX_WRITE_BITS      1968 /* 6.11 */

/* Where a thing stands in the configuration, for messages about it. */
struct source {
	const char *file;
	unsigned line;
};

struct enum_label {
	const char *label;
	int64_t number; /* the raw value, before scale and offset */
};

/* Bytes as gateway.conf gives them: a text with libconfig's escapes ("\r\n", "\x02"), or "hex:02 00 FF" for bytes of any
 * value. They may hold NUL. */
struct bytes {
	const uint8_t *data;
	size_t length; /* 0 = none */
};

/* How a stream of bytes is cut into frames, line/framer.h. */
enum framing_type {
	FRAMING_DELIMITER,    /* what stands between delimiters; they are no part of it */
	FRAMING_FIXED,	      /* so many bytes, beginning with `start` */
	FRAMING_START_END,    /* from `start` to `end`, and `tail` bytes more */
	FRAMING_LENGTH_FIELD, /* from `start`, as long as a field in it says */
	FRAMING_SILENCE,      /* what comes without a pause of gap_ms */
	FRAMING_TELEGRAM,     /* lines from one that matches start_pattern to one that matches end_pattern */
};

struct framing {
	enum framing_type type;
	struct bytes *ends; /* delimiter, telegram: each of them ends a line; start-end: each ends the frame */
	size_t end_count;
	struct bytes start; /* fixed, start-end, length-field */
	int length;	    /* fixed: bytes of a frame, with start */
	int tail;	    /* start-end: bytes after the end, such as a check character */
	int length_at;	    /* length-field: where it is, counted from the frame's first byte */
	int length_size;    /* 1, 2 or 4 bytes */
	bool length_little; /* the least significant byte comes first */
	int length_plus;    /* bytes of the frame that the field does not count; may be negative */
	const char *start_pattern; /* telegram: PCRE2, of the first line */
	const char *end_pattern;   /* of the last line */
	int gap_ms;    /* after so long without a byte a frame that is not complete is dropped (silence: is complete); 0 = never */
	int max_bytes; /* a longer frame is none */
};

/* How a frame is proven, line/checksum.h. The algorithms are rows there. */
enum checksum_type {
	CHECKSUM_NONE,
	CHECKSUM_XOR,
	CHECKSUM_SUM8,
	CHECKSUM_TWOS_COMPLEMENT,
	CHECKSUM_SUM16,
	CHECKSUM_CRC8,
	CHECKSUM_CRC8_MAXIM,
	CHECKSUM_CRC16_MODBUS,
	CHECKSUM_CRC16_CCITT,
	CHECKSUM_CRC16_XMODEM,
	CHECKSUM_CRC16_KERMIT,
	CHECKSUM_CRC16_X25,
	CHECKSUM_CRC16_ARC,
	CHECKSUM_CRC32,
	CHECKSUM_NMEA, /* xor of what is between the first '$' or '!' and the last '*', two hexadecimal digits behind that */
	CHECKSUMS
};

enum checksum_form {
	CHECKSUM_BINARY,
	CHECKSUM_HEX,	/* digits, the most significant first; letters of either case */
	CHECKSUM_SDI12, /* three characters of six bits each with 0x40 */
	CHECKSUM_FORMS
};

struct checksum {
	enum checksum_type type;
	enum checksum_form form;
	bool little; /* binary: the least significant byte comes first */
	int from;    /* the first byte that it covers, counted from the frame's first; it covers all up to itself, or `to` */
	int to;	     /* the first byte that it does not cover, the same way; 0 = up to itself; negative: counted from the end */
	int at;	     /* where it is; 0 = the last bytes of the frame; negative: counted from the end */
};

/* Where in a frame a text or number is, line/extract.h. Positions and columns count from 0. */
enum line_source {
	SOURCE_COLUMN,	/* what is between separators: the column-th */
	SOURCE_FIELD,	/* key=value: the value of the key `text` */
	SOURCE_PATTERN, /* PCRE2 `text`: the group called `group`, or the first, or all that matches */
	SOURCE_GROUP,	/* the group called `group` of the device's pattern */
	SOURCE_JSON,	/* JSON pointer `text`, RFC 6901 */
	SOURCE_OBIS,	/* code `text`: what is in its column-th brackets */
	SOURCE_TEXT_AT, /* `length` characters from the byte `at` of the frame on */
	SOURCE_BYTES_AT, /* a number in bytes, from the byte `at` on: type, order, bit and bits of the point say how */
	SOURCE_NOWHERE, /* it is only written */
	SOURCES
};

/* How a text is read. */
enum line_format {
	FORMAT_NUMBER,	/* decimal, with sign and unit; the decimals are those of the text unless the point says more */
	FORMAT_STRING,	/* the text, without blanks around it */
	FORMAT_HEX,	/* a whole number in hexadecimal digits */
	FORMAT_BOOL,	/* 1, 0, true, false, on, off, yes, no, in any case */
	FORMAT_DEGREES, /* NMEA 0183: dddmm.mmmm, with N, S, E or W in the next column, as degrees */
	FORMATS
};

struct line_field {
	enum line_source source;
	enum line_format format;
	const char *sentence; /* only in NMEA sentences with this id: "GGA" of any talker, or "GPGGA"; NULL = any line */
	const char *text;
	const char *group;
	int column;
	int at;
	int length;
	const char *separator; /* of columns, or of keys with their values; NULL = the usual ones; " " is any number of blanks */
	char assign;	       /* between a key and its value */
	bool decimal_comma;    /* 12,5 is a number with a decimal */
	const char *const *no_values; /* texts that say that there is no value */
	size_t no_value_count;
	int period_ms; /* least time between two samples of the point; 0 = every one counts */
};

/* One step of a script, in this order: set the speed, send, wait for an answer, wait. */
struct line_step {
	int baud;	   /* from here to the end of the script; 0 = as it is */
	struct bytes send; /* template, line/template.h: ${address}, ${checksum} */
	const char *expect; /* PCRE2 that what comes after the sending must match; NULL = not */
	bool frame;	   /* wait for a good frame of the device */
	int timeout_ms;	   /* longest wait for either; 0 = the bus's */
	int delay_ms;	   /* at last */
};

struct line_script {
	struct line_step *steps;
	size_t count;
};

/* What a text may hold that a command puts into its template. */
enum line_escape {
	ESCAPE_NONE,   /* letters, digits, blanks and . _ + - : / % ( ) = only */
	ESCAPE_QUOTES, /* printable ASCII, " is doubled */
	ESCAPE_JSON,   /* anything, as inside of a JSON string */
	ESCAPES
};

/* How a value is given to an instrument. */
struct line_command {
	struct bytes send; /* template, line/template.h: ${value}, ${address}, ${checksum} */
	const char *expect; /* PCRE2, template: the answer that says "done" */
	const char *refuse; /* PCRE2: the answer that says "no"; NULL = there is none */
	int timeout_ms;	   /* longest wait for either; 0 = the bus's */
	enum line_escape escape;
	int width;    /* a number is filled up with zeros to so many characters; 0 = not */
	int decimals; /* of a number; -1 = as many as it has */
};

struct bus {
	const char *name;
	size_t index; /* in settings->buses */
	struct source source;
	enum bus_type type;

	/* rtu */
	const char *port; /* an absolute path, or "usb:VID:PID[:SERIAL]" with 4 hexadecimal digits each */
	int baud;
	enum bus_parity parity;
	int data_bits;
	int stop_bits;
	enum bus_rs485 rs485;
	int rts_before_us; /* from the switch to sending until the first bit; 0 unless rs485 */
	int rts_after_us;  /* from the last bit until the switch back */
	enum bus_echo echo;
	bool low_latency; /* ask the driver not to collect what it receives */

	/* tcp, rtu-over-tcp */
	const char *host;
	int tcp_port;
	int connect_timeout_ms;
	int connect_pause_ms; /* from the connection to the first request */

	/* serial, serial-tcp, file */
	const char *path; /* file: what it reads; "-" is standard input */
	enum bus_flow flow;
	enum bus_signal dtr;
	enum bus_signal rts;
	struct framing framing;
	struct checksum checksum;
	const struct line_field *address; /* where in a frame the device's address is; NULL = nowhere */
	struct line_script on_open;  /* when the port was opened */
	struct line_script on_close; /* before it is closed */

	int timeout_ms;      /* from the end of the request to the end of the reply */
	int silence_us;      /* rtu: least quiet time before a request; 0 = 3.5 characters, 1750 above 19200 baud */
	int request_pause_ms; /* least time between the end of one exchange and the next request */
};

struct device;

struct point {
	const struct device *device;
	const struct bus *bus; /* NULL: of the gateway itself */
	size_t index; /* in settings, over all devices: 0..settings->point_count-1; or POINT_AD_HOC */
	struct source source;

	/* On a bus of serial instruments: where in a frame it is. NULL on a Modbus bus. What is read from text has a type, count and
	 * table that its values would fit if it were in registers, so that codec_encode() can judge what is to be written. */
	const struct line_field *line;
	const struct line_command *command; /* how it is written; NULL unless it is writable */

	const char *key;
	int unit; /* Modbus unit identifier 0..255 (rtu 1..247) */
	enum point_table table;
	int addr;  /* zero-based, as on the wire: 0..65535 */
	int count; /* cells (coils, discrete inputs or registers) that the point covers, >= 1; addr + count <= 65536 */
	enum point_type type;
	enum point_order order;
	/* A field of the number in the registers: bool or an integer is `bits` wide from `bit` up, which is 0 for the
	 * least significant one. int8 and uint8 are always one. On coils and discrete inputs never. */
	int bit;  /* 0..63, or POINT_NO_BIT: all of it */
	int bits; /* 1..64, with bit only; 0 is taken as 1 */
	int array; /* so many numbers one after the other, a list, over all of `count`; 0 = one, by itself */
	int chars; /* string: characters a register, 2 or 1; 0 is taken as 2 */

	/* engineering value = raw * scale + offset; both finite, scale not 0 */
	double scale;
	double offset;
	int decimals; /* 0..DECIMALS_MAX, or DECIMALS_HALF/SINGLE/DOUBLE; worked out from type, scale and offset if not given; of
		       * what is read from text, DECIMALS_TEXT: as many as the text has */

	const int64_t *invalid; /* raw values, as many bits of each as the raw value has, that mean "no value" */
	size_t invalid_count;
	bool has_valid_min;
	bool has_valid_max;
	double valid_min; /* engineering value; what was read outside of these is no value */
	double valid_max;

	const struct enum_label *labels; /* NULL if the point has no enum */
	size_t label_count;

	enum point_kind kind;
	enum point_report report;
	double deadband;     /* >= 0, engineering units; 0 = any change */
	double deadband_percent; /* >= 0, of the value reported last; with a deadband as well, the larger counts */
	int min_interval_ms; /* report: a sample this soon after the last is held back; 0 = none is */
	int max_interval_ms; /* report: after this long a sample goes up even if unchanged; 0 = never */
	unsigned aggregate;  /* bits of enum point_aggregate that go up instead of samples; 0 = samples do */
	int window_ms;       /* of samples that are made into one; > 0 with aggregate */
	bool quality;        /* changes of its quality go up, as KEY_quality */
	int period_ms;	     /* 0: it is never read, only written */

	bool writable;
	bool shared; /* a shared attribute of the same key is written to it */
	bool has_min;
	bool has_max;
	double min; /* engineering value; bounds of what may be written */
	double max;
	enum point_write_function write;
	bool verify; /* read it back after a write and compare */
};

/* A value that is written without being asked for. It has the type and the range of its point. */
struct point_write {
	const struct point *point; /* of the same device, writable */
	struct value value;	   /* its letters belong to the settings */
};

enum rpc_action { RPC_SET, RPC_GET };

/* One value of a method. */
struct rpc_step {
	const struct point *point;
	struct value value; /* what is written, whatever the request says; its letters belong to the settings */
	const char *param;  /* if that is VALUE_NONE: the member of the params that is; NULL: the params are */
};

#define RPC_STEPS_MAX 32

struct rpc_method {
	const char *method;
	enum rpc_action action;
	bool listed; /* in order, each after the one before; else there is one step */
	struct rpc_step *steps;
	size_t step_count; /* 1..RPC_STEPS_MAX */
};

/* What a device shows to the server. Secrets of these are never printed. */
enum credentials_kind { CREDENTIALS_NONE, CREDENTIALS_TOKEN, CREDENTIALS_BASIC, CREDENTIALS_CERTIFICATE };

struct credentials {
	enum credentials_kind kind;
	const char *token;	 /* secret */
	const char *client_id;	 /* basic: NULL if there is none */
	const char *user;	 /* basic: NULL if there is none */
	const char *password;	 /* basic: secret; NULL if there is none */
	const char *cert_file;	 /* certificate: PEM, with the chain up to its CA if the server wants that */
	const char *key_file;	 /* certificate: PEM, secret */
	const char *secret_file; /* that token or password was read from, NULL if it stands in the configuration */
};

/* A parameter of a call: what the point holds then, or a value of its own. */
struct call_param {
	const char *name;
	const struct point *point; /* readable, or NULL: */
	struct value value;
};

/* What is written after a call was answered: a field of the answer, or a value of its own. */
struct call_result {
	const struct point *point; /* writable */
	const char *field;	   /* "a.b" is b in a; "" the answer itself; NULL: */
	struct value value;
};

/* An RPC that the server is asked for. */
struct server_call {
	const char *method;
	const struct point *on; /* when it changes; or NULL */
	struct value on_value;	/* and only when it becomes that; VALUE_NONE: whatever it becomes */
	int period_ms;		/* 0 = never by itself */
	int timeout_ms;
	struct call_param *params;
	size_t param_count; /* 0..RPC_STEPS_MAX */
	struct call_result *results;
	size_t result_count; /* 0..RPC_STEPS_MAX */
};

enum provision_type { PROVISION_TOKEN, PROVISION_BASIC, PROVISION_CERTIFICATE };

/* How a device gets credentials in ThingsBoard that it does not have yet. */
struct provision {
	const char *key;    /* of a device profile */
	const char *secret; /* secret, as is the key */
	enum provision_type type;
	const char *secret_file; /* that the secret was read from; NULL if it stands in the configuration */
};

/* With what and how long a customer may claim a device in ThingsBoard. */
struct claim {
	const char *secret;
	int duration_ms;	 /* from when the server was told; 0 = as long as the server has it */
	const char *secret_file; /* as above */
};

/* An identity in ThingsBoard. */
struct device {
	const char *name;
	size_t index; /* in settings->devices */
	struct source source;
	struct credentials credentials;
	const struct claim *claim;	   /* NULL: nobody is told that it can be claimed */
	const struct provision *provision; /* NULL: it has credentials, or is to have none */
	const struct bus *bus; /* default of its points */
	int unit;
	int period_ms;
	int timeout_ms; /* overrides the bus's for its points' reads and writes; 0 = the bus's */

	/* What its units can stand. Of several devices with points of one unit the most careful counts. */
	int max_registers;	/* 1..125 in one read */
	int max_bits;		/* 1..2000 in one read */
	int max_hole_registers; /* that no point names, read between two that one does; 0 = none, HOLES_BY_COST */
	int write_pause_ms;	/* least time from the end of a write to the next request to the unit */
	bool mask_write;	/* the unit knows function 22 */
	bool raw_rpc;		/* registers that no point names may be read and written by RPC */
	int offline_retry_max_ms; /* a unit that does not answer is asked again after so long at most */
	enum device_offline when_offline;
	int offline_after_s;	/* none of its units has answered for so long: it is not there */
	bool facts;		/* the gateway says of it what it knows, as client attributes */

	/* On a bus of serial instruments. Its period_ms is that of `poll`; for points see line_field.period_ms. */
	const char *pattern;   /* PCRE2: only frames that match are its; NULL = any */
	struct bytes address;  /* only frames with this address are its; length 0 = any */
	int silence_s;	       /* nothing good from it for so long: it is offline; 0 = never */
	struct line_script poll; /* asks it, every period_ms */

	bool quality;   /* default of its points */
	struct point *points;
	size_t point_count;
	struct rpc_method *rpc;
	size_t rpc_count;
	struct server_call *calls;
	size_t call_count;

	struct point_write *on_connect; /* when a unit is met for the first time or answers again, in this order */
	size_t on_connect_count;
	struct point_write *on_cloud_loss; /* once the server was out of reach for cloud_loss_s */
	size_t on_cloud_loss_count;
	int cloud_loss_s; /* 0 if there is nothing to write */
};

struct tls_settings {
	bool on;
	const char *ca_file;   /* NULL: the CAs of the system */
	const char *cert_file; /* shown by sessions that have no certificate of their own; NULL: none is */
	const char *key_file;
};

/* How devices are told apart on the server. */
enum server_api {
	API_DEVICE,  /* each has a session of its own, with its credentials */
	API_GATEWAY, /* one session is the gateway's, and says by name whose a message is */
};

struct server_settings {
	enum server_api api;
	const char *host;
	struct tls_settings tls;
	int port;
	int keepalive_s;
	int connect_timeout_ms;
	int reconnect_min_ms;
	int reconnect_max_ms;
	int rpc_timeout_ms; /* a command that has not started by then is answered with an error and dropped */
	int ack_timeout_ms; /* no PUBACK for so long: the connection is taken as dead; 0 = 30000 */
	int in_flight;      /* telemetry messages of one session that wait for their PUBACK at the same time */
	int batch_bytes;    /* largest telemetry payload */
};

enum store_drop { DROP_OLDEST, DROP_NEWEST };
enum store_replay {
	REPLAY_IN_ORDER,   /* what is new waits behind what is old */
	REPLAY_LIVE_FIRST, /* what was sampled after the session came up goes first */
};

struct store_settings {
	int memory_mb;
	const char *dir; /* NULL: memory only. `run` puts the default in. */
	int max_mb;	 /* of the file in dir */
	int max_age_h;
	int flush_after_ms; /* not acknowledged for so long: written to disk; 0 = written before it is sent */
	enum store_drop drop;
	enum store_replay replay;
};

struct clock_settings {
	int wait_s; /* a wall clock that nothing vouches for is believed so long after the boot, base/wall.h */
};

struct gauge;

#define GATEWAY_NAME "gateway" /* unless it is given another */

struct settings {
	struct source example; /* where it is said that this is only an example; no file: it is none */
	struct server_settings server;
	struct clock_settings clock;
	struct store_settings store;
	const char *runtime_dir; /* for what must outlive the process but not the boot; NULL: nothing does. `run` puts it in. */
	struct bus *buses;
	size_t bus_count;
	struct device *devices;
	size_t device_count;
	size_t point_count; /* over all devices */
	/* The last of the devices is the gateway itself, whose points are on no bus (model/gauges.h); NULL: it is none. */
	const struct device *gateway;
	int gateway_period_s;
	struct gauge *gauges; /* of its points */
	void *arena;        /* holds every string and array above; settings.c */
};

/* An empty settings. Returns NULL when there is no memory. */
struct settings *settings_new(void);

/* Frees everything, NULL is fine. */
void settings_free(struct settings *settings);

/* Memory that lives as long as the settings, zeroed. Returns NULL when there is none left. */
void *settings_alloc(struct settings *settings, size_t size);
char *settings_strdup(struct settings *settings, const char *text);

/* The name as gateway.conf spells it. */
const char *point_table_name(enum point_table table);
const char *point_order_name(enum point_order order);
/* Manuals number what a table holds from 1, with a digit before that is the table: 40011 is holding register 10. Returns 10 for
 * that; -1 if the address does not look so. */
int point_addr_of_manual(enum point_table table, int addr);
/* Inline: asked several times a value. */
static inline bool
point_table_has_bits(enum point_table table)
{
	return table == TABLE_COIL || table == TABLE_DISCRETE;
}
bool point_table_writable(enum point_table table); /* coils and holding registers */

/* Do serial instruments speak on it, and not Modbus? */
bool bus_is_line(const struct bus *bus);

/* "min"...; a point's aggregates are called KEY_min... */
const char *point_aggregate_name(enum point_aggregate aggregate);

#endif
