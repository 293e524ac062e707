#!/usr/bin/python3
"""Figures of the real program beside floors that are measured in the same run on the same machine, so that the ratios hold on a
laptop and on a Raspberry Pi. Prints a table; exits 0 whatever it says, since what a figure is worth depends on what else the
machine does. Build without sanitizers and with -O2.

    bench.py [--list] [--seconds N] [--json FILE] [--anywhere] [ROW...]

A row is a function here: it prepares a plant, lets it work, and gives figures. docs/performance.md says what each means.
"""

import argparse
import contextlib
import inspect
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import harness
from harness import Bench, Fieldgate, Modbus, buses, device, devices, rtu_bus, server, tcp_bus

SECONDS = 10
# What is compared, the gateway and the floors, has one processor, and what plays units, server and user the others: where the scheduler
# puts whom would decide more than what they do. The units of a real plant are on no processor of ours either.
PROCESSORS = sorted(os.sched_getaffinity(0))
OURS = []  # before a command that is to run on the first


def share_processors():
    if len(PROCESSORS) > 1:
        OURS.extend(["taskset", "-c", str(PROCESSORS[0])])
        os.sched_setaffinity(0, PROCESSORS[1:])


HOUR = 3600000
FULL = 125  # registers of the longest read


class Plant:
    """A folder, the simulator, the bench and the gateway, which end together."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.folder = tempfile.mkdtemp(prefix="fieldgate-bench-")
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        # In memory, as /run is for the service.
        self.runtime = tempfile.mkdtemp(prefix="fieldgate-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.stack.callback(shutil.rmtree, self.runtime, ignore_errors=True)
        self.bench = self.field = self.gateway = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def path(self, name):
        return os.path.join(self.folder, name)

    def start_bench(self, *arguments):
        self.bench = Bench("--any-token", *arguments)
        self.stack.callback(self.bench.close)
        self.bench.ask("events", telemetry=False)
        return self.bench

    def start_field(self, *arguments):
        self.field = Modbus(*arguments)
        self.stack.callback(self.field.close)
        return self.field

    def start_gateway(self, config, level="warning", under=()):
        path = self.path("gateway.conf")
        pathlib.Path(path).write_text(config, encoding="utf-8")
        os.chmod(path, 0o600)
        folders = {"STATE_DIRECTORY": self.path("state"), "RUNTIME_DIRECTORY": self.runtime}
        self.gateway = Fieldgate(path, "--log-level", level, env=folders, under=[*OURS, *under])
        self.stack.callback(lambda: self.gateway.process.poll() is None and self.gateway.stop())
        return self.gateway

    def await_stats(self, reached, patience=60):
        """Wait until the bench's counters satisfy `reached`; they are asked for, since telemetry events would cost more."""
        deadline = time.monotonic() + patience
        while not reached(stats := self.bench.ask("stats")):
            if time.monotonic() > deadline:
                sys.exit(f"bench.py: not reached in {patience} s: {stats}\n" + "\n".join(self.gateway.log.all()[-20:]))
            time.sleep(0.05)
        return stats


class Usage:
    """What the kernel knows of a process, now."""

    def __init__(self, pid):
        self.at = time.monotonic()
        self.cpu, self.wakes = 0.0, 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError):
                self.cpu += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0]) / 1e9
                status = pathlib.Path(f"/proc/{pid}/task/{task}/status").read_text()
                self.wakes += int(next(l.split()[1] for l in status.splitlines() if l.startswith("voluntary_ctxt")))
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        self.rss_mb = int(next(l.split()[1] for l in status.splitlines() if l.startswith("VmRSS"))) / 1024
        self.threads = int(next(l.split()[1] for l in status.splitlines() if l.startswith("Threads")))
        io = pathlib.Path(f"/proc/{pid}/io").read_text()
        self.written = int(next(l.split()[1] for l in io.splitlines() if l.startswith("write_bytes")))


class Span:
    """From one moment to another, of a process and of the bench."""

    def __init__(self, plant, seconds):
        pid = plant.gateway.process.pid
        before, values = Usage(pid), plant.bench.ask("stats")
        reads = plant.field.ask("stats")["reads"] if plant.field else 0
        time.sleep(seconds)
        after, delivered = Usage(pid), plant.bench.ask("stats")
        self.reads = (plant.field.ask("stats")["reads"] if plant.field else 0) - reads
        self.seconds = after.at - before.at
        self.cpu = after.cpu - before.cpu
        self.wakes = after.wakes - before.wakes
        self.written = after.written - before.written
        self.values = delivered["values"] - values["values"]
        self.publishes = delivered["publishes"] - values["publishes"]
        self.rss_mb, self.threads = after.rss_mb, after.threads


def floor(name, *arguments):
    out = subprocess.run([*OURS, harness.program(f"tests/perf/{name}"), *map(str, arguments)], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def registers(count, first=0, table="holding", more=""):
    return [f'key = "k{n:03d}"; table = "{table}"; addr = {n}; type = "uint16"{more}' for n in range(first, first + count)]


def fill(field, count, unit=1, table="holding"):
    field.set(table, 0, *[10000 + n for n in range(count)], unit=unit)


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def row(figure, value, reference="", target=""):
    return {"figure": figure, "value": value, "reference": reference, "target": target}


SERIES = {}  # name -> [[x, y]...], for tests/perf/plot.gnuplot


def distribution(values):
    """Of each share of all values the most that it takes."""
    return [[quantile(values, share / 1000), share / 10] for share in (*range(0, 1000, 10), 995, 999)]


# --- rows -----------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def standing(plant):
    """While a floor is measured the gateway stands still."""
    os.kill(plant.gateway.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(plant.gateway.process.pid, signal.SIGCONT)
        time.sleep(0.5)


ROUNDS = 5  # of floor and ours in turn: what else the machine does, and where the scheduler puts whom, changes by the second


def poll_rate(seconds, delay_ms=0):
    """One TCP bus that is asked for more than it can give: every request 125 registers in 125 points, decoded, filtered, nothing
    reported. Against a plain libmodbus loop; and with a unit that takes its time, as real ones do."""
    # As many as want more than there is at 10 ms each, but none three periods late: then it would be told that it is stale.
    requests = 10 if delay_ms else 250
    with Plant() as plant:
        plant.start_bench()
        field = plant.start_field("--tcp", "0")
        field.ask("unit", unit=1, size=requests * FULL)
        plant.start_gateway(
            server(plant.bench.port) + buses(tcp_bus("b", field.tcp[0]))
            + devices(device("D", "b", registers(requests * FULL, more='; report = "change"'), period_ms=10)), level="error")
        plant.await_stats(lambda stats: stats["values"] >= requests * FULL)
        if delay_ms > 0:
            field.ask("turnaround", ms=delay_ms)
        shares, rates, ceilings, ours, bare = [], [], [], [], []
        for _ in range(ROUNDS):
            with standing(plant):
                ceiling = floor("floor_poll", field.tcp[0], seconds / ROUNDS, FULL)
            span = Span(plant, seconds / ROUNDS)
            rates.append(span.reads / span.seconds)
            ceilings.append(ceiling["turns"] / ceiling["seconds"])
            shares.append(rates[-1] / ceilings[-1])
            ours.append(span.cpu / span.reads * 1e6)
            bare.append(ceiling["cpu_s"] / ceiling["turns"] * 1e6)
        unit = f"unit answers after {delay_ms} ms" if delay_ms else "unit answers at once"
        return [
            row(f"polls a second of 125 registers, {unit}", f"{statistics.median(rates):.0f}",
                f"libmodbus loop {statistics.median(ceilings):.0f}: {statistics.median(shares):.0%} "
                f"({min(shares):.0%}..{max(shares):.0%})", "95 %"),
            row(f"CPU a poll, {unit}", f"{statistics.median(ours):.1f} us", f"libmodbus loop {statistics.median(bare):.1f} us"),
        ]


def poll_rates(seconds):
    """At once, and after a millisecond."""
    return poll_rate(seconds) + poll_rate(seconds, delay_ms=1)


def bare_pipe(plant, seconds, count, pace, *arguments):
    """CPU a value of the bare pipe that brings `count` registers `pace` times a second, in us."""
    length = len('{"ts":1700000000000,"values":{}}') + count * len('"k000":10000,') - 1
    bare = floor("floor_pipe", plant.field.tcp[0], plant.bench.port, seconds, count, pace, length, *arguments)
    return bare["cpu_s"] / bare["turns"] / count * 1e6


def pipe_cost(seconds):
    """100 reads a second of 125 registers, each value published at QoS 1. Against a loop of libmodbus and libmosquitto that
    publishes a ready-made text of the same length; and against one whose Modbus connection has a thread of its own."""
    pace = 100
    with Plant() as plant:
        plant.start_bench()
        field = plant.start_field("--tcp", "0")
        fill(field, FULL)
        plant.start_gateway(
            server(plant.bench.port) + buses(tcp_bus("b", field.tcp[0]))
            + devices(device("D", "b", registers(FULL), period_ms=1000 // pace)))
        plant.await_stats(lambda stats: stats["values"] > 0)
        ours, least, handed, rates = [], [], [], []
        for _ in range(ROUNDS):
            with standing(plant):
                least.append(bare_pipe(plant, seconds / ROUNDS, FULL, pace))
                handed.append(bare_pipe(plant, seconds / ROUNDS, FULL, pace, "handed"))
            span = Span(plant, seconds / ROUNDS)
            ours.append(span.cpu / span.values * 1e6)
            rates.append(span.values / span.seconds)
        def beside(name, floors):
            ratios = [one / other for one, other in zip(ours, floors)]
            return (f"bare pipe, {name} {statistics.median(floors):.2f} us: "
                    f"{statistics.median(ratios):.2f} x ({min(ratios):.2f}..{max(ratios):.2f})")

        return [row("CPU a value delivered", f"{statistics.median(ours):.2f} us", beside("one thread", least), "1.5 x"),
                row("CPU a value delivered", f"{statistics.median(ours):.2f} us", beside("handed to a thread", handed)),
                row("values a second at that", f"{statistics.median(rates):.0f}", f"wanted {pace * FULL}")]


CALLGRIND = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no"]


def instructions(seconds):
    """How many instructions, ours and our libraries', a value costs from the reply to its PUBACK: 125 a read, 20 reads a second. Under
    callgrind, where neither the machine nor its load has a say; what the kernel does is not counted."""
    if not shutil.which("callgrind_control"):
        return [row("instructions a value", "skipped: valgrind is not installed")]
    with Plant() as plant:
        plant.start_bench()
        field = plant.start_field("--tcp", "0")
        fill(field, FULL)
        counted = plant.path("callgrind.out")
        gateway = plant.start_gateway(
            server(plant.bench.port) + buses(tcp_bus("b", field.tcp[0])) + devices(device("D", "b", registers(FULL), period_ms=50)),
            under=[*CALLGRIND, f"--callgrind-out-file={counted}"])
        plant.await_stats(lambda stats: stats["values"] > 20 * FULL)  # what is done once is done
        before = plant.bench.ask("stats")["values"]
        for state in ("on", "off"):
            subprocess.run(["callgrind_control", "-i", state, str(gateway.process.pid)], check=True, capture_output=True)
            if state == "on":
                time.sleep(seconds)
        values = plant.bench.ask("stats")["values"] - before
        gateway.stop(within=60)
        total = next(int(line.split()[1]) for line in open(counted, encoding="utf-8", errors="replace") if line.startswith("totals:"))
        return [row("instructions a value delivered", f"{total / values:.0f}")]


def rpc_times(plant, count, gap_ms, token="D"):
    """Microseconds from each of `count` RPCs that write a register to its reply, timed in the bench: nobody here wakes up meanwhile."""
    since = plant.bench.mark()
    plant.bench.ask("rpc_series", token=token, method="set", params={"key": "w"}, count=count, gap_ms=gap_ms)
    times = plant.bench.wait("rpc_series", since, timeout=count * (gap_ms / 1000 + 1))["us"]
    if len(times) < count:
        sys.exit("bench.py: an RPC had no reply\n" + "\n".join(plant.gateway.log.all()[-20:]))
    return times


def bare_rpc_times(plant, count, gap_ms, *arguments):
    """The same of a program that does nothing but that."""
    since = plant.bench.mark()
    with subprocess.Popen([*OURS, harness.program("tests/perf/floor_rpc"), str(plant.field.tcp[0]), str(plant.bench.port), "bare", *arguments],
                          stdin=subprocess.PIPE):
        plant.bench.wait("subscribe", since, token="bare")
        return rpc_times(plant, count, gap_ms, "bare")


WRITABLE = 'key = "w"; table = "holding"; addr = 0; type = "uint16"; writable = true'


def rpc_latency(seconds):
    """From an RPC that leaves the server to its reply, an idle bus. Against one MQTT round trip and one Modbus round trip: a program
    that does both where the message arrives, and one that hands the command to a thread for the line and the outcome back."""
    with Plant() as plant:
        plant.start_bench()
        field = plant.start_field("--tcp", "0")
        plant.start_gateway(server(plant.bench.port) + buses(tcp_bus("b", field.tcp[0])) + devices(device("D", "b", [WRITABLE], period_ms=HOUR)))
        plant.bench.wait("subscribe", token="D")
        times, bare, handed = [], [], []
        for _ in range(5):
            bare += bare_rpc_times(plant, int(seconds * 5), 20)
            times += rpc_times(plant, int(seconds * 5), 20)
            handed += bare_rpc_times(plant, int(seconds * 5), 20, "handed")
        SERIES["rpc_us"] = distribution(times)
        rows = []
        for name, share in (("median", 0.5), ("p99", 0.99)):
            ours, least, hands = (quantile(of, share) for of in (times, bare, handed))
            rows += [row(f"RPC to its reply, idle: {name}", f"{ours:.0f} us", f"bare, one thread {least:.0f} us: {ours / least:.2f} x", "1.3 x"),
                     row(f"RPC to its reply, idle: {name}", f"{ours:.0f} us", f"bare, handed to a thread {hands:.0f} us: {ours / hands:.2f} x")]
        return rows


def rpc_line(seconds):
    """The same on a serial line of 19200 baud, idle and asked for more than it can give: what a command waits for is the transaction
    that is on the line."""
    registers_read, count = 20, max(50, int(seconds * 10))
    p99 = {}
    for load, period_ms in (("idle", HOUR), ("full", 10)):
        with Plant() as plant:
            plant.start_bench()
            link = plant.path("line")
            plant.start_field("--rtu", link, "--baud", "19200")
            plant.start_gateway(
                server(plant.bench.port) + buses(rtu_bus("b", link, baud=19200))
                + devices(device("D", "b", [WRITABLE, *registers(registers_read, first=100)], period_ms=period_ms)), level="error")
            plant.bench.wait("subscribe", token="D")
            plant.await_stats(lambda stats: stats["values"] >= registers_read)
            p99[load] = quantile(rpc_times(plant, count, 37), 0.99) / 1000
    # request 8 characters, reply 5 and two a register, 11 bits each
    transaction = (8 + 5 + 2 * registers_read + 2 * 3.5) * 11 / 19200 * 1000
    return [row("RPC on 19200 baud, idle line: p99", f"{p99['idle']:.1f} ms"),
            row("RPC on 19200 baud, full line: p99", f"{p99['full']:.1f} ms",
                f"one read is {transaction:.1f} ms: {(p99['full'] - p99['idle']) / transaction:.2f} of it more", "1 more")]


def lateness(requests):
    """How late each request of a unit was, in ms, against the best phase that it ever kept."""
    by_unit = {}
    for request in requests:
        by_unit.setdefault((request["bus"], request["unit"]), []).append(request["at_us"])
    late = []
    for times in by_unit.values():
        phase = min(at % 1000000 for at in times) if max(at % 1000000 for at in times) - min(at % 1000000 for at in times) < 500000 else \
            min((at + 500000) % 1000000 for at in times) - 500000
        late += [((at - phase + 500000) % 1000000 - 500000) / 1000 for at in times]
    return late


def crowd(plant, count):
    """`count` devices with a session each on TCP buses of ten units, 10 points at 1 s each, all published; returns how long it took
    until all sessions were up."""
    plant.start_bench()
    units = [part for unit in range(2, 11) for part in ("--unit", str(unit))]
    field = plant.start_field(*["--tcp", "0"] * ((count + 9) // 10), *units)
    plant.start_gateway(
        server(plant.bench.port)
        + buses(*[tcp_bus(f"b{n}", port) for n, port in enumerate(field.tcp)])
        + devices(*[device(f"D{n}", f"b{n // 10}", registers(10), unit=n % 10 + 1, period_ms=1000) for n in range(count)]))
    start = time.monotonic()
    plant.await_stats(lambda stats: stats["sessions"] == count, patience=60 + count / 100)
    up = time.monotonic() - start
    time.sleep(3)
    return up


def scale(seconds, counts=(100, 300, 1000)):
    """How cost grows with devices."""
    rows = []
    for count in counts:
        with Plant() as plant:
            up = crowd(plant, count)
            span = Span(plant, seconds)
            late = lateness(plant.field.ask("requests", last=min(10000, int(count * seconds)))["requests"])
            with standing(plant):
                least = bare_pipe(plant, min(seconds, 4), 10, count)
            each = span.cpu / span.values * 1e6
            SERIES.setdefault("cpu_us_by_devices", []).append([count, each])
            SERIES.setdefault("rss_mb_by_devices", []).append([count, span.rss_mb])
            SERIES[f"late_ms_{count}"] = distribution(late)
            rows += [
                row(f"{count} devices: CPU a value", f"{each:.2f} us",
                    f"bare pipe of {count} x 10 values/s {least:.2f} us: {each / least:.2f} x", "2 x row pipe"),
                row(f"{count} devices: CPU", f"{span.cpu / span.seconds:.1%} of a core"),
                row(f"{count} devices: delivered", f"{span.values} values", f"read {span.reads * 10}", "all"),
                row(f"{count} devices: memory, threads", f"{span.rss_mb:.1f} MB, {span.threads}", "", "40 MB at 1,000"),
                row(f"{count} devices: poll lateness p50, p99", f"{quantile(late, 0.5):.1f}, {quantile(late, 0.99):.1f} ms", "", "p99 10 ms"),
                row(f"{count} devices: all sessions up after", f"{up:.1f} s", "200 new ones a second at most"),
            ]
    return rows


def holds(plant, seconds, count):
    """Are all polls of so many devices made in time? Returns that and a row that says so."""
    try:
        up = crowd(plant, count)
    except SystemExit as what:
        return False, row(f"{count} devices, 10 values/s each", "not all sessions come up", str(what).splitlines()[0][:100])
    span = Span(plant, seconds)
    late = lateness(plant.field.ask("requests", last=10000)["requests"])
    polled, worst = span.reads / span.seconds / count, quantile(late, 0.99)
    return polled >= 0.99 and worst <= 100, row(
        f"{count} devices, 10 values/s each", f"{polled:.1%} of polls, p99 {worst:.1f} ms late",
        f"{span.cpu / span.seconds:.0%} of a core, {span.rss_mb:.0f} MB, {span.threads} threads, all up in {up:.0f} s")


def most(seconds):
    """More and more devices, until not all polls are made in time, then what lies between. The simulator and the bench share the machine
    with the gateway."""
    rows, least, limit, count = [], 1000, None, 2000
    while not limit or limit - least > least / 8:
        with Plant() as plant:
            held, figure = holds(plant, seconds, count)
        rows.append(figure)
        if held:
            least = count
        else:
            limit = count
        count = (least + limit) // 200 * 100 if limit else 2 * count
    return rows


def idle(seconds):
    """Everything connected, nothing due."""
    with Plant() as plant:
        plant.start_bench()
        field = plant.start_field("--tcp", "0")
        plant.start_gateway(server(plant.bench.port) + buses(tcp_bus("b", field.tcp[0])) + devices(device("D", "b", registers(10), period_ms=HOUR)))
        plant.await_stats(lambda stats: stats["values"] >= 10)
        time.sleep(3)
        span = Span(plant, max(seconds, 30))
        return [row("wake-ups a second, idle", f"{span.wakes / span.seconds:.2f}", "", "2"),
                row("memory of one device", f"{span.rss_mb:.1f} MB", "", "8 MB")]


def start_time(seconds):
    """From the start of the process to the first value at the server."""
    rows = []
    for count, target in ((1, "300 ms"), (1000, "2 s")):
        times = []
        for _ in range(5 if count == 1 else 2):
            with Plant() as plant:
                plant.start_bench()
                lines = (count + 9) // 10
                units = [part for unit in range(2, 11) for part in ("--unit", str(unit))]
                field = plant.start_field(*["--tcp", "0"] * lines, *units)
                config = (server(plant.bench.port) + buses(*[tcp_bus(f"b{n}", port) for n, port in enumerate(field.tcp)])
                          + devices(*[device(f"D{n}", f"b{n // 10}", registers(10), unit=n % 10 + 1, period_ms=1000) for n in range(count)]))
                plant.bench.ask("events", telemetry=True)
                began = time.time()
                plant.start_gateway(config)
                first = plant.bench.wait("telemetry")
                times.append(first["at"] - began * 1000)
        rows.append(row(f"start to the first value, {count} device{'s' * (count > 1)}", f"{statistics.median(times):.0f} ms", "", target))
    return rows


def outage(seconds):
    """200 devices of 5 points at 1 s while the server is away, and how fast it goes up afterwards."""
    count = 200
    with Plant() as plant:
        plant.start_bench()
        field = plant.start_field(*["--tcp", "0"] * 20, *[part for unit in range(2, 11) for part in ("--unit", str(unit))])
        plant.start_gateway(
            server(plant.bench.port, reconnect_min_ms=100, reconnect_max_ms=1000)
            + buses(*[tcp_bus(f"b{n}", port) for n, port in enumerate(field.tcp)])
            + devices(*[device(f"D{n}", f"b{n // 10}", registers(5), unit=n % 10 + 1, period_ms=1000) for n in range(count)]))
        plant.await_stats(lambda stats: stats["sessions"] == count)
        time.sleep(2)
        quiet = Span(plant, 3)
        plant.bench.ask("stop")
        time.sleep(2)
        away = max(30, seconds * 3)
        span = Span(plant, away)
        before = plant.bench.ask("stats")["values"]
        plant.bench.ask("start")
        plant.await_stats(lambda stats: stats["values"] > before)
        drain_from = time.monotonic()
        plant.await_stats(lambda stats: stats["values"] - before >= (away + 2) * count * 5 * 0.98)
        drained = time.monotonic() - drain_from
        samples = span.reads * 5
        return [row("bytes written while the server acknowledges", f"{quiet.written}", "", "0"),
                row("bytes written a million samples of an outage", f"{span.written / samples:.0f} MB"),
                row("values a second when it is back", f"{(away + 2) * count * 5 / drained:.0f}", f"{drained:.1f} s for {away + 2} s of {count * 5} values/s")]


def meters(seconds):
    """34 meters of 34 float32 every 10 s on one serial line at 115200 baud."""
    with Plant() as plant:
        plant.start_bench()
        link = plant.path("line")
        field = plant.start_field("--rtu", link, "--baud", "115200", *[part for unit in range(2, 35) for part in ("--unit", str(unit))])
        points = [f'key = "m{n:02d}"; table = "input"; addr = {2 * n}; type = "float32"' for n in range(34)]
        plant.start_gateway(
            server(plant.bench.port) + buses(rtu_bus("line", link, baud=115200, parity='"none"'))
            + devices(*[device(f"M{unit}", "line", points, unit=unit, period_ms=10000) for unit in range(1, 35)]))
        plant.await_stats(lambda stats: stats["values"] >= 34 * 34)
        span = Span(plant, max(seconds, 20))
        return [row("34 x 34 float32 / 10 s on 115200: CPU", f"{span.cpu / span.seconds:.2%} of a core"),
                row("34 x 34 float32 / 10 s on 115200: memory", f"{span.rss_mb:.1f} MB"),
                row("34 x 34 float32 / 10 s on 115200: delivered", f"{span.values / span.seconds:.1f} values/s", "wanted 115.6")]


COLLECTD = """
Hostname "bench"
BaseDir "{folder}"
PIDFile "{folder}/collectd.pid"
PluginDir "/usr/lib/collectd"
TypesDB "/usr/share/collectd/types.db"
Interval 1
<LoadPlugin modbus>
</LoadPlugin>
<LoadPlugin mqtt>
</LoadPlugin>
<Plugin mqtt>
  <Publish "bench">
    Host "127.0.0.1"
    Port "{broker}"
    User "collectd"
    Password "x"
    QoS 1
  </Publish>
</Plugin>
<Plugin modbus>
{data}
{hosts}
</Plugin>
"""


def collectd(seconds):
    """The same job beside a peer that Debian ships: 10 hosts of 100 registers each second, by collectd's modbus and mqtt."""
    if not shutil.which("collectd", path="/usr/sbin:/usr/bin"):
        return [row("collectd beside us", "skipped: collectd-core is not installed")]
    with Plant() as plant:
        plant.start_bench()
        field = plant.start_field(*["--tcp", "0"] * 10)
        data = "\n".join(f'<Data "d{n}">\n RegisterBase {n}\n RegisterType uint16\n Type gauge\n Instance "r{n}"\n</Data>' for n in range(100))
        hosts = "\n".join(
            f'<Host "h{h}">\n Address "127.0.0.1"\n Port "{port}"\n Interval 1\n <Slave 1>\n  Instance "s"\n'
            + "\n".join(f'  Collect "d{n}"' for n in range(100)) + "\n </Slave>\n</Host>" for h, port in enumerate(field.tcp))
        path = plant.path("collectd.conf")
        pathlib.Path(path).write_text(COLLECTD.format(folder=plant.folder, broker=plant.bench.port, data=data, hosts=hosts), encoding="utf-8")
        with subprocess.Popen([*OURS, "/usr/sbin/collectd", "-f", "-C", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as peer:
            time.sleep(4)
            reads, before = field.ask("stats")["reads"], Usage(peer.pid)
            time.sleep(seconds)
            reads, after = field.ask("stats")["reads"] - reads, Usage(peer.pid)
            peer.terminate()
        theirs = (after.cpu - before.cpu) / (after.at - before.at)
        plant.start_gateway(
            server(plant.bench.port) + buses(*[tcp_bus(f"b{n}", port) for n, port in enumerate(field.tcp)])
            + devices(*[device(f"D{n}", f"b{n}", registers(100), period_ms=1000) for n in range(10)]))
        plant.await_stats(lambda stats: stats["sessions"] >= 10)
        time.sleep(3)
        span = Span(plant, seconds)
        ours = span.cpu / span.seconds
        return [row("10 hosts x 100 registers at 1 s: CPU", f"{ours:.2%} of a core",
                    f"collectd {theirs:.2%}: {theirs / ours:.1f} x ours", "8 x"),
                row("10 hosts x 100 registers at 1 s: requests", f"{span.reads / span.seconds:.0f}/s", f"collectd {reads / (after.at - before.at):.0f}/s", "10/s"),
                row("10 hosts x 100 registers at 1 s: delivered", f"{span.values / span.seconds:.0f} values/s", "wanted 1000", "all"),
                row("10 hosts x 100 registers at 1 s: memory, threads", f"{span.rss_mb:.1f} MB, {span.threads}",
                    f"collectd {after.rss_mb:.1f} MB, {after.threads}")]


ROWS = {
    "poll": poll_rates,
    "pipe": pipe_cost,
    "instructions": instructions,
    "rpc": rpc_latency,
    "rpcline": rpc_line,
    "scale": scale,
    "most": most,
    "idle": idle,
    "start": start_time,
    "outage": outage,
    "meters": meters,
    "collectd": collectd,
}


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="ascii") if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores, {platform.platform()}, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}"


def main():
    parser = argparse.ArgumentParser(description="Figures beside floors; docs/performance.md explains them.")
    parser.add_argument("--list", action="store_true", help="name the rows and what they measure")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each measurement (default {SECONDS})")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE too, and what is to be plotted beside it")
    parser.add_argument("--anywhere", action="store_true", help="leave it to the scheduler which processor whoever has")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="default: all")
    arguments = parser.parse_args()
    if arguments.list:
        for name, function in ROWS.items():
            print(f"{name:9s} {' '.join(inspect.getdoc(function).split())}")
        return
    unknown = [name for name in arguments.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row {unknown[0]}, there are {', '.join(ROWS)}")
    print(machine(), flush=True)
    if not arguments.anywhere:
        share_processors()
    figures = []
    for name in arguments.rows or ROWS:
        for figure in ROWS[name](arguments.seconds):
            figures.append({"row": name, **figure})
            target = f"  (target {figure['target']})" if figure["target"] else ""
            print(f"{name:9s} {figure['figure']:48s} {figure['value']:>22s}  {figure['reference']}{target}", flush=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(
            json.dumps({"machine": machine(), "figures": figures, "series": SERIES}, indent=1), encoding="utf-8")
        for name, points in SERIES.items():
            pathlib.Path(f"{arguments.json}.{name}").write_text("".join(f"{x} {y}\n" for x, y in points), encoding="utf-8")


if __name__ == "__main__":
    main()
