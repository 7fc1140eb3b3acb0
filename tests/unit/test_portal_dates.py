"""Dates of pages and mails, as the language writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from beffroi.portal.dates import date_format
from django.template import engines
from django.utils import translation


@pytest.mark.parametrize(
    ("day", "form", "french", "english"),
    [
        (date(2026, 5, 1), "j F Y", "1er mai 2026", "1 May 2026"),
        (date(2026, 5, 1), "l j F", "vendredi 1er mai", "Friday 1 May"),
        (date(2026, 5, 11), "j F Y", "11 mai 2026", "11 May 2026"),
        (date(2026, 5, 21), "j F", "21 mai", "21 May"),
        (
            datetime(2026, 8, 1, 11, 1, tzinfo=UTC),
            "j F Y, H:i",
            "1er août 2026, 11:01",
            "1 August 2026, 11:01",
        ),
        (datetime(2026, 8, 1, 1, 1, tzinfo=UTC), "H:i", "01:01", "01:01"),
    ],
)
def test_the_first_of_a_month_is_said_as_french_says_it(
    day: date, form: str, french: str, english: str
) -> None:
    for language, said in (("fr", french), ("en", english)):
        with translation.override(language):
            assert date_format(day, form) == said


def test_pages_say_it_too_in_local_time() -> None:
    template = engines["django"].from_string(
        '{% load beffroi %}{{ at|date:"j F Y" }}|{{ at|date:"c" }}|{{ nothing|date:"j F" }}'
    )
    with translation.override("fr"):
        said = template.render({"at": datetime(2026, 4, 30, 22, 30, tzinfo=UTC)})
    assert said == "1er mai 2026|2026-05-01T00:30:00+02:00|"
