"""The look at one file that was made to keep it busy, or is damaged: it ends within its limits, and never raises."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable

import pytest
from beffroi.drive.guard.kinds import KINDS
from beffroi.drive.guard.reading import InMemory, Limits
from beffroi.drive.guard.structure import look
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import drive_files
from tests.drive_files import MAKERS, made
from tests.unit.test_drive_guard_structure import STATES, Counted, seen


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(MAKERS)),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=40)), max_size=12),
    st.integers(0, 1 << 20),
    st.sampled_from([None, "", *KINDS, "unheard of"]),
)
def test_no_damage_makes_a_look_raise_or_read_much(
    kind: str, seed: int, damage: list[tuple[int, bytes]], end: int, before: str | None
) -> None:
    data = bytearray(made(kind, seed))
    for at, what in damage:
        data[at % len(data) : at % len(data) + len(what)] = what
    counted = Counted(bytes(data[: max(1, end % len(data))]))
    assert look(counted, "a." + kind, len(counted.data), before).state in STATES
    assert counted.bytes <= Limits().read_bytes


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([magic for kind in KINDS.values() for magic in kind.magics]), st.binary(max_size=3000))
def test_a_magic_and_anything_behind_it_never_raises(magic: bytes, rest: bytes) -> None:
    for name in ("a.docx", "a.jpg", "a"):
        assert seen(magic + rest, name).state in STATES


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(MAKERS)), st.integers(-5, 1 << 60))
def test_a_size_that_is_not_true_never_raises(kind: str, size_bytes: int) -> None:
    assert look(InMemory(made(kind)), "a." + kind, size_bytes).state in STATES


def _bomb() -> bytes:
    return drive_files._zip([(f"{n}", bytes(8 * 1024 * 1024), False) for n in range(12)])


def _bombs_without_directory() -> bytes:
    return _bomb()[:-22] * 40


def _circle() -> bytes:
    """A compound file whose directory leads to itself."""
    data = bytearray(made("doc"))
    table, first = struct.unpack("<I", data[76:80])[0], struct.unpack("<I", data[48:52])[0]
    at = (table + 1) * 512 + first % 128 * 4
    data[at : at + 4] = struct.pack("<I", first)
    return bytes(data)


BUSY: dict[str, Callable[[], bytes]] = {
    "bomb": _bomb,
    "bombs without a directory": _bombs_without_directory,
    "circle": _circle,
    "blocks": lambda: b"GIF89a\1\0\1\0\0\0\0" + b"\x21\xfe" + b"\1a" * 900_000,
    "markers": lambda: b"\xff\xd8\xff\xe0\0\2" + b"\xff\xfe\0\2" * 400_000,
    "members": lambda: (b"PK\x03\x04" + bytes(26)) * 60_000,
    "references": lambda: (
        b"%PDF-1.4\nxref\n" + b"0000000009 00000 n\n" * 50_000 + b"trailer<</Prev 9>>startxref\n9\n%%EOF"
    ),
}


@pytest.mark.parametrize("name", BUSY)
def test_files_that_were_made_to_keep_a_look_busy_end_within_its_limits(name: str) -> None:
    data = BUSY[name]()
    tracemalloc.start()
    try:
        found = seen(data, "a.zip")
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.state in STATES and found.read_bytes <= Limits().read_bytes
    assert peak_bytes < 24 * 1024 * 1024


def test_a_store_that_cannot_be_read_is_not_the_fault_of_the_file() -> None:
    class Failing:
        def read(self, offset: int, length: int, /) -> bytes:
            raise OSError("away")

    with pytest.raises(OSError, match="away"):
        look(Failing(), "a.docx", 1000)
