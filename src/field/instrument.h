/* The devices of a bus of serial instruments: what they said last, what of it goes up, which of them is asked next, and which has
 * fallen silent. Time is passed in; no I/O. One thread, the bus's worker.
 *
 * A point whose period is not over keeps its newest value, which goes up when it is, with the time at which it came: nothing is
 * averaged, and the last word of an instrument is never lost. A point that is aggregated (flow/window.h) gets them all.
 *
 * A device that is polled is a unit as field/unit.h has it: one that does not answer costs its timeout once, then is asked less and
 * less, and all that fail together take at most UNIT_PROBE_SHARE % of the line's time.
 */
#ifndef FIELD_INSTRUMENT_H
#define FIELD_INSTRUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "field/talk.h"
#include "field/unit.h"
#include "model/difference.h"
#include "model/health.h"
#include "model/sample.h"
#include "model/settings.h"

/* A point, as it is now. */
struct reading {
	const struct point *point;
	enum quality quality;
	int64_t fresh_us; /* when it had a value last, good or none */
	int64_t next_us;  /* no sample goes up before */
	bool held;	  /* `sample` waits for that */
	struct sample sample;
	struct health_value last; /* good one, and when */
	int64_t last_us;
	int64_t last_unix_ms;
	struct value known; /* of a point that is written: what the instrument holds, as far as it said or took it; else NONE */
};

struct instrument {
	const struct device *device;
	struct reading *readings; /* of its points on this bus */
	size_t reading_count;
	struct script poll; /* count 0: it only is listened to */
	bool polled;
	bool nameless; /* its answers do not say that they are its own: they count only while it is asked */
	struct unit unit;
	int64_t due_us; /* its next poll */
	bool greet;	/* its on_connect values are to be written: it was met, or is back */
	size_t greeted; /* so many are on their way already */
	bool wanted;	/* a command waits for its next poll: it is due now */
	int64_t heard_us; /* it said something good, or the bus was opened */
	int64_t said_us;  /* it really did; 0: never */
	int64_t since_us; /* of silence, or of its end */
	bool silent;	  /* for longer than silence_s, and said so */
};

struct instruments {
	const struct bus *bus;
	struct instrument *items;
	size_t count;
	bool all_polled; /* nobody speaks unasked */
	bool nameless; /* several are polled, and one of them is: a late answer could be taken for that of another */
	int64_t probe_us; /* no instrument that failed is asked before */
	int64_t look_us;  /* for stale ones, the next */

	struct sample_sink sink;
	struct sample *batch; /* of one frame */
	size_t batched;
	size_t batch_size;
	uint64_t refused;
	bool told; /* the log says that samples find no room */
};

/* Returns 0; -ENOMEM; -EINVAL if a pattern is none. */
int instruments_init(struct instruments *instruments, const struct settings *settings, const struct bus *bus,
    struct sample_sink sink);
void instruments_done(struct instruments *instruments);

/* Go on where those of older settings have been, as far as their devices and points are the same. */
void instruments_adopt(struct instruments *instruments, struct instruments *from, const struct difference *difference,
    int64_t now_us);

struct instrument *instruments_find(struct instruments *instruments, const struct device *device);

/* The bus was opened: everybody is due, and nobody is silent yet. Or closed: everybody is offline. */
void instruments_opened(struct instruments *instruments, int64_t now_us);
void instruments_closed(struct instruments *instruments);

/* --- what came --- */

/* The instrument said something, at `now_us`. Returns whether it had been silent; then ret_away_us says how long. */
bool instrument_heard(struct instrument *instrument, int64_t now_us, int64_t *ret_away_us);

/* A point has a value, or none. Takes the value over. */
void instruments_value(struct instruments *instruments, struct instrument *instrument, const struct point *point,
    enum quality quality, struct value *value, int64_t now_us, int64_t now_unix_ms);

/* What is in the batch goes up, in one call. */
void instruments_push(struct instruments *instruments);

/* --- time --- */

/* Samples whose period is over, points that are stale. */
void instruments_tick(struct instruments *instruments, int64_t now_us);

/* The next one that has fallen silent since it was asked last, and now is offline; NULL: none. */
struct instrument *instruments_fall_silent(struct instruments *instruments, int64_t now_us);

/* When there is something to do for the three, polls not counted. */
int64_t instruments_due_us(const struct instruments *instruments);

/* --- polls --- */

/* Whose turn it is: the one that is due longest, a wanted one before all others; NULL: nobody's, until ret_due_us. */
struct instrument *instruments_next(struct instruments *instruments, int64_t now_us, int64_t *ret_due_us);

/* It is asked now. */
void instrument_asked(struct instrument *instrument, int64_t now_us);

/* What came of it. On UNIT_LOST its points are offline. ret_away_us  on UNIT_BACK how long it was away */
enum unit_change instruments_judge(struct instruments *instruments, struct instrument *instrument, int error,
    int64_t asked_us, int64_t now_us, int64_t *ret_away_us);

/* What the instrument holds of a point that is written; NONE: not known. `set` takes a copy. */
const struct value *instrument_known(const struct instrument *instrument, const struct point *point);
void instrument_know(struct instrument *instrument, const struct point *point, const struct value *value);

#endif
