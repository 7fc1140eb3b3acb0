"""A file that a disk damaged, or that somebody else wrote, says nothing: whoever reads it goes on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from beffroi.lib import json_file


class Told(msgspec.Struct):
    name: str
    count: int = 0


DAMAGED = [
    b"",
    b"{",
    b"[1]",
    b'{"name":1}',
    b'{"name":"\xff"}',
    b'{"name":"\\ud800"}',
    b"\0" * 64,
    b"[" * 100_000,
]


@pytest.mark.parametrize("data", DAMAGED, ids=lambda data: repr(data[:16]))
def test_a_damaged_file_says_nothing(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "told.json").write_bytes(data)
    assert json_file.read(tmp_path / "told.json", Told) is None


def test_what_was_written_is_read_and_an_absent_file_says_nothing(tmp_path: Path) -> None:
    assert json_file.read(tmp_path / "told.json", Told) is None
    (tmp_path / "told.json").write_bytes(msgspec.json.encode(Told("é", 3)))
    assert json_file.read(tmp_path / "told.json", Told) == Told("é", 3)
