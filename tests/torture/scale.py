"""A balance on a serial line: asked for its weight it says another one each time, and writes down what it said, as the Modbus
simulator does of registers."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sim"))

from instrument import Instrument

ASK = "READ"
PATTERN = "^W,([0-9]+);$"  # of what it says, as the gateway is told


class Scale(Instrument):
    def __init__(self, link, shown):
        """shown: is called with value, when it was asked, when the answer had left (both monotonic seconds), and its outcome."""
        self.shown = shown
        self.value = 0
        self.line = b""  # what is being said
        self.asked = {}  # when, by the value that it answered
        super().__init__(link=link, baud=9600)
        self.answer(ASK.encode() + rb"\r\n", self._weigh)

    def _weigh(self, _):
        self.value += 1
        self.asked[self.value] = time.monotonic()
        return b"W,%d;\n" % self.value

    def _note(self, way, data, at):
        super()._note(way, data, at)
        self.journal.clear()  # it is not read here, and would grow
        if way != "said":
            return
        self.line += data
        while b"\n" in self.line:
            line, _, self.line = self.line.partition(b"\n")
            number = re.search(rb"W,(\d+);$", line)
            if number and int(number[1]) in self.asked:
                # behind what is left of a line that was cut it need not be seen
                outcome = "reply" if number.start() == 0 else "fault behind cut"
                self.shown(int(number[1]), self.asked.pop(int(number[1])), at, outcome)

    def unplug(self):
        with self.changed:
            self.line = b""
        super().unplug()

    def heal(self):
        """No more faults."""
        with self.changed:
            self.faults.clear()
            self.muted = False
