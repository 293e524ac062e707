#!/usr/bin/env python3
"""The ThingsBoard bench as clients that are not ours meet it: paho, mosquitto_pub and mosquitto_sub, and bare sockets.

Each test is named by the number of the case it proves. The program is $TBBENCH or ./tests/bench/tbbench.
"""
import json
import os
import queue
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

SKIPPED = 77
SYSTEM_PYTHON = "/usr/bin/python3"

try:
    import paho.mqtt.client as paho
except ImportError:
    # The distribution's packages belong to the distribution's interpreter, which need not be the first in the path.
    if os.path.exists(SYSTEM_PYTHON) and os.path.realpath(sys.executable) != os.path.realpath(SYSTEM_PYTHON):
        os.execv(SYSTEM_PYTHON, [SYSTEM_PYTHON] + sys.argv)
    print("paho is missing: skipped")
    sys.exit(SKIPPED)

PROGRAM = os.environ.get("TBBENCH", "./tests/bench/tbbench")
PATIENCE_S = 8
TELEMETRY = "v1/devices/me/telemetry"
ATTRIBUTES = "v1/devices/me/attributes"
REQUEST = "v1/devices/me/attributes/request/"
RESPONSE = "v1/devices/me/attributes/response/"
RPC = "v1/devices/me/rpc/request/"
RPC_REPLY = "v1/devices/me/rpc/response/"

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14)


class Bench:
    """The program, its events and its answers."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = []
        self.changed = threading.Condition()
        self.ended = False
        self.commands = 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.port = self.event("ready")["port"]

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(json.loads(line))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _take(self, wanted, what, patience=PATIENCE_S):
        deadline = time.monotonic() + patience
        with self.changed:
            while True:
                for index, line in enumerate(self.lines):
                    if wanted(line):
                        return self.lines.pop(index)
                left = deadline - time.monotonic()
                if left <= 0 or self.ended:
                    raise AssertionError("no %s among %s" % (what, self.lines))
                self.changed.wait(left)

    def event(self, name, **members):
        """The first event with this name and these members; it is taken away."""
        wanted = dict(members, event=name)
        return self._take(lambda line: all(line.get(k) == v for k, v in wanted.items()), wanted)

    def none(self, name):
        """No event with this name until now (answers come in order with events)."""
        self.command("stats")
        with self.changed:
            found = [line for line in self.lines if line.get("event") == name]
        if found:
            raise AssertionError(found)

    def raw_command(self, name, /, **members):
        self.commands += 1
        number = self.commands
        self.process.stdin.write(json.dumps(dict(members, cmd=name, id=number)) + "\n")
        self.process.stdin.flush()
        return self._take(lambda line: line.get("re") == number, name)

    def command(self, name, /, **members):
        answer = self.raw_command(name, **members)
        if not answer["ok"]:
            raise AssertionError(answer)
        return answer

    def device(self, token="tok", **members):
        self.command("device", token=token, **members)
        return token

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        self.process.stdout.close()
        return status


class Client:
    """paho, turned from callbacks into queues, without its own reconnecting."""

    def __init__(self, bench, token, version=4, clean=True, client_id="", password=None):
        protocol = {3: paho.MQTTv31, 4: paho.MQTTv311, 5: paho.MQTTv5}[version]
        self.version = version
        self.connacks, self.messages, self.acks, self.grants, self.ends = (queue.Queue() for _ in range(5))
        # paho 2 wants to be told that these are callbacks of the first kind.
        api = [paho.CallbackAPIVersion.VERSION1] if hasattr(paho, "CallbackAPIVersion") else []
        self.paho = paho.Client(*api, client_id=client_id, protocol=protocol, clean_session=clean if version < 5 else None)
        if token is not None:
            self.paho.username_pw_set(token, password)
        self.paho.on_connect = lambda c, u, flags, code, *p: self.connacks.put((getattr(code, "value", code), flags))
        self.paho.on_message = lambda c, u, message: self.messages.put(message)
        self.paho.on_publish = lambda c, u, mid: self.acks.put(mid)
        self.paho.on_subscribe = lambda c, u, mid, codes, *p: self.grants.put([getattr(x, "value", x) for x in codes])
        self.paho.on_disconnect = lambda c, u, code, *p: self.ends.put(getattr(code, "value", code))
        self.stopped = False
        properties = {"clean_start": clean} if version == 5 else {}
        self.paho.connect("127.0.0.1", bench.port, keepalive=60, **properties)
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()
        self.code, self.flags = self.connacks.get(timeout=PATIENCE_S)

    def _loop(self):
        while not self.stopped and self.paho.loop(timeout=0.2) == 0:
            pass

    def publish(self, topic, payload, qos=1):
        return self.paho.publish(topic, payload, qos).mid

    def acked(self, topic, payload, qos=1):
        """Publish and wait for the PUBACK."""
        mid = self.publish(topic, payload, qos)
        got = self.acks.get(timeout=PATIENCE_S)
        assert got == mid, (got, mid)

    def subscribe(self, *filters):
        self.paho.subscribe([(f, 1) if isinstance(f, str) else f for f in filters])
        return self.grants.get(timeout=PATIENCE_S)

    def message(self):
        message = self.messages.get(timeout=PATIENCE_S)
        return message.topic, json.loads(message.payload)

    def ended(self):
        return self.ends.get(timeout=PATIENCE_S)

    def close(self):
        self.paho.disconnect()
        self.stopped = True
        self.thread.join(PATIENCE_S)
        sock = self.paho.socket()
        if sock:
            sock.close()


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def packet(first, body):
    length, size = b"", len(body)
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | (128 if size else 0)])
        if not size:
            return bytes([first]) + length + body


class Raw:
    """A socket, and just enough MQTT to say what no decent client would."""

    def __init__(self, bench, token=None, version=4, **options):
        self.version = version
        self.socket = socket.create_connection(("127.0.0.1", bench.port), timeout=PATIENCE_S)
        if token is not None:
            self.send(self.connect_packet(token, **options))
            self.connack = self.receive()
            assert self.connack[0] == CONNACK and self.connack[2][1] == 0, self.connack

    def connect_packet(self, token, client_id="raw", clean=True, keepalive=60, password=None, level=None, will=None):
        flags = (0x80 if token else 0) | (0x40 if password is not None else 0) | (2 if clean else 0) | (4 if will else 0)
        name = "MQIsdp" if self.version == 3 else "MQTT"
        body = text(name) + bytes([level or self.version, flags]) + struct.pack(">H", keepalive)
        body += (b"\0" if self.version == 5 else b"") + text(client_id)
        body += will or b""
        body += text(token) if token else b""
        body += text(password) if password is not None else b""
        return packet(CONNECT << 4, body)

    def send(self, data):
        self.socket.sendall(data)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data

    def receive(self):
        """(type, flags, body), or None when the connection has ended."""
        try:
            first, size, shift = self._exactly(1)[0], 0, 0
            while True:
                byte = self._exactly(1)[0]
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            return first >> 4, first & 15, self._exactly(size)
        except (ConnectionResetError, BrokenPipeError):
            return None

    def publish_packet(self, topic, payload, qos=1, packet_id=1, dup=False):
        body = text(topic) + (struct.pack(">H", packet_id) if qos else b"") + (b"\0" if self.version == 5 else b"")
        return packet(PUBLISH << 4 | qos << 1 | (8 if dup else 0), body + (payload.encode() if isinstance(payload, str) else payload))

    def publish(self, topic, payload, **options):
        self.send(self.publish_packet(topic, payload, **options))

    def subscribe(self, *filters, packet_id=9):
        body = struct.pack(">H", packet_id) + (b"\0" if self.version == 5 else b"")
        self.send(packet(SUBSCRIBE << 4 | 2, body + b"".join(text(f) + bytes([q]) for f, q in filters)))

    def quiet(self):
        """Nothing is waiting for us: the answer to a ping is the next packet."""
        self.send(b"\xc0\0")
        assert self.receive() == (PINGRESP, 0, b"")

    def close(self):
        self.socket.close()


class BenchCase(unittest.TestCase):
    arguments = ()

    def setUp(self):
        self.bench = Bench(*self.arguments)
        self.things = []

    def tearDown(self):
        for thing in self.things:
            thing.close()
        self.assertEqual(self.bench.close(), 0)

    def client(self, token="tok", **options):
        self.things.append(Client(self.bench, token, **options))
        return self.things[-1]

    def raw(self, token=None, **options):
        self.things.append(Raw(self.bench, token, **options))
        return self.things[-1]

    def refused(self, token, code, version, **options):
        """CONNACK with this code, then the end; on 5 a DISCONNECT between."""
        raw = self.raw(version=version)
        raw.send(raw.connect_packet(token, **options))
        self.assertEqual(raw.receive()[2][:2], bytes([0, code]))
        if version == 5:
            self.assertEqual(raw.receive()[0], DISCONNECT)
        self.assertIsNone(raw.receive())
        self.assertEqual(self.bench.event("connect")["code"], code)

    def bad_input(self, topic, payload):
        """Closed on 3.1.1; on 5 a PUBACK with 0x99 at QoS 1, a DISCONNECT with 0x99 at QoS 0."""
        raw = self.raw("tok")
        raw.publish(topic, payload)
        self.assertIsNone(raw.receive())
        raw = self.raw("tok", version=5)
        raw.publish(topic, payload)
        self.assertEqual(raw.receive(), (PUBACK, 0, b"\0\1\x99\0"))
        raw.quiet()
        raw.publish(topic, payload, qos=0)
        self.assertEqual(raw.receive(), (DISCONNECT, 0, b"\x99\0"))
        self.assertIsNone(raw.receive())

    def exception(self, topic, payload):
        raw = self.raw("tok")
        raw.publish(topic, payload)
        self.assertIsNone(raw.receive())
        raw = self.raw("tok", version=5)
        raw.publish(topic, payload)
        self.assertEqual(raw.receive(), (DISCONNECT, 0, b"\x8b\0"))
        self.assertIsNone(raw.receive())


class Connecting(BenchCase):
    def test_case_01_02_token(self):
        self.bench.device()
        for version in (3, 4, 5):
            client = self.client(version=version, client_id="c%d" % version)
            self.assertEqual(client.code, 0)
            event = self.bench.event("connect")
            self.assertEqual((event["token"], event["version"], event["code"]), ("tok", version, 0))
            client.close()
        self.assertEqual(self.client(client_id="whatever", password="random").code, 0)

    def test_case_03_unknown_token(self):
        self.assertEqual(self.client("nobody").code, 5)
        self.bench.event("connect")
        self.refused("nobody", 0x05, 4)
        self.refused("nobody", 0x86, 5)

    def test_case_04_05_no_user_name(self):
        self.refused(None, 0x02, 4, client_id="x")
        self.refused(None, 0x85, 5, client_id="x")
        self.refused(None, 0x05, 4, client_id="")
        self.refused(None, 0x87, 5, client_id="")

    def test_case_06_mqtt_basic(self):
        self.bench.device("basic", client_id="cid", username="user", password="right")
        self.assertEqual(self.client("user", client_id="cid", password="right").code, 0)
        self.assertEqual(self.bench.event("connect")["token"], "basic")
        self.refused("user", 0x05, 4, client_id="cid", password="wrong")
        self.refused("user", 0x86, 5, client_id="cid", password="wrong")

    def test_mqtt_basic_in_parts(self):
        self.bench.device("by id", client_id="cid")
        self.bench.device("by name", username="user", password="pw")
        self.assertEqual(self.client(None, client_id="cid").code, 0)
        self.assertEqual(self.bench.event("connect")["token"], "by id")
        self.assertEqual(self.client("user", password="pw").code, 0)
        self.assertEqual(self.bench.event("connect")["token"], "by name")
        # The handle of a device that has other credentials is no access token.
        self.assertEqual(self.client("by id").code, 5)

    def test_case_07_back_end_down(self):
        self.bench.device()
        self.bench.command("refuse", code=3)
        self.refused("tok", 0x03, 4)
        self.bench.command("refuse", code=0x88)
        self.refused("tok", 0x88, 5)
        self.bench.command("refuse", code=0)
        self.assertEqual(self.client().code, 0)

    def test_case_08_09_session_present(self):
        self.bench.device()
        first = self.client(clean=False, client_id="same")
        self.assertEqual(first.flags["session present"], 1)
        first.subscribe(ATTRIBUTES)
        first.close()
        self.bench.event("disconnect")
        second = self.raw("tok", clean=False, client_id="same")
        self.assertEqual(second.connack[2][0], 1)
        self.bench.command("shared", token="tok", values={"a": 1})
        second.quiet()
        self.assertEqual(self.raw("tok", clean=True).connack[2][0], 0)

    def test_case_10_taken_over(self):
        self.bench.device()
        for version in (4, 5):
            older = self.raw("tok", version=version)
            newer = self.raw("tok", version=version)
            if version == 5:
                self.assertEqual(older.receive(), (DISCONNECT, 0, b"\x8e\0"))
            self.assertIsNone(older.receive())
            self.bench.event("disconnect", reason="taken over")
            newer.quiet()
            newer.close()
            self.bench.event("disconnect", reason="closed")

    def test_two_sessions_of_a_device(self):
        self.bench.device()
        self.bench.command("sessions_per_device", count=2)
        oldest, older, newest = (self.raw("tok") for _ in range(3))
        self.assertIsNone(oldest.receive())
        older.quiet()
        newest.quiet()

    def test_case_11_credentials_removed(self):
        for version in (4, 5):
            self.bench.device()
            raw = self.raw("tok", version=version)
            self.bench.command("remove", token="tok")
            if version == 5:
                self.assertEqual(raw.receive(), (DISCONNECT, 0, b"\x98\0"))
            self.assertIsNone(raw.receive())

    def test_case_12_13_idle(self):
        self.bench.device()
        self.bench.command("inactivity_s", seconds=2)
        start = time.monotonic()
        raw = self.raw("tok", keepalive=1)
        self.assertIsNone(raw.receive())
        # Longer than 1.5 times the keep alive, and then the server's own limit.
        self.assertGreater(time.monotonic() - start, 1.9)
        self.bench.event("disconnect", reason="inactive")

    def test_case_14_ping(self):
        self.bench.device()
        self.raw("tok").quiet()

    def test_case_15_unknown_level(self):
        raw = self.raw()
        raw.send(raw.connect_packet("tok", level=9))
        self.assertIsNone(raw.receive())
        raw = self.raw(version=3)
        raw.send(raw.connect_packet("tok", client_id="x" * 24))
        self.assertIsNone(raw.receive())

    def test_case_63_early_packets(self):
        self.bench.device()
        raw = self.raw()
        raw.send(raw.publish_packet(TELEMETRY, '{"a":1}') * 100 + raw.connect_packet("tok"))
        self.assertEqual(raw.receive()[0], CONNACK)
        for _ in range(100):
            self.assertEqual(raw.receive()[0], PUBACK)
        raw = self.raw()
        raw.send(raw.publish_packet(TELEMETRY, '{"a":1}') * 101)
        self.assertIsNone(raw.receive())

    def test_case_67_disconnect(self):
        self.bench.device()
        raw = self.raw("tok", will=text("v1/devices/me/telemetry") + text('{"will":1}'))
        raw.send(b"\xe0\0")
        self.assertIsNone(raw.receive())
        self.bench.event("disconnect", reason="client")
        self.bench.none("telemetry")
        raw = self.raw("tok", version=5)
        raw.send(b"\xe0\0")
        self.assertEqual(raw.receive(), (DISCONNECT, 0, b""))
        self.assertIsNone(raw.receive())

    def test_case_68_server_stopped(self):
        self.bench.device()
        raw = self.raw("tok")
        self.bench.command("stop", reset=True)
        self.assertIsNone(raw.receive())
        self.assertRaises(ConnectionRefusedError, self.raw)
        self.bench.command("start")
        self.assertEqual(self.client().code, 0)

    def test_max_version(self):
        self.bench.device()
        self.bench.command("max_version", version=4)
        raw = self.raw(version=5)
        raw.send(raw.connect_packet("tok"))
        self.assertIsNone(raw.receive())
        self.assertEqual(self.client().code, 0)

    def test_black_hole_and_refused_accept(self):
        self.bench.device()
        self.bench.command("blackhole", on=True)
        raw = self.raw()
        raw.send(raw.connect_packet("tok"))
        raw.socket.settimeout(0.2)
        self.assertRaises(socket.timeout, raw.receive)
        self.bench.command("blackhole", on=False)
        self.bench.command("refuse_accept", on=True)
        raw = self.raw()
        self.assertIsNone(raw.receive())


class Publishing(BenchCase):
    def setUp(self):
        super().setUp()
        self.bench.device()

    def values(self):
        return self.bench.command("latest", token="tok")["values"]

    def test_case_16_17_18_qos(self):
        client = self.client()
        before = int(time.time() * 1000)
        client.acked(TELEMETRY, '{"a":21.3}')
        event = self.bench.event("telemetry")
        self.assertTrue(event["server_ts"])
        self.assertGreaterEqual(event["ts"], before)
        self.assertEqual((event["values"], event["types"], event["text"]), ({"a": 21.3}, {"a": "double"}, {"a": "21.3"}))
        raw = self.raw("tok")
        raw.publish(TELEMETRY, '{"b":1}', qos=0)
        raw.quiet()
        raw.publish(TELEMETRY, '{"c":1}', qos=2, packet_id=77)
        self.assertEqual(raw.receive(), (PUBACK, 0, b"\0\x4d"))
        self.assertEqual([self.bench.event("telemetry")["qos"] for _ in range(2)], [0, 2])

    def test_case_19_20_timestamps(self):
        client = self.client(version=5)
        client.acked(TELEMETRY, '[{"ts":1000,"values":{"a":1}},{"b":2},{"ts":"2000","values":{"c":3}}]')
        events = [self.bench.event("telemetry") for _ in range(3)]
        self.assertEqual([e["server_ts"] for e in events], [False, True, False])
        self.assertEqual((events[0]["ts"], events[2]["ts"]), (1000, 2000))
        self.assertEqual([e["values"] for e in events], [{"a": 1}, {"b": 2}, {"c": 3}])

    def test_case_21_22_23_empty(self):
        raw = self.raw("tok")
        raw.publish(TELEMETRY, "[]")
        raw.quiet()
        for payload in ("{}", "[{}]", '{"a":null}'):
            raw.publish(TELEMETRY, payload)
            self.assertEqual(raw.receive()[0], PUBACK)
        self.bench.none("telemetry")
        raw.publish(TELEMETRY, '{"a":null,"b":1}')
        self.assertEqual(raw.receive()[0], PUBACK)
        self.assertEqual(list(self.values()), ["b"])

    def test_case_24_broken_json(self):
        for payload in ('{"a":', "5", "", '{"a":1} x', '[{"a":1},2]'):
            self.bad_input(TELEMETRY, payload)
        self.bench.none("telemetry")

    def test_case_25_send_ack(self):
        self.bench.command("send_ack", on=True)
        raw = self.raw("tok")
        raw.publish(TELEMETRY, '{"a":')
        self.assertEqual(raw.receive(), (PUBACK, 0, b"\0\1"))
        raw.publish(TELEMETRY, '{"a":', qos=0)
        self.assertIsNone(raw.receive())
        self.assertEqual(self.values(), {})

    def test_case_26_bad_ts(self):
        self.exception(TELEMETRY, '{"ts":"x","values":{}}')

    def test_case_27_unknown_topic(self):
        raw = self.raw("tok")
        raw.publish("some/topic", "x")
        self.assertEqual(raw.receive(), (PUBACK, 0, b"\0\1"))
        self.assertEqual(self.bench.event("publish")["topic"], "some/topic")
        raw = self.raw("tok", version=5)
        raw.publish("", "x")
        self.assertEqual(raw.receive(), (PUBACK, 0, b"\0\1\x90\0"))

    def test_case_28_no_gateway(self):
        raw = self.raw("tok")
        raw.publish("v1/gateway/telemetry", '{"A":[{"a":1}]}')
        raw.quiet()
        self.bench.event("bad_publish", why="not a gateway")

    def test_case_29_size(self):
        room = 65536 - len(text(TELEMETRY)) - 2
        fits = '{"a":"%s"}' % ("x" * (room - 8))
        raw = self.raw("tok")
        raw.publish(TELEMETRY, fits)
        self.assertEqual(raw.receive()[0], PUBACK)
        raw.publish(TELEMETRY, fits + " ")
        self.assertIsNone(raw.receive())
        raw = self.raw("tok", version=5)
        raw.publish(TELEMETRY, fits)
        self.assertEqual(raw.receive(), (DISCONNECT, 0, b"\x81\0"))

    def test_case_30_to_34_types(self):
        self.client().acked(TELEMETRY, '{"a":0.10000000000000001,"b":42.0,"c":42,"d":1e3,"e":10000000.0,'
                            '"f":18446744073709551615,"g":"00123","h":"1e5","i":NaN,"j":Infinity,"k":true,"l":[1]}')
        self.assertEqual({k: v["type"] for k, v in self.values().items()}, {
            "a": "string", "b": "double", "c": "long", "d": "long", "e": "long", "f": "string", "g": "long",
            "h": "string", "i": "string", "j": "string", "k": "boolean", "l": "json"})
        self.assertEqual(self.values()["g"]["v"], 123)
        self.assertEqual(self.bench.event("telemetry")["text"]["b"], "42.0")

    def test_case_35_long_key(self):
        self.client().acked(TELEMETRY, json.dumps({"k" * 256: 1}))
        self.bench.event("lost")
        self.assertEqual(self.values(), {})

    def test_case_36_37_storing(self):
        self.bench.command("keep", series=True)
        client = self.client()
        for ts, value in ((1000, 1), (1000, 2), (500, 3)):
            client.acked(TELEMETRY, json.dumps({"ts": ts, "values": {"a": value}}))
        rows = self.bench.command("series", token="tok", key="a")["rows"]
        self.assertEqual([(r["ts"], r["v"]) for r in rows], [(500, 3), (1000, 2)])
        self.assertEqual(self.values()["a"], {"ts": 1000, "v": 2, "type": "long"})

    def publish_numbered(self, raw, count):
        raw.send(b"".join(raw.publish_packet(TELEMETRY, '{"a":1}', packet_id=n + 1) for n in range(count)))

    def test_case_38_reordered_acks(self):
        self.bench.command("puback", mode="reorder", delay_ms=20)
        raw = self.raw("tok")
        self.publish_numbered(raw, 10)
        order = [raw.receive()[2][1] for _ in range(10)]
        self.assertEqual(sorted(order), list(range(1, 11)))
        self.assertNotEqual(order, sorted(order))

    def test_dropped_and_delayed_acks(self):
        raw = self.raw("tok")
        self.bench.command("puback", token="tok", mode="drop", count=2)
        self.publish_numbered(raw, 3)
        self.assertEqual(raw.receive(), (PUBACK, 0, b"\0\3"))
        self.bench.command("puback", mode="delay", delay_ms=200, count=1)
        start = time.monotonic()
        self.publish_numbered(raw, 1)
        self.assertEqual(raw.receive()[0], PUBACK)
        self.assertGreater(time.monotonic() - start, 0.19)
        self.assertEqual(self.bench.command("stats")["values"], 4)

    def test_case_39_attributes(self):
        self.bad_input(ATTRIBUTES, '[{"a":1}]')
        self.client().acked(ATTRIBUTES, '{"fw":"1.2.3","n":7}')
        self.assertEqual(self.bench.event("attributes")["values"], {"fw": "1.2.3", "n": 7})
        self.assertEqual(self.bench.command("attributes", token="tok")["client"], {"fw": "1.2.3", "n": 7})

    def test_case_58_61_limit(self):
        self.bench.command("limits", token="tok", telemetry_data_points="3:3600")
        raw = self.raw("tok")
        raw.publish(TELEMETRY, '{"a":1,"b":2}')
        self.assertEqual(raw.receive()[0], PUBACK)
        raw.publish(TELEMETRY, '{"a":1,"b":2}')
        self.assertIsNone(raw.receive())
        self.bench.command("limits", token="tok", telemetry_data_points="3:1")
        for _ in range(2):
            raw = self.raw("tok", version=5)
            raw.publish(TELEMETRY, '{"a":1,"b":2,"c":3,"d":4}')
            self.assertEqual(raw.receive(), (DISCONNECT, 0, b"\x83\0"))
        self.assertEqual(self.bench.command("stats")["values"], 2)

    def test_case_59_60_message_limit(self):
        self.bench.command("limits", token="tok", messages="1:3600")
        raw = self.raw("tok")
        raw.subscribe((ATTRIBUTES, 1))
        self.assertEqual(raw.receive(), (SUBACK, 0, b"\0\x09\1"))
        self.bench.command("shared", token="tok", values={"a": 1})
        raw.quiet()
        self.bench.event("connect")
        self.refused("tok", 0x03, 4)
        self.refused("tok", 0x9F, 5)

    def test_case_66_claim(self):
        self.client().acked("v1/devices/me/claim", "")
        self.bench.event("claim")

    def test_case_69_reused_id_and_dup(self):
        raw = self.raw("tok")
        for dup in (False, True):
            raw.publish(TELEMETRY, '{"a":1}', packet_id=5, dup=dup)
            self.assertEqual(raw.receive(), (PUBACK, 0, b"\0\5"))
        self.assertEqual([self.bench.event("telemetry")["dup"] for _ in range(2)], [False, True])

    def test_case_70_malformed(self):
        for data in ("a/#", "a/+/b"):
            raw = self.raw("tok")
            raw.publish(data, "x")
            self.assertIsNone(raw.receive())
        raw = self.raw("tok", version=5)
        raw.publish(TELEMETRY, "{}", packet_id=0)
        self.assertEqual(raw.receive(), (DISCONNECT, 0, b"\x81\0"))

    def test_short_topics(self):
        client = self.client()
        client.acked("v2/t", '{"a":1}')
        client.acked("v2/t/j", '{"b":1}')
        client.acked("v2/a", '{"c":1}')
        self.assertEqual(sorted(self.values()), ["a", "b"])
        self.bad_input("v2/t/p", '{"a":1}')

    def test_claim_and_ota_refused(self):
        self.bad_input("v1/devices/me/claim", "[1]")
        self.exception("v2/fw/request/1/chunk/0", "many")
        raw = self.raw("tok")
        raw.publish("v2/fw/request/1/chunk/0", "100")
        self.assertEqual(raw.receive()[0], PUBACK)
        self.assertIn(b"v2/fw/error", raw.receive()[2])
        self.assertIsNone(raw.receive())

    def test_cut_in_a_packet(self):
        raw = self.raw("tok")
        one = raw.publish_packet(TELEMETRY, '{"a":1}')
        self.bench.command("close_after", token="tok", bytes=len(one) + 3)
        raw.send(one + one)
        self.bench.event("telemetry")
        self.bench.event("disconnect", reason="cut")
        self.bench.none("telemetry")

    def test_second_connect(self):
        """The same connection logs in again, as somebody else."""
        self.bench.device("other")
        raw = self.raw("tok")
        raw.send(raw.connect_packet("other"))
        self.assertEqual(raw.receive()[0], CONNACK)
        raw.publish(TELEMETRY, '{"a":1}')
        self.assertEqual(raw.receive()[0], PUBACK)
        self.assertEqual(self.bench.event("telemetry")["token"], "other")

    def test_series_stays_bounded(self):
        self.bench.command("keep", series=True)
        self.bench.command("events", telemetry=False)
        raw = self.raw("tok")
        for start in range(0, 26000, 1000):
            raw.publish(TELEMETRY, json.dumps([{"ts": start + n + 1, "values": {"a": n}} for n in range(1000)]))
            self.assertEqual(raw.receive()[0], PUBACK)
        rows = self.bench.command("series", token="tok", key="a")["rows"]
        self.assertEqual(rows[-1]["ts"], 26000)
        self.assertGreaterEqual(len(rows), 10000)
        self.assertLess(len(rows), 12501)

    def test_mosquitto_pub(self):
        for version in ("31", "311", "5"):
            subprocess.run(["mosquitto_pub", "-p", str(self.bench.port), "-u", "tok", "-i", "m", "-V",
                            {"31": "mqttv31", "311": "mqttv311", "5": "mqttv5"}[version], "-q", "1", "-t", TELEMETRY,
                            "-m", '{"v":"mqtt %s"}' % version], check=True, timeout=PATIENCE_S)
            self.assertEqual(self.bench.event("telemetry")["values"], {"v": "mqtt " + version})

    def test_garbage(self):
        """Anything may arrive; the bench closes, and goes on."""
        noise = bytes((n * n * 7 + n * 31) & 255 for n in range(4096))
        for start in range(0, 4096, 128):
            raw = self.raw()
            raw.send(raw.connect_packet("tok") + noise[start:] + noise[:start])
            raw.socket.shutdown(socket.SHUT_WR)
            while raw.receive():
                pass
            raw.close()
        self.client().acked(TELEMETRY, '{"a":1}')

    def test_byte_by_byte(self):
        raw = self.raw(version=5)
        for byte in raw.connect_packet("tok") + raw.publish_packet(TELEMETRY, '{"a":"\xe9\\u00e9"}'):
            raw.send(bytes([byte]))
        self.assertEqual(raw.receive()[0], CONNACK)
        self.assertEqual(raw.receive()[0], PUBACK)
        self.assertEqual(self.bench.event("telemetry")["values"], {"a": "\xe9\xe9"})


class Attributes(BenchCase):
    def setUp(self):
        super().setUp()
        self.bench.device()

    def test_case_40_41_43_request(self):
        self.bench.command("shared", token="tok", values={"s1": 1.50, "s2": {"x": [1]}})
        for version in (4, 5):
            client = self.client(version=version)
            client.acked(ATTRIBUTES, '{"c1":"x","c2":true}')
            client.publish(REQUEST + "7", '{"clientKeys":"c1,none","sharedKeys":"s1"}')
            message = client.messages.get(timeout=PATIENCE_S)
            self.assertEqual((message.topic, message.qos), (RESPONSE + "7", 1))
            self.assertEqual(json.loads(message.payload), {"client": {"c1": "x"}, "shared": {"s1": 1.5}})
            client.publish(REQUEST + "8", '{"sharedKeys":"none"}')
            self.assertEqual(client.message(), (RESPONSE + "8", {}))
            client.publish(REQUEST + "9", "{}")
            self.assertEqual(client.message()[1], {"client": {"c1": "x", "c2": True}, "shared": {"s1": 1.5, "s2": {"x": [1]}}})
            client.close()
        event = self.bench.event("attribute_request", id=7)
        self.assertEqual((event["client_keys"], event["shared_keys"]), ("c1,none", "s1"))

    def test_case_42_request_ids(self):
        self.bad_input(REQUEST + "abc", "{}")
        self.bad_input(REQUEST + "1", '{"clientKeys":["a","b"]}')
        raw = self.raw("tok")
        raw.publish(REQUEST + "-1", "{}")
        self.assertEqual(raw.receive()[0], PUBACK)
        raw.quiet()

    def test_case_44_47_updates(self):
        client = self.client()
        self.assertEqual(client.subscribe(ATTRIBUTES), [1])
        self.bench.event("subscribe", filters=[ATTRIBUTES], granted=[1])
        self.bench.command("shared", token="tok", values={"a": 1, "b": "x"})
        self.assertEqual(client.message(), (ATTRIBUTES, {"a": 1, "b": "x"}))
        self.bench.command("shared_delete", token="tok", keys=["a"])
        self.assertEqual(client.message(), (ATTRIBUTES, {"deleted": ["a"]}))
        client.close()
        self.bench.event("disconnect")
        self.bench.command("shared", token="tok", values={"offline": 1})
        raw = self.raw("tok")
        raw.subscribe((ATTRIBUTES, 1))
        self.assertEqual(raw.receive()[0], SUBACK)
        raw.quiet()

    def test_case_45_46_filters(self):
        client = self.client()
        self.assertEqual(client.subscribe("v1/devices/me/#"), [0x80])
        self.assertEqual(client.subscribe((ATTRIBUTES, 0), ("#", 1), (RPC + "+", 2)), [0, 0x80, 1])
        raw = self.raw("tok", version=5)
        raw.subscribe(("v1/devices/me/#", 1), (ATTRIBUTES, 2))
        self.assertEqual(raw.receive(), (SUBACK, 0, b"\0\x09\0\x8f\1"))
        raw.send(packet(UNSUBSCRIBE << 4 | 2, b"\0\x0a\0" + text(ATTRIBUTES) + text(ATTRIBUTES) + text("no")))
        self.assertEqual(raw.receive(), (UNSUBACK, 0, b"\0\x0a\0\0\x11\x8f"))
        raw.quiet()

    def test_case_48_late_subscription(self):
        self.bench.command("timing", subscribe_delay_ms=100)
        raw = self.raw("tok")
        raw.subscribe((ATTRIBUTES, 1), (RPC + "+", 0))
        self.assertEqual(raw.receive()[0], SUBACK)
        self.bench.command("shared", token="tok", values={"missed": 1})
        self.bench.command("rpc", token="tok", method="m")
        # The call shows that the subscription has come into effect, and that the update was not kept.
        self.assertIn(b"rpc/request/0", raw.receive()[2])
        self.bench.command("shared", token="tok", values={"seen": 1})
        self.assertIn(b"seen", raw.receive()[2])

    def test_mosquitto_sub(self):
        sub = subprocess.Popen(["mosquitto_sub", "-p", str(self.bench.port), "-u", "tok", "-i", "m", "-q", "1", "-t",
                                ATTRIBUTES, "-C", "1"], stdout=subprocess.PIPE, text=True)
        self.bench.event("subscribe")
        self.bench.command("shared", token="tok", values={"a": 1})
        self.assertEqual(json.loads(sub.communicate(timeout=PATIENCE_S)[0]), {"a": 1})

    def test_raw_downlink(self):
        client = self.client()
        client.subscribe(RPC + "+")
        self.bench.command("raw", token="tok", topic=RPC + "5", payload="garbage", qos=1)
        self.bench.command("raw", token="tok", topic=RPC + "6", hex="00ff", qos=0)
        self.assertEqual(client.messages.get(timeout=PATIENCE_S).payload, b"garbage")
        self.assertEqual(client.messages.get(timeout=PATIENCE_S).payload, b"\0\xff")


class Calls(BenchCase):
    def setUp(self):
        super().setUp()
        self.bench.device()

    def call(self, method="m", **options):
        return self.bench.command("rpc", token="tok", method=method, **options)["rpc"]

    def subscribed(self, **options):
        client = self.client(**options)
        self.assertEqual(client.subscribe(RPC + "+"), [1])
        return client

    def test_case_49_53_54_55_calls(self):
        client = self.subscribed()
        for number in range(3):
            self.assertEqual(self.call(params={"x": number}), number)
            self.assertEqual(client.message(), (RPC + str(number), {"method": "m", "params": {"x": number}}))
        client.acked(RPC_REPLY + "1", '{"ok":true}')
        event = self.bench.event("rpc_reply", id=1)
        self.assertEqual((event["payload"], event["late"]), ({"ok": True}, False))
        client.acked(RPC_REPLY + "1", '{"ok":true}')
        self.assertTrue(self.bench.event("rpc_reply", id=1)["late"])
        client.acked(RPC_REPLY + "2", "not JSON")
        self.assertEqual(self.bench.event("rpc_reply", id=2)["payload"], "not JSON")
        self.call("bare")
        self.assertEqual(client.message()[1], {"method": "bare", "params": None})

    def test_case_50_51_pending(self):
        self.assertEqual(self.call("waits"), 0)
        self.call("expires", timeout_ms=50)
        self.bench.event("rpc_timeout", id=1)
        self.call("oneway", oneway=True)
        client = self.subscribed()
        self.assertEqual([client.message()[1]["method"] for _ in range(2)], ["waits", "oneway"])
        client.close()
        again = self.subscribed(version=5)
        self.assertEqual(again.message(), (RPC + "0", {"method": "waits", "params": None}))
        again.subscribe(RPC + "+")
        self.assertEqual(again.message()[0], RPC + "0")

    def test_case_52_restart(self):
        client = self.subscribed()
        self.assertEqual([self.call(), self.call()], [0, 1])
        self.bench.command("restart_server")
        client.ended()
        client = self.subscribed()
        self.assertEqual(self.call("after"), 0)
        self.assertEqual(client.message()[1]["method"], "after")

    def test_case_56_client_call(self):
        self.bench.command("timing", client_rpc_timeout_ms=50)
        client = self.client()
        client.publish(RPC + "3", '{"method":"getTime","params":{}}')
        self.assertEqual(client.message(), (RPC_REPLY + "3", {"error": "timeout"}))
        self.assertEqual(self.bench.event("client_rpc")["method"], "getTime")
        self.exception(RPC + "3", '{"params":{}}')
        self.exception(RPC + "x", '{"method":"m"}')
        self.bad_input(RPC + "3", '{"method"')

    def test_case_57_session_limits(self):
        self.bench.command("limits", token="tok", messages="100:1,1000:60")
        client = self.client(version=5)
        client.publish(RPC + "1", '{"method":"getSessionLimits","params":{}}')
        self.assertEqual(client.message(), (RPC_REPLY + "1", {
            "maxPayloadSize": 65536, "maxInflightMessages": 100,
            "rateLimits": {"messages": "100:1,1000:60", "telemetryMessages": "", "telemetryDataPoints": ""}}))

    def test_bad_reply_id(self):
        self.bad_input(RPC_REPLY + "x", "{}")


class Gateways(BenchCase):
    def setUp(self):
        super().setUp()
        self.bench.device("gw", gateway=True)

    def test_gateway(self):
        client = self.client("gw")
        client.subscribe("v1/gateway/attributes", "v1/gateway/rpc", "v1/gateway/attributes/response")
        client.acked("v1/gateway/connect", '{"device":"A"}')
        client.acked("v1/gateway/telemetry", '{"A":[{"ts":5,"values":{"x":1.5}},{"y":2}],"B":[{"z":1}],"C":3}')
        self.assertEqual(self.bench.event("telemetry")["device"], "A")
        self.assertEqual(self.bench.command("latest", token="gw/A")["values"]["x"], {"ts": 5, "v": 1.5, "type": "double"})
        self.bench.command("rpc", token="gw/A", method="m", params=1)
        self.assertEqual(client.message(), ("v1/gateway/rpc", {"device": "A", "data": {"id": 0, "method": "m", "params": 1}}))
        client.acked("v1/gateway/rpc", '{"device":"A","id":0,"data":{"done":1}}')
        self.assertEqual(self.bench.event("rpc_reply", token="gw/A")["payload"], {"done": 1})
        self.bench.command("shared", token="gw/A", values={"s": 1})
        self.assertEqual(client.message(), ("v1/gateway/attributes", {"device": "A", "data": {"s": 1}}))
        client.publish("v1/gateway/attributes/request", '{"id":4,"device":"A","client":false,"key":"s"}')
        self.assertEqual(client.message(), ("v1/gateway/attributes/response", {"id": 4, "device": "A", "value": 1}))

    def test_gateway_bad_input(self):
        for payload, body in (("[]", b"\x83\0"), ('{"A":1}', b"\x83\0")):
            raw = self.raw("gw", version=5)
            raw.publish("v1/gateway/telemetry", payload)
            self.assertEqual(raw.receive(), (PUBACK, 0, b"\0\1" + body))
            self.assertEqual(raw.receive(), (DISCONNECT, 0, body))
        for payload in ('{"A"', '{"A":[1]}'):
            raw = self.raw("gw")
            raw.publish("v1/gateway/telemetry", payload)
            self.assertIsNone(raw.receive())

    def test_child_goes_with_its_gateway(self):
        client = self.client("gw")
        client.acked("v1/gateway/connect", '{"device":"A"}')
        client.close()
        self.bench.event("disconnect")
        self.bench.command("rpc", token="gw/A", method="later")
        client = self.client("gw")
        client.acked("v1/gateway/connect", '{"device":"A"}')
        self.assertEqual(client.message()[1]["data"]["method"], "later")
        self.bench.command("remove", token="gw")
        self.assertFalse(self.bench.raw_command("latest", token="gw/A")["ok"])

    def test_case_62_gateway_limit(self):
        self.bench.command("limits", token="gw", children=True, telemetry_data_points="1:3600")
        for version, body in ((4, b"\0\1"), (5, b"\0\1\x97\0")):
            raw = self.raw("gw", version=version)
            raw.publish("v1/gateway/telemetry", '{"A":[{"x":1,"y":2}]}')
            self.assertEqual(raw.receive(), (PUBACK, 0, body))
            if version == 5:
                self.assertEqual(raw.receive()[0], DISCONNECT)
            self.assertIsNone(raw.receive())

    def test_a_gateway_and_its_children_have_limits_of_their_own(self):
        self.bench.command("limits", token="gw", children=True, telemetry_data_points="2:3600", messages="1:3600")
        client = self.client("gw")
        client.subscribe("v1/gateway/rpc")
        client.acked("v1/devices/me/telemetry", '{"x":1,"y":2,"z":3}')
        client.acked("v1/gateway/connect", '{"device":"A"}')
        # There is no token left for what comes down to this one.
        client.acked("v1/gateway/connect", '{"device":"B"}')
        self.bench.command("rpc", token="gw/B", method="lost")
        self.bench.command("rpc", token="gw/A", method="heard")
        self.assertEqual(client.message()[1]["data"]["method"], "heard")


class Provisioning(BenchCase):
    def ask(self, **members):
        client = self.client("provision")
        self.assertEqual(client.code, 0)
        self.assertEqual(client.subscribe("/provision/response", ATTRIBUTES), [1, 0x80])
        client.publish("/provision/request", json.dumps(members))
        topic, answer = client.message()
        self.assertEqual(topic, "/provision/response")
        return client, answer

    def test_case_64_provision(self):
        self.bench.command("provision", key="K", secret="S")
        self.bench.command("timing", provision_close_ms=100)
        wanted = {"deviceName": "new", "provisionDeviceKey": "K", "provisionDeviceSecret": "S", "token": "T1"}
        client, answer = self.ask(**wanted)
        self.assertEqual(answer, {"credentialsValue": "T1", "credentialsType": "ACCESS_TOKEN", "status": "SUCCESS"})
        client.ended()
        self.assertEqual(self.client("T1").code, 0)
        self.assertEqual(self.ask(**wanted)[1]["status"], "FAILURE")
        self.assertEqual(self.ask(**dict(wanted, provisionDeviceSecret="no"))[1]["status"], "NOT_FOUND")

    def test_case_64_strategies(self):
        self.bench.command("provision", key="K", secret="S", strategy="check")
        wanted = {"deviceName": "there", "provisionDeviceKey": "K", "provisionDeviceSecret": "S",
                  "credentialsType": "MQTT_BASIC", "clientId": "cid", "username": "u", "password": "p"}
        self.assertEqual(self.ask(**wanted)[1]["status"], "FAILURE")
        self.bench.device("old", name="there")
        self.assertEqual(self.ask(**wanted)[1]["credentialsValue"], {"clientId": "cid", "userName": "u", "password": "p"})
        self.assertEqual(self.client("u", client_id="cid", password="p").code, 0)
        self.assertEqual(self.ask(**wanted)[1]["status"], "FAILURE")
        self.bench.command("provision", strategy="disabled")
        self.assertEqual(self.ask(**wanted)[1]["status"], "NOT_FOUND")
        raw = self.raw("provision", version=5)
        raw.publish("/provision/request", '{"deviceName":"x"}')
        self.assertEqual(raw.receive(), (PUBACK, 0, b"\0\1\x83\0"))
        self.assertEqual(raw.receive()[0], DISCONNECT)

    def test_case_65_other_topic(self):
        for version, body in ((4, b"\0\1"), (5, b"\0\1\x90\0")):
            raw = self.raw("provision", version=version)
            raw.publish(TELEMETRY, '{"a":1}')
            self.assertEqual(raw.receive(), (PUBACK, 0, body))
            if version == 5:
                self.assertEqual(raw.receive()[0], DISCONNECT)
            self.assertIsNone(raw.receive())


class Steering(BenchCase):
    arguments = ("--any-token", "--quiet")

    def test_any_token_and_quiet(self):
        self.client("made up").acked(TELEMETRY, '{"a":1}')
        self.bench.none("telemetry")
        self.assertEqual(self.bench.command("stats")["values"], 1)
        self.bench.command("events", telemetry=True)
        self.client("another").acked(TELEMETRY, '{"a":1}')
        self.bench.event("telemetry")

    def test_bad_commands(self):
        for name, members in (("no such", {}), ("latest", {}), ("latest", {"token": "nobody"}), ("puback", {"mode": "x"}),
                              ("limits", {"messages": "x"}), ("device", {}), ("shared", {"values": 3})):
            self.assertFalse(self.bench.raw_command(name, **members)["ok"])

    def test_kick(self):
        for reset in (False, True):
            raw = self.raw("tok")
            self.assertEqual(self.bench.command("kick", token="tok", reset=reset)["kicked"], 1)
            self.assertIsNone(raw.receive())
            self.bench.event("disconnect", reason="kicked")

    def test_load(self):
        """Hundreds of sessions, and a stream of publishes whose acknowledgements are all read."""
        raws = [self.raw("t%d" % n) for n in range(300)]
        self.assertEqual(self.bench.command("stats")["sessions"], 300)
        burst = b"".join(raws[0].publish_packet(TELEMETRY, '{"a":1.5}', packet_id=n + 1) for n in range(200))
        for raw in raws[:50]:
            raw.send(burst)
        for raw in raws[:50]:
            for _ in range(200):
                self.assertEqual(raw.receive()[0], PUBACK)
        self.assertEqual(self.bench.command("stats")["pubacks"], 10000)

    def test_client_that_does_not_read(self):
        self.raw("tok")
        self.bench.event("connect")
        payload = "x" * 200000
        for _ in range(120):
            if not self.bench.raw_command("raw", token="tok", topic=RPC + "1", payload=payload)["ok"]:
                break
        self.bench.event("disconnect", reason="does not read")

    def test_commands_from_a_file(self):
        with open(__file__, encoding="utf-8") as not_commands:
            ended = subprocess.run([PROGRAM], stdin=not_commands, stdout=subprocess.PIPE, timeout=PATIENCE_S)
        self.assertEqual(ended.returncode, 0)
        self.assertIn(b"not a JSON object", ended.stdout)

    def test_bad_arguments(self):
        for arguments in (["--port", "70000"], ["--what"], ["more"]):
            self.assertEqual(subprocess.run([PROGRAM, *arguments], stderr=subprocess.DEVNULL, timeout=PATIENCE_S).returncode, 2)
        self.assertEqual(subprocess.run([PROGRAM, "--port", str(self.bench.port)], stderr=subprocess.DEVNULL,
                                        timeout=PATIENCE_S).returncode, 1)

    def test_sigterm(self):
        bench = Bench()
        bench.process.terminate()
        self.assertEqual(bench.process.wait(PATIENCE_S), 0)
        bench.close()


if __name__ == "__main__":
    if not os.access(PROGRAM, os.X_OK):
        print("%s is missing: skipped" % PROGRAM)
        sys.exit(SKIPPED)
    for tool in ("mosquitto_pub", "mosquitto_sub"):
        if not shutil.which(tool):
            print("%s is missing: skipped" % tool)
            sys.exit(SKIPPED)
    unittest.main(verbosity=2)
