"""A mail's HTML of a bounded shape: what is cleaned takes time and room by its length, not by its square. Pure.

Purpose: a parser that reads as browsers do looks through all open elements at each tag, and opens again in each
         paragraph what was left open in the one before. Half a megabyte of ``<div>`` took it 45 s; 25 kB of ``<b a=1>``
         without an end, 600 MB. So it is given what is closed as it was opened, no deeper than ``MAX_DEPTH``, and with
         the attributes that are kept anyway.
Hostile: everything. This is no wall: what comes out is cleaned like any mail (``safe_html``).
Fails:   open: tags that stand too deep, or close nothing, are left out; every word stays.
Source:  https://html.spec.whatwg.org/#parsing-main-inbody
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from html import escape
from html.parser import HTMLParser

MAX_DEPTH = 150
_VOID = {"br", "col", "hr", "img"}
_CELLS = {"td", "th", "caption"}
_ROWS = {"tr", *_CELLS}
_BODIES = {"tbody", "thead", "tfoot", "colgroup"}
_WALLS = {"table", "object", "template", *_CELLS}
"""An end above them closes nothing below."""
_IN_TABLES = {"table"} | _ROWS | _BODIES
_BLOCKS = {"blockquote", "center", "div", "dl", "figure", "figcaption", "hr", "ol", "p", "pre", "table", "ul"}
_BLOCKS |= {"h1", "h2", "h3", "h4", "h5", "h6"}
# What a tag ends by beginning, and what that does not reach beyond.
_ENDS: dict[str, tuple[set[str], set[str]]] = {one: ({"p"}, _WALLS) for one in _BLOCKS}
_ENDS |= {"a": ({"a"}, _WALLS), "li": ({"li"}, _WALLS | {"ul", "ol"})}
_ENDS |= {one: ({"dd", "dt"}, _WALLS | {"dl"}) for one in ("dd", "dt")}
_ENDS |= {one: (_CELLS, {"table"}) for one in _CELLS}
_ENDS |= {"tr": ({"tr"}, {"table"})} | {one: (_BODIES | {"caption"}, {"table"}) for one in _BODIES}


def bounded(hostile: str, tags: Collection[str], attributes: Mapping[str, Collection[str]]) -> str:
    """With these tags alone, each with its attributes."""
    writer = _Writer(tags, attributes)
    writer.feed(hostile)
    writer.close()
    return writer.whole()


class _Writer(HTMLParser):
    def __init__(self, tags: Collection[str], attributes: Mapping[str, Collection[str]]) -> None:
        super().__init__()
        self._tags, self._attributes = tags, attributes
        self._out: list[str] = []
        self._open: list[str] = []
        self._is_open: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def whole(self) -> str:
        self._close(0)
        return "".join(self._out)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self._tags:
            return
        if tag in _ENDS:
            self._end(*_ENDS[tag])
        if tag not in _VOID:
            if len(self._open) >= MAX_DEPTH:
                self._left_out[tag] += 1
                return
            self._open.append(tag)
            self._is_open[tag] += 1
        kept = self._attributes.get(tag, ())
        first = {name: value or "" for name, value in reversed(attrs) if name in kept}
        self._out.append("<" + tag + "".join(f' {name}="{escape(first[name])}"' for name in first) + ">")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # the slash means nothing

    def handle_endtag(self, tag: str) -> None:
        if tag == "br":  # written by mistake, and a line end all the same
            self.handle_starttag(tag, [])
        elif self._left_out[tag]:
            self._left_out[tag] -= 1
        else:
            self._end({tag}, {"table"} if tag in _IN_TABLES else _WALLS)

    def handle_data(self, data: str) -> None:
        self._out.append(escape(data, quote=False))

    def _end(self, which: set[str], walls: set[str]) -> None:
        """Close the innermost of these and what was opened in it, unless a wall stands between."""
        if not any(self._is_open[one] for one in which):
            return
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at] in which:
                self._close(at)
                return
            if self._open[at] in walls:
                return

    def _close(self, at: int) -> None:
        for one in reversed(self._open[at:]):
            self._out.append(f"</{one}>")
            self._is_open[one] -= 1
        del self._open[at:]
