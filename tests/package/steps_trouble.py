"""What happens to a gateway in years: killed, unplugged, without power, with a disk that hangs."""

import time

from world import BOOT_PATIENCE, PATIENCE

STATE = "/var/lib/fieldgate"


def killed_it_comes_back(world):
    pid = world.main_pid()
    start = time.monotonic()
    world.run(f"kill -9 {pid}")
    world.until(f"p=$(systemctl show -P MainPID fieldgate); test $p -gt 0 -a $p -ne {pid}")
    world.arrives("Plc")
    world.arrives("Meter")
    return f"after {time.monotonic() - start:.1f} s"


def unplug(world):
    world.machine.unplug()
    world.until(f"! test -e {world.adapter}")


def plug(world):
    """Returns when its port was there, and how long that took."""
    start = time.monotonic()
    world.machine.plug()
    world.until(f"test -e {world.adapter}")
    return time.monotonic(), time.monotonic() - start


def values_soon(world, seen):
    """It is told that the port is there (inotify); without that it would look after half a minute. Returns after how long they came."""
    world.arrives("Meter")
    took = time.monotonic() - seen
    assert took < 15, f"after {took:.1f} s"
    return took


def an_adapter_is_pulled_out_and_put_back(world):
    world.arrives("Meter")
    pid = world.main_pid()
    unplug(world)
    world.until("journalctl -u fieldgate --no-pager | grep -E 'bus line: .*(gone|No such|lost|unplugged|Input/output|closed)'")
    world.arrives("Plc")
    seen, took = plug(world)
    later = values_soon(world, seen)
    assert world.main_pid() == pid, "it was started again"
    return f"its port was there after {took:.1f} s, values {later:.1f} s later"


def the_first_adapter_is_plugged_in_while_it_runs(world):
    """A kernel that has not seen one since the boot has no driver loaded, so that the service started without the class of its ports."""
    unplug(world)
    world.run("systemctl stop fieldgate; modprobe -r ftdi_sio && modprobe -r usbserial && ! grep ttyUSB /proc/devices; "
              "systemctl start fieldgate")
    world.arrives("Plc")
    seen, _ = plug(world)
    return f"values {values_soon(world, seen):.1f} s after its port"


def series(world, token, key, values):
    """Of these values those that arrived, in the order of their times."""
    came = [row["v"] for row in world.tb.ask("series", token=token, key=key)["rows"]]
    return list(dict.fromkeys(value for value in came if value in values))


def show(world, values):
    """The unit shows each long enough to be read."""
    for value in values:
        world.field.set("holding", 0, value)
        world.field.wait("request", world.field.mark(), bus=0, count=2, timeout=PATIENCE)


def all_arrive(world, values, patience=PATIENCE):
    """After them a last one, which comes when they are there."""
    since = world.tb.mark()
    world.field.set("holding", 0, values[-1] + 500)
    world.tb.value("Plc", "n", lambda value: value == values[-1] + 500, since=since, timeout=patience)
    came = series(world, "Plc", "n", values)
    assert came == values, f"of {values} came {came}"


def what_waits_survives_a_power_cut(world):
    """The server is away; each value of a series is read by the gateway, and is older than flush_after_ms before the power is cut."""
    world.arrives("Plc")
    world.tb.ask("stop", reset=True)
    values = list(range(1001, 1021))
    show(world, values)
    time.sleep(3)  # more than flush_after_ms and one write: the window of a power cut
    world.machine.power_cut()
    world.tb.ask("start")
    world.machine.power_on(BOOT_PATIENCE)
    all_arrive(world, values, BOOT_PATIENCE)
    return f"{len(values)} values of before arrived after it, in order, with their times"


def give_it_a_disk(world):
    """The state folder on a disk of its own, which can be made to hang."""
    world.run("systemctl stop fieldgate; truncate -s 64M /root/state.img; mke2fs -q -t ext4 /root/state.img; "
              f"mount -o loop /root/state.img {STATE}; chown fieldgate: {STATE}; chmod 700 {STATE}; systemctl start fieldgate")
    world.arrives("Plc")


def take_its_disk(world):
    world.run(f"systemctl stop fieldgate && umount {STATE} && rm /root/state.img && systemctl start fieldgate")
    world.arrives("Plc")


def a_disk_that_hangs_holds_up_nothing(world):
    """It stops answering while the server is away: the field goes on, status tells, a reload is refused, and when the disk is back nothing
    is missing."""
    give_it_a_disk(world)
    pid, values = world.main_pid(), list(range(2001, 2011))
    world.run(f"fsfreeze -f {STATE}")
    try:
        world.tb.ask("stop", reset=True)
        show(world, values)
        told = world.until("fieldgate status | grep -E '^store: .* disk has not answered for'")
        code, said = world.shell("systemctl reload fieldgate")
        assert code != 0, said
        code, said = world.shell("fieldgate reload")
        assert code == 1 and "the disk of the store does not answer" in said, said
        world.field.wait("request", world.field.mark(), bus=0, count=2, timeout=PATIENCE)
        assert world.main_pid() == pid
        world.tb.ask("start")
        world.arrives("Plc")  # what the server takes needs no disk
    finally:
        world.run(f"fsfreeze -u {STATE}")
    all_arrive(world, values)
    world.until("fieldgate status | grep -E '^store: .* disk well'")
    world.run("fieldgate reload")
    take_its_disk(world)
    return told


def a_disk_that_hangs_holds_up_a_stop_for_a_bounded_time(world):
    """fieldgate gives the disk up and says what is lost; but a call of the kernel that does not come back keeps its process, even from
    SIGKILL. systemd gives up on it after four times TimeoutStopSec, and when the disk is back it can be started."""
    give_it_a_disk(world)
    world.run(f"fsfreeze -f {STATE}")
    try:
        world.tb.ask("stop", reset=True)
        show(world, [5001, 5002, 5003])
        world.until("fieldgate status | grep -E '^store: .* disk has not answered for'")
        took, _ = world.seconds("systemctl stop fieldgate")
    finally:
        world.run(f"fsfreeze -u {STATE}")
        world.tb.ask("start")
    said = world.run("journalctl -u fieldgate -n 30 -o cat --no-pager")
    world.until("systemctl start fieldgate && ! pgrep -u fieldgate -a fieldgate | grep -v $(systemctl show -P MainPID fieldgate)")
    world.arrives("Plc")
    take_its_disk(world)
    assert took < 4 * 10 + 10, f"{took:.1f} s\n{said}"
    assert "rows were not delivered and are lost: the disk has not taken them in time" in said, said
    return f"{took:.1f} s"
