"""What the unit promises: its rights, its secrets, a reload, a stop, the watchdog."""

import re
import time

from harness import device, rtu_bus
from world import CONF, PATIENCE, POINT


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


def serial_ports_are_all_that_it_may_open(world):
    """As the service, in its sandbox: what is no serial port is refused, and what a driver says about RS-485 is the driver's word."""
    world.write("/root/probe", r"""
use Fcntl;
for my $path (@ARGV) {
    my $opened = sysopen(my $port, $path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    my $why = $opened ? "open" : "$!";
    my $rs485 = pack("L8", 1);
    my $set = !$opened ? "" : ioctl($port, 0x542F, $rs485) ? ", set" : ", $!";    # TIOCSRS485
    print "$path: $why$set\n";
}
""")
    # The unit with another program: the same sandbox. It is of no type that waits to be told.
    world.run("sed -E 's/^Type=.*/Type=oneshot/; /^(ExecReload|Restart|WatchdogSec|RestartSec|StateDirectory|RuntimeDirectory).*/d; "
              "s#^ExecStart=.*#ExecStart=/usr/bin/perl /srv/probe /dev/ttyS1 /dev/ttyUSB0 /dev/vda /dev/mem /dev/kmsg /dev/probe#' "
              "/lib/systemd/system/fieldgate.service >/run/systemd/system/probe.service; install -m 644 /root/probe /srv/probe; "
              "mknod -m 666 /dev/probe b $(stat -c '0x%t 0x%T' /dev/vda); systemctl daemon-reload; "
              "systemctl stop fieldgate; systemctl start probe; systemctl start fieldgate")
    said = world.run("journalctl -u probe -o cat --no-pager | grep ^/dev")
    world.run("rm /run/systemd/system/probe.service /srv/probe /dev/probe; systemctl daemon-reload")
    found = dict(line.split(": ", 1) for line in said.splitlines())
    for port in ("/dev/ttyS1", "/dev/ttyUSB0"):
        assert found[port].startswith("open, ") and "not permitted" not in found[port], said
    for other in ("/dev/vda", "/dev/mem", "/dev/kmsg"):
        assert re.search("not permitted|denied", found[other]), said
    assert "not permitted" in found["/dev/probe"], said  # the disk once more, as a file that everybody may open
    return f"RS-485: {found['/dev/ttyS1'][6:]} (ttyS1), {found['/dev/ttyUSB0'][6:]} (ttyUSB0)"


def a_port_without_rs485_is_told_by_its_driver(world):
    mark = world.journal_mark()
    world.write(CONF, world.configuration(more_buses=[rtu_bus("half", "/dev/ttyS1", rs485='"kernel"')],
                                          more_devices=[device("Half", "half", [POINT])]))
    world.run("systemctl reload fieldgate")
    world.until("fieldgate status | grep -A 1 -E '^half .* fault' | grep -i 'rs485'")
    said = [line for line in world.journal_since(mark).splitlines() if line.startswith("bus half")]
    world.write(CONF, world.configuration())
    world.run("systemctl reload fieldgate")
    assert said and "not permitted" not in said[0], said
    return said[0]


def tokens_come_as_credentials(world):
    """One of a file that only root reads, one that is encrypted: neither is in the configuration, nor readable for others."""
    world.run("umask 077; printf PlcSecret >/root/plc.token; "
              "printf 'MeterSecret\\n' | systemd-creds encrypt --name=meter.token - /root/meter.cred")
    text = world.configuration()
    for name in ("Plc", "Meter"):
        text = text.replace(f'token = "{name}"', f'token_file = "{name.lower()}.token"')
    since = world.tb.mark()
    world.write(CONF, text)
    world.drop_in("LoadCredential=plc.token:/root/plc.token\nLoadCredentialEncrypted=meter.token:/root/meter.cred")
    world.arrives("PlcSecret", since=since)
    world.arrives("MeterSecret", since=since)
    world.run("fieldgate reload && fieldgate status | grep -E '^Plc +up'")
    # and who runs check beside the service is told the truth
    code, said = world.shell("fieldgate check")
    world.write(CONF, world.configuration())
    world.without_drop_in()
    world.arrives("Plc")
    assert "Secret" not in said
    assert code == 0, said
    return said.splitlines()[-1]


def status_says_how_it_is(world):
    world.run("test $(stat -c %a:%U:%G /run/fieldgate) = 750:fieldgate:fieldgate")
    world.run("test -S /run/fieldgate/control.sock")
    said = world.run("fieldgate status")
    assert "plc" in said and "line" in said and "Plc" in said, said
    code, said = world.shell("setpriv --reuid nobody --regid nogroup --clear-groups fieldgate status")
    assert code == 4 and "only root and the group fieldgate may ask" in said, said
    world.run("setpriv --reuid nobody --regid fieldgate --clear-groups fieldgate status")
    return world.until("systemctl show -P StatusText fieldgate | grep -i device")


def a_good_configuration_is_taken_over_by_reload(world):
    since, pid = world.tb.mark(), world.main_pid()
    world.write(CONF, world.configuration(more='key = "added"; table = "holding"; addr = 1; type = "uint16"'))
    world.run("systemctl reload fieldgate")
    world.arrives("Plc", "added", since=since)
    assert world.main_pid() == pid, "it was started again"
    lost = [line for line in world.tb.events("disconnect", since) if line.get("token") == "Meter"]
    assert not lost, "an unchanged device lost its session"


def a_bad_configuration_is_refused_by_reload(world):
    pid, since = world.main_pid(), world.tb.mark()
    world.run(f"sed -i 's/uint16/uint17/' {CONF}")
    mark = world.journal_mark()
    code, said = world.shell("systemctl reload fieldgate")
    assert code != 0 and "failed" in said, f"systemctl does not say that it was refused: {said}"
    # where systemctl says that one should look, the mistake is
    assert "uint17" in world.run("systemctl status --no-pager fieldgate")
    assert re.search(r"gateway.conf:\d+: .*uint17", world.journal_since(mark))
    # and fieldgate itself says it in the terminal
    code, direct = world.shell("fieldgate reload")
    assert code == 1 and re.search(r"gateway.conf:\d+: .*\"uint17\" is unknown", direct), direct
    world.arrives("Plc")
    assert world.main_pid() == pid
    world.run("systemctl is-active fieldgate")
    assert not world.tb.events("disconnect", since), "a session ended"
    world.run(f"sed -i 's/uint17/uint16/' {CONF}")
    return said.splitlines()[0]


def a_bad_configuration_is_not_tried_again_and_again(world):
    world.run(f"sed -i 's/uint16/uint17/' {CONF}")
    code, _ = world.shell("systemctl restart fieldgate")
    assert code != 0
    world.run("systemctl show -P ExecMainStatus fieldgate | grep -qx 78; systemctl is-failed fieldgate")
    assert "uint17" in world.run("systemctl status --no-pager fieldgate || true")
    world.run(f"sed -i 's/uint17/uint16/' {CONF}; systemctl restart fieldgate")
    world.arrives("Plc")


def it_stops_in_time(world):
    """Whatever it waits for: with a unit that is silent and is waited for, and a server that acknowledges nothing."""
    world.write(CONF, world.configuration(plc={"timeout_ms": 30000}))
    world.run("systemctl reload fieldgate")
    world.arrives("Plc")
    world.tb.ask("puback", mode="drop")
    world.field.fault("dead")
    world.field.wait("request", world.field.mark(), bus=0, timeout=PATIENCE)
    mark = world.journal_mark()
    took, _ = world.seconds("systemctl stop fieldgate")
    said = world.journal_since(mark)
    assert world.run("systemctl show -P Result fieldgate") == "success", said
    assert "timed out" not in said and "SIGKILL" not in said, said
    world.field.fault("none")
    world.tb.ask("puback", mode="normal")
    world.write(CONF, world.configuration())
    world.run("systemctl start fieldgate")
    world.arrives("Plc")
    assert took < 4, f"{took:.1f} s"
    return f"{took:.2f} s"


def stuck_it_is_started_again_by_the_watchdog(world):
    world.run("systemctl show -P WatchdogUSec fieldgate | grep -qx 1min")
    world.drop_in("WatchdogSec=3")
    world.arrives("Plc")
    pid = world.main_pid()
    start = time.monotonic()
    world.run(f"kill -STOP {pid}")
    world.until(f"p=$(systemctl show -P MainPID fieldgate); test $p -gt 0 -a $p -ne {pid}")
    world.arrives("Plc")
    took = time.monotonic() - start
    world.run("journalctl -u fieldgate --no-pager | grep -q 'Watchdog timeout'")
    world.without_drop_in()
    world.arrives("Plc")
    return f"with WatchdogSec=3 after {took:.1f} s"
