"""Bodies in and out, over a real store on disk."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest
from beffroi.drive.store.chunking import CHUNK_BYTES, INLINE_BYTES, WHOLE_BYTES
from beffroi.drive.store.content import LENT, READ_AHEAD, Content, Workers
from beffroi.drive.store.keys import Keys, KeysErased
from beffroi.drive.store.local_objects import LocalObjects
from beffroi.drive.store.manifest import Chunk, Manifest, ManifestBroken
from beffroi.drive.store.model import StoreFull
from beffroi.drive.store.objects import ObjectMissing, Objects, StoreUnavailable, object_name
from beffroi.drive.store.sealing import Bytes, ObjectDamaged
from beffroi.drive.store.stock import Stock
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures_drive import Books, Faulty, new_keys, noise, read, write

MIB = 1 << 20
TEXT = "Séance du conseil municipal, le maire certifie.\n".encode() * 60_000


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


class Place:
    """The content of one commune on a disk, and what its metadata would hold."""

    def __init__(self, folder: Path) -> None:
        self.keys: Keys = new_keys(folder / "state")
        self.disk = LocalObjects(folder / "objects")
        self.objects: Objects = self.disk
        self.books = Books()

    def run[T](self, use: Callable[[Content], Awaitable[T]], *, chunks: int = 4) -> T:
        async def main() -> T:
            workers = Workers(pool, asyncio.Semaphore(chunks))
            result = await asyncio.wait_for(use(Content(self.keys, self.objects, workers)), 120)
            assert not workers.chunks.locked() and workers.chunks._value == chunks, "every slot is given back"
            return result

        with threads() as pool:
            return asyncio.run(main())

    def stored(self) -> set[str]:
        return {one.name for one in self.disk.list(self.keys.collectivite_id)}

    def object(self, chunk: Chunk) -> str:
        return object_name(self.keys.collectivite_id, chunk.id)

    def judged(self, chunk: Chunk) -> str:
        """By the scrub."""
        stock = Stock(self.keys.collectivite_id, self.keys, self.disk)
        return stock.judge(chunk.id, chunk.length, self.books.inline.get(chunk.id))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


SIZES = [0, 1, 10_000, INLINE_BYTES, INLINE_BYTES + 1, WHOLE_BYTES, WHOLE_BYTES + 1, 5 * MIB + 3, 70 * MIB]


@pytest.mark.parametrize("size", SIZES)
def test_a_body_comes_back_as_it_was_with_its_checksums(place: Place, size: int) -> None:
    body = noise(size, b"body")

    async def use(content: Content) -> None:
        written = await write(content, place.books, body)
        assert written.size_bytes == size
        assert written.sha1 == hashlib.sha1(body).digest()
        assert written.sha256 == hashlib.sha256(body).digest()
        manifest = Manifest.unpack(written.manifest.pack())
        assert await read(content, place.books, manifest) == body
        assert {place.judged(chunk) for chunk in manifest.chunks} <= {"sound"}
        outside = {place.object(one) for one in manifest.chunks if one.length > INLINE_BYTES}
        assert place.stored() == outside
        assert {one.id for one in manifest.chunks} == written.stored.keys() | written.inline.keys()

    place.run(use)


@pytest.mark.parametrize(
    "body", [noise(200), TEXT[:9000], TEXT[:MIB], noise(9 * MIB)], ids=["small", "text", "MiB", "9 MiB"]
)
def test_any_range_of_a_body_is_read(place: Place, body: bytes) -> None:
    async def use(content: Content) -> None:
        manifest = (await write(content, place.books, body)).manifest
        edges = {0, 1, len(body) // 3, len(body) // 2, len(body) - 1, len(body)}
        at = 0
        for chunk in manifest.chunks:
            at += chunk.length
            edges |= {at - 1, at, min(at + 1, len(body))}
        for start in sorted(edges):
            for end in (start, start + 1, start + 300_000, len(body)):
                assert (
                    await read(content, place.books, manifest, start, min(end, len(body))) == body[start:end]
                )

    place.run(use)


def test_a_chunk_that_is_there_is_not_written_again(place: Place) -> None:
    body = noise(9 * MIB)
    edited = body[: 4 * MIB] + b"edit" + body[4 * MIB :]
    written: list[str] = []
    place.objects = Faulty(place.disk, lambda verb, name: written.append(name) if verb == "put" else None)

    async def use(content: Content) -> None:
        first = await write(content, place.books, body)
        stored = {
            one.id for one in first.manifest.chunks if one.length > INLINE_BYTES
        }  # its end may be small
        assert len(written) == len(stored)
        written.clear()
        again = await write(content, place.books, body)
        assert (written, again.stored) == ([], {})
        changed = await write(content, place.books, edited)
        assert 0 < len(written) == len(changed.stored) <= 2
        assert await read(content, place.books, changed.manifest) == edited

    place.run(use)


def test_a_chunk_that_comes_twice_in_a_body_is_written_once(place: Place) -> None:
    body = bytes(80 * MIB)

    async def use(content: Content) -> None:
        written = await write(content, place.books, body, step=MIB)
        assert len(written.manifest.chunks) == 20 and len(written.stored) == 1
        assert len(place.books.asked) == 1
        assert await read(content, place.books, written.manifest, 79 * MIB, 80 * MIB) == bytes(MIB)

    place.run(use)


def test_no_more_chunks_are_in_flight_than_the_workers_may_hold(place: Place) -> None:
    flying, most, guard = [0], [0], threading.Lock()
    turn = threading.Event()

    def script(verb: str, name: str) -> None:
        with guard:
            flying[0] += 1
            most[0] = max(most[0], flying[0])
        turn.wait(0.02)
        with guard:
            flying[0] -= 1

    place.objects = Faulty(place.disk, script)

    async def use(content: Content) -> None:
        bodies = [noise(12 * MIB, bytes((n,))) for n in range(3)]
        manifests = await asyncio.gather(*(write(content, place.books, one) for one in bodies))
        assert 1 < most[0] <= 2
        for one, body in zip(manifests, bodies, strict=True):
            assert await read(content, place.books, one.manifest) == body

    place.run(use, chunks=2)


def test_parts_of_an_upload_are_joined_without_reading_a_byte(place: Place) -> None:
    parts = [noise(3 * MIB, b"1"), noise(100, b"2"), b"", TEXT[: 2 * MIB]]

    async def use(content: Content) -> None:
        manifests = [(await write(content, place.books, part)).manifest for part in parts]
        place.objects.get = None
        joined = Manifest.join(manifests)
        del place.objects.get
        assert await read(content, place.books, joined) == b"".join(parts)

    place.run(use)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(StoreFull(), StoreFull), (StoreUnavailable("EIO"), StoreUnavailable)],
    ids=["full", "away"],
)
def test_a_store_that_fails_ends_the_upload_with_its_word(
    place: Place, error: Exception, kind: type[Exception]
) -> None:
    puts = [0]

    def script(verb: str, name: str) -> None:
        puts[0] += verb == "put"
        if puts[0] > 3:
            raise error

    place.objects = Faulty(place.disk, script)

    async def use(content: Content) -> None:
        with pytest.raises(kind):
            await write(content, place.books, noise(30 * MIB))
        assert place.books.known == set()
        assert len(place.stored()) == 3
        place.objects.__init__(place.disk, lambda verb, name: None)
        written = await write(content, place.books, noise(30 * MIB))
        assert await read(content, place.books, written.manifest) == noise(30 * MIB)

    place.run(use)


def test_an_upload_that_is_given_up_leaves_whole_objects_that_nobody_names(place: Place) -> None:
    async def use(content: Content) -> None:
        async with content.writer(place.books.ask_known) as writer:
            await writer.feed(noise(11 * MIB))
        left = place.stored()
        for name in left:
            place.disk.delete(name)
        assert len(left) <= 11
        assert place.disk.sweep(0) == 0

    place.run(use)


def test_a_cancelled_upload_gives_its_slots_back(place: Place) -> None:
    async def use(content: Content) -> None:
        async def endless() -> None:
            async with content.writer(place.books.ask_known) as writer:
                while True:
                    await writer.feed(noise(1 << 18))

        task = asyncio.create_task(endless())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await read(content, place.books, (await write(content, place.books, TEXT)).manifest) == TEXT

    place.run(use, chunks=2)


def test_a_reader_that_leaves_early_leaves_nothing_running(place: Place) -> None:
    async def use(content: Content) -> None:
        manifest = (await write(content, place.books, noise(20 * MIB))).manifest
        async with aclosing(content.read(manifest, place.books.ask_inline)) as pieces:
            async for piece in pieces:
                assert piece == noise(20 * MIB)[: len(piece)]
                break
        assert len(asyncio.all_tasks()) <= 2

    place.run(use)


def test_the_reader_is_ahead_by_three_chunks_and_no_more(place: Place) -> None:
    got: list[str] = []

    async def use(content: Content) -> None:
        manifest = (await write(content, place.books, noise(70 * MIB), step=MIB)).manifest
        place.objects.__init__(place.disk, lambda verb, name: got.append(name) if verb == "get" else None)
        async with aclosing(content.read(manifest, place.books.ask_inline)) as pieces:
            await anext(pieces)
            await asyncio.sleep(0.3)
            assert len(got) == 4

    place.objects = Faulty(place.disk, lambda verb, name: None)
    place.run(use)


@pytest.mark.parametrize("body", [noise(70 * MIB + 3), TEXT * 20], ids=["noise", "text"])
def test_lent_memory_holds_until_two_more_chunks_were_given_out(place: Place, body: bytes) -> None:
    async def use(content: Content) -> set[int]:
        manifest = (await write(content, place.books, body)).manifest
        kept: deque[tuple[Bytes, bytes]] = deque()
        at, addresses = 0, set()
        reading = content.read(manifest, place.books.ask_inline, 1000, len(body) - 1000, lends=True)
        async with aclosing(reading) as pieces:
            async for piece in pieces:
                kept.append((piece, body[1000 + at : 1000 + at + len(piece)]))
                assert all(lent == wanted for lent, wanted in kept)
                if isinstance(piece, memoryview):
                    addresses.add(id(piece.obj))
                at += len(piece)
                if len(kept) > LENT:
                    kept.popleft()
        assert at == len(body) - 2000
        return addresses

    rooms = len(place.run(use))
    assert rooms <= READ_AHEAD + LENT + 1, "memory is used again"


def test_few_bodies_keep_memory_that_is_used_again(place: Place) -> None:
    async def use(content: Content) -> None:
        manifest = (await write(content, place.books, noise(70 * MIB))).manifest
        readers = [content.read(manifest, place.books.ask_inline, lends=True) for _ in range(10)]
        firsts = [await anext(one) for one in readers]
        assert [isinstance(one, memoryview) for one in firsts] == 8 * [True] + 2 * [False]
        for one in readers:
            await one.aclose()
        assert content.workers.lent._value == 8

    place.run(use)


def test_many_slow_readers_share_what_is_read_ahead(place: Place) -> None:
    got: list[str] = []

    async def use(content: Content) -> None:
        workers = content.workers
        body = noise(30 * MIB)
        manifest = (await write(content, place.books, body, step=MIB)).manifest
        place.objects.__init__(place.disk, lambda verb, name: got.append(name) if verb == "get" else None)
        readers = [content.read(manifest, place.books.ask_inline) for _ in range(20)]
        firsts = [await anext(one) for one in readers]
        await asyncio.sleep(0.3)
        assert len(got) == len(readers) + 32
        assert workers.ahead.locked()
        rest = [bytes(piece) async for piece in readers[-1]]
        assert b"".join([firsts[-1], *rest]) == body, "one that found nothing left still gets its body"
        for one in readers:
            await one.aclose()
        assert workers.ahead._value == 32

    place.objects = Faulty(place.disk, lambda verb, name: None)
    place.run(use)


@pytest.mark.parametrize("size", [100, 200_000, 6 * MIB])
def test_a_damaged_chunk_is_named_and_nothing_of_it_is_given_out(place: Place, size: int) -> None:
    body = noise(size)

    async def use(content: Content) -> None:
        manifest = (await write(content, place.books, body)).manifest
        bad = manifest.chunks[-1]
        if bad.length <= INLINE_BYTES:
            sealed = bytearray(place.books.inline[bad.id])
            sealed[50] ^= 1
            place.books.inline[bad.id] = bytes(sealed)
        else:
            sealed = bytearray(place.disk.get(place.object(bad)))
            sealed[50] ^= 1
            place.disk.put(place.object(bad), sealed)
        out = b""
        with pytest.raises(ObjectDamaged, match=bad.id.hex()) as failed:
            async for piece in content.read(manifest, place.books.ask_inline):
                out += piece
        assert failed.value.chunk_id == bad.id
        assert out == body[: size - bad.length]
        assert place.judged(bad) == "damaged"

    place.run(use)


def test_a_missing_a_short_and_an_exchanged_object_are_refused(place: Place) -> None:
    async def use(content: Content) -> None:
        manifest = (await write(content, place.books, noise(6 * MIB))).manifest
        one, other = (place.object(chunk) for chunk in manifest.chunks[:2])
        good = place.disk.get(one)
        place.disk.put(one, place.disk.get(other))
        with pytest.raises(ObjectDamaged, match=manifest.chunks[0].id.hex()):
            await read(content, place.books, manifest)
        place.disk.delete(one)
        with pytest.raises(ObjectMissing, match=one):
            await read(content, place.books, manifest)
        place.disk.put(one, good)
        longer = Manifest((Chunk(manifest.chunks[0].id, manifest.chunks[0].length - 1),))
        with pytest.raises(ObjectDamaged):
            await read(content, place.books, longer)
        place.objects.__init__(place.disk, lambda verb, name: None, short=0.5)
        for span in ((), (MIB // 2, MIB // 2 + 10)):
            with pytest.raises(ObjectDamaged):
                await read(content, place.books, manifest, *span)

    place.objects = Faulty(place.disk, lambda verb, name: None)
    place.run(use)


def test_a_chunk_sealed_under_a_wrong_name_is_found_by_the_deep_check(place: Place) -> None:
    async def use(content: Content) -> None:
        chunk = Chunk(noise(32, b"not its name"), 100_000)
        content.store(chunk.id, noise(100_000))
        assert place.judged(chunk) == "damaged"

    place.run(use)


def test_after_an_erasure_nothing_is_read_and_nothing_written(place: Place) -> None:
    async def use(content: Content) -> None:
        manifest = (await write(content, place.books, noise(MIB))).manifest
        place.keys.erase("usr_somebody")
        with pytest.raises(KeysErased):
            await read(content, place.books, manifest)
        with pytest.raises(KeysErased):
            await write(content, place.books, b"new")

    place.run(use)


CHUNKS = st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.integers(1, CHUNK_BYTES)), max_size=8)


@given(CHUNKS)
def test_a_manifest_is_read_as_it_was_written(chunks: list[tuple[bytes, int]]) -> None:
    manifest = Manifest(tuple(Chunk(*one) for one in chunks))
    packed = manifest.pack()
    assert len(packed) == (1 + 36 * len(chunks) if chunks else 0)
    assert Manifest.unpack(packed) == manifest
    assert manifest.size_bytes == sum(length for _name, length in chunks)


@settings(max_examples=50)
@given(CHUNKS.filter(bool), st.integers(1, 35))
def test_a_manifest_that_is_cut_or_of_another_version_is_refused(
    chunks: list[tuple[bytes, int]], cut: int
) -> None:
    packed = Manifest(tuple(Chunk(*one) for one in chunks)).pack()
    bad = (packed[:1], packed[:-cut], b"\x02" + packed[1:], packed + bytes(cut), packed + bytes(36))
    for one in (*bad, packed[:1] + b"\xff" * 36):
        with pytest.raises(ManifestBroken):
            Manifest.unpack(one)
