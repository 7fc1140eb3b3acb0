"""Every reason of the protected lists has words that people read."""

from __future__ import annotations

import pytest
from beffroi.core.decisions import protected, warning_lists
from beffroi.portal.protection_words import protection
from beffroi_protocol import protected as floor
from beffroi_protocol.protected_lists import SHARED_SERVICES, SPECIAL_NETWORKS
from django.utils import translation

REASONS = {
    *(f"192.0.2.0/24: {why}" for _, why in (*SPECIAL_NETWORKS, *SHARED_SERVICES)),
    *(f"exemple.fr: {why}" for why in floor._CLASSES.values()),
    *warning_lists._TREES.values(),
    *warning_lists._NETWORKS.values(),
    protected.NEVER_AGAIN,
    protected.SHARED,
    f"mairie.fr: {floor.OWN}",
    f"mairie.fr {floor.UNDER}",
    f"wetransfer.com: {floor._WRITER}",
    "wider than /24",
    "a public suffix",
    "cannot be read",
    "the mark of empty content",
    "a file that everyone has",
    "one of the most visited sites",
    "a well-known service stands under it",
}


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_a_reason_is_said_in_french_and_keeps_its_name(reason: str) -> None:
    with translation.override("fr"):
        said = protection(reason)
    name, colon, _ = reason.rpartition(": ")
    assert said != reason or reason == "Wikimedia"
    if colon:
        assert said.startswith(f"{name} (")


def test_what_has_no_words_is_shown_as_it_is() -> None:
    assert protection("") == ""
    assert protection("x: something new") == "x: something new"
