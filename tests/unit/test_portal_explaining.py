"""Words for what ended a decision, and what it is about."""

from __future__ import annotations

import pytest
from beffroi.core.decisions import actions, appeals, never_again, shared
from beffroi.portal import words
from beffroi.portal.explaining import ENDS


def test_each_way_in_which_a_decision_ends_has_words() -> None:
    codes = {
        actions.DECIDED_ANEW,
        actions.NOBODY_DECIDED,
        appeals.END_REASON,
        never_again.END_REASON,
        shared.REASON,
        "campaign_dismissed",
        "campaign_undone",
        "name_taken_back",
        "protected",
        "ttl",
        "undone",
    }
    assert codes == set(ENDS)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("court.example", "court.example"),
        ("impots.gouv.fr." + "a." * 40 + "voleur.example", "…" + ("a." * 40 + "voleur.example")[-63:]),
        ("service-client@" + "b" * 60 + ".voleur.example", "…" + "b" * 48 + ".voleur.example"),
        ("https://voleur.example/" + "c" * 80, "https://voleur.example/" + "c" * 40 + "…"),
        (
            "https://impots.gouv.fr." + "d" * 60 + ".voleur.example/connexion",
            "https://impots.gouv.fr." + "d" * 60 + ".voleur.example/…",
        ),
        ("https://" + "e" * 60 + ".example/", "https://" + "e" * 60 + ".example/"),
    ],
)
def test_whose_a_long_name_is_stays_in_sight(value: str, shown: str) -> None:
    assert words.shorten(value) == shown
