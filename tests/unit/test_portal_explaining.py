"""Words for what ended a decision."""

from __future__ import annotations

from beffroi.core.decisions import actions, appeals, never_again, shared
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
