"""Room in GB: what is shown of a limit gives the same limit when it is sent again."""

from __future__ import annotations

from argparse import ArgumentTypeError
from random import Random

import pytest
from beffroi.cli import amounts
from beffroi.lib import gigabytes
from beffroi.lib.errors import Invalid
from beffroi.lib.gigabytes import GB
from beffroi.mail.quota.rules import MIB, gb_of, mib_of


@pytest.mark.parametrize(
    ("typed", "size_bytes"),
    [
        ("", None),
        ("  ", None),
        (" 7 ", 7 * GB),
        ("0,5", GB // 2),
        ("0.5", GB // 2),
        ("0,001", 1_000_000),
        ("1 000", 1000 * GB),
        ("1\u202f000,25", 1000 * GB + GB // 4),
        ("1000000", 10**6 * GB),
    ],
)
def test_whole_numbers_and_decimals_are_read(typed: str, size_bytes: int | None) -> None:
    assert gigabytes.read(typed) == size_bytes


@pytest.mark.parametrize(
    "typed", ["0", "0,000", "-1", "1,", ",5", "1,2345", "1,5,5", "1e3", "1000001", "٣", "beaucoup", "9" * 50]
)
def test_what_is_no_room_is_refused(typed: str) -> None:
    with pytest.raises(Invalid):
        gigabytes.read(typed)


@pytest.mark.parametrize(
    ("typed", "mark", "size_bytes"),
    [
        ("1,000", ",", GB),
        ("1.500", ".", 3 * GB // 2),
        ("0,500", ".", GB // 2),
        ("0.524", ",", 524_000_000),
        ("1,5", ".", 3 * GB // 2),
        ("1.25", ",", 5 * GB // 4),
        ("1000.250", ",", 1000 * GB + GB // 4),
        ("1 000", ".", 1000 * GB),
    ],
)
def test_decimals_are_read_by_the_mark_of_the_language_and_by_the_other_where_it_is_no_thousand(
    typed: str, mark: str, size_bytes: int
) -> None:
    assert gigabytes.read(typed, mark=mark) == size_bytes


@pytest.mark.parametrize(
    ("typed", "mark", "whole", "part"),
    [
        ("1,000", ".", "1000", "1"),
        (" 1,500 ", ".", "1500", "1.5"),
        ("20,250", ".", "20250", "20.25"),
        ("100,000", ".", "100000", "100"),
        ("1.000", ",", "1000", "1"),
        ("1.500", ",", "1500", "1,5"),
    ],
)
def test_what_may_be_a_thousand_is_refused_with_what_to_write(
    typed: str, mark: str, whole: str, part: str
) -> None:
    with pytest.raises(gigabytes.Ambiguous) as refused:
        gigabytes.read(typed, mark=mark)
    assert (refused.value.whole, refused.value.part) == (whole, part)
    for one in (whole, part):
        assert gigabytes.read(one, mark=mark) is not None


def test_a_command_says_what_to_write() -> None:
    assert amounts.room("1.5") == 3 * GB // 2
    with pytest.raises(ArgumentTypeError, match=r"1,500 can be read in two ways: write 1500 or 1\.5"):
        amounts.room("1,500")


@pytest.mark.parametrize("typed", ["1", "5", "0.5", "0.1", "12.25", "1000", "1000000"])
def test_a_limit_is_shown_as_it_was_typed(typed: str) -> None:
    limit_bytes = gigabytes.read(typed)
    assert limit_bytes is not None
    assert str(gigabytes.written(limit_bytes)) == str(gb_of(mib_of(limit_bytes))) == typed


def test_every_limit_that_is_kept_in_mib_can_be_sent_again_unchanged() -> None:
    assert str(gb_of(500)) == "0.524"
    some = Random(5).sample(range(1, 10**9), 5000)
    for mib in (*range(1, 5000), *some):
        if mib * MIB <= 10**6 * GB:
            limit_bytes = gigabytes.read(str(gb_of(mib)))
            assert limit_bytes is not None and mib_of(limit_bytes) == mib
