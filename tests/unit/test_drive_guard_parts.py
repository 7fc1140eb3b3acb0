"""The look at one file, its parts: bounds of a reader, samples, noise, kinds."""

from __future__ import annotations

import base64
import random
import zlib

import pytest
from beffroi.drive.guard import noise
from beffroi.drive.guard.kinds import by_name, extension, family
from beffroi.drive.guard.reading import InMemory, Limits, Reader, Spent, spread

from tests import drive_attacks
from tests.drive_files import made
from tests.unit.test_drive_guard_structure import seen


def test_a_reader_stops_at_each_of_its_limits() -> None:
    reader = Reader(InMemory(bytes(1000)), 1000, Limits(read_bytes=100, unpacked_bytes=50, steps=2))
    with pytest.raises(Spent):
        reader.head(200)
    with pytest.raises(Spent):
        reader.inflate(zlib.compress(bytes(60)), raw=False)
    reader.step()
    reader.step()
    with pytest.raises(Spent):
        reader.step()


def test_samples_are_spread_evenly_with_both_ends() -> None:
    assert spread(0, 4) == [] and spread(3, 4) == [0, 1, 2] and spread(100, 4) == [0, 33, 66, 99]


def test_noise_sees_where_a_file_became_random() -> None:
    text = made("txt") * 8

    def measured(data: bytes) -> noise.Noise:
        return noise.measure(Reader(InMemory(data), len(data)))

    plain, head, rest = (
        measured(text),
        measured(drive_attacks.head(text)),
        measured(drive_attacks.skip_head(text)),
    )
    halves = measured(drive_attacks.alternate(text, block=len(text) // 16))
    assert plain.random_share == 0 and plain.head < 0.6
    assert head.head >= 1 and head.random_share <= 0.1
    assert 0.3 < halves.random_share < 0.7
    assert rest.head < 0.6 and rest.tail >= 1 and rest.random_share > 0.9
    assert measured(drive_attacks.full(text)).random_share == 1
    assert measured(text + bytes(len(text))).blank_share > 0.4


def test_kinds_are_told_by_the_last_extension_alone() -> None:
    assert (by_name("A.DOCX"), by_name("a.docx.k9x2"), by_name(".docx"), by_name("docx")) == (
        "ooxml",
        "",
        "",
        "",
    )
    assert (extension("a.tar.GZ"), extension(".profile")) == ("gz", "")
    assert (family("png"), family("unheard of")) == ("image", "unheard of")


def test_base64_with_other_signs_behind_it_is_decoded_as_far_as_it_is() -> None:
    signs = base64.b64encode(random.Random(1).randbytes(6000))
    for end in (b"!", b"\r\n-- fin", b"=!=", b"\xc3\xa9"):
        for length in range(4097, 4101):
            data = signs[:length] + end
            assert seen(data, "a.txt").kind == "armour"
