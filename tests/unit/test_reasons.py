"""Why somebody asks for something: on one line, not empty, nothing that a database does not keep."""

from __future__ import annotations

import pytest
from beffroi.lib import reasons
from beffroi.lib.errors import Invalid


def test_a_reason_is_kept_on_one_line() -> None:
    assert reasons.checked("  demande du\r\n12 mars ") == "demande du 12 mars"
    assert reasons.checked("a" * 300, most_chars=300) == "a" * 300


@pytest.mark.parametrize("text", ["", " \n", "a" * 301, "a\x00b"])
def test_no_reason_one_that_is_too_long_or_cannot_be_kept_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        reasons.checked(text, most_chars=300)
