/* What is known about the gateway at one moment: plain copies, made by the threads that know when somebody asks, so that
 * nobody looks into another thread.
 *
 * Who wants to know makes a report and hands it over in a question; whoever is asked fills it between two of its own steps and
 * pushes it into the queue that the question names. Until then the report is his who was asked, afterwards it belongs again to
 * who asked. Nothing is counted or kept for this beyond what the rooms count for themselves.
 *
 * Counters are since the start. Times are those of base/clock.h; 0 means never.
 */
#ifndef MODEL_HEALTH_H
#define MODEL_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fifo.h"
#include "model/sample.h"
#include "model/settings.h"
#include "model/value.h"

#define HEALTH_WHY_MAX	  160
#define HEALTH_TEXT_MAX	  24 /* of a point's text, NUL included: what does not fit is cut between two characters */
#define HEALTH_EXCEPTIONS 12 /* codes 1..11 of the standard; 0 counts all others */

/* ---- the field ---- */

/* A point's last good value. Owns nothing: a label belongs to the settings. */
struct health_value {
	uint8_t kind; /* enum value_kind */
	bool cut;     /* the text was longer */
	int8_t decimals;
	uint32_t items; /* of a list, of which nothing else is kept */
	union {
		bool boolean;
		int64_t integer;
		uint64_t whole;
		double real;
		const char *label;
		char text[HEALTH_TEXT_MAX];
	};
};

struct health_point {
	const struct point *point;
	enum quality quality;
	int exception;		/* with which the unit refuses it, 0: it does not */
	int64_t retry_mono_us;	/* when it is tried again; 0: it is not left out */
	int64_t taken_unix_ms;	/* of the last good value; 0: there was none */
	int64_t taken_mono_us;
	struct health_value value;
};

enum health_unit_state { HEALTH_UNIT_UNTRIED, HEALTH_UNIT_ONLINE, HEALTH_UNIT_SUSPECT, HEALTH_UNIT_OFFLINE, HEALTH_UNIT_STATES };

struct health_unit {
	int unit; /* Modbus address; of a serial instrument, which has none, -1 */
	const char *device; /* a serial instrument: whose it is; else NULL */
	enum health_unit_state state;
	int64_t since_mono_us;	  /* of its state */
	int64_t answered_mono_us; /* the last valid frame */
	uint64_t requests;
	uint64_t answers; /* good ones */
	uint64_t timeouts;
	uint64_t bad_frames; /* CRC wrong, cut, or answering something else */
	uint64_t exceptions;
	uint64_t by_exception[HEALTH_EXCEPTIONS];
	uint64_t stale;	    /* frames that came when nobody waited for them */
	uint64_t echoes;    /* requests that came back before their reply */
	uint64_t no_values; /* samples of points that held none */
	uint64_t missed;    /* polls left out because the bus was too slow */
	/* from the begin of a request to the end of its reply */
	uint64_t latency_count;
	int64_t latency_sum_us;
	int64_t latency_p50_us;
	int64_t latency_p95_us;
	int64_t latency_max_us;
};

/* What a line has seen since the start. */
struct health_line {
	uint64_t noise_bytes;
	uint64_t stale_bytes;
	uint64_t echoes;
	uint64_t collisions;
	/* of the UART, where its driver counts */
	uint64_t frame_errors;
	uint64_t parity_errors;
	uint64_t overruns;
	uint64_t breaks;
};

/* What came from serial instruments since the start. */
struct health_frames {
	uint64_t bytes;
	uint64_t frames; /* all of those below */
	uint64_t good;
	uint64_t bad_checksum; /* wrong or not there */
	uint64_t unmatched;    /* of nobody, or with nothing in it */
	uint64_t wasted_bytes; /* in no frame */
	uint64_t values;
	uint64_t no_values;
	char last_bad[HEALTH_WHY_MAX]; /* the last one that was not good, printable; "" if there was none */
};

enum health_bus_state {
	HEALTH_BUS_CLOSED, /* nothing is to be asked now, or it is being opened */
	HEALTH_BUS_OPEN,
	HEALTH_BUS_FAULT, /* it cannot be opened, or nothing good comes from it: `why` */
	HEALTH_BUS_STATES,
};

struct health_bus {
	const struct bus *bus;
	int64_t taken_mono_us; /* when this was filled */
	enum health_bus_state state;
	char why[HEALTH_WHY_MAX];
	int64_t since_mono_us; /* of its state */
	uint64_t opened;       /* how often */
	double load;	       /* wanted share of its time; more than 1 is too much */
	double stretch;	       /* by which its periods are longer, >= 1 */
	size_t commands;       /* that wait */
	uint64_t samples_refused; /* dropped, since the cloud's thread did not keep up */
	struct health_line line;
	struct health_frames frames; /* of serial instruments */
	size_t unit_count; /* filled; unit_room: that there is room for */
	size_t unit_room;
	struct health_unit *units;
	size_t point_count; /* likewise */
	size_t point_room;
	struct health_point *points;
};

/* ---- the cloud ---- */

enum health_session_state {
	HEALTH_SESSION_WAITING, /* for its turn, or backing off */
	HEALTH_SESSION_CONNECTING,
	HEALTH_SESSION_UP,
	HEALTH_SESSION_CLOSED, /* on purpose */
	HEALTH_SESSION_STATES,
};

struct health_device {
	enum health_session_state state;
	const char *why;	 /* of the last end or failure, static; NULL: there was none */
	int64_t since_mono_ms;	 /* since when it is up, or is not */
	int in_flight;		 /* telemetry messages without their PUBACK */
	uint64_t rows;		 /* that wait, in memory or on disk */
	int64_t oldest_unix_ms;	 /* of these; 0: there are none, or it is not known */
	uint64_t messages;	 /* of telemetry that were sent */
	uint64_t acked;		 /* of them */
	uint64_t acked_rows;
	uint64_t refused_values; /* that the server does not take: set aside */
	uint64_t rpc_requests;
	uint64_t rpc_errors;	 /* of them answered with an error */
};

struct health_store {
	uint64_t rows;
	uint64_t unsaved_rows; /* of these, in memory only */
	uint64_t memory_bytes;
	uint64_t disk_bytes;
	uint64_t dropped_rows; /* for want of room */
	uint64_t aged_rows;
	uint64_t lost_rows;
	uint64_t undated_rows;
	uint64_t damaged_rows;
	uint64_t unheld_rows; /* no memory, or larger than all of the store */
	bool on_disk;	      /* there is a disk to write to ... */
	int disk_error;	      /* ... which failed last with this errno; 0: it is well */
	int64_t disk_busy_ms; /* it has been at its present job for so long; 0: it has none */
};

struct health_cloud {
	int64_t taken_mono_us;
	bool clock_set;
	int mqtt_version; /* 5, or 4 for 3.1.1 */
	uint64_t connects;
	uint64_t refusals;
	uint64_t failures;
	uint64_t losses;
	uint64_t values;	  /* good samples that came from the field */
	uint64_t samples_refused; /* that found no room in its queue */
	uint64_t shared_written;
	size_t commands; /* without an outcome */
	struct health_store store;
	size_t device_count; /* filled */
	size_t device_room;
	struct health_device *devices; /* by device->index */
};

/* ---- the process ---- */

struct health_process {
	const char *version;
	int64_t uptime_s;
	uint64_t rss_bytes;
	uint64_t descriptors;
	uint64_t descriptors_max;
	uint64_t threads;
	double cpu_s;
	const char *log_level;
};

/* All of it. What did not answer in time is there as it was before, or NULL. */
struct health {
	const struct settings *settings;
	struct health_process process;
	int64_t now_mono_us;
	int64_t now_unix_ms;
	double values_per_s;		/* lately */
	struct health_bus *const *buses; /* settings->bus_count of them */
	const int64_t *bus_waits_us;	/* for so long each did not answer; 0: it did */
	const struct health_cloud *cloud;
	int64_t cloud_waits_us;
};

/* ---- asking ---- */

struct health_question {
	struct health_bus *bus; /* one of the two */
	struct health_cloud *cloud;
	struct fifo *answers; /* of struct health_answer, with room for it */
};

struct health_answer {
	struct health_bus *bus;
	struct health_cloud *cloud;
};

/* Whoever was asked has filled the report: back with it. */
void health_give_back(const struct health_question *question);

/* With room for so many units and points. Returns NULL when there is no memory. */
struct health_bus *health_bus_new(const struct bus *bus, size_t unit_room, size_t point_room);
void health_bus_free(struct health_bus *bus);
struct health_cloud *health_cloud_new(size_t device_room);
void health_cloud_free(struct health_cloud *cloud);

/* Keep a value. No allocation. */
void health_value_set(struct health_value *kept, const struct value *value);

/* The settings that the value's label belongs to go, and those with `point`, which is the same, come. */
void health_value_adopt(struct health_value *kept, const struct point *point);

/* Does any unit of the device answer? One that just begins to fail does still; of a bus that is in trouble none does. */
bool health_answers(const struct health *health, const struct device *device);

/* How many devices do, but for the gateway itself, which has no units. */
size_t health_answering(const struct health *health);

/* "online" and the like */
const char *health_unit_state_name(enum health_unit_state state);
const char *health_bus_state_name(enum health_bus_state state);
const char *health_session_state_name(enum health_session_state state);

/* "well"; "failing"; "silent", when a job takes longer than a disk that is well needs for any; "none" */
#define HEALTH_DISK_SILENT_MS 5000
const char *health_disk_state_name(const struct health_store *store);

#endif
