"""Words of an invitation: whether it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from beffroi.portal.invitation_words import is_over, letter, subject

END = datetime(2026, 12, 3, 19, 0, tzinfo=UTC)
DAY = datetime(2026, 12, 3, tzinfo=UTC)
"""Of one of a whole day: the date counts, in Paris."""


def test_a_single_one_is_over_when_its_end_lies_behind() -> None:
    assert not is_over(END, all_day=False, rule="", now=END)
    assert is_over(END, all_day=False, rule="", now=END + timedelta(seconds=1))
    assert not is_over(None, all_day=False, rule="", now=END)


def test_one_of_a_whole_day_is_over_after_midnight_in_paris() -> None:
    assert not is_over(DAY, all_day=True, rule="", now=datetime(2026, 12, 3, 22, 59, tzinfo=UTC))
    assert is_over(DAY, all_day=True, rule="", now=datetime(2026, 12, 3, 23, 0, tzinfo=UTC))


def test_of_a_series_nobody_says_that_it_is_over() -> None:
    assert not is_over(END, all_day=False, rule="FREQ=WEEKLY", now=END + timedelta(days=1))


def test_who_was_invited_before_reads_that_it_changed() -> None:
    """Also who reads no calendar."""
    assert subject("REQUEST", "Budget", is_change=False).startswith("Invitation")
    assert subject("REQUEST", "Budget", is_change=True).startswith("Invitation modifiée")
    told = [letter("REQUEST", "Budget", "Mairie", "mardi", is_change=one) for one in (False, True)]
    assert ["Vous êtes invité(e)" in one for one in told] == [True, False]
    assert "Ce rendez-vous a changé" in told[1] and told[1].endswith("Budget\nMardi\nMairie\n")
