"""A collectivité of any size within minutes: rows as ``drive.store.tree`` writes them, many a statement.

Rule:    what lies there is what the same files would leave that people put: nodes, contents, journal, a version of each
         tenth, a hundredth in the trash, the index of words. Sums and etags of folders are the store's own work.
         Folders of FILES_A_FOLDER files, FOLDERS_A_SECTION of them in a section, whatever the size: what grows is their
         number. ``Filled.deep``: a folder DEPTH deep.
Memory:  by batches; SQLite's pages FILL_MIB while it is filled, and no flush: what is thrown away need not last.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import batched
from typing import Any, LiteralString

from beffroi.drive.store import schema, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.model import Act, Content, InlineChunk, Weight
from beffroi.drive.store.sqlite import CACHE_KIB, SqliteDatabase
from beffroi.drive.store.writing import Writing
from beffroi.drive.words import index, kinds, terms, whole
from blake3 import blake3

NOW_S = 1_800_000_000
FILES_A_FOLDER, FOLDERS_A_SECTION, DEPTH = 100, 10, 20
FILES_A_CHANGE = 20_000
FILL_MIB, LOG_PAGES = 512, 1 << 16
VERSIONED, TRASHED = 10, 100
"""Every so manieth file has an earlier content, or lies in the trash."""
KEY = terms.key_of(b"bench".ljust(32))
COMMON_WORDS, WORDS_A_FILE, FILES_A_WORD = 500, 5, 100
"""A word of COMMON_WORDS stands in 1 % of all files, and one more in FILES_A_WORD."""


@dataclass(frozen=True)
class Filled:
    """``folders``: of FILES_A_FOLDER files each; ``trashed``: what lies in the trash."""

    root: int
    folders: list[int]
    deep: int
    trashed: list[int]


def act(now_s: int = NOW_S) -> Act:
    return Act("per_bench", "app_bench", now_s)


def content(number: int) -> Content:
    data = b"%020d" % number
    chunk_id = blake3(data).digest()
    return Content(
        len(data),
        blake3(data).hexdigest(20),
        chunk_id.hex(),
        Manifest((Chunk(chunk_id, len(data)),)).pack(),
        (InlineChunk(chunk_id, lambda: data),),
    )


_NODE: LiteralString = (
    "INSERT INTO node (id, parent, name, is_folder, size_bytes, mtime_s, etag, created_s, sha1, sha256, manifest,"
    " properties, folded) VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, '', ?)"
)
_CHUNK: LiteralString = (
    "INSERT INTO chunk (id, refs, length, stored_bytes, sealed, loose_s) VALUES (?, 1, ?, 0, ?, NULL)"
)
_CHANGE: LiteralString = (
    "INSERT INTO change (number, at_s, kind, node, parent, name, is_folder, size_bytes, mtime_s, etag_before,"
    " person_id, device_id) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, 'per_bench', 'app_bench')"
)
_VERSION: LiteralString = (
    "INSERT INTO version (node, etag, size_bytes, mtime_s, sha1, sha256, manifest, replaced_s)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_SCANNED: LiteralString = (
    "INSERT INTO scanned (sha256, mark, at_s, found, is_whole) VALUES (?, 'bench', ?, '', 1)"
)
_WORD_FILE: LiteralString = (
    "INSERT INTO word_file (node, root, name, written, content, terms, text_id, sealed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def fill(database: Database, files: int, say: Callable[[str], None] = lambda text: None) -> Filled:
    """``files``: a multiple of FILES_A_FOLDER."""
    if isinstance(database, SqliteDatabase):
        _hurry(database, is_on=True)
    root = database.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id
    database.write(lambda w: tree.make_root(w, schema.TRASH, now_s=NOW_S))
    folders = database.write(lambda w: _folders(w, root, files // FILES_A_FOLDER))
    deep = database.write(lambda w: _deep(w, root))
    trashed: list[int] = []
    for some in batched(folders, FILES_A_CHANGE // FILES_A_FOLDER, strict=False):
        trashed += database.write(lambda w, some=some: _files(w, some))  # type: ignore[misc]
        say(f"  {files} files: up to folder {some[-1]}")
    _words(database, root)
    if isinstance(database, SqliteDatabase):
        _hurry(database, is_on=False)
    return Filled(root, folders, deep, trashed)


def _hurry(database: SqliteDatabase, *, is_on: bool) -> None:
    """While nothing else uses it; afterwards it is as production opens it, and its log is empty."""
    writer: Any = database._session()
    if is_on:
        writer.raw.execute("PRAGMA synchronous = OFF")
        writer.raw.execute("PRAGMA soft_heap_limit = 0")
        writer.raw.execute(f"PRAGMA cache_size = -{FILL_MIB << 10}")
        writer.raw.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        return
    writer.raw.execute("PRAGMA synchronous = FULL")
    writer.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    writer.raw.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    database.close()  # used again, it is opened anew


def _folders(writing: Writing, root: int, count: int) -> list[int]:
    made: list[int] = []
    section = root
    for number in range(count):
        if number % FOLDERS_A_SECTION == 0:
            section = tree.make_folder(writing, act(), root, f"s{number // FOLDERS_A_SECTION}").id
        made.append(tree.make_folder(writing, act(), section, f"d{number}").id)
    return made


def _deep(writing: Writing, root: int) -> int:
    at = root
    for depth in range(DEPTH):
        at = tree.make_folder(writing, act(), at, f"deep{depth}").id
    return at


def _files(writing: Writing, folders: tuple[int, ...]) -> list[int]:
    """Fill these; return those that were thrown away."""
    nodes, chunks, changes, versions, scanned, trashed = ([] for _ in range(6))
    discarded: list[int] = []
    for folder in folders:
        for place in range(FILES_A_FOLDER):
            node, etag = writing.number(), writing.number()
            one, name, size = content(node), f"f{node}", 20
            changes.append((etag, NOW_S, "created", node, folder, name, size, NOW_S, 0))
            kept = [one]
            if place % VERSIONED == 0:
                kept.append(content(-node))
                versions.append((node, etag, size, NOW_S, one.sha1, one.sha256, one.manifest, NOW_S))
                changes.append((writing.number(), NOW_S, "changed", node, folder, name, size, NOW_S, etag))
                etag = changes[-1][0]
            present = kept[-1]
            nodes.append(
                (
                    *(node, folder, name, size, NOW_S, etag, NOW_S),
                    *(present.sha1, present.sha256, present.manifest, name),
                )
            )
            chunks += [(each.inline[0].id, size, each.inline[0].seal()) for each in kept]
            scanned += [(each.sha256, NOW_S) for each in kept]
            writing.touch(folder, Weight(size, len(kept), size * (len(kept) - 1)))
            if place % TRASHED == 1:
                trashed.append(node)
    for sql, rows in (
        (_NODE, nodes),
        (_CHUNK, sorted(chunks)),
        (_CHANGE, changes),
        (_VERSION, versions),
        (_SCANNED, sorted(scanned)),
    ):
        writing.many(sql, rows)
    for node in trashed:
        tree.delete(writing, act(), node)
        discarded.append(node)
    return discarded


def _words(database: Database, root: int) -> None:
    """Index all below the root as the follower does it, by rows in the order of the index."""
    with database.reading() as reading:
        rows = reading.all(
            "SELECT id, name, etag, sha256 FROM node WHERE is_folder = 0 AND id NOT IN (SELECT node FROM trash)"
            " ORDER BY id"
        )
        typed = reading.all(
            "SELECT id, name, is_folder, mtime_s FROM node WHERE parent <> 0 AND id NOT IN (SELECT node FROM trash)"
        )
        last = reading.one("SELECT MAX(number) FROM change")
    common = [terms.term(f"w{number}", KEY) for number in range(COMMON_WORDS)]
    dice = random.Random(1)
    by_term: dict[int, list[int]] = {}

    def files() -> Iterator[tuple[Any, ...]]:
        for place, (node, name, etag, sha256) in enumerate(rows):
            numbers = {*dice.sample(common, WORDS_A_FILE), terms.term(f"r{place // FILES_A_WORD}", KEY)}
            for number in numbers:
                by_term.setdefault(number, []).append(node)
            yield (
                node,
                root,
                name,
                etag,
                f"{sha256 or etag}.txt",
                index._packed(tuple(sorted(numbers))),
                b"",
                b"",
            )

    def words() -> Iterator[tuple[int, int, int]]:
        for term in sorted(by_term):
            yield from ((root, term, node) for node in by_term[term])

    names = sorted((part.encode(), node) for node, name, *_ in rows for part in terms.indexed(name))
    for sql, found in (
        (_WORD_FILE, files()),
        ("INSERT INTO word (root, term, node) VALUES (?, ?, ?)", words()),
        ("INSERT INTO word_name (root, word, node) VALUES (?, ?, ?)", ((root, *one) for one in names)),
        (
            "INSERT INTO node_kind (node, root, kind, mtime_s) VALUES (?, ?, ?, ?)",
            (
                (node, root, kinds.of(name, is_folder=bool(is_folder)), at_s)
                for node, name, is_folder, at_s in typed
            ),
        ),
    ):
        for some in batched(found, 10 * FILES_A_CHANGE, strict=False):
            database.write(lambda w, sql=sql, some=some: w.many(sql, some))  # type: ignore[misc]
    database.write(whole.begin)
    database.write(lambda writing: index.take(writing, (), (last and last[0]) or 0))
