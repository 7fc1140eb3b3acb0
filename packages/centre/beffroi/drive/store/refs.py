"""Who needs which chunk: counted with each manifest that is kept, so that nothing needed is ever collected.

Rule:    a manifest in ``node``, ``version`` or ``part`` holds one reference to each of its chunks, for each time it
         names it. A chunk without one is loose from then on, and collected a day later (``collect``). A writer that
         found it present meanwhile makes it referred to again, or is told that it is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import LiteralString

from beffroi.drive.store import findings
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.model import Content
from beffroi.drive.store.scalars import meta_number
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError

DAMAGED = -1
"""In ``stored_bytes`` of a chunk that no walk could mend (``scrub``): whoever brings it again writes it anew."""
_ONE_MORE: LiteralString = (
    "INSERT INTO chunk (id, refs, length, stored_bytes, sealed, loose_s) VALUES (?, ?, ?, ?, ?, NULL)"
    " ON CONFLICT (id) DO UPDATE SET refs = chunk.refs + excluded.refs, loose_s = NULL,"
    " sealed = CASE WHEN chunk.stored_bytes < 0 THEN excluded.sealed ELSE chunk.sealed END,"
    " stored_bytes = CASE WHEN chunk.stored_bytes < 0 THEN excluded.stored_bytes ELSE chunk.stored_bytes END"
)


class ChunkVanished(BeffroiError):
    """A part of this file was collected while it was written; send it again."""

    code = "drive.chunk_vanished"
    http_status = 503
    retryable = True


def add(writing: Writing, content: Content) -> None:
    """Count a new content's references; its inline chunks are kept.

    Errors: Frozen, Found (``findings``). ChunkVanished: a chunk was neither kept nor brought along, or its object may
    have been deleted after it was written (``collect`` says why nothing else can happen).
    """
    findings.require_new(writing, content.sha256)
    inline = {one.id: one for one in content.inline}
    for (chunk_id, length), count in _counted(content.manifest).items():
        brought = inline.get(chunk_id)
        if brought is not None:
            # Sealed here: no key that seals in this change is destroyed before it is committed.
            writing.run(_ONE_MORE, (chunk_id, count, length, 0, brought.seal()))
            continue
        if _more(writing, chunk_id, count):
            if chunk_id in content.stored:
                believe(writing, (chunk_id,))
            continue
        is_gone = _is_too_old(writing, content) or _deleted(writing, chunk_id, content.since)
        if is_gone or chunk_id not in content.stored:
            raise ChunkVanished
        writing.run(_ONE_MORE, (chunk_id, count, length, content.stored[chunk_id], None))


def _counted(manifest: bytes) -> Mapping[Chunk, int]:
    """How often each chunk is named."""
    chunks = Manifest.unpack(manifest).chunks
    return Counter(chunks) if len(chunks) > 1 else dict.fromkeys(chunks, 1)


def _is_too_old(writing: Writing, content: Content) -> bool:
    """Whether it may be sealed by a key that is being destroyed (``resealing``)."""
    return content.since < (meta_number(writing, "sealed_since") or 0)


def _deleted(writing: Writing, chunk_id: bytes, since: int) -> bool:
    """Whether its object was, or may yet be, deleted after ``since``."""
    row = writing.one("SELECT gone FROM doomed WHERE id = ?", (chunk_id,))
    if row is not None:
        return not row[0] or bool(row[0] > since)
    return (meta_number(writing, "forgotten") or 0) > since


def now(database: Reading) -> int:
    """The number of this picture, for ``Content.since``: ask it before the first look-up of a body's chunks."""
    return meta_number(database, "number") or 0


def share(writing: Writing, manifest: bytes) -> None:
    """One more of each, for a second manifest of the same chunks. Errors: ChunkVanished."""
    for (chunk_id, _), count in _counted(manifest).items():
        if not _more(writing, chunk_id, count):
            raise ChunkVanished


def drop(writing: Writing, manifest: bytes, *, now_s: int) -> None:
    """A manifest goes; chunks that nothing refers to any more are loose from ``now_s`` on."""
    for (chunk_id, _), count in _counted(manifest).items():
        writing.run(
            "UPDATE chunk SET refs = refs - ?, loose_s = CASE WHEN refs = ? THEN ? END WHERE id = ?",
            (count, count, now_s, chunk_id),
        )


def _more(writing: Writing, chunk_id: bytes, count: int) -> bool:
    return bool(
        writing.run("UPDATE chunk SET refs = refs + ?, loose_s = NULL WHERE id = ?", (count, chunk_id))
    )


def known(database: Reading, chunk_ids: Sequence[bytes]) -> set[bytes]:
    """Which of these are kept, and need not be written again."""
    kept: LiteralString = "SELECT 1 FROM chunk WHERE id = ? AND stored_bytes >= 0"
    return {one for one in chunk_ids if database.one(kept, (one,))}


def doubt(writing: Writing, chunk_ids: Iterable[bytes]) -> None:
    """They are damaged."""
    writing.many("UPDATE chunk SET stored_bytes = ? WHERE id = ?", [(DAMAGED, one) for one in chunk_ids])


def believe(writing: Writing, chunk_ids: Iterable[bytes]) -> None:
    """They were written anew, or are whole."""
    writing.many(
        "UPDATE chunk SET stored_bytes = 0 WHERE id = ? AND stored_bytes < 0", [(one,) for one in chunk_ids]
    )


def sealed(database: Reading, chunk_id: bytes) -> bytes | None:
    """An inline chunk as it is kept; None for one that lies in the objects. What is there and is no bytes, as SQLite
    allows, is an empty one: nothing opens it."""
    row = database.one("SELECT sealed FROM chunk WHERE id = ?", (chunk_id,))
    if row is None or row[0] is None:
        return None
    return bytes(row[0]) if isinstance(row[0], bytes | bytearray | memoryview) else b""
