"""RSS 2.0: what a CERT tells people. Pure. Nothing is blocked because of it.

Input:  hostile XML. expat reads it with document types refused, so that no entity is ever declared: no expansion, no
        file, no address of somebody else.
Source: https://www.rssboard.org/rss-specification ; docs.python.org, "XML security".
"""

from __future__ import annotations

from xml.parsers import expat

from beffroi.watch.sources.errors import TooDeep, Unreadable
from beffroi.watch.sources.formats.values import Found
from beffroi.watch.sources.handover import Note

MAX_NOTES = 20
MAX_CHARS = 300
MAX_DEPTH = 32
_FIELDS = frozenset({"title", "link", "pubDate"})


class _Declared(Exception):
    """The document declares a type."""


class _Reader:
    def __init__(self) -> None:
        self.notes: list[Note] = []
        self._path: list[str] = []
        self._item: dict[str, str] = {}

    def start(self, name: str, _attributes: object) -> None:
        self._path.append(name)
        if len(self._path) > MAX_DEPTH:
            raise TooDeep
        if name == "item":
            self._item = {}

    def text(self, data: str) -> None:
        if len(self._path) > 1 and self._path[-2] == "item" and self._path[-1] in _FIELDS:
            name = self._path[-1]
            self._item[name] = (self._item.get(name, "") + data)[:MAX_CHARS]

    def end(self, name: str) -> None:
        self._path.pop()
        if name == "item" and len(self.notes) < MAX_NOTES:
            link = self._item.get("link", "").strip()
            title = " ".join(self._item.get("title", "").split())
            if title and link.startswith("https://"):
                self.notes.append(Note(title, link, self._item.get("pubDate", "").strip()))


def read(data: bytes) -> Found:
    """Return the newest items as notes. Errors: Unreadable, TooDeep."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except _Declared:
        raise Unreadable("the document declares a type") from None
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last: an encoding that nobody knows
        raise Unreadable(str(error)[:80]) from None
    found = Found()
    found.notes = reader.notes
    return found


def _refuse(*_: object) -> None:
    raise _Declared
