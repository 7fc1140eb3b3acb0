"""What a page of a PDF fills with a colour, shape by shape, for codes that it draws without a picture. Pure.

Hostile: every byte. One pass over the operators; no text, pattern or clip is looked at.
Source:  ISO 32000-1, 8.3.4 (matrices), 8.5 (paths), 8.6.8 (colours).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from beffroi.scan.drawn import Piece, Points, spread

MOST_BYTES = 1024 * 1024
"""Of a page; a plan has more, a page with a code 30 to 200 kB."""
# A text that does not end is one, too: each sign is read once.
_TOKENS = re.compile(
    rb"\((?:[^()\\]|\\.)*+|<[0-9A-Fa-f\s]*+|/[^\s/<>\[\]()]*+|([+-]?(?:\d+\.?\d*|\.\d+))|([A-Za-z'\"][A-Za-z0-9*]*+)",
    re.DOTALL,
)
_MOST_NUMBERS, _MOST_STATES = 40, 100
_FILLS = frozenset([b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*"])
_ENDS = frozenset([b"n", b"S", b"s"]) | _FILLS
_ENDS_AT = {b"m": 2, b"l": 2, b"c": 6, b"v": 4, b"y": 4}
"""Numbers of a step; the last two are where it ends. Of curves their ends, as of those of SVG."""
_SMALL_PT = (0.7, 100.0)
"""Edges of what a code is made of: a line of a table is thinner, a ground is larger."""
_FEWEST = 60
_DRAWS = re.compile(rb"\s(?:re|l)\s")
type _Matrix = tuple[float, float, float, float, float, float]


def may_draw(content: bytes) -> bool:
    """Whether it has as many steps as the smallest code, and is no plan."""
    return len(content) <= MOST_BYTES and sum(1 for _ in _DRAWS.finditer(content)) >= _FEWEST


def pieces(content: bytes) -> Iterator[Piece]:
    """The small shapes, with y downwards."""
    for points, shade in _shapes(content):
        edges = spread(points)
        if min(edges) >= _SMALL_PT[0] and max(edges) <= _SMALL_PT[1]:
            yield points, shade, 0.0


def _shapes(content: bytes) -> Iterator[tuple[Points, int]]:
    numbers: list[float] = []
    matrix: _Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    shade, states = 0, list[tuple[_Matrix, int]]()
    path: list[Points] = []
    for number, operator in _TOKENS.findall(content):
        if number:
            if len(numbers) < _MOST_NUMBERS:
                numbers.append(float(number))
            continue
        if not operator:
            continue
        told, numbers = numbers, []
        if operator == b"q" and len(states) < _MOST_STATES:
            states.append((matrix, shade))
        elif operator == b"Q" and states:
            matrix, shade = states.pop()
        elif operator == b"cm" and len(told) >= 6:
            matrix = _times(told[-6:], matrix)
        elif operator in (b"g", b"rg", b"k", b"sc", b"scn"):
            shade = _shade(told, shade)
        elif operator in _ENDS:
            if operator in _FILLS:
                yield from ((points, shade) for points in path if len(points) > 2)
            path = []
        else:
            _step(path, operator, told, matrix)


def _step(path: list[Points], operator: bytes, told: list[float], matrix: _Matrix) -> None:
    """A rectangle, or the next point."""
    if operator == b"re" and len(told) >= 4:
        x, y, width, height = told[-4:]
        corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
        path.append([_placed(matrix, *one) for one in corners])
    elif operator in _ENDS_AT and len(told) >= _ENDS_AT[operator]:
        if operator == b"m" or not path:
            path.append([])
        path[-1].append(_placed(matrix, told[-2], told[-1]))


def _times(told: list[float], by: _Matrix) -> _Matrix:
    a, b, c, d, e, f = told
    p, q, r, s, t, u = by
    return a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u


def _placed(matrix: _Matrix, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, -(b * x + d * y + f)


def _shade(told: list[float], before: int) -> int:
    """Of grey, red, green and blue, or the four of print."""
    match told:
        case [grey]:
            light = grey
        case [red, green, blue]:
            light = 0.299 * red + 0.587 * green + 0.114 * blue
        case [cyan, magenta, yellow, black]:
            light = 1 - min(1.0, 0.299 * cyan + 0.587 * magenta + 0.114 * yellow + black)
        case _:
            return before
    return round(255 * min(1.0, max(0.0, light)))
