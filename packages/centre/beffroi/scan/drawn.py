"""QR codes that a page or a text draws without a picture: by block signs, coloured cells or SVG. Pure.

One rough picture of each drawing in shades of grey, for ``codes``: a reader of codes forgives what is not to scale, and
black for white.
Hostile: every sign. Each expression goes over a text once; lines, columns, shapes and steps have caps, and the picture
         is no larger than a screen.
Source:  ISO/IEC 18004; SVG 1.1, 8.3 (path data); docs/decisions/0190-codes-that-are-drawn.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from html import unescape
from itertools import islice
from math import isfinite

from PIL import Image, ImageColor, ImageDraw

MOST_TEXT = 1024 * 1024
_WHITE, _BLACK = 255, 0
_FEWEST = 21
"""Squares of an edge of the smallest code."""

type Drawing = Callable[[], Image.Image | None]


def drawings(text: str) -> Iterator[Drawing]:
    """Those of a text, or of a page: each is read when it is called for."""
    text = text[:MOST_TEXT]
    lower = text.lower()
    if _has_blocks(lower) or sum(map(lower.count, _CELLS)) >= _FEWEST * _FEWEST:
        yield partial(_by_signs, text)
    if "<svg" in lower or ":svg" in lower:
        yield partial(_by_shapes, text)


def _has_blocks(lower: str) -> bool:
    if any(one in lower for one in ("&#", "block", "hblk")):
        lower = unescape(lower)
    elif lower.isascii():
        return False
    return sum(1 for _ in islice(_BLOCKS.finditer(lower), _FEWEST_BLOCKS)) == _FEWEST_BLOCKS


@cache
def _shade(colour: str) -> int | None:
    """None for what is no colour."""
    try:
        red, green, blue = ImageColor.getrgb(colour.strip())[:3]
    except ValueError:
        return None
    return (299 * red + 587 * green + 114 * blue) // 1000


# -- signs and cells -----------------------------------------------------------------------------------------

_QUARTERS = dict(zip(
    "\u2580\u2584\u2588\u258c\u2590\u2596\u2597\u2598\u2599\u259a\u259b\u259c\u259d\u259e\u259f\u25a0\u2593",
    (0b1100, 0b0011, 0b1111, 0b1010, 0b0101, 0b0010, 0b0001, 0b1000, 0b1011, 0b1001, 0b1110, 0b1101, 0b0100, 0b0110,
     0b0111, 0b1111, 0b1111),
    strict=True,
))  # fmt: skip
"""Of block signs: what is black above, left and right, and below."""
_SQUARES = {"\u2b1b": _BLACK, "\u2b1c": _WHITE}
"""As broad as they are high: two signs."""
_BLOCKS = re.compile("[\u2580-\u259f\u25a0\u2b1b\u2b1c]")
_CELLS = ("<td", "<th", "background")
_FEWEST_BLOCKS = 60
_TOKENS = re.compile(r"<(/?\w+)([^<>]*)>([^<]*)|([^<]+)")
_BREAKS = frozenset(
    ["br", "p", "div", "tr", "table", "li", "pre", "body", "html", "ul", "h1", "h2", "h3", "h4"]
)
_KEEPS_LINES = re.compile(r"<pre\b|white-space\s*:\s*pre", re.I)
_GROUND = re.compile(r"\b(?:bgcolor\s*=|background(?:-color)?\s*:)\s*[\"']?([^\"';>]{1,40})", re.I)
_INK = re.compile(r"(?<![\w-])color\s*[=:]\s*[\"']?([^\"';>]{1,40})", re.I)
_CLASS = re.compile(r"\bclass\s*=\s*[\"']?([\w-]+)", re.I)
_OF_CLASS = re.compile(r"\.([\w-]{1,40})\s{0,9}\{([^{}]{0,400})\}")
_SPAN = re.compile(r"\bcolspan\s*=\s*[\"']?(\d{1,3})", re.I)
_BLANKS = re.compile(r"[ \t\r\n]+")
_MOST_TOKENS, _MOST_READ = 100_000, 10_000
"""Tags with what follows, lines."""
_MOST_LINES, _MOST_COLUMNS, _FEWEST_LINES, _FEWEST_IN_LINE = 300, 800, 11, 4
_MARGIN = 16


class _Line:
    """Two rows of shades, of two columns for each sign; and how many signs and cells are in it."""

    def __init__(self) -> None:
        self.rows: tuple[bytearray, bytearray] = bytearray(), bytearray()
        self.drawn = 0
        self.is_blank = True

    def cell(self, shade: int, columns: int) -> None:
        self.drawn += 1
        row = bytes([shade]) * min(columns, _MOST_COLUMNS)
        self._add(row, row)

    def write(self, text: str, ink: int, ground: int) -> None:
        text = text[:_MOST_COLUMNS]
        if not _BLOCKS.search(text):
            self.is_blank &= not text.strip()
            row = bytes([ground]) * 2 * len(text)
            self._add(row, row)
            return
        for sign in text:
            if sign in _SQUARES:
                self.cell(_SQUARES[sign], 4)
                continue
            quarters = _QUARTERS.get(sign, 0)
            self.drawn += quarters > 0
            self.is_blank &= quarters > 0 or sign.isspace()
            upper, lower = (
                bytes(ink if quarters & one else ground for one in two) for two in ((8, 4), (2, 1))
            )
            self._add(upper, lower)

    def _add(self, upper: bytes, lower: bytes) -> None:
        if len(self.rows[0]) < _MOST_COLUMNS:
            self.rows[0].extend(upper)
            self.rows[1].extend(lower)


def _by_signs(text: str) -> Image.Image | None:
    runs = [run for run in _runs(islice(_lines(text), _MOST_READ)) if len(run) >= _FEWEST_LINES]
    rows = []
    for run in runs:
        rows += [row for line in run for row in line.rows] + [bytearray()] * _MARGIN
    if not rows:
        return None
    width = max(map(len, rows))
    pixels = b"".join(bytes(row).ljust(width, b"\xff") for row in rows)
    image = Image.new("L", (width + 2 * _MARGIN, len(rows) + _MARGIN), _WHITE)
    image.paste(Image.frombytes("L", (width, len(rows)), pixels), (_MARGIN, _MARGIN))
    # A sign is twice as high as it is broad.
    return image.resize((2 * image.width, 4 * image.height), Image.Resampling.NEAREST)


def _runs(lines: Iterator[_Line]) -> Iterator[list[_Line]]:
    """Lines of signs that follow one another, with nothing but blanks between."""
    run: list[_Line] = []
    left = _MOST_LINES
    for line in lines:
        if line.drawn >= _FEWEST_IN_LINE and len(line.rows[0]) >= _FEWEST:
            run.append(line)
            left -= 1
        elif line.drawn or not line.is_blank:
            yield run
            run = []
        if not left:
            break
    yield run


def _lines(text: str) -> Iterator[_Line]:
    keeps = not re.search(r"<\w", text) or _KEEPS_LINES.search(text)
    of_class = dict(_OF_CLASS.findall(text))
    line = _Line()
    for token in islice(_TOKENS.finditer(text), _MOST_TOKENS):
        tag, told, behind, bare = token.groups("")
        name = tag.lower()
        if name.lstrip("/") in _BREAKS:
            yield line
            line = _Line()
        if found := _CLASS.search(told):
            told += f" {of_class.get(found[1], '')}"
        ground = _told(_GROUND, told)
        written = unescape(behind or bare)
        if name in ("td", "th") and not _BLOCKS.search(written):
            span = _SPAN.search(told)
            line.cell(_WHITE if ground is None else ground, 4 * (int(span[1]) if span else 1))
            continue
        ink = _told(_INK, told)
        for number, piece in enumerate(written.split("\n") if keeps else [_BLANKS.sub(" ", written)]):
            if number:
                yield line
                line = _Line()
            if ground is not None and name not in _BREAKS and not piece.strip():
                line.cell(ground, 2 * max(1, len(piece)))
                continue
            line.write(
                piece.rstrip("\r"), _BLACK if ink is None else ink, _WHITE if ground is None else ground
            )
    yield line


def _told(pattern: re.Pattern[str], attributes: str) -> int | None:
    found = pattern.search(attributes) if attributes else None
    return _shade(found[1]) if found else None


# -- SVG -----------------------------------------------------------------------------------------------------

_SHAPES = re.compile(r"<(?:\w+:)?(rect|use|circle|path|polygon)\b([^<>]*)>", re.I)
_ATTRIBUTES = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_STYLE = re.compile(r"([\w-]+)\s*:\s*([^;]+)")
_STEPS = re.compile(r"([a-df-z])|([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", re.I)
_MOVED = re.compile(r"translate\(\s*([^,\s)]+)[,\s]*([^,\s)]*)")
_TAKES = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7}
_MOST_SHAPES, _MOST_STEPS, _FEWEST_PIECES = 20_000, 200_000, 60
_EDGE, _MOST_PAINTED = 800, 10_000_000
"""Pixels of the picture's edge; of what is painted, what takes time."""
type Points = list[tuple[float, float]]
type Piece = tuple[Points, int | None, float]
"""Points, shade where one is told, breadth of a line; 0 for what is filled."""


def _by_shapes(text: str) -> Image.Image | None:
    return painted(_pieces(text))


def painted(told: Iterable[Piece]) -> Image.Image | None:
    """None where that is no code."""
    pieces = list(islice(told, _MOST_SHAPES))
    if len(pieces) < _FEWEST_PIECES:
        return None
    corners = [point for points, *_ in pieces for point in points]
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    size = max(spread(corners))
    if not isfinite(size) or size <= 0:
        return None
    scale = _EDGE / size
    image = Image.new("L", (_EDGE + 2 * _MARGIN,) * 2, _WHITE)
    pen, left_over = ImageDraw.Draw(image), float(_MOST_PAINTED)
    for number, (points, shade, breadth) in enumerate(pieces):
        placed = [((x - left) * scale + _MARGIN, (y - top) * scale + _MARGIN) for x, y in points]
        width, height = spread(placed)
        left_over -= len(points) * height + width * height / _MARGIN
        if left_over < 0:
            break
        is_ground = not number and len(points) == 4 and min(width, height) >= _EDGE - 1
        ink = shade if shade is not None else _WHITE if is_ground else _BLACK
        if breadth:
            pen.line(placed, ink, round(breadth * scale) or 1)
        elif len(placed) > 2:
            pen.polygon(placed, ink)
    return image


def spread(points: Points) -> tuple[float, float]:
    across, down = zip(*points, strict=True)
    return max(across) - min(across), max(down) - min(down)


def _pieces(text: str) -> Iterator[Piece]:
    of_class, left = dict(_OF_CLASS.findall(text)), _MOST_STEPS
    named: dict[str, tuple[str, dict[str, str]]] = {}
    for shape, attributes in _SHAPES.findall(text):
        told = {name: one or other for name, one, other in _ATTRIBUTES.findall(attributes)}
        told |= dict(_STYLE.findall(f"{of_class.get(told.get('class', ''), '')};{told.get('style', '')}"))
        kind = shape.lower()
        if kind == "use":
            other, first = named.get((told.get("href") or told.get("xlink:href", ""))[1:], ("", {}))
            told, kind = {**first, "dx": told.get("x", ""), "dy": told.get("y", "")}, other
        elif "id" in told:
            named[told["id"]] = kind, told
        for piece in _of_shape(kind, told):
            yield piece
            left -= len(piece[0])
        if left < 0:
            return


def _of_shape(kind: str, told: dict[str, str]) -> Iterator[Piece]:
    moved = _MOVED.search(told.get("transform", ""))
    dx, dy = (_number(one) for one in (moved[1], moved[2])) if moved else (0.0, 0.0)
    dx, dy = dx + _number(told.get("dx", "")), dy + _number(told.get("dy", ""))
    contours: list[Points] = []
    if kind == "rect":
        x, y, width, height = (_number(told.get(one, "")) for one in ("x", "y", "width", "height"))
        contours = [[(x, y), (x + width, y), (x + width, y + height), (x, y + height)]]
    elif kind == "circle":
        x, y, r = (_number(told.get(one, "")) for one in ("cx", "cy", "r"))
        contours = [[(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]]
    elif kind in ("path", "polygon"):
        contours = list(_contours(told.get("d") or f"M{told.get('points', '')}"))
    fill, stroke = told.get("fill", ""), told.get("stroke", "none")
    turns = [_turns(one) for one in contours]
    for points, turn in zip(contours, turns, strict=True):
        placed = [(x + dx, y + dy) for x, y in points]
        if fill != "none":
            # What turns the other way round is a hole.
            yield placed, _shade(fill) if turn == turns[0] else _WHITE, 0.0
        if stroke != "none":
            yield placed, _shade(stroke) or _BLACK, _number(told.get("stroke-width", "1"))


def _turns(points: Points) -> bool:
    pairs = zip(points, points[1:] + points[:1], strict=True)
    return sum(x * y2 - x2 * y for (x, y), (x2, y2) in pairs) < 0


def _number(text: str) -> float:
    found = _STEPS.match(text.strip())
    return float(found[2]) if found and found[2] else 0.0


def _contours(path: str) -> Iterator[Points]:
    """Of curves their ends."""
    points: Points = []
    command, numbers = "", list[float]()
    x = y = 0.0
    for letter, number in islice(((one[1], one[2]) for one in _STEPS.finditer(path)), _MOST_STEPS):
        if letter:
            command, numbers = letter, []
            if letter in "Zz" and points:
                yield points
                x, y = points[0]
                points = []
            continue
        upper = command.upper()
        if upper not in _TAKES:
            continue
        numbers.append(float(number))
        if len(numbers) < _TAKES[upper]:
            continue
        from_x, from_y = (x, y) if command.islower() else (0.0, 0.0)
        if upper == "M" and points:
            yield points
            points = []
        elif not points and upper != "M":
            points.append((x, y))
        if upper != "V":
            x = from_x + numbers[0 if upper == "H" else -2]
        if upper != "H":
            y = from_y + numbers[-1]
        points.append((x, y))
        numbers = []
        if upper == "M":
            command = "l" if command == "m" else "L"
    if points:
        yield points
