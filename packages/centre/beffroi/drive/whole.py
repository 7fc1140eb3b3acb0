"""All that the Coffre holds of one collectivité, for the export of that collectivité: files, lists, sealed folders.

Rule:    others than its owner read here, so what somebody called personal in their own folder is counted, and neither
         named nor read (``store.handed``). In the collectivité's folder nothing is anybody's own. What a decision or
         the scan holds is named and not read. The trash goes with nobody.
Process: a person's command on the centre. Each look is short: people go on writing meanwhile, and a walk that is made
         again finds what came since.
Hostile: names and contents.
Source:  docs/decisions/0126-export-of-a-collectivite.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, LiteralString, NamedTuple

from beffroi.drive.archives import bagit, manifest
from beffroi.drive.archives.entries import Entry
from beffroi.drive.seals import files, transfer
from beffroi.drive.store import findings, handed, look, names, schema, seals, versions
from beffroi.drive.store.database import Database
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.model import Node
from beffroi.drive.store.seals import Seal
from beffroi.drive.store.stock import Stock
from beffroi.drive.store.writing import Reading

PAGE = 100
type Held = Literal["", "frozen", "found", "not_scanned"]

LISTS: dict[str, tuple[LiteralString, tuple[str, ...]]] = {
    name: (
        "SELECT " + columns + " FROM " + table + " ORDER BY " + order,  # noqa: S608 - of the words below
        tuple(columns.split(", ")),
    )
    for name, table, columns, order in (
        (
            "partages",
            "share",
            "id, node, kind, target, rights, expires_s, downloads_left, most_bytes, types, label, created_s,"
            " created_by, ended_s",
            "created_s, id",
        ),
        ("depots", "drop_box", "share_id, most_total_bytes, most_files, total_bytes, files", "share_id"),
        (
            "remises",
            "handing",
            "id, share_id, sender, message, first_s, last_s, files, total_bytes",
            "first_s, id",
        ),
        ("fichiers-remis", "handed", "node, handing, sha256", "node"),
        ("groupes", "people_group", "id, name, created_s, created_by", "created_s, id"),
        (
            "membres-des-groupes",
            "group_member",
            "group_id, person_id, since_s, added_by",
            "group_id, person_id",
        ),
        ("etiquettes", "tag", "id, name, is_visible, is_assignable, made_by, made_s", "id"),
        (
            "alertes",
            "alarm",
            "device_id, person_id, since_s, at_s, files, state, settled_by, settled_s",
            "since_s, device_id",
        ),
        (
            "contenus-retenus",
            "finding",
            "sha256, code, names, at_s, asked_s, asked_by, released_s, released_by",
            "sha256",
        ),
        ("contenus-bloques", "frozen", "sha256, decision_id, since_s", "sha256"),
        (
            "sceaux",
            "seal",
            "id, node, state, name, begun_s, until_s, rule, person_id, audit_position, audit_hash, files, size_bytes,"
            " stamp, ended_s, ended_by",
            "begun_s, id",
        ),
        (
            "verifications-des-sceaux",
            "seal_check",
            "id, seal, person_id, asked_s, done_bytes, done_s",
            "asked_s, id",
        ),
        (
            "alertes-des-sceaux",
            "seal_alarm",
            "seal, since_s, found, settled_s, settled_by, settled_why",
            "since_s, seal",
        ),
        (
            "eliminations",
            "elimination",
            "seal, approval_id, asked_by, granted_by, visa, visa_on, visa_by, at_s",
            "at_s, seal",
        ),
        (
            "fichiers-des-partis",
            "handover",
            "id, person_id, heir, folder, state, why, begun_s, begun_by, ended_s, files, closed, done_files,"
            " done_bytes, back_files",
            "begun_s, id",
        ),
        ("versions-supprimees", "version_erased", "node, etag, at_s", "node, etag"),
        (
            "dossiers-remis-comme-avant",
            "way_back",
            "folder, at_s, person_id, begun_s, state, total, done, missed, why, ended_s",
            "begun_s, folder",
        ),
    )
}
"""File -> a statement and the names of its columns: rows as they are, but for what opens something (hashes of links and
passwords) and for what names somebody else's files. Tables of names are short beside those of files."""


class Place(NamedTuple):
    """A root, or a folder of it. ``person_id``: whose, "" for the collectivité's; ``way``: names from the root."""

    node: Node
    person_id: str
    way: tuple[str, ...]


@dataclass(frozen=True)
class Left:
    """Files that stay, for they or what they lie in are called personal."""

    files: int


type Step = tuple[Place, Node | Left]
"""A file or a folder in its place, the folder before what lies in it."""


def roots(database: Database) -> list[Place]:
    """The collectivité's folder, then those of people, by identifier."""
    with database.reading() as reading:
        found = sorted(look.children(reading, 0), key=lambda one: (one.name != schema.COMMON, one.name))
    return [
        Place(one, one.name.removeprefix(schema.HOME) if one.name != schema.COMMON else "", ())
        for one in found
        if one.name == schema.COMMON or one.name.startswith(schema.HOME)
    ]


def walk(database: Database, root: Place) -> Iterator[Step]:
    """All below a root, by pages: what is moved meanwhile may be met twice, or by the next walk alone."""
    with database.reading() as reading:
        marked = handed.labelled(reading) if root.person_id else frozenset()
    waiting = [root]
    while waiting:
        place, after = waiting.pop(), ""
        while True:
            with database.reading() as reading:
                found = handed.page(reading, place.node.id, after, PAGE)
                left = [
                    (one, handed.files_of(reading, one) if _is_own(root, one, marked) else -1)
                    for one in found
                ]
            if not found:
                break
            for one, closed in left:
                if closed >= 0:
                    yield place, Left(closed)
                    continue
                yield place, one
                if one.is_folder:
                    waiting.append(Place(one, place.person_id, (*place.way, one.name)))
            after = names.folded(found[-1].name)


def _is_own(root: Place, one: Node, marked: frozenset[int]) -> bool:
    return bool(root.person_id) and handed.is_personal(one, marked)


def held(database: Database, sha256: str) -> Held:
    with database.reading() as reading:
        return _held(reading, sha256)


def _held(reading: Reading, sha256: str) -> Held:
    try:
        findings.require_free(reading, (sha256,))
        findings.require_scanned(reading, sha256)
    except findings.Found:
        return "found"
    except Frozen:
        return "frozen"
    except findings.NotScanned:
        return "not_scanned"
    return ""


def entry(database: Database, stock: Stock, one: Node) -> Entry:
    return files.entry(files.File(one.name, one), database, stock)


def described(database: Database, one: Node, tags: dict[int, list[str]]) -> dict[str, Any]:
    """A file or folder without its place: times in UTC; ``versions``: its earlier contents, which are not exported."""
    found: dict[str, Any] = {
        "id": one.id,
        "taille": one.size_bytes,
        "modifie_le": at(one.mtime_s),
        "cree_le": at(one.created_s),
    }
    if one.is_folder:
        return found | ({"etiquettes": tags[one.id]} if one.id in tags else {})
    with database.reading() as reading:
        before = versions.of(reading, one.id)
    return found | {
        "sha256": one.sha256,
        "etiquettes": tags.get(one.id, []),
        "versions_precedentes": [
            {
                "numero": each.etag,
                "taille": each.size_bytes,
                "modifie_le": at(each.mtime_s),
                "remplacee_le": at(each.replaced_s),
                "sha256": each.sha256,
            }
            for each in before
        ],
    }


def labels(database: Database) -> dict[int, list[str]]:
    """Names of the labels of each node that has some: few have."""
    found: dict[int, list[str]] = {}
    with database.reading() as reading:
        for tag, name in reading.all("SELECT id, name FROM tag ORDER BY name"):
            for (node_id,) in reading.all("SELECT node FROM tagged WHERE tag = ?", (tag,)):
                found.setdefault(node_id, []).append(name)
    return found


def listed(database: Database, name: str) -> Iterator[dict[str, Any]]:
    """Rows of one of ``LISTS``; times in UTC, ISO 8601."""
    statement, columns = LISTS[name]
    with database.reading() as reading:
        rows = reading.all(statement)
    for row in rows:
        yield {
            column.removesuffix("_s") if column.endswith("_s") else column: at(value)
            if column.endswith("_s")
            else value
            for column, value in zip(columns, row, strict=True)
        }


# -- sealed folders --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sealed:
    """``parts``: of the seal, by name; ``why``: "" where ``pieces`` is a bag with all files of the folder, else what
    keeps it from being made. ``way``: names of the folder from its root."""

    seal: Seal
    parts: dict[str, bytes]
    way: tuple[str, ...]
    why: str


def sealed(database: Database) -> list[Sealed]:
    """Every folder that is sealed now. One that lies in what its owner calls personal is left out."""
    with database.reading() as reading:
        marked = handed.labelled(reading)
        return [
            found
            for seal in seals.every(reading, most=1_000_000)
            if seal.state == "sealed" and (found := _sealed(reading, seal, marked)) is not None
        ]


def _sealed(reading: Reading, seal: Seal, marked: frozenset[int]) -> Sealed | None:
    above = look.above(reading, seal.node)
    if not above:
        return None
    *way, root = above
    if not (root.name == schema.COMMON or root.name.startswith(schema.HOME)):
        return None
    if root.name != schema.COMMON and any(handed.is_personal(one, marked) for one in way):
        return None
    texts = seals.texts(reading, seal.id)
    shut = {_held(reading, one.node.sha256) for one in files.listed(reading, seal.node)} - {""}
    return Sealed(
        seal,
        {name: texts[name] for name in manifest.PARTS if name in texts},
        tuple(one.name for one in reversed(way)),
        "held" if shut else "",
    )


def bag(
    database: Database, stock: Stock, one: Sealed, organisation: str, producer: str = ""
) -> Iterator[bytes]:
    """The package that the archives get of this folder. ``producer``: as of ``transfer.bag``.

    Errors: ContentChanged, those of the store.
    """
    with database.reading() as reading:
        found = files.listed(reading, one.seal.node)
    entries = (files.entry(each, database, stock) for each in found)
    return bagit.bag(entries, transfer.bag(one.seal, organisation, producer), extra=one.parts)


def at(epoch_s: int) -> str | None:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat() if epoch_s else None
