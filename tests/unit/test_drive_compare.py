"""Two texts side by side: nothing of either is lost, the shortest way is found, the work is bounded."""

from __future__ import annotations

import random

import pytest
from beffroi.portal import drive_compare
from beffroi.portal.drive_compare import Comparison, Row, TooLong, compare
from hypothesis import given
from hypothesis import strategies as st

LINES = st.lists(st.sampled_from(["a", "b", "c", "le maire", ""]), max_size=30)


def shown(found: Comparison) -> list[tuple[str, int, int]]:
    return [(row.kind, row.before, row.after) for row in found.rows]


def text(row: Row, side: str) -> str:
    return "".join(piece.text for piece in (row.old if side == "old" else row.new))


def test_what_stands_in_both_is_said_once_and_what_differs_beside() -> None:
    found = compare("un\ndeux\ntrois\nquatre\n", "un\n2\ntrois\nquatre\ncinq\n")
    assert shown(found) == [
        ("same", 1, 1),
        ("changed", 2, 2),
        ("same", 3, 3),
        ("same", 4, 4),
        ("added", 0, 5),
    ]
    assert (found.removed, found.added) == (1, 2)


def test_only_the_words_that_differ_are_marked() -> None:
    (row,) = compare("Le budget est de 100 euros.", "Le budget est de 120 euros.").rows
    assert [piece.text for piece in row.old if piece.differs] == ["100"]
    assert [piece.text for piece in row.new if piece.differs] == ["120"]


def test_long_runs_that_stand_in_both_are_left_out() -> None:
    lines = [str(number) for number in range(100)]
    found = compare("\n".join(lines), "\n".join([*lines[:50], "x", *lines[50:]]))
    assert shown(found) == [
        ("skipped", 0, 0),
        *(("same", n, n) for n in (48, 49, 50)),
        ("added", 0, 51),
        *(("same", n, n + 1) for n in (51, 52, 53)),
        ("skipped", 0, 0),
    ]
    assert [row.skipped for row in found.rows if row.kind == "skipped"] == [47, 47]


@given(LINES, LINES)
def test_each_side_is_shown_whole_and_in_its_order(old: list[str], new: list[str]) -> None:
    found = compare("\n".join(old), "\n".join(new))
    at_old = at_new = 0
    for row in found.rows:
        if row.kind == "skipped":
            at_old, at_new = at_old + row.skipped, at_new + row.skipped
        if row.before:
            at_old += 1
            assert row.before == at_old and text(row, "old") == "\n".join(old).splitlines()[at_old - 1]
        if row.after:
            at_new += 1
            assert row.after == at_new and text(row, "new") == "\n".join(new).splitlines()[at_new - 1]
    assert (at_old, at_new) == (len("\n".join(old).splitlines()), len("\n".join(new).splitlines()))


@given(LINES, LINES)
def test_the_way_is_the_shortest(old: list[str], new: list[str]) -> None:
    texts = "\n".join(old), "\n".join(new)
    old, new = texts[0].splitlines(), texts[1].splitlines()
    longest = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for x, one in enumerate(old, 1):
        for y, two in enumerate(new, 1):
            longest[x][y] = (
                longest[x - 1][y - 1] + 1 if one == two else max(longest[x - 1][y], longest[x][y - 1])
            )
    found = compare(*texts)
    assert found.removed == len(old) - longest[-1][-1] and found.added == len(new) - longest[-1][-1]


def test_texts_that_have_nothing_in_common_are_shown_roughly() -> None:
    rng = random.Random(1)
    old, new = ("\n".join(str(rng.random()) for _ in range(5000)) for _ in range(2))
    found = compare(old, new)
    assert found.is_rough and found.is_cut and len(found.rows) == drive_compare.MOST_ROWS
    assert (found.removed, found.added) == (5000, 5000)


def test_too_many_lines_are_refused_and_long_lines_are_cut() -> None:
    with pytest.raises(TooLong):
        compare("\n" * (drive_compare.MOST_LINES + 1), "")
    (row,) = compare("x" * 5000, "y").rows
    assert len(text(row, "old")) == drive_compare.MOST_LINE_CHARS + 1
