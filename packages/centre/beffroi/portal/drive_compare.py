"""Two texts side by side: which lines stand in both, which went, came or changed. Pure.

Rule:    the work is bounded whatever the texts are: MOST_LINES a side, MOST_EDITS between them. Beyond that many edits
         what lies between the first and the last difference is shown as replaced whole.
Hostile: both texts.
Source:  E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", Algorithmica 1 (1986).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

MOST_LINES, MOST_EDITS, MOST_ROWS, MOST_LINE_CHARS = 20_000, 600, 2_000, 1_000
AROUND = 3
"""Lines in both texts that are shown before and after a difference."""
Kind = Literal["same", "changed", "removed", "added", "skipped"]
_TOKENS = re.compile(r"\w+|\W")


class Piece(NamedTuple):
    text: str
    differs: bool


@dataclass(frozen=True)
class Row:
    """One row of the page. ``before``, ``after``: number of the line, from 1, or 0 for none. ``skipped``: how many
    lines in both texts are left out here."""

    kind: Kind
    before: int = 0
    after: int = 0
    old: tuple[Piece, ...] = ()
    new: tuple[Piece, ...] = ()
    skipped: int = 0


@dataclass(frozen=True)
class Comparison:
    """``is_cut``: there is more than ``rows`` show. ``is_rough``: almost everything differs."""

    rows: tuple[Row, ...]
    removed: int
    added: int
    is_cut: bool
    is_rough: bool


class TooLong(Exception):
    """More than MOST_LINES."""


def compare(old: str, new: str) -> Comparison:
    """Errors: TooLong."""
    before, after = old.splitlines(), new.splitlines()
    if max(len(before), len(after)) > MOST_LINES:
        raise TooLong
    steps, is_rough = _steps(before, after)
    rows: list[Row] = []
    removed = added = at_old = at_new = 0
    for number, (kind, count_old, count_new) in enumerate(steps):
        if kind == "same":
            first, last = not number, number == len(steps) - 1
            rows += _same(before, at_old, at_new, count_old, first=first, last=last)
        else:
            rows += _differing(
                before[at_old : at_old + count_old], after[at_new : at_new + count_new], at_old, at_new
            )
            removed, added = removed + count_old, added + count_new
        at_old, at_new = at_old + count_old, at_new + count_new
        if len(rows) > MOST_ROWS:
            break
    is_cut = len(rows) > MOST_ROWS
    if is_cut:
        removed = sum(one[1] for one in steps if one[0] != "same")
        added = sum(one[2] for one in steps if one[0] != "same")
    return Comparison(tuple(rows[:MOST_ROWS]), removed, added, is_cut, is_rough)


def _same(
    lines: Sequence[str], at_old: int, at_new: int, count: int, *, first: bool, last: bool
) -> Iterator[Row]:
    head, tail = (0 if first else AROUND), (0 if last else AROUND)
    for number in range(count):
        if head <= number < count - tail and count > head + tail:
            if number == head:
                yield Row("skipped", skipped=count - head - tail)
            continue
        text = (Piece(_cut(lines[at_old + number]), differs=False),)
        yield Row("same", at_old + number + 1, at_new + number + 1, text, text)


def _differing(old: Sequence[str], new: Sequence[str], at_old: int, at_new: int) -> Iterator[Row]:
    for number in range(max(len(old), len(new))):
        has_old, has_new = number < len(old), number < len(new)
        before, after = (at_old + number + 1 if has_old else 0), (at_new + number + 1 if has_new else 0)
        if has_old and has_new:
            yield Row("changed", before, after, *_words(_cut(old[number]), _cut(new[number])))
        elif has_old:
            yield Row("removed", before, 0, (Piece(_cut(old[number]), differs=True),))
        else:
            yield Row("added", 0, after, (), (Piece(_cut(new[number]), differs=True),))


def _words(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """What a line has of its own lies between the words that both begin and end with."""
    one, two = _TOKENS.findall(old), _TOKENS.findall(new)
    head = _common(one, two)
    tail = _common(one[head:][::-1], two[head:][::-1])

    def cut(tokens: list[str]) -> tuple[Piece, ...]:
        end = len(tokens) - tail
        pieces = (
            Piece("".join(tokens[:head]), differs=False),
            Piece("".join(tokens[head:end]), differs=True),
            Piece("".join(tokens[end:]), differs=False),
        )
        return tuple(piece for piece in pieces if piece.text)

    return cut(one), cut(two)


def _cut(line: str) -> str:
    return line if len(line) <= MOST_LINE_CHARS else line[:MOST_LINE_CHARS] + "…"


def _common(one: Sequence[str], two: Sequence[str]) -> int:
    most = min(len(one), len(two))
    return next((at for at in range(most) if one[at] != two[at]), most)


# -- which lines stand in both -------------------------------------------------------------------------------

type Step = tuple[Literal["same", "differs"], int, int]
"""Lines of the old text, and of the new one, that stand in both, or do not."""


def _steps(old: Sequence[str], new: Sequence[str]) -> tuple[list[Step], bool]:
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    inner_old, inner_new = old[head : len(old) - tail], new[head : len(new) - tail]
    pairs = _matched(inner_old, inner_new)
    is_rough = pairs is None
    kept = [
        *((at, at) for at in range(head)),
        *((head + one, head + two) for one, two in pairs or ()),
        *((len(old) - tail + at, len(new) - tail + at) for at in range(tail)),
    ]
    steps: list[Step] = []
    at_old = at_new = 0
    for one, two in [*kept, (len(old), len(new))]:
        if one > at_old or two > at_new:
            steps.append(("differs", one - at_old, two - at_new))
        if one < len(old) and two < len(new):
            if steps and steps[-1][0] == "same":
                steps[-1] = ("same", steps[-1][1] + 1, steps[-1][2] + 1)
            else:
                steps.append(("same", 1, 1))
        at_old, at_new = one + 1, two + 1
    return steps, is_rough


def _matched(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]] | None:
    """Pairs of equal lines on a shortest way from one text to the other; None past MOST_EDITS."""
    furthest: dict[int, int] = {1: 0}
    trail: list[dict[int, int]] = []
    for edits in range(min(len(old) + len(new), MOST_EDITS) + 1):
        trail.append(dict(furthest))
        for diagonal in range(-edits, edits + 1, 2):
            goes_down = diagonal == -edits or (
                diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1]
            )
            x = furthest[diagonal + 1] if goes_down else furthest[diagonal - 1] + 1
            y = x - diagonal
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y = x + 1, y + 1
            furthest[diagonal] = x
            if x >= len(old) and y >= len(new):
                return _walked_back(trail, len(old), len(new))
    return None


def _walked_back(trail: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for edits in range(len(trail) - 1, -1, -1):
        furthest, diagonal = trail[edits], x - y
        goes_down = diagonal == -edits or (
            diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1]
        )
        before = diagonal + 1 if goes_down else diagonal - 1
        from_x = furthest[before]
        from_y = from_x - before
        while x > from_x and y > from_y and x > 0 and y > 0:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = from_x, from_y
    return pairs[::-1]
