#!/usr/bin/python3
"""Many devices for as long as one likes, with mild faults: does it stay small, and does everything arrive?

    soak.py [--hours H | --seconds N] [--devices N] [--seed N] [--period-ms N]

First it stands idle, with nothing due; then it works. Every few minutes what has come to rest is judged as in a torture run and
forgotten, so that a soak may last for days. Exits 0 if nothing was lost and nothing grew.
"""

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import time

import world as worlds
from checker import Checker, Limits
from faults import make_plan, possible
from torture import FLUSH_MS, STORE_DESCRIPTORS, Stalls, Torture, probe

import harness

IDLE_S = 15
SETTLE_S = 10
SAMPLE_S = 5
JUDGE_S = 120
RESTED_MS = 60000  # what was shown so long ago has arrived, or never will
RSS_SLOPE_KB_H = 2048


class Meter:
    """What the kernel knows of the daemon."""

    def __init__(self, pid):
        self.pid = pid
        self.rss = []  # (hours, KiB)
        self.start = self.mark()

    def mark(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        wakes = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/status", encoding="ascii") as file:
                wakes += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))
        try:
            with open(f"/proc/{self.pid}/io", encoding="ascii") as file:
                written = next(int(line.split()[1]) for line in file if line.startswith("write_bytes"))
        except PermissionError:
            written = 0
        return {"at": time.monotonic(), "cpu": cpu, "wakes": wakes, "written": written}

    def since(self, mark):
        now = self.mark()
        return {name: now[name] - mark[name] for name in now}

    def sample(self, resident_kb):
        self.rss.append(((time.monotonic() - self.start["at"]) / 3600, resident_kb))

    def slope(self):
        """KiB an hour, by least squares, without the beginning."""
        rest = self.rss[len(self.rss) // 5:]
        if len(rest) < 3:
            return 0.0
        middle_x = sum(x for x, _ in rest) / len(rest)
        middle_y = sum(y for _, y in rest) / len(rest)
        spread = sum((x - middle_x) ** 2 for x, _ in rest)
        return sum((x - middle_x) * (y - middle_y) for x, y in rest) / spread if spread else 0.0


class Soak(Torture):
    def __init__(self, world, plan, limits):
        super().__init__(world, plan)
        self.limits = limits
        self.counts, self.faults = collections.Counter(), collections.defaultdict(list)
        self.next_sample = SAMPLE_S
        self.next_judgement = JUDGE_S
        self.meter = Meter(world.gateway.process.pid)
        self.stalls = Stalls()

    def watch(self):
        super().watch()
        now = self.elapsed()
        if now >= self.next_sample:
            self.next_sample = now + SAMPLE_S
            self.meter.sample(self.world.usage()[0])
        if now >= self.next_judgement:
            self.next_judgement = now + JUDGE_S
            self.judge(worlds.now_ms() - RESTED_MS)

    def judge(self, until_ms):
        """Judge what was shown before that moment. Values only grow: what belongs to it can be told from the rest by its value."""
        record = self.world.record
        shown, record.shown = record.shown, []
        arrived, record.arrived = record.arrived, []
        states = {f"{device.name}.w" for device in self.world.devices}
        rested = [reply for reply in shown if reply.at < until_ms and reply.series not in states]
        record.shown = [reply for reply in shown if reply.at >= until_ms and reply.series not in states] + record.shown
        newest = {}
        for reply in rested:
            newest[reply.series] = max(newest.get(reply.series, 0), reply.value)
        old = [row for row in arrived if row.series in newest and row.value <= newest[row.series]]
        record.arrived = [row for row in arrived if row.series not in states
                          and not (row.series in newest and row.value <= newest[row.series])] + record.arrived
        windows = [self.world.window(event) for event in self.happened] + self.stalls.windows
        verdict = Checker(self.limits, windows, self.world.lives).check_telemetry(rested, old)
        latest = max(self.counts["late_ms"], verdict.counts["late_ms"])
        self.counts.update(verdict.counts)
        self.counts["late_ms"] = latest
        for kind, found in verdict.faults.items():
            self.faults[kind] += found[:100]


def measure_idle(world):
    """Everything connected, nothing due: what does it cost?"""
    period_ms, world.period_ms = world.period_ms, 3600000
    world.write_configuration()
    world.period_ms = period_ms
    world.start()
    world.bench.wait("connect", count=len(world.devices), timeout=60)
    time.sleep(SETTLE_S)
    meter = Meter(world.gateway.process.pid)
    mark = meter.mark()
    time.sleep(IDLE_S)
    idle = meter.since(mark)
    usage = world.usage()
    world.stop()
    world.write_configuration()
    print(f"{'idle':<28}{idle['wakes'] / idle['at']:>10.2f} wake-ups/s, {100 * idle['cpu'] / idle['at']:.2f} % CPU, "
          f"{usage[0]} KiB, {idle['written']} bytes written", flush=True)


def soak(options, folder):
    capabilities = probe(folder)
    world = worlds.World(folder, options.devices, options.seed, capabilities, period_ms=options.period_ms, mild=True)
    faults = possible(capabilities, {bus.kind for bus in world.buses}, mild=True)
    plan = make_plan(random.Random(options.seed), options.seconds, world.buses, [device.name for device in world.devices], faults,
                     gap_s=(2.0, 20.0))
    try:
        world.open()
        measure_idle(world)
        world.start()
        late = world.wait_recovered(harness.PATIENCE)
        if late:
            raise RuntimeError("nothing came of " + ", ".join(late))
        time.sleep(SETTLE_S)
        start_usage = world.usage()
        run = Soak(world, plan, Limits(flush_ms=FLUSH_MS if world.store else None, rpc_ms=worlds.RPC_TIMEOUT_MS))
        run.run(options.seconds)
        late = world.wait_recovered(60)
        time.sleep(2)
        used = run.meter.since(run.meter.start)
        end_usage = world.usage()
        world.stop()
        world.bench.ask("stats")
        world.field.ask("stats")
        run.judge(float("inf"))
        windows = [world.window(event) for event in run.happened] + run.stalls.stop()
        verdict = Checker(run.limits, windows, world.lives).check_commands(world.record.given, world.record.writes)
    finally:
        world.close()
    for kind, found in verdict.faults.items():
        run.faults[kind] += found
    run.faults.update({"trouble": world.troubles + late} if world.troubles + late else {})
    slope = run.meter.slope()
    hours = used["at"] / 3600
    print(f"{'lasted':<28}{hours:>10.3f} h, {len(run.happened)} faults, {len(world.log_lines)} log lines")
    print(f"{'stalls of the machine':<28}{len(run.stalls.windows):>10}")
    print(f"{'samples':<28}{run.counts['checked']:>10} ({run.counts['checked'] / used['at']:.0f}/s), "
          f"{len(run.faults.get('missing', []))} missing, {sum(map(len, run.faults.values()))} findings")
    print(f"{'commands':<28}{verdict.counts['commands']:>10} ({verdict.counts['commands done']} done)")
    print(f"{'latest timestamp':<28}{run.counts['late_ms']:>10} ms after its reply")
    print(f"{'RSS KiB':<28}{start_usage[0]:>10} -> {end_usage[0]}, {slope:+.0f} an hour")
    print(f"{'descriptors':<28}{start_usage[1]:>10} -> {end_usage[1]}")
    print(f"{'threads':<28}{start_usage[2]:>10} -> {end_usage[2]}")
    print(f"{'CPU':<28}{100 * used['cpu'] / used['at']:>10.2f} %")
    print(f"{'wake-ups':<28}{used['wakes'] / used['at']:>10.0f} /s")
    print(f"{'bytes written':<28}{used['written']:>10} ({used['written'] / hours / 1e6:.2f} MB an hour)")
    # A slope of minutes is noise.
    if hours >= 0.5 and slope > RSS_SLOPE_KB_H:
        run.faults["leak"].append(f"RSS grows by {slope:.0f} KiB an hour")
    if end_usage[1] > start_usage[1] + (STORE_DESCRIPTORS if world.store else 0) or end_usage[2] > start_usage[2]:
        run.faults["leak"].append(f"descriptors, threads: {start_usage[1:]} -> {end_usage[1:]}")
    for kind, found in run.faults.items():
        print(f"{kind}: {len(found)}", *found[:5], sep="\n    ")
    return 1 if run.faults else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--period-ms", type=int, default=1000)
    options = parser.parse_args()
    options.seconds = options.seconds or options.hours * 3600
    folder = tempfile.mkdtemp(prefix="fieldgate-soak-")
    print(f"soak: {options.seconds / 3600:.3f} h, {options.devices} devices, seed {options.seed}")
    try:
        return soak(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
