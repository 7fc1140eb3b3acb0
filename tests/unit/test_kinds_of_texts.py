"""Texts that begin with letters which are the magic of another kind, too: a list of places, of codes, of parcels."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator

import pytest
from beffroi.drive.guard.kinds import by_content
from beffroi.drive.guard.reading import InMemory, Reader
from beffroi.drive.web.ends import Ends
from beffroi.scan import kinds as scan

from tests import drive_files
from tests.mail_files import EXE

LINES = "".join(f";Beaune;{number};école;12,50\r\n" for number in range(400))
WORDS = ("BM", "MZ", "ID3", "AC10", "AC1.5", "PAR1", "RIFF", "FWS", "CWS", "MSCF", "The wide", "OggS")
LETTERS = ("utf-8", "latin-1")


def kind_of(data: bytes) -> str:
    return by_content(Reader(InMemory(data), len(data)))


async def came(data: bytes) -> Ends:
    async def pieces() -> AsyncIterator[bytes]:
        yield data

    ends = Ends()
    async for _ in ends.of(pieces(), len(data)):
        pass
    return ends


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("letters", LETTERS)
@pytest.mark.parametrize("rest", [LINES, LINES + "\f" + LINES + "\x1a", "", "\n", ";1\n"])
def test_a_text_is_one_whatever_letters_it_begins_with(words: str, letters: str, rest: str) -> None:
    data = (words + rest).encode(letters)
    assert kind_of(data) == "text" and scan.detect(data) == ""
    ends = asyncio.run(came(data))
    assert not ends.is_refused("Parcelles.csv", "") and not ends.is_refused("Parcelles.csv", "documents")


def test_a_list_of_numbers_comes_where_documents_are_taken() -> None:
    """One SIRET a line has no other signs than hexadecimal has."""
    lines = "".join(f"{number * 7919:014}\r\n" for number in range(400)).encode()
    assert not asyncio.run(came(lines)).is_refused("SIRET.csv", "documents")


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"avif"])
def test_a_photo_of_a_phone_is_a_picture_under_the_name_of_another(brand: bytes) -> None:
    """iPhones and Samsung write HEIC; programs that send it on name it .jpg."""
    photo = struct.pack(">I4s4sI4s", 20, b"ftyp", brand, 0, b"mif1") + struct.pack(">I4s4x", 12, b"meta")
    photo += struct.pack(">I4s", 5008, b"mdat") + random.Random(1).randbytes(5000)
    assert kind_of(photo) == "heif"
    assert not asyncio.run(came(photo)).is_refused("IMG_0412.jpg", "photos")
    assert asyncio.run(came(drive_files.made("mp4"))).is_refused("IMG_0412.jpg", "photos")


@pytest.mark.parametrize("words", ["MZ", "FWS", "MSCF"])
def test_a_page_break_far_below_makes_no_program_of_a_text(words: str) -> None:
    assert scan.detect((words + LINES + "\f" + LINES).encode()) == ""


def test_a_program_stays_one_under_the_name_of_a_text() -> None:
    """Also one whose first block is as much a text as it can be: where its second header lies is a small number."""
    spoken = (b"MZ" + b"aa" * 30)[:60] + struct.pack("<I", 0x2020)
    spoken += b"a" * (0x2020 - 64) + b"PE\0\0" + struct.pack("<HH", 0x14C, 1) + bytes(400)
    for data in (EXE, spoken, b"FWS\x09" + struct.pack("<I", 9000) + b"a" * 9000):
        assert scan.detect(data) in ("exe", "swf")
        assert asyncio.run(came(data)).is_refused("Parcelles.csv", "")


@pytest.mark.parametrize("name, kind", [("dwg", "dwg"), ("mp3", "mp3"), ("webp", "riff"), ("mp4", "boxes")])
def test_files_of_these_kinds_are_told_as_before(name: str, kind: str) -> None:
    assert kind_of(drive_files.made(name)) == kind
