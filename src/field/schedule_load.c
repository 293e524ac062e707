#include "field/schedule_state.h"

#define STRETCH_MARGIN	1.01 /* predictions are a little wrong */
#define STRETCH_MAX	1e6  /* of a day: far beyond what anybody waits for, and it can be counted in us */
#define OTHER_WINDOW_US 5000000
#define OTHER_SHARE_MAX 0.9
#define COST_SMOOTHING	8 /* a cost moves by one part in so many of what is new */

double
schedule_load(const struct schedule *schedule)
{
	return schedule->load + schedule->other_share;
}

double
schedule_stretch(const struct schedule *schedule)
{
	double other = schedule->other_share < OTHER_SHARE_MAX ? schedule->other_share : OTHER_SHARE_MAX;
	double stretch = schedule->load / (1 - other) * STRETCH_MARGIN;

	if (stretch > STRETCH_MAX)
		return STRETCH_MAX;
	return stretch > STRETCH_MARGIN ? stretch : 1;
}

int64_t
schedule_stretched_us(const struct schedule *schedule, const struct poll_request *request)
{
	return (int64_t)((double)schedule_period_us(request) * schedule_stretch(schedule));
}

bool
schedule_counts(const struct poll_unit *unit)
{
	return unit->state.failures == 0;
}

void
schedule_recount(struct schedule *schedule, const struct poll_unit *unit, bool counted)
{
	if (counted && !schedule_counts(unit))
		schedule->load -= unit->load;
	else if (!counted && schedule_counts(unit))
		schedule->load += unit->load;
}

void
schedule_add_load(struct schedule *schedule, struct poll_unit *unit, double load)
{
	unit->load += load;
	if (schedule_counts(unit))
		schedule->load += load;
}

double
schedule_load_of(const struct poll_request *request)
{
	return (double)request->cost_us / (double)schedule_period_us(request);
}

void
schedule_spent(struct schedule *schedule, struct poll_request *request, int64_t us, int64_t now_us)
{
	int64_t window_us = now_us - schedule->other_since_us;

	if (request) {
		double before = schedule_load_of(request);

		request->cost_us += (us - request->cost_us) / (request->cost_us == 0 ? 1 : COST_SMOOTHING);
		schedule_add_load(schedule, request->unit, schedule_load_of(request) - before);
	} else {
		schedule->other_us += us;
	}
	if (window_us < OTHER_WINDOW_US)
		return;
	schedule->other_share = (schedule->other_share + (double)schedule->other_us / (double)window_us) / 2;
	schedule->other_us = 0;
	schedule->other_since_us = now_us;
}
