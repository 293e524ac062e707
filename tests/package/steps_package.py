"""What is done with the package: installed, edited, upgraded, purged."""

import re

from steps_trouble import all_arrive, show
from world import BOOT_PATIENCE, CONF


def boots(world):
    world.run("true")
    world.until("systemctl is-system-running | grep -qx running", BOOT_PATIENCE)
    found = world.until("ls /dev/serial/by-id/*")
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
    world.write(CONF, world.configuration())
    world.run("fieldgate check")
    world.run("systemctl restart fieldgate")
    world.arrives("Plc", since=since)
    world.arrives("Meter", since=since)
    world.run(f"test $(stat -c %a:%U:%G {CONF}) = 640:root:fieldgate")


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
    """While it works and has a backlog, which is not lost."""
    pid, second = world.main_pid(), world.main_pid("fieldgate@second")
    world.copy(world.newer, "/root/newer.deb")
    world.tb.ask("stop", reset=True)
    values = list(range(3001, 3011))
    show(world, values)
    world.run("cd /root && DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold install ./newer.deb")
    assert world.main_pid() not in (0, pid), "it was not started again"
    assert world.main_pid("fieldgate@second") not in (0, second), "the second was not started again"
    world.run(f"grep -q Plc {CONF}")
    world.tb.ask("start")
    world.arrives("Plc")
    world.arrives("SecondPlc")
    all_arrive(world, values)
    return f"{world.run('dpkg-query -W fieldgate')}; {len(values)} values of before arrived after it, in order"


def purged_nothing_is_left(world):
    world.run("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge fieldgate")
    left = world.run("find / -xdev -iname '*fieldgate*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/lib/apt/*' "
                     "-not -path '/var/cache/*' -not -path '/usr/share/bash-completion/*' 2>/dev/null || true; "
                     "systemctl list-units --all --no-legend 'fieldgate*'; pgrep -l fieldgate || true; "
                     "ls -d /run/fieldgate* 2>/dev/null || true")
    assert left == "", left
    world.until("systemctl is-system-running | grep -qx running")
