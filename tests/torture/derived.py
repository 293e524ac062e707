"""The judge of what is made of samples: client attributes, of which only the last value counts, and aggregates of a window of time.

Both are made of counting registers: what a unit shows grows with each read, so that every value says which read it is of. Stands on
the judge of samples (checker.py), which knows what excuses a loss.
"""

import bisect
import collections
import dataclasses

from checker import FROZEN, OUTAGE, SPOILT

AGGREGATES = ("min", "max", "last", "count")


@dataclasses.dataclass
class Span:
    """What was told of one window of a series."""
    ts: float
    at: float
    values: dict


class Derived:
    def __init__(self, checker, rest_ms=5000, grace_ms=1000):
        """rest_ms: so long after it was shown a value may be on its way; grace_ms: so long after its end a window may be open."""
        self.checker, self.verdict, self.limits = checker, checker.verdict, checker.limits
        self.rest_ms, self.grace_ms = rest_ms, grace_ms
        self.disturbed = [w for w in checker.windows if OUTAGE in w.excuses or FROZEN in w.excuses]

    # ---- attributes ----

    def check_attributes(self, shown, came):
        """shown: replies; came: rows without a time of their own, of series that are told on change."""
        replies, rows = _by_series(shown), _by_series(came)
        for series in sorted(set(replies) | set(rows)):
            self._check_attribute(series, replies[series], rows[series])
        return self.verdict

    def _check_attribute(self, series, shown, came):
        index_of = {reply.value: index for index, reply in enumerate(shown)}
        good = [index for index, reply in enumerate(shown) if reply.outcome == "reply"]
        newest = -1
        for row in came:
            self.verdict.counts["attributes"] += 1
            index = index_of.get(row.value)
            if index is None or shown[index].outcome in SPOILT or row.at < self.checker._whole_at(shown[index]):
                self.verdict.find("attribute", f"{series} {row.value}: no unit had shown that at {row.at:.0f}")
                continue
            if index < newest:
                self.verdict.find("attribute", f"{series} {row.value} came after {shown[newest].value}")
            newest = max(newest, index)
            self._check_present(series, shown, good, index, row)
        self._check_last(series, shown, good, newest)

    def _check_present(self, series, shown, good, index, row):
        """Nothing that has long been replaced is told as what is."""
        place = bisect.bisect_right(good, row.at - self.rest_ms, key=lambda number: shown[number].at) - 1
        if place < 0 or good[place] <= index:
            return
        since = shown[good[place]].at - self.limits.recovery_ms
        if not any(window.overlaps(since, row.at) for window in self.disturbed):
            self.verdict.find("attribute", f"{series} {row.value} at {row.at:.0f}: {shown[good[place]].value} was shown long before")

    def _check_last(self, series, shown, good, newest):
        """When all is well the server knows what the unit showed at last."""
        end = max(life.end for life in self.checker.lives)
        rested = [index for index in good if shown[index].at <= end - self.rest_ms]
        if rested and newest < rested[-1]:
            told = shown[newest].value if newest >= 0 else "nothing"
            self.verdict.find("attribute", f"{series}: {told} is told in the end, {shown[rested[-1]].value} was shown")

    # ---- aggregates ----

    def check_aggregates(self, shown, came, window_ms):
        """came: rows of SERIES_min and so on; each read shows a greater value."""
        replies, rows = _by_series(shown), collections.defaultdict(list)
        for row in came:
            series, _, name = row.series.rpartition("_")
            rows[series].append((name, row))
        for series in sorted(set(replies) | set(rows)):
            spans = self._collect(series, rows[series])
            self._check_spans(series, replies[series], spans, window_ms)
        return self.verdict

    def _collect(self, series, rows):
        spans = {}
        for name, row in rows:
            span = spans.setdefault(row.ts, Span(row.ts, row.at, {}))
            if span.values.setdefault(name, row.value) != row.value:
                self.verdict.find("aggregate", f"{series} at {row.ts}: {name} is {span.values[name]} and {row.value}")
        for span in spans.values():
            if set(span.values) != set(AGGREGATES):
                self.verdict.find("aggregate", f"{series} at {span.ts}: only {sorted(span.values)}")
        return [span for span in spans.values() if set(span.values) == set(AGGREGATES)]

    def _check_spans(self, series, shown, spans, window_ms):
        index_of = {reply.value: index for index, reply in enumerate(shown)}
        covered = [None] * len(shown)
        for span in spans:
            self.verdict.counts["aggregates"] += 1
            low, high = index_of.get(span.values["min"]), index_of.get(span.values["max"])
            about = f"{series} at {span.ts}: {span.values}"
            if low is None or high is None or high < low or span.values["last"] != span.values["max"]:
                self.verdict.find("aggregate", f"{about}: no unit showed that")
                continue
            self._check_time(about, shown[low], shown[high], span, window_ms)
            self._check_count(about, shown[low:high + 1], span)
            twice = [index for index in range(low, high + 1) if covered[index]]
            if twice:
                self.verdict.find("aggregate", f"{about}: {shown[twice[0]].value} is in that of {covered[twice[0]].ts} too")
            covered[low:high + 1] = [span] * (high + 1 - low)
        self._check_covered(shown, covered, window_ms)

    def _check_time(self, about, first, last, span, window_ms):
        """Its end is not before its last value, and not more than its length after its first."""
        offsets = self.checker._offsets(first.at) + self.checker._offsets(last.at)
        if not any(span.ts - offset - last.at > -self.checker._early_ms(last)
                   and span.ts - offset - first.at <= window_ms + self.checker._allowed_ms(first) for offset in offsets):
            self.verdict.find("aggregate", f"{about}: of {first.at:.0f} to {last.at:.0f}")

    def _check_count(self, about, replies, span):
        possible = [reply for reply in replies if reply.outcome not in SPOILT]
        sure = [reply for reply in possible if not self.checker._excuse(reply, self.checker._life_at(reply.asked), True)]
        if not len(sure) <= span.values["count"] <= len(possible):
            self.verdict.find("aggregate", f"{about}: {len(sure)} to {len(possible)} were shown")

    def _check_covered(self, shown, covered, window_ms):
        arrived_later, life, next_at = False, None, float("inf")
        for reply, span in zip(reversed(shown), reversed(covered)):
            self.verdict.counts["aggregated"] += 1
            its_life = self.checker._life_at(reply.asked)
            if its_life is not life:
                life, arrived_later = its_life, False
            if span:
                arrived_later, next_at = True, span.at
            elif not self._excuse(reply, life, arrived_later, window_ms) and not self.checker._damaged(reply, next_at):
                self.verdict.find("aggregate", f"{reply.series} {reply.value}, shown at {reply.at:.0f}, is in no window")

    def _excuse(self, reply, life, arrived_later, window_ms):
        """An open window is in memory, and nowhere else, until it ends."""
        if self.checker._excuse(reply, life, arrived_later):
            return True
        later = reply._replace(at=reply.at + window_ms + self.grace_ms)
        return bool(life) and life.how != "term" and not arrived_later and (
            later.at >= life.end or self.checker._may_be_lost(later, life))


def _by_series(items):
    found = collections.defaultdict(list)
    for item in items:
        found[item.series].append(item)
    return found
