"""Texts in UTF-16: what Windows PowerShell writes, ransomware in it too, and what programs write without a mark."""

from __future__ import annotations

import base64
import random
from typing import Literal

import pytest
from beffroi.drive.guard import signs
from beffroi.drive.guard.reading import InMemory
from beffroi.drive.guard.signs import Change, Sign
from beffroi.drive.guard.structure import Structure, look

from tests.drive_files import made

WIDE = ("utf-16", "utf-16-le", "utf-16-be")
TABLE = "".join(f"Beaune;{number};rue de l’Église;12,50\r\n" for number in range(900))


def seen(data: bytes, name: str, kind_before: str | None = None) -> Structure:
    return look(InMemory(data), name, len(data), kind_before)


def signs_of(name: str, before: bytes, after: bytes) -> tuple[Sign, ...]:
    old = seen(before, name)
    new = seen(after, name, old.kind)
    what: Literal["changed"] = "changed"
    return signs.of(Change(0, "n", "f", name, what, "", old, new, len(before), len(after), 1, 0))


def in_base64(size_bytes: int, line: int = 0) -> str:
    letters = base64.b64encode(random.Random(size_bytes).randbytes(size_bytes)).decode()
    lines = [letters[at : at + line] for at in range(0, len(letters), line)] if line else [letters]
    return "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize("letters", WIDE)
@pytest.mark.parametrize("line", [0, 76])
@pytest.mark.parametrize("first", ["", "<EncryptedKey>\r\n"])
@pytest.mark.parametrize("name", ["docx", "pdf", "csv"])
def test_what_is_encrypted_and_written_as_base64_of_two_bytes_a_letter_is_seen(
    name: str, first: str, line: int, letters: str
) -> None:
    after = (first + in_base64(6000, line)).encode(letters)
    sign = Sign.KIND if name == "csv" else Sign.CONTAINER
    assert signs_of(f"a.{name}", made(name), after) == (sign,)


@pytest.mark.parametrize("letters", WIDE)
@pytest.mark.parametrize("text", [TABLE, TABLE[:40], "é" * 20_000, "{1}\r\n" * 5])
def test_a_text_saved_as_utf_16_is_one_with_a_mark_and_without(text: str, letters: str) -> None:
    after = text.encode(letters)
    assert (seen(after, "a.csv").kind, seen(after, "a.csv").state) == ("text", "sound")
    assert signs_of("a.csv", TABLE.encode(), after) == ()


@pytest.mark.parametrize("letters", WIDE)
def test_a_wide_text_that_is_encrypted_is_lost(letters: str) -> None:
    before, noise = TABLE.encode(letters), random.Random(3)
    for keep in (0, 4096):
        after = before[:keep] + noise.randbytes(len(before) - keep)
        assert Sign.LOST in signs_of("a.csv", before, after), keep
