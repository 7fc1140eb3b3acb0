"""What the box concludes from the kernel's counts: diary, strangers, leaks, learning. Pure, or on a real disk."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from beffroi_box import neighbours, totals
from beffroi_box.alarms import A_DAY, AGAIN_S, Alarms
from beffroi_box.ask import read_addresses
from beffroi_box.diary import DAY_S, RECORDS_A_DAY, Diary
from beffroi_box.facts import FactSpool
from beffroi_box.labels import MOST_NAMED, Labels, read
from beffroi_box.leaks import BEATS, Beacons, Leak, Tunnels, Volumes, clear_passwords, split
from beffroi_box.learn import MOST_KEYS, SILENT_FLOWS, Learner, Rounds
from beffroi_box.load import Meet, _meet
from beffroi_box.services import NAMES, recognise
from beffroi_box.tallies import Tally, elements
from beffroi_box.traps import GUESSES, MOST_SOURCES, SCAN_PORTS, Strangers
from beffroi_protocol.facts import Bypass, FactBatch, FlowsLearned, LookBack, Sighting
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.lists import content
from beffroi_protocol.messages import decode
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 1_800_000_000 // DAY_S * DAY_S + 36_000
EVIL, PC = "45.83.64.7", "192.168.1.20"


def met(
    machine: str, remote: str, port: int = 443, *, packets: int = 1, size: int = 0, protocol: str = "tcp"
) -> Tally:
    return Tally(machine, remote, protocol, port, packets, size)


def ip(value: str) -> Indicator:
    return normalise(Kind.CIDR if "/" in value else Kind.IP, value)


@pytest.fixture
def spool(tmp_path: Path) -> FactSpool:
    (tmp_path / "spool").mkdir()
    return FactSpool(tmp_path / "spool", "box_1")


def told(spool: FactSpool) -> list[object]:
    facts = []
    while (batch := spool.take()) is not None:
        facts += decode(batch, FactBatch).facts
        spool.sent()
    return facts


# -- diary -------------------------------------------------------------------------------------------------


def test_the_diary_answers_for_an_address_and_for_each_range_around_it(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary")
    for day in (0, 1, 3):
        diary.count([(EVIL, 2), ("2a0e:b107:10::7", 1)], now=NOW + day * DAY_S)
    now = NOW + 3 * DAY_S + 60
    wanted = [
        ip(v)
        for v in (
            EVIL,
            "45.83.64.0/24",
            "45.83.64.0/28",
            "45.83.0.0/16",
            "2a0e:b107:10::/48",
            "2a0e:b107::/34",
        )
    ]
    found = diary.look_back([*wanted, ip("45.83.65.0/24"), ip("45.83.64.16/28")], now=now)
    assert {i.value: (m.count, m.days) for i, m in found.items()} == {
        i.value: (3 if ":" in i.value else 6, 3) for i in wanted
    }
    assert found[ip(EVIL)].first_at == NOW and found[ip(EVIL)].last_at == NOW + 3 * DAY_S


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([EVIL], {EVIL: (5, 1)}),
        ([f"51.15.{n // 250}.{n % 250}" for n in range(20_000)] + [EVIL], {EVIL: (5, 1)}),
        (["45.83.64.0/24", "45.83.0.0/20"], {"45.83.64.0/24": (5, 1)}),
        (["45.83.0.0/16"], {"45.83.0.0/16": (5, 1)}),
        (["45.83.64.8", "45.83.65.0/24", "2a0e:b107:10::1"], {}),
    ],
    ids=["one", "many", "ranges", "a wide range", "none"],
)
def test_lines_of_a_list_are_looked_up_in_what_was_met(
    tmp_path: Path, lines: list[str], found: dict[str, tuple[int, int]]
) -> None:
    diary = Diary(tmp_path / "diary")
    assert diary.meet((f"{line}\n".encode() for line in lines), now=NOW) == {}, "nothing is met yet"
    diary.count([(EVIL, 5)], now=NOW)
    met = diary.meet((f"{line}\n".encode() for line in lines), now=NOW)
    assert {one.value: (m.count, m.days) for one, m in met.items()} == found


def test_only_new_lines_of_a_list_are_looked_up(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary")
    diary.count([("45.83.64.7", 2), ("45.83.64.9", 3)], now=NOW)
    diary.keep()
    before, after = tmp_path / "before", tmp_path / "after"
    before.write_bytes(content(["45.83.64.1", "45.83.64.7", "9.9.9.8"]))
    after.write_bytes(content(["45.83.64.7", "45.83.64.9", "1.2.3.4"]))
    for former, wanted in ((str(before), {"45.83.64.9"}), ("", {"45.83.64.7", "45.83.64.9"})):
        result = _meet(Meet(str(after), former, str(tmp_path / "diary"), NOW))
        assert {one.indicator.value for one in result.met} == wanted


def test_the_diary_outlives_a_crash_and_forgets_after_30_days(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary")
    diary.count([(EVIL, 1)], now=NOW)
    diary.keep()
    diary.count([("45.83.64.8", 1)], now=NOW)  # lost: not yet on the disk
    again = Diary(tmp_path / "diary")
    again.count([(EVIL, 1)], now=NOW + 60)
    assert again.look_back([ip(EVIL)], now=NOW + 60)[ip(EVIL)].count == 2
    assert again.look_back([ip("45.83.64.8")], now=NOW + 60) == {}
    again.keep()
    late = NOW + 29 * DAY_S
    assert again.look_back([ip(EVIL)], now=late)[ip(EVIL)].days == 1
    again.count([], now=NOW + 31 * DAY_S)
    assert again.look_back([ip(EVIL)], now=NOW + 31 * DAY_S) == {}
    assert not list((tmp_path / "diary").glob(f"{day_of(NOW)}*")), "the file of that day is deleted"


def day_of(at: int) -> str:
    from datetime import UTC, datetime

    return str(datetime.fromtimestamp(at, UTC).date())


def test_the_diary_holds_no_address_and_no_more_than_its_bound(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary")
    flows = [(f"45.{a}.{b}.7", 1) for a in range(100) for b in range(200)]
    diary.count(flows, now=NOW)
    diary.keep()
    (path,) = (tmp_path / "diary").glob("*.day")
    content = path.read_bytes()
    assert len(content) <= 65 + 16 * RECORDS_A_DAY and diary.left_out > 0
    assert bytes([45, 1, 1, 7]) not in content and b"45.1.1" not in content
    assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_day_is_left_out_and_another_box_cannot_read_it(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary")
    for day in (0, 1):
        diary.count([(EVIL, 1)], now=NOW + day * DAY_S)
    diary.keep()
    path = tmp_path / "diary" / f"{day_of(NOW)}.day"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert diary.look_back([ip(EVIL)], now=NOW + DAY_S)[ip(EVIL)].days == 1
    path.write_bytes(whole)
    (tmp_path / "diary" / "key").unlink()
    assert Diary(tmp_path / "diary").look_back([ip(EVIL)], now=NOW + DAY_S) == {}


# -- strangers ---------------------------------------------------------------------------------------------


def test_a_scan_is_many_ports_within_a_minute_and_a_retry_is_none() -> None:
    strangers = Strangers()
    ports = [Tally(EVIL, "", "tcp", port, 1, 0) for port in range(SCAN_PORTS)]
    assert strangers.scanned(iter([ports[0]] * 100), monotonic=0.0) == {}
    assert strangers.scanned(iter(ports[1:-1]), monotonic=5.0) == {}
    assert strangers.scanned(iter(ports[-1:]), monotonic=10.0) == {EVIL: SCAN_PORTS}
    slow = Strangers()
    for port in range(40):
        assert slow.scanned(iter([Tally(EVIL, "", "tcp", port, 1, 0)]), monotonic=port * 10.0) == {}


def test_guessing_is_many_completed_connections_to_a_port_with_a_password() -> None:
    guests = [Tally(EVIL, "", "tcp", 22, GUESSES, 0), Tally(EVIL, "", "tcp", 443, 500, 0)]
    assert Strangers().guessed(iter(guests), monotonic=0.0) == {(EVIL, 22): GUESSES}
    slow = Strangers()
    for minute in range(10):
        few = Tally(EVIL, "", "tcp", 22, GUESSES // 2, 0)
        assert slow.guessed(iter([few]), monotonic=minute * 61.0) == {}


def test_a_flood_of_forged_sources_stays_within_the_bound() -> None:
    strangers = Strangers()
    forged = [Tally(f"45.{n >> 8}.{n & 255}.1", "", "tcp", 80, 1, 0) for n in range(3 * MOST_SOURCES)]
    strangers.scanned(iter(forged), monotonic=0.0)
    strangers.guessed(iter(forged), monotonic=0.0)
    assert len(strangers._ports) <= MOST_SOURCES and len(strangers._guesses) <= MOST_SOURCES


# -- leaks -------------------------------------------------------------------------------------------------


def test_a_volume_is_counted_by_machine_place_and_hour_and_weighs_more_at_night() -> None:
    def judge(volumes: Volumes, size: int, now: int, hour: int) -> list[str]:
        sent = [met(PC, EVIL, size=size)]
        return [leak.detector for leak in volumes.judge(sent, limit_bytes=1000, now=now, local_hour=hour)]

    day = Volumes()
    assert judge(day, 600, NOW, 10) == [] and judge(day, 600, NOW + 60, 10) == ["leak_volume"]
    assert judge(day, 600, NOW + 3700, 11) == []
    assert judge(Volumes(), 300, NOW, 3) == ["leak_night"]
    assert list(Volumes().judge([met(PC, EVIL, size=10**9)], limit_bytes=0, now=NOW, local_hour=3)) == []


@pytest.mark.parametrize("interval_s", [50, 60, 900])
def test_a_beacon_is_regular_and_alone(interval_s: int) -> None:
    source, beacons = random.Random(5), Beacons()
    found: list[Leak] = []
    for n in range(BEATS + 2):
        jitter = source.randint(-interval_s // 12, interval_s // 12)
        found += beacons.judge([met(PC, EVIL)], now=NOW + n * interval_s + jitter)
    assert (
        found
        and found[0].detector == "beacon"
        and abs(int(found[0].evidence["interval_s"]) - interval_s) < interval_s / 5
    )


@pytest.mark.parametrize("interval_s", [47, 60, 75, 120])
@pytest.mark.parametrize("phase_s", range(0, 10, 3))
def test_a_beacon_is_seen_although_the_counts_are_read_every_ten_seconds(
    interval_s: int, phase_s: int
) -> None:
    source, beacons = random.Random(interval_s), Beacons()
    found: list[Leak] = []
    for n in range(BEATS):
        beat = phase_s + n * interval_s + source.randint(-interval_s // 12, interval_s // 12)
        found += beacons.judge([met(PC, EVIL)], now=NOW + -(-beat // 10) * 10)
    assert [leak.detector for leak in found] == ["beacon"]


@pytest.mark.parametrize("phase_s", range(5))
def test_a_policy_makes_shorter_beacons_seen(phase_s: int) -> None:
    """As the laboratory's: a call every 12 s, the counts read every 5 s."""
    short, usual = Beacons(), Beacons()
    found: list[Leak] = []
    for n in range(8):
        now = NOW + -(-(phase_s + n * 12) // 5) * 5
        found += short.judge([met(PC, EVIL)], now=now, from_s=10, beats=8, read_s=5)
        assert list(usual.judge([met(PC, EVIL)], now=now)) == []
    assert [(leak.detector, leak.evidence["beats"]) for leak in found] == [("beacon", "8")]


def test_what_is_irregular_shared_or_the_clock_is_no_beacon() -> None:
    source, beacons = random.Random(5), Beacons()
    at = NOW
    for _ in range(200):
        at += source.randint(30, 600)
        assert list(beacons.judge([met(PC, EVIL)], now=at)) == []
    shared, clock = Beacons(), Beacons()
    for n in range(40):
        now = NOW + n * 60
        assert list(shared.judge([met(PC, EVIL), met("192.168.1.21", EVIL)], now=now)) == []
        assert list(clock.judge([met(PC, EVIL, 123, protocol="udp")], now=now)) == []


def test_ports_of_clear_passwords_are_named_as_concluded_from_the_port() -> None:
    found = list(clear_passwords([met(PC, EVIL, port) for port in (21, 22, 23, 80, 110, 143, 443, 587, 993)]))
    assert [leak.evidence["service"] for leak in found] == ["ftp", "telnet"], (
        "the others may go on by STARTTLS"
    )
    assert all(leak.evidence["concluded_from"] == "port" for leak in found)


def test_a_tunnel_is_many_long_unlike_labels_below_one_registered_name() -> None:
    source, tunnels = random.Random(5), Tunnels()

    def label() -> str:
        return "".join(source.choices("abcdefghijklmnopqrstuvwxyz234567", k=48))

    judged = [tunnels.judge(PC, f"{label()}.t.exemple.co.uk", 16, now=NOW) for _ in range(40)]
    found = [leak for leak in judged if leak is not None]
    assert found and found[0].remote == "exemple.co.uk"
    quiet = Tunnels()
    for n in range(500):
        assert (
            quiet.judge(PC, f"images-cache-statique-numero-{n % 8}.media.cdn-exemple.com", 1, now=NOW) is None
        )


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.b.exemple.com", ("exemple.com", "a.b")),
        ("a.exemple.co.uk", ("exemple.co.uk", "a")),
        ("exemple.fr", ("exemple.fr", "")),
        ("fr", ("fr", "")),
    ],
)
def test_a_name_is_split_at_its_registered_part(name: str, parts: tuple[str, str]) -> None:
    assert split(name) == parts


# -- what is told ------------------------------------------------------------------------------------------


def test_an_alarm_is_told_once_in_a_while_and_a_flood_of_sources_is_bounded(spool: FactSpool) -> None:
    at = [NOW]
    alarms = Alarms(spool, lambda: at[0])
    assert alarms.tell("port_scan", EVIL, (ip(EVIL),), {}) and not alarms.tell("port_scan", EVIL, (), {})
    at[0] += AGAIN_S
    assert alarms.tell("port_scan", EVIL, (ip(EVIL),), {})
    for n in range(3 * A_DAY):
        alarms.tell("port_scan", f"10.0.{n >> 8}.{n & 255}", (), {})
    assert alarms.held_back > 0 and alarms.tell("honeyport", EVIL, (), {}), "of another detector"
    assert len([f for f in told(spool) if isinstance(f, Sighting)]) <= A_DAY + 3


def test_learned_flows_are_prefixes_and_services_and_never_more_than_the_bound(spool: FactSpool) -> None:
    learner = Learner(spool)
    learner.inbound(
        [Tally("203.0.113.9", "", "tcp", 443, 2, 0), Tally("203.0.113.77", "", "tcp", 443, 1, 0)], now=NOW
    )
    learner.inbound([Tally("2001:db8:1:2::5", "", "udp", 51820, 1, 0)], now=NOW)
    learner.outbound(
        [met(PC, EVIL, 5938), met(PC, EVIL, 443), met(PC, "198.51.100.4", 443)], {EVIL: "chorus_pro"}, now=NOW
    )
    learner.tell(now=NOW + 1)
    facts = {
        (f.direction, f.port, f.remote, f.service): f.count
        for f in told(spool)
        if isinstance(f, FlowsLearned)
    }
    assert facts == {
        ("in", 443, "203.0.113.0/24", ""): 3,
        ("in", 51820, "2001:db8:1::/48", ""): 1,
        ("out", 5938, "", "teamviewer"): 1,
        ("out", 443, "", "chorus_pro"): 1,
    }
    learner.inbound(
        [Tally(f"45.{n >> 8}.{n & 255}.1", "", "tcp", 1, 1, 0) for n in range(5 * MOST_KEYS)], now=NOW
    )
    learner.tell(now=NOW + 2)
    assert len(told(spool)) <= MOST_KEYS


def test_who_forges_addresses_makes_no_other_machine_one_that_never_asks(spool: FactSpool) -> None:
    rounds = Rounds(spool)
    rounds.tell(now=NOW)
    rounds.asked(Tally(f"10.{n >> 8}.{n & 255}.1", "", "", 0, 1, 0) for n in range(5 * MOST_KEYS))
    rounds.asked([Tally(PC, "", "", 0, 1, 0)])
    rounds.talked([met(PC, EVIL, packets=SILENT_FLOWS)])
    rounds.tell(now=NOW + 60)
    assert told(spool) == []


def test_a_service_found_by_name_is_so_at_its_ports_only() -> None:
    places = {EVIL: "chorus_pro"}
    assert recognise(EVIL, "tcp", 443, places) == "chorus_pro"
    assert recognise(EVIL, "tcp", 8080, places) == "" and recognise("198.51.100.1", "tcp", 443, places) == ""
    assert {"chorus_pro", "ants"} <= {service for _, service in NAMES}


def test_machines_that_go_round_are_counted_once_each_and_told_when_they_are_more(spool: FactSpool) -> None:
    rounds = Rounds(spool)
    rounds.tell(now=NOW)
    rounds.tried([Tally(PC, "", "", 853, 5, 0), Tally("192.168.1.21", "", "", 53, 1, 0)])
    rounds.talked([met(PC, EVIL, packets=SILENT_FLOWS), met("192.168.1.21", EVIL, packets=SILENT_FLOWS)])
    rounds.asked([Tally("192.168.1.21", "", "", 0, 1, 0)])
    for _ in range(3):
        rounds.tell(now=NOW + 60)
    facts = {(f.kind, f.count) for f in told(spool) if isinstance(f, Bypass)}
    assert facts == {("dot", 1), ("foreign_dns", 1), ("own_resolver", 1)}
    rounds.tried([Tally("192.168.1.22", "", "", 853, 1, 0)])
    rounds.tell(now=NOW + 120)
    assert [(f.kind, f.count) for f in told(spool) if isinstance(f, Bypass)] == [("dot", 2)]


def test_no_room_is_told_from_when_something_is_refused_and_while_the_table_is_nearly_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counts = {"newcomers_refused": 7}
    monkeypatch.setattr(totals, "kernel_counts", lambda: counts)
    monkeypatch.setattr(totals, "_CONNTRACK", tmp_path)
    room = totals.Room()
    assert room.lacking() == []  # what was refused before it looked is nobody's news
    counts["newcomers_refused"] = 9
    for name, number in (("count", 95), ("max", 100)):
        (tmp_path / f"nf_conntrack_{name}").write_text(f"{number}\n")
    assert room.lacking() == ["newcomers_flood", "flows_full"]
    counts["newcomers_refused"] = 3  # the rules were loaded anew
    (tmp_path / "nf_conntrack_count").write_text("80\n")
    assert room.lacking() == ["newcomers_flood"]
    assert room.lacking() == []


def test_what_is_said_of_an_observed_entry_replaces_what_waits_to_be_said(spool: FactSpool) -> None:
    for n in range(3):
        spool.looked_back(LookBack(f"l{n}", "dec_1", ip(EVIL), 2 + n, 1, NOW, NOW + n))
    assert told(spool) == [LookBack("l0", "dec_1", ip(EVIL), 4, 1, NOW, NOW + 2)]


def test_a_label_is_stable_and_only_this_box_knows_whose_it_is(tmp_path: Path) -> None:
    one = Labels(tmp_path, b"k" * 32).of(PC, now=NOW)
    assert Labels(tmp_path, b"k" * 32).of(PC, now=NOW) == one != Labels(tmp_path, b"x" * 32).of(PC, now=NOW)
    assert read(tmp_path)[one].address == PC and PC not in one
    assert (tmp_path / "labels.json").stat().st_mode & 0o077 == 0


def test_who_asks_a_thousand_times_or_forges_addresses_is_looked_up_seldom_and_pushes_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(neighbours, "_ip", lambda *words, kind: asked.append(words[-1]) or [])
    kept = Labels(tmp_path, b"k" * 32)
    mine = kept.of(PC, now=NOW)
    assert {kept.of(PC, now=NOW + n // 100) for n in range(1000)} == {mine}
    assert asked == [PC, PC]
    for n in range(5000):  # within half a minute
        kept.of(f"192.168.{2 + n // 250}.{n % 250}", now=NOW + n // 200)
    assert len(set(asked)) == MOST_NAMED
    assert kept.of(PC, now=NOW + 30) == mine and read(tmp_path)[mine].address == PC
    other = "192.168.1.21"
    assert kept.of(other, now=NOW + 30) == "" != kept.of(other, now=NOW + AGAIN_S + 30)


@given(data=st.binary(max_size=300))
@settings(deadline=None)
def test_whatever_the_kernel_or_the_resolver_says_is_read_or_left(data: bytes) -> None:
    list(elements(data))
    try:
        read_addresses(data)
    except (IndexError, ValueError, struct.error):
        pass  # cut off
