"""The machine under test, and what is around it: the units and the ThingsBoard bench, which are this machine's."""

import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import harness
from harness import buses, device, devices, rtu_bus, server, tcp_bus
from machine import Machine

# An emulated machine on a busy one: the boot takes its time, the rest less.
BOOT_PATIENCE = 300
PATIENCE = 90

CONF = "/etc/fieldgate/gateway.conf"
POINT = 'key = "n"; table = "holding"; addr = 0; type = "uint16"'


class World:
    """package: what is installed; newer: what it is upgraded to."""

    def __init__(self, image, package, newer, folder):
        self.package, self.newer = package, newer
        self.tb = harness.Bench("--any-token")
        self.field = harness.Modbus("--tcp", "0", "--rtu", os.path.join(folder, "line"), "--baud", "19200", "--log", "requests")
        self.tb.ask("keep", series=True)
        self.machine = Machine(image, folder, os.path.realpath(os.path.join(folder, "line")))
        self.machine.power_on(BOOT_PATIENCE)
        self.run, self.shell = self.machine.run, self.machine.shell
        self.adapter = None  # its port, by the name that stays; the boot tells

    def until(self, command, patience=PATIENCE):
        return self.machine.until(command, patience)

    def copy(self, path, there):
        """A file, in pieces that the guest's terminal takes."""
        with open(path, "rb") as file:
            content = file.read()
        self.run(f": >{there}")
        for start in range(0, len(content), 24000):
            self.run(f"base64 -d >>{there} <<'END'\n{base64.b64encode(content[start:start + 24000]).decode()}\nEND")

    def write(self, there, text):
        self.run(f"cat >{there} <<'END'\n{text}\nEND")

    def configuration(self, more="", prefix="", plc=None, more_buses=(), more_devices=()):
        """more: a point more; plc: settings of that bus."""
        def there(text):
            return text.replace("127.0.0.1", "10.0.2.2")

        return (
            there(server(self.tb.port, reconnect_min_ms=200, reconnect_max_ms=1000))
            + buses(there(tcp_bus("plc", self.field.tcp[0], connect_pause_ms=200, **(plc or {}))),
                    rtu_bus("line", self.adapter, baud=19200, parity='"none"'), *more_buses)
            + devices(device(prefix + "Plc", "plc", [POINT] + ([more] if more else []), period_ms=200),
                      device(prefix + "Meter", "line", [POINT], period_ms=200, offline_retry_max_ms=1000), *more_devices)
        )

    def arrives(self, token, key="n", since=None):
        return self.tb.value(token, key, since=self.tb.mark() if since is None else since, timeout=PATIENCE)

    def main_pid(self, unit="fieldgate"):
        return int(self.run(f"systemctl show -P MainPID {unit}"))

    def journal_mark(self):
        """From where on `journal_since` looks."""
        return self.run("journalctl -u fieldgate -n 0 --show-cursor | sed -n 's/^-- cursor: //p'")

    def journal_since(self, mark):
        return self.run(f"journalctl -u fieldgate --no-pager -o cat --after-cursor='{mark}'")

    def seconds(self, command):
        """How long it takes there, without the way to the machine; and what it says."""
        said = self.run(f"a=$(date +%s%N); {command}; b=$(date +%s%N); echo; echo $((b - a))")
        return int(said.splitlines()[-1]) / 1e9, said

    def drop_in(self, text):
        """More settings of the unit, until `without_drop_in`."""
        self.run("mkdir -p /run/systemd/system/fieldgate.service.d")
        self.write("/run/systemd/system/fieldgate.service.d/test.conf", "[Service]\n" + text)
        self.run("systemctl daemon-reload && systemctl restart fieldgate")

    def without_drop_in(self):
        self.run("rm -rf /run/systemd/system/fieldgate.service.d && systemctl daemon-reload && systemctl restart fieldgate")

    def close(self):
        self.machine.close()
        self.tb.close()
        self.field.close()
