"""Room: how much of it is taken, by whom, and how much there may be.

Rule:    a person's room holds the files of their own folder, those files' versions, and their calendars and contacts,
         with files of these that wait to be taken in.
         The collectivité's holds everything: the common folder, trash, uploads under way, too; so does its count of
         entries (files, folders, versions). Nothing here counts files: all is kept (``weights``).
         A limit that the référent or the Département set lies in ``quota``; else what is usual (``Limits``, in
         ``meta``, from the settings) holds.
Errors:  QuotaFull, TooManyEntries.
Source:  docs/internals/drive.md, "Room".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from beffroi.drive.store import schema, weights
from beffroi.drive.store.model import NO_LIMIT, Limits, QuotaFull, TooManyEntries, Weight

if TYPE_CHECKING:
    from beffroi.drive.store.writing import Reading, Statements, Writing

WHOLE = 0
_USUAL = "limits"
SHARED_CALENDARS = "mairie"


class Use(NamedTuple):
    """What a root holds, or the collectivité (WHOLE). ``beside_bytes``: calendars; of the whole, uploads too."""

    weight: Weight
    beside_bytes: int

    @property
    def used_bytes(self) -> int:
        return self.weight.all_bytes + self.beside_bytes


def use(reading: Reading, place: int) -> Use:
    """``place``: a root, or WHOLE."""
    if place == WHOLE:
        row = reading.one(
            "SELECT SUM(node.size_bytes), SUM(entries), SUM(version_bytes) FROM node LEFT JOIN weight"
            " ON weight.node = node.id WHERE parent = 0"
        ) or (0, 0, 0)
        beside = reading.one("SELECT SUM(size_bytes) FROM beside")
    else:
        found = reading.one(
            "SELECT size_bytes, entries, version_bytes, name FROM node LEFT JOIN weight ON weight.node = node.id"
            " WHERE id = ?",
            (place,),
        ) or (0, 0, 0, "")
        row, owner = found[:3], owner_of(found[3])
        beside = (
            reading.one("SELECT SUM(size_bytes) FROM beside WHERE owner = ?", (owner,)) if owner else None
        )
    return Use(Weight(*(int(one or 0) for one in row)), int(beside[0] or 0) if beside else 0)


def owner_of(root_name: str) -> str:
    """Whose calendars count with a root: a person, what all share, or "" for nobody."""
    if root_name.startswith(schema.HOME):
        return root_name.removeprefix(schema.HOME)
    return SHARED_CALENDARS if root_name == schema.COMMON else ""


def limit(reading: Reading, place: int) -> int:
    """In bytes; NO_LIMIT for none."""
    row = reading.one("SELECT limit_bytes FROM quota WHERE root = ?", (place,))
    if row is not None:
        return int(row[0])
    usual_ = usual(reading)
    if place == WHOLE:
        return usual_.whole_bytes
    if usual_.person_bytes == NO_LIMIT:
        return NO_LIMIT
    named = reading.one("SELECT name FROM node WHERE id = ?", (place,))
    return usual_.person_bytes if named and named[0].startswith(schema.HOME) else NO_LIMIT


def has_own_limit(reading: Reading, place: int) -> bool:
    return reading.one("SELECT 1 FROM quota WHERE root = ?", (place,)) is not None


def usual(reading: Reading) -> Limits:
    row = reading.one("SELECT value FROM meta WHERE name = ?", (_USUAL,))
    return Limits(*map(int, row[0].split())) if row else Limits()


class Line(NamedTuple):
    """What one root takes. ``limit_bytes``: NO_LIMIT for none; ``is_own``: set for it alone."""

    root: int
    name: str
    use: Use
    limit_bytes: int
    is_own: bool


def lines(reading: Reading) -> list[Line]:
    """Of all roots: people, the common folder, trash, what is being destroyed."""
    rows = reading.all("SELECT id, name FROM node WHERE parent = 0 ORDER BY name")
    return [
        Line(id_, name, use(reading, id_), limit(reading, id_), has_own_limit(reading, id_))
        for id_, name in rows
    ]


def uploads_bytes(reading: Reading) -> int:
    """Parts of uploads that are not joined yet."""
    row = reading.one("SELECT SUM(size_bytes) FROM beside WHERE what = ?", (weights.PARTS,))
    return int(row[0] or 0) if row else 0


def keep_usual(session: Statements, limits: Limits) -> None:
    if usual(session) == limits:
        return
    text = " ".join(map(str, limits))
    if not session.run("UPDATE meta SET value = ? WHERE name = ?", (text, _USUAL)):
        session.run("INSERT INTO meta (name, value) VALUES (?, ?)", (_USUAL, text))


def room(reading: Reading, place: int) -> tuple[int, int]:
    """(used, limit) in bytes; limit NO_LIMIT for none."""
    return use(reading, place).used_bytes, limit(reading, place)


def reached(reading: Reading, root: int) -> tuple[int, int]:
    """As ``room``, of a root, with the narrower one of its own limit and of what the collectivité has left."""
    used, own = room(reading, root)
    all_used, whole = room(reading, WHOLE)
    limits = [own] if own != NO_LIMIT else []
    if whole != NO_LIMIT:
        limits.append(used + max(0, whole - all_used))
    return used, min(limits, default=NO_LIMIT)


def require(reading: Reading, root: int, growth_bytes: int, *, waiting_bytes: int = 0) -> None:
    """Before a body comes; the change itself judges once more (``afford``). ``waiting_bytes``: what of it is there
    already, in parts. Errors: QuotaFull, TooManyEntries."""
    require_bytes(reading, root, growth_bytes, waiting_bytes=waiting_bytes)
    most = usual(reading).entries
    if most != NO_LIMIT and use(reading, WHOLE).weight.entries >= most:
        raise TooManyEntries


def require_bytes(reading: Reading, root: int, growth_bytes: int, *, waiting_bytes: int = 0) -> None:
    """As ``require``, of what is no entry of the tree. Errors: QuotaFull."""
    for place, growth in ((root, growth_bytes), (WHOLE, growth_bytes - waiting_bytes)):
        used, most = room(reading, place)
        if most != NO_LIMIT and growth > 0 and used + growth > most:
            raise QuotaFull


def afford(writing: Writing, folder: int, grown: Weight, *, whole: bool = True) -> None:
    """There is room below the folder's root, and (``whole``) in the collectivité. Errors: QuotaFull, TooManyEntries."""
    if not writing.has_limits or (grown.all_bytes <= 0 and grown.entries <= 0):
        return
    root = writing.root_of(folder)
    for place in (root, WHOLE) if whole else (root,):
        before, most, most_entries = writing.kept_room(place)
        after = before.weight.plus(writing.growing(place)).plus(grown)
        if grown.all_bytes > 0 and most != NO_LIMIT and after.all_bytes + before.beside_bytes > most:
            raise QuotaFull
        if grown.entries > 0 and most_entries != NO_LIMIT and after.entries > most_entries:
            raise TooManyEntries


def calendars(reading: Reading) -> dict[str, int]:
    """Bytes of calendars and contacts by owner."""
    rows = reading.all("SELECT owner, size_bytes FROM beside WHERE what = ?", (weights.CALENDARS,))
    return {owner: size_bytes for owner, size_bytes in rows if size_bytes}


def keep_calendars(writing: Writing, sizes: Mapping[str, int]) -> None:
    """As they were counted anew. ``sizes``: bytes of calendars and contacts by owner, all of them."""
    kept = calendars(writing)
    for owner in kept.keys() | sizes.keys():
        if grown := sizes.get(owner, 0) - kept.get(owner, 0):
            weights.lay_beside(writing, owner, weights.CALENDARS, grown)
            writing.forget_rooms()


def add_calendars(writing: Writing, owner: str, grown_bytes: int) -> None:
    """With the change of an entry."""
    weights.lay_beside(writing, owner, weights.CALENDARS, grown_bytes)
    writing.forget_rooms()


def afford_beside(writing: Writing, growth_bytes: int) -> None:
    """The collectivité has room for what lies in no folder. Errors: QuotaFull."""
    if writing.has_limits:
        before, most, _ = writing.kept_room(WHOLE)
        used = before.used_bytes + writing.growing(WHOLE).all_bytes
        if most != NO_LIMIT and growth_bytes > 0 and used + growth_bytes > most:
            raise QuotaFull
