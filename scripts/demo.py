"""The demo itself; scripts/demo builds what it needs and starts it."""

import argparse
import collections
import json
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "system"))
import harness  # noqa: E402: found by the line above

FOLDER = "/tmp/fieldgate-demo"
NAMES = {"DEMO-BOILER": "Boiler", "DEMO-PUMP": "Pump", "DEMO-METER-1": "Meter 1", "DEMO-METER-2": "Meter 2"}
PLC, METERS = 0, 1


def say(text="", colour=None):
    if colour and sys.stdout.isatty():
        text = f"\033[{colour}m{text}\033[0m"
    print(text, flush=True)


def prepare(field):
    """Units that move: a boiler and a pump on TCP, two meters on RTU."""

    def boiler(command, **members):
        field.ask(command, bus=PLC, unit=1, **members)

    boiler("move", table="input", addr=0, kind="float_sine", low=19.0, high=24.0, period_ms=20000)
    boiler("move", table="coil", addr=3, kind="toggle", period_ms=5000)
    boiler("set", table="holding", addr=9, values=[1, 205])
    serial = b"BX-204711".ljust(16, b"\0")
    boiler("set", table="holding", addr=100, values=[serial[n] << 8 | serial[n + 1] for n in range(0, 16, 2)])
    field.ask("move", bus=PLC, unit=2, table="input", addr=0, kind="ramp", low=1380, high=1470, period_ms=15000)
    field.ask("move", bus=PLC, unit=2, table="input", addr=2, kind="counter32", period_ms=3000, low=8100, high=9000)
    for unit, energy in ((1, 8), (2, 6)):

        def meter(addr, kind, low, high, period_ms, unit=unit):
            field.ask("move", bus=METERS, unit=unit, table="input", addr=addr, kind=kind, low=low, high=high, period_ms=period_ms)

        meter(0, "sine", 2270, 2330, 9000 + 2000 * unit)
        meter(2, "float_sine", 4, 11, 7000 + 3000 * unit)
        meter(5, "sine", 900, 2500, 7000 + 3000 * unit)
        meter(energy, "counter32", 120000 * unit, 200000 * unit, 400)


def show(event, counts):
    name = NAMES.get(event["token"], event["token"])
    counts[name, event["event"]] += 1
    stamp = time.strftime("%H:%M:%S", time.localtime(event["at"] / 1000)) + f".{event['at'] % 1000:03d}"
    kind = "attributes  " if event["event"] == "attributes" else ""
    texts = event.get("text", {})
    values = "  ".join(f"{key} {texts.get(key, json.dumps(value))}" for key, value in event["values"].items())
    say(f"  {stamp}  {name:<8} {kind}{values}")


def change_setpoint(tb, field):
    """An RPC, the register that it changes, its reply and the telemetry that follows. Returns what did not happen."""
    before = field.get("holding", 10, bus=PLC, unit=1)[0]
    wanted = 23.5 if before != 235 else 20.5
    since, writes = tb.mark(), field.mark()
    say(f"\n  ThingsBoard sends the RPC setSetpoint({wanted}) to Boiler", "1;36")
    start = time.monotonic()
    reply = tb.rpc("DEMO-BOILER", "setSetpoint", wanted)
    took = (time.monotonic() - start) * 1000
    write = field.wait("write", writes)
    after = field.get("holding", 10, bus=PLC, unit=1)[0]
    say(f"  the unit     holding register 10: {before} -> {after} (function {write['function']})", "36")
    say(f"  the reply    {json.dumps(reply)} after {took:.1f} ms", "36")
    event = tb.value("DEMO-BOILER", "setpoint", lambda value: value == wanted, since)
    say(f"  telemetry    setpoint {event['values']['setpoint']}\n", "36")
    return [] if reply == {"value": wanted} and after == round(wanted * 10) else ["the RPC did not do what it promised"]


class Demo:
    def __init__(self, arguments):
        self.arguments = arguments
        self.counts = collections.Counter()
        self.shown = 0
        os.makedirs(FOLDER, exist_ok=True)
        self.tb = harness.Bench("--any-token", "--port", "18830")
        self.field = harness.Modbus("--tcp", "15020", "--rtu", f"{FOLDER}/meters", "--baud", "19200", "--unit", "1", "--unit", "2")
        prepare(self.field)
        self.gateway = harness.Fieldgate(arguments.config, env={"STATE_DIRECTORY": f"{FOLDER}/state"})

    def show_new(self):
        for event in self.tb.lines.all(since=self.shown):
            self.shown += 1
            if event.get("event") in ("telemetry", "attributes"):
                show(event, self.counts)

    def show_until(self, deadline):
        while time.monotonic() < deadline:
            if self.gateway.process.poll() is not None:
                raise AssertionError("fieldgate ended:\n" + "\n".join(self.gateway.log.all()))
            with self.tb.lines.changed:
                if len(self.tb.lines.seen) == self.shown:
                    self.tb.lines.changed.wait(min(0.5, max(0, deadline - time.monotonic())))
            self.show_new()

    def introduce(self):
        say("\n  ThingsBoard bench   MQTT on 127.0.0.1:18830")
        say("  Modbus TCP          127.0.0.1:15020, unit 1 a boiler, unit 2 a pump")
        say(f"  Modbus RTU          {FOLDER}/meters, 19200 baud, units 1 and 2 meters")
        say(f"  the gateway         fieldgate run -c {os.path.relpath(self.arguments.config)}\n")
        say("What arrives at ThingsBoard:", "1")

    def run(self):
        self.introduce()
        start = time.monotonic()
        for token in NAMES:
            self.tb.wait("telemetry", token=token)
        self.show_until(start + self.arguments.seconds * 0.4)
        missing = change_setpoint(self.tb, self.field)
        self.shown = self.tb.mark() if not missing else self.shown
        self.show_until(start + self.arguments.seconds)
        if self.arguments.keep:
            self.keep()
        return missing

    def keep(self):
        say("\nRunning until Ctrl-C. Edit the configuration and start another gateway on it, or stop this one first:", "1")
        say(f"  {harness.program('fieldgate')} run -c conf/demo.conf   (this one has the process id {self.gateway.process.pid})")
        try:
            self.show_until(float("inf"))
        except KeyboardInterrupt:
            pass

    def close(self):
        took = self.gateway.stop() if self.gateway.process.poll() is None else 0
        self.tb.close()
        self.field.close()
        return took


def summary(demo, missing, took):
    say("\nIn short:", "1")
    for name in NAMES.values():
        telemetry, attributes = demo.counts[name, "telemetry"], demo.counts[name, "attributes"]
        say(f"  {name:<8} {telemetry} telemetry messages" + (f", {attributes} of attributes" if attributes else ""))
        if telemetry == 0:
            missing.append(f"nothing was shown of {name}")
    if demo.counts["Boiler", "attributes"] == 0:
        missing.append("no attribute of Boiler arrived")
    say(f"  the gateway stopped {took:.1f} s after it was asked to")
    for line in demo.gateway.logged(r"^<[34]>"):
        say(f"  its log: {line}")
    for what in missing:
        say(f"  NOT AS PROMISED: {what}", "1;31")
    if not missing:
        say("  Everything that was promised happened.", "1;32")
    return 1 if missing else 0


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo", description="Shows Fieldgate at work on this machine alone.")
    parser.add_argument("--seconds", type=float, default=15, help="how long to show (default 15)")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--config", default=os.path.join(harness.SOURCE, "conf", "demo.conf"), help="default conf/demo.conf")
    demo = Demo(parser.parse_args())
    try:
        missing = demo.run()
    except AssertionError as failure:
        missing = [str(failure)]
    return summary(demo, missing, demo.close())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
