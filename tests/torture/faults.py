"""What goes wrong in a torture run: a table of faults, and the plan that a seed makes of it.

A fault is a row: what it needs to itself (two faults of one place are not made at the same time; of different places they overlap), how
long it lasts, what it does, how it is undone, and which losses it excuses (see checker.py). The plan is a pure function of the seed,
so that a run can be repeated.
"""

import dataclasses
import errno
import signal
import typing

from checker import DISK, FORGETS, FROZEN, OUTAGE, POLL, REPEAT

SERVER, SESSION, PUBACK, PROCESS, FIELD, STORE, CLOCK = "server", "session", "puback", "process", "field", "store", "clock"


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    place: str
    begin: typing.Callable  # (world, event)
    end: typing.Callable = None  # None: it is over at once
    least_s: float = 0
    most_s: float = 0
    weight: int = 1
    excuses: frozenset = frozenset()
    needs: str = ""  # a capability of the program under test
    kinds: tuple = ("tcp", "rtu", "rtu-over-tcp")  # of bus, for faults in the field
    mild: bool = False  # may happen in a soak

    def row(self):
        return self.name


@dataclasses.dataclass
class Event:
    fault: Fault
    at: float  # seconds from the start
    seconds: float
    target: object = None  # a token, or (bus, unit)
    number: int = 0  # what the fault likes to make of it
    start_ms: float = 0
    end_ms: float = 0

    def __str__(self):
        about = f" of {self.target}" if self.target is not None else ""
        return f"{self.at:7.2f} s  {self.fault.name}{about}" + (f" for {self.seconds:.1f} s" if self.seconds else "")


def bench(command, **members):
    """A command to the server."""
    return lambda world, event: world.bench.ask(command, **members)


def to_session(command, **members):
    """The same about one session."""
    return lambda world, event: world.bench.ask(command, token=event.target, **members)


def break_connection(world, event):
    """In the middle of a message, if the session is there at all."""
    try:
        world.bench.ask("close_after", token=event.target, bytes=event.number % 300)
    except AssertionError:
        pass


def unit(kind, **members):
    """A unit misbehaves."""
    return lambda world, event: world.field.ask("fault", kind=kind, bus=event.target[0], unit=event.target[1], **members)


def unit_well(world, event):
    world.field.ask("fault", kind="none", bus=event.target[0], unit=event.target[1])


def late(world, event):
    """Sometimes within the time that the bus waits, sometimes beyond."""
    unit("late", ms=50 + event.number % 2000)(world, event)


def babble(world, event):
    world.field.ask("fault", kind="babble", bus=event.target[0], ms=event.seconds * 1000)


def instrument_well(world, event):
    world.scale.heal()


def silence(world, event):
    world.scale.muted = True


def cut_lines(world, event):
    world.scale.fault("cut", 3)


def unplug(world, event):
    if world.buses[event.target[0]].kind == "serial":
        world.scale.unplug()
    elif world.buses[event.target[0]].kind == "rtu":
        world.field.ask("unplug", bus=event.target[0])
    else:
        world.field.ask("listen", bus=event.target[0], on=False)


def plug(world, event):
    if world.buses[event.target[0]].kind == "serial":
        world.scale.plug()
    elif world.buses[event.target[0]].kind == "rtu":
        world.field.ask("plug", bus=event.target[0])
    else:
        world.field.ask("listen", bus=event.target[0], on=True)


def field(name, begin, **members):
    members.setdefault("end", unit_well)
    members.setdefault("least_s", 0.3)
    members.setdefault("most_s", 3)
    return Fault(name=name, place=FIELD, begin=begin, **members)


AGAIN = frozenset({REPEAT})
AWAY = frozenset({OUTAGE, REPEAT})
SPOILS = frozenset({POLL})

FAULTS = (
    # ---- the server and the way to it ----
    Fault(name="broker down", place=SERVER, begin=bench("stop"), end=bench("start"), least_s=0.5, most_s=6, weight=3, excuses=AWAY),
    Fault(name="broker crashes", place=SERVER, begin=bench("stop", reset=True), end=bench("start"), least_s=0.5, most_s=4, excuses=AWAY),
    Fault(name="broker restarts", place=SERVER, begin=bench("restart_server", reset=True), excuses=AWAY | {FORGETS}),
    Fault(name="black hole", place=SERVER, begin=bench("blackhole", on=True), end=bench("blackhole", on=False), least_s=1, most_s=6,
          weight=2, excuses=AWAY),
    Fault(name="accepts and closes", place=SERVER, begin=bench("refuse_accept", on=True), end=bench("refuse_accept", on=False),
          least_s=1, most_s=3, excuses=AWAY),
    Fault(name="connections refused", place=SERVER, begin=bench("refuse", code=3), end=bench("refuse", code=0), least_s=1, most_s=3,
          excuses=AWAY),
    Fault(name="session killed", place=SESSION, begin=to_session("kick"), weight=3, excuses=AWAY, mild=True),
    Fault(name="session reset", place=SESSION, begin=to_session("kick", reset=True), weight=2, excuses=AWAY, mild=True),
    Fault(name="cut inside a message", place=SESSION, begin=break_connection, weight=3, excuses=AWAY),
    Fault(name="all sessions reset", place=SESSION, begin=bench("kick", reset=True), excuses=AWAY),
    Fault(name="PUBACK delayed", place=PUBACK, begin=bench("puback", mode="delay", delay_ms=700), end=bench("puback", mode="normal"),
          least_s=1, most_s=4, weight=2, excuses=AWAY),
    Fault(name="PUBACK dropped", place=PUBACK, begin=bench("puback", mode="drop"), end=bench("puback", mode="normal"),
          least_s=0.2, most_s=2, weight=2, excuses=AWAY),
    Fault(name="PUBACK reordered", place=PUBACK, begin=bench("puback", mode="reorder", delay_ms=150), end=bench("puback", mode="normal"),
          least_s=1, most_s=4, excuses=AGAIN),

    # ---- the process ----
    Fault(name="SIGTERM", place=PROCESS, begin=lambda world, event: world.tell(signal.SIGTERM),
          end=lambda world, event: world.start_again("term"), least_s=1.5, most_s=3, weight=2, excuses=AGAIN),
    Fault(name="kill -9", place=PROCESS, begin=lambda world, event: world.kill(), end=lambda world, event: world.start_again("kill"),
          least_s=0, most_s=2, weight=3, excuses=AGAIN),
    Fault(name="SIGSTOP", place=PROCESS, begin=lambda world, event: world.tell(signal.SIGSTOP),
          end=lambda world, event: world.tell(signal.SIGCONT), least_s=0.1, most_s=5, weight=2,
          excuses=frozenset({REPEAT, OUTAGE, FROZEN})),

    # ---- units and lines ----
    field("unit dead", unit("dead"), weight=3, most_s=5, mild=True),
    field("reply lost", unit("dead", execute=True, count=2)),
    field("unit late", late, weight=2, mild=True),
    field("exception", unit("exception", code=6), mild=True),
    field("wrong unit answers", unit("wrong_unit", count=3)),
    field("wrong function", unit("wrong_function", count=3)),
    field("wrong count", unit("wrong_count", count=3, whole=True)),
    field("wrong transaction", unit("wrong_transaction", count=3), kinds=("tcp",)),
    field("wrong echo", unit("wrong_echo", count=5)),
    field("bad CRC", unit("bad_crc", count=4), kinds=("rtu", "rtu-over-tcp"), mild=True),
    field("reply cut", unit("cut", count=3)),
    field("noise before", unit("garbage_before", count=3)),
    field("noise after", unit("garbage_after", count=3)),
    field("reply twice", unit("glued", count=3)),
    field("slow bytes", unit("slow_bytes", ms=15)),
    field("split", unit("split", ms=30), kinds=("tcp", "rtu-over-tcp")),
    field("line closed", unit("close", count=3), kinds=("tcp", "rtu-over-tcp")),
    field("line reset", unit("reset", count=3), kinds=("tcp", "rtu-over-tcp")),
    field("half open", unit("half_open", count=1), kinds=("tcp", "rtu-over-tcp")),
    field("line babbles", babble, end=lambda world, event: world.field.ask("fault", kind="none", bus=event.target[0]),
          excuses=SPOILS, most_s=1.5),
    field("port unplugged", unplug, end=plug, weight=3, most_s=4, excuses=SPOILS, kinds=("tcp", "rtu", "rtu-over-tcp", "serial")),
    field("instrument silent", silence, end=instrument_well, kinds=("serial",)),
    field("instrument cut", cut_lines, end=instrument_well, kinds=("serial",)),

    # ---- what the durable store stands on ----
    Fault(name="database damaged", place=PROCESS, begin=lambda world, event: world.kill_and_damage(event.number),
          end=lambda world, event: world.start_again("damage"), least_s=0.1, most_s=1, weight=2, excuses=AGAIN, needs="store"),
    Fault(name="disk errors", place=STORE, begin=lambda world, event: world.break_disk(errno.EIO),
          end=lambda world, event: world.break_disk(0), least_s=0.5, most_s=4, weight=2, excuses=frozenset({DISK}), needs="disk"),
    Fault(name="disk read-only", place=STORE, begin=lambda world, event: world.break_disk(errno.EROFS),
          end=lambda world, event: world.break_disk(0), least_s=0.5, most_s=4, excuses=frozenset({DISK}), needs="disk"),
    Fault(name="disk full", place=STORE, begin=lambda world, event: world.break_disk(errno.ENOSPC),
          end=lambda world, event: world.break_disk(0), least_s=1, most_s=6, weight=3, excuses=frozenset({DISK}), needs="disk"),
    Fault(name="clock step", place=CLOCK, begin=lambda world, event: world.step_clock(event.number), weight=4, needs="clock"),
)

SETTLE_S = 3  # before the first fault
REST_S = 0.5  # between two faults of one place


def possible(capabilities, kinds, mild=False):
    return [fault for fault in FAULTS if (not fault.needs or fault.needs in capabilities)
            and (fault.place != FIELD or set(fault.kinds) & set(kinds)) and (fault.mild or not mild)]


def choose_target(fault, rng, buses, tokens):
    """Whom it strikes, and the place that it needs for itself."""
    if fault.place == FIELD:
        bus = rng.choice([bus for bus in buses if bus.kind in fault.kinds])
        return (bus.number, rng.choice(bus.units)), (FIELD, bus.number)
    if fault.place == SESSION and fault.name != "all sessions reset":
        token = rng.choice(tokens)
        return token, (SESSION, token)
    return None, (fault.place,)


def make_plan(rng, seconds, buses, tokens, faults, gap_s=(0.3, 2.0), each=False):
    """Events in the order of time. buses: with .number, .kind and .units. Faults are drawn like cards, each as often as its weight
    says (`each`: once), so that all of them come before the cards are shuffled anew."""
    plan, busy, cards = [], {}, []
    now = SETTLE_S
    while True:
        now += rng.uniform(*gap_s)
        if now >= seconds:
            return plan
        if not cards:
            cards = [fault for fault in faults for _ in range(1 if each else fault.weight)]
            rng.shuffle(cards)
        fault = cards.pop()
        target, place = choose_target(fault, rng, buses, tokens)
        lasts = min(rng.uniform(fault.least_s, fault.most_s), max(fault.least_s, seconds - now))
        number = rng.randrange(1 << 30)
        if busy.get(place, 0) > now:
            cards.insert(rng.randrange(len(cards) + 1), fault)
            continue
        busy[place] = now + lasts + REST_S
        plan.append(Event(fault=fault, at=now, seconds=lasts, target=target, number=number))
