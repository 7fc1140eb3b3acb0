"""Where bodies are cut."""

from __future__ import annotations

import hashlib
import random

import pytest
from beffroi.drive.store.chunking import (
    CHUNK_BYTES,
    FIXED_FROM_BYTES,
    INLINE_BYTES,
    WHOLE_BYTES,
    Chunker,
    Digests,
    chunk_id,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures_drive import noise

SEED = 0x5EED
BODY = noise(12 << 20, b"body")


def cut(
    body: bytes, steps: list[int] | int = 1 << 16, *, expected: bool = True, seed: int = SEED
) -> list[bytes]:
    chunker = Chunker(lambda: seed, len(body) if expected else None)
    chunks, at, turn = [], 0, 0
    while at < len(body):
        step = steps if isinstance(steps, int) else steps[turn % len(steps)]
        chunks += map(bytes, chunker.feed(body[at : at + step]))
        at, turn = at + step, turn + 1
    return [*chunks, *map(bytes, chunker.close())]


@pytest.mark.parametrize("size", [1, 100, INLINE_BYTES, INLINE_BYTES + 1, WHOLE_BYTES])
def test_a_small_body_is_one_chunk(size: int) -> None:
    assert cut(BODY[:size]) == [BODY[:size]]


def test_an_empty_body_has_no_chunk() -> None:
    assert cut(b"") == []


@settings(max_examples=25)
@given(st.integers(0, len(BODY)), st.lists(st.integers(1, 5 << 20), min_size=1, max_size=6), st.booleans())
def test_the_pieces_in_which_a_body_comes_change_nothing(size: int, steps: list[int], expected: bool) -> None:
    chunks = cut(BODY[:size], [max(step, 1000) for step in steps], expected=expected)
    assert b"".join(chunks) == BODY[:size]
    assert chunks == cut(BODY[:size], 1 << 20)
    assert all(len(one) <= CHUNK_BYTES for one in chunks)
    assert all(len(one) >= WHOLE_BYTES for one in chunks[:-1])


def test_bodies_are_cut_by_content_to_about_a_megabyte() -> None:
    chunks = cut(noise(40 << 20, b"long"))
    assert 0.7 * (1 << 20) < (40 << 20) / len(chunks) < 1.8 * (1 << 20)
    assert len({len(one) for one in chunks}) > 10


def test_an_insertion_changes_the_chunks_around_it_only() -> None:
    before = set(cut(BODY))
    after = cut(BODY[: 5 << 20] + b"a line more" + BODY[5 << 20 :])
    assert sum(len(one) for one in after if one not in before) < 3 * CHUNK_BYTES
    assert len([one for one in after if one not in before]) <= 2


def test_another_commune_cuts_the_same_file_elsewhere() -> None:
    lengths = [[len(one) for one in cut(BODY, seed=seed)] for seed in (SEED, SEED + 1)]
    assert lengths[0] != lengths[1]


def test_a_long_body_is_cut_at_fixed_places() -> None:
    body = bytes(FIXED_FROM_BYTES) + b"end"
    assert [len(one) for one in cut(body, 1 << 20)] == [CHUNK_BYTES] * 16 + [3]


@settings(max_examples=25)
@given(st.integers(0, len(BODY)), st.lists(st.integers(1, 9 << 20), min_size=1, max_size=6))
def test_fixed_places_do_not_depend_on_the_pieces(size: int, steps: list[int]) -> None:
    chunker, chunks, at = Chunker(lambda: SEED, FIXED_FROM_BYTES + 1), [], 0
    while at < size:
        step = max(steps[len(chunks) % len(steps)], 1000)
        chunks += chunker.feed(BODY[at : min(at + step, size)])
        at += step
        assert len(chunker._held) < CHUNK_BYTES
    chunks += chunker.close()
    assert chunks == [BODY[at : min(at + CHUNK_BYTES, size)] for at in range(0, size, CHUNK_BYTES)]


def test_a_body_of_unknown_length_is_cut_at_fixed_places_after_the_first_part() -> None:
    body = noise(FIXED_FROM_BYTES + (9 << 20), b"unknown")
    lengths = [len(one) for one in cut(body, 1 << 20, expected=False)]
    by_content = next(n for n in range(len(lengths)) if sum(lengths[:n]) >= FIXED_FROM_BYTES)
    assert by_content > 20
    assert set(lengths[by_content:-1]) == {CHUNK_BYTES}


def test_a_chunker_holds_no_more_than_a_chunk_and_a_piece() -> None:
    chunker = Chunker(lambda: SEED)
    rng = random.Random(1)
    for _ in range(200):
        chunker.feed(rng.randbytes(1 << 17))
        assert len(chunker._held) < CHUNK_BYTES


def test_names_differ_by_key_and_checksums_are_the_usual_ones() -> None:
    assert len(chunk_id(noise(32, b"a"), BODY)) == 32
    assert chunk_id(noise(32, b"a"), BODY) != chunk_id(noise(32, b"b"), BODY)
    digests = Digests()
    for chunk in cut(BODY):
        digests.update(chunk)
    assert digests.sha1 == hashlib.sha1(BODY).digest()
    assert digests.sha256 == hashlib.sha256(BODY).digest()
