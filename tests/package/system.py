#!/usr/bin/python3
"""The package on a machine of its own: Debian is booted, the package installed, and what happens to a gateway in years happens to it
within minutes. The machine is virtual; the units and the ThingsBoard bench are this one's.

    system.py IMAGE PACKAGE NEWER      (see image.sh, newer.sh)

Every step is judged; the exit status is 0 if all were as promised."""

import base64
import os
import re
import shutil
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import harness
from harness import buses, device, devices, rtu_bus, server, tcp_bus
from machine import Machine

# An emulated machine on a busy one: the boot takes its time, the rest less.
BOOT_PATIENCE = 300
PATIENCE = 90


class World:
    """The machine, and what is around it."""

    def __init__(self, image, package, newer, folder):
        self.package, self.newer = package, newer
        self.tb = harness.Bench("--any-token")
        self.field = harness.Modbus("--tcp", "0", "--rtu", os.path.join(folder, "line"), "--baud", "19200", "--log", "requests")
        self.tb.ask("keep", series=True)
        self.machine = Machine(image, folder, os.path.realpath(os.path.join(folder, "line")))
        self.machine.power_on(BOOT_PATIENCE)
        self.run, self.shell, self.until = self.machine.run, self.machine.shell, self.machine.until

    def copy(self, path, there):
        """A file, in pieces that the guest's terminal takes."""
        with open(path, "rb") as file:
            content = file.read()
        self.run(f": >{there}")
        for start in range(0, len(content), 24000):
            self.run(f"base64 -d >>{there} <<'END'\n{base64.b64encode(content[start:start + 24000]).decode()}\nEND")

    def write(self, there, text):
        self.run(f"cat >{there} <<'END'\n{text}\nEND")

    def configuration(self, more="", prefix=""):
        points = ['key = "n"; table = "holding"; addr = 0; type = "uint16"']
        return (
            server(self.tb.port, reconnect_min_ms=200, reconnect_max_ms=1000).replace("127.0.0.1", "10.0.2.2")
            + buses(tcp_bus("plc", self.field.tcp[0], connect_pause_ms=200).replace("127.0.0.1", "10.0.2.2"),
                    rtu_bus("line", self.adapter, baud=19200, parity='"none"'))
            + devices(device(prefix + "Plc", "plc", points + ([more] if more else []), period_ms=200),
                      device(prefix + "Meter", "line", points, period_ms=200, offline_retry_max_ms=1000))
        )

    def arrives(self, token, key="n", since=None):
        return self.tb.value(token, key, since=self.tb.mark() if since is None else since, timeout=PATIENCE)

    def main_pid(self, unit="fieldgate"):
        return int(self.run(f"systemctl show -P MainPID {unit}"))

    def close(self):
        self.machine.close()
        self.tb.close()
        self.field.close()


def boots(world):
    world.run("true")
    world.until("systemctl is-system-running | grep -qx running", PATIENCE)
    found = world.until("ls /dev/serial/by-id/*", PATIENCE)
    world.adapter = found.split()[0]
    return f"systemd {world.run('systemctl --version').split()[1]}, kernel {world.run('uname -r')}, {world.adapter}"


def apt_installs_it(world):
    world.copy(world.package, "/root/fieldgate.deb")
    said = world.run("cd /root && DEBIAN_FRONTEND=noninteractive apt-get -q -y install ./fieldgate.deb")
    assert "Setting up fieldgate" in said, said
    world.run("systemctl is-enabled fieldgate && systemctl is-active fieldgate")


def it_waits_for_the_user_and_says_so(world):
    said = world.run("systemctl status --no-pager fieldgate")
    assert re.search(r"Status: \"Nothing to do: edit /etc/fieldgate/gateway.conf, delete its line \d+", said), said
    assert "this is an example" in world.run("journalctl -u fieldgate --no-pager")
    assert "this is an example" in world.run("fieldgate check")
    assert world.field.events("request") == [] and world.tb.events("connect") == []


def it_works_when_the_file_is_edited(world):
    since = world.tb.mark()
    world.write("/etc/fieldgate/gateway.conf", world.configuration())
    world.run("fieldgate check")
    world.run("systemctl restart fieldgate")
    world.arrives("Plc", since=since)
    world.arrives("Meter", since=since)
    world.run("test $(stat -c %a:%U:%G /etc/fieldgate/gateway.conf) = 640:root:fieldgate")


def it_has_no_rights(world):
    pid = world.main_pid()
    status = world.run(f"cat /proc/{pid}/status")
    assert world.run(f"stat -c %U /proc/{pid}") == "fieldgate"
    assert re.search(r"CapEff:\s+0+\n", status) and re.search(r"NoNewPrivs:\s+1\n", status) and re.search(r"Seccomp:\s+2\n", status), status
    said = world.run("systemd-analyze security --no-pager --threshold=20 fieldgate.service | tail -n 1")
    world.run("systemctl show -P DevicePolicy fieldgate | grep -qx closed")
    code, _ = world.shell("journalctl -u fieldgate --no-pager | grep -iE 'denied|not permitted'")
    assert code != 0, "something is denied to it"
    return said.strip()


def status_says_how_it_is(world):
    world.run("test $(stat -c %a:%U:%G /run/fieldgate) = 750:fieldgate:fieldgate")
    world.run("test -S /run/fieldgate/control.sock")
    said = world.run("fieldgate status")
    assert "plc" in said and "line" in said and "Plc" in said, said
    code, _ = world.shell("su -s /bin/sh nobody -c 'fieldgate status'")
    assert code != 0, "everybody may ask"
    return world.until("systemctl show -P StatusText fieldgate | grep -i device", PATIENCE)


def a_good_configuration_is_taken_over_by_reload(world):
    since, pid = world.tb.mark(), world.main_pid()
    world.write("/etc/fieldgate/gateway.conf", world.configuration(more='key = "added"; table = "holding"; addr = 1; type = "uint16"'))
    world.run("systemctl reload fieldgate")
    world.arrives("Plc", "added", since=since)
    assert world.main_pid() == pid, "it was started again"
    assert not [line for line in world.tb.events("disconnect", since) if line.get("token") == "Meter"], "an unchanged device lost its session"


def a_bad_configuration_is_refused_by_reload(world):
    pid = world.main_pid()
    world.run("sed -i 's/uint16/uint17/' /etc/fieldgate/gateway.conf")
    code, said = world.shell("systemctl reload fieldgate")
    assert code != 0, "systemctl does not say that it was refused"
    world.until("journalctl -u fieldgate --no-pager | grep -q uint17", PATIENCE)
    world.arrives("Plc")
    assert world.main_pid() == pid
    world.run("sed -i 's/uint17/uint16/' /etc/fieldgate/gateway.conf")


def a_bad_configuration_is_not_tried_again_and_again(world):
    world.run("sed -i 's/uint16/uint17/' /etc/fieldgate/gateway.conf")
    code, _ = world.shell("systemctl restart fieldgate")
    assert code != 0
    world.run("systemctl show -P ExecMainStatus fieldgate | grep -qx 78; systemctl is-failed fieldgate")
    assert "uint17" in world.run("systemctl status --no-pager fieldgate || true")
    world.run("sed -i 's/uint17/uint16/' /etc/fieldgate/gateway.conf; systemctl restart fieldgate")
    world.arrives("Plc")


def killed_it_comes_back(world):
    pid = world.main_pid()
    start = time.monotonic()
    world.run(f"kill -9 {pid}")
    world.until(f"p=$(systemctl show -P MainPID fieldgate); test $p -gt 0 -a $p -ne {pid}", PATIENCE)
    world.arrives("Plc")
    world.arrives("Meter")
    return f"after {time.monotonic() - start:.1f} s"


def stuck_it_is_started_again_by_the_watchdog(world):
    world.run("systemctl show -P WatchdogUSec fieldgate | grep -qx 1min")
    world.run("mkdir -p /run/systemd/system/fieldgate.service.d && printf '[Service]\\nWatchdogSec=3\\n' "
              ">/run/systemd/system/fieldgate.service.d/watchdog.conf && systemctl daemon-reload && systemctl restart fieldgate")
    world.arrives("Plc")
    pid = world.main_pid()
    start = time.monotonic()
    world.run(f"kill -STOP {pid}")
    world.until(f"p=$(systemctl show -P MainPID fieldgate); test $p -gt 0 -a $p -ne {pid}", PATIENCE)
    world.arrives("Plc")
    took = time.monotonic() - start
    world.run("journalctl -u fieldgate --no-pager | grep -q 'Watchdog timeout'")
    world.run("rm -r /run/systemd/system/fieldgate.service.d; systemctl daemon-reload; systemctl restart fieldgate")
    world.arrives("Plc")
    return f"with WatchdogSec=3 after {took:.1f} s"


def an_adapter_is_pulled_out_and_put_back(world):
    world.arrives("Meter")
    pid = world.main_pid()
    world.machine.unplug()
    world.until(f"! test -e {world.adapter}", PATIENCE)
    world.until("journalctl -u fieldgate --no-pager | grep -E 'bus line: .*(gone|No such|lost|unplugged|Input/output|closed)'", PATIENCE)
    world.arrives("Plc")
    start = time.monotonic()
    world.machine.plug()
    world.until(f"test -e {world.adapter}", PATIENCE)
    seen = time.monotonic()
    world.arrives("Meter")
    assert world.main_pid() == pid, "it was started again"
    return f"its port was there after {seen - start:.1f} s, values {time.monotonic() - seen:.1f} s later"


def what_waits_survives_a_power_cut(world):
    """The server is away; each value of a series is read by the gateway, and is older than flush_after_ms before the power is cut."""
    world.arrives("Plc")
    world.tb.ask("stop", reset=True)
    values = list(range(1001, 1021))
    for value in values:
        world.field.set("holding", 0, value)
        world.field.wait("request", world.field.mark(), bus=0, count=2, timeout=PATIENCE)
    time.sleep(3)  # more than flush_after_ms and one write: the window of a power cut
    world.machine.power_cut()
    world.tb.ask("start")
    since = world.tb.mark()
    world.field.set("holding", 0, 2000)
    world.machine.power_on(BOOT_PATIENCE)
    world.tb.value("Plc", "n", lambda value: value == 2000, since=since, timeout=BOOT_PATIENCE)
    came = [row["v"] for row in world.tb.ask("series", token="Plc", key="n")["rows"]]
    wanted, came = values, list(dict.fromkeys(value for value in came if value in values))
    assert came == wanted, f"of {wanted} came {came}"
    return f"{len(values)} values of before arrived after it, in order, with their times"


def a_second_gateway_has_folders_of_its_own(world):
    since = world.tb.mark()
    text = world.configuration(prefix="Second").replace(world.adapter, "/dev/ttyS9")
    world.write("/etc/fieldgate/second.conf", text)
    world.run("systemctl enable --now fieldgate@second")
    world.arrives("SecondPlc", since=since)
    world.run("test -d /var/lib/fieldgate/second && test -d /run/fieldgate-second")
    world.run("systemctl restart fieldgate && test -d /run/fieldgate-second")
    world.arrives("Plc")
    world.arrives("SecondPlc")


def an_upgrade_starts_it_again(world):
    pid, second = world.main_pid(), world.main_pid("fieldgate@second")
    world.copy(world.newer, "/root/newer.deb")
    world.run("cd /root && DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold install ./newer.deb")
    assert world.main_pid() not in (0, pid), "it was not started again"
    assert world.main_pid("fieldgate@second") not in (0, second), "the second was not started again"
    world.run("grep -q Plc /etc/fieldgate/gateway.conf")
    world.arrives("Plc")
    world.arrives("SecondPlc")
    return world.run("dpkg-query -W fieldgate")


def purged_nothing_is_left(world):
    world.run("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge fieldgate")
    left = world.run("find / -xdev -iname '*fieldgate*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/lib/apt/*' "
                     "-not -path '/var/cache/*' -not -path '/usr/share/bash-completion/*' 2>/dev/null || true; "
                     "systemctl list-units --all --no-legend 'fieldgate*'; pgrep -l fieldgate || true; ls -d /run/fieldgate* 2>/dev/null || true")
    assert left == "", left
    world.until("systemctl is-system-running | grep -qx running", PATIENCE)


STEPS = (
    boots, apt_installs_it, it_waits_for_the_user_and_says_so, it_works_when_the_file_is_edited, it_has_no_rights, status_says_how_it_is,
    a_good_configuration_is_taken_over_by_reload, a_bad_configuration_is_refused_by_reload, a_bad_configuration_is_not_tried_again_and_again,
    killed_it_comes_back, stuck_it_is_started_again_by_the_watchdog, an_adapter_is_pulled_out_and_put_back, what_waits_survives_a_power_cut,
    a_second_gateway_has_folders_of_its_own, an_upgrade_starts_it_again, purged_nothing_is_left,
)


def main():
    image, package, newer = sys.argv[1:4]
    only = sys.argv[4:]
    harness.need("qemu-system-x86_64", "qemu-img")
    folder = tempfile.mkdtemp(prefix="fieldgate-system-")
    start = time.monotonic()
    world = World(image, package, newer, folder)
    failed = []
    try:
        for step in STEPS:
            if only and step.__name__ not in only and step not in STEPS[:4]:
                continue
            begun = time.monotonic()
            try:
                said = step(world)
                print(f"ok   {step.__name__.replace('_', ' ')}, {time.monotonic() - begun:.1f} s" + (f": {said}" if said else ""), flush=True)
            except (AssertionError, OSError, ValueError) as failure:
                failed.append(step)
                print(f"FAIL {step.__name__.replace('_', ' ')}", flush=True)
                traceback.print_exception(failure, limit=-2)
                try:
                    print(world.shell("systemctl status --no-pager fieldgate; journalctl -u fieldgate --no-pager -n 60")[1])
                except (OSError, ValueError, AttributeError):
                    break
                if step in STEPS[:3]:
                    break
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
    count = len(STEPS) if not only else len(only) + 4
    print(f"{count} steps, {len(failed)} failed, {time.monotonic() - start:.0f} s")
    return 1 if failed else 0


sys.exit(main())
