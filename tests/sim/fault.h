/* How replies go wrong. A fault belongs to a bus and to one unit or all of them, for a number of requests or
 * for good.
 *
 * Shaping is pure: it turns what a healthy unit would have answered into what comes out of a sick one. Faults
 * of the line or of the connection (FAULT_NEEDS_...) only set what the transport has to do.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include "sim/frame.h"
#include "sim/server.h"

#define FAULT_DATA_MAX 512
#define ANSWER_MAX     (FRAME_MAX + FRAME_MAX + FAULT_DATA_MAX)

enum fault_kind {
	FAULT_NONE,
	FAULT_DEAD,
	FAULT_LATE,
	FAULT_WRONG_UNIT,
	FAULT_WRONG_FUNCTION,
	FAULT_WRONG_COUNT,
	FAULT_WRONG_ECHO,
	FAULT_WRONG_TRANSACTION,
	FAULT_BAD_CRC,
	FAULT_CUT,
	FAULT_GARBAGE_BEFORE,
	FAULT_GARBAGE_AFTER,
	FAULT_GLUED,
	FAULT_ECHO,
	FAULT_EXCEPTION,
	FAULT_BABBLE,
	FAULT_SLOW_BYTES,
	FAULT_CLOSE,
	FAULT_RESET,
	FAULT_SPLIT,
	FAULT_HALF_OPEN
};

enum fault_needs { NEEDS_NOTHING, NEEDS_MBAP, NEEDS_CRC, NEEDS_SOCKET };

struct fault {
	struct fault *next;
	enum fault_kind kind;
	int unit;	  /* -1 = all */
	long left;	  /* requests still to spoil, -1 = until cleared */
	int64_t pause_us; /* late: delay; slow_bytes, split: gap */
	long bytes;	  /* cut, garbage, split: how many; -1 = the kind's default */
	long value;	  /* what is put in place of the right one; -1 = the kind's default */
	bool execute;	  /* whether the unit does what it was asked before the reply goes wrong */
	bool whole;	  /* wrong_count: the data follow the count, so that only the count betrays it */
	bool wrong_value; /* wrong_echo: spoil the value instead of the address */
	size_t data_length;
	uint8_t data[FAULT_DATA_MAX]; /* garbage or glued bytes given by the script */
};

/* A request as it came from the wire. */
struct incoming {
	enum framing framing;
	uint16_t transaction;
	uint8_t unit;
	const uint8_t *pdu;
	size_t length;
	const uint8_t *frame; /* all of it, for an adapter that echoes */
	size_t frame_length;
	int64_t at_us; /* when its first byte came */
};

enum ending { ENDING_STAY, ENDING_CLOSE, ENDING_RESET };

/* What the transport has to send. */
struct answer {
	bool half_open;
	enum ending ending; /* of the connection, after the bytes */
	int64_t delay_us;   /* beyond the turnaround */
	size_t chunk;	    /* bytes that leave together, 0 = all */
	int64_t gap_us;	    /* between chunks */
	uint64_t number;    /* of the request in the journal */
	size_t length;	    /* 0 = silence */
	uint8_t bytes[ANSWER_MAX];
};

int fault_parse(const char *name);
const char *fault_name(enum fault_kind kind);
enum fault_needs fault_needs(enum fault_kind kind);
/* Whether units execute requests under this fault unless the script says otherwise. */
bool fault_executes(enum fault_kind kind);
/* Whether it belongs to the line or the connection, so that it strikes even where no unit would answer. */
bool fault_is_of_line(enum fault_kind kind);

/* The fault that spoils the next request to `unit`: its own before one of all units. NULL if there is none.
 */
struct fault *fault_find(struct fault *faults, uint8_t unit);
/* One request has been spoilt: forget the fault when it was the last. */
void fault_spend(struct fault **faults, struct fault *fault);
/* Remove the faults of one unit (-1: those of all units; -2: every fault). */
void fault_clear(struct fault **faults, int unit);
void fault_append(struct fault **faults, struct fault *fault);

/* Frame a healthy reply, `length` 0 for silence. `pdu` has room for PDU_MAX and is scratch afterwards. */
void answer_frame(const struct incoming *incoming, uint8_t *pdu, size_t length, struct answer *answer);
/* The same reply as `fault` lets it out. */
void fault_shape(const struct fault *fault, const struct incoming *incoming, uint8_t *pdu, size_t length,
    struct answer *answer);

/* Fill with bytes of a generator that is the same in every run. */
void noise_fill(uint8_t *bytes, size_t length);

#endif
