"""A tree of the drive in tests: short ways to write and look, and what must be true of every one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from beffroi.drive.store import going_back, look, moments, tree, ways, weights
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.model import Act, Content, InlineChunk, Node
from beffroi.drive.store.writing import Reading

NOW_S = 1_800_000_000
ME, OTHER = Act("per_me", "app_1", NOW_S), Act("per_other", "app_2", NOW_S)

type Open = Callable[[], Database]


def packed(*chunks: tuple[bytes, int]) -> bytes:
    """The bytes of a manifest of these chunks: identifier, length."""
    return Manifest(tuple(Chunk(*one) for one in chunks)).pack()


def chunk_ids(manifest: bytes) -> list[bytes]:
    return [one.id for one in Manifest.unpack(manifest).chunks]


def content(data: bytes) -> Content:
    """One chunk that lies with the metadata."""
    if not data:
        return Content(0, hashlib.sha1().hexdigest(), hashlib.sha256().hexdigest(), b"")
    chunk_id = hashlib.blake2s(data).digest()
    inline = (InlineChunk(chunk_id, lambda: b"sealed " + data),)
    manifest = packed((chunk_id, len(data)))
    return Content(
        len(data), hashlib.sha1(data).hexdigest(), hashlib.sha256(data).hexdigest(), manifest, inline
    )


def at(now_s: int, act: Act = ME) -> Act:
    return Act(act.person_id, act.device_id, now_s)


def put(database: Database, parent: int, name: str, data: bytes, act: Act = ME) -> Node:
    return database.write(lambda w: tree.put(w, act, parent, name, content(data)))[0]


def folder(database: Database, parent: int, name: str, act: Act = ME) -> Node:
    return database.write(lambda w: tree.make_folder(w, act, parent, name))


def seen(database: Database, node_id: int) -> Node:
    with database.reading() as reading:
        found = look.node(reading, node_id)
    assert found is not None
    return found


def listing(database: Database, root: int) -> dict[str, int]:
    with database.reading() as reading:
        return {look.path_of(reading, one.id): one.size_bytes for one in look.below(reading, root)}


def way_to(reading: Reading, folder_id: int, at_s: int) -> ways.Plan:
    """The plan of a way back, to a moment at which the folder may be seen."""
    return ways.plan(reading, folder_id, moments.seen(reading, folder_id, at_s))


def go_back(database: Database, plan: ways.Plan, now_s: int) -> None:
    """All of a way back."""
    going_back.begin(database, at(now_s), plan)
    while database.write(lambda w: going_back.go_on(w, plan.folder, now_s=now_s)):
        pass


def loose(database: Database) -> int:
    with database.reading() as reading:
        return len(reading.all("SELECT id FROM chunk WHERE loose_s IS NOT NULL"))


def require_whole(reading: Reading) -> None:
    """Every reference is counted, every folder has the size of what is below it, every name its folder."""
    manifests = [
        row[0]
        for rows in (
            reading.all("SELECT manifest FROM node WHERE is_folder = 0"),
            reading.all("SELECT manifest FROM version"),
            reading.all("SELECT manifest FROM part"),
        )
        for row in rows
    ]
    counted = Counter(chunk_id for manifest in manifests for chunk_id in chunk_ids(manifest))
    chunks = reading.all("SELECT id, refs, loose_s FROM chunk")
    assert {row[0]: row[1] for row in chunks if row[1]} == dict(counted)
    assert all((row[1] == 0) == (row[2] is not None) for row in chunks)
    sizes: Counter[int] = Counter()
    nodes = {row[0]: row for row in reading.all("SELECT id, parent, is_folder, size_bytes, etag FROM node")}
    for node_id, parent, is_folder, size_bytes, _ in nodes.values():
        assert not parent or nodes[parent][2], "lies in a folder"
        above = parent
        while not is_folder and above:
            sizes[above] += size_bytes
            above = nodes[above][1]
        assert node_id
    assert {row[0]: row[3] for row in nodes.values() if row[2]} == {
        row[0]: sizes[row[0]] for row in nodes.values() if row[2]
    }
    assert weights.drift(reading) == []
    etags = [row[4] for row in nodes.values()]
    assert len(etags) == len(set(etags))


class Counted:
    """A reading that counts rows."""

    def __init__(self, reading: Reading) -> None:
        self._reading, self.rows = reading, 0

    def one(self, sql: Any, parameters: Sequence[object] = ()) -> Any:
        self.rows += 1
        return self._reading.one(sql, parameters)

    def all(self, sql: Any, parameters: Sequence[object] = ()) -> Any:
        found = self._reading.all(sql, parameters)
        self.rows += len(found)
        return found
