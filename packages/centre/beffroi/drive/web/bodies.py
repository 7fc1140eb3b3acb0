"""Contents of files between a request and the sealed store.

Process: drive. Fails closed: nothing of a body is visible before its content is committed with the metadata.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence, Set
from concurrent.futures import Executor
from contextlib import aclosing, nullcontext
from functools import partial
from typing import Protocol

from beffroi.drive.store import carried, content, findings, keys, refs
from beffroi.drive.store.chunking import INLINE_BYTES
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.model import Content, InlineChunk
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.objects import Objects
from beffroi.drive.store.sealing import Bytes
from beffroi.drive.store.writing import Reading
from beffroi.lib.config import Config


class Kept(Protocol):
    """A content that is on record: of a file, of a version. ``sha256``: hex, "" where it is not known yet."""

    @property
    def manifest(self) -> bytes: ...
    @property
    def sha256(self) -> str: ...


type Refuse = Callable[[str, str], object]
"""The door: called with a content's SHA-256 and the collectivité. Errors: Frozen."""


class Bodies(Protocol):
    """The contents of one collectivité."""

    def require(self, sha256: str) -> None:
        """Errors: Frozen (a decision or a finding holds this content), NotScanned (it came from outside)."""

    async def receive(self, pieces: AsyncIterator[bytes], expected_bytes: int | None) -> Content:
        """Seal and store a body; nothing of it is visible before its content is committed.

        ``expected_bytes``: its length where the client said it.
        Errors: those of ``pieces``, Frozen (by a decision; what the scan found is refused when it is committed),
        StoreFull, StoreUnavailable, those of the keys.
        """

    def read(self, kept: Kept, start: int, end: int) -> AsyncGenerator[bytes]:
        """Bytes ``start`` to ``end`` (exclusive) in pieces, each proved.

        Errors: as ``require``, and ManifestBroken, at once, before a piece is asked for; ObjectDamaged, ObjectMissing,
        StoreUnavailable, those of the keys.
        """

    def lend(
        self, kept: Kept, start: int, end: int, reading: Reading | None = None
    ) -> bytes | AsyncGenerator[Bytes]:
        """As ``read``, for who sends the pieces and keeps none (``store.content.Content.read``); a small file at once.
        ``reading``: the picture that it was found in, where that is open still."""


SENT_BYTES = 1 << 20
"""Of a piece at most: each costs a turn of the loop, and a client has ``messages.SEND_S`` to take it."""


class BodiesOf(Protocol):
    """By the collectivité's identifier. ``visitor``: the collectivité of who comes from another one; what the owner
    lets through for itself stays refused to them. Errors: NotFound, those of the keys."""

    def __call__(self, collectivite_id: str, visitor: str = "", /) -> Bodies: ...


class SealedBodies:
    """``database``: asked anew each time, since it may be closed in between."""

    def __init__(
        self, sealed: content.Content, database: Callable[[], Database], refuse: Callable[[str], object]
    ) -> None:
        self._sealed, self._database, self._refuse = sealed, database, refuse

    def seen_by(self, refuse: Callable[[str], object]) -> SealedBodies:
        """The same, behind another collectivité's door as well."""

        def both(sha256: str) -> None:
            self._refuse(sha256)
            refuse(sha256)

        return SealedBodies(self._sealed, self._database, both)

    def require(self, sha256: str) -> None:
        self._refuse(sha256)
        with self._database().reading() as reading:
            self._require(reading, sha256)

    def _require(self, reading: Reading, sha256: str) -> None:
        findings.require(reading, sha256)
        findings.require_scanned(reading, sha256)
        for packed in carried.of(reading, sha256):
            self._refuse(packed)

    async def receive(self, pieces: AsyncIterator[bytes], expected_bytes: int | None) -> Content:
        begun = bytearray()
        async for piece in pieces:
            begun += piece
            if len(begun) > INLINE_BYTES:
                return await self._receive_long(begun, pieces, expected_bytes)
        return self._content(self._sealed.small(bytes(begun)), since=0)

    async def _receive_long(
        self, begun: Bytes, pieces: AsyncIterator[bytes], expected_bytes: int | None
    ) -> Content:
        """``pieces``: those after ``begun``."""
        since: list[int] = []

        async def known(names: Sequence[bytes]) -> Set[bytes]:
            with self._database().reading() as reading:
                since.append(refs.now(reading))
                return refs.known(reading, names)

        async with self._sealed.writer(known, expected_bytes) as writer:
            await writer.feed(begun)
            async for piece in pieces:
                await writer.feed(piece)
            written = await writer.close()
        return self._content(written, since=min(since, default=0))

    def _content(self, written: content.Written, *, since: int) -> Content:
        self._refuse(written.sha256.hex())
        return Content(
            written.size_bytes,
            written.sha1.hex(),
            written.sha256.hex(),
            written.manifest.pack(),
            tuple(
                InlineChunk(name, partial(self._sealed.sealed, name, data))
                for name, data in written.inline.items()
            ),
            dict(written.stored),
            since,
        )

    def read(self, kept: Kept, start: int, end: int) -> AsyncGenerator[bytes]:
        return _kept(self._read(*self._found(kept, None), start, end, lends=False))

    def lend(
        self, kept: Kept, start: int, end: int, reading: Reading | None = None
    ) -> bytes | AsyncGenerator[Bytes]:
        manifest, inline = self._found(kept, reading)
        if inline:
            (only,) = manifest.chunks
            return self._sealed.opened(only, inline[only.id], start, end)
        return self._read(manifest, inline, start, end, lends=True)

    def _found(self, kept: Kept, found_in: Reading | None) -> tuple[Manifest, Mapping[bytes, Bytes]]:
        """(what it is made of, the only chunk of a small file as it is kept). Errors: as ``read``."""
        self._refuse(kept.sha256)
        manifest = Manifest.unpack(kept.manifest)
        with nullcontext(found_in) if found_in is not None else self._database().reading() as reading:
            self._require(reading, kept.sha256)
            names = [one.id for one in manifest.chunks] if len(manifest.chunks) == 1 else []
            return manifest, _sealed(reading, names)

    async def _read(
        self, manifest: Manifest, inline: Mapping[bytes, Bytes], start: int, end: int, *, lends: bool
    ) -> AsyncGenerator[Bytes]:
        async def found(names: Sequence[bytes]) -> Mapping[bytes, Bytes]:
            if inline.keys() >= set(names):
                return inline
            with self._database().reading() as reading:
                return _sealed(reading, names)

        async with aclosing(self._sealed.read(manifest, found, start, end, lends=lends)) as pieces:
            async for piece in pieces:
                if len(piece) <= SENT_BYTES:
                    yield piece
                    continue
                whole = memoryview(piece)
                for at in range(0, len(whole), SENT_BYTES):
                    yield whole[at : at + SENT_BYTES]


async def _kept(pieces: AsyncGenerator[Bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(pieces):
        async for piece in pieces:
            yield bytes(piece)


def _sealed(reading: Reading, names: Sequence[bytes]) -> dict[bytes, Bytes]:
    """Those of them that lie with the metadata."""
    found = {name: refs.sealed(reading, name) for name in names}
    return {name: sealed for name, sealed in found.items() if sealed is not None}


class SealedStore:
    """The contents of all collectivités: one store of objects, one set of keys each. Callable as ``BodiesOf``."""

    def __init__(self, config: Config, communes: Communes, threads: Executor, refuse: Refuse) -> None:
        """Errors: SettingInvalid, StoreUnavailable."""
        self._config, self._communes, self._refuse = config, communes, refuse
        self._objects: Objects = open_objects(config)
        self._workers = content.Workers(threads)
        self._opened: dict[str, SealedBodies] = {}

    def __call__(self, collectivite_id: str, visitor: str = "", /) -> Bodies:
        found = self._opened.get(collectivite_id)
        if found is None:
            self._communes.metadata(collectivite_id)  # first: beside keys they would not begin
            sealed = content.Content(keys.make(self._config, collectivite_id), self._objects, self._workers)
            found = SealedBodies(
                sealed,
                lambda: self._communes.metadata(collectivite_id),
                lambda sha256: self._refuse(sha256, collectivite_id),
            )
            self._opened[collectivite_id] = found
        if visitor in ("", collectivite_id):
            return found
        return found.seen_by(lambda sha256: self._refuse(sha256, visitor))
