/* What a configuration means: plain structs, filled by conf/conf.c, read by everybody, changed by nobody once loaded.
 * Every pointer inside points into the same settings and lives until settings_free().
 *
 * Numbers carry their unit in their name. Ranges and defaults stand in conf/schema.c, once.
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
};

enum point_kind { KIND_TELEMETRY, KIND_ATTRIBUTE };

enum point_report {
	REPORT_ALWAYS, /* every sample */
	REPORT_CHANGE, /* when it differs from what was reported last, by the deadband or more */
};

/* What a window of samples is made into; a point's set of them is the sum of 1u << each. */
enum point_aggregate { AGGREGATE_MIN, AGGREGATE_MAX, AGGREGATE_MEAN, AGGREGATE_LAST, AGGREGATE_COUNT, AGGREGATES };

enum bus_type { BUS_RTU, BUS_TCP, BUS_RTU_OVER_TCP };
enum bus_parity { PARITY_NONE, PARITY_EVEN, PARITY_ODD };

/* Who switches the direction of an RS-485 transceiver. */
enum bus_rs485 {
	RS485_OFF,    /* itself, or it is no RS-485 */
	RS485_KERNEL, /* the driver of the port, told by TIOCSRS485 */
	RS485_RTS,    /* we do, by RTS: set while sending */
	RS485_RTS_INVERTED, /* we do, by RTS: clear while sending */
};

/* Does what is sent come back as if it were received? */
enum bus_echo {
	ECHO_AUTO,  /* found out from the first requests, and stripped if so */
	ECHO_OFF,   /* never */
	ECHO_STRIP, /* always */
};

/* Which function writes a point. */
enum point_write_function {
	WRITE_AUTO,	/* 5 or 6 for one cell, 15 or 16 for several */
	WRITE_SINGLE,	/* 5 or 6; the point has one cell */
	WRITE_MULTIPLE, /* 15 or 16, for one cell too */
};

#define POINT_NO_BIT     (-1)
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

	int timeout_ms;      /* from the end of the request to the end of the reply */
	int silence_us;      /* rtu: least quiet time before a request; 0 = 3.5 characters, 1750 above 19200 baud */
	int request_pause_ms; /* least time between the end of one exchange and the next request */
};

struct device;

struct point {
	const struct device *device;
	const struct bus *bus;
	size_t index; /* in settings, over all devices: 0..settings->point_count-1 */
	struct source source;

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
	int decimals; /* 0..DECIMALS_MAX, or DECIMALS_HALF/SINGLE/DOUBLE; worked out from type, scale and offset if not given */

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
	int period_ms;

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

struct rpc_method {
	const char *method;
	const struct point *point;
	enum rpc_action action;
};

/* An identity in ThingsBoard. */
struct device {
	const char *name;
	size_t index; /* in settings->devices */
	struct source source;
	const char *token; /* secret: never printed */
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
	int offline_retry_max_ms; /* a unit that does not answer is asked again after so long at most */

	bool quality;   /* default of its points */
	struct point *points;
	size_t point_count;
	struct rpc_method *rpc;
	size_t rpc_count;

	struct point_write *on_connect; /* when a unit is met for the first time or answers again, in this order */
	size_t on_connect_count;
	struct point_write *on_cloud_loss; /* once the server was out of reach for cloud_loss_s */
	size_t on_cloud_loss_count;
	int cloud_loss_s; /* 0 if there is nothing to write */
};

struct server_settings {
	const char *host;
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

struct settings {
	struct source example; /* where it is said that this is only an example; no file: it is none */
	struct server_settings server;
	struct clock_settings clock;
	struct store_settings store;
	struct bus *buses;
	size_t bus_count;
	struct device *devices;
	size_t device_count;
	size_t point_count; /* over all devices */
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
bool point_table_has_bits(enum point_table table);  /* coils and discrete inputs */
bool point_table_writable(enum point_table table); /* coils and holding registers */

/* "min"...; a point's aggregates are called KEY_min... */
const char *point_aggregate_name(enum point_aggregate aggregate);

#endif
