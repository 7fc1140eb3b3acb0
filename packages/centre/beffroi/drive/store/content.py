"""Bodies of files: taken in as sealed chunks, given out again by ranges.

Process: the one that serves files; chunks are named, sealed, stored, fetched and opened in its worker threads.
Hostile: bodies (any bytes, any pace, cut anywhere) and what is stored (``sealing``).
Fails:   closed. A body that fails or is given up leaves objects that no manifest names, never half of one.
Format:  docs/internals/drive-format.md.
"""

from __future__ import annotations

import asyncio
import mmap
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence, Set
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

from beffroi.drive.store import sealing
from beffroi.drive.store.chunking import CHUNK_BYTES, INLINE_BYTES, Chunker, Digests, chunk_id
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.objects import BLOCK_BYTES, Objects, object_name
from beffroi.drive.store.sealing import Bytes, ObjectDamaged, Sealer

type Known = Callable[[Sequence[bytes]], Awaitable[Set[bytes]]]
"""Which of these chunks are stored and stay; the others are written."""
type Inline = Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, Bytes]]]
"""The sealed chunks that lie with the metadata, of these; the others lie among the objects."""

READ_AHEAD = 3
LENT = 2
_rooms = threading.local()


class Written(NamedTuple):
    """A body that is stored, and is nobody's until its manifest is committed.

    ``inline``:  chunks of at most INLINE_BYTES, by name: the caller seals them (``Content.sealed``) and keeps them with
                 the metadata, in one change.
    ``stored``:  length of each sealed object that was written for it, by chunk: on the disk already.
    Whoever commits the manifest makes sure that all other chunks of it are there still.
    """

    manifest: Manifest
    size_bytes: int
    sha1: bytes
    sha256: bytes
    inline: Mapping[bytes, bytes]
    stored: Mapping[bytes, int]


@dataclass(frozen=True)
class Workers:
    """What all bodies of a process share, so that many slow clients do not take its memory.

    ``chunks``: how many are named, sealed, stored, fetched or opened at once, in ``threads``. ``ahead``: how many are
    read before they are needed; where it is used up, a reader has the one it sends and no other. ``lent``: how many
    bodies keep memory that is used again (six chunks each); the others are opened in new memory each time.
    """

    threads: Executor
    chunks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))
    ahead: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(32))
    lent: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    async def run[T](self, what: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, what, *given)


class Content:
    """The bodies of one collectivité."""

    def __init__(self, keys: Keys, objects: Objects, workers: Workers) -> None:
        self._keys, self._objects, self.workers = keys, objects, workers
        self._sealer = Sealer(keys)

    def writer(self, known: Known, expected_bytes: int | None = None) -> Writer:
        """Take a body in. ``expected_bytes``: its length where the sender said it."""
        return Writer(self, known, expected_bytes)

    async def read(
        self,
        manifest: Manifest,
        inline: Inline,
        start: int = 0,
        end: int | None = None,
        *,
        lends: bool = False,
    ) -> AsyncGenerator[Bytes]:
        """Bytes ``start`` to ``end`` (exclusive; None: the body's end), a frame of the store at a time or a chunk.

        Up to READ_AHEAD chunks are fetched and opened while the caller sends one. Nothing is given out before it is
        proved. Close it (``aclosing``) where it may be left early. ``lends``: the memory of a chunk may be used again
        as soon as all of LENT more were given out, and the next is asked for.
        Errors: ObjectDamaged, ObjectMissing, StoreUnavailable, those of the keys.
        """
        pieces = iter(_pieces(manifest, start, manifest.size_bytes if end is None else end))
        if len(manifest.chunks) == 1:
            for only in pieces:
                for opened in await self._piece(only, inline):
                    yield opened
            return
        lends = lends and not self.workers.lent.locked()
        begun = _Begun(lambda piece, room: self._piece(piece, inline, room), self.workers.ahead, lends=lends)
        if lends:
            await self.workers.lent.acquire()
        try:
            while (needed := begun.next(pieces)) is not None:
                await begun.more(pieces)
                for opened in await needed.task:
                    yield opened
                begun.give_back(needed)
        finally:
            if lends:
                self.workers.lent.release()
            await begun.give_up()

    def name(self, data: Bytes) -> bytes:
        return chunk_id(self._keys.naming(), data)

    def small(self, data: bytes) -> Written:
        """Take in a body of at most INLINE_BYTES: a thread, or a turn of the loop, would cost more than the work."""
        digests, names = Digests(), [self.name(data)] if data else []
        digests.update(data)
        manifest = Manifest(tuple(Chunk(name, len(data)) for name in names))
        inline = dict.fromkeys(names, data)
        return Written(manifest, len(data), digests.sha1, digests.sha256, inline, {})

    def opened(self, chunk: Chunk, sealed: Bytes, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end`` (exclusive) of a chunk that lies with the metadata. Errors: as ``read``."""
        return b"".join(_cut(self._sealer.opened(chunk.id, sealed), _Piece(chunk, start, end)))

    def chunker(self, expected_bytes: int | None) -> Chunker:
        return Chunker(self._keys.cutting_seed, expected_bytes)

    def sealed(self, name: bytes, data: bytes) -> bytes:
        """A chunk that is to lie with the metadata."""
        return bytes(self._sealer.seal(name, data))

    def store(self, name: bytes, data: Bytes) -> int:
        """Put a chunk among the objects; return the length of the sealed object."""
        sealed = self._sealer.seal(name, data, _room())
        self._objects.put(self._object(name), sealed)
        return len(sealed)

    def _object(self, name: bytes) -> str:
        return object_name(self._keys.collectivite_id, name)

    async def _piece(self, piece: _Piece, inline: Inline, room: memoryview | None = None) -> list[Bytes]:
        chunk = piece.chunk
        if chunk.length <= INLINE_BYTES:
            sealed = (await inline((chunk.id,))).get(chunk.id)
            if sealed is not None:  # so small that a thread would cost more
                return [self.opened(chunk, sealed, piece.start, piece.end)]
        async with self.workers.chunks:
            return await self.workers.run(self._fetched, piece, room)

    def _fetched(self, piece: _Piece, room: memoryview | None) -> list[Bytes]:
        chunk, name = piece.chunk, self._object(piece.chunk.id)
        few = (piece.end - piece.start) * 2 <= chunk.length and chunk.length > 2 * sealing.FRAME_BYTES
        if few:
            opened = self._sealer.open_range(
                chunk.id, lambda start, end: self._objects.get_range(name, start, end), piece.start, piece.end
            )
            return [opened]
        return _cut(self._sealer.opened(chunk.id, self._objects.get(name, _room()), room), piece)


class Writer:
    """One body on its way in: ``async with content.writer(known) as writer``, ``feed`` its pieces, ``close``.

    Left without ``close``, it is given up. Errors of both: StoreFull, StoreUnavailable, those of the keys.
    """

    def __init__(self, content: Content, known: Known, expected_bytes: int | None) -> None:
        self._content, self._known, self._workers = content, known, content.workers
        self._chunker, self._digests = content.chunker(expected_bytes), Digests()
        self._chunks: list[Chunk] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._hashed: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._ended = False
        self._taken: set[bytes] = set()
        self._inline: dict[bytes, bytes] = {}
        self._stored: dict[bytes, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True  # what has not begun does not begin; what a thread is at, it finishes
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def feed(self, piece: Bytes) -> None:
        """Take the next bytes; wait where the workers hold as many chunks as they may."""
        for chunk in self._chunker.feed(piece):
            await self._start(chunk)

    async def close(self) -> Written:
        """The body is whole: what it consists of is on the disk, or comes back sealed."""
        for chunk in self._chunker.close():
            await self._start(chunk)
        await asyncio.gather(*self._tasks)
        if self._failure is not None:
            raise self._failure
        self._ended = True
        manifest = Manifest(tuple(self._chunks))
        sums = self._digests.sha1, self._digests.sha256
        return Written(manifest, manifest.size_bytes, *sums, self._inline, self._stored)

    async def _start(self, data: Bytes) -> None:
        await self._workers.chunks.acquire()
        if self._failure is not None:
            self._workers.chunks.release()
            raise self._failure
        self._chunks.append(Chunk(b"", len(data)))
        self._hashed = asyncio.create_task(self._hash(self._hashed, data))
        task = asyncio.create_task(self._take(len(self._chunks) - 1, data, self._hashed))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._workers.chunks.release()
        self._tasks.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._failure = self._failure or error

    async def _hash(self, earlier: asyncio.Task[None] | None, data: Bytes) -> None:
        if earlier is not None:
            await earlier
        await self._workers.run(self._digests.update, data)

    async def _take(self, at: int, data: Bytes, hashed: asyncio.Task[None]) -> None:
        name = await self._workers.run(self._content.name, data)
        self._chunks[at] = Chunk(name, len(data))
        if name not in self._taken and not self._ended:
            self._taken.add(name)
            if len(data) <= INLINE_BYTES:
                self._inline[name] = bytes(data)
            elif name not in await self._known((name,)) and not self._ended:
                self._stored[name] = await self._workers.run(self._content.store, name, data)
        await hashed


def _memory(size_bytes: int) -> memoryview:
    """New memory at the start of a page: from there a disk takes it without a copy. In huge pages where the kernel has
    some: a tenth of the time until it is there, and fewer to name to the disk."""
    made = mmap.mmap(
        -1, -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )
    with suppress(OSError):  # a kernel without them
        made.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(made)


def _room() -> memoryview:
    """Memory of this thread for one sealed chunk."""
    if not hasattr(_rooms, "room"):
        _rooms.room = _memory(sealing.MOST_SEALED_BYTES)
    found: memoryview = _rooms.room
    return found


class _Piece(NamedTuple):
    """Bytes ``start`` to ``end`` (exclusive) of a chunk."""

    chunk: Chunk
    start: int
    end: int


class _Opening(NamedTuple):
    """``room``: where the chunk may be opened; None for new memory."""

    task: asyncio.Task[list[Bytes]]
    room: memoryview | None


class _Begun:
    """The chunks of one body on its way out: those that are opened ahead, and the memory that was given out. A chunk
    in new memory costs half as much as opening it."""

    def __init__(
        self,
        open_: Callable[[_Piece, memoryview | None], Coroutine[None, None, list[Bytes]]],
        budget: asyncio.Semaphore,
        *,
        lends: bool,
    ) -> None:
        self._open, self._budget, self._lends = open_, budget, lends
        self._ahead: deque[_Opening] = deque()
        self._lent: deque[memoryview] = deque()
        self._free: list[memoryview] = []

    def next(self, pieces: Iterator[_Piece]) -> _Opening | None:
        if self._ahead:
            self._budget.release()
            return self._ahead.popleft()
        piece = next(pieces, None)
        return None if piece is None else self._begin(piece)

    async def more(self, pieces: Iterator[_Piece]) -> None:
        while len(self._ahead) < READ_AHEAD and not self._budget.locked():
            if (piece := next(pieces, None)) is None:
                return
            await self._budget.acquire()
            self._ahead.append(self._begin(piece))

    def give_back(self, given: _Opening) -> None:
        """All of it was given out. How far its reader is, only what they asked for since tells."""
        if given.room is not None:
            self._lent.append(given.room)
            if len(self._lent) > LENT:
                self._free.append(self._lent.popleft())

    async def give_up(self) -> None:
        for one in self._ahead:
            one.task.cancel()
            self._budget.release()
        await asyncio.gather(*(one.task for one in self._ahead), return_exceptions=True)

    def _begin(self, piece: _Piece) -> _Opening:
        room = None
        if self._lends:
            room = self._free.pop() if self._free else _memory(CHUNK_BYTES)
        return _Opening(asyncio.create_task(self._open(piece, room)), room)


def _pieces(manifest: Manifest, start: int, end: int) -> Iterator[_Piece]:
    at = 0
    for chunk in manifest.chunks:
        first, after = max(start - at, 0), min(end - at, chunk.length)
        if first < after:
            yield _Piece(chunk, first, after)
        at += chunk.length
        if at >= end:
            return


def _cut(opened: Sequence[Bytes], piece: _Piece) -> list[Bytes]:
    """Of a chunk that is open, the bytes that are wanted."""
    if sum(map(len, opened)) != piece.chunk.length:
        # A manifest that says another length than its chunk has is as wrong as a chunk of other bytes.
        raise ObjectDamaged(piece.chunk.id)
    found: list[Bytes] = []
    at = 0
    for one in opened:
        first, after = max(piece.start - at, 0), min(piece.end - at, len(one))
        if first < after:
            found.append(one if after - first == len(one) else memoryview(one)[first:after])
        at += len(one)
    return found
