"""Facts on their way to the centre: merged, bounded, never lost, never twice."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from beffroi_box.errors import CentreRefused, CentreUnreachable
from beffroi_box.facts import BATCH, MAX_OPEN, ROOM, FactSpool, _read
from beffroi_box.sender import FACTS_PAUSE_S, Sender
from beffroi_protocol.facts import (
    EntryRefused,
    Fact,
    FactBatch,
    FlowsBlocked,
    NamesRefused,
    PolicyRolledBack,
    RefusedTotals,
)
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action, Entry, decode
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 1_800_000_000
EVIL = Indicator(Kind.IP, "45.83.64.7")
NAME = Indicator(Kind.DOMAIN, "colis-suivi.com")


def entry(number: int) -> Entry:
    return Entry(f"dec_{number}", Indicator(Kind.DOMAIN, "gouv.fr"), Action.BLOCK, NOW)


def remote(number: int) -> Indicator:
    return Indicator(Kind.IP, f"45.{number >> 16}.{number >> 8 & 255}.{number & 255}")


def spool(directory: Path) -> FactSpool:
    directory.mkdir(exist_ok=True)
    return FactSpool(directory, "box_1")


def facts(batch: bytes | None) -> tuple[Fact, ...]:
    assert batch is not None
    return decode(batch, FactBatch).facts


def drained(of: FactSpool) -> list[Fact]:
    found: list[Fact] = []
    while (batch := of.take()) is not None:
        found += facts(batch)
        of.sent()
    return found


def test_equal_flows_merge_into_one_fact(tmp_path: Path) -> None:
    of = spool(tmp_path)
    for second in (5, 0, 9):
        of.flow(EVIL, "out", "tcp", 443, "dec_1", NOW + second)
    of.flow(EVIL, "in", "tcp", 443, "dec_1", NOW)
    of.name(NAME, "dec_2", NOW)
    of.name(NAME, "dec_2", NOW + 1)
    of.name(NAME, "dec_2", NOW + 300)
    out, name, inward = facts(of.take())
    assert isinstance(out, FlowsBlocked) and (out.count, out.first_at, out.last_at) == (3, NOW + 5, NOW + 9)
    assert isinstance(inward, FlowsBlocked) and (inward.direction, inward.count) == ("in", 1)
    assert isinstance(name, NamesRefused) and (name.indicator, name.count) == (NAME, 2)


def test_sums_of_the_kernel_merge_until_they_are_sent(tmp_path: Path) -> None:
    of = spool(tmp_path)
    of.totals("in", 50, 2, NOW, NOW + 30)
    of.totals("out", 1, 1, NOW + 30, NOW + 60)
    of.totals("in", 7, 1, NOW + 30, NOW + 60)
    of.keep()
    inward, out = facts(of.take())
    assert isinstance(inward, RefusedTotals) and isinstance(out, RefusedTotals)
    assert (inward.packets, inward.attempts, inward.first_at, inward.last_at) == (57, 3, NOW, NOW + 60)
    assert (out.packets, out.attempts) == (1, 1)
    of.sent()
    of.totals("in", 1, 1, NOW + 60, NOW + 90)
    (later,) = facts(of.take())
    assert isinstance(later, RefusedTotals) and later.id != inward.id and later.packets == 1
    again = FactSpool(tmp_path, "box_1")
    assert facts(again.take()) == (later,)


def test_a_name_asked_for_again_within_five_minutes_is_counted_once(tmp_path: Path) -> None:
    of = spool(tmp_path)
    for second in (0, 1, 299, 300, 599, 600):
        of.name(NAME, "dec_2", NOW + second)
    (name,) = facts(of.take())
    assert isinstance(name, NamesRefused) and name.count == 3


def test_a_flood_of_addresses_is_bounded_and_counted_and_evidence_still_passes_first(tmp_path: Path) -> None:
    of = spool(tmp_path)
    for number in range(ROOM["in"] + 50):
        of.flow(remote(number), "in", "tcp", 22, "", NOW)
    of.refused(entry(1), "the State", NOW)
    of.rolled_back(3, 2, "the centre was not reached", NOW)
    assert (of.waiting(), of.dropped) == (ROOM["in"] + 2, 50)
    first = facts(of.take())
    assert len(first) == BATCH
    assert [type(fact) for fact in first[:2]] == [EntryRefused, PolicyRolledBack]


def test_an_address_that_probes_all_ports_loses_no_count_and_hides_no_call_to_a_master(
    tmp_path: Path,
) -> None:
    of = spool(tmp_path)
    for port in range(5 * MAX_OPEN):
        of.flow(EVIL, "in", "tcp", port, "", NOW + port)
    of.flow(remote(1), "out", "tcp", 443, "dec_1", NOW)
    of.name(NAME, "dec_2", NOW)
    assert of.dropped == 0 and of.waiting() <= MAX_OPEN
    found = drained(of)
    assert isinstance(found[0], FlowsBlocked) and found[0].direction == "out"
    assert isinstance(found[1], NamesRefused)
    inward = [fact for fact in found if isinstance(fact, FlowsBlocked) and fact.direction == "in"]
    assert sum(fact.count for fact in inward) == 5 * MAX_OPEN
    (merged,) = [fact for fact in inward if not fact.protocol]
    assert (merged.port, merged.first_at) == (0, NOW)


def test_an_address_that_has_its_count_counts_on_when_there_is_no_room(tmp_path: Path) -> None:
    of = spool(tmp_path)
    for number in range(ROOM["out"]):
        of.flow(remote(number), "out", "tcp", 22, "", NOW)
    of.flow(remote(7), "out", "tcp", 443, "", NOW)
    of.flow(remote(7), "out", "udp", 443, "", NOW)
    assert (of.dropped, of.waiting()) == (0, ROOM["out"])
    assert {fact.count for fact in drained(of) if isinstance(fact, FlowsBlocked) and not fact.protocol} == {3}


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["in", "out", "name"]), st.integers(1, 2500)), min_size=2, max_size=8)
)
def test_no_number_of_restarts_fills_the_disk_and_evidence_stays(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[str, int]]
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    for turn, (what, number) in enumerate(runs):
        of = spool(directory)
        for one in range(number):
            if what == "name":
                of.name(Indicator(Kind.DOMAIN, f"n{turn}-{one}.com"), "dec_2", NOW + turn)
            else:
                of.flow(remote(turn * 3000 + one), what, "tcp", one % 7, "", NOW + turn)
        of.totals("in", 1, 1, NOW, NOW + turn)
        of.rolled_back(turn, 0, "the centre was not reached", NOW)
        of.keep()
    of = spool(directory)
    read = of.waiting()
    assert read <= MAX_OPEN + len(runs)
    of.keep()
    assert len(_read(directory / "open.json")) == read
    assert sum(isinstance(fact, PolicyRolledBack) for fact in drained(of)) == len(runs)


def test_what_was_merged_never_comes_back_beside_its_sum(tmp_path: Path) -> None:
    """The agent dies between the two writes of ``take``."""
    of = spool(tmp_path)
    for port in range(ROOM["out"]):
        of.flow(EVIL, "out", "tcp", port, "", NOW)
    of.keep()
    of.flow(EVIL, "out", "tcp", 60000, "", NOW)
    keeps: list[bytes] = []
    write = of._write

    def noted(path: Path, told: Sequence[Fact]) -> bool:
        done = write(path, told)
        if path.name == "sealed.json":
            keeps.append((tmp_path / "open.json").read_bytes())
        return done

    of._write = noted
    of.take()
    (tmp_path / "open.json").write_bytes(keeps[0])
    found = [fact for fact in drained(spool(tmp_path)) if isinstance(fact, FlowsBlocked)]
    assert sum(fact.count for fact in found) == ROOM["out"] + 1


def test_each_machine_that_asks_for_a_command_server_is_told_and_the_count_stays(tmp_path: Path) -> None:
    of = spool(tmp_path)
    of.name(NAME, "dec_2", NOW, "poste-AAAAA")
    of.name(NAME, "dec_2", NOW + 1, "poste-AAAAA")
    of.name(NAME, "dec_2", NOW + 2, "poste-BBBBB")
    (one,) = drained(of)
    assert isinstance(one, NamesRefused) and (one.count, one.machines) == (1, ("poste-AAAAA", "poste-BBBBB"))
    of.name(NAME, "dec_2", NOW + 3, "poste-BBBBB")
    assert not drained(of)
    of.name(NAME, "dec_2", NOW + 4, "poste-CCCCC")
    (other,) = drained(of)
    assert isinstance(other, NamesRefused) and (other.count, other.machines) == (0, ("poste-CCCCC",))


def test_a_refused_entry_is_the_same_fact_after_a_restart(tmp_path: Path) -> None:
    of = spool(tmp_path)
    of.refused(entry(1), "the State", NOW)
    (one,) = facts(of.take())
    of.sent()
    again = spool(tmp_path)
    again.refused(entry(1), "the State", NOW + 60)
    again.refused(entry(1), "the State", NOW + 61)
    (two,) = facts(again.take())
    assert one.id == two.id


def test_an_id_stands_from_the_first_count_to_the_centre(tmp_path: Path) -> None:
    of = spool(tmp_path)
    of.flow(EVIL, "out", "tcp", 443, "dec_1", NOW)
    of.keep()
    (kept,) = msgspec.json.decode((tmp_path / "open.json").read_bytes(), type=FactBatch).facts
    of.flow(EVIL, "out", "tcp", 443, "dec_1", NOW)
    (sealed,) = facts(of.take())
    assert kept.id == sealed.id
    assert of.take() == spool(tmp_path).take(), "the same bytes again, by whoever starts next"


def test_a_crash_between_the_two_writes_of_a_seal_counts_once(tmp_path: Path) -> None:
    of = spool(tmp_path / "a")
    of.flow(EVIL, "out", "tcp", 443, "dec_1", NOW)
    of.keep()
    old_open = (tmp_path / "a" / "open.json").read_bytes()
    of.take()
    (tmp_path / "a" / "open.json").write_bytes(old_open)
    found = drained(spool(tmp_path / "a"))
    assert len(found) == 1


def test_a_fact_that_the_centre_may_have_is_never_counted_further(tmp_path: Path) -> None:
    """The disk was full when the open batch was to be written again: its old form comes back at the next start."""
    of = spool(tmp_path)
    of.flow(EVIL, "out", "tcp", 443, "dec_1", NOW)
    of.keep()
    old = (tmp_path / "open.json").read_bytes()
    (sent,) = drained(of)
    (tmp_path / "open.json").write_bytes(old)
    again = spool(tmp_path)
    again.flow(EVIL, "out", "tcp", 443, "dec_1", NOW + 9)
    returned, new = drained(again)
    assert returned.id == sent.id, "the centre takes it once"
    assert isinstance(new, FlowsBlocked) and new.count == 1 and new.id != sent.id


@pytest.mark.parametrize("name", ["open.json", "sealed.json"])
def test_a_damaged_spool_file_is_left_out_and_stops_nothing(tmp_path: Path, name: str) -> None:
    of = spool(tmp_path)
    of.flow(EVIL, "out", "tcp", 443, "dec_1", NOW)
    of.take()
    of.flow(EVIL, "in", "tcp", 443, "dec_1", NOW)
    of.keep()
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:40])
    assert len(drained(spool(tmp_path))) == 1


def test_a_fact_that_later_software_left_costs_no_other_after_a_step_back(tmp_path: Path) -> None:
    before = spool(tmp_path)
    before.rolled_back(2, 1, "no_reach", 1_800_000_000)
    before.keep()
    file = msgspec.json.decode((tmp_path / "open.json").read_bytes())
    file["facts"].insert(0, {"t": "fact_of_tomorrow", "id": "fct_new", "at": 1})
    (tmp_path / "open.json").write_bytes(msgspec.json.encode(file))
    assert [type(fact) for fact in facts(spool(tmp_path).take())] == [PolicyRolledBack]


def test_without_a_disk_facts_go_on_from_memory(tmp_path: Path) -> None:
    of = spool(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    of.flow(EVIL, "out", "tcp", 443, "dec_1", NOW)
    of.keep()
    assert len(drained(of)) == 1


class Posts:
    """The sending side, with answers of the centre set by the test."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.bad: set[str] = set()
        self.facts: list[Fact] = []
        self.refusals = 0
        self.answer = b'{"v":1}'

    def __call__(self, path: str, body: bytes) -> bytes:
        if self.trouble is not None:
            raise self.trouble
        batch = decode(body, FactBatch).facts
        if self.bad & {fact.id for fact in batch}:
            self.refusals += 1
            raise CentreRefused(400, "request.invalid")
        self.facts += batch
        return self.answer


def pump(sender: Sender, of: FactSpool) -> None:
    at = 0.0
    while of.waiting():
        at += FACTS_PAUSE_S + 1
        sender.send_facts(monotonic=at)


def test_one_bad_fact_among_hundreds_is_dropped_alone(tmp_path: Path) -> None:
    of, posts = spool(tmp_path), Posts()
    sender = Sender(posts, of)
    for number in range(BATCH + 50):
        of.refused(entry(number), "the State", NOW)
    bad = facts(of.take())[77].id
    posts.bad = {bad}
    pump(sender, of)
    assert len(posts.facts) == BATCH + 49 and bad not in {fact.id for fact in posts.facts}
    assert len({fact.id for fact in posts.facts}) == len(posts.facts)
    assert of.rejected == 1 and posts.refusals <= 10


KEPT = [
    CentreUnreachable("no route"),
    CentreRefused(401, "signature.invalid"),
    CentreRefused(403, "box.revoked"),
    CentreRefused(408, "request.too_slow"),
    CentreRefused(429, "request.too_many"),
    CentreRefused(500, "no reason given"),
    CentreRefused(503, "database.unavailable"),
    CentreRefused(400, "message.version_unknown"),
]


@pytest.mark.parametrize("trouble", KEPT, ids=str)
def test_no_other_trouble_loses_a_fact(tmp_path: Path, trouble: Exception) -> None:
    of, posts = spool(tmp_path), Posts()
    sender = Sender(posts, of)
    for number in range(3):
        of.refused(entry(number), "the State", NOW)
    posts.trouble = trouble
    for at in (10.0, 20.0, 30.0):
        assert not sender.send_facts(monotonic=at)
    posts.trouble = None
    assert sender.send_facts(monotonic=40.0)
    assert len(posts.facts) == 3 and of.rejected == 0
