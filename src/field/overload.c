#include "field/overload.h"

#include <stdio.h>

#include "base/log.h"

#define WINDOW_US      10000000
#define MISSED_PERCENT 5 /* of the polls in a window: more is called overload, one slow reply is not */
#define PERIODS_TOLD   4

/* "100 ms -> 152 ms, 1000 ms -> 1520 ms, ..." */
static const char *
stretched_text(const struct schedule *schedule, double stretch, char *text, size_t size)
{
	int told[PERIODS_TOLD];
	size_t count = 0;
	int used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < schedule->request_count && used >= 0 && (size_t)used < size; i++) {
		const struct poll_request *request = &schedule->requests[i];
		bool known = request->trial;

		for (size_t k = 0; k < count; k++)
			known = known || told[k] == request->period_ms;
		if (known)
			continue;
		if (count == PERIODS_TOLD) {
			snprintf(text + used, size - (size_t)used, ", ...");
			break;
		}
		used += snprintf(text + used, size - (size_t)used, "%s%d ms -> %.0f ms",
		    count > 0 ? ", " : "", request->period_ms, request->period_ms * stretch);
		told[count++] = request->period_ms;
	}
	return text;
}

static void
tell(const struct schedule *schedule, uint64_t missed, int64_t window_us)
{
	double stretch = schedule_stretch(schedule);
	char text[160];

	if (stretch > 1)
		log_warning("bus %s: cannot keep its periods: %.0f %% of its time is wanted, so each becomes "
			    "%.2f times "
			    "as long (%s); %llu polls missed in %lld s",
		    schedule->bus->name, schedule_load(schedule) * 100, stretch,
		    stretched_text(schedule, stretch, text, sizeof(text)), (unsigned long long)missed,
		    (long long)window_us / 1000000);
	else
		log_warning("bus %s: cannot keep its periods: %llu polls missed in %lld s",
		    schedule->bus->name, (unsigned long long)missed, (long long)window_us / 1000000);
}

void
overload_begin(struct overload *overload, int64_t now_us)
{
	*overload = (struct overload){ .since_us = now_us };
}

void
overload_poll(struct overload *overload, const struct schedule *schedule, uint64_t missed, int64_t now_us)
{
	overload->polls++;
	overload->missed += missed;
	if (now_us - overload->since_us < WINDOW_US)
		return;
	if (!overload->told &&
	    overload->missed * 100 > (overload->polls + overload->missed) * MISSED_PERCENT) {
		tell(schedule, overload->missed, now_us - overload->since_us);
		overload->told = true;
	} else if (overload->told && overload->missed == 0) {
		log_notice("bus %s: keeps its periods again", schedule->bus->name);
		overload->told = false;
	}
	*overload = (struct overload){ .since_us = now_us, .told = overload->told };
}
