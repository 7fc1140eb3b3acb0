"""Bulk lists in a real box: fetched by digest, checked, in the kernel; refused, cut, damaged, withdrawn."""

from __future__ import annotations

import ipaddress
import os
import random
import re
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from beffroi_protocol.facts import EntryRefused, FlowsBlocked, NamesRefused
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Action, BulkList, Entry

from tests.town_hall import ROOT, TownHall, good_policy, needs_network
from tests.town_hall_network import (
    BOX,
    EVIL,
    EVIL6,
    GOOD,
    LAN,
    LAN_BOX,
    LISTED,
    REFUSED,
    UNLISTED,
    WAN_NET,
    connects,
    inside,
    look_up,
    run,
)
from tests.waiting import until

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network


def others(count: int) -> set[str]:
    """Addresses that no test uses, spread over the address space."""
    source = random.Random(count)
    return {str(ipaddress.ip_address(source.randrange(50 << 24, 120 << 24))) for _ in range(count)}


def addresses(hall: TownHall, *more: str, count: int = 300, name: str = "bad-hosts") -> BulkList:
    return hall.centre.bulk_list(name, Kind.IP, {*others(count), *more})


def lists(hall: TownHall) -> set[str]:
    return {path.name for path in (hall.state / "lists").iterdir() if path.suffix in (".list", ".part")}


def test_a_hundred_thousand_addresses_are_refused_and_open_again_when_the_list_is_withdrawn(
    hall: TownHall,
) -> None:
    assert connects(LAN, EVIL) and connects(LAN, EVIL6)
    hall.listed(addresses(hall, EVIL, EVIL6, count=100_000))
    assert not connects(LAN, EVIL) and not connects(LAN, EVIL6) and connects(LAN, GOOD)
    hall.unlisted("bad-hosts")
    assert connects(LAN, EVIL) and connects(LAN, EVIL6)
    until(lambda: not lists(hall), "a file stays behind")


def test_a_list_that_is_withdrawn_waits_for_no_look_at_the_days_before(hall: TownHall) -> None:
    """Such a look takes minutes where the list is long or the machine busy; here the disk never gives it a day."""
    day = hall.state / "diary" / f"{datetime.fromtimestamp(hall.centre.now() - 2 * 86400, UTC).date()}.day"
    os.mkfifo(day)
    held: list[int] = []

    def is_read() -> bool:
        with suppress(OSError):  # ENXIO: nobody reads
            held.append(os.open(day, os.O_WRONLY | os.O_NONBLOCK))
        return bool(held)

    try:
        hall.listed(addresses(hall, EVIL))
        until(is_read, "nobody looks back")
        hall.unlisted("bad-hosts")
        assert connects(LAN, EVIL)
        hall.listed(addresses(hall, GOOD, name="others"))
        assert not connects(LAN, GOOD)
    finally:
        day.unlink()
        for one in held:
            os.close(one)


def test_prefixes_of_several_lengths_are_refused_whole(hall: TownHall) -> None:
    hall.listed(
        hall.centre.bulk_list("nets", Kind.CIDR, ["45.83.64.0/29", "2a0e:b107:10::/45", "77.1.0.0/17"])
    )
    assert not connects(LAN, EVIL) and not connects(LAN, EVIL6) and connects(LAN, GOOD)


def test_a_new_version_of_a_list_replaces_the_old_one(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    hall.listed(addresses(hall, GOOD))
    assert connects(LAN, EVIL) and not connects(LAN, GOOD)
    until(lambda: len(lists(hall)) == 1, "the old file is still there")


def test_what_is_protected_stays_reachable_although_listed_and_is_told_once(hall: TownHall) -> None:
    nets = hall.centre.bulk_list("nets", Kind.CIDR, ["185.0.0.0/8", "45.83.64.0/24"])
    hall.centre.set_policy(good_policy(protected_networks=(f"{GOOD}/32",)))
    until(
        lambda: hall.centre.policy and hall.status()["policy_version"] == hall.centre.policy.policy_version,
        "",
    )
    hall.listed(nets)
    assert not connects(LAN, EVIL), "the rest of the prefix is refused"
    assert connects(LAN, GOOD), "protected by policy"
    assert hall.status()["connected"] and connects(LAN, WAN_NET), "the centre"

    def told() -> list[EntryRefused]:
        facts = hall.centre.facts.values()
        return [f for f in facts if isinstance(f, EntryRefused) and f.entry_id == "nets"]

    until(told, "no fact")
    assert len(told()) == 1
    hall.centre.set_policy(good_policy())
    until(lambda: not connects(LAN, GOOD), "no longer protected: the list is loaded again")


def bulk_names() -> set[str]:
    return set(
        re.findall(r"set (bulk\w+)", run(*inside(BOX, "nft", "-t", "list", "table", "inet", "beffroi")))
    )


def test_what_a_cut_load_left_in_the_kernel_counts_nothing_and_is_gone_after_the_next(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    assert bulk_names() == {"bulk4_32_a"}
    left = "".join(
        f"add set inet beffroi {name} {{ type ipv4_addr; elements = {{ {GOOD} }}; }}\n"
        for name in ("bulk4_32_b", "bulk4_20_b")
    )
    left += (
        "table inet beffroi { chain bulk { ip saddr @bulk4_20_b drop \n } \n }\n"  # as older software had it
    )
    run(*inside(BOX, "nft", "-f", "-"), stdin=left)
    assert not connects(LAN, EVIL) and connects(LAN, GOOD)
    hall.listed(addresses(hall, EVIL6))
    assert bulk_names() == {"bulk4_32_b", "bulk6_128_b"}
    assert connects(LAN, EVIL) and not connects(LAN, EVIL6) and connects(LAN, GOOD)


def test_an_address_of_both_versions_is_refused_at_every_moment_of_the_exchange(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL, count=100_000))
    kept = hall.in_force()
    hall.centre.publish(lists=(addresses(hall, EVIL, EVIL6, count=99_000),))
    tries = 0
    while hall.in_force() == kept:
        assert not connects(LAN, EVIL)
        tries += 1
    assert tries > 1 and not connects(LAN, EVIL) and not connects(LAN, EVIL6)


def test_what_is_never_blocked_again_passes_at_once_stays_open_and_is_taken_back(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL), hall.centre.bulk_list("names", Kind.DOMAIN, [LISTED]))
    assert not connects(LAN, EVIL) and look_up(LAN, LISTED, LAN_BOX) == REFUSED
    end, named = hall.centre.now() + 3600, (normalise(Kind.IP, EVIL), normalise(Kind.DOMAIN, LISTED))
    opened = [Entry(f"nev_{n}", one, Action.ALLOW, end) for n, one in enumerate(named)]
    version = hall.centre.publish(*opened)
    until(lambda: hall.centre.enforced(version), hall.log())
    assert connects(LAN, EVIL) and look_up(LAN, LISTED, LAN_BOX) == 0
    hall.listed(addresses(hall, EVIL, GOOD))
    assert not connects(LAN, GOOD) and connects(LAN, EVIL), "a list of tomorrow changes nothing"
    version = hall.centre.publish(removed=tuple(one.id for one in opened))
    until(lambda: hall.centre.enforced(version), hall.log())
    assert not connects(LAN, EVIL) and look_up(LAN, LISTED, LAN_BOX) == REFUSED


def test_a_refused_flow_names_its_list(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    hall.centre.facts.clear()
    assert not connects(LAN, EVIL)
    found = hall.centre.facts
    until(
        lambda: any(
            isinstance(f, FlowsBlocked) and (f.entry_id, f.indicator.value) == ("bad-hosts", EVIL)
            for f in found.values()
        ),
        "no fact",
    )


def test_a_download_that_is_cut_again_and_again_goes_on_where_it_was(hall: TownHall) -> None:
    """Pauses that grow after each cut would keep a list of a slow line out for hours."""
    hall.centre.asked_from.clear()
    hall.centre.cut_after_bytes, hall.centre.cuts_left = 8_000, 8
    hall.centre.publish(lists=(addresses(hall, EVIL, count=20_000),))
    until(lambda: not connects(LAN, EVIL), f"not in force: {hall.log()}")
    assert hall.centre.asked_from == [8_000 * n for n in range(9)]


def test_what_the_loader_cannot_bring_into_force_makes_nothing_be_fetched_again(hall: TownHall) -> None:
    hall.listed(names(hall, LISTED))
    bulk = hall.state / "names" / "bulk.cdb"
    kept = bulk.read_bytes()
    bulk.unlink()
    bulk.mkdir()
    (bulk / "in the way").touch()
    try:
        hall.centre.publish(lists=(names(hall, LISTED, count=100),))
        until(lambda: "Is a directory" in hall.log(), "nothing is said")
        hall.centre.asked_from.clear()
        hall.centre.publish(lists=(addresses(hall, EVIL),))
        until(bulk_names, f"the other list is kept back: {hall.log()}")
        hall.block(EVIL6)
        assert not connects(LAN, EVIL) and not connects(LAN, EVIL6) and connects(LAN, GOOD)
        assert hall.centre.asked_from == [0]
    finally:
        (bulk / "in the way").unlink()
        bulk.rmdir()
        bulk.write_bytes(kept)


@pytest.mark.parametrize("damage", ["another content", "not compressed", "cut off"])
def test_a_damaged_file_is_refused_and_the_list_before_it_kept(hall: TownHall, damage: str) -> None:
    hall.listed(addresses(hall, EVIL))
    kept = hall.in_force()
    bad = addresses(hall, GOOD)
    sound = hall.centre.files[bad.sha256]
    hall.centre.files[bad.sha256] = {
        "another content": hall.centre.files[next(iter(kept))],
        "not compressed": b"x" * 400,
        "cut off": sound[:-9],
    }[damage]
    hall.centre.publish(lists=(bad,))
    until(lambda: hall.status()["lists_trouble"], "nothing is said")
    assert hall.in_force() == kept and not connects(LAN, EVIL) and connects(LAN, GOOD)
    assert hall.status()["lists_waiting"] == 1
    hall.centre.files[bad.sha256] = sound
    until(lambda: not connects(LAN, GOOD), "not tried again")
    until(lambda: connects(LAN, EVIL), "the list before it is still there")


def test_a_start_without_the_centre_enforces_the_lists_on_disk(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    until(lambda: '"lists"' in (hall.state / "tables" / "box.state").read_text(), "not saved")
    hall.kill("agent")
    run(*inside(BOX, "nft", "flush", "ruleset"))  # as after a reboot
    hall.cut(down=True)
    try:
        hall.start_agent()
        until(lambda: hall.status().get("lists") == 1, "not loaded from disk")
        assert "bulk4_32" in run(*inside(BOX, "nft", "list", "chain", "inet", "beffroi", "bulk_in"))
    finally:
        hall.cut(down=False)
    hall.connected()
    assert not connects(LAN, EVIL) and connects(LAN, GOOD)


@pytest.mark.parametrize("damage", [b"", bytes(5000)])
def test_a_file_that_the_disk_damaged_is_fetched_again_and_keeps_no_other_list_out(
    hall: TownHall, damage: bytes
) -> None:
    hall.listed(addresses(hall, EVIL))
    other = addresses(hall, GOOD, name="others")
    hall.listed(other)
    until(lambda: '"others"' in (hall.state / "tables" / "box.state").read_text(), "not saved")
    hall.kill("agent")
    run(*inside(BOX, "nft", "flush", "ruleset"))
    (hall.state / "lists" / f"{other.sha256}.list").write_bytes(damage)
    hall.start_agent()
    until(lambda: hall.status().get("lists") == 2, f"not mended: {hall.log()}")
    assert not connects(LAN, EVIL) and not connects(LAN, GOOD)


def test_a_killed_agent_leaves_the_lists_in_the_kernel(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    hall.kill("agent")
    assert not connects(LAN, EVIL) and connects(LAN, GOOD)
    hall.start_agent()
    hall.connected()
    hall.unlisted("bad-hosts")
    assert connects(LAN, EVIL), "the restarted agent knows what is in the kernel"


def test_rules_that_another_program_flushed_come_back_with_the_lists(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    run(*inside(BOX, "nft", "delete", "table", "inet", "beffroi"))
    assert connects(LAN, EVIL)
    hall.block(EVIL6)
    until(lambda: not connects(LAN, EVIL), f"not loaded again: {hall.log()}")


def test_a_policy_change_never_opens_what_is_listed(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    version = hall.centre.set_policy(good_policy())
    while hall.status()["policy_version"] != version:
        assert not connects(LAN, EVIL)
    assert not connects(LAN, EVIL)


def filled(hall: TownHall) -> Path:
    filler = hall.state / "filler"
    with filler.open("wb") as file, suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(4096))
    return filler


def test_a_full_disk_keeps_the_list_before_and_says_so(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    kept = hall.in_force()
    filler = filled(hall)
    hall.centre.publish(lists=(addresses(hall, GOOD, count=50_000),))
    until(lambda: "lists: No space left" in hall.log(), "nothing is said")
    assert hall.in_force() == kept and not connects(LAN, EVIL) and connects(LAN, GOOD)
    filler.unlink()
    until(lambda: not connects(LAN, GOOD), "not tried again")
    until(lambda: connects(LAN, EVIL), "the list before it is still there")


def test_a_disk_that_takes_nothing_any_more_stops_no_start(hall: TownHall) -> None:
    """Flash memory that is worn out can be read only."""
    hall.listed(addresses(hall, EVIL))
    hall.block(EVIL6)
    until(lambda: EVIL6 in (hall.state / "tables" / "box.state").read_text(), "not saved")
    hall.kill("agent")
    run(*inside(BOX, "nft", "flush", "ruleset"))
    said = lambda: (hall.state.parent / "agent.log").read_text().count("nothing can be saved")  # noqa: E731
    before = said()
    run("mount", "-o", "remount,ro", str(hall.state))
    try:
        command(hall, "resolver-config")
        command(hall, "boot")
        assert not connects(LAN, EVIL) and not connects(LAN, EVIL6)
        hall.start_agent()
        (given,) = hall.block(GOOD)
        assert not connects(LAN, GOOD)
        hall.unblock(given)
        assert connects(LAN, GOOD) and not connects(LAN, EVIL)
        assert said() == before + 1, "once, not each second"
    finally:
        run("mount", "-o", "remount,rw", str(hall.state))
        hall.kill("agent")  # it has the mount as it was when it began
        hall.start_agent()
    hall.connected()


def test_a_full_disk_stops_no_start(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    hall.block(EVIL6)
    until(lambda: EVIL6 in (hall.state / "tables" / "box.state").read_text(), "not saved")
    hall.kill("agent")
    run(*inside(BOX, "nft", "flush", "ruleset"))
    filler = filled(hall)
    command(hall, "resolver-config")
    command(hall, "boot")
    assert not connects(LAN, EVIL) and not connects(LAN, EVIL6)
    hall.start_agent()
    hall.block(GOOD)
    assert not connects(LAN, GOOD)
    filler.unlink()
    until(lambda: hall.status().get("disk_trouble") == "", "the disk is sound again")


def test_a_snapshot_that_is_a_file_is_fetched(hall: TownHall) -> None:
    hall.block(EVIL)
    until(
        lambda: f'"version":{hall.centre.version},' in (hall.state / "tables" / "box.state").read_text(), ""
    )
    hall.kill("agent")
    for path in (hall.state / "tables").iterdir():
        path.unlink()
    hall.centre.by_file = True
    try:
        hall.start_agent()
        hall.connected()
    finally:
        hall.centre.by_file = False
    assert not connects(LAN, EVIL) and connects(LAN, GOOD)


def test_a_snapshot_s_file_goes_on_where_the_line_was_cut(hall: TownHall) -> None:
    """A village's line that is cut each half a minute would never bring a file that takes a whole one."""
    hall.block(EVIL, *others(3000))
    hall.kill("agent")
    for path in (hall.state / "tables").iterdir():
        path.unlink()
    hall.centre.asked_from.clear()
    hall.centre.by_file = True
    hall.centre.cut_after_bytes, hall.centre.cuts_left = 20_000, 1000
    try:
        hall.start_agent()
        hall.connected()
    finally:
        hall.centre.by_file, hall.centre.cuts_left = False, 0
    assert hall.centre.asked_from == [20_000 * n for n in range(len(hall.centre.asked_from))]
    assert len(hall.centre.asked_from) > 2
    assert not connects(LAN, EVIL) and connects(LAN, GOOD)


def names(hall: TownHall, *more: str, count: int = 20_000, name: str = "bad-names") -> BulkList:
    return hall.centre.bulk_list(
        name, Kind.DOMAIN, {*(f"n{i}.colis-{i % 97}.com" for i in range(count)), *more}
    )


def test_listed_names_are_refused_with_all_below_them_and_answered_again_when_withdrawn(
    hall: TownHall,
) -> None:
    hall.listed(names(hall, LISTED))
    for name in (LISTED, f"www.{LISTED}", LISTED.upper(), "n5.colis-5.com"):
        assert look_up(LAN, name, LAN_BOX) == REFUSED, name
    for name in (UNLISTED, f"x{LISTED}", "colis-5.com", "com"):
        assert look_up(LAN, name, LAN_BOX) == 0, name
    assert look_up(LAN, LISTED, GOOD) == REFUSED, "a resolver set by hand is answered by the box"
    hall.unlisted("bad-names")
    assert look_up(LAN, LISTED, LAN_BOX) == 0


def test_a_protected_name_is_answered_although_listed_and_told(hall: TownHall) -> None:
    hall.listed(names(hall, "impots.gouv.fr", LISTED))
    assert look_up(LAN, "www.impots.gouv.fr", LAN_BOX) == 0 and look_up(LAN, LISTED, LAN_BOX) == REFUSED
    facts = hall.centre.facts
    until(
        lambda: any(
            isinstance(f, EntryRefused) and (f.entry_id, f.indicator.value) == ("bad-names", "impots.gouv.fr")
            for f in facts.values()
        ),
        "no fact",
    )


def test_a_refused_question_names_its_list_and_nobody_who_asked(hall: TownHall) -> None:
    asked_first = "facture-impayee-2026.com"  # a name asked again within minutes is not counted again
    hall.listed(names(hall, asked_first))
    hall.centre.facts.clear()
    for _ in range(3):
        look_up(LAN, f"www.{asked_first}", LAN_BOX)
    look_up(LAN, UNLISTED, LAN_BOX)

    def counts() -> list[int]:
        facts = hall.centre.facts.values()
        return [f.count for f in facts if isinstance(f, NamesRefused) and f.entry_id == "bad-names"]

    until(lambda: sum(counts()) == 1, f"counted {counts()}")
    assert all(getattr(f, "indicator", None) != UNLISTED for f in hall.centre.facts.values())
    assert not any(pc in repr(hall.centre.facts) for pc in hall.pc)


def test_a_restarted_resolver_refuses_the_lists_without_the_agent(hall: TownHall) -> None:
    hall.listed(names(hall, LISTED))
    hall.kill("agent")
    hall.kill("dnsdist")
    hall.start_dnsdist()
    assert look_up(LAN, LISTED, LAN_BOX) == REFUSED
    hall.start_agent()
    hall.connected()


@pytest.mark.parametrize("lost", ["identity.json", "box.key"])
def test_a_box_that_does_not_know_any_more_who_it_is_refuses_what_it_knew(hall: TownHall, lost: str) -> None:
    hall.listed(addresses(hall, EVIL))
    hall.block(EVIL6, LISTED)
    until(lambda: LISTED in (hall.state / "tables" / "box.state").read_text(), "not saved")
    hall.kill("agent")
    run(*inside(BOX, "nft", "flush", "ruleset"))
    copies = {path: path.read_bytes() for path in hall.state.glob(f"{lost}*")}
    assert len(copies) == 2 and connects(LAN, EVIL6)
    try:
        for path in copies:
            path.write_bytes(b"")
        assert command(hall, "boot") == 0
        assert not connects(LAN, EVIL) and not connects(LAN, EVIL6) and connects(LAN, GOOD)
        assert look_up(LAN, LISTED, LAN_BOX) == REFUSED
        assert command(hall, "boot") == 0  # a second power cut
    finally:
        for path, data in copies.items():
            path.write_bytes(data)
        hall.start_agent()
    hall.connected()


def command(hall: TownHall, name: str) -> int:
    box = inside(BOX, "/usr/bin/python3", "-m", "beffroi_box", "--state", str(hall.state), name)
    path = f"PYTHONPATH={ROOT}/packages/protocol:{ROOT}/packages/box"
    return subprocess.run(("env", path, *box), check=False).returncode
