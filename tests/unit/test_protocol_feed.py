"""The feed from the door's side: chain, epochs, replays, time, hostile entries, kept states."""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast

import msgspec
import pytest
from beffroi_protocol import table
from beffroi_protocol.errors import (
    BatchReplayed,
    ChainBroken,
    EpochBehind,
    MessageMalformed,
    MessageTooLarge,
    StateDamaged,
    VersionUnknown,
)
from beffroi_protocol.facts import FactBatch
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.messages import (
    MAX_MESSAGE_BYTES,
    AckBatch,
    Action,
    Batch,
    BulkList,
    Entry,
    Snapshot,
    decode,
    decode_feed,
    decode_snapshot_file,
    encode,
)
from beffroi_protocol.session import Refused, TrustedClock
from beffroi_protocol.signing import (
    Signer,
    split_line,
)
from beffroi_protocol.table import Change, DecisionTable

from tests.fixtures_feed import (
    FEED,
    T0,
    YEAR_S,
    Centre,
    applied,
    entry,
    refusal,
    session,
)

# -- the chain -----------------------------------------------------------------------------------------------


def test_batches_follow_one_another_and_are_matched() -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    change = door.receive(centre.batch([entry(1)]), monotonic=0.0)
    assert isinstance(change, Change)
    assert (change.version, change.added) == (1, (entry(1),))
    assert door.tables["box"].match_address("51.15.0.1", now=T0) == entry(1)
    door.receive(centre.batch(removed=["dec_0001"]), monotonic=0.0)
    assert door.tables["box"].match_address("51.15.0.1", now=T0) is None
    assert door.since() == f"box:1:2:{centre.head}"


def test_who_stands_in_a_fork_says_its_version_with_no_head_that_fits() -> None:
    """Or the centre would answer with a file of an earlier version, a replay to this door, for ever."""
    centre, door, restored = Centre(), session(), Centre()
    for number in (1, 2):
        door.receive(centre.snapshot() if number == 1 else centre.batch([entry(1)]), monotonic=0.0)
    restored.batch([entry(2)])
    forked = door.receive(restored.batch([entry(3)]), monotonic=0.0)
    assert isinstance(forked, Refused) and forked.resync
    assert door.since() == "box:1:1:?"


def test_a_gap_asks_for_a_snapshot_and_the_snapshot_mends_it() -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    centre.batch([entry(1)])
    gap = door.receive(centre.batch([entry(2)]), monotonic=0.0)
    assert isinstance(gap, Refused)
    assert gap.resync
    assert door.since() == "box:1:0:?"
    door.receive(centre.snapshot(), monotonic=0.0)
    assert len(door.tables["box"]) == 2
    assert door.since() == f"box:1:2:{centre.head}"


def test_a_higher_epoch_demands_a_snapshot_and_a_lower_one_is_refused() -> None:
    old, new, door = Centre(epoch=1), Centre(epoch=2), session()
    door.receive(old.snapshot(), monotonic=0.0)
    assert refusal(door.receive(new.batch([entry(1)]), monotonic=0.0)) is ChainBroken
    assert isinstance(door.receive(new.snapshot(), monotonic=0.0), Change)
    assert refusal(door.receive(old.snapshot(), monotonic=0.0)) is EpochBehind
    assert refusal(door.receive(old.batch([entry(9)]), monotonic=0.0)) is EpochBehind


def test_an_old_snapshot_and_an_old_batch_are_replays() -> None:
    centre, door = Centre(), session()
    first = centre.snapshot()
    batches = [centre.batch([entry(n)]) for n in range(3)]
    for line in (first, *batches):
        door.receive(line, monotonic=0.0)
    for line in (first, *batches):
        assert refusal(door.receive(line, monotonic=0.0)) is BatchReplayed
    assert len(door.tables["box"]) == 3


def test_a_fork_at_the_same_version_counts_only_when_it_is_later() -> None:
    lost, restored, door = Centre(), Centre(), session()
    for centre in (lost, restored):
        centre.batch([entry(1 if centre is lost else 2)])
    earlier = lost.snapshot()
    restored.now += 100
    later = restored.snapshot()
    door.receive(earlier, monotonic=0.0)
    assert isinstance(door.receive(later, monotonic=0.0), Change)
    assert refusal(door.receive(earlier, monotonic=0.0)) is BatchReplayed
    assert door.tables["box"].get("dec_0002") is not None


def test_a_heartbeat_moves_time_and_never_back() -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    beats = [centre.heartbeat() for _ in range(3)]
    for beat in beats:
        door.receive(beat, monotonic=0.0)
    table = door.tables["box"]
    newest = (table.issued_at, table.valid_until, door.clock.floor)
    for beat in beats:
        door.receive(beat, monotonic=500.0)
    assert (table.issued_at, table.valid_until, door.clock.floor) == newest
    assert table.version == 0


def test_repeating_the_last_heartbeat_does_not_hold_the_time_still() -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    beat = centre.heartbeat()
    for second in range(0, 7200, 20):
        door.receive(beat, monotonic=float(second))
    now = door.clock.now(local=0.0, monotonic=7200.0)
    assert now >= centre.now + 7200
    assert door.tables["box"].stale(now=now)


def test_an_expired_feed_is_stale_and_still_blocks() -> None:
    centre, door = Centre(), session()
    centre.batch([entry(1)])
    door.receive(centre.snapshot(), monotonic=0.0)
    late = T0 + 30 * 86400
    assert door.tables["box"].stale(now=late)
    assert door.tables["box"].match_address("51.15.0.1", now=late) == entry(1)


def test_an_entry_ends_by_itself() -> None:
    centre, door = Centre(), session()
    centre.batch([entry(1)])
    door.receive(centre.snapshot(), monotonic=0.0)
    assert door.tables["box"].match_address("51.15.0.1", now=T0 + YEAR_S) is None


def test_a_clock_ten_years_back_changes_nothing_once_a_message_came() -> None:
    clock = TrustedClock(floor=T0)
    assert clock.now(local=T0 - 10 * YEAR_S, monotonic=0.0) == T0
    clock.learn(T0 + 50, monotonic=10.0)
    assert clock.now(local=0.0, monotonic=20.0) == T0 + 60
    clock.learn(T0, monotonic=30.0)
    assert clock.now(local=0.0, monotonic=30.0) == T0 + 70


def test_a_channel_that_was_not_asked_for_is_refused() -> None:
    assert (
        refusal(session("box").receive(Centre("box@col_other").snapshot(), monotonic=0.0)) is MessageMalformed
    )


# -- hostile entries -----------------------------------------------------------------------------------------


def test_entries_of_other_kinds_or_spellings_are_left_out_alone() -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    bad = [
        entry(2, "a@evil.com", Kind.SENDER),  # not of this channel
        entry(3, "EVIL.com", Kind.DOMAIN),
        entry(4, "1.2.3.4/32", Kind.CIDR),
        entry(5, "localhost", Kind.IP),
    ]
    change = door.receive(centre.batch([entry(1), *bad]), monotonic=0.0)
    assert isinstance(change, Change)
    assert change.added == (entry(1),)
    assert change.refused == tuple(bad)
    assert list(door.tables["box"]) == [entry(1)]
    after = door.receive(centre.batch([entry(6)]), monotonic=0.0)
    assert isinstance(after, Change)  # the chain goes on


def test_an_entry_that_comes_again_with_another_indicator_frees_the_first() -> None:
    table, centre = DecisionTable("box"), Centre()
    applied(table, centre.snapshot())
    applied(table, centre.batch([entry(1)]))
    change = applied(table, centre.batch([entry(1, "51.15.9.9")]))
    assert change.removed == (entry(1),)
    assert table.match_address("51.15.0.1", now=T0) is None
    assert table.match_address("51.15.9.9", now=T0) is not None


def test_two_decisions_about_one_thing_need_two_ends() -> None:
    table, centre = DecisionTable("box"), Centre()
    applied(table, centre.snapshot())
    net = normalise("cidr", "51.15.7.0/24").value
    applied(table, centre.batch([entry(1, net, Kind.CIDR), entry(2, net, Kind.CIDR)]))
    applied(table, centre.batch(removed=["dec_0001"]))
    assert table.match_address("51.15.7.7", now=T0) is not None
    applied(table, centre.batch(removed=["dec_0002"]))
    assert table.match_address("51.15.7.7", now=T0) is None


def test_names_match_their_children_and_networks_their_family() -> None:
    table, centre = DecisionTable("box"), Centre()
    applied(table, centre.snapshot())
    applied(table, centre.batch([entry(1, "evil.com", Kind.DOMAIN), entry(2, "2a01:e0a:1::/48", Kind.CIDR)]))
    assert table.match_name("a.b.EVIL.com", now=T0) is not None
    assert table.match_name("notevil.com", now=T0) is None
    assert table.match_address("2a01:e0a:1::9", now=T0) is not None
    assert table.match_address("42.1.14.10", now=T0) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b'{"t":"batch"}',
        b'{"t":"bell","v":1}',
        b'{"t":"batch","v":1,"channel":"box","epoch":1,"from_version":2,"to_version":1,"issued_at":1,"valid_until":2,"prev":""}',
        b'{"t":"batch","v":1,"channel":"box","epoch":-1,"from_version":0,"to_version":1,"issued_at":1,"valid_until":2,"prev":""}',
        b'{"t":"batch","v":1,"channel":"","epoch":1,"from_version":0,"to_version":1,"issued_at":1,"valid_until":2,"prev":""}',
        b'{"t":"batch","v":1,"channel":"box","epoch":1,"from_version":0,"to_version":1e400,"issued_at":1,"valid_until":2,"prev":""}',
        b'{"t":"batch","v":1,"channel":"box","epoch":1,"from_version":0,"to_version":'
        + b"9" * 5000
        + b',"issued_at":1,"valid_until":2,"prev":""}',
        b'{"t":"batch","v":1,"channel":"box","epoch":1,"from_version":1,"to_version":1,"issued_at":1,"valid_until":2,"prev":"","removed":["dec_1"]}',
        b"[" * 100_000,
        b'{"t":"batch","v":1,"x":' + b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_message_that_cannot_be_is_malformed(text: bytes) -> None:
    with pytest.raises(MessageMalformed):
        decode_feed(text)


def test_an_entry_that_is_there_twice_is_malformed() -> None:
    for line in (
        Signer(FEED).line(Snapshot(1, "box", 1, 1, T0, T0, "h", (entry(1), entry(1, "51.15.9.9")))),
        Signer(FEED).line(Batch(1, "box", 1, 0, 1, T0, T0, "", (entry(1), entry(1, "51.15.9.9")))),
    ):
        assert refusal(session().receive(line, monotonic=0.0)) is MessageMalformed


def test_an_oversized_message_is_refused_before_it_is_read() -> None:
    with pytest.raises(MessageTooLarge):
        decode_feed(b" " * (MAX_MESSAGE_BYTES + 1))
    with pytest.raises(MessageTooLarge):
        split_line(b" " * (MAX_MESSAGE_BYTES + 1))
    with pytest.raises(MessageTooLarge):
        decode(b" " * (1024 * 1024 + 1), FactBatch)


def test_a_post_of_a_later_version_is_named_as_such() -> None:
    with pytest.raises(VersionUnknown):
        decode(b'{"v":2,"acks":"in another shape"}', AckBatch)


# -- words of tomorrow -------------------------------------------------------------------------------------------


def of_tomorrow(number: int, *, kind: Any = Kind.IP, action: Any = Action.BLOCK) -> Entry:
    return Entry(f"new_{number:04}", Indicator(kind, "64500"), action, T0 + YEAR_S)


TOMORROW = (of_tomorrow(1, kind="asn"), of_tomorrow(2, action="sinkhole"))


def test_kinds_and_actions_that_this_software_does_not_know_are_left_out_alone() -> None:
    """The centre is brought up to date first, and its boxes in stages, some of them weeks later."""
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    change = door.receive(centre.batch([TOMORROW[0], entry(1), TOMORROW[1]]), monotonic=0.0)
    assert isinstance(change, Change) and change.added == (entry(1),)
    assert isinstance(door.receive(centre.batch([entry(2)], ["new_0001"]), monotonic=0.0), Change)
    assert door.since() == f"box:1:2:{centre.head}"
    newcomer = session()
    assert isinstance(newcomer.receive(centre.snapshot(), monotonic=0.0), Change)
    assert set(newcomer.tables["box"]) == {entry(1), entry(2)}


def test_a_snapshot_s_file_and_lists_with_words_of_tomorrow_are_read_too() -> None:
    lists = [
        BulkList(name, kind, "0" * 64, 1, 1) for name, kind in (("a", Kind.IP), ("b", cast("Any", "asn")))
    ]
    written = Snapshot(1, "box", 1, 1, T0, T0, "h", (entry(1), *TOMORROW), tuple(lists))
    found = decode_snapshot_file(encode(written), at_door=True)
    assert (found.entries, found.lists) == ((entry(1),), (lists[0],))
    with pytest.raises(MessageMalformed):
        decode_snapshot_file(encode(written))  # the centre reads its own, and must miss nothing


@pytest.mark.parametrize(
    "bad",
    [
        msgspec.structs.replace(TOMORROW[1], action=cast("Any", 7)),
        entry(1, kind=cast("Any", 7)),
    ],
)
def test_what_is_of_no_shape_is_malformed_as_before(bad: Entry) -> None:
    with pytest.raises(MessageMalformed):
        decode_feed(encode(Batch(1, "box", 1, 0, 1, T0, T0, "", (entry(1, "51.15.9.9"), bad))), at_door=True)


def test_software_that_knows_new_words_asks_for_what_the_former_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    centre, door = Centre(), session()
    door.receive(centre.snapshot(), monotonic=0.0)
    door.receive(centre.batch([entry(1)]), monotonic=0.0)
    kept = door.tables["box"].dump()
    door.tables["box"] = DecisionTable.load(kept)
    assert door.since() == f"box:1:1:{centre.head}"
    monkeypatch.setattr(table, "WORDS", table.WORDS + 1)
    door.tables["box"] = DecisionTable.load(kept)
    assert door.since() == "box:1:1:?"
    assert isinstance(door.receive(centre.snapshot(), monotonic=0.0), Change)
    assert door.since() == f"box:1:1:{centre.head}"
    door.tables["box"] = DecisionTable.load(door.tables["box"].dump())
    assert door.since() == f"box:1:1:{centre.head}"


def test_a_state_that_later_software_wrote_is_read_after_a_step_back() -> None:
    """A box goes back to its former software where the new one reaches nobody, and the centre may be away."""
    later = DecisionTable("box")
    later._reset([entry(1), *TOMORROW])
    kept = DecisionTable.load(later.dump())
    assert list(kept) == [entry(1)] and kept.lacking
    assert DecisionTable.load(kept.dump()).lacking, "until a snapshot came"


def test_who_adds_a_kind_or_an_action_raises_the_number_of_words() -> None:
    """Or a box that left one out would not ask for it after its update."""
    words = (sorted(Kind), sorted(Action), sorted((c, *sorted(k)) for c, k in table.CHANNEL_KINDS.items()))
    digest = hashlib.sha256(repr(json.loads(json.dumps(words))).encode()).hexdigest()[:16]
    assert (table.WORDS, digest) == (1, "8de84d4c6b437c09")


# -- states ------------------------------------------------------------------------------------------------------


def test_a_state_of_a_later_version_and_a_damaged_one_are_told_apart() -> None:
    body = b'{"state_v":2,"shape":"unknown"}'
    with pytest.raises(VersionUnknown):
        DecisionTable.load(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    for data in (b"", b"\n", body, DecisionTable("box").dump()[:-1], b"0" * 64 + b"\n" + body):
        with pytest.raises(StateDamaged):
            DecisionTable.load(data)
