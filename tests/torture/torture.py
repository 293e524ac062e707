#!/usr/bin/python3
"""Fault injection: the real daemon between a server, units and a world in which something breaks every second, and a judge who
compares what the units showed with what arrived.

    torture.py [--seconds N] [--seed N] [--devices N] [--api device|gateway] [--plan] [--each] [--only NAME]... [--keep FOLDER]

The seed decides which faults come when. Exits 0 if nothing was lost, invented, mistimed or executed wrongly.
"""

import argparse
import collections
import heapq
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import world as worlds
from checker import FROZEN, Checker, Limits, Window
from derived import Derived
from faults import FAULTS, make_plan, possible

import harness

COMMAND_S = 0.15
RECOVERY_S = 60
LINES_PER_FAULT = 12
FLUSH_MS = 1000 + 500  # flush_after_ms, and what a busy disk takes
STORE_DESCRIPTORS = 3  # the store opens its files when there is something to write
RSS_GROWTH_KB = 4 * 1024
RSS_GROWTH_SANITIZED_KB = 48 * 1024  # a sanitizer keeps what was freed, and much else


def probe(folder):
    """What the program under test can do already."""
    found = set()
    path = f"{folder}/probe.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write('server = { host = "x"; };\n' + f'store = {{ dir = "{folder}"; }};\n'
                   + 'buses = ( { name = "b"; type = "tcp"; host = "127.0.0.1"; } );\n'
                   + 'devices = ( { name = "d"; token = "t"; bus = "b"; points = ( { key = "k"; table = "input"; addr = 0; '
                   + 'type = "uint16"; } ); } );\n')
    check = subprocess.run([harness.program("fieldgate"), "check", "-c", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           check=False)
    if check.returncode == 0:
        found.add("store")
    if "store" in found and os.path.exists(os.path.join(harness.BUILD, worlds.DISK_SHIM)):
        found.add("disk")
    if os.path.exists(os.path.join(harness.BUILD, worlds.CLOCK_SHIM)):
        found.add("clock")
    return found


class Torture:
    def __init__(self, world, plan):
        self.world, self.plan = world, plan
        self.start = time.monotonic()
        self.happened = []
        self.open = []  # heap of (end, number, event)

    def elapsed(self):
        return time.monotonic() - self.start

    def begin(self, event):
        event.start_ms = worlds.now_ms()
        event.fault.begin(self.world, event)
        event.end_ms = worlds.now_ms()
        self.happened.append(event)
        if event.fault.end:
            event.end_ms = float("inf")
            heapq.heappush(self.open, (event.at + event.seconds, len(self.happened), event))

    def finish(self, event):
        before = worlds.now_ms()
        event.fault.end(self.world, event)
        # a process that goes on may have asked something before we look at the clock again
        event.end_ms = before if FROZEN in event.fault.excuses else worlds.now_ms()

    def run(self, seconds):
        """Faults and commands, each at its time, until the end; then everything is made well again."""
        waiting = collections.deque(self.plan)
        next_command = 1.0
        while self.elapsed() < seconds:
            now = self.elapsed()
            if self.open and self.open[0][0] <= now:
                self.finish(heapq.heappop(self.open)[2])
            elif waiting and waiting[0].at <= now:
                self.begin(waiting.popleft())
            elif next_command <= now:
                self.world.command()
                next_command = max(next_command + COMMAND_S, now)
            else:
                due = min([seconds, next_command] + [event.at for event in list(waiting)[:1]] + [end for end, _, _ in self.open[:1]])
                time.sleep(max(0.0, due - self.elapsed()))
            self.watch()
        while self.open:
            self.finish(heapq.heappop(self.open)[2])

    def watch(self):
        """It may only end when it is told to."""
        if not self.world.running() and not any(event.fault.place == "process" for _, _, event in self.open):
            raise RuntimeError(f"the daemon ended with {self.world.gateway.process.poll()}:\n"
                               + "\n".join(self.world.gateway.log.all()[-40:]))


class Stalls:
    """When the machine itself stood still, or was so busy that a thread with nothing to do but look at the clock did not come to it."""

    LOOK_S = 0.05
    LONG_MS = 250

    def __init__(self):
        self.windows = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        before = worlds.now_ms()
        while not self.over.wait(self.LOOK_S):
            now = worlds.now_ms()
            if now - before > self.LONG_MS:
                self.windows.append(Window("stall", before, now, frozenset({FROZEN})))
            before = now

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.windows


def judge(world, happened, stalls, limits, start_usage, end_usage):
    checker = Checker(limits, [world.window(event) for event in happened] + stalls, world.lives, world.steps, world.pauses())
    checker.check_telemetry(world.record.shown, world.record.arrived, {f"{device.name}.w" for device in world.devices},
                            [*world.record.attributes_shown, *world.record.aggregates_shown])
    derived = Derived(checker)
    derived.check_attributes(world.record.attributes_shown, world.record.attributes)
    derived.check_aggregates(world.record.aggregates_shown, world.record.aggregates, world.window_ms())
    verdict = checker.check_commands(world.record.given, world.record.writes)
    for trouble in world.troubles:
        verdict.find("trouble", trouble)
    lines = len(world.log_lines)
    allowed = LINES_PER_FAULT * (len(happened) + 1) + 4 * len(world.devices)
    if lines > allowed:
        verdict.find("log", f"{lines} lines, more than {allowed}")
    if end_usage[1] > start_usage[1] + (STORE_DESCRIPTORS if world.store else 0) or end_usage[2] > start_usage[2]:
        verdict.find("leak", f"descriptors {start_usage[1]} -> {end_usage[1]}, threads {start_usage[2]} -> {end_usage[2]}")
    if end_usage[0] - start_usage[0] > (RSS_GROWTH_SANITIZED_KB if world.is_sanitized() else RSS_GROWTH_KB):
        verdict.find("leak", f"RSS {start_usage[0]} -> {end_usage[0]} KiB")
    return verdict


def report(world, happened, stalled, verdict, start_usage, end_usage):
    counts = verdict.counts
    kinds = collections.Counter(event.fault.name for event in happened)
    print(f"\n{'faults survived':<28}{len(happened):>8}")
    for fault in FAULTS:
        if kinds[fault.name]:
            print(f"    {fault.name:<24}{kinds[fault.name]:>8}")
    print(f"{'stalls of the machine':<28}{len(stalled):>8}")
    print(f"{'samples shown':<28}{counts['shown']:>8}")
    for name in sorted(name for name in counts if name.startswith("excused")):
        print(f"    {name:<24}{counts[name]:>8}")
    print(f"{'samples checked':<28}{counts['checked']:>8}")
    for name in ("missing", "invented", "wrong time", "order", "repeated"):
        what = {"wrong time": "with a wrong time", "order": "out of order", "repeated": "repeated without reason"}.get(name, name)
        print(f"    {what:<24}{len(verdict.faults.get(name, [])):>8}")
    print(f"{'sent again, identical':<28}{counts['repeated']:>8}")
    print(f"{'attributes told':<28}{counts['attributes']:>8}")
    print(f"    {'invented, old or missing':<24}{len(verdict.faults.get('attribute', [])):>8}")
    print(f"{'windows aggregated':<28}{counts['aggregates']:>8} (of {counts['aggregated']} values)")
    print(f"    {'that are not so':<24}{len(verdict.faults.get('aggregate', [])):>8}")
    print(f"{'latest timestamp':<28}{counts['late_ms']:>8} ms after its reply")
    print(f"{'commands':<28}{counts['commands']:>8} ({counts['commands answered']} answered, {counts['commands done']} done)")
    print(f"    {'not known after a restart':<24}{counts['commands not known']:>8}")
    print(f"    {'with a wrong outcome':<24}{len(verdict.faults.get('command', [])):>8}")
    print(f"{'log lines':<28}{len(world.log_lines):>8}")
    for index, name in enumerate(("RSS KiB", "descriptors", "threads")):
        print(f"{name:<28}{start_usage[index]:>8} -> {end_usage[index]}")


def torture(options, folder):
    capabilities = probe(folder)
    world = worlds.World(folder, options.devices, options.seed, capabilities, api=options.api)
    faults = possible(capabilities, {bus.kind for bus in world.buses})
    if options.only:
        faults = [fault for fault in faults if any(name in fault.name for name in options.only)]
    plan = make_plan(random.Random(options.seed), options.seconds, world.buses, world.tokens(), faults, each=options.each)
    if options.plan:
        print("\n".join(str(event) for event in plan))
        return 0
    limits = Limits(flush_ms=FLUSH_MS if world.store else None, rpc_ms=worlds.RPC_TIMEOUT_MS)
    stalls = Stalls()
    try:
        world.open()
        world.start()
        late = world.wait_recovered(harness.PATIENCE)
        if late:
            raise RuntimeError("before any fault nothing came of " + ", ".join(late))
        start_usage = world.usage()
        run = Torture(world, plan)
        run.run(options.seconds)
        late = world.wait_recovered(RECOVERY_S)
        world.troubles += [f"{name} did not come back in {RECOVERY_S} s" for name in late]
        world.wait_answered(worlds.now_ms() - limits.waits_ms, limits.answer_ms / 1000 + 1)
        end_usage = world.usage()
        world.stop()
        world.bench.ask("stats")
        world.field.ask("stats")
        stalled = stalls.stop()
        verdict = judge(world, run.happened, stalled, limits, start_usage, end_usage)
        report(world, run.happened, stalled, verdict, start_usage, end_usage)
    finally:
        world.close()
    if options.keep:
        keep(options.keep, world, run, stalled)
    if verdict:
        return 0
    print("\nFAILED")
    print("\n".join(verdict.lines()))
    print(f"\nThe same again: make torture SECONDS={options.seconds:g} SEED={options.seed} DEVICES={options.devices} API={options.api}")
    return 1


def keep(folder, world, run, stalled):
    """Everything that was seen, for looking into it."""
    os.makedirs(folder, exist_ok=True)

    def write(name, lines):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)

    write("log", world.log_lines)
    write("faults", (f"{event.start_ms:.0f}..{event.end_ms:.0f} {event}" for event in run.happened))
    write("shown", world.record.shown)
    write("arrived", world.record.arrived)
    write("attributes-shown", world.record.attributes_shown)
    write("attributes", world.record.attributes)
    write("aggregates-shown", world.record.aggregates_shown)
    write("aggregates", world.record.aggregates)
    write("writes", world.record.writes)
    write("commands", world.record.given)
    write("lives", world.lives)
    write("stalls", stalled)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10000))
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--api", choices=("device", "gateway"), help="by default one seed of four has the gateway's")
    parser.add_argument("--plan", action="store_true", help="print the faults of this seed and end")
    parser.add_argument("--only", action="append", help="faults whose name has this in it")
    parser.add_argument("--each", action="store_true", help="each fault once before any comes again")
    parser.add_argument("--keep", metavar="FOLDER", help="write there what was seen")
    options = parser.parse_args()
    options.api = options.api or ("gateway" if options.seed % 4 == 3 else "device")
    folder = tempfile.mkdtemp(prefix="fieldgate-torture-")
    print(f"torture: {options.seconds:g} s, seed {options.seed}, {options.devices} devices, {options.api} API")
    try:
        return torture(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
