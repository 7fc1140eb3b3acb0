"""Names in exports: whatever a folder holds, each file has one place that every system can write."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from beffroi.drive.archives import names
from beffroi.drive.archives.entries import SamePath
from hypothesis import example, given
from hypothesis import strategies as st

from tests.archive_entries import HOSTILE, paths, unhurried

RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)$")


def assert_portable(path: str) -> None:
    assert path == unicodedata.normalize("NFC", path)
    assert len(path.encode()) <= names.PATH_BYTES
    assert not PurePosixPath(path).is_absolute()
    assert not PureWindowsPath(path).is_absolute()
    for part in path.split("/"):
        assert part not in ("", ".", "..")
        assert len(part.encode()) <= 255
        assert not re.search(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\%]', part)
        assert part == part.strip(" ").rstrip(".")
        assert not RESERVED.match(part.split(".")[0].rstrip())


@unhurried
@given(st.lists(paths, max_size=30, unique=True))
@example(list(HOSTILE))
@example(["a/b", "a"])
@example(["A", "a~2", "a"])
def test_every_path_gets_a_place_that_no_system_takes_for_another(given_paths: list[str]) -> None:
    export = names.Names()
    places = [export.add(path) for path in given_paths]

    for place in places:
        assert_portable(place)
    alike = [unicodedata.normalize("NFC", unicodedata.normalize("NFD", place).casefold()) for place in places]
    assert len(set(alike)) == len(places)
    folders = {
        "/".join(place.split("/")[:depth]) for place in alike for depth in range(1, place.count("/") + 1)
    }
    assert not folders & set(alike), "a file where a folder is"


@unhurried
@given(st.lists(paths, max_size=10, unique=True))
def test_the_mapping_is_the_same_each_time(given_paths: list[str]) -> None:
    one, two = names.Names(), names.Names()
    assert [one.add(path) for path in given_paths] == [two.add(path) for path in given_paths]


def test_an_ordinary_name_stays_as_it_is() -> None:
    export = names.Names()
    for path in ("Délibérations 2026/2026-11-27 n° 12.pdf", "PV/été.odt", ".gitignore", "a.tar.gz"):
        assert export.add(path) == path


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("../x", "__/x"),
        ("/etc/passwd", "_/etc/passwd"),
        ("CON.txt", "_CON.txt"),
        ("fin. ", "fin__"),
        ("50 %.pdf", "50 _.pdf"),
        ("cha\u0302teau", "château"),
        ("", "_"),
        ("\udcff", "_"),
    ],
)
def test_a_hostile_name_is_mapped_as_documented(path: str, place: str) -> None:
    assert names.Names().add(path) == place


def test_the_second_of_two_that_are_alike_gets_a_number_before_its_extension() -> None:
    export = names.Names()
    found = [export.add(path) for path in ("Plan/a.pdf", "plan/A.pdf", "Plan/A.PDF", "plan/a.pdf")]
    assert found == ["Plan/a.pdf", "plan~2/A.pdf", "Plan/A~2.PDF", "plan~2/a~2.pdf"]


def test_one_path_twice_is_refused_without_naming_it() -> None:
    export = names.Names()
    export.add("secret.pdf")
    with pytest.raises(SamePath, match="File number 2") as refused:
        export.add("secret.pdf")
    assert "secret" not in str(refused.value)


@unhurried
@given(paths)
def test_an_escaped_path_is_one_line_and_comes_back(path: str) -> None:
    text = names.escaped(path)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text)
    assert text.encode().decode() == text
    assert names.unescaped(text) == unicodedata.normalize("NFC", path)
    assert names.unescaped(names.quoted(path)) == path
