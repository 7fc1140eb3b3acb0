"""The package on a machine that boots: its units under a real systemd, in their sandboxes, between internet and LAN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.box_machine import Machine, build
from tests.fixtures_box_centre import FeedCentre
from tests.town_hall import TownHall, enrol, needs_network
from tests.town_hall_network import (
    BOX,
    CENTRE_PORT,
    EVIL,
    GOOD,
    LAN,
    NET,
    REFUSED,
    UNLISTED,
    WAN_NET,
    connects,
    inside,
    listening,
    look_up,
    make_spaces,
    remove_spaces,
    run,
    serve,
)
from tests.waiting import until

pytestmark = needs_network
LISTED = "colis-suivi-livraison.com"
STATE = "var/lib/beffroi-box"
RUNNING = tuple(
    f"beffroi-box{name}.service"
    for name in ("", "-boot", "-network", "-unbound", "-dnsdist", "-page", "-inspect")
)


class Booted(TownHall):
    machine: Machine

    def boot(self) -> None:
        self.machine.boot(BOX)
        for unit in RUNNING:
            until(lambda unit=unit: self.is_active(unit), unit, 60)

    def is_active(self, unit: str) -> bool:
        return self.machine.tell(f"systemctl is-active --quiet {unit}").returncode == 0

    def shown(self, unit: str, name: str) -> int:
        return int(self.machine.tell(f"systemctl show --value --property={name} {unit}").stdout)

    def log(self) -> str:
        return self.machine.tell("journalctl --no-pager -b -u 'beffroi-box*' -n 40").stdout


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Booted]:
    remove_spaces()
    with Machine(tmp_path / "machine") as machine:
        machine.install(build(tmp_path))
        make_spaces(bridge=False)
        made = Booted(machine.root / STATE, FeedCentre(tmp_path), ("185.11.30.2", "2a0c:e300:2::2"))
        made.machine = machine
        made.centre.serve(listening(NET, WAN_NET, CENTRE_PORT))
        made.sockets += serve()
        enrol(made, bridge=False, installed=True)
        try:
            yield made
        finally:
            machine.cut_power()
            made.centre.stop()
            for one in made.sockets:
                with suppress(OSError):
                    one.shutdown(2)  # wakes the thread that waits in it
                one.close()
            remove_spaces()


def test_a_box_that_is_switched_on_protects_the_town_hall_and_does_so_again_after_a_power_cut(
    hall: Booted,
) -> None:
    hall.boot()
    hall.connected()
    hall.block(EVIL, LISTED)
    until(lambda: look_up(LAN, LISTED, hall.resolver) == REFUSED, f"the name is not refused: {hall.log()}")
    assert look_up(LAN, UNLISTED, hall.resolver) == 0
    assert connects(LAN, GOOD) and not connects(LAN, EVIL)
    shown = hall.page()
    assert shown is not None and shown[0] == 200

    agent = hall.shown("beffroi-box.service", "MainPID")
    hall.machine.tell(f"kill -9 {agent}")
    until(lambda: hall.shown("beffroi-box.service", "MainPID") not in (0, agent), "it stays dead")
    hall.connected()
    assert not connects(LAN, EVIL)
    failed = hall.machine.tell("systemctl list-units --failed --plain --no-legend 'beffroi-box*'").stdout
    assert not failed, hall.log()

    hall.machine.cut_power()
    run(*inside(BOX, "nft", "flush", "ruleset"))
    assert connects(LAN, EVIL), "nothing of before is in the kernel"
    hall.cut(down=True)  # and the centre is away
    hall.boot()
    hall.cut(down=False)
    assert connects(LAN, GOOD) and not connects(LAN, EVIL)
    until(lambda: look_up(LAN, LISTED, hall.resolver) == REFUSED, f"the name is not refused: {hall.log()}")
    moment = "ActiveEnterTimestampMonotonic"
    rules, network = (hall.shown(one, moment) for one in ("beffroi-box-boot.service", "network-pre.target"))
    assert 0 < rules <= network, "first the rules, then the network"
