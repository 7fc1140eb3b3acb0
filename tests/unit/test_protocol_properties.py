"""The feed as properties: whatever the order of messages, a door ends where a newcomer would."""

from __future__ import annotations

import random

from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import (
    Action,
    Entry,
    Snapshot,
    decode_feed,
    encode,
)
from beffroi_protocol.session import Refused
from beffroi_protocol.table import DecisionTable
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures_feed import (
    T0,
    Centre,
    applied,
    session,
)

values = st.one_of(
    st.integers(0, 30).map(lambda n: Indicator(Kind.IP, f"51.15.0.{n}")),
    st.integers(0, 6).map(lambda n: Indicator(Kind.CIDR, f"51.15.{n}.0/24")),
    st.integers(0, 6).map(lambda n: Indicator(Kind.DOMAIN, f"evil{n}.com")),
    st.just(Indicator(Kind.DOMAIN, "Not.Canonical.com")),
    st.just(Indicator(Kind.SENDER, "a@evil.com")),
)
entries = st.builds(
    Entry,
    st.integers(0, 12).map(lambda n: f"dec_{n}"),
    values,
    st.just(Action.BLOCK),
    st.integers(T0 + 10, T0 + 20),
)
steps = st.lists(
    st.tuples(
        st.lists(entries, max_size=4, unique_by=lambda e: e.id),
        st.lists(st.integers(0, 12).map(lambda n: f"dec_{n}"), max_size=3),
        st.integers(0, 2),
    ),
    max_size=8,
)


def observed(table: DecisionTable) -> object:
    answers = [table.match_address(f"51.15.{n % 7}.{n}", now=T0) for n in range(31)]
    names = [table.match_name(f"www.evil{n}.com", now=T0) for n in range(7)]
    return sorted(table), [e is not None for e in answers + names], table.version, table.head


@given(steps, st.integers(0, 8))
@settings(deadline=None)
def test_snapshot_and_deltas_equal_a_fresh_snapshot(
    made: list[tuple[list[Entry], list[str], int]], at: int
) -> None:
    centre, follower = Centre(), DecisionTable("box")
    applied(follower, centre.snapshot())
    kernel: set[tuple[str, Indicator]] = set()  # what a door holds that only follows changes
    for i, (added, removed, beats) in enumerate(made):
        line = centre.batch(added, removed)
        if i == at:  # a door that was away comes back by snapshot
            follower = DecisionTable.load(follower.dump())
            change = applied(follower, centre.snapshot())
            kernel = set()
        else:
            change = applied(follower, line)
        kernel -= {(e.id, e.indicator) for e in change.removed}
        kernel |= {(e.id, e.indicator) for e in change.added}
        assert kernel == {(e.id, e.indicator) for e in follower}
        for _ in range(beats):
            applied(follower, centre.heartbeat())
    fresh = DecisionTable("box")
    applied(fresh, centre.snapshot())
    assert observed(follower) == observed(fresh)
    assert observed(DecisionTable.load(follower.dump())) == observed(fresh)
    assert DecisionTable.load(follower.dump()).dump() == follower.dump()


@given(steps, st.integers(0, 2**32))
@settings(deadline=None)
def test_no_order_of_replays_lowers_the_version_or_the_time(
    made: list[tuple[list[Entry], list[str], int]], seed: int
) -> None:
    first, second, door = Centre(epoch=1), Centre(epoch=2), session()
    lines = []
    for centre in (first, second):
        lines.append(centre.snapshot())
        for added, removed, beats in made:
            lines.append(centre.batch(added, removed))
            lines += [centre.heartbeat() for _ in range(beats)]
            lines.append(centre.snapshot())
    order = lines * 2
    random.Random(seed).shuffle(order)
    table, before = door.tables["box"], (0, 0, 0)
    for line in order:
        door.receive(line, monotonic=0.0)
        after = (table.epoch, table.version, door.clock.floor)
        assert after[:2] >= before[:2]
        assert after[2] >= before[2]
        before = after
    door.receive(second.snapshot(), monotonic=0.0)
    assert table.version == second.version
    fresh = DecisionTable("box")
    applied(fresh, second.snapshot())
    assert observed(table) == observed(fresh)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_hostile_lines_are_refused_and_change_nothing(data: bytes) -> None:
    door = session()
    before = door.since()
    for line in (data, b"bf1 " + data, b"bf1 root AAAA " + data):
        assert isinstance(door.receive(line, monotonic=0.0), Refused)
    assert door.since() == before


@given(st.lists(entries, max_size=5, unique_by=lambda e: e.id))
@settings(deadline=None)
def test_a_message_survives_encoding(listed: list[Entry]) -> None:
    message = Snapshot(1, "box", 1, 1, T0, T0, "h", tuple(listed))
    assert decode_feed(encode(message)) == message
