"""Sealed chunks: what opens, and that nothing else does."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import pytest
from beffroi.drive.store import sealing
from beffroi.drive.store.chunking import CHUNK_BYTES
from beffroi.drive.store.sealing import FRAME_BYTES, HEADER_BYTES, Header, ObjectDamaged, Sealer
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures_drive import noise

NAME, OTHER = noise(32, b"a name"), noise(32, b"another")
TAG_BYTES = 16


@dataclass
class Held:
    """Data keys in memory."""

    collectivite_id: str = "col_" + "0" * 26
    keys: dict[int, bytes] = field(default_factory=lambda: {1: noise(32, b"key")})

    def current(self) -> tuple[int, bytes]:
        return max(self.keys.items())

    def generation(self, number: int) -> bytes | None:
        return self.keys.get(number)


SEALER = Sealer(Held())
TEXT = "Vu le code général des collectivités territoriales,\n".encode() * 12_000
BODIES = {
    "one byte": b"x",
    "a short text": TEXT[:400],
    "a text": TEXT,
    "noise of less than a frame": noise(1000),
    "noise of exactly a frame": noise(FRAME_BYTES),
    "noise of a byte more": noise(FRAME_BYTES + 1),
    "noise of three frames": noise(2 * FRAME_BYTES + 77),
    "the longest": noise(CHUNK_BYTES),
}


def header(sealed: bytes | bytearray | memoryview) -> Header:
    return Header.read(NAME, bytes(sealed[:HEADER_BYTES]))


def part(sealed: bytes, start: int, end: int) -> bytes:
    return sealed[start:end]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_is_sealed_opens_and_shows_nothing(body: bytes) -> None:
    sealed = bytes(SEALER.seal(NAME, body))
    assert SEALER.open(NAME, sealed) == body
    assert len(sealed) == header(sealed).sealed_bytes
    assert len(body) < 16 or body[:16] not in sealed
    assert NAME not in sealed
    assert bytes(SEALER.seal(NAME, body)) != sealed, "each sealing has a salt of its own"


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_every_range_opens_from_the_frames_that_hold_it_alone(body: bytes) -> None:
    sealed = SEALER.seal(NAME, body)
    compressed = header(sealed).compressed
    edges = {0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES, len(body) - 1, len(body)}
    for start in sorted(edges):
        for end in sorted(edges):
            if not start < end <= len(body):
                continue
            fetched: list[tuple[int, int]] = []

            def fetch(first: int, after: int, fetched: list[tuple[int, int]] = fetched) -> bytes:
                fetched.append((first, after))
                return bytes(sealed[first:after])

            assert SEALER.open_range(NAME, fetch, start, end) == body[start:end]
            frames = (end - 1) // FRAME_BYTES - start // FRAME_BYTES + 1
            took = fetched[-1][1] - fetched[-1][0]
            assert compressed or took <= frames * (FRAME_BYTES + TAG_BYTES)


def test_a_range_beyond_the_end_is_refused() -> None:
    sealed = SEALER.seal(NAME, noise(100))
    with pytest.raises(ObjectDamaged):
        SEALER.open_range(NAME, lambda start, end: sealed[start:end], 50, 101)


def test_it_is_compressed_where_that_pays_and_only_there() -> None:
    for body, wanted in (
        (TEXT, True),
        (TEXT[:4000], True),
        (TEXT[:400], False),
        (noise(4000), False),
        (noise(1 << 20), False),
        (noise(4000) + TEXT[:400], False),
        (TEXT[:2000] + noise(1 << 20), False),
    ):
        sealed = SEALER.seal(NAME, body)
        assert header(sealed).compressed is wanted
        assert (len(sealed) < len(body)) is wanted


@pytest.mark.parametrize("body", [b"x", TEXT[:4000], noise(1000)], ids=["a byte", "compressed", "noise"])
def test_a_change_of_any_single_bit_is_found_and_named(body: bytes) -> None:
    sealed = SEALER.seal(NAME, body)
    for at in range(len(sealed)):
        for bit in range(8):
            sealed[at] ^= 1 << bit
            with pytest.raises(ObjectDamaged, match=NAME.hex()):
                SEALER.open(NAME, sealed)
            with pytest.raises(ObjectDamaged, match=NAME.hex()):
                SEALER.open_range(NAME, lambda start, end: sealed[start:end], 0, len(body))
            sealed[at] ^= 1 << bit
    assert SEALER.open(NAME, sealed) == body


FRAMES = bytes(SEALER.seal(NAME, BODIES["noise of three frames"]))


@settings(max_examples=150)
@given(st.integers(0, len(FRAMES) * 8 - 1))
def test_a_change_of_any_bit_of_many_frames_is_found(bit: int) -> None:
    sealed = bytearray(FRAMES)
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ObjectDamaged):
        SEALER.open(NAME, sealed)


@settings(max_examples=150)
@given(st.integers(0, len(FRAMES) - 1), st.binary(min_size=1, max_size=40))
def test_a_cut_or_a_longer_object_is_refused(length: int, more: bytes) -> None:
    for bad in (FRAMES[:length], FRAMES + more):
        with pytest.raises(ObjectDamaged):
            SEALER.open(NAME, bad)


def test_an_object_cut_where_a_frame_ends_is_refused_also_in_ranges() -> None:
    step = FRAME_BYTES + TAG_BYTES
    for frames in (1, 2):
        cut = FRAMES[: HEADER_BYTES + frames * step]
        with pytest.raises(ObjectDamaged):
            SEALER.open(NAME, cut)
        with pytest.raises(ObjectDamaged):
            SEALER.open_range(NAME, partial(part, cut), 0, frames * FRAME_BYTES + 1)


def test_frames_do_not_change_places_nor_objects() -> None:
    step = FRAME_BYTES + TAG_BYTES
    head, first, second, last = (
        FRAMES[:HEADER_BYTES],
        FRAMES[HEADER_BYTES:][:step],
        FRAMES[HEADER_BYTES + step :][:step],
        FRAMES[HEADER_BYTES + 2 * step :],
    )
    twin = bytes(SEALER.seal(NAME, BODIES["noise of three frames"]))
    for bad in (
        head + second + first + last,
        head + first + first + last,
        head + twin[HEADER_BYTES:][:step] + second + last,
        twin[:HEADER_BYTES] + first + second + last,
    ):
        with pytest.raises(ObjectDamaged):
            SEALER.open(NAME, bad)


def test_an_object_under_another_name_or_of_another_commune_is_refused() -> None:
    sealed = SEALER.seal(NAME, b"body")
    with pytest.raises(ObjectDamaged, match=OTHER.hex()):
        SEALER.open(OTHER, sealed)
    with pytest.raises(ObjectDamaged):
        Sealer(Held("col_" + "1" * 26)).open(NAME, sealed)
    with pytest.raises(ObjectDamaged):
        Sealer(Held(keys={1: noise(32, b"other key")})).open(NAME, sealed)
    with pytest.raises(ObjectDamaged):
        Sealer(Held(keys={2: noise(32, b"key")})).open(NAME, sealed)


@given(st.binary(max_size=200))
def test_bytes_that_nobody_sealed_are_refused(bad: bytes) -> None:
    with pytest.raises(ObjectDamaged):
        SEALER.open(NAME, bad)


def test_a_header_alone_cannot_ask_for_memory() -> None:
    raw = sealing._HEADER.pack(b"BfDO", 1, 1, 1, 18, 1, 0xFFFFFFFF, 1000, bytes(16))
    with pytest.raises(ObjectDamaged):
        SEALER.open(NAME, raw + bytes(1016))
