"""What the units showed against what arrived: the judge of a torture run. It knows no process and no clock; all is passed in.

Times are Unix milliseconds, so fine that nothing comes before its cause (world.py: from_mono). A *series* is one key of one device.
Values of a counting series are unique: every read of the register shows another one, so that each reply can be followed all the way.
"""

import bisect
import collections
import dataclasses

# What a window of time excuses.
POLL = "poll"  # replies on these buses may have been spoilt on the way
OUTAGE = "outage"  # the server takes nothing: more than a moment's worth is waiting in the gateway
REPEAT = "repeat"  # a message may be sent again, for its PUBACK may have been lost
FROZEN = "frozen"  # the process stood still
DISK = "disk"  # the durable store could not be written
FORGETS = "forgets"  # the server forgets the commands that wait

# Replies that a unit gave, but which no master may believe.
SPOILT = {f"fault {kind}" for kind in (
    "wrong_unit", "wrong_function", "wrong_count", "wrong_transaction", "bad_crc", "cut",
)}
# Replies that are whole before the last byte has left.
FOLLOWED = {"fault glued", "fault garbage_after"}
PAUSE_SEEN = 0.9  # of a pause that is left between what the unit gets: what is before it may have been on its way
UNTRUSTED = 10  # answers, until a unit that failed is waited for as long as any (src/field/unit.h)
EXAMPLES = 5
CLOCK_MS = 2  # times are whole milliseconds, and what was read within one of the monotonic clock has one time


@dataclasses.dataclass
class Window:
    name: str
    start: float
    end: float
    excuses: frozenset
    buses: frozenset = None  # None: all

    def overlaps(self, start, end):
        return self.start <= end and start <= self.end


@dataclasses.dataclass
class Life:
    """One process of the daemon, from its start to the moment when it was seen to be gone."""
    start: float
    end: float = float("inf")
    how: str = "term"  # "kill": without warning; "damage": and then the store was damaged


class Shown(collections.namedtuple("Shown", "series value asked at bus outcome request")):
    """A unit's answer to one read: asked and handed over at these times; `request` tells answers apart."""


class Arrived(collections.namedtuple("Arrived", "series value ts at session")):
    """What the server was told, and when."""


@dataclasses.dataclass
class Command:
    device: str
    bus: int
    unit: int
    value: int
    asked: float
    subscribed: list = dataclasses.field(default_factory=list)  # when the device asked for commands: it is given those that wait
    replies: list = dataclasses.field(default_factory=list)  # (payload, at)


class Write(collections.namedtuple("Write", "bus unit value at executed")):
    """A write request that a unit got."""


@dataclasses.dataclass
class Limits:
    time_ms: float = 500  # a timestamp is not later than the reply by more
    poll_ms: float = 1000  # the longest that a reply is waited for
    held_ms: float = 2000  # without an outage nothing waits longer in the gateway
    repeat_ms: float = 2000  # before a window: its messages may not have been acknowledged when it began
    recovery_ms: float = 8000  # after an outage: connecting again, acknowledgements that are overdue
    flush_ms: float = None  # the store is durable, and what is older than this is on disk; None = memory only
    rpc_ms: float = 1500  # a command that has not started by then is not started
    answer_ms: float = 3000  # a command that is given in a calm has its reply by then
    waits_ms: float = 15000  # so long a command waits at the server, and is given to whoever comes
    step_ms: float = 1500  # so near to a step of the clock either time is right


class Verdict:
    def __init__(self):
        self.faults = collections.defaultdict(list)
        self.counts = collections.Counter()

    def find(self, kind, text):
        self.faults[kind].append(text)

    def __bool__(self):
        return not self.faults

    def lines(self):
        for kind, found in self.faults.items():
            yield f"{kind}: {len(found)}"
            yield from (f"    {text}" for text in found[:EXAMPLES])


class Checker:
    def __init__(self, limits, windows, lives, steps=(), pauses=()):
        """steps: (moment, what the wall clock of the daemon is ahead of ours from then on), in order; pauses: by bus, how long a
        unit on a line without transaction ids is left alone when a request to it has failed."""
        self.limits = limits
        self.steps = [(float("-inf"), 0), *steps]
        self.windows = windows
        self.lives = sorted(lives, key=lambda life: life.start)
        self.verdict = Verdict()
        self.freezes = [w for w in windows if FROZEN in w.excuses]
        self.pauses = dict(pauses)
        self.in_flight, self.displaced, self.given_up = set(), set(), set()

    # ---- telemetry ----

    def check_telemetry(self, shown, arrived, states=(), others=()):
        """shown, arrived: in the order of their happening; states: series whose values are not unique; others: replies that are
        judged elsewhere (derived.py)."""
        by_series = collections.defaultdict(list)
        came = collections.defaultdict(list)
        for reply in shown:
            by_series[reply.series].append(reply)
        for row in arrived:
            came[row.series].append(row)
        self.in_flight = self._find_in_flight([*shown, *others])
        self.displaced = self._find_displaced([*shown, *others])
        self.given_up = self._find_given_up([*shown, *others])
        for series in sorted(set(by_series) | set(came)):
            if series in states:
                self._check_state(by_series[series], came[series])
            else:
                self._check_series(series, by_series[series], came[series])
        return self.verdict

    def _find_in_flight(self, shown):
        """Of each bus the last request before the process ended or stood still: its answer may have found nobody."""
        by_bus = collections.defaultdict(list)
        for reply in shown:
            by_bus[reply.bus].append(reply)
        moments = [life.end for life in self.lives] + [freeze.end for freeze in self.freezes]
        excused = set()
        for replies in by_bus.values():
            replies.sort(key=lambda reply: reply.asked)
            asked = [reply.asked for reply in replies]
            for moment in moments:
                index = bisect.bisect_right(asked, moment) - 1
                if index >= 0:
                    excused.add(replies[index].request)
        return excused

    def _find_displaced(self, shown):
        """Requests during which a reply to an earlier one of the same line came, which was late by a fault. On a line without
        transaction ids that is taken for the answer if it fits, and the answer for a stale one."""
        late = collections.defaultdict(list)
        for reply in shown:
            if reply.outcome == "fault late":
                late[reply.bus].append(reply)
        return {reply.request for reply in shown if reply.bus in late
                and any(other.asked < reply.asked <= other.at <= reply.at for other in late[reply.bus])}

    def _find_given_up(self, shown):
        """A unit that has just failed is waited for less than its timeout, until it has answered so many requests: on a busy machine
        its answer may be too slow for that. It is seen by the pause behind it, of which there was another shortly before."""
        by_unit = collections.defaultdict(dict)
        for reply in shown:
            if reply.bus in self.pauses:
                by_unit[reply.bus, reply.series.partition(".")[0]][reply.request] = reply.asked
        found = set()
        for (bus, _), requests in by_unit.items():
            listed = sorted(requests.items(), key=lambda item: item[1])
            paused = [after - before >= PAUSE_SEEN * self.pauses[bus] for (_, before), (_, after) in zip(listed, listed[1:])]
            found.update(listed[index][0] for index, is_long in enumerate(paused)
                         if is_long and any(paused[max(0, index - UNTRUSTED):index]))
        return found

    def _check_series(self, series, shown, came):
        index_of = {}
        for index, reply in enumerate(shown):
            index_of[reply.value] = index
        first = {}
        newest = -1
        for row in came:
            self.verdict.counts["arrived"] += 1
            index = index_of.get(row.value)
            if index is None:
                self.verdict.find("invented", f"{series} {row.value} at {row.ts}: no unit showed that")
                continue
            if row.value in first:
                self._check_repeat(first[row.value], row)
                continue
            first[row.value] = row
            self._check_first(shown[index], row)
            if index < newest:
                self.verdict.find("order", f"{series} {row.value} came after {shown[newest].value}")
            newest = max(newest, index)
        self._check_missing(shown, first)

    def _check_first(self, reply, row):
        late = self._late(reply, row)
        if reply.outcome in SPOILT:
            self.verdict.find("invented", f"{row.series} {row.value} at {row.ts}: the reply was spoilt ({reply.outcome})")
        if not -self._early_ms(reply) < late <= self._allowed_ms(reply):
            self.verdict.find("wrong time", f"{row.series} {row.value}: ts {row.ts} is {late:+.0f} ms from its reply")
        self.verdict.counts["late_ms"] = max(self.verdict.counts["late_ms"], int(late))

    def _offsets(self, moment):
        """What the daemon's clock may have been ahead by."""
        offsets = []
        for at, offset in self.steps:
            if at <= moment - self.limits.step_ms:
                offsets = [offset]
            elif at <= moment + self.limits.step_ms:
                offsets.append(offset)
        return offsets

    def _late(self, reply, row):
        """How long after its reply the row claims to have been read."""
        return min((row.ts - offset - reply.at for offset in self._offsets(reply.at)), key=abs)

    @staticmethod
    def _whole_at(reply):
        """It was not whole before."""
        return reply.asked if reply.outcome in FOLLOWED else reply.at

    def _early_ms(self, reply):
        """By what a time may be before the moment when the reply had left."""
        return CLOCK_MS + reply.at - self._whole_at(reply)

    def _allowed_ms(self, reply):
        """A reply that waited for a process which stood still gets the time at which it was found, but only within its timeout."""
        if any(freeze.overlaps(reply.asked, reply.at + self.limits.time_ms) for freeze in self.freezes):
            return self.limits.poll_ms + self.limits.time_ms
        return self.limits.time_ms

    def _check_repeat(self, before, row):
        self.verdict.counts["repeated"] += 1
        about = f"{row.series} {row.value} at {row.ts}"
        if row.ts != before.ts:
            self.verdict.find("wrong time", f"{about}: came before with ts {before.ts}")
        if row.session == before.session:
            self.verdict.find("repeated", f"{about}: twice in one session, {row.at - before.at:.0f} ms apart")
        elif not any(REPEAT in w.excuses and w.start - self.limits.repeat_ms <= before.at <= w.end + self.limits.recovery_ms
                     for w in self.windows):
            self.verdict.find("repeated", f"{about}: was sent again though nothing was wrong at {before.at}")

    def _check_missing(self, shown, first):
        arrived_later = False  # of the same life
        life = None
        next_at = float("inf")  # when the one behind it came
        for reply in reversed(shown):
            self.verdict.counts["shown"] += 1
            its_life = self._life_at(reply.asked)
            if its_life is not life:
                life, arrived_later = its_life, False
            if reply.value in first:
                self.verdict.counts["checked"] += 1
                arrived_later = True
                next_at = first[reply.value].at
                continue
            reason = self._excuse(reply, life, arrived_later) or self._damaged(reply, next_at)
            if reason:
                self.verdict.counts[f"excused: {reason}"] += 1
            else:
                self.verdict.counts["checked"] += 1
                self.verdict.find("missing", f"{reply.series} {reply.value}, shown at {reply.at:.0f} on bus {reply.bus} ({reply.outcome})")

    def _life_at(self, moment):
        found = None
        for life in self.lives:
            if life.start <= moment:
                found = life
        return found

    def _excuse(self, reply, life, arrived_later):
        if reply.outcome != "reply":
            return "spoilt reply"
        if reply.request in self.in_flight:
            return "in flight"
        if reply.request in self.displaced:
            return "displaced by a late reply"
        if reply.request in self.given_up:
            return "given up early"
        if reply.at - reply.asked >= self.limits.poll_ms:
            return "late reply"
        if any(POLL in w.excuses and (w.buses is None or reply.bus in w.buses) and w.overlaps(reply.asked, reply.at)
               for w in self.windows):
            return "field fault"
        if life and not arrived_later and self._may_be_lost(reply, life):
            return "held in memory" if life.how != "damage" else "damaged store"
        return None

    def _damaged(self, reply, next_at):
        """What is behind it came after a store was damaged: it waited in that store as well, perhaps since an earlier process."""
        if any(life.how == "damage" and reply.at <= life.end <= next_at < float("inf") for life in self.lives):
            return "damaged store"
        return None

    def _may_be_lost(self, reply, life):
        """Whether this may have been in the gateway, and nowhere else, when the process ended."""
        age = life.end - reply.at
        outage = any(OUTAGE in w.excuses and w.overlaps(reply.at - self.limits.recovery_ms, life.end) for w in self.windows)
        fresh = life.how != "term" and age <= self.limits.held_ms
        if self.limits.flush_ms is None or life.how == "damage":
            return fresh or outage
        no_disk = any(DISK in w.excuses and w.overlaps(reply.at - self.limits.flush_ms, life.end) for w in self.windows)
        if no_disk:
            return fresh or outage
        return life.how == "kill" and age <= self.limits.flush_ms

    def _check_state(self, shown, came):
        """A register that is written: what is told of it must have been in it then."""
        times = collections.defaultdict(list)
        for reply in shown:
            times[reply.value].append(reply)
        for row in came:
            self.verdict.counts["states"] += 1
            if not any(-self._early_ms(reply) < self._late(reply, row) <= self._allowed_ms(reply) for reply in times[row.value]):
                self.verdict.find("invented", f"{row.series} {row.value} at {row.ts}: the register did not show that then")

    # ---- commands ----

    def check_commands(self, commands, writes):
        written = collections.defaultdict(list)
        known = {(command.bus, command.unit, command.value) for command in commands}
        for write in writes:
            written[write.bus, write.unit, write.value].append(write)
            if (write.bus, write.unit, write.value) not in known:
                self.verdict.find("command", f"bus {write.bus} unit {write.unit}: {write.value} was written, nobody asked for that")
        for command in commands:
            self._check_command(command, written[command.bus, command.unit, command.value])
        return self.verdict

    def _check_command(self, command, writes):
        about = f"{command.device} = {command.value}"
        self.verdict.counts["commands"] += 1
        for before, again in zip(writes, writes[1:]):
            self.verdict.find("command", f"{about}: written at {before.at} and again at {again.at}")
        for write in writes:
            self._check_lateness(about, command, write)
        if len({str(payload) for payload, _ in command.replies}) > 1:
            self.verdict.find("command", f"{about}: two different replies: {command.replies}")
        self._check_answered(about, command)
        for payload, at in command.replies:
            self.verdict.counts["commands answered"] += 1
            self._check_reply(about, command, [write for write in writes if write.at <= at], writes, payload)

    def _check_answered(self, about, command):
        """The server gives a command to the device when it is asked for, and each time when the device comes back, until it has a
        reply. One such moment in a calm is enough."""
        end = command.asked + self.limits.waits_ms
        if command.replies or any(FORGETS in w.excuses and w.overlaps(command.asked, end) for w in self.windows):
            return
        for at in [command.asked, *command.subscribed]:
            # when it is asked for the session may be dead without anybody knowing
            before_ms = self.limits.recovery_ms if at == command.asked else 0
            if command.asked <= at <= end and self._is_calm(before_ms, at, self.limits.answer_ms):
                self.verdict.find("command", f"{about}: given at {at:.0f} and never answered")
                return

    def _is_calm(self, before_ms, at, after_ms):
        life = self._life_at(at)
        return life and at + after_ms <= life.end and not any(
            (OUTAGE in w.excuses or FROZEN in w.excuses) and w.overlaps(at - before_ms, at + after_ms) for w in self.windows)

    def _check_reply(self, about, command, before, writes, payload):
        error = payload.get("error") if isinstance(payload, dict) else None
        if payload == {"value": command.value}:
            self.verdict.counts["commands done"] += 1
            if not any(write.executed for write in before):
                self.verdict.find("command", f"{about}: said to be done, and no unit had executed it")
        elif error is None:
            self.verdict.find("command", f"{about}: a strange reply {payload}")
        elif "restarted" in error:
            self.verdict.counts["commands not known"] += 1
            if len(self.lives) < 2:
                self.verdict.find("command", f"{about}: '{error}', and it was not")
        elif ("nothing was sent" in error or "offline" in error) and writes:
            self.verdict.find("command", f"{about}: '{error}', and it was sent")
        elif "refused: exception" in error and any(write.executed for write in writes):
            self.verdict.find("command", f"{about}: '{error}', and it was executed")

    def _check_lateness(self, about, command, write):
        start = max([command.asked] + [at for at in command.subscribed if at <= write.at])
        for freeze in self.freezes:
            # it may have come in while the process stood still; what came before that was known to expire
            if freeze.overlaps(start, start + self.limits.time_ms):
                start = max(start, freeze.end)
        late = write.at - start - self.limits.rpc_ms
        if late > self.limits.time_ms:
            self.verdict.find("command", f"{about}: written {late:.0f} ms after it had expired")
        if write.at < command.asked:
            self.verdict.find("command", f"{about}: written before it was asked for")
