#!/usr/bin/python3
"""The package on a machine of its own: Debian is booted, the package installed, and what happens to a gateway in years happens to it
within minutes. The machine is virtual; the units and the ThingsBoard bench are this one's.

    system.py IMAGE PACKAGE NEWER [STEP...]      (see image.sh, newer.sh)

Every step is judged; the exit status is 0 if all were as promised. With names of steps only these are done, after the first ones."""

import shutil
import sys
import tempfile
import time
import traceback

from world import World
import harness
import steps_package as package
import steps_service as service
import steps_trouble as trouble

FIRST = (package.boots, package.apt_installs_it, package.it_waits_for_the_user_and_says_so, package.it_works_when_the_file_is_edited)
STEPS = FIRST + (
    service.it_has_no_rights, service.serial_ports_are_all_that_it_may_open, service.a_port_without_rs485_is_told_by_its_driver,
    service.status_says_how_it_is, service.a_good_configuration_is_taken_over_by_reload, service.a_bad_configuration_is_refused_by_reload,
    service.a_bad_configuration_is_not_tried_again_and_again, service.tokens_come_as_credentials, service.it_stops_in_time,
    service.stuck_it_is_started_again_by_the_watchdog,
    trouble.killed_it_comes_back, trouble.an_adapter_is_pulled_out_and_put_back, trouble.the_first_adapter_is_plugged_in_while_it_runs,
    trouble.a_disk_that_hangs_holds_up_nothing,
    trouble.a_disk_that_hangs_holds_up_a_stop_for_a_bounded_time, trouble.what_waits_survives_a_power_cut,
    package.a_second_gateway_has_folders_of_its_own, package.an_upgrade_starts_it_again, package.purged_nothing_is_left,
)


def do(step, world):
    """Returns whether it was as promised."""
    begun = time.monotonic()
    name = step.__name__.replace("_", " ")
    try:
        said = step(world)
        print(f"ok   {name}, {time.monotonic() - begun:.1f} s" + (f": {said}" if said else ""), flush=True)
        return True
    except (AssertionError, OSError, ValueError) as failure:
        print(f"FAIL {name}", flush=True)
        traceback.print_exception(failure, limit=-2)
    try:
        print(world.shell("systemctl status --no-pager fieldgate; journalctl -u fieldgate --no-pager -n 60")[1], flush=True)
    except (OSError, ValueError, AttributeError) as failure:
        print(f"     and the machine does not answer: {failure}", flush=True)
    return False


def main():
    image, deb, newer, *only = sys.argv[1:]
    harness.need("qemu-system-x86_64", "qemu-img")
    steps = [step for step in STEPS if not only or step in FIRST or step.__name__ in only]
    folder = tempfile.mkdtemp(prefix="fieldgate-system-")
    start, done, failed = time.monotonic(), 0, 0
    world = World(image, deb, newer, folder)
    try:
        for step in steps:
            well = do(step, world)
            done, failed = done + 1, failed + (not well)
            if not well and step in FIRST:
                break  # there is nothing that the others could look at
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{done} of {len(steps)} steps, {failed} failed, {time.monotonic() - start:.0f} s")
    return 1 if failed or done < len(steps) else 0


sys.exit(main())
