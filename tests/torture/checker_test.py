#!/usr/bin/python3
"""The judge of a torture run finds each kind of lie, and finds none where there is none."""

import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from checker import (
    DISK, FORGETS, FROZEN, OUTAGE, POLL, REPEAT, Arrived, Checker, Command, Life, Limits, Shown, Window, Write,
)
from derived import Derived
from faults import FAULTS, FIELD, make_plan, possible
from world import Bus, lay_out


def window(start, end, *excuses, buses=None):
    return Window("test", start, end, frozenset(excuses), buses)


class Telemetry(unittest.TestCase):
    """Two devices, each read 50 times, every 100 ms, from t = 1000 on; all of it arrives 20 ms later."""

    def setUp(self):
        self.windows, self.lives, self.limits, self.steps, self.pauses = [], [Life(0)], Limits(), [], {}
        self.shown, self.arrived = [], []
        for number in range(50):
            for bus, series in enumerate(("A.n", "B.n")):
                at = 1000 + 100 * number
                self.shown.append(Shown(series, 7 + number, at - 10, at, bus, "reply", (bus, at)))
                self.arrived.append(Arrived(series, 7 + number, at + 1, at + 20, 1))

    def check(self):
        checker = Checker(self.limits, self.windows, self.lives, self.steps, self.pauses)
        return checker.check_telemetry(self.shown, self.arrived)

    def assert_finds(self, *kinds):
        verdict = self.check()
        self.assertEqual({kind: len(found) for kind, found in verdict.faults.items()}, {kind: 1 for kind in kinds})
        return verdict

    def index(self, value, series="A.n"):
        return next(i for i, row in enumerate(self.arrived) if (row.series, row.value) == (series, value))

    def drop(self, *values, series="A.n"):
        for value in values:
            del self.arrived[self.index(value, series)]

    def change(self, value, **members):
        index = self.index(value)
        self.arrived[index] = self.arrived[index]._replace(**members)

    def spoil(self, value, **members):
        index = next(i for i, reply in enumerate(self.shown) if (reply.series, reply.value) == ("A.n", value))
        self.shown[index] = self.shown[index]._replace(**members)

    def test_a_good_run(self):
        verdict = self.check()
        self.assertTrue(verdict, dict(verdict.faults))
        self.assertEqual((verdict.counts["shown"], verdict.counts["checked"], verdict.counts["arrived"]), (100, 100, 100))

    def test_one_missing(self):
        self.drop(30)
        self.assertIn("A.n 30", self.assert_finds("missing").faults["missing"][0])

    def test_one_invented(self):
        self.arrived.insert(50, Arrived("A.n", 4711, 3000, 3020, 1))
        self.assert_finds("invented")

    def test_a_value_of_another_device(self):
        self.arrived.append(Arrived("C.n", 30, 3000, 3020, 1))
        self.assert_finds("invented")

    def test_a_spoilt_reply_believed(self):
        self.spoil(30, outcome="fault bad_crc")
        self.assert_finds("invented")

    def test_a_spoilt_reply_need_not_arrive(self):
        self.spoil(30, outcome="fault bad_crc")
        self.drop(30)
        self.assertEqual(self.check().counts["excused: spoilt reply"], 1)
        self.assertTrue(self.check())

    def test_a_wrong_time(self):
        for value, ts in ((20, 2298), (30, 3300 + 501), (40, 0)):
            with self.subTest(ts=ts):
                self.setUp()
                self.change(value, ts=ts)
                self.assert_finds("wrong time")

    def test_a_reply_that_is_followed_by_noise_is_whole_before(self):
        self.change(30, ts=3295)
        self.assert_finds("wrong time")
        self.spoil(30, outcome="fault glued")
        self.assertTrue(self.check())
        self.change(30, ts=3288)
        self.assert_finds("wrong time")

    def test_a_time_taken_after_standing_still(self):
        self.windows = [window(3300, 6000, FROZEN)]
        self.change(30, ts=3300 + 1400)
        self.assertTrue(self.check())
        self.change(30, ts=6000)
        self.assert_finds("wrong time")

    def test_a_step_of_the_clock(self):
        self.steps = [(3250, 3600000)]
        self.arrived = [row._replace(ts=row.ts + (3600000 if row.ts > 3250 else 0)) for row in self.arrived]
        self.assertTrue(self.check())
        self.change(40, ts=4300 + 3600000 + 600)
        self.assert_finds("wrong time")
        self.change(40, ts=4300 + 3600000)
        self.change(8, ts=1100 + 3600000)
        self.assert_finds("wrong time")

    def test_an_order_reversed(self):
        first, second = self.index(20), self.index(21)
        self.arrived[first], self.arrived[second] = self.arrived[second], self.arrived[first]
        self.assert_finds("order")

    def test_the_order_of_different_devices_is_free(self):
        mine = [row for row in self.arrived if row.series == "A.n"]
        self.arrived = [row for row in self.arrived if row.series == "B.n"] + mine
        self.assertTrue(self.check())

    def test_repeated_with_another_time(self):
        self.windows = [window(2000, 3000, REPEAT)]
        row = self.arrived[self.index(20)]
        self.arrived.append(row._replace(ts=row.ts + 1, session=2))
        self.assert_finds("wrong time")

    def test_repeated_within_a_session(self):
        self.windows = [window(2000, 3000, REPEAT)]
        self.arrived.append(self.arrived[self.index(20)])
        self.assert_finds("repeated")

    def test_repeated_though_nothing_was_wrong(self):
        self.limits.repeat_ms = self.limits.recovery_ms = 100
        self.windows = [window(4000, 4100, REPEAT)]
        self.arrived.append(self.arrived[self.index(20)]._replace(session=2))
        self.assert_finds("repeated")

    def test_repeated_with_a_reason(self):
        self.windows = [window(2300, 2400, REPEAT)]
        self.arrived.append(self.arrived[self.index(20)]._replace(session=2))
        verdict = self.check()
        self.assertTrue(verdict)
        self.assertEqual(verdict.counts["repeated"], 1)

    def test_a_fault_of_the_field_excuses_its_bus_only(self):
        self.windows = [window(3200, 3400, POLL, buses=frozenset({1}))]
        self.drop(30)
        self.assert_finds("missing")
        self.windows = [window(3200, 3400, POLL, buses=frozenset({0}))]
        self.assertEqual(self.check().counts["excused: field fault"], 1)
        self.assertTrue(self.check())

    def test_a_store_that_was_damaged_in_a_later_life(self):
        self.lives = [Life(0, 4000, "kill"), Life(4100, 4500, "damage"), Life(4600)]
        self.limits.flush_ms = 1000
        self.drop(20)
        self.assert_finds("missing")
        for value in range(20, 40):
            if value != 20:
                self.change(value, at=4700)
        self.assertEqual(self.check().counts["excused: damaged store"], 1)
        self.assertTrue(self.check())

    def test_given_up_early(self):
        """Left alone after 10, which failed, and after 14; not after 30."""
        def build(*failed):
            self.setUp()
            self.pauses, now, shown = {0: 1000}, 1000, []
            for reply in (reply for reply in self.shown if reply.series == "A.n"):
                shown.append(reply._replace(asked=now - 10, at=now, request=(0, now)))
                now += 1100 if reply.value in failed else 100
            self.shown = shown
            self.arrived = [Arrived("A.n", reply.value, reply.at + 1, reply.at + 20, 1) for reply in shown]
        build(10, 14)
        self.drop(14)
        self.assertEqual(self.check().counts["excused: given up early"], 1)
        self.assertTrue(self.check())
        build(10, 14)
        self.drop(13)
        self.assert_finds("missing")
        build(10, 30)
        self.drop(30)
        self.assert_finds("missing")

    def test_a_late_reply_takes_the_place_of_the_next(self):
        self.spoil(30, outcome="fault late", at=3395)
        self.change(30, ts=3396)
        self.drop(31)
        self.assertEqual(self.check().counts["excused: displaced by a late reply"], 1)
        self.assertTrue(self.check())
        self.spoil(30, at=3380)
        self.change(30, ts=3381)
        self.assert_finds("missing")

    def test_a_reply_after_its_time(self):
        self.spoil(30, asked=3300 - 1000)
        self.drop(30)
        self.assertEqual(self.check().counts["excused: late reply"], 1)

    def test_kill_with_a_memory_store(self):
        self.lives = [Life(0, 3350, "kill"), Life(3360)]
        self.drop(28, 29, 30)
        verdict = self.check()
        self.assertTrue(verdict)
        self.assertEqual((verdict.counts["excused: held in memory"], verdict.counts["excused: in flight"]), (2, 1))
        # but not with a hole, for the store is a queue
        self.drop(20)
        self.assert_finds("missing")

    def test_kill_does_not_excuse_what_was_old(self):
        self.lives = [Life(0, 3350, "kill"), Life(3360)]
        self.limits.held_ms = 500
        self.drop(*range(20, 31))
        self.assertEqual(len(self.check().faults["missing"]), 6)
        self.windows = [window(2200, 3000, OUTAGE)]
        self.assertTrue(self.check())

    def test_kill_with_a_durable_store(self):
        self.lives = [Life(0, 3350, "kill"), Life(3360)]
        self.limits.flush_ms = 300
        self.windows = [window(2200, 3000, OUTAGE)]
        self.drop(*range(28, 31))
        self.assertTrue(self.check())
        self.drop(26, 27)
        self.assertEqual(len(self.check().faults["missing"]), 2)
        self.windows.append(window(2000, 3000, DISK))
        self.assertTrue(self.check())

    def test_a_stop_loses_only_what_is_in_flight(self):
        self.lives = [Life(0, 3350, "term"), Life(3360)]
        self.drop(30)
        self.assertEqual(self.check().counts["excused: in flight"], 1)
        self.drop(29)
        self.assert_finds("missing")
        self.windows = [window(3000, 3100, OUTAGE)]
        self.assertTrue(self.check())
        self.limits.flush_ms = 300
        self.assert_finds("missing")

    def test_standing_still_costs_the_reply_in_flight(self):
        self.windows = [window(3310, 3385, FROZEN)]
        self.drop(30)
        self.assertEqual(self.check().counts["excused: in flight"], 1)
        self.drop(29)
        self.assert_finds("missing")


class States(unittest.TestCase):
    def test_a_state_must_have_been_shown_then(self):
        shown = [Shown("A.w", value, at - 5, at, 0, "reply", (0, at)) for value, at in ((1, 1000), (2, 2000), (1, 3000))]
        for value, ts, wrong in ((1, 1000, 0), (2, 2010, 0), (1, 3400, 0), (1, 2000, 1), (2, 3000, 1), (3, 1000, 1)):
            with self.subTest(value=value, ts=ts):
                verdict = Checker(Limits(), [], [Life(0)]).check_telemetry(shown, [Arrived("A.w", value, ts, ts + 9, 1)], {"A.w"})
                self.assertEqual(len(verdict.faults["invented"]), wrong)


class Commands(unittest.TestCase):
    def check(self, replies, writes, windows=(), subscribed=(), value=5, lives=(Life(0, 3900),)):
        command = Command("A", 0, 1, value, 1000, list(subscribed), list(replies))
        verdict = Checker(Limits(rpc_ms=1500), windows, lives).check_commands([command], writes)
        return len(verdict.faults.get("command", []))

    def test_done(self):
        self.assertEqual(self.check([({"value": 5}, 1100)], [Write(0, 1, 5, 1050, True)]), 0)

    def test_done_and_not_executed(self):
        self.assertEqual(self.check([({"value": 5}, 1100)], []), 1)
        self.assertEqual(self.check([({"value": 5}, 1100)], [Write(0, 1, 5, 1050, False)]), 1)

    def test_done_before_it_was(self):
        self.assertEqual(self.check([({"value": 5}, 1100)], [Write(0, 1, 5, 1200, True)]), 1)

    def test_done_with_another_value(self):
        self.assertEqual(self.check([({"value": 6}, 1100)], [Write(0, 1, 5, 1050, True)]), 1)

    def test_nothing_was_sent(self):
        error = ({"error": "bus b: busy for too long, the request expired and nothing was sent"}, 2600)
        self.assertEqual(self.check([error], []), 0)
        self.assertEqual(self.check([error], [Write(0, 1, 5, 1050, False)]), 1)
        self.assertEqual(self.check([({"error": "bus b: offline"}, 2600)], [Write(0, 1, 5, 1050, True)]), 1)

    def test_in_doubt(self):
        error = ({"error": "bus b unit 1: no answer; it may or may not have been written"}, 2600)
        self.assertEqual(self.check([error], []), 0)
        self.assertEqual(self.check([error], [Write(0, 1, 5, 1050, True)]), 0)

    def test_refused_and_executed(self):
        error = ({"error": "unit 1 refused: exception 2 (illegal data address)"}, 1100)
        self.assertEqual(self.check([error], [Write(0, 1, 5, 1050, False)]), 0)
        self.assertEqual(self.check([error], [Write(0, 1, 5, 1050, True)]), 1)

    def test_twice(self):
        self.assertEqual(self.check([({"value": 5}, 1100)], [Write(0, 1, 5, 1050, True), Write(0, 1, 5, 1060, True)]), 1)

    def test_twice_by_two_processes(self):
        writes = [Write(0, 1, 5, 1050, True), Write(0, 1, 5, 1300, True)]
        self.assertEqual(self.check([({"value": 5}, 1350)], writes, lives=[Life(0, 1200, "kill"), Life(1250)]), 1)

    def test_not_known_after_a_restart(self):
        error = ({"error": "the gateway was restarted after it had taken the request: it may or may not have been written"}, 1350)
        lives = [Life(0, 1200, "kill"), Life(1250)]
        self.assertEqual(self.check([error], [Write(0, 1, 5, 1050, True)], lives=lives), 0)
        self.assertEqual(self.check([error], [], lives=lives), 0)
        self.assertEqual(self.check([error], []), 1)

    def test_after_its_expiry(self):
        self.assertEqual(self.check([], [Write(0, 1, 5, 3200, True)]), 1)
        self.assertEqual(self.check([], [Write(0, 1, 5, 3200, True)], subscribed=[1900]), 0)
        self.assertEqual(self.check([], [Write(0, 1, 5, 3200, True)], windows=[window(1100, 2900, FROZEN)]), 0)
        self.assertEqual(self.check([], [Write(0, 1, 5, 6200, True)], windows=[window(2400, 6100, FROZEN)]), 1)

    def test_cause_and_effect_are_told_apart(self):
        self.assertEqual(self.check([], [Write(0, 1, 5, 8000.1, True)], subscribed=[8000]), 0)
        self.assertEqual(self.check([], [Write(0, 1, 5, 7999.9, True)], subscribed=[8000]), 1)
        self.assertEqual(self.check([], [Write(0, 1, 5, 999.9, True)]), 1)

    def test_never_answered(self):
        lives = [Life(0, 60000)]
        self.assertEqual(self.check([], [], lives=lives), 1)
        self.assertEqual(self.check([], [], lives=[Life(0, 3900)]), 0)
        away = window(500, 20000, OUTAGE)
        self.assertEqual(self.check([], [], windows=[away], lives=lives), 0)
        self.assertEqual(self.check([], [], windows=[window(500, 9000, OUTAGE)], subscribed=[9500], lives=lives), 1)
        self.assertEqual(self.check([], [], windows=[away], subscribed=[20500], lives=lives), 0)  # the server has given it up
        self.assertEqual(self.check([], [], windows=[window(1500, 1500, OUTAGE, FORGETS)], subscribed=[2500], lives=lives), 0)

    def test_nobody_asked(self):
        self.assertEqual(self.check([], [Write(0, 2, 5, 1050, True)]), 1)

    def test_two_replies(self):
        self.assertEqual(self.check([({"value": 5}, 1100), ({"error": "bus b: offline"}, 1200)], [Write(0, 1, 5, 1050, True)]), 2)


class Attributes(unittest.TestCase):
    """Read every second from t = 1000 on, told 20 ms later; the process ends at t = 60000."""

    def setUp(self):
        self.windows, self.lives = [], [Life(0, 60000)]
        self.shown = [Shown("A.a", 7 + i, 990 + 1000 * i, 1000 + 1000 * i, 0, "reply", (0, i)) for i in range(58)]
        self.told = [Arrived("A.a", 7 + i, None, 1020 + 1000 * i, 1) for i in range(58)]

    def findings(self):
        checker = Checker(Limits(), self.windows, self.lives)
        checker.check_telemetry([], [], others=self.shown)
        return len(Derived(checker).check_attributes(self.shown, self.told).faults.get("attribute", []))

    def test_good(self):
        self.assertEqual(self.findings(), 0)

    def test_only_the_last_value_counts(self):
        del self.told[10:56]
        self.assertEqual(self.findings(), 0)

    def test_the_last_value_is_missing(self):
        del self.told[50:]
        self.assertEqual(self.findings(), 1)

    def test_nothing_is_told(self):
        self.told = []
        self.assertEqual(self.findings(), 1)

    def test_invented(self):
        self.told.insert(3, Arrived("A.a", 4711, None, 3900, 1))
        self.assertEqual(self.findings(), 1)
        self.told[3] = Arrived("A.a", 10, None, 3900, 1)  # a moment before the unit shows it
        self.assertEqual(self.findings(), 1)

    def test_a_spoilt_reply_believed(self):
        self.shown[5] = self.shown[5]._replace(outcome="fault bad_crc")
        self.assertEqual(self.findings(), 1)

    def test_told_before_the_noise_behind_it_has_left(self):
        self.told[5] = self.told[5]._replace(at=5999)
        self.assertEqual(self.findings(), 1)
        self.shown[5] = self.shown[5]._replace(outcome="fault garbage_after")
        self.assertEqual(self.findings(), 0)

    def test_an_older_one_after_a_newer(self):
        self.told[5:7] = [self.told[6]._replace(at=7020), self.told[5]._replace(at=7030)]
        self.assertEqual(self.findings(), 1)

    def test_what_was_long_replaced(self):
        self.told[20:40] = [self.told[20]._replace(at=39000)]
        self.assertEqual(self.findings(), 1)
        self.windows = [window(22000, 33000, OUTAGE)]
        self.assertEqual(self.findings(), 0)


class Aggregates(unittest.TestCase):
    """Ten reads in each of ten windows of a second."""

    def setUp(self):
        self.windows, self.lives, self.steps = [], [Life(0, 60000)], []
        self.shown = [Shown("A.g", 7 + i, 1040 + 100 * i, 1050 + 100 * i, 0, "reply", (0, i)) for i in range(100)]
        self.told = []
        for number in range(10):
            self.add(2000 + 1000 * number, 7 + 10 * number, 16 + 10 * number, 10)

    def add(self, ts, least, most, count, place=None):
        rows = [Arrived(f"A.g_{name}", value, ts, ts + 1020, 1)
                for name, value in (("min", least), ("max", most), ("last", most), ("count", count))]
        place = len(self.told) if place is None else 4 * place
        self.told[place:place] = rows

    def change(self, number, **members):
        del self.told[4 * number:4 * number + 4]
        values = {"ts": 2000 + 1000 * number, "least": 7 + 10 * number, "most": 16 + 10 * number, "count": 10, **members}
        self.add(place=number, **values)

    def findings(self):
        checker = Checker(Limits(flush_ms=1500), self.windows, self.lives, self.steps)
        checker.check_telemetry([], [], others=self.shown)
        verdict = Derived(checker).check_aggregates(self.shown, self.told, 1000)
        return len(verdict.faults.get("aggregate", []))

    def test_good(self):
        self.assertEqual(self.findings(), 0)

    def test_another_count(self):
        for count in (9, 11):
            self.change(3, count=count)
            self.assertEqual(self.findings(), 1)

    def test_a_spoilt_reply_may_not_count(self):
        self.shown[35] = self.shown[35]._replace(outcome="fault bad_crc")
        self.assertEqual(self.findings(), 1)
        self.change(3, count=9)
        self.assertEqual(self.findings(), 0)

    def test_a_value_that_no_unit_showed(self):
        self.change(3, most=4711)
        self.assertEqual(self.findings(), 1 + 10)  # whose values are in none

    def test_the_first_value_is_left_out(self):
        self.change(3, least=38, count=9)
        self.assertEqual(self.findings(), 1)

    def test_a_value_in_two_windows(self):
        self.change(3, least=36, count=11)
        self.assertEqual(self.findings(), 1)

    def test_another_time(self):
        for ts in (4900, 5700):
            self.change(3, ts=ts)
            self.assertEqual(self.findings(), 1)

    def test_cut_short(self):
        self.lives = [Life(0, 5000), Life(5100, 60000)]
        self.change(3, ts=4951)
        self.assertEqual(self.findings(), 0)

    def test_one_is_missing(self):
        del self.told[4 * 3 + 1]
        self.assertEqual(self.findings(), 1 + 10)

    def test_two_values_of_one_window(self):
        self.told.append(self.told[4]._replace(value=4))
        self.assertEqual(self.findings(), 1)

    def test_an_open_window_is_lost_with_its_process(self):
        self.lives = [Life(0, 5500, "kill"), Life(5500, 60000)]
        del self.told[4 * 4:4 * 5]
        self.assertEqual(self.findings(), 5)  # what the second process read
        self.add(6000, 52, 56, 5, place=4)
        self.assertEqual(self.findings(), 0)
        self.lives[0].how = "term"
        self.assertEqual(self.findings(), 4)  # all but what was in flight

    def test_a_step_of_the_clock(self):
        self.steps = [(5000, 600000)]
        for number in range(4, 10):
            self.change(number, ts=2000 + 1000 * number + 600000)
        self.assertEqual(self.findings(), 0)


class Plan(unittest.TestCase):
    def plan(self, seed, seconds=300, devices=20):
        buses, listed = lay_out(devices)
        buses.append(Bus(len(buses), "scale", "serial", [1]))
        faults = possible({"store", "disk", "clock"}, {bus.kind for bus in buses})
        return make_plan(random.Random(seed), seconds, buses, [device.name for device in listed], faults)

    def test_a_seed_is_a_plan(self):
        self.assertEqual([str(event) for event in self.plan(7)], [str(event) for event in self.plan(7)])
        self.assertNotEqual([str(event) for event in self.plan(7)], [str(event) for event in self.plan(8)])

    def test_every_fault_happens(self):
        self.assertEqual({event.fault.name for event in self.plan(1, 3000)}, {fault.name for fault in FAULTS})

    def test_one_fault_at_a_time_in_one_place_and_several_in_all(self):
        free, together, most = {}, [], 0
        for event in self.plan(3):
            place = (FIELD, event.target[0]) if event.fault.place == FIELD else (event.fault.place, event.target)
            self.assertGreaterEqual(event.at, free.get(place, 0), str(event))
            free[place] = event.at + event.seconds
            together = [end for end in together if end > event.at] + [event.at + event.seconds]
            most = max(most, len(together))
        self.assertGreater(most, 2)

    def test_units_hang_where_the_plan_looks_for_them(self):
        for count in (1, 3, 4, 20, 200):
            buses, devices = lay_out(count)
            self.assertEqual(len(devices), count)
            self.assertEqual(len({(device.bus.number, device.unit) for device in devices}), count)
            self.assertEqual([bus.number for bus in buses], list(range(len(buses))))


if __name__ == "__main__":
    unittest.main(verbosity=1)
