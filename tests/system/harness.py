"""What the system tests stand on: the real fieldgate, the ThingsBoard bench, the Modbus simulator, each a process of its own.

Everything is awaited by what it says, never by sleeping. Programs are looked for in the build folder ($BUILD, else the current
one). A test file ends with harness.main().
"""

import concurrent.futures
import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sim"))
from instrument import Instrument  # noqa: E402

BUILD = os.path.abspath(os.environ.get("BUILD", "."))
SOURCE = os.path.abspath(os.environ.get("srcdir", os.path.join(os.path.dirname(__file__), "..", "..")))

# Sanitizers and a busy machine make everything slower; only limits that guard against hanging are stretched.
PATIENCE = float(os.environ.get("PATIENCE", "20"))


def program(path):
    """Of the build folder; $FIELDGATE is another fieldgate to test, such as the one that is installed."""
    full = os.path.join(BUILD, path)
    if path == "fieldgate":
        full = os.path.abspath(os.environ.get("FIELDGATE", full))
    if not os.access(full, os.X_OK):
        sys.exit(f"{full} is not built")
    return full


class Lines:
    """The lines that a process prints, taken by a thread, awaited by predicates. What `convert` makes None is not kept."""

    def __init__(self, stream, convert):
        self.seen = []
        self.closed = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, args=(stream, convert), daemon=True)
        self.thread.start()

    def _read(self, stream, convert):
        for line in stream:
            item = convert(line.rstrip("\n"))
            if item is None:
                continue
            with self.changed:
                self.seen.append(item)
                self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def wait(self, predicate, since=0, count=1, timeout=None):
        """The first `count` items from index `since` on for which the predicate holds; one: the item itself."""
        deadline = time.monotonic() + (timeout or PATIENCE)
        found, index = [], since
        with self.changed:
            while True:
                while index < len(self.seen):
                    if predicate(self.seen[index]):
                        found.append(self.seen[index])
                        if len(found) == count:
                            return found[0] if count == 1 else found
                    index += 1
                left = deadline - time.monotonic()
                if left <= 0 or self.closed:
                    tail = "\n".join(str(item)[:300] for item in self.seen[-30:])
                    raise AssertionError(f"{len(found)} of {count} came; the last lines were:\n{tail}")
                self.changed.wait(left)

    def all(self, predicate=lambda item: True, since=0):
        with self.changed:
            return [item for item in self.seen[since:] if predicate(item)]

    def mark(self):
        with self.changed:
            return len(self.seen)


class Simulator:
    """A program that is steered by JSON lines (tests/common/control.h)."""

    def __init__(self, *command, convert=json.loads):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.lines = Lines(self.process.stdout, convert)
        self.asked = 0
        self.ready = self.lines.wait(lambda line: line.get("event") == "ready")

    def ask(self, cmd, **members):
        self.asked += 1
        mine = self.asked
        since = self.lines.mark()
        self.process.stdin.write(json.dumps({"cmd": cmd, "id": mine, **members}) + "\n")
        answer = self.lines.wait(lambda line: line.get("re") == mine, since)
        if not answer.get("ok"):
            raise AssertionError(f"{cmd} {members}: {answer}")
        return answer

    def wait(self, event, since=0, count=1, timeout=None, where=None, **members):
        def matches(line):
            return (
                line.get("event") == event
                and all(line.get(name) == value for name, value in members.items())
                and (where is None or where(line))
            )

        return self.lines.wait(matches, since, count, timeout)

    def events(self, event, since=0, **members):
        """All that it told until now: what happened before this call is in it."""
        self.ask("stats")
        return self.lines.all(
            lambda line: line.get("event") == event
            and all(line.get(name) == value for name, value in members.items()),
            since,
        )

    def mark(self):
        return self.lines.mark()

    def close(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.lines.thread.join(PATIENCE)
        self.process.stdout.close()
        if code != 0:
            raise AssertionError(f"{self.process.args[0]} ended with {code}")


class Bench(Simulator):
    """ThingsBoard."""

    def __init__(self, *arguments, **members):
        super().__init__(program("tests/bench/tbbench"), *arguments, **members)
        self.port = self.ready["port"]

    def device(self, token, **members):
        self.ask("device", token=token, name=token, **members)

    def value(self, token, key, where=lambda value: True, since=0, timeout=None):
        """The first telemetry event from `since` on that carries such a value of the key."""
        return self.wait(
            "telemetry", since, timeout=timeout, token=token, where=lambda e: key in e["values"] and where(e["values"][key])
        )

    def begun_before(self, since, token, field, mark, write):
        """The requests on a bus that began after the gateway had taken the first RPC from `since` on, and before this write."""
        taken = self.wait("rpc_taken", since, token=token)
        return sum(taken["at_us"] < r["at_us"] < write["at_us"] for r in field.events("request", mark))

    def rpc(self, token, method, params=None, timeout=None):
        """Send an RPC and give its reply's payload."""
        since = self.mark()
        number = self.ask("rpc", token=token, method=method, params=params)["rpc"]
        return self.wait("rpc_reply", since, token=token, id=number, timeout=timeout)["payload"]


class Modbus(Simulator):
    """Field devices."""

    def __init__(self, *arguments, **members):
        super().__init__(program("tests/sim/modsim"), *arguments, **members)
        self.tcp = self.ready.get("tcp", [])

    def set(self, table, addr, *values, **members):
        self.ask("set", table=table, addr=addr, values=list(values), **members)

    def get(self, table, addr, count=1, **members):
        return self.ask("get", table=table, addr=addr, count=count, **members)["values"]

    def fault(self, kind, **members):
        self.ask("fault", kind=kind, **members)

    def stats(self, **members):
        return self.ask("stats", **members)


class Fieldgate:
    """The daemon under test."""

    def __init__(self, config, *arguments, env=None, stdin=subprocess.DEVNULL, under=()):
        # It ends with a test that is killed. One that outlives it would open what its links lead to by then, such as the
        # pseudo-terminal of another test.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *under, program("fieldgate"), "run", "-c", config, *arguments],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
        )
        self.log = Lines(self.process.stderr, str)

    def wait_log(self, pattern, since=0, timeout=None):
        return self.log.wait(lambda line: re.search(pattern, line), since, timeout=timeout)

    def logged(self, pattern, since=0):
        return self.log.all(lambda line: re.search(pattern, line), since)

    def stop(self, signal_number=signal.SIGTERM, within=PATIENCE):
        """Ask it to stop; returns how long it took."""
        start = time.monotonic()
        self.process.send_signal(signal_number)
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"did not stop within {within} s; log:\n" + "\n".join(self.log.all()[-30:])) from None
        took = time.monotonic() - start
        self.log.thread.join(PATIENCE)
        self.process.stderr.close()
        if code != 0:
            raise AssertionError(f"fieldgate ended with {code}; log:\n" + "\n".join(self.log.all()[-60:]))
        return took

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Case(unittest.TestCase):
    """A test with a folder of its own, whose processes end with it, in reverse order."""

    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="fieldgate-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.gateways = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def bench(self, *arguments):
        bench = Bench(*arguments)
        self.addCleanup(bench.close)
        return bench

    def modbus(self, *arguments):
        modbus = Modbus(*arguments)
        self.addCleanup(modbus.close)
        return modbus

    def instrument(self, link=None, **members):
        """A serial instrument under the link of that name, or behind a TCP port."""
        instrument = Instrument(self.path(link) if link else None, **members)
        self.addCleanup(instrument.close)
        return instrument

    def fieldgate(self, config, *arguments, env=None, stdin=subprocess.DEVNULL):
        path = self.path("gateway.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        os.chmod(path, 0o600)
        # One after the other they are the same gateway, side by side they are not.
        running = sum(other.process.poll() is None for other in self.gateways)
        state = self.path(f"state-{running}" if running else "state")
        runtime = self.path(f"run-{running}" if running else "run")
        os.makedirs(runtime, exist_ok=True)
        gateway = Fieldgate(
            path,
            *arguments,
            env={"STATE_DIRECTORY": state, "RUNTIME_DIRECTORY": runtime, **(env or {})},
            stdin=stdin,
        )
        gateway.socket = os.path.join(runtime, "control.sock")
        self.gateways.append(gateway)

        def end():
            if gateway.process.poll() is None:
                gateway.stop()

        self.addCleanup(end)
        self.addCleanup(self.show_log, gateway)
        return gateway

    def show_log(self, gateway):
        """The daemon's log belongs to a failure's report."""
        outcome = getattr(self, "_outcome", None)
        result = getattr(outcome, "result", None)
        if result and any(test is self for test, _ in result.failures + result.errors):
            print("\n".join(gateway.log.all()[-80:]), file=sys.stderr)


def server(port, clock_wait_s=0, **settings):
    """A test machine was perhaps booted a moment ago, without NTP: its clock is taken as it is."""
    rest = "".join(f" {name} = {value};" for name, value in settings.items())
    return f'server = {{ host = "127.0.0.1"; port = {port};{rest} }};\nclock = {{ wait_s = {clock_wait_s}; }};\n'


def tcp_bus(name, port, **settings):
    rest = "".join(f" {key} = {value};" for key, value in settings.items())
    return f'{{ name = "{name}"; type = "tcp"; host = "127.0.0.1"; port = {port};{rest} }}'


def rtu_bus(name, path, **settings):
    rest = "".join(f" {key} = {value};" for key, value in settings.items())
    return f'{{ name = "{name}"; type = "rtu"; port = "{path}";{rest} }}'


def serial_bus(name, instrument, **settings):
    """A bus of serial instruments: its port is that of a harness.Instrument."""
    rest = "".join(f" {key} = {value};" for key, value in settings.items())
    if hasattr(instrument.wire, "port"):
        return f'{{ name = "{name}"; type = "serial-tcp"; host = "127.0.0.1"; port = {instrument.port};{rest} }}'
    baud = f" baud = {instrument.baud};" if instrument.baud else ""
    return f'{{ name = "{name}"; type = "serial"; port = "{instrument.wire.link}"; parity = "none";{baud}{rest} }}'


def buses(*items):
    return "buses = ( " + ",\n  ".join(items) + " );\n"


def devices(*items):
    return "devices = ( " + ",\n  ".join(items) + " );\n"


def device(name, bus, points, rpc=(), **settings):
    settings.setdefault("token", f'"{name}"')
    settings.setdefault("facts", "false")
    rest = "".join(f" {key} = {value};" for key, value in settings.items())
    methods = " rpc = ( " + ", ".join("{ " + method + " }" for method in rpc) + " );" if rpc else ""
    listed = ",\n    ".join("{ " + point + " }" for point in points)
    return f'{{ name = "{name}"; bus = "{bus}";{rest} points = (\n    {listed} );{methods} }}'


def need(*tools):
    """Skip the whole file if a program that is not ours is missing."""
    for tool in tools:
        if not shutil.which(tool) and not os.access(f"/usr/sbin/{tool}", os.X_OK):
            print(f"skipped: {tool} is not installed")
            sys.exit(77)


class SideBySide:
    """Runs tests, several at once: each has a folder, a daemon and simulators of its own, and most of the time it waits. What one
    has to say is printed whole, when it has ended."""

    def __init__(self, at_once):
        self.at_once = at_once

    def run(self, suite):
        start = time.monotonic()
        classes = {}  # in the order of the file, with what a class sets up for all its tests
        for test in self._each(suite):
            classes.setdefault(type(test), []).append(test)
        whole = unittest.TestResult()
        for kind in classes:
            kind.setUpClass()
        with concurrent.futures.ThreadPoolExecutor(self.at_once) as pool:
            tests = [test for listed in classes.values() for test in listed]
            for result, printed in pool.map(self._run, tests):
                sys.stderr.write(printed)
                whole.testsRun += result.testsRun
                for outcome in ("failures", "errors", "skipped", "expectedFailures", "unexpectedSuccesses"):
                    getattr(whole, outcome).extend(getattr(result, outcome))
        for kind in classes:
            kind.tearDownClass()
            kind.doClassCleanups()
        failed = len(whole.failures) + len(whole.errors)
        print(f"Ran {whole.testsRun} tests in {time.monotonic() - start:.3f}s, {failed} failed", file=sys.stderr)
        return whole

    def _each(self, suite):
        for item in suite:
            if isinstance(item, unittest.TestSuite):
                yield from self._each(item)
            else:
                yield item

    @staticmethod
    def _run(test):
        text = io.StringIO()
        stream = unittest.runner._WritelnDecorator(text)
        result = unittest.TextTestResult(stream, descriptions=True, verbosity=2)
        start = time.monotonic()
        test.run(result)
        result.printErrors()
        return result, text.getvalue().rstrip("\n") + f" ({time.monotonic() - start:.1f} s)\n"


def main(at_once=1):
    """Run the file's tests. `at_once`: so many side by side, where none of them looks at how busy the machine is."""
    unittest.main(verbosity=2, testRunner=SideBySide(at_once) if at_once > 1 else None)
