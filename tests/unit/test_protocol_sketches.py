"""Sketches that are near: by what share of their lanes, and in a door's table as entries come and go."""

from __future__ import annotations

import pytest
from beffroi_protocol import sketches
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Action, Batch, Entry, Snapshot
from beffroi_protocol.signing import payload_hash
from beffroi_protocol.sketches import LANE_DIGITS, LANES, Sketches, lanes
from beffroi_protocol.table import DecisionTable
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 1000
texts = st.lists(st.integers(0, 3), min_size=LANES, max_size=LANES)
"""Few values a lane, so that many lanes agree."""


def sketch(values: list[int]) -> str:
    return "".join(f"{one:0{LANE_DIGITS}x}" for one in values)


def common(one: str, other: str) -> int:
    pairs = zip(range(0, len(one), LANE_DIGITS), strict=False)
    return sum(one[at : at + LANE_DIGITS] == other[at : at + LANE_DIGITS] for (at,) in pairs)


def entry(number: int, value: str, action: Action = Action.QUARANTINE) -> Entry:
    return Entry(f"dec_{number}", normalise(Kind.SKETCH, value), action, NOW + 9)


@given(st.lists(texts, min_size=1, max_size=12), texts, st.data())
@settings(deadline=None)
def test_near_is_what_has_half_of_the_lanes_in_common_whatever_came_and_went(
    every: list[list[int]], asked: list[int], data: st.DataObject
) -> None:
    known, held = Sketches(), {sketch(one) for one in every}
    for one in held:
        known.add(one)
    gone = data.draw(st.sets(st.sampled_from(sorted(held))))
    for one in gone:
        known.remove(one)
    found = known.near(sketch(asked))
    wanted = {one for one in held - gone if common(one, sketch(asked)) >= LANES // 2}
    assert set(found) == wanted
    assert [common(one, sketch(asked)) for one in found] == sorted(
        (common(one, sketch(asked)) for one in wanted), reverse=True
    )


def test_where_nothing_is_known_nothing_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each collectivité may have a table, and each mail asks all of them: 700 empty ones took 20 ms."""
    taken: list[str] = []
    monkeypatch.setattr(sketches, "lanes", lambda one: taken.append(one) or lanes(one))
    asked = sketch([0] * LANES)
    assert all(DecisionTable(f"mail@col_{number}").near(asked) == [] for number in range(3))
    assert taken == []


def test_sketches_of_another_length_are_near_to_nothing_else() -> None:
    known = Sketches()
    known.add("0" * 8 + "1" * 8)
    assert known.near("0" * 8 + "1" * 8) == ["0" * 8 + "1" * 8]
    assert known.near("0" * 8 + "1" * 8 + "2" * 8) == []


def test_a_table_finds_by_nearness_what_its_entries_name_and_no_more_once_they_are_gone() -> None:
    decided, near = sketch([0] * LANES), sketch([0] * (LANES // 2) + [1] * (LANES // 2))
    table = DecisionTable("mail")
    start = Snapshot(1, "mail", 1, 1, NOW, NOW + 9, "", (entry(1, decided), entry(2, decided)))
    table.apply(start, b"")
    assert table.near(near) == [decided]
    assert DecisionTable.load(table.dump()).near(near) == [decided]
    for number in (1, 2):
        assert table.near(near) == [decided]
        batch = Batch(1, "mail", 1, number, number + 1, NOW, NOW + 9, table.head, (), (f"dec_{number}",))
        payload = str(number).encode()
        table.apply(batch, payload)
        assert table.head == payload_hash(payload)
    assert table.near(near) == []


def test_a_snapshot_forgets_what_it_does_not_name() -> None:
    table = DecisionTable("mail")
    table.apply(Snapshot(1, "mail", 1, 1, NOW, NOW + 9, "", (entry(1, sketch([0] * LANES)),)), b"")
    table.apply(Snapshot(1, "mail", 1, 2, NOW, NOW + 9, "h", (entry(2, sketch([1] * LANES)),)), b"")
    assert table.near(sketch([0] * LANES)) == []
    assert table.near(sketch([1] * LANES)) == [sketch([1] * LANES)]
