"""A small plant: ThingsBoard, buses with units that count how often they are read, the daemon between them; and who writes down
what each of them says."""

import collections
import contextlib
import dataclasses
import functools
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import harness
from checker import Arrived, Command, Life, Shown, Window, Write
from derived import AGGREGATES
from scale import ASK, PATTERN, Scale

UNITS_PER_TCP_BUS = 5
UNITS_PER_LINE = 2
DISK_SHIM = "tests/torture/diskfault.so"
CLOCK_SHIM = "tests/system/clockshift.so"
SLOW = 160  # registers that are read half as often as the others, too far away to share a request with them
WRITTEN = 100  # the register that commands write
ATTRIBUTE = 320  # goes up as a client attribute
AGGREGATED = 480  # goes up as what it was over a while
CELLS = 500
SCALE = "S001"  # the device of the serial instrument
GATEWAY_TOKEN = "G"  # of the one session that speaks for all, where that is so
TIMEOUT_MS = {"tcp": 1000, "rtu": 600, "rtu-over-tcp": 1000, "serial": 800}
RPC_TIMEOUT_MS = 1500


def _epoch_ms():
    """What the monotonic clock has to be given to show the time of day."""
    pairs = []
    for _ in range(10):
        before = time.monotonic()
        wall = time.time()
        pairs.append((time.monotonic() - before, 1000 * (wall - before)))
    return min(pairs)[1]


EPOCH_MS = _epoch_ms()


def from_mono(at_us):
    """The moment of an event, which each of our processes takes from the one monotonic clock: what caused another is not after it,
    not by a microsecond."""
    return EPOCH_MS + at_us / 1000


def now_ms():
    return EPOCH_MS + 1000 * time.monotonic()


@dataclasses.dataclass
class Bus:
    number: int
    name: str
    kind: str
    units: list


@dataclasses.dataclass
class Device:
    name: str
    bus: Bus
    unit: int


def lay_out(count, lines=True):
    """Buses and devices: some on lines, most on TCP."""
    buses, left = [], count
    kinds = ["rtu", "rtu", "rtu-over-tcp"] if lines and count >= 4 else []
    while left > 0:
        kind = kinds.pop() if kinds and left > UNITS_PER_LINE else "tcp"
        units = min(left, UNITS_PER_TCP_BUS if kind == "tcp" else UNITS_PER_LINE)
        buses.append(Bus(0, "", kind, list(range(1, units + 1))))
        left -= units
    # numbered as the simulator numbers them: in the order of its command line
    for number, bus in enumerate(buses):
        bus.number, bus.name = number, f"b{number}"
    names = (f"D{number:03d}" for number in range(1, count + 1))
    return buses, [Device(next(names), bus, unit) for bus in buses for unit in bus.units]


class Record:
    """What was shown and what arrived, taken from the events as they come, by the readers' threads."""

    def __init__(self, devices):
        self.by_unit = {(device.bus.number, device.unit): device for device in devices}
        self.shown, self.arrived, self.writes = [], [], []
        self.attributes_shown, self.attributes = [], []  # the same of points that are client attributes
        self.aggregates_shown, self.aggregates = [], []  # and of those that are aggregated
        self.asking = None  # the command that is being handed to the server
        self.commands = {}  # (token, rpc id): the newest, for a server that restarts begins with its ids anew
        self.given = []
        self.subscribed = collections.defaultdict(list)
        self.newest_shown, self.newest_arrived = {}, {}  # of "n" and of "a", by device and key

    def from_field(self, line):
        event = json.loads(line)
        kind = event.get("event")
        if kind == "shown":
            self._shown(event)
        elif kind == "write":
            high, low = event["values"]
            self.writes.append(Write(event["bus"], event["unit"], high << 16 | low, from_mono(event["at_us"]), event["executed"]))
        else:
            return event
        return None

    def _shown(self, event):
        device = self.by_unit[event["bus"], event["unit"]]
        keys = {0: ["n", "k"], SLOW: ["m"], WRITTEN: ["w"], ATTRIBUTE: ["a"], AGGREGATED: ["g"]}[event["addr"]]
        kept = {ATTRIBUTE: self.attributes_shown, AGGREGATED: self.aggregates_shown}.get(event["addr"], self.shown)
        asked, at = from_mono(event["asked_us"]), from_mono(event["at_us"])
        request = (event["bus"], event["asked_us"], event["at_us"])
        words = event["read"]
        for index, key in enumerate(keys):
            value = words[2 * index] << 16 | words[2 * index + 1]
            if key in "na":
                self.newest_shown[device.name, key] = value
            kept.append(Shown(f"{device.name}.{key}", value, asked, at, event["bus"], event["outcome"], request))

    def from_bench(self, line):
        event = json.loads(line)
        kind = event.get("event")
        if kind == "telemetry":
            self._telemetry(event)
        elif kind == "attributes":
            self._attributes(event)
        elif kind == "rpc_reply":
            command = self.commands.get((device_of(event), event["id"]))
            if command:
                command.replies.append((event["payload"], from_mono(event["at_us"])))
        elif kind in ("subscribe", "gateway_connect"):
            self.subscribed[device_of(event)].append(from_mono(event["at_us"]))
        else:
            # Here and not where the question was asked: the reply may be the next line.
            if "rpc" in event:
                self.commands[self.asking.device, event["rpc"]] = self.asking
                self.asking.asked = from_mono(event["at_us"])
            return event
        return None

    def _telemetry(self, event):
        name, at = device_of(event), from_mono(event["at_us"])
        if name == GATEWAY_TOKEN:
            return  # it speaks of itself
        for key, value in event["values"].items():
            kept = self.aggregates if key.startswith("g_") else self.arrived
            kept.append(Arrived(f"{name}.{key}", value, event["ts"], at, event["session"]))
            if key in "nv":
                self.newest_arrived[name, key] = value

    def from_scale(self, bus, value, asked_s, at_s, outcome):
        asked, at = from_mono(1e6 * asked_s), from_mono(1e6 * at_s)
        self.newest_shown[SCALE, "v"] = value
        self.shown.append(Shown(f"{SCALE}.v", value, asked, at, bus, outcome, (bus, value)))

    def _attributes(self, event):
        if "a" not in event["values"]:
            return
        name, value = device_of(event), event["values"]["a"]
        self.attributes.append(Arrived(f"{name}.a", value, None, from_mono(event["at_us"]), event["session"]))
        self.newest_arrived[name, "a"] = value


def device_of(event):
    """Its name. Where one session speaks for all it is beside the session's token, else the token is the device's name."""
    return event.get("device") or event["token"]


class World:
    def __init__(self, folder, devices, seed, capabilities=(), period_ms=250, mild=False, api="device"):
        self.folder, self.store = folder, "store" in capabilities
        self.gateway_api, self.derives = api == "gateway", not mild
        self.rng = random.Random(seed ^ 0xC0FFEE)  # not the plan's: commands are drawn as time permits
        self.buses, self.devices = lay_out(devices, lines=not mild)
        self.scale_bus = self.scale = None
        if self.derives:
            self.scale_bus = Bus(len(self.buses), "scale", "serial", [1])
            self.buses.append(self.scale_bus)
        self.period_ms = period_ms
        self.env = {"ASAN_OPTIONS": "quarantine_size_mb=2:malloc_context_size=6:verify_asan_link_order=0",
                    "RUNTIME_DIRECTORY": os.path.join(folder, "run")}
        self.disk = os.path.join(folder, "disk") if "disk" in capabilities else None
        self.clock = os.path.join(folder, "clock") if "clock" in capabilities else None
        self.record = Record(self.devices)
        self.lives, self.log_lines, self.troubles = [], [], []
        self.steps = []  # of the daemon's clock
        self.gateway = None
        self.next_value = 1
        self.bench = self.field = None

    # ---- the parts ----

    def open(self):
        self.bench = harness.Bench("--any-token", convert=self.record.from_bench)
        if self.gateway_api:
            self.bench.ask("device", token=GATEWAY_TOKEN, name="gateway", gateway=True)
        arguments, units = [], set()
        for bus in self.buses:
            if bus.kind == "serial":
                self.scale = Scale(self.line(bus), functools.partial(self.record.from_scale, bus.number))
                continue
            units.update(bus.units)
            if bus.kind == "tcp":
                arguments += ["--tcp", "0"]
            elif bus.kind == "rtu":
                arguments += ["--rtu", self.line(bus), "--baud", "57600"]
            else:
                arguments += ["--rtu-tcp", "0"]
        for unit in sorted(units):
            arguments += ["--unit", str(unit)]
        self.field = harness.Modbus(*arguments, "--log", "shown", convert=self.record.from_field)
        for device in self.devices:
            self.field.ask("unit", bus=device.bus.number, unit=device.unit, size=CELLS)
            for addr in (0, 2, SLOW, ATTRIBUTE, AGGREGATED):
                self.field.ask("move", bus=device.bus.number, unit=device.unit, table="input", addr=addr, kind="reads32")
        self.write_configuration()
        os.makedirs(self.env["RUNTIME_DIRECTORY"], exist_ok=True)
        shims = []
        if self.store:
            os.makedirs(self.store_folder(), exist_ok=True)
        if self.clock:
            self.show_clock(0)
            shims.append(CLOCK_SHIM)
            self.env.update(CLOCKSHIFT=self.clock)
        if self.disk:
            self.break_disk(0)
            shims.append(DISK_SHIM)
            self.env.update(DISKFAULT=self.disk, DISKFAULT_DIR=self.store_folder())
        self.env.update(LD_PRELOAD=":".join(os.path.join(harness.BUILD, shim) for shim in shims))

    def write_configuration(self):
        self.config = os.path.join(self.folder, "gateway.conf")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(self.configuration())
        os.chmod(self.config, 0o600)

    def line(self, bus):
        return os.path.join(self.folder, bus.name)

    def store_folder(self):
        return os.path.join(self.folder, "store")

    def configuration(self):
        ports = {"tcp": list(self.field.ready["tcp"]), "rtu-over-tcp": list(self.field.ready["rtu_tcp"])}
        listed = []
        for bus in self.buses:
            timeout_ms = TIMEOUT_MS[bus.kind]
            if bus.kind == "serial":
                listed.append(harness.serial_bus(bus.name, self.scale, timeout_ms=timeout_ms))
            elif bus.kind == "rtu":
                listed.append(harness.rtu_bus(bus.name, self.line(bus), baud=57600, parity='"none"', timeout_ms=timeout_ms))
            else:
                listed.append(harness.tcp_bus(bus.name, ports[bus.kind].pop(0), timeout_ms=timeout_ms)
                              .replace('"tcp"', f'"{bus.kind}"'))
        # "n" and "k" share a request and a row; "w" is read after each write
        points = [
            'key = "n"; table = "input"; addr = 0; type = "uint32"',
            'key = "k"; table = "input"; addr = 2; type = "uint32"',
            f'key = "m"; table = "input"; addr = {SLOW}; type = "uint32"; period_ms = {2 * self.period_ms}',
            f'key = "w"; table = "holding"; addr = {WRITTEN}; type = "uint32"; writable = true; period_ms = {max(10000, self.period_ms)}',
        ]
        if self.derives:
            aggregates = ", ".join(f'"{name}"' for name in AGGREGATES)
            points += [
                f'key = "a"; table = "input"; addr = {ATTRIBUTE}; type = "uint32"; kind = "attribute"; period_ms = {4 * self.period_ms}',
                f'key = "g"; table = "input"; addr = {AGGREGATED}; type = "uint32"; period_ms = {2 * self.period_ms};'
                f" aggregate = ( {aggregates} ); window_ms = {self.window_ms()}",
            ]
        settings = {"api": '"gateway"'} if self.gateway_api else {}
        store = f'store = {{ dir = "{self.store_folder()}"; }};\n' if self.store else "store = { memory_mb = 64; };\n"
        return (
            harness.server(self.bench.port, keepalive_s=10, connect_timeout_ms=2000, reconnect_min_ms=100, reconnect_max_ms=2000,
                           rpc_timeout_ms=RPC_TIMEOUT_MS, ack_timeout_ms=2000, **settings)
            + (f'gateway = {{ token = "{GATEWAY_TOKEN}"; }};\n' if self.gateway_api else "")
            + store + harness.buses(*listed) + harness.devices(*self.listed_devices(points))
        )

    def listed_devices(self, points):
        listed = [self.listed_device(device, points) for device in self.devices]
        if self.scale:
            scale = Device(SCALE, self.scale_bus, 1)
            listed.append(self.listed_device(scale, [f'key = "v"; pattern = "{PATTERN}"'], f'( {{ send = "{ASK}\\r\\n"; frame = true; }} )'))
        return listed

    def listed_device(self, device, points, poll=None):
        settings = {"poll": poll, "period_ms": 2 * self.period_ms} if poll else {"unit": device.unit, "period_ms": self.period_ms}
        text = harness.device(device.name, device.bus.name, points, **settings)
        return text.replace(f' token = "{device.name}";', "") if self.gateway_api else text

    def pauses(self):
        """How long a unit is left alone after a failure: two timeouts, on a line without transaction ids."""
        return {bus.number: 2 * TIMEOUT_MS[bus.kind] for bus in self.buses if bus.kind in ("rtu", "rtu-over-tcp")}

    def window_ms(self):
        """Of what is aggregated."""
        return 8 * self.period_ms

    def token(self, device):
        """By which the server knows it."""
        return f"{GATEWAY_TOKEN}/{device.name}" if self.gateway_api else device.name

    def tokens(self):
        """Of the sessions."""
        return [GATEWAY_TOKEN] if self.gateway_api else [device.name for device in self.devices] + [SCALE] * bool(self.scale_bus)

    def close(self):
        if self.gateway and self.gateway.process.poll() is None:
            self.gateway.process.send_signal(signal.SIGCONT)
            self.gateway.process.kill()
        for part in (self.scale, self.field, self.bench):
            if part:
                with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                    part.close()

    # ---- the process ----

    def start(self):
        self.lives.append(Life(start=now_ms()))
        self.gateway = harness.Fieldgate(self.config, env=self.env)

    def running(self):
        return self.gateway.process.poll() is None

    def tell(self, number):
        self.gateway.process.send_signal(number)

    def gone(self, how, expected):
        """The process has ended: write down when it was seen to be gone."""
        try:
            code = self.gateway.process.wait(harness.PATIENCE)
        except subprocess.TimeoutExpired:
            self.troubles.append(f"the daemon did not end within {harness.PATIENCE} s of {how}")
            self.gateway.process.kill()
            code = self.gateway.process.wait()
        self.lives[-1].end, self.lives[-1].how = now_ms(), how
        self.gateway.log.thread.join(harness.PATIENCE)
        self.gateway.process.stderr.close()
        self.log_lines += self.gateway.log.all()
        if code != expected:
            self.troubles.append(f"the daemon ended with {code} on {how}")

    def kill(self):
        self.gateway.process.kill()
        self.gone("kill", -signal.SIGKILL)

    def start_again(self, how):
        if how == "term":
            self.gone("term", 0)
        self.start()

    def stop(self):
        self.tell(signal.SIGTERM)
        self.gone("term", 0)

    def kill_and_damage(self, number):
        """Overwrite a piece of each file of the store, or cut it."""
        self.kill()
        self.lives[-1].how = "damage"
        rng = random.Random(number)
        for name in sorted(os.listdir(self.store_folder())):
            path = os.path.join(self.store_folder(), name)
            if not os.path.isfile(path) or name.endswith("-shm"):
                continue
            size = os.path.getsize(path)
            with open(path, "r+b") as file:
                if rng.random() < 0.3:
                    file.truncate(rng.randrange(size + 1))
                elif size:
                    file.seek(rng.randrange(size) if rng.random() < 0.7 else 0)
                    file.write(rng.randbytes(min(4096, size)))

    def show_clock(self, offset_ms):
        """To tests/system/clockshift.c: offset of the wall clock, of the time since the boot, and that NTP keeps it."""
        with open(self.clock, "r+b" if os.path.exists(self.clock) else "wb") as file:
            file.write(struct.pack("=qqq", offset_ms, 0, 1))

    def step_clock(self, number):
        """By minutes or hours, forward or back, never to the same offset twice."""
        offset_ms = (number % 21 - 10) * 600000 + 7000 * (len(self.steps) + 1)
        self.steps.append((now_ms(), offset_ms))
        self.show_clock(offset_ms)

    def break_disk(self, error):
        """To diskfault.c: what every write to the store fails with."""
        with open(self.disk, "r+b" if os.path.exists(self.disk) else "wb") as file:
            file.write(struct.pack("=i", error))

    # ---- what it uses ----

    def usage(self):
        """Resident KiB, descriptors, threads of the daemon."""
        pid = self.gateway.process.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        return resident, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))

    def is_sanitized(self):
        with open(harness.program("fieldgate"), "rb") as file:
            program = file.read()
        return b"libasan.so" in program or b"libtsan.so" in program or b"__asan_init" in program or b"__tsan_init" in program

    # ---- commands ----

    def command(self):
        """Send one, with a value that nobody else writes; its reply is matched when it comes."""
        device = self.rng.choice(self.devices)
        command = Command(device.name, device.bus.number, device.unit, self.next_value, now_ms(),
                          self.record.subscribed[device.name])
        self.next_value += 1
        self.record.asking = command
        self.bench.ask("rpc", token=self.token(device), method="set", params={"key": "w", "value": command.value}, timeout_ms=20000)
        self.record.given.append(command)

    # ---- waiting ----

    def wait_recovered(self, timeout_s):
        """Until each device has delivered something that its unit showed after now. Returns those that did not."""
        before, deadline = dict(self.record.newest_shown), time.monotonic() + timeout_s
        arrived = self.record.newest_arrived
        watched = [(device.name, key) for device in self.devices for key in ("na" if self.derives else "n")]
        watched += [(SCALE, "v")] if self.scale else []
        while True:
            waiting = sorted({name for name, key in watched if arrived.get((name, key), 0) <= before.get((name, key), 0)})
            if not waiting or time.monotonic() > deadline or not self.running():
                return waiting
            time.sleep(0.05)

    def wait_answered(self, since_ms, timeout_s):
        """Until there is a reply to each command that was asked for since then. What has none then the judge looks into."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and any(not c.replies for c in self.record.given if c.asked >= since_ms):
            time.sleep(0.05)

    def window(self, event):
        buses = frozenset({event.target[0]}) if event.fault.place == "field" else None
        return Window(event.fault.name, event.start_ms, event.end_ms, event.fault.excuses, buses)
