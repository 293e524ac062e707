#!/usr/bin/python3
"""The simulator under masters that are not ours: mbpoll, pymodbus, and bytes written by hand.

The binary is $MODSIM or ./tests/sim/modsim. Exit 77 (skipped) without the binary, mbpoll or pymodbus.
"""

import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import tty
import unittest

MODSIM = os.environ.get("MODSIM", "./tests/sim/modsim")
PATIENCE_S = 5.0        # for what must happen; reached only when something is broken
QUIET_S = 0.15          # for what must not happen


def crc(data):
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def rtu(unit, *pdu):
    frame = bytes([unit, *pdu])
    return frame + crc(frame)


def mbap(transaction, unit, *pdu):
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + bytes(pdu)


READ_1 = (3, 0, 0, 0, 1)
ZERO_1 = (3, 2, 0, 0)


class Sim:
    """A running simulator, steered over its standard input."""

    def __init__(self, *args):
        self.process = subprocess.Popen([MODSIM, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pending = b""
        self.events = []
        self.last_id = 0
        self.ready = self.event("ready")

    def line(self):
        deadline = time.monotonic() + PATIENCE_S
        while b"\n" not in self.pending:
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError("the simulator says nothing")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise AssertionError("the simulator has ended")
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def event(self, name):
        for i, event in enumerate(self.events):
            if event["event"] == name:
                return self.events.pop(i)
        while True:
            event = self.line()
            if event.get("event") == name:
                return event
            self.events.append(event)

    def ask(self, cmd, **members):
        self.last_id += 1
        self.process.stdin.write(json.dumps({"cmd": cmd, "id": self.last_id, **members}).encode() + b"\n")
        while True:
            answer = self.line()
            if answer.get("re") == self.last_id:
                return answer
            self.events.append(answer)

    def do(self, cmd, **members):
        answer = self.ask(cmd, **members)
        if not answer["ok"]:
            raise AssertionError(f"{cmd} {members}: {answer['error']}")
        return answer

    def outcomes(self, count):
        return [request["outcome"] for request in self.do("requests", last=count)["requests"]]

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        return status


class Case(unittest.TestCase):
    ARGS = ()

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="modsim-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.link = os.path.join(self.dir, "line")
        self.sim = Sim(*[arg.replace("LINK", self.link) for arg in self.ARGS])
        self.addCleanup(self.check_end)

    def check_end(self):
        self.assertEqual(self.sim.stop(), 0)
        self.assertFalse(os.path.lexists(self.link))

    def port(self, kind="tcp"):
        return self.sim.ready[kind][0]

    def connect(self, kind="tcp"):
        connection = socket.create_connection(("127.0.0.1", self.port(kind)), PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(connection.close)
        return connection

    def receive(self, connection, count):
        data = b""
        while len(data) < count:
            got = connection.recv(count - len(data))
            if not got:
                break
            data += got
        return data

    def silent(self, fd, seconds=QUIET_S):
        return not select.select([fd], [], [], seconds)[0]


class Port:
    """The master's end of a line, opened as a program opens a serial port."""

    def __init__(self, link, speed=termios.B9600):
        self.fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        settings = termios.tcgetattr(self.fd)
        settings[4] = settings[5] = speed
        termios.tcsetattr(self.fd, termios.TCSANOW, settings)

    def send(self, data):
        os.write(self.fd, data)

    def receive(self, count, seconds=PATIENCE_S):
        """Up to `count` bytes, and when each piece came."""
        data = b""
        deadline = time.monotonic() + seconds
        while len(data) < count and select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
            data += os.read(self.fd, count - len(data))
        return data

    def close(self):
        os.close(self.fd)


def mbpoll(*args):
    return subprocess.run(["mbpoll", "-1", "-q", *args], capture_output=True, text=True, timeout=PATIENCE_S)


class TcpTest(Case):
    ARGS = ("--tcp", "0", "--unit", "0", "--unit", "2", "--unit", "255")

    def exchange(self, request, expected):
        connection = self.connect()
        connection.sendall(request)
        self.assertEqual(self.receive(connection, len(expected)), expected)
        return connection

    def fault(self, kind, **members):
        self.sim.do("fault", kind=kind, count=1, **members)

    def test_mbpoll(self):
        self.sim.do("set", table="holding", addr=9, values=[4711, 65535])
        got = mbpoll("-m", "tcp", "-p", str(self.port()), "-a", "1", "-r", "10", "-c", "2", "127.0.0.1")
        self.assertIn("[10]: \t4711", got.stdout)
        self.assertIn("[11]: \t65535", got.stdout)
        got = mbpoll("-m", "tcp", "-p", str(self.port()), "-a", "2", "-r", "1", "127.0.0.1", "--", "12", "13")
        self.assertEqual(got.returncode, 0, got.stderr)
        write = self.sim.event("write")
        self.assertEqual((write["unit"], write["function"], write["addr"], write["count"]), (2, 16, 0, 2))
        self.assertEqual((write["values"], write["executed"], write["outcome"]), ([12, 13], True, "reply"))
        got = mbpoll("-m", "tcp", "-p", str(self.port()), "-a", "1", "-r", "300", "127.0.0.1")
        self.assertIn("Illegal data address", got.stderr)

    def test_pymodbus(self):
        from pymodbus.client import ModbusTcpClient
        client = ModbusTcpClient("127.0.0.1", port=self.port(), timeout=PATIENCE_S)
        self.assertTrue(client.connect())
        self.addCleanup(client.close)
        self.assertFalse(client.write_registers(10, list(range(123)), slave=1).isError())
        self.assertEqual(client.read_holding_registers(10, count=123, slave=1).registers, list(range(123)))
        bits = [i % 3 == 0 for i in range(100)]
        self.assertFalse(client.write_coils(7, bits, slave=255).isError())
        self.assertEqual(client.read_coils(7, count=100, slave=255).bits[:100], bits)
        self.assertFalse(client.write_coil(0, True, slave=1).isError())
        # pymodbus 3.0 drops the unit of some calls and asks unit 0; later ones ask unit 1 by default.
        import pymodbus
        unit = 0 if pymodbus.__version__.startswith("3.0.") else 1
        self.assertFalse(client.write_register(0, 0x12, slave=unit).isError())
        self.assertFalse(client.mask_write_register(address=0, and_mask=0xF2, or_mask=0x25).isError())
        self.assertEqual(self.sim.do("get", unit=unit, addr=0)["values"], [0x17])
        values = "write_registers" if unit == 0 else "values"
        both = client.readwrite_registers(
            read_address=0, read_count=2, write_address=1, **{values: [99]})
        self.assertEqual(both.registers, [0x17, 99])
        self.sim.do("set", table="discrete", addr=3, values=[1])
        self.sim.do("set", table="input", addr=3, values=[-1])
        self.assertTrue(client.read_discrete_inputs(3, count=1, slave=1).bits[0])
        self.assertEqual(client.read_input_registers(3, count=1, slave=1).registers, [65535])
        self.assertEqual(client.read_input_registers(200, count=1, slave=1).exception_code, 2)

    def test_stream(self):
        """Requests glued together, cut into bytes, of another protocol, and a stream that makes no sense."""
        connection = self.connect()
        both = mbap(1, 1, *READ_1) + mbap(2, 2, *READ_1)
        connection.sendall(both)
        self.assertEqual(self.receive(connection, 22), mbap(1, 1, *ZERO_1) + mbap(2, 2, *ZERO_1))
        for i in range(len(both)):
            connection.sendall(both[i:i + 1])
        self.assertEqual(self.receive(connection, 22), mbap(1, 1, *ZERO_1) + mbap(2, 2, *ZERO_1))
        connection.sendall(b"\0\1\0\1\0\6\1" + bytes(READ_1) + mbap(9, 1, *READ_1))
        self.assertEqual(self.receive(connection, 11), mbap(9, 1, *ZERO_1))
        self.assertEqual(self.sim.do("stats")["bad_frames"], 1)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(connection.recv(100), b"")

    def test_pipeline(self):
        """Far more requests than the simulator keeps, from a master that does not read meanwhile."""
        self.sim.do("turnaround", ms=1)
        connection = self.connect()
        connection.sendall(b"".join(mbap(i, 1, *READ_1) for i in range(500)))
        self.assertEqual(self.receive(connection, 500 * 11), b"".join(mbap(i, 1, *ZERO_1) for i in range(500)))

    def test_absent_unit(self):
        connection = self.connect()
        connection.sendall(mbap(1, 7, *READ_1))
        self.assertTrue(self.silent(connection))
        self.sim.do("gateway_exceptions", on=True)
        self.exchange(mbap(2, 7, *READ_1), mbap(2, 7, 0x83, 0x0B))
        self.assertEqual(self.sim.outcomes(2), ["silence", "exception 11"])
        self.sim.do("unit", unit=7, size=10)
        self.exchange(mbap(3, 7, *READ_1), mbap(3, 7, *ZERO_1))
        self.sim.do("unit_remove", unit=7)
        self.assertFalse(self.sim.ask("get", unit=7)["ok"])

    def test_reply_faults(self):
        request = mbap(5, 1, *READ_1)
        right = mbap(5, 1, *ZERO_1)
        for kind, members, expected in [
                ("wrong_unit", {}, mbap(5, 2, *ZERO_1)),
                ("wrong_unit", {"value": 17}, mbap(5, 17, *ZERO_1)),
                ("wrong_function", {}, mbap(5, 1, 4, 2, 0, 0)),
                ("wrong_count", {}, mbap(5, 1, 3, 4, 0, 0)),
                ("wrong_count", {"value": 4, "whole": True}, mbap(5, 1, 3, 4, 0, 0, 0, 0)),
                ("wrong_transaction", {}, mbap(6, 1, *ZERO_1)),
                ("exception", {"code": 6}, mbap(5, 1, 0x83, 6)),
                ("glued", {}, right + right),
                ("glued", {"hex": "c0ffee"}, right + b"\xc0\xff\xee"),
                ("garbage_before", {"hex": "00"}, b"\0" + right),
                ("split", {"bytes": 2, "ms": 5}, right),
                ("slow_bytes", {"ms": 2}, right)]:
            with self.subTest(kind=kind, **members):
                self.fault(kind, **members)
                connection = self.exchange(request, expected)
                self.assertEqual(self.sim.outcomes(1), ["fault " + kind])
                connection.sendall(request)     # once means once
                self.assertEqual(self.receive(connection, 11), right)

    def test_wrong_echo(self):
        self.fault("wrong_echo")
        self.exchange(mbap(1, 1, 6, 0, 5, 0, 9), mbap(1, 1, 6, 0, 6, 0, 9))
        self.fault("wrong_echo", field="value")
        self.exchange(mbap(1, 1, 16, 0, 5, 0, 1, 2, 0, 8), mbap(1, 1, 16, 0, 5, 0, 2))
        self.assertEqual(self.sim.do("get", addr=5)["values"], [8])

    def test_silent_faults(self):
        connection = self.connect()
        for kind, execute in [("dead", False), ("dead", True), ("half_open", False)]:
            self.sim.do("set", addr=0, values=[0])
            self.fault(kind, execute=execute)
            connection.sendall(mbap(1, 1, 6, 0, 0, 0, 1))
            self.assertEqual(self.sim.event("write")["executed"], execute)
            self.assertTrue(self.silent(connection))
            self.assertEqual(self.sim.do("get", addr=0)["values"], [int(execute)])
        connection.sendall(mbap(1, 1, *READ_1))
        self.assertTrue(self.silent(connection))
        self.exchange(mbap(1, 1, *READ_1), mbap(1, 1, 3, 2, 0, 0))

    def test_cut(self):
        self.fault("cut", bytes=8)
        connection = self.exchange(mbap(1, 1, *READ_1), mbap(1, 1, *ZERO_1)[:8])
        self.assertTrue(self.silent(connection))

    def test_late(self):
        """The late reply comes although the master has asked again, and the second one waits for it."""
        self.fault("late", ms=150)
        start = time.monotonic()
        connection = self.connect()
        connection.sendall(mbap(1, 1, *READ_1))
        self.assertTrue(self.silent(connection, 0.1))
        connection.sendall(mbap(2, 1, *READ_1))
        self.assertEqual(self.receive(connection, 22), mbap(1, 1, *ZERO_1) + mbap(2, 1, *ZERO_1))
        self.assertGreaterEqual(time.monotonic() - start, 0.149)

    def test_endings(self):
        self.fault("close")
        connection = self.exchange(mbap(1, 1, *READ_1), b"")
        self.assertEqual(connection.recv(1), b"")
        self.fault("reset")
        connection = self.exchange(mbap(1, 1, *READ_1), b"")
        with self.assertRaises(ConnectionResetError):
            connection.recv(1)

    def test_babble(self):
        connection = self.connect()
        self.exchange(mbap(1, 1, *READ_1), mbap(1, 1, *ZERO_1))
        self.sim.do("fault", kind="babble")
        self.assertEqual(len(self.receive(connection, 200)), 200)
        self.sim.do("fault", kind="none")
        self.exchange(mbap(1, 1, *READ_1), mbap(1, 1, *ZERO_1))

    def test_connection_limit(self):
        self.sim.do("connections", max=1)
        first = self.exchange(mbap(1, 1, *READ_1), mbap(1, 1, *ZERO_1))
        self.assertEqual(self.connect().recv(1), b"")
        self.sim.do("connections", max=1, refuse=True)
        waiting = self.connect()
        waiting.sendall(mbap(2, 1, *READ_1))
        self.assertTrue(self.silent(waiting))
        first.close()
        self.assertEqual(self.receive(waiting, 11), mbap(2, 1, *ZERO_1))
        stats = self.sim.do("stats")
        self.assertEqual((stats["connections"], stats["connections_total"]), (1, 3))

    def test_power_cycle(self):
        connection = self.exchange(mbap(1, 1, *READ_1), mbap(1, 1, *ZERO_1))
        self.sim.do("listen", on=False)
        with self.assertRaises(ConnectionResetError):
            connection.recv(1)
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.sim.do("listen", on=True)
        self.exchange(mbap(1, 1, *READ_1), mbap(1, 1, *ZERO_1))

    def test_cells(self):
        self.sim.do("illegal", addr=3, count=2, exception=4)
        self.sim.do("readonly", addr=9)
        self.exchange(mbap(1, 1, 3, 0, 2, 0, 2), mbap(1, 1, 0x83, 4))
        self.exchange(mbap(1, 1, 6, 0, 9, 0, 1), mbap(1, 1, 0x86, 2))
        self.sim.do("limits", max_registers=2, max_bits=8, exception=2)
        self.exchange(mbap(1, 1, 3, 0, 0, 0, 3), mbap(1, 1, 0x83, 2))
        self.exchange(mbap(1, 1, 3, 0, 0, 0, 2), mbap(1, 1, 3, 4, 0, 0, 0, 0))
        self.sim.do("move", kind="reads", table="input", addr=1)
        self.exchange(mbap(1, 1, 4, 0, 1, 0, 1), mbap(1, 1, 4, 2, 0, 1))
        self.exchange(mbap(1, 1, 4, 0, 1, 0, 1), mbap(1, 1, 4, 2, 0, 2))
        self.sim.do("move", kind="float_sine", table="input", addr=10, low=5, high=5)
        self.exchange(mbap(1, 1, 4, 0, 10, 0, 2), mbap(1, 1, 4, 4, *struct.pack(">f", 5.0)))
        self.sim.do("move", kind="counter", addr=20, period_ms=1)
        first = self.sim.do("get", addr=20)["values"][0]
        deadline = time.monotonic() + PATIENCE_S
        while self.sim.do("get", addr=20)["values"][0] == first:
            self.assertLess(time.monotonic(), deadline)

    def test_bad_commands(self):
        for cmd, members in [("nonsense", {}), ("set", {"addr": 199, "values": [1, 2]}), ("set", {"values": [70000]}),
                             ("set", {"values": 1}), ("get", {"unit": 99}), ("get", {"bus": 5}), ("fault", {"kind": "?"}),
                             ("fault", {"kind": "bad_crc"}), ("fault", {"kind": "glued", "hex": "abc"}),
                             ("fault", {"kind": "dead", "count": 0}), ("unplug", {}), ("get", {"addr": -1}),
                             ("move", {"kind": "sine", "period_ms": 0}), ("get", {"table": "registers"})]:
            self.assertFalse(self.sim.ask(cmd, **members)["ok"], (cmd, members))

    def test_log(self):
        self.exchange(mbap(1, 1, *READ_1), mbap(1, 1, *ZERO_1))
        self.sim.do("log", on=True)
        before = time.monotonic()
        self.exchange(mbap(1, 1, 1, 0, 3, 0, 9), mbap(1, 1, 1, 2, 0, 0))
        request = self.sim.event("request")
        self.assertEqual([request[name] for name in ("bus", "unit", "function", "addr", "count", "outcome")],
                         [0, 1, 1, 3, 9, "reply"])
        self.assertTrue(before <= request["at_us"] / 1e6 <= time.monotonic())
        self.assertLess(abs(request["at"] / 1e3 - time.time()), PATIENCE_S)
        stats = self.sim.do("stats", bus=0, unit=1)
        self.assertEqual((stats["requests"], stats["by_function"]), (2, {"1": 1, "3": 1}))
        self.sim.do("stats", clear=True)
        self.assertEqual(self.sim.do("stats")["requests"], 0)

    def test_shown(self):
        self.sim.do("move", table="input", addr=5, kind="reads32")
        self.sim.do("log", on=False, shown=True)
        read = (4, 0, 5, 0, 3)
        self.exchange(mbap(1, 1, *read), mbap(1, 1, 4, 6, 0, 0, 0, 1, 0, 0))
        shown = self.sim.event("shown")
        self.assertEqual([shown[name] for name in ("bus", "unit", "function", "addr", "read", "outcome")],
                         [0, 1, 4, 5, [0, 1, 0], "reply"])
        self.assertLessEqual(shown["at"] / 1e3, time.time())
        # a late answer is shown when it leaves, with the value of the request; one that never left is not
        self.sim.do("fault", kind="late", ms=60, count=1)
        self.exchange(mbap(2, 1, *read), mbap(2, 1, 4, 6, 0, 0, 0, 2, 0, 0))
        shown = self.sim.event("shown")
        self.assertEqual((shown["read"][1], shown["outcome"]), (2, "fault late"))
        self.assertGreaterEqual(shown["at_us"] - shown["asked_us"], 60000)
        self.sim.do("fault", kind="dead", count=1, execute=True)
        self.exchange(mbap(3, 1, *read) + mbap(4, 1, *read), mbap(4, 1, 4, 6, 0, 0, 0, 4, 0, 0))
        self.assertEqual(self.sim.event("shown")["read"][1], 4)


class RtuTcpTest(Case):
    ARGS = ("--rtu-tcp", "0")

    def test_frames(self):
        connection = self.connect("rtu_tcp")
        connection.sendall(rtu(1, *READ_1) + rtu(1, *READ_1))
        self.assertEqual(self.receive(connection, 14), rtu(1, *ZERO_1) * 2)
        self.sim.do("fault", kind="bad_crc", count=1)
        connection.sendall(rtu(1, *READ_1))
        got = self.receive(connection, 7)
        self.assertEqual(got[:6], rtu(1, *ZERO_1)[:6])
        self.assertNotEqual(got, rtu(1, *ZERO_1))
        self.sim.do("fault", kind="echo", count=1)
        connection.sendall(rtu(1, *READ_1))
        self.assertEqual(self.receive(connection, 15), rtu(1, *READ_1) + rtu(1, *ZERO_1))
        connection.sendall(rtu(1, 43, 14, 1, 0))    # its end shows only in the silence after it
        self.assertEqual(self.receive(connection, 5), rtu(1, 43 | 0x80, 1))

    def test_garbage(self):
        connection = self.connect("rtu_tcp")
        connection.sendall(os.urandom(5000))
        self.assertTrue(self.silent(connection, 0.2) or connection.recv(5000))
        connection.sendall(rtu(1, *READ_1))
        self.assertEqual(self.receive(connection, 7), rtu(1, *ZERO_1))


class RtuTest(Case):
    ARGS = ("--rtu", "LINK", "--baud", "9600", "--unit", "2")

    def setUp(self):
        super().setUp()
        self.port = Port(self.link)
        self.addCleanup(self.port.close)

    def exchange(self, request, expected):
        self.port.send(request)
        got = self.port.receive(len(expected))
        time.sleep(0.005)       # the silence that a master owes the line
        self.assertEqual(got, expected)

    def test_mbpoll(self):
        self.sim.do("set", addr=0, values=[42])
        got = mbpoll("-m", "rtu", "-b", "9600", "-P", "none", "-a", "1", "-r", "1", "-c", "1", self.link)
        self.assertIn("[1]: \t42", got.stdout, got.stderr)
        got = mbpoll("-m", "rtu", "-b", "9600", "-P", "none", "-a", "2", "-r", "5", self.link, "--", "7")
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertEqual(self.sim.event("write")["values"], [7])

    def test_pymodbus(self):
        from pymodbus.client import ModbusSerialClient
        client = ModbusSerialClient(port=self.link, baudrate=9600, timeout=PATIENCE_S)
        self.assertTrue(client.connect())
        self.addCleanup(client.close)
        self.assertFalse(client.write_registers(1, [5, 6, 7], slave=2).isError())
        self.assertEqual(client.read_holding_registers(0, count=5, slave=2).registers, [0, 5, 6, 7, 0])

    def test_pace(self):
        """8 + 25 bytes of 10 bits at 9600 baud, and 5 ms between them: 39.4 ms, byte by byte."""
        times = []
        for _ in range(5):
            start = time.monotonic()
            self.port.send(rtu(1, 3, 0, 0, 0, 10))
            first = self.port.receive(1)
            begun = time.monotonic()
            rest = self.port.receive(24)
            times.append((begun - start, time.monotonic() - start))
            self.assertEqual(first + rest, rtu(1, 3, 20, *bytes(20)))
            time.sleep(0.005)
        begun, whole = min(times, key=lambda pair: pair[1])
        self.assertTrue(0.0143 <= begun < 0.03, times)
        self.assertTrue(0.0392 <= whole < 0.055, times)
        stats = self.sim.do("stats")
        self.assertEqual((stats["silence_violations"], stats["bad_frames"], stats["requests"]), (0, 0, 5))
        self.assertAlmostEqual(stats["busy_us"], 5 * 33 * 10 * 1e6 / 9600, delta=500)

    def test_silence(self):
        """Too early a request is understood and counted; on a busy machine we may have to try to be early."""
        for _ in range(10):
            self.port.send(rtu(1, *READ_1))
            self.assertEqual(self.port.receive(7), rtu(1, *ZERO_1))
            stats = self.sim.do("stats")
            if stats["silence_violations"]:
                break
        self.assertEqual((stats["silence_violations"] > 0, stats["collisions"], stats["bad_frames"]), (True, 0, 0))
        time.sleep(0.01)
        self.port.send(rtu(1, *READ_1) * 2)     # two in one breath: no frame at all
        self.assertEqual(self.port.receive(1, QUIET_S), b"")
        self.assertEqual(self.sim.do("stats")["bad_frames"], 1)

    def test_collision(self):
        """On a busy machine we may have to try to be in time for it."""
        whole = rtu(1, 3, 40, *bytes(40))
        for late in range(10):
            self.port.send(rtu(1, 3, 0, 0, 0, 20))
            begin = self.port.receive(5)
            self.port.send(rtu(1, *READ_1))
            rest = self.port.receive(40)
            if begin + rest != whole:
                break
            self.assertEqual(self.port.receive(7), rtu(1, *ZERO_1))
        self.assertNotEqual(begin + rest, whole)
        self.assertEqual(self.port.receive(1, QUIET_S), b"")
        stats = self.sim.do("stats")
        self.assertEqual((stats["collisions"], stats["bad_frames"], stats["requests"]), (1, 1, 1 + 2 * late))
        self.exchange(rtu(1, *READ_1), rtu(1, *ZERO_1))

    def test_broadcast(self):
        self.port.send(rtu(0, 6, 0, 4, 0, 77))
        write = self.sim.event("write")
        self.assertEqual((write["unit"], write["executed"], write["outcome"]), (0, True, "silence"))
        self.assertEqual(self.port.receive(1, QUIET_S), b"")
        for unit in (1, 2):
            self.assertEqual(self.sim.do("get", unit=unit, addr=4)["values"], [77])

    def test_late(self):
        """Another unit is not held up by a slow one, whose reply comes all the same."""
        self.sim.do("fault", kind="late", ms=200, unit=1, count=1)
        self.port.send(rtu(1, *READ_1))
        self.assertEqual(self.port.receive(1, 0.05), b"")
        self.exchange(rtu(2, *READ_1), rtu(2, *ZERO_1))
        self.assertEqual(self.port.receive(7), rtu(1, *ZERO_1))

    def test_reply_faults(self):
        right = rtu(1, *ZERO_1)
        bad = right[:-1] + bytes([right[-1] ^ 0x5A])
        for kind, members, expected in [
                ("bad_crc", {}, bad),
                ("wrong_unit", {}, rtu(2, *ZERO_1)),
                ("cut", {"bytes": 4}, right[:4]),
                ("garbage_before", {"hex": "00ff"}, b"\0\xff" + right),
                ("garbage_after", {"hex": "00ff"}, right + b"\0\xff"),
                ("glued", {}, right + right),
                ("echo", {}, rtu(1, *READ_1) + right),
                ("slow_bytes", {"ms": 5}, right)]:
            with self.subTest(kind=kind):
                self.sim.do("fault", kind=kind, count=1, **members)
                self.exchange(rtu(1, *READ_1), expected)
                self.exchange(rtu(1, *READ_1), right)

    def test_babble(self):
        self.sim.do("fault", kind="babble", ms=300)
        noise = self.port.receive(80)
        self.assertEqual(len(noise), 80)
        while self.port.receive(100, 0.05):
            pass
        self.exchange(rtu(1, *READ_1), rtu(1, *ZERO_1))

    def test_garbage(self):
        self.port.send(bytes(range(256)) * 3)
        self.assertEqual(self.port.receive(1, 1.0), b"")
        self.exchange(rtu(1, *READ_1), rtu(1, *ZERO_1))
        self.assertEqual(self.sim.do("stats")["bad_frames"], 1)

    def test_unplug(self):
        old = self.sim.ready["rtu"][0]["device"]
        self.assertEqual(os.path.realpath(self.link), old)
        self.sim.do("unplug")
        self.assertFalse(os.path.lexists(self.link))
        with self.assertRaises(OSError):
            if not os.read(self.port.fd, 1):        # hung up: end of file or EIO
                raise OSError
        device = self.sim.do("plug")["device"]
        self.assertEqual(os.path.realpath(self.link), device)
        self.port.close()
        self.port.fd = os.open(self.link, os.O_RDWR | os.O_NOCTTY)
        self.exchange(rtu(1, *READ_1), rtu(1, *ZERO_1))

    def test_closed_port(self):
        """What arrives while nobody has the port open is lost, as on a real one."""
        self.sim.do("fault", kind="late", ms=60, count=1)
        self.port.send(rtu(1, *READ_1))
        self.port.close()
        time.sleep(0.12)
        self.port.fd = os.open(self.link, os.O_RDWR | os.O_NOCTTY)
        self.exchange(rtu(2, *READ_1), rtu(2, *ZERO_1))

    def test_speed(self):
        self.sim.do("line", check_speed=True)
        self.exchange(rtu(1, *READ_1), rtu(1, *ZERO_1))
        other = Port(self.link, termios.B19200)
        self.addCleanup(other.close)
        other.send(rtu(1, *READ_1))
        self.assertEqual(other.receive(1, QUIET_S), b"")

    def test_sigterm(self):
        self.sim.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.sim.process.wait(PATIENCE_S), 0)
        self.assertFalse(os.path.lexists(self.link))


class UnpacedTest(Case):
    ARGS = ("--tcp", "0", "--rtu", "LINK", "--baud", "0")

    def test_unpaced(self):
        port = Port(self.link)
        self.addCleanup(port.close)
        self.sim.do("turnaround", bus=1, ms=0)
        for _ in range(20):
            port.send(rtu(1, *READ_1))
            self.assertEqual(port.receive(7), rtu(1, *ZERO_1))
        port.send(rtu(1, *READ_1)[:5])
        port.send(rtu(1, *READ_1)[5:])
        self.assertEqual(port.receive(7), rtu(1, *ZERO_1))
        self.assertEqual(self.sim.do("stats", bus=1)["requests"], 21)
        self.assertEqual(self.sim.do("stats", bus=0)["requests"], 0)


def main():
    missing = [tool for tool in ("mbpoll", MODSIM) if not shutil.which(tool)]
    try:
        import pymodbus.client  # noqa: F401
        import serial           # noqa: F401
    except ImportError as error:
        missing.append(str(error))
    if missing:
        print("skipped: missing", ", ".join(missing))
        sys.exit(77)
    unittest.main()


if __name__ == "__main__":
    main()
