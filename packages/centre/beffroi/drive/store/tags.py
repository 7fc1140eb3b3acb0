"""Words that a collectivité puts on its files and folders ("à signer", "urbanisme"): its own list, and where each is.

Rule:    a tag changes nothing of a file: no etag, no device has anything to fetch. What is hidden or kept from others'
         use is seen and used by who made it and by référents (``manages``), who alone rename and delete it.
Hostile: names.
Errors:  AbsentTag, TagTaken, TagRefused, TagNameRefused, TooManyTags, Sealed.
Source:  docs/internals/drive-sync.md, "Tags"; docs/decisions/0090-tags-deep-listings-zip.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import batched
from typing import LiteralString, NamedTuple

from beffroi.drive.archives.rules import Sealed
from beffroi.drive.store import look, names, seals
from beffroi.drive.store.listing import by_name
from beffroi.drive.store.model import Act
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.who import Who
from beffroi.lib.errors import BeffroiError, Conflict, NotFound

MOST_TAGS, MOST_OF_A_FILE, MAX_NAME_CHARS = 1_000, 100, 64
_AT_ONCE = 500
_TAGGED: LiteralString = "SELECT node, tag FROM tagged WHERE node IN ("
_TAGS: LiteralString = "SELECT id, name, is_visible, is_assignable, made_by FROM tag"


class AbsentTag(NotFound):
    """There is no such tag, or it is not on this file."""

    code = "drive.tag_absent"


class TagTaken(Conflict):
    """A tag of this name is there, or is on this file already."""

    code = "drive.tag_taken"


class TagRefused(BeffroiError):
    """A tag is changed, deleted or lifted from others' use by who made it or a référent."""

    code = "drive.tag_refused"
    http_status = 403


class TagNameRefused(BeffroiError):
    """A tag's name has 1 to 64 signs, which can all be seen."""

    code = "drive.tag_name_refused"
    http_status = 400


class TooManyTags(BeffroiError):
    """A collectivité has at most 1000 tags, a file 100."""

    code = "drive.too_many_tags"
    http_status = 507


class Tag(NamedTuple):
    id: int
    name: str
    is_visible: int
    is_assignable: int
    made_by: str


def manages(who: Who, tag: Tag) -> bool:
    return who.role == "referent" or who.person_id == tag.made_by


def may_assign(who: Who, tag: Tag) -> bool:
    return bool(tag.is_assignable) or manages(who, tag)


def seen(database: Reading, who: Who) -> list[Tag]:
    """By name."""
    found = map(Tag._make, database.all(_TAGS))
    return sorted((one for one in found if _sees(who, one)), key=lambda one: by_name(one.name))


def find(database: Reading, who: Who, tag_id: int) -> Tag:
    """``tag_id``: whatever somebody sent. Errors: AbsentTag."""
    row = database.one(_TAGS + " WHERE id = ?", (tag_id,)) if 0 < tag_id < 1 << 63 else None
    if row is None or not _sees(who, Tag(*row)):
        raise AbsentTag("tag")
    return Tag(*row)


def make(writing: Writing, act: Act, name: str, *, visible: bool, assignable: bool) -> Tag:
    _require_good(name)
    _require_free(writing, name)
    (count,) = writing.one("SELECT COUNT(*) FROM tag") or (0,)
    if count >= MOST_TAGS:
        raise TooManyTags
    made = Tag(writing.number(), name, int(visible), int(assignable), act.person_id)
    writing.run(
        "INSERT INTO tag (id, name, folded, is_visible, is_assignable, made_by, made_s) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (made.id, name, names.folded(name), *made[2:], act.now_s),
    )
    return made


def change(writing: Writing, who: Who, changed: Tag) -> None:
    """``changed``: with the identifier that it has. Errors also: TagRefused (somebody else's), Sealed (another name or
    another reader of what is sealed)."""
    before = find(writing, who, changed.id)
    if not manages(who, before):
        raise TagRefused
    if before._replace(is_assignable=changed.is_assignable) != changed:
        _require_unsealed(writing, changed.id)
    if before.name != changed.name:
        _require_good(changed.name)
    if names.folded(before.name) != names.folded(changed.name):
        _require_free(writing, changed.name)
    writing.run(
        "UPDATE tag SET name = ?, folded = ?, is_visible = ?, is_assignable = ? WHERE id = ?",
        (
            changed.name,
            names.folded(changed.name),
            changed.is_visible,
            changed.is_assignable,
            changed.id,
        ),
    )


def remove(writing: Writing, who: Who, tag_id: int) -> None:
    """From all files, too. Errors also: TagRefused (somebody else's), Sealed (it is on what is sealed)."""
    if not manages(who, find(writing, who, tag_id)):
        raise TagRefused
    _require_unsealed(writing, tag_id)
    writing.run("DELETE FROM tagged WHERE tag = ?", (tag_id,))
    writing.run("DELETE FROM tag WHERE id = ?", (tag_id,))


def assign(writing: Writing, who: Who, node_id: int, tag_id: int) -> None:
    if not may_assign(who, find(writing, who, tag_id)):
        raise TagRefused
    there = [row[0] for row in writing.all("SELECT tag FROM tagged WHERE node = ?", (node_id,))]
    if tag_id in there:
        raise TagTaken("tag")
    if len(there) >= MOST_OF_A_FILE:
        raise TooManyTags
    writing.run("INSERT INTO tagged (node, tag) VALUES (?, ?)", (node_id, tag_id))


def unassign(writing: Writing, who: Who, node_id: int, tag_id: int) -> None:
    if not may_assign(who, find(writing, who, tag_id)):
        raise TagRefused
    if not writing.one("SELECT 1 FROM tagged WHERE node = ? AND tag = ?", (node_id, tag_id)):
        raise AbsentTag("tag")
    writing.run("DELETE FROM tagged WHERE node = ? AND tag = ?", (node_id, tag_id))


def by_node(database: Reading, who: Who, node_ids: Collection[int]) -> dict[int, list[Tag]]:
    """Of those that have some, by name. Nothing is looked up for none: each listing passes here."""
    known = {one.id: one for one in seen(database, who)} if node_ids else {}
    found: dict[int, list[Tag]] = {}
    for some in batched(node_ids if known else (), _AT_ONCE, strict=False):
        marks: LiteralString = ", ".join("?" for _ in some)
        for node_id, tag_id in database.all(_TAGGED + marks + ")", some):
            if tag_id in known:
                found.setdefault(node_id, []).append(known[tag_id])
    return {node_id: sorted(some, key=lambda one: by_name(one.name)) for node_id, some in found.items()}


def newest(database: Reading, who: Who, tag_id: int, *, before: int, most: int) -> list[int]:
    """Identifiers of nodes that have it, those made last first; some may have been deleted since.

    ``before``: all that are returned are smaller. Errors: AbsentTag.
    """
    find(database, who, tag_id)
    rows = database.all(
        "SELECT node FROM tagged WHERE tag = ? AND node < ? ORDER BY node DESC LIMIT ?",
        (tag_id, before, most),
    )
    return [row[0] for row in rows]


def with_all(database: Reading, who: Who, tag_ids: Sequence[int]) -> frozenset[int]:
    """Identifiers of nodes that have every one of these; some may have been deleted since. Errors: AbsentTag."""
    sets = []
    for tag_id in tag_ids:
        find(database, who, tag_id)
        sets.append({row[0] for row in database.all("SELECT node FROM tagged WHERE tag = ?", (tag_id,))})
    return frozenset(set.intersection(*sets)) if sets else frozenset()


def _sees(who: Who, tag: Tag) -> bool:
    return bool(tag.is_visible) or manages(who, tag)


def _require_good(name: str) -> None:
    """Errors: TagNameRefused."""
    if not 0 < len(name) <= MAX_NAME_CHARS or name != name.strip() or not name.isprintable():
        raise TagNameRefused


def _require_unsealed(writing: Writing, tag_id: int) -> None:
    """Errors: Sealed (it is on what is sealed)."""
    looking = seals.Looking(writing)
    for (node_id,) in writing.all("SELECT node FROM tagged WHERE tag = ?", (tag_id,)):
        one = look.node(writing, node_id)
        if one is not None and looking.reach(one) == "inside":
            raise Sealed


def _require_free(writing: Writing, name: str) -> None:
    """Errors: TagTaken; also where a tag is hidden from whoever asks."""
    if writing.one("SELECT 1 FROM tag WHERE folded = ?", (names.folded(name),)):
        raise TagTaken("tag")
