"""The centre as a unit of a real systemd: it starts with the machine, after a power cut too, and stops when told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import ROOT, Machine
from tests.town_hall_network import BOX, run
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]
STATE = "/srv/beffroi%1"
BEFFROI = f"{ROOT}/beffroi"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    run("ip", "netns", "add", BOX)
    try:
        with Machine(tmp_path / "machine") as one:
            yield one
    finally:
        run("ip", "netns", "del", BOX)


def is_there(machine: Machine) -> bool:
    """``systemctl start`` returned only when it was."""
    asked = "systemctl is-active --quiet beffroi && curl -sfko /dev/null https://localhost:8443/"
    return machine.tell(asked).returncode == 0


def test_a_centre_starts_with_the_machine_comes_back_when_it_dies_and_stops_when_told(
    machine: Machine,
) -> None:
    machine.boot(BOX)
    refused = machine.tell(f"{BEFFROI} boot on --state '{STATE}'")
    assert refused.returncode == 1 and "holds no centre yet" in refused.stderr
    machine.tell(f"mkdir '{STATE}' && echo 'user = \"beffroi\"' >'{STATE}/beffroi.toml'")
    on = machine.tell(f"{BEFFROI} boot on --state '{STATE}'")
    assert on.returncode == 0 and "healthy" in on.stdout, on.stderr + log(machine)
    assert is_there(machine)

    supervisor = machine.tell("systemctl show --value --property=MainPID beffroi").stdout.strip()
    machine.tell(f"kill -9 {supervisor}")
    until(lambda: is_there(machine), "it does not come back")

    machine.cut_power()
    machine.boot(BOX)
    until(lambda: is_there(machine), "it does not start with the machine")

    assert machine.tell(f"{BEFFROI} stop --state '{STATE}'").stdout == "stopped.\n"
    assert machine.tell("systemctl show --value --property=ActiveState beffroi").stdout == "inactive\n"
    off = machine.tell(f"{BEFFROI} boot off")
    assert off.returncode == 0 and "Nothing starts" in machine.tell(f"{BEFFROI} boot").stdout
    assert machine.tell("systemctl is-enabled beffroi").returncode != 0


def log(machine: Machine) -> str:
    return machine.tell("journalctl --no-pager -b -u beffroi -n 40").stdout
