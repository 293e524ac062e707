"""A serial instrument for tests: on a pseudo-terminal at the pace of a real line, or behind a TCP device server.

It streams what it is given, answers what it understands, and fails as the real thing fails:

- bytes leave one after the other, at the rate of its line; an answer begins when the last bit of the request has passed the wire
  and the instrument has thought;
- on a pseudo-terminal it hears rubbish, and is heard as rubbish, while the other side is set to another speed;
- what it says while nobody listens is lost, and so is what does not fit into the receiver.

One thread a simulator. The script's callables run in that thread; everything else may be called by any. `journal` holds what passed
in both directions, with the time of its last bit.
"""

import collections
import contextlib
import heapq
import itertools
import os
import re
import select
import socket
import struct
import termios
import threading
import time

PATIENCE = float(os.environ.get("PATIENCE", "20"))
LOOK_S = 0.01  # a pseudo-terminal that nobody has open only says so when asked
HEARD_MAX = 65536

SPEEDS = {
    getattr(termios, name): int(name[1:])
    for name in dir(termios)
    if re.fullmatch(r"B[0-9]+", name)
}

Entry = collections.namedtuple("Entry", "at way data baud")  # way: "heard" or "said"; baud: of the other side, None on TCP


class _Terminal:
    """The instrument's end of a pseudo-terminal under a link that can be unplugged."""

    def __init__(self, link):
        self.link = link
        self.master = None
        self.plug()

    def plug(self):
        self.master, slave = os.openpty()
        os.set_blocking(self.master, False)
        path = os.ttyname(slave)
        os.close(slave)
        os.symlink(path, self.link)

    def unplug(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.link)
        if self.master is not None:
            os.close(self.master)
        self.master = None

    def descriptors(self):
        return [self.master] if self.is_open() else []

    def is_open(self):
        if self.master is None:
            return False
        poll = select.poll()
        poll.register(self.master, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def baud(self):
        return SPEEDS.get(termios.tcgetattr(self.master)[5])

    def read(self):
        if self.master is None:
            return b""
        try:
            return os.read(self.master, 4096)
        except OSError:
            return b""

    def write(self, data):
        try:
            return os.write(self.master, data)
        except OSError:
            return 0


class _Socket:
    """A device server with one connection."""

    def __init__(self, port):
        self.port = port
        self.listening = None
        self.connection = None
        self.connections = 0
        self.farewell = None  # said to whoever connects, who then is hung up on
        self.plug()

    def plug(self):
        self.listening = socket.socket()
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind(("127.0.0.1", self.port))
        self.listening.listen()
        self.port = self.listening.getsockname()[1]

    def hang_up(self, reset=True):
        if not self.connection:
            return
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.connection = None

    def unplug(self):
        # in this order: who comes back at once shall find nobody. The thread that waits for it keeps it listening if it is only closed.
        if self.listening:
            self.listening.shutdown(socket.SHUT_RDWR)
            self.listening.close()
        self.listening = None
        self.hang_up()

    def descriptors(self):
        return [item.fileno() for item in (self.listening, self.connection) if item]

    def is_open(self):
        return self.connection is not None

    def baud(self):
        return None

    def read(self):
        if self.listening and select.select([self.listening], [], [], 0)[0]:
            self.hang_up()
            self.connection = self.listening.accept()[0]
            self.connection.setblocking(False)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            if self.farewell is not None:
                self.write(self.farewell)
                self.hang_up(reset=False)
        if not self.connection:
            return b""
        try:
            data = self.connection.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.hang_up(reset=False)
        return data

    def write(self, data):
        try:
            return self.connection.send(data) if self.connection else 0
        except OSError:
            return 0


class Instrument:
    def __init__(self, link=None, tcp=None, baud=9600, bits=10):
        """link: path of a symlink to the pseudo-terminal; else tcp: a port, 0 any. baud 0: no pace, no speed of its own."""
        self.wire = _Terminal(link) if link else _Socket(tcp or 0)
        self.baud = baud
        self.bits = bits
        self.muted = False  # it is there, and says nothing
        self.echo = False  # two wires: what is sent is heard
        self.lost = 0  # bytes that nobody listened to
        self.journal = []
        self.changed = threading.Condition(threading.RLock())
        self.answers = []
        self.faults = []
        self.queue = collections.deque()  # what is being said
        self.free_at = 0  # the last bit that was queued has left
        self.heard = b""
        self.timed = []
        self.order = itertools.count()
        self.ending = False
        self.look, self.nudge = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def port(self):
        return self.wire.port

    def close(self):
        with self.changed:
            self.ending = True
        self._wake()
        self.thread.join(PATIENCE)
        self.wire.unplug()
        os.close(self.look)
        os.close(self.nudge)

    # --- the script

    def say(self, data, after=0.0):
        """Send it, once what is being sent has left, `after` seconds from now."""
        self._at(time.monotonic() + after, lambda: self._queue(data))

    def stream(self, period_s, source):
        """Say an item of `source` (bytes for ever the same, or an iterable) each period. Returns a function that ends it."""
        items = itertools.repeat(source) if isinstance(source, bytes) else iter(source)
        running = [True]

        def turn(due):
            if not running[0]:
                return
            item = next(items, None)
            if item is None:
                return
            self._queue(item)
            self._at(due + period_s, lambda: turn(due + period_s))

        start = time.monotonic()
        self._at(start, lambda: turn(start))
        return lambda: running.__setitem__(0, False)

    def answer(self, pattern, reply, delay_s=0.0):
        """When `pattern` (a regular expression over what was heard) is there, say `reply`: bytes, or what a callable makes of the
        match, None for nothing. Later rules go first."""
        with self.changed:
            self.answers.insert(0, (re.compile(pattern, re.DOTALL), reply, delay_s))

    def forget(self):
        """No more rules."""
        with self.changed:
            self.answers.clear()

    def fault(self, kind, count=1):
        """Damage the next `count` things that are said: "cut", "flip" (one bit), "garbage" (before it), "nul" (inside), "drop"."""
        with self.changed:
            self.faults += [kind] * count

    def unplug(self):
        with self.changed:
            self.queue.clear()
            self.heard = b""
            self.wire.unplug()
        self._wake()

    def plug(self):
        with self.changed:
            self.wire.plug()
        self._wake()

    def hang_up(self):
        with self.changed:
            self.wire.hang_up()
        self._wake()  # who waits for a connection keeps it

    # --- what was seen

    def wait_open(self, connections=1):
        """Until somebody has the port open, or has connected so many times."""
        deadline = time.monotonic() + PATIENCE
        while not self.wire.is_open() or getattr(self.wire, "connections", connections) < connections:
            if time.monotonic() > deadline:
                raise AssertionError("nobody came")
            time.sleep(0.005)
        time.sleep(0.02)  # a port is set up and emptied after it was opened

    def mark(self):
        with self.changed:
            return len(self.journal)

    def entries(self, way, since=0):
        with self.changed:
            return [entry for entry in self.journal[since:] if entry.way == way]

    def all_heard(self, since=0):
        return b"".join(entry.data for entry in self.entries("heard", since))

    def wait_heard(self, pattern, since=0, timeout=None, count=1):
        """Until that was heard, `count` times; returns the time."""
        return self._wait("heard", pattern, since, timeout, count)

    def wait_said(self, pattern, since=0, timeout=None, count=1):
        return self._wait("said", pattern, since, timeout, count)

    def _wait(self, way, pattern, since, timeout, count):
        deadline = time.monotonic() + (timeout or PATIENCE)
        with self.changed:
            while True:
                data = b"".join(entry.data for entry in self.entries(way, since))
                if len(re.findall(pattern, data, re.DOTALL)) >= count:
                    return time.monotonic()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{pattern} was not {way} {count} times, but: {data[-500:]}")
                self.changed.wait(left)

    # --- the thread

    def _wake(self):
        with contextlib.suppress(OSError):
            os.write(self.nudge, b"!")

    def _at(self, when, what):
        with self.changed:
            heapq.heappush(self.timed, (when, next(self.order), what))
        self._wake()

    def _character_s(self):
        return self.bits / self.baud if self.baud else 0

    def _is_deaf(self):
        there = self.wire.baud()
        return bool(self.baud and there is not None and there != self.baud)

    def _damage(self, data):
        if not self.faults:
            return data
        kind = self.faults.pop(0)
        half = len(data) // 2
        return {
            "cut": data[:half],
            "flip": data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :] if data else data,
            "garbage": bytes(range(0x80, 0xA0)) + data,
            "nul": data[:half] + b"\0\0" + data[half:],
            "drop": b"",
        }[kind]

    def _queue(self, data):
        if self.muted or not self.wire.is_open():
            return
        data = self._damage(data)
        self._send(data)

    def _send(self, data):
        # in pieces of a millisecond, or of a character where that takes longer
        step = max(1, int(0.001 / self._character_s())) if self.baud else 4096
        at = max(time.monotonic(), self.free_at)
        for begin in range(0, len(data), step):
            piece = data[begin : begin + step]
            at += len(piece) * self._character_s()
            self.queue.append((at, piece))
        self.free_at = at

    def _note(self, way, data, at):
        self.journal.append(Entry(at, way, data, self.wire.baud() if self.wire.is_open() else None))
        self.changed.notify_all()

    def _emit(self, now):
        while self.queue and self.queue[0][0] <= now:
            at, piece = self.queue.popleft()
            if not self.wire.is_open():
                self.lost += len(piece)
                continue
            rubbish = self._is_deaf()
            taken = self.wire.write(bytes(byte ^ 0xA5 for byte in piece) if rubbish else piece)
            self.lost += len(piece) - taken
            self._note("said", piece[:taken], now)

    def _hear(self):
        data = self.wire.read()
        if not data:
            return
        if self._is_deaf():
            data = bytes(byte ^ 0xA5 for byte in data)
        wire_s = len(data) * self._character_s()
        self._note("heard", data, time.monotonic() + wire_s)
        if self.echo:
            self._send(data)
        self.heard = (self.heard + data)[-HEARD_MAX:]
        heapq.heappush(self.timed, (time.monotonic() + wire_s, next(self.order), self._understand))

    def _understand(self):
        while True:
            hits = []
            for pattern, reply, delay_s in self.answers:
                match = pattern.search(self.heard)
                if match:
                    hits.append((match.end(), len(hits), match, reply, delay_s))
            if not hits:
                return
            end, _, match, reply, delay_s = min(hits, key=lambda hit: hit[:2])
            self.heard = self.heard[end:]
            said = reply(match) if callable(reply) else reply
            if said:
                heapq.heappush(
                    self.timed,
                    (time.monotonic() + delay_s, next(self.order), lambda said=said: self._queue(said)),
                )

    def _turn(self):
        """Do what is due. Returns the descriptors to watch and until when."""
        now = time.monotonic()
        while self.timed and self.timed[0][0] <= now:
            heapq.heappop(self.timed)[2]()
        self._emit(now)
        due = [item[0][0] for item in (self.timed, self.queue) if item]
        if isinstance(self.wire, _Terminal) and not self.wire.is_open():
            due.append(now + LOOK_S)
        return self.wire.descriptors(), min(due, default=None)

    def _run(self):
        while True:
            with self.changed:
                if self.ending:
                    return
                watched, due = self._turn()
            wait = None if due is None else max(0.0, due - time.monotonic())
            try:
                ready = select.select([*watched, self.look], [], [], wait)[0]
            except (OSError, ValueError):
                continue  # it was unplugged meanwhile
            if self.look in ready:
                os.read(self.look, 4096)
            with self.changed:
                if any(fd in ready for fd in watched) and not self.ending:
                    self._hear()
