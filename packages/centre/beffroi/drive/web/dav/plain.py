"""Listings for explorers and mounts, which ask for what a row of ``node`` says by itself: straight from the rows.

Reason:  a folder of 50,000 files is listed in half the time; nothing is made for each of its files but the line itself.
Rule:    only where all names that are asked for stand in ``COLUMNS`` or ``OWNED``, and only in a folder that shows its
         own nodes and no others (``fits``). Everything else goes the general way (``listing``), with the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString, NamedTuple
from xml.sax.saxutils import escape

from beffroi.drive.store.names import content_type
from beffroi.drive.store.writing import Reading, Row
from beffroi.drive.views import Place, View
from beffroi.drive.web.dav import paths, properties, xml
from beffroi.drive.web.dav.owners import Owner
from beffroi.drive.web.dav.properties import http_date, iso_date
from beffroi.drive.web.dav.xml import DAV, Name


class Column(NamedTuple):
    """``name``: in ``node``; "" for none. ``file``, ``folder``: format of its value; None where the kind has none."""

    name: LiteralString
    file: str | None
    folder: str | None
    value: Callable[[Any], object] | None = None


COLUMNS: Mapping[Name, Column] = {
    (DAV, "resourcetype"): Column("", "", "<d:collection/>"),
    (DAV, "getlastmodified"): Column("mtime_s", "%s", "%s", http_date),
    (DAV, "creationdate"): Column("created_s", "%s", "%s", iso_date),
    (DAV, "getcontentlength"): Column("size_bytes", "%d", None),
    (DAV, "getcontenttype"): Column("name", "%s", None, content_type),
    (DAV, "getetag"): Column("etag", "&quot;%x&quot;", "&quot;%x&quot;"),
    (DAV, "displayname"): Column("name", "%s", "%s", escape),
}
OWNED: Mapping[Name, Callable[[Owner], str]] = {
    properties.OWNER_ID: lambda owner: owner.id,
    properties.OWNER_NAME: lambda owner: owner.name,
}
"""What is one for the whole folder."""
_UNUSED = "%.0s"
"""Takes a value and shows nothing of it."""


def fits(view: View, place: Place) -> bool:
    """Whether all that a person sees in a folder are its own nodes, as they are: no root, nothing that shows others
    inside, and nothing that they may only read (``Place.of``)."""
    is_own = place.owner == view.collectivite_id and place.rights.may_write and not place.rights.is_shared
    return bool(place.node.is_folder) and bool(place.path) and is_own and not view.is_reserved(place.path)


@dataclass(frozen=True)
class Listing:
    """``names``: all of them in COLUMNS or OWNED."""

    names: tuple[Name, ...]

    @classmethod
    def of(cls, names: tuple[Name, ...]) -> Listing | None:
        return cls(names) if names and all(name in COLUMNS or name in OWNED for name in names) else None

    @property
    def columns(self) -> list[Column]:
        found = (COLUMNS[name] for name in self.names if name in COLUMNS)
        return [one for one in found if one.name]

    def rows(self, reading: Reading, folder: int) -> list[Row]:
        """Of each child: its name, whether it is a folder, then the values of ``columns``."""
        wanted: LiteralString = ", ".join(("name", "is_folder", *(one.name for one in self.columns)))
        asked: LiteralString = f"SELECT {wanted} FROM node WHERE parent = ?"  # noqa: S608 - all names of columns are ours
        return reading.all(asked, (folder,))

    def elements(self, prefix: str, owner: Owner, rows: Sequence[Row]) -> Iterator[str]:
        """The response elements. ``prefix``: href of the folder, with its slash; ``owner``: the folder's."""
        if not rows:
            return iter(())
        names, kinds, *columns = zip(*rows, strict=True)
        values = [
            map(column.value, found) if column.value else found
            for column, found in zip(self.columns, columns, strict=True)
        ]
        lines = self._line(prefix, owner, is_folder=False), self._line(prefix, owner, is_folder=True)
        quoted = map(paths.quoted, names)
        return (lines[kind] % one for kind, one in zip(kinds, zip(quoted, *values, strict=True), strict=True))

    def _line(self, prefix: str, owner: Owner, *, is_folder: bool) -> str:
        texts = [_text(name, owner, is_folder=is_folder) for name in self.names]
        named = list(zip(self.names, texts, strict=True))
        absent = [xml.empty(name) for name, text in named if text is None]
        if len(absent) == len(named):
            return self._response(prefix, [], [one + _UNUSED for one in absent], is_folder=is_folder)
        tags = [(xml.empty(name)[1:-2], text) for name, text in named]
        found = [_UNUSED if text is None else f"<{tag}>{text}</{tag}>" for tag, text in tags]
        return self._response(prefix, found, absent, is_folder=is_folder)

    def _response(self, prefix: str, found: list[str], absent: list[str], *, is_folder: bool) -> str:
        stats = [xml.propstat("".join(found), "200 OK")] if found else []
        if absent:
            stats.append(xml.propstat("".join(absent), "404 Not Found"))
        href = prefix.replace("%", "%%") + "%s" + ("/" if is_folder else "")
        return xml.response(href, stats)


def _text(name: Name, owner: Owner, *, is_folder: bool) -> str | None:
    """The format of a value; None where the kind has none."""
    if name in OWNED:
        return escape(OWNED[name](owner)).replace("%", "%%")
    return COLUMNS[name].folder if is_folder else COLUMNS[name].file
