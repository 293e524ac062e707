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

/* Modbus Application Protocol V1.1b3, 4.3: the four primary tables. */
enum point_table { TABLE_COIL, TABLE_DISCRETE, TABLE_INPUT, TABLE_HOLDING };

enum point_type {
	TYPE_BOOL,
	TYPE_INT16,
	TYPE_UINT16,
	TYPE_INT32,
	TYPE_UINT32,
	TYPE_INT64,
	TYPE_UINT64,
	TYPE_FLOAT32,
	TYPE_FLOAT64,
	TYPE_STRING,
	TYPE_COUNT
};

/* Which byte of the wire is which of the value, A the most significant. For 64 bits the same operations. */
enum point_order {
	ORDER_ABCD, /* as the standard sends it: high byte first, high word first */
	ORDER_CDAB, /* words reversed */
	ORDER_BADC, /* bytes of each word swapped */
	ORDER_DCBA, /* both */
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

#define POINT_NO_BIT     (-1)
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
	const char *port;
	int baud;
	enum bus_parity parity;
	int data_bits;
	int stop_bits;

	/* tcp, rtu-over-tcp */
	const char *host;
	int tcp_port;
	int connect_timeout_ms;

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
	int bit; /* 0 (least significant) .. 15 of one register, type bool; or POINT_NO_BIT */

	/* engineering value = raw * scale + offset; both finite, scale not 0 */
	double scale;
	double offset;
	int decimals; /* 0..DECIMALS_MAX, or DECIMALS_SINGLE/DECIMALS_DOUBLE; worked out from type, scale and offset if not given */

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
	bool quality;   /* default of its points */
	struct point *points;
	size_t point_count;
	struct rpc_method *rpc;
	size_t rpc_count;
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
