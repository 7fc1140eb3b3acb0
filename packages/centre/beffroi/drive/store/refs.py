"""Who needs which chunk: counted with each manifest that is kept, so that nothing needed is ever collected.

Rule:    a manifest in ``node``, ``version`` or ``part`` holds one reference to each of its chunks, for each time it
         names it. A chunk without one is loose from then on, and collected a day later (``collect``): a writer that
         found it present meanwhile makes it referred to again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from beffroi.drive.store.database import Reading, Writing
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.model import Content
from beffroi.lib.errors import BeffroiError


class ChunkVanished(BeffroiError):
    """A part of this file was collected while it was written; send it again."""

    code = "drive.chunk_vanished"
    http_status = 503
    retryable = True


def add(writing: Writing, content: Content) -> None:
    """Count a new content's references; its inline chunks are kept. Errors: ChunkVanished."""
    inline = {one.id: one.sealed for one in content.inline}
    for (chunk_id, length), count in Counter(Manifest.unpack(content.manifest).chunks).items():
        if not _more(writing, chunk_id, count):
            if chunk_id in content.reused:
                raise ChunkVanished
            writing.run(
                "INSERT INTO chunk (id, refs, length, sealed, loose_s) VALUES (?, ?, ?, ?, NULL)",
                (chunk_id, count, length, inline.get(chunk_id)),
            )


def share(writing: Writing, manifest: bytes) -> None:
    """One more of each, for a second manifest of the same chunks. Errors: ChunkVanished."""
    for (chunk_id, _), count in Counter(Manifest.unpack(manifest).chunks).items():
        if not _more(writing, chunk_id, count):
            raise ChunkVanished


def drop(writing: Writing, manifest: bytes, *, now_s: int) -> None:
    """A manifest goes; chunks that nothing refers to any more are loose from ``now_s`` on."""
    for (chunk_id, _), count in Counter(Manifest.unpack(manifest).chunks).items():
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
    return {one for one in chunk_ids if database.one("SELECT 1 FROM chunk WHERE id = ?", (one,))}


def sealed(database: Reading, chunk_id: bytes) -> bytes | None:
    """An inline chunk as it is kept; None for one that lies in the objects."""
    row = database.one("SELECT sealed FROM chunk WHERE id = ?", (chunk_id,))
    return bytes(row[0]) if row and row[0] is not None else None
