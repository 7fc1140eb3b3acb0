"""The package on a machine that boots: its units under a real systemd, in their sandboxes, between internet and LAN."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from beffroi_box.found import Found, read
from beffroi_box.software import Plan, Shelf
from beffroi_protocol.enrolment_code import new_code
from beffroi_protocol.facts import SoftwareUpdated
from beffroi_protocol.signing import public_bytes

from tests.fixtures_box_centre import FeedCentre
from tests.fixtures_box_network import Site, site
from tests.lan_frames import is_leased
from tests.machine import Machine, build, changed
from tests.town_hall import TownHall, enrol, forget_enrolment, needs_network
from tests.town_hall_network import (
    BOX,
    CENTRE_PORT,
    EVIL,
    GOOD,
    LAN,
    LAN_BOX,
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
    package: Path

    def boot(self) -> None:
        self.machine.boot(BOX)
        for unit in RUNNING:
            until(lambda unit=unit: self.is_active(unit), f"{unit} is not active")

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
        package = build(tmp_path)
        machine.install(package)
        make_spaces(bridge=False)
        made = Booted(machine.root / STATE, FeedCentre(tmp_path), ("185.11.30.2", "2a0c:e300:2::2"))
        made.machine, made.package = machine, package
        made.centre.serve(listening(NET, WAN_NET, CENTRE_PORT))
        made.sockets += serve()
        enrol(made, bridge=False, installed=True)
        forget_enrolment(made.state)
        try:
            yield made
        finally:
            machine.cut_power()
            made.stop_serving()
            remove_spaces()


def take_up(hall: Booted, newer: Path) -> None:
    """New software, fetched and checked already: the agent's sandbox may start the unit that installs it."""
    agent, shelf = hall.shown("beffroi-box.service", "MainPID"), Shelf(hall.state)
    shelf.make()
    shutil.copy(newer, shelf.next)
    shelf.save_plan(Plan(5, "9"))
    told = lambda: [one for one in hall.centre.facts.values() if isinstance(one, SoftwareUpdated)]  # noqa: E731
    until(told, f"nothing is told of the new software: {hall.log()}")
    assert [(one.version, one.outcome, one.reason) for one in told()] == [("9", "installed", "")]
    assert hall.shown("beffroi-box.service", "MainPID") not in (0, agent), "the new one was started"
    for unit in RUNNING:
        until(lambda unit=unit: hall.is_active(unit), unit)


def test_a_box_that_is_switched_on_protects_the_town_hall_and_does_so_again_after_a_power_cut(
    hall: Booted, tmp_path: Path
) -> None:
    hall.boot()
    code = hall.centre.code = new_code(public_bytes(hall.centre.root))
    hall.centre.confirmed = True
    until(hall.page, f"there is no page: {hall.log()}")
    answer = hall.page(LAN, LAN_BOX, "/", post=f"code={code.text()}", Origin=f"http://{LAN_BOX}")
    assert answer is not None and answer[0] == 303, answer
    hall.connected()
    hall.block(EVIL, LISTED)
    until(lambda: look_up(LAN, LISTED, hall.resolver) == REFUSED, f"the name is not refused: {hall.log()}")
    assert look_up(LAN, UNLISTED, hall.resolver) == 0
    assert connects(LAN, GOOD) and not connects(LAN, EVIL)

    agent = hall.shown("beffroi-box.service", "MainPID")
    hall.machine.tell(f"kill -9 {agent}")
    until(lambda: hall.shown("beffroi-box.service", "MainPID") not in (0, agent), "it stays dead")
    hall.connected()
    assert not connects(LAN, EVIL)
    take_up(hall, changed(hall.package, tmp_path))
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


def test_a_new_box_finds_out_where_it_stands_and_shows_its_page(tmp_path: Path) -> None:
    with site() as place, Machine(tmp_path / "machine") as machine:
        machine.install(build(tmp_path))
        shutil.copy(place.state / "box.toml", machine.root / STATE)
        place.plug(router="p1", pc="p0")
        place.give("185.22.33.1/24", pool=2)
        machine.boot(place.box.space)

        def found() -> Found:
            return read(machine.root / STATE)

        until(lambda: found().proved, "it finds no way")
        plan = found().plan
        assert plan is not None and (plan.mode, plan.wan, plan.lan) == ("router", "p1", "p0")
        place.pc_asks()
        [address] = place.pc.addresses("e0")
        assert (
            IPv4Address(address) in IPv4Interface(plan.lan_network).network
            and place.pc_reaches_the_internet()
        )
        page = place.pc.run("curl", "-s", "http://192.168.213.1/")
        assert 'name="code"' in page, page
        resolver = "journalctl --no-pager -b -u beffroi-box-dnsdist"
        assert "Scheduled restart" not in (said := machine.tell(resolver).stdout), said
        nobody_else_gets_an_address_in_use(place, machine, address)
        the_clocks_unit_may_set_it_and_nothing_else(machine)


def nobody_else_gets_an_address_in_use(place: Site, machine: Machine, address: str) -> None:
    """Also after its server of addresses was started again, or has crashed; and where the disk takes nothing."""
    assert machine.tell("stat -c '%a %U' /run/beffroi-box-leases").stdout == "700 systemd-network\n"
    networkd = "systemd-networkd.service"
    cards = (b"\6\0\0\0\0" + bytes([number]) for number in itertools.count())
    frees = (str(one) for one in IPv4Interface(f"{address}/20").network.hosts() if str(one) != address)
    for ends in ("restart", "kill --signal=KILL", "restart"):
        before = machine.tell(f"systemctl show --value --property=MainPID {networkd}").stdout
        assert machine.tell(f"systemctl {ends} {networkd}").returncode == 0
        gone = lambda before=before: machine.tell(f"kill -0 {before}").returncode != 0  # noqa: E731
        until(gone, "it was not started again")
        other, free = next(cards), next(frees)
        until(lambda: is_leased(place.pc.space, "e0", other, free), "it gives no addresses", 30)  # noqa: B023
        assert not is_leased(place.pc.space, "e0", next(cards), address), ends
        machine.tell("mount --bind /var/lib /var/lib && mount -o remount,bind,ro /var/lib")


def the_clocks_unit_may_set_it_and_nothing_else(machine: Machine) -> None:
    """There is one clock for all machines here: what is written is the time that it has, and what is tried no time."""
    unit, written = "beffroi-box-clock.service", "/run/beffroi-box/time"
    shipped = machine.root / "usr/lib/systemd/system" / unit
    tried = machine.root / "etc/systemd/system/tried.service"
    set_to_none = "import time; time.clock_settime(time.CLOCK_REALTIME, -1)"
    (machine.root / "etc/tried.py").write_text(f"{set_to_none}\n")
    tried.write_text(
        shipped.read_text().replace("/usr/bin/beffroi-box set-clock", "/usr/bin/python3 /etc/tried.py")
    )
    said = machine.tell("systemctl start tried; journalctl --no-pager -b -u tried").stdout
    assert "Invalid argument" in said, said  # the kernel's answer, not the sandbox's

    machine.tell(
        f"rm /etc/systemd/system/{unit}; systemctl daemon-reload; systemctl restart beffroi-box-clock.path"
    )
    now = "$(date +%s) $(cut -d. -f1 /proc/uptime)"
    machine.tell(f'echo "{now}" >{written}.new && mv {written}.new {written}')  # as the agent writes it
    ended = f"systemctl show --property=Result --property=ExecMainExitTimestampMonotonic {unit}"
    until(lambda: "Monotonic=0\n" not in machine.tell(ended).stdout, "nobody reads what the clock should be")
    assert "Result=success\n" in machine.tell(ended).stdout, machine.tell(
        f"journalctl --no-pager -u {unit}"
    ).stdout
