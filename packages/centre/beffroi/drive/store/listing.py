"""What pages list of a collectivité's tree: a folder in the order that people expect, names that match, what is new.

Rule:    rows without their manifests: a folder of 10,000 entries is read and put in order at once. Nothing is changed.
         Who may see what is decided above: ``roots`` are those that the asker sees.
Source:  docs/internals/drive.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import LiteralString, NamedTuple

from beffroi.drive.store import names
from beffroi.drive.store.database import Reading

_ENTRIES: LiteralString = "SELECT id, parent, name, is_folder, size_bytes, mtime_s, etag FROM node"
_NUMBERS = re.compile(r"(\d+)")
_CHANGES_AT_ONCE = 500


class Entry(NamedTuple):
    """A row of ``node`` as a list shows it; fields as ``model.Node`` says."""

    id: int
    parent: int
    name: str
    is_folder: int
    size_bytes: int
    mtime_s: int
    etag: int


def by_name(name: str) -> tuple[object, ...]:
    """Key of order: without accents and capitals, numbers by their value: *Écoles* before *Voirie*, 9 before 10."""
    plain = "".join(
        one for one in unicodedata.normalize("NFD", name.casefold()) if not unicodedata.combining(one)
    )
    pieces = _NUMBERS.split(plain)
    return (
        *((piece, int(pieces[at + 1][:18])) for at, piece in enumerate(pieces[:-1]) if at % 2 == 0),
        (pieces[-1],),
    )


def folder(database: Reading, folder_id: int, *, newest_first: bool = False) -> list[Entry]:
    """All entries of a folder: folders before files by name, or the last changed first."""
    found = [Entry(*row) for row in database.all(_ENTRIES + " WHERE parent = ?", (folder_id,))]
    if newest_first:
        return sorted(found, key=lambda one: (-one.mtime_s, one.id))
    return sorted(found, key=lambda one: (not one.is_folder, by_name(one.name), one.name))


def search(database: Reading, words: str, roots: Collection[int], *, most: int) -> list[Entry]:
    """Entries below ``roots`` whose names hold ``words``, whatever their capitals; at most ``most``, newest first."""
    wanted = names.folded(words)
    for sign in "\\%_":
        wanted = wanted.replace(sign, "\\" + sign)
    rows = database.all(
        _ENTRIES + " WHERE parent <> 0 AND folded LIKE ? ESCAPE '\\' ORDER BY mtime_s DESC, id DESC",
        (f"%{wanted}%",),
    )
    return _most(_below(database, (Entry(*row) for row in rows), roots), most)


def recent(database: Reading, roots: Collection[int], *, most: int) -> list[Entry]:
    """Files below ``roots`` that were written last, newest first."""
    return _most(_below(database, _written(database), roots), most)


def changed_by(database: Reading, entries: Sequence[Entry]) -> dict[int, str]:
    """Node -> person of the last change of each file; folders, whose etag follows what they hold, are left out."""
    found = {}
    for one in entries:
        row = (
            None
            if one.is_folder
            else database.one("SELECT person_id FROM change WHERE number = ?", (one.etag,))
        )
        if row is not None:
            found[one.id] = str(row[0])
    return found


def _written(database: Reading) -> Iterator[Entry]:
    seen: set[int] = set()
    row = database.one("SELECT MAX(number) FROM change")
    before = (row[0] or 0) + 1 if row else 0
    while rows := database.all(
        "SELECT number, node, kind FROM change WHERE number < ? ORDER BY number DESC LIMIT ?",
        (before, _CHANGES_AT_ONCE),
    ):
        before = rows[-1][0]
        for _, node, kind in rows:
            if kind not in ("created", "changed", "returned") or node in seen:
                continue
            seen.add(node)
            one = database.one(_ENTRIES + " WHERE id = ? AND is_folder = 0", (node,))
            if one is not None:
                yield Entry(*one)


def _below(database: Reading, entries: Iterator[Entry], roots: Collection[int]) -> Iterator[Entry]:
    known: dict[int, bool] = {0: False} | dict.fromkeys(roots, True)
    for one in entries:
        way, above = [], one.parent
        while above not in known:
            way.append(above)
            row = database.one("SELECT parent FROM node WHERE id = ?", (above,))
            above = row[0] if row else 0
        known.update(dict.fromkeys(way, known[above]))
        if known[one.parent]:
            yield one


def _most(entries: Iterator[Entry], most: int) -> list[Entry]:
    return [one for one, _ in zip(entries, range(most), strict=False)]
