/* What is to be polled next on one bus: requests, their units, their deadlines. It knows no clock and does no
 * I/O: time is passed in, so that hours of polling are tested in milliseconds. One thread, the bus's worker.
 *
 * The policy:
 * - A request is due, and then has its period until its deadline, when it is due again; deadlines do not
 *   drift. Of what is due the earliest deadline goes first. If the bus can meet all deadlines this meets them
 *   (but for the one exchange that cannot be interrupted), and slow points use what fast ones leave.
 * - Earliest deadline first alone is unfair to whoever comes late when there is too much to do. So too much
 * is not let happen: the time that each request really takes is measured, and where all of them, with what
 *   commands and probes take, want more than the time there is, every period is taken for longer by the same
 *   factor, the stretch. Everybody gets slower by the same share, nobody starves, and the phases that were
 *   there come back with the time. Whenever nothing is due with the stretch, what is due without it is asked. Periods that
 *   were left out are counted. What is due at the same moment keeps its order.
 * - A unit that failed stands aside: it is asked one request until it answers, no sooner than its state says
 *   (field/unit.h) and only within the share of the bus's time that units which failed have together. First
 *   come, first served among them.
 * - What a unit refuses (exceptions 2 and 3) is looked for: first requests lose their holes, then they are
 *   halved until single points are left. These leave the plan and are tried by themselves, seldom. If every
 *   part of what was refused is fine, twice, it was too long: the unit gets shorter requests. Exception 1
 *   refuses all at once. Some units are silent where they should refuse: a request with holes that was never
 *   answered loses them too, when it alone or a unit that never answered such a one fails three times.
 * Whether holes and lengths are refused still is tried once a day.
 * - The plan is made again when a point leaves or comes back, when holes or lengths are refused, and when the
 *   turnaround of a unit is not what was planned with any more. Every point keeps its due time.
 */
#ifndef FIELD_SCHEDULE_H
#define FIELD_SCHEDULE_H

#include "base/heap.h"
#include "field/plan.h"
#include "field/unit.h"
#include "model/difference.h"
#include "model/health.h"
#include "model/sample.h"

#define SCHEDULE_REFUSED_MIN_MS (10 * 60 * 1000) /* a point that the unit refuses is tried this seldom, */
#define SCHEDULE_REFUSED_MAX_MS (60 * 60 * 1000) /* doubling up to this */

/* Holes and lengths that were refused are tried again after so long. */
#define SCHEDULE_FORGIVE_MS (24 * 60 * 60 * 1000)
/* Silence proves little: where it was that, the first time after so long from when the unit answers. */
#define SCHEDULE_FORGIVE_SILENCE_MS (10 * 60 * 1000)

#define SCHEDULE_TURNAROUND_FACTOR 2	 /* measured against planned with: more, and the plan is made again */
#define SCHEDULE_REPLAN_MIN_MS	   60000 /* but for this reason no more often */

struct poll_request;

struct schedule_item {
	const struct point *point;
	struct poll_request *request; /* that brings it */
	int64_t due_us;		      /* delivered with the first reply to a request due then or later */
	int64_t fresh_us;	      /* when it was delivered last, or there was news of its quality */
	enum quality quality;	      /* as was told last */
	bool undecodable;	      /* its last reply made no value */
	struct {
		struct health_value value;
		int64_t taken_mono_us; /* 0: there was none */
		int64_t taken_unix_ms;
	} last;			      /* good value */
	int exception;		      /* that asking for it brought last, or 0 */
	int retry_ms;		      /* it is refused, and tried again after so long; 0: it is not */
	int64_t retry_at_us;
};

struct poll_unit {
	struct heap_node node;
	struct heap *place;	       /* the heap of the schedule that it is in, or NULL */
	struct heap polls;	       /* what is due, by deadline */
	struct poll_request *probe;    /* what is asked while it fails, or NULL */
	struct poll_request *shortest; /* of its requests; NULL: nothing of it is polled */
	bool timed_out;		       /* its last failure was a timeout */
	bool late_told;		       /* the log says that it answers late */
	double load;		       /* of its requests, as shares of the bus's time */
	bool write_only;	       /* none of its points is ever read */
	bool holes_proven;	       /* it answered a request with holes */
	bool holes_silenced;	       /* they were taken out because it was silent, and it still is */
	bool silence_forgiven;	       /* once */
	bool holes_acquitted;	       /* reading holes was given another chance */
	int length_doubts;	       /* how often a request was refused whose parts were not */
	struct plan_unit lore;
	struct unit state;
};

/* A request that is polled. Valid until schedule_update(). */
struct poll_request {
	struct heap_node
	    node; /* among what waits by due time, or among what is due of its unit by deadline */
	struct heap *place;
	struct poll_unit *unit;
	enum point_table table;
	int addr;
	int count;
	int hole_count;
	int period_ms;
	int timeout_ms;
	int64_t due_us;	 /* with the stretch */
	int64_t grid_us; /* and without */
	int64_t cost_us; /* for which it keeps the bus busy: predicted, then measured; 0: not known yet */
	int64_t wire_us;
	int failures;	   /* in a row, each while the unit was fine */
	bool early;	   /* it was made before it was due without the stretch */
	bool failing_told; /* the log says so */
	bool answered;	   /* ever */
	bool trial;	   /* of a point that was refused */
	struct search *search;
	struct schedule_item **items; /* by address */
	size_t item_count;
};

struct schedule {
	const struct settings *settings;
	const struct bus *bus;
	struct schedule_item *items; /* by point->index */
	size_t item_count;
	struct poll_unit *unit; /* all that have points on the bus, by id */
	size_t unit_count;

	/* made anew with each plan */
	struct poll_request *requests;
	size_t request_count;
	struct schedule_item **order; /* items, request after request */
	struct search *searches;
	bool outdated;	      /* the plan is to be made again */
	int64_t planned_us;   /* when it was */
	int64_t update_at_us; /* but not before: there was no memory for it */

	struct heap resting; /* requests that are not due, not even without the stretch */
	struct heap waiting; /* those that are without it, by when they are with it */
	struct heap ready;   /* units that have something due, by its deadline */
	struct heap held;    /* that may not be asked yet */
	struct heap away;    /* that failed */
	int64_t probe_at_us; /* units that failed have used their share of the time until then */

	double load;	    /* that the requests of units that are there want */
	double other_share; /* of the time, that all else takes: commands, failures */
	int64_t other_us;   /* since other_since_us */
	int64_t other_since_us;
	int64_t open_us; /* when the line was opened: nothing can have been missed before */

	int64_t forgive_at_us; /* holes and lengths; CLOCK_NEVER: nothing to forgive */

	/* What is worth remembering has changed: set here, cleared by who saves it. */
	bool learned;
};

/* Plan the bus; everything is due at `now_us`, and from then on in a phase of the bus's own. Returns 0 or -ENOMEM. */
int schedule_init(
    struct schedule *schedule, const struct settings *settings, const struct bus *bus, int64_t now_us);
void schedule_done(struct schedule *schedule);

/* Go on where `from`, of the same bus in older settings, has been: points that are the same keep their due time, quality and
 * what came of asking for them; units what is known of them. What is new is due at once, and then in step with what is read
 * together with it, so that the others keep theirs. */
void schedule_adopt(struct schedule *schedule, const struct schedule *from, const struct difference *difference,
    int64_t now_us);

/* Is it to be made again, or looked whether it is? */
bool schedule_wants_update(const struct schedule *schedule, int64_t now_us);

/* Make the plan again if that is wanted. Every poll_request from before is gone if this returns true. */
bool schedule_update(struct schedule *schedule, int64_t now_us);

/* The request to be made now; or NULL, and when there will be one, CLOCK_NEVER if never. */
struct poll_request *schedule_next(struct schedule *schedule, int64_t now_us, int64_t *ret_due_us);

/* How long the reply is waited for. */
int schedule_wait_ms(const struct poll_request *request);

/* The line was opened: what was due before is due now, and was not missed. */
void schedule_opened(struct schedule *schedule, int64_t now_us);

/* Is the item to be delivered with the reply to a request that was sent at `asked_us`? If so, and it was due, moves it to its next
 * time. */
bool schedule_deliver(struct schedule_item *item, int64_t asked_us);

/* The request was sent at `asked_us`: move it to its next deadline. Call it before the outcome moves the
 * unit. Returns how many periods were left out for lack of time; those of a closed line and of a unit that
 * was held are not counted. */
uint64_t schedule_advance(struct schedule *schedule, struct poll_request *request, int64_t asked_us);

/* An exchange took `us` of the bus's time, up to when the next could begin.
 * request  that was answered; NULL: a failure or a command */
void schedule_spent(struct schedule *schedule, struct poll_request *request, int64_t us, int64_t now_us);

/* The share of the bus's time that is wanted; the factor by which periods are longer than they should be,
 * >= 1. */
double schedule_load(const struct schedule *schedule);
double schedule_stretch(const struct schedule *schedule);

/* The request brought values. Returns the exception that it brought before, or 0. */
int schedule_accepted(struct schedule *schedule, struct poll_request *request, int64_t now_us);

enum schedule_verdict {
	SCHEDULE_KEPT,	   /* it goes on as before */
	SCHEDULE_HOLES,	   /* its holes are taken out */
	SCHEDULE_HALVED,   /* its points are looked through */
	SCHEDULE_LEFT_OUT, /* they are left out, and tried seldom */
};

/* The request brought an exception.
 * ret_news  is it another than before, or none before? */
enum schedule_verdict schedule_refused(
    struct schedule *schedule, struct poll_request *request, int exception, int64_t now_us, bool *ret_news);

/* What is remembered from an earlier run. The point is left out, as if refused at `now_us`; schedule_update()
 * is to follow. */
void schedule_remember_point(
    struct schedule *schedule, const struct point *point, int exception, int64_t now_us);
void schedule_remember_unit(struct schedule *schedule, const struct plan_unit *lore, int64_t now_us);

/* What unit.h says, for polls and commands alike; the unit is put where it then belongs.
 * request     the poll that failed, or NULL
 * pending_us  as in unit_failed() */
enum unit_change schedule_unit_answered(struct schedule *schedule, struct poll_unit *unit, int64_t asked_us,
    int64_t now_us, int64_t *ret_away_us);
enum unit_change schedule_unit_failed(struct schedule *schedule, struct poll_unit *unit,
    struct poll_request *request, int64_t asked_us, int64_t now_us, int64_t pending_us);
enum unit_change schedule_unit_stale(struct schedule *schedule, struct poll_unit *unit, int64_t now_us);

/* The reply to `request` took so long from the begin of its request. */
void schedule_measured(
    struct schedule *schedule, struct poll_request *request, int64_t latency_us, int64_t now_us);

/* The unit wants a pause: nothing is asked of it before `until_us`. */
void schedule_unit_pause(struct schedule *schedule, struct poll_unit *unit, int64_t until_us, int64_t now_us);

/* The cells of the point were written: poll what is in them at once, whatever else it is called. */
void schedule_touch(struct schedule *schedule, const struct point *point, int64_t now_us);

/* The unit called `id`, or NULL if no point of the bus is of it. */
struct poll_unit *schedule_unit(const struct schedule *schedule, int id);

#endif
