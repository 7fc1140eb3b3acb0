"""What the log says of refusals: what is ours to mend, by its code alone."""

from __future__ import annotations

import logging

import pytest
from beffroi.drive.store.model import AbsentNode, StoreFull
from beffroi.drive.web.dav.paths import ForeignDestination
from beffroi.drive.web.errors import note
from beffroi.drive.web.wopi_wire import NotSupported
from beffroi.lib.errors import BeffroiError, Unavailable


@pytest.mark.parametrize(
    ("error", "is_ours"),
    [
        (Unavailable("The store"), True),
        (StoreFull(), True),
        (AbsentNode("file"), False),
        (NotSupported(), False),
        (ForeignDestination(), False),
    ],
)
def test_what_a_program_or_an_editor_asks_in_vain_is_no_fault_of_ours(
    caplog: pytest.LogCaptureFixture, error: BeffroiError, *, is_ours: bool
) -> None:
    with caplog.at_level(logging.INFO, "beffroi.drive"):
        note("MOVE", error)
    assert [one.message for one in caplog.records] == ([f"MOVE: {error.code}"] if is_ours else [])
