"""Numbers that others write: taken only as such, and never more than fits."""

from __future__ import annotations

import pytest
from beffroi.lib import digits
from beffroi.lib.errors import Invalid

REFUSED = ["", " 1", "1 ", "+1", "-1", "1_0", "1.0", "0x1", "²", "١", "１", "1\n", "9" * 19, "9" * 5000]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_number_is_none(text: str) -> None:
    assert digits.number(text) is None
    with pytest.raises(Invalid, match="etag"):
        digits.needed(text, "etag")


def test_as_many_digits_as_are_said_are_taken() -> None:
    assert (digits.number("0"), digits.number("007"), digits.number("9" * 18)) == (0, 7, 10**18 - 1)
    assert (digits.number("999", 3), digits.number("1000", 3)) == (999, None)
    assert digits.needed("12", most=2) == 12
