"""The index of one collectivité: which words stand in which file, and which in its name; what was written last.

Rule:    a follower of ``change`` keeps it (``indexer``), so that no change of a file waits for it: it lags behind by
         some seconds. What it has not seen yet is looked at by name, up to MOST_FRESH changes. Words of names lie here
         as they are, as the names themselves do in ``node``; words of contents as numbers that tell nothing
         (``terms``). Who may see what is decided above (``drive.reach``).
Fails:   towards less: what is not indexed is not found by its content.
Source:  docs/decisions/0080-words-of-files.md.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import LiteralString, NamedTuple

from beffroi.drive.reach import Reach
from beffroi.drive.store import schema
from beffroi.drive.store.listing import Entry, below
from beffroi.drive.store.model import Node
from beffroi.drive.store.scalars import keep_meta, meta_number, scalar
from beffroi.drive.store.writing import Reading, Row, Writing
from beffroi.drive.words import terms

MOST_FRESH = 5000
"""Changes, and files that wait for the index, that a search by name looks at one by one."""
MOST_LOOKED = 2000
"""Rows of the index that one search reads of each root and word: words that more files have need a second one."""
UNREAD = "unread"
"""``Indexed.content`` of a document that scan could not be shown yet."""
_WRITTEN = ("created", "changed", "returned")
_NAMED: LiteralString = """
    SELECT n.id, n.parent, n.name, n.is_folder, n.size_bytes, n.mtime_s, n.etag
    FROM (SELECT DISTINCT node FROM
        (SELECT node FROM word_name WHERE root = ? AND word >= ? AND word < ? LIMIT ?) r) w
    JOIN node n ON n.id = w.node"""
_CALLED: LiteralString = """
    SELECT n.id, n.parent, n.name, n.is_folder, n.size_bytes, n.mtime_s, n.etag
    FROM (SELECT node FROM word_name WHERE root = ? AND word = ? ORDER BY node DESC LIMIT ?) w
    JOIN node n ON n.id = w.node"""
_HOLDING: LiteralString = """
    SELECT n.id, n.parent, n.name, n.is_folder, n.size_bytes, n.mtime_s, n.etag
    FROM (SELECT node FROM word WHERE root = ? AND term = ? ORDER BY node DESC LIMIT ?) w
    JOIN node n ON n.id = w.node
    WHERE n.is_folder = 0 AND EXISTS
        (SELECT 1 FROM word_file i WHERE i.node = n.id AND SUBSTR(i.content, 1, LENGTH({of})) = {of})
    AND NOT EXISTS (SELECT 1 FROM frozen f WHERE f.sha256 = n.sha256)
    AND NOT EXISTS (SELECT 1 FROM finding d WHERE d.sha256 = n.sha256 AND d.released_s = 0)
    AND NOT EXISTS (SELECT 1 FROM handed h WHERE h.sha256 = n.sha256 AND n.sha256 <> ''
        AND NOT EXISTS (SELECT 1 FROM scanned s WHERE s.sha256 = n.sha256))""".replace(
    "{of}", "COALESCE(NULLIF(n.sha256, ''), CAST(n.etag AS TEXT)) || '.'"
)
"""Nothing that nobody may open: what a decision or the scan holds, what came by a link and was not looked at; nor what
stood in a file before: it may have been taken out of it."""
_ALSO: LiteralString = (
    " AND EXISTS (SELECT 1 FROM word o WHERE o.root = ? AND o.term = ? AND o.node = w.node)"
)
_RECENT: LiteralString = """
    SELECT n.id, n.parent, n.name, n.is_folder, n.size_bytes, n.mtime_s, n.etag, w.written
    FROM word_file w JOIN node n ON n.id = w.node
    WHERE w.root = ? AND w.written > 0 ORDER BY w.written DESC LIMIT ?"""
_CHANGED: LiteralString = """
    SELECT n.id, n.parent, n.name, n.is_folder, n.size_bytes, n.mtime_s, n.etag, c.number, c.kind
    FROM (SELECT number, node, kind FROM change WHERE number > ? ORDER BY number DESC LIMIT ?) c
    JOIN node n ON n.id = c.node"""
_WAITING: LiteralString = """
    SELECT n.id, n.parent, n.name, n.is_folder, n.size_bytes, n.mtime_s, n.etag
    FROM (SELECT node FROM word_due LIMIT ?) c JOIN node n ON n.id = c.node"""


class Indexed(NamedTuple):
    """What the index holds of one node. ``root``: under which it lies. ``name``: as it was then. ``written``: number of
    the change that wrote its content last; 0 for a folder. ``content``: whose ``terms`` these are (``content_of``), ""
    for none. ``sealed``: the text, sealed under ``text_id``, for passages."""

    node: int
    root: int
    name: str
    written: int
    content: str = ""
    terms: tuple[int, ...] = ()
    text_id: bytes = b""
    sealed: bytes = b""


class Left(NamedTuple):
    """How many nodes wait, and how many documents that scan could not be shown yet."""

    waiting: int
    unread: int


def content_of(node: Node) -> str:
    """What tells one content from another; a name's ending decides how it is read."""
    return f"{node.sha256 or node.etag}.{node.name.rpartition('.')[2].lower()[:8]}"


# -- what waits ----------------------------------------------------------------------------------------------


def reached(reading: Reading) -> int | None:
    """Number of the last change that was taken up; None before the first."""
    return meta_number(reading, "words")


def begin(writing: Writing) -> None:
    """Everything that lies in somebody's folder or in the collectivité's waits; changes count from now on."""
    number = scalar(writing, "SELECT MAX(number) FROM change") or 0
    writing.run(
        "INSERT INTO word_due (node) SELECT id FROM node WHERE parent IN"
        " (SELECT id FROM node WHERE parent = 0 AND name NOT IN (?, ?)) ON CONFLICT DO NOTHING",
        (schema.TRASH, schema.GONE),
    )
    keep_meta(writing, "words", number)


def take(writing: Writing, nodes: Collection[int], number: int) -> None:
    """These wait; the changes up to ``number`` are taken up."""
    wait(writing, nodes)
    keep_meta(writing, "words", number)


def wait(writing: Writing, nodes: Collection[int]) -> None:
    writing.many("INSERT INTO word_due (node) VALUES (?) ON CONFLICT DO NOTHING", [(one,) for one in nodes])


def due(reading: Reading, most: int) -> list[int]:
    return [row[0] for row in reading.all("SELECT node FROM word_due ORDER BY node LIMIT ?", (most,))]


def left(reading: Reading) -> Left:
    unread: LiteralString = "SELECT COUNT(*) FROM word_file WHERE content = 'unread'"
    return Left(scalar(reading, "SELECT COUNT(*) FROM word_due"), scalar(reading, unread))


# -- what is kept --------------------------------------------------------------------------------------------


def kept(reading: Reading, node: int) -> Indexed | None:
    row = reading.one(
        "SELECT node, root, name, written, content, terms, text_id, sealed FROM word_file WHERE node = ?",
        (node,),
    )
    if row is None:
        return None
    node_id, root, name, written, content, packed, text_id, sealed = row
    return Indexed(
        node_id, root, name, written, content, _unpacked(bytes(packed)), bytes(text_id), bytes(sealed)
    )


def is_anew(reading: Reading, node: int) -> bool:
    """Whether all that is kept of a node is to be made by the rules of today (``whole``)."""
    return reading.one("SELECT 1 FROM node_kind WHERE node = ?", (node,)) is None


def replace(writing: Writing, node: int, fresh: Indexed | None) -> None:
    """What the index says of a node from now on; None: nothing. It waits no more."""
    before = kept(writing, node)
    old_parts, old_terms = _rows(before)
    new_parts, new_terms = _rows(fresh)
    gone_parts, more_parts = old_parts - new_parts, new_parts - old_parts
    if before is not None and is_anew(writing, node):  # nobody knows which parts lie there
        gone_parts, more_parts = old_parts | new_parts, new_parts
    writing.many("DELETE FROM word_name WHERE root = ? AND word = ? AND node = ?", list(gone_parts))
    writing.many("DELETE FROM word WHERE root = ? AND term = ? AND node = ?", list(old_terms - new_terms))
    writing.many("INSERT INTO word_name (root, word, node) VALUES (?, ?, ?)", list(more_parts))
    writing.many("INSERT INTO word (root, term, node) VALUES (?, ?, ?)", sorted(new_terms - old_terms))
    if fresh != before:
        writing.run("DELETE FROM word_file WHERE node = ?", (node,))
    if fresh is not None and fresh != before:
        writing.run(
            "INSERT INTO word_file (node, root, name, written, content, terms, text_id, sealed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*fresh[:5], _packed(fresh.terms), fresh.text_id, fresh.sealed),
        )
    writing.run("DELETE FROM word_due WHERE node = ?", (node,))


def wait_inside(writing: Writing, folder: int) -> None:
    """What lies in a folder waits: it came into sight, or left it."""
    writing.run(
        "INSERT INTO word_due (node) SELECT id FROM node WHERE parent = ? ON CONFLICT DO NOTHING", (folder,)
    )


def wait_unread(writing: Writing, most: int) -> int:
    """Documents that scan could not be shown wait again; return how many."""
    return writing.run(
        "INSERT INTO word_due (node) SELECT node FROM word_file WHERE content = 'unread' ORDER BY node LIMIT ?"
        " ON CONFLICT DO NOTHING",
        (most,),
    )


def sealed_by(reading: Reading) -> int:
    """The generation of the collectivité's key under which all texts were sealed last; 0 before the first."""
    return meta_number(reading, "words_key") or 0


def seal_anew(writing: Writing, generation: int) -> None:
    """The key is another one: files with a text wait, to have it sealed under that one."""
    writing.run(
        "INSERT INTO word_due (node) SELECT node FROM word_file WHERE text_id <> ? ON CONFLICT DO NOTHING",
        (b"",),
    )
    keep_meta(writing, "words_key", generation)


def _rows(one: Indexed | None) -> tuple[set[tuple[int, bytes, int]], set[tuple[int, int, int]]]:
    if one is None:
        return set(), set()
    names = {(one.root, part.encode(), one.node) for part in terms.indexed(one.name)}
    return names, {(one.root, term, one.node) for term in one.terms}


def _packed(numbers: Sequence[int]) -> bytes:
    return struct.pack(f">{len(numbers)}Q", *numbers)


def _unpacked(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 8}Q", data)


# -- what is asked -------------------------------------------------------------------------------------------


def named(reading: Reading, asked: str, reach: Reach, *, most: int) -> list[Entry]:
    """Entries whose names have all words of ``asked``, whatever accents and capitals; newest first."""
    wanted = terms.wanted_in_names(asked)
    if not wanted:
        return []
    rows = [row[:7] for row in _changed(reading)] + reading.all(_WAITING, (MOST_FRESH,))
    for root in reach.roots:
        rarest = min(wanted, key=partial(_count_names, reading, root))
        first = rarest.encode()
        for word in filter(None, (rarest, terms.other_number(rarest))):
            rows += reading.all(_CALLED, (root, word.encode(), MOST_LOOKED))
        rows += reading.all(_NAMED, (root, first, first + b"\xff", MOST_LOOKED))
    found = {row[0]: Entry(*row) for row in rows}
    matching = (one for one in found.values() if terms.is_named(one.name, wanted))
    return _newest(below(reading, matching, reach.within), most)


def recent(reading: Reading, reach: Reach, *, most: int) -> list[Entry]:
    """Files that were written last, newest first."""
    rows = [row[:8] for row in _changed(reading) if row[8] in _WRITTEN and not row[3]]
    for root in reach.roots:  # of somebody else's most may be theirs alone
        rows += reading.all(_RECENT, (root, most if root in reach.within else MOST_LOOKED))
    found = {row[0]: Entry(*row[:7]) for row in sorted(rows, key=lambda row: -row[7])}
    return list(itertools.islice(below(reading, found.values(), reach.within), most))


def holding(reading: Reading, numbers: Sequence[int], reach: Reach, *, most: int) -> list[Entry]:
    """Files whose contents have all words of these numbers (``terms.term``), newest first."""
    found: list[Entry] = []
    for root in reach.roots if numbers else ():
        rarest, *others = sorted(set(numbers), key=partial(_count, reading, root))
        besides = itertools.chain.from_iterable((root, one) for one in others)
        rows = reading.all(_HOLDING + _ALSO * len(others), (root, rarest, MOST_LOOKED, *besides))
        found += [Entry(*row) for row in rows]
    return _newest(below(reading, found, reach.within), most)


def text_of(reading: Reading, node: int) -> tuple[bytes, bytes]:
    """(identifier, sealed text) of a file; ("", "") where there is none."""
    row = reading.one("SELECT text_id, sealed FROM word_file WHERE node = ?", (node,))
    return (bytes(row[0]), bytes(row[1])) if row else (b"", b"")


def _newest(entries: Iterable[Entry], most: int) -> list[Entry]:
    return sorted(entries, key=lambda one: (-one.mtime_s, -one.id))[:most]


def _changed(reading: Reading) -> list[Row]:
    """What the index may not know yet: columns of ``Entry``, number of the change, its kind."""
    return reading.all(_CHANGED, (reached(reading) or 0, MOST_FRESH))


def _count_names(reading: Reading, root: int, word: str) -> int:
    """As ``_count``, of names in which a word begins so."""
    asked: LiteralString = (
        "SELECT COUNT(*) FROM (SELECT 1 FROM word_name WHERE root = ? AND word >= ? AND word < ? LIMIT ?) w"
    )
    found: int = scalar(reading, asked, (root, word.encode(), word.encode() + b"\xff", MOST_LOOKED))
    return found


def _count(reading: Reading, root: int, term: int) -> int:
    """As far as it matters."""
    asked: LiteralString = "SELECT COUNT(*) FROM (SELECT 1 FROM word WHERE root = ? AND term = ? LIMIT ?) w"
    found: int = scalar(reading, asked, (root, term, MOST_LOOKED))
    return found
