"""Room: how much of it is taken, by whom, and how much there may be.

Rule:    a person's room holds the files of their own folder, those files' versions, and their calendars and contacts,
         with files of these that wait to be taken in. They count, and are limited, before the person has a root, too.
         The collectivité's holds everything: the common folder, trash, uploads under way, too; so does its count of
         entries (files, folders, versions). Nothing here counts files: all is kept (``weights``).
         A limit that the référent or the Département set lies in ``quota``; else what is usual (``Limits``, in
         ``meta``, from the settings) holds.
Errors:  QuotaFull, TooManyEntries.
Source:  docs/internals/drive.md, "Room".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, LiteralString, NamedTuple

from beffroi.drive.store import names, schema, weights
from beffroi.drive.store.model import NO_LIMIT, NOTHING, Limits, QuotaFull, TooManyEntries, Weight
from beffroi.drive.store.scalars import keep_meta, meta, scalar

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
        beside_bytes = int(scalar(reading, "SELECT SUM(size_bytes) FROM beside") or 0)
    else:
        found = reading.one(
            "SELECT size_bytes, entries, version_bytes, name FROM node LEFT JOIN weight ON weight.node = node.id"
            " WHERE id = ?",
            (place,),
        ) or (0, 0, 0, "")
        row, beside_bytes = found[:3], _beside_bytes(reading, found[3])
    return Use(Weight(*(int(one or 0) for one in row)), beside_bytes)


def _beside_bytes(reading: Reading, root_name: str) -> int:
    owner = owner_of(root_name)
    asked: LiteralString = "SELECT SUM(size_bytes) FROM beside WHERE owner = ?"
    return int(scalar(reading, asked, (owner,)) or 0) if owner else 0


def owner_of(root_name: str) -> str:
    """Whose calendars count with a root: a person, what all share, or "" for nobody."""
    if root_name.startswith(schema.HOME):
        return root_name.removeprefix(schema.HOME)
    return SHARED_CALENDARS if root_name == schema.COMMON else ""


def root_of(owner: str) -> str:
    """The name of the root with which calendars count."""
    return schema.COMMON if owner == SHARED_CALENDARS else schema.HOME + owner


def limit(reading: Reading, place: int) -> int:
    """In bytes; NO_LIMIT for none."""
    row = reading.one("SELECT limit_bytes FROM quota WHERE root = ?", (place,))
    if row is not None:
        return int(row[0])
    if place == WHOLE:
        return usual(reading).whole_bytes
    named = reading.one("SELECT name FROM node WHERE id = ?", (place,))
    return _usual_limit(reading, named[0]) if named else NO_LIMIT


def _usual_limit(reading: Reading, root_name: str) -> int:
    return usual(reading).person_bytes if root_name.startswith(schema.HOME) else NO_LIMIT


def has_own_limit(reading: Reading, place: int) -> bool:
    return reading.one("SELECT 1 FROM quota WHERE root = ?", (place,)) is not None


def usual(reading: Reading) -> Limits:
    kept = meta(reading, _USUAL)
    return Limits(*map(int, kept.split())) if kept else Limits()


class Line(NamedTuple):
    """What one root takes. ``limit_bytes``: NO_LIMIT for none; ``is_own``: set for it alone."""

    name: str
    use: Use
    limit_bytes: int
    is_own: bool


def line(reading: Reading, root_name: str) -> Line:
    """A root that is not there yet takes what lies beside it, and may take what is usual."""
    row = reading.one(
        "SELECT id FROM node WHERE parent = 0 AND folded = ? AND name = ?",
        (names.folded(root_name), root_name),
    )
    if row is None:
        found = Use(NOTHING, _beside_bytes(reading, root_name))
        return Line(root_name, found, _usual_limit(reading, root_name), False)
    return Line(root_name, use(reading, row[0]), limit(reading, row[0]), has_own_limit(reading, row[0]))


def lines(reading: Reading) -> list[Line]:
    """Of people, also of those who have calendars alone, the common folder, trash, what is being destroyed."""
    found = {name for (name,) in reading.all("SELECT name FROM node WHERE parent = 0")}
    found.update(map(root_of, calendars(reading)))
    return [line(reading, name) for name in sorted(found)]


def keep_usual(session: Statements, limits: Limits) -> None:
    if usual(session) != limits:
        keep_meta(session, _USUAL, " ".join(map(str, limits)))


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
    _require_bytes(reading, room(reading, root), growth_bytes, waiting_bytes)
    most = usual(reading).entries
    if most != NO_LIMIT and use(reading, WHOLE).weight.entries >= most:
        raise TooManyEntries


def require_beside(reading: Reading, root_name: str, growth_bytes: int, *, waiting_bytes: int = 0) -> None:
    """As ``require``, of what is no entry of the tree. Errors: QuotaFull."""
    own = line(reading, root_name)
    _require_bytes(reading, (own.use.used_bytes, own.limit_bytes), growth_bytes, waiting_bytes)


def _require_bytes(reading: Reading, own: tuple[int, int], growth_bytes: int, waiting_bytes: int) -> None:
    for (used, most), growth in ((own, growth_bytes), (room(reading, WHOLE), growth_bytes - waiting_bytes)):
        if most != NO_LIMIT and growth > 0 and used + growth > most:
            raise QuotaFull


def afford(writing: Writing, folder: int, grown: Weight, *, whole: bool = True) -> None:
    """There is room below the folder's root, and (``whole``) in the collectivité. Errors: QuotaFull, TooManyEntries."""
    if not writing.has_limits or (grown.all_bytes <= 0 and grown.entries <= 0):
        return
    root = writing.root_of(folder)
    for place in (root, WHOLE) if whole else (root,):
        before, most, most_entries = writing.kept_room(place)
        if most == most_entries == NO_LIMIT:
            continue
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
